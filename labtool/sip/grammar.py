"""The small rules of RFC 3261 section 25.1 that several headers share.

Character classes are plain strings, tested with `text.strip(CLASS) == ""`: that is one call in C,
and it spares every start the import of `re`.
"""

from __future__ import annotations

from labtool.sip.errors import ParseError, SipError

DIGITS = "0123456789"
ALPHANUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" + DIGITS
TOKEN = ALPHANUM + "-.!%*_+`'~"
WORD = TOKEN + '()<>:\\"/[]?{}'
WHITESPACE = " \t\r\n"


def is_token(text: str) -> bool:
    """Whether `text` is a token: at least one character, all of them of the token class."""
    return bool(text) and not text.strip(TOKEN)


def is_digits(text: str) -> bool:
    """Whether `text` is 1*DIGIT. `str.isdigit` alone would take other scripts' digits."""
    return bool(text) and not text.strip(DIGITS)


def small_int(text: str, maximum: int, what: str) -> int:
    """`text` as a whole number of 0..maximum; ParseError names `what` otherwise."""
    # The length is looked at first: int() itself raises ValueError above 4,300 digits.
    if len(text) < 10 and text.isascii() and text.isdigit() and (number := int(text)) <= maximum:
        return number
    digits = text.lstrip("0") or text[-1:]
    if not is_digits(text) or len(digits) > len(str(maximum)) or int(digits) > maximum:
        raise ParseError(f"{what} is not a number of 0 to {maximum}: {text[:40]!r}")
    return int(digits)


def quote(text: str) -> str:
    """A quoted-string that holds `text`; SipError where none can (CR, LF, NUL)."""
    if "\r" in text or "\n" in text or "\0" in text:
        raise SipError(f"a quoted string cannot hold CR, LF or NUL: {text!r}")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(text: str) -> str:
    """What a quoted-string holds; anything else as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    text = text[1:-1]
    if "\\" not in text:
        return text
    out: list[str] = []
    characters = iter(text)
    for character in characters:
        out.append(next(characters, "") if character == "\\" else character)
    return "".join(out)


def end_of_quoted(text: str, start: int = 0) -> int:
    """The index after the closing quote of the quoted-string that opens at `start`, or -1."""
    at = start + 1
    end = text.find('"', at)
    while end >= 0:
        escape = text.find("\\", at, end)
        if escape < 0:
            return end + 1
        at = escape + 2
        if at > end:  # it was the quote that is escaped
            end = text.find('"', at)
    return -1


def split_outside(text: str, separator: str) -> list[str]:
    """Split at a separator character that stands outside quoted strings and <...>.

    An unterminated quote or bracket runs to the end of the text: nothing is raised.
    """
    quote, bracket = text.find('"'), text.find("<")
    if quote < 0 and bracket < 0:
        return text.split(separator)
    if bracket < 0 and "\\" not in text:
        parts = text.split(separator)
        if all(part.count('"') % 2 == 0 for part in parts):
            return parts  # no separator stands between quotes
    parts = []
    start = at = 0
    while (found := text.find(separator, at)) >= 0:
        if 0 <= quote < at:
            quote = text.find('"', at)
        if 0 <= bracket < at:
            bracket = text.find("<", at)
        if 0 <= quote < found and not 0 <= bracket < quote:
            at = end_of_quoted(text, quote)
            if at < 0:
                break
        elif 0 <= bracket < found:
            at = text.find(">", bracket) + 1
            if not at:
                break
        else:
            parts.append(text[start:found])
            start = at = found + 1
    parts.append(text[start:])
    return parts


def split_list(text: str) -> list[str]:
    """The elements of a comma-separated header value, stripped, empty ones left out."""
    return [part for part in map(str.strip, split_outside(text, ",")) if part]


def parse_params(text: str) -> dict[str, str | None]:
    """`a=1;B;c="x"` (what follows the first semicolon) as names in lower case with raw values.

    A name that is repeated keeps its first value; empty parameters are passed over.
    """
    params: dict[str, str | None] = {}
    for part in split_outside(text, ";") if '"' in text else text.split(";"):
        name, equals, value = part.partition("=")
        name = name.strip().lower()
        if name and name not in params:
            params[name] = value.strip() if equals else None
    return params


def print_params(params: dict[str, str | None]) -> str:
    """The inverse of `parse_params`, each parameter with its leading semicolon."""
    return "".join(
        f";{name}" if value is None else f";{name}={value}" for name, value in params.items()
    )


def split_hostport(text: str) -> tuple[str, int | None]:
    """`host[:port]` as a host (an IPv6 address without its brackets) and a port or None."""
    if text[:1] == "[":
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and rest[0] != ":") or ":" not in host or "[" in host:
            raise ParseError(f"not an IPv6 address in brackets: {text[:60]!r}")
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = text.partition(":")
    if not host or " " in host or "[" in host or "]" in host:
        raise ParseError(f"not a host: {text[:60]!r}")
    if not colon:
        return host, None
    return host, small_int(port, 65535, "a port")


def print_hostport(host: str, port: int | None) -> str:
    """The inverse of `split_hostport`."""
    if ":" in host:
        host = f"[{host}]"
    return host if port is None else f"{host}:{port}"
