"""What RFC 3261's grammar forbids in a message (section 25), beyond what parsing it takes.

`check` raises ParseError with the first thing that is wrong. Headers that are not known hold any
text; so do User-Agent, Server and Alert-Info: phones in use get their grammar wrong, and nothing
depends on them (section 8.2: a UAS should ignore what is malformed and not needed).
"""

from __future__ import annotations

from labtool.sip.errors import ParseError
from labtool.sip.grammar import (
    DIGITS,
    TOKEN,
    WHITESPACE,
    WORD,
    end_of_quoted,
    is_digits,
    is_token,
    small_int,
    split_outside,
)
from labtool.sip.message import Message, Request
from labtool.sip.uri_syntax import check_host, check_uri, is_ipv6
from labtool.sip.value import LONGEST
from labtool.sip.via import Via

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CSEQ = 2**31 - 1  # section 8.1.1.5
MAX_DELTA = 2**32 - 1  # section 20.19

# Lines of these headers come again with each refresh, so those found sound are remembered: so many
# characters at most, and so many lines, that no peer can fill memory with them.
_RECURRING = frozenset(
    ("Allow", "CSeq", "Contact", "Content-Length", "Expires", "Max-Forwards", "To")
)
_SOUND: set[tuple[str, str]] = set()
_REMEMBERED = 4096

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def check(message: Message) -> None:
    """ParseError with the first thing in the message that the grammar forbids."""
    if message.defects:
        raise ParseError(message.defects[0])
    start_line = message.start_line
    if not (start_line.isascii() and start_line.isprintable()):
        _text(start_line)
    if isinstance(message, Request):
        if not is_token(message.method):
            raise ParseError(f"the method is not a token: {message.method[:40]!r}")
        check_uri(message.uri, in_request_line=True)
    for line in message.headers:
        if line in _SOUND:
            continue
        name, value = line
        rule = _RULES.get(name)
        try:
            if not (value.isascii() and value.isprintable()):
                _text(value)
                if rule is not None:
                    _plain_outside_quotes(value)
            if rule is not None:
                rule(value)
        except ParseError as error:
            raise ParseError(f"{name}: {error}") from error
        if name in _RECURRING and len(value) <= LONGEST:
            if len(_SOUND) >= _REMEMBERED:
                _SOUND.clear()
            _SOUND.add(line)


def check_params(text: str, *, via: bool = False) -> None:
    """ParseError unless `text` (what follows the first semicolon) is a list of parameters."""
    seen: set[str] = set()
    for part in split_outside(text, ";"):
        name, equals, value = part.partition("=")
        name, value = name.strip(WHITESPACE).lower(), value.strip(WHITESPACE)
        if not is_token(name):
            raise ParseError(f"not a parameter: {part.strip()[:60]!r}")
        if name in seen:
            raise ParseError(f"the parameter {name[:60]} twice")
        seen.add(name)
        if equals and not is_token(value):
            _check_value(value)
        if via:
            if name == "ttl":
                small_int(value, 255, "ttl")
            elif name == "rport" and equals and value:
                small_int(value, 65535, "rport")
        elif name == "expires":
            small_int(value, MAX_DELTA, "expires")
        elif name == "q":
            _qvalue(value)


def _check_value(value: str) -> None:
    """A gen-value that is no token: a quoted string or an address."""
    if value[:1] == '"':
        if end_of_quoted(value) != len(value):
            raise ParseError(f"a quoted string that is not closed: {value[:60]!r}")
    elif not is_ipv6(value.removeprefix("[").removesuffix("]")):
        raise ParseError(f"not the value of a parameter: {value[:60]!r}")


def check_name_addr(text: str) -> None:
    """ParseError unless it is a name-addr or addr-spec with parameters (section 20.10)."""
    start = text.find("<")
    if text[:1] == '"':
        end = end_of_quoted(text)
        if end < 0:
            raise ParseError(f"a quoted string that is not closed: {text[:60]!r}")
        start = text.find("<", end)
        if start < 0 or text[end:start].strip(WHITESPACE):
            raise ParseError(f"no <URI> after the display name: {text[:60]!r}")
    elif start >= 0 and '"' not in text[:start]:
        for word in text[:start].split():
            if not is_token(word):
                raise ParseError(f"an unquoted display name that holds {word[:40]!r}")
    else:
        spec, semicolon, tail = text.partition(";")
        if "?" in spec or "," in spec:
            # Section 20: such a URI must stand in brackets, or its end is anybody's guess.
            raise ParseError(f"a URI with '?' or ',' needs <>: {spec[:60]!r}")
        check_uri(spec.rstrip(WHITESPACE))
        if semicolon:
            check_params(tail)
        return
    end = text.find(">", start)
    if end < 0:
        raise ParseError(f"no '>' after '<': {text[:60]!r}")
    check_uri(text[start + 1 : end])
    tail = text[end + 1 :].lstrip(WHITESPACE)
    if tail:
        if tail[0] != ";":
            raise ParseError(f"something follows '>': {tail[:60]!r}")
        check_params(tail[1:])


def _text(text: str) -> None:
    """TEXT-UTF8: no control character but a tab, unless behind a backslash (quoted-pair)."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ParseError(f"not UTF-8: {text[:60]!a}") from error
    escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif (character < " " and character != "\t") or character == "\x7f":
            raise ParseError(f"a bare control character: {text[:60]!r}")


def _plain_outside_quotes(text: str) -> None:
    """What is not ASCII stands in quoted strings and comments only; other scripts also have spaces
    and digits that Python would take for those of the grammar.
    """
    at = 0
    while at >= 0:
        start = text.find('"', at)
        if not text[at : start if start >= 0 else None].partition("(")[0].isascii():
            raise ParseError(f"what is not ASCII must be quoted: {text[:60]!r}")
        at = end_of_quoted(text, start) if start >= 0 else -1


def _qvalue(text: str) -> None:
    whole, _, fraction = text.partition(".")
    if whole not in ("0", "1") or len(fraction) > 3 or fraction.strip(DIGITS):
        raise ParseError(f"q is not a number of 0 to 1: {text[:40]!r}")
    if whole == "1" and fraction.strip("0"):
        raise ParseError(f"q is above 1: {text[:40]!r}")


def _list_of(rule: Callable[[str], None], *, may_be_empty: bool = False) -> Callable[[str], None]:
    def check_list(text: str) -> None:
        if may_be_empty and not text:
            return
        if "," not in text:
            rule(text)
            return
        for part in split_outside(text, ","):
            rule(part.strip(WHITESPACE))

    return check_list


def _token(text: str) -> None:
    if not is_token(text):
        raise ParseError(f"not a token: {text[:60]!r}")


def _contact(text: str) -> None:
    if text != "*":
        _addresses(text)


def _route(text: str) -> None:
    if "<" not in text:
        raise ParseError(f"a route without <>: {text[:60]!r}")
    check_name_addr(text)


def _via(text: str) -> None:
    head, semicolon, tail = text.partition(";")
    via = Via.parse(head)
    parts = head.split("/", 2)
    transport = parts[2].split(None, 1)[0]
    if not (is_token(parts[0].strip()) and is_token(parts[1].strip()) and is_token(transport)):
        raise ParseError(f"not a protocol: {head[:60]!r}")
    if ":" in via.host:
        if not is_ipv6(via.host):
            raise ParseError(f"not an IPv6 address: {via.host[:60]!r}")
    else:
        check_host(via.host)
    if semicolon:
        check_params(tail, via=True)


def _cseq(text: str) -> None:
    words = text.split()
    if len(words) != 2:
        raise ParseError(f"not a number and a method: {text[:60]!r}")
    small_int(words[0], MAX_CSEQ, "the number")
    _token(words[1])


def _call_id(text: str) -> None:
    before, at, after = text.partition("@")
    if not before or before.strip(WORD) or (at and (not after or after.strip(WORD))):
        raise ParseError(f"not a Call-ID: {text[:60]!r}")


def _number(maximum: int) -> Callable[[str], None]:
    def check_number(text: str) -> None:
        small_int(text, maximum, "the value")

    return check_number


def _delta(text: str) -> None:
    """Seconds, with a comment and parameters behind (Retry-After, Session-Expires)."""
    number, bracket, rest = text.partition("(")
    tail = ""
    if bracket:
        end = _end_of_comment(rest)
        if end < 0:
            raise ParseError(f"a comment that is not closed: {text[:60]!r}")
        tail = rest[end:].strip(WHITESPACE)
        if tail and tail[0] != ";":
            raise ParseError(f"something follows the comment: {tail[:60]!r}")
    else:
        number, semicolon, tail = text.partition(";")
        tail = semicolon + tail
    small_int(number.strip(WHITESPACE), MAX_DELTA, "the value")
    if tail:
        check_params(tail[1:])


def _end_of_comment(text: str) -> int:
    """The index after the bracket that closes a comment whose opening one is left off, or -1."""
    depth, at = 1, 0
    while at < len(text):
        match text[at]:
            case "\\":
                at += 1
            case "(":
                depth += 1
            case ")":
                depth -= 1
                if not depth:
                    return at + 1
        at += 1
    return -1


def _date(text: str) -> None:
    """`Sat, 13 Nov 2010 23:29:00 GMT`; no other time zone (section 20.17)."""
    day, comma, rest = text.partition(", ")
    words = rest.split(" ")
    if not comma or day not in _DAYS or len(words) != 5 or words[1] not in _MONTHS:
        raise ParseError(f"not a date: {text[:60]!r}")
    if words[4] != "GMT":
        raise ParseError(f"a time zone that is not GMT: {words[4][:20]!r}")
    clock = words[3].split(":")
    fields = zip((words[0], words[2], *clock), (2, 4, 2, 2, 2), strict=False)
    if len(clock) != 3 or not all(is_digits(part) and len(part) == size for part, size in fields):
        raise ParseError(f"not a date: {text[:60]!r}")


def _warning(text: str) -> None:
    words = text.split(None, 2)
    if len(words) != 3 or len(words[0]) != 3 or not is_digits(words[0]):
        raise ParseError(f"not a code of three digits, an agent and a text: {text[:60]!r}")
    if words[2][:1] != '"' or end_of_quoted(words[2]) != len(words[2]):
        raise ParseError(f"the text is not quoted: {words[2][:60]!r}")


def _media_type(text: str) -> None:
    kind, semicolon, tail = text.partition(";")
    major, slash, minor = kind.partition("/")
    if not slash or not is_token(major.strip()) or not is_token(minor.strip()):
        raise ParseError(f"not a media type: {text[:60]!r}")
    if semicolon:
        check_params(tail)


def _content_type(text: str) -> None:
    _media_type(text)
    for part in split_outside(text, ";")[1:]:
        if "=" not in part:  # m-parameter, unlike those of other headers, has a value
            raise ParseError(f"a parameter without a value: {part.strip()[:60]!r}")


def _token_params(text: str) -> None:
    name, semicolon, tail = text.partition(";")
    _token(name.strip(WHITESPACE))
    if semicolon:
        check_params(tail)


def _call_id_params(text: str) -> None:
    call_id, semicolon, tail = text.partition(";")
    _call_id(call_id.rstrip(WHITESPACE))
    if semicolon:
        check_params(tail)


def _decimal(text: str) -> None:
    whole, _, fraction = text.partition(".")
    if not is_digits(whole) or fraction.strip(DIGITS):
        raise ParseError(f"not a number: {text[:40]!r}")


def _timestamp(text: str) -> None:
    words = text.split()
    if not 1 <= len(words) <= 2:
        raise ParseError(f"not a time and a delay: {text[:60]!r}")
    for word in words:
        _decimal(word)


def _rack(text: str) -> None:
    words = text.split()
    if len(words) != 3:
        raise ParseError(f"not two numbers and a method: {text[:60]!r}")
    small_int(words[0], MAX_DELTA, "the first number")
    _cseq(" ".join(words[1:]))


def _mime_version(text: str) -> None:
    major, dot, minor = text.partition(".")
    if not dot or not is_digits(major) or not is_digits(minor):
        raise ParseError(f"not a version: {text[:40]!r}")


def _auth(text: str) -> None:
    scheme, *parameters = text.split(None, 1) or [""]
    _token(scheme)
    for part in split_outside("".join(parameters), ","):
        name, equals, value = part.partition("=")
        value = value.strip(WHITESPACE)
        if not equals or not is_token(name.strip(WHITESPACE)):
            raise ParseError(f"not a name=value of {scheme}: {part.strip()[:40]!r}")
        # Nonces and URIs are quoted by the grammar; base64 without quotes is common and plain.
        if value.strip(TOKEN + "=/:@") and (value[:1] != '"' or end_of_quoted(value) != len(value)):
            raise ParseError(f"the value of {name.strip()[:40]} is not quoted")


_addresses = _list_of(check_name_addr)
_tokens = _list_of(_token)
_perhaps_tokens = _list_of(_token, may_be_empty=True)

_RULES: dict[str, Callable[[str], None]] = {
    "Accept": _list_of(_media_type, may_be_empty=True),
    "Accept-Encoding": _list_of(_token_params, may_be_empty=True),
    "Accept-Language": _list_of(_token_params, may_be_empty=True),
    "Allow": _perhaps_tokens,
    "Allow-Events": _tokens,
    "Authorization": _auth,
    "CSeq": _cseq,
    "Call-ID": _call_id,
    "Contact": _contact,
    "Content-Disposition": _token_params,
    "Content-Encoding": _tokens,
    "Content-Length": _number(MAX_DELTA),
    "Content-Type": _content_type,
    "Date": _date,
    "Event": _token_params,
    "Expires": _number(MAX_DELTA),
    "From": check_name_addr,
    "In-Reply-To": _list_of(_call_id),
    "MIME-Version": _mime_version,
    "Max-Forwards": _number(255),
    "Min-Expires": _number(MAX_DELTA),
    "Min-SE": _delta,
    "P-Asserted-Identity": _addresses,
    "Path": _list_of(_route),
    "Priority": _token,
    "Proxy-Authenticate": _auth,
    "Proxy-Authorization": _auth,
    "Proxy-Require": _tokens,
    "RAck": _rack,
    "RSeq": _number(MAX_DELTA),
    "Record-Route": _list_of(_route),
    "Refer-To": check_name_addr,
    "Referred-By": check_name_addr,
    "Replaces": _call_id_params,
    "Reply-To": check_name_addr,
    "Require": _tokens,
    "Retry-After": _delta,
    "Route": _list_of(_route),
    "Service-Route": _list_of(_route),
    "Session-Expires": _delta,
    "Subscription-State": _token_params,
    "Supported": _perhaps_tokens,
    "Timestamp": _timestamp,
    "To": check_name_addr,
    "Unsupported": _tokens,
    "Via": _list_of(_via),
    "WWW-Authenticate": _auth,
    "Warning": _list_of(_warning),
}
