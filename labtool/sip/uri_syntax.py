"""What the grammar forbids in a URI and in a host (RFC 3261 section 25.1, RFC 3986).

Two things are let pass because they have one sense only and RFC 5118 or practice asks for it:
`:::` before an embedded IPv4 address (an error of RFC 3261's own grammar), and `_` in a name.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_pton

from labtool.sip.errors import ParseError
from labtool.sip.grammar import ALPHANUM, DIGITS, small_int
from labtool.sip.value import remembering

_UNRESERVED = ALPHANUM + "-_.!~*'()"
_USER = _UNRESERVED + "&=+$,;?/%"
_PASSWORD = _UNRESERVED + "&=+$,%"
_URI_PARAM = _UNRESERVED + "[]/:&+$%"
_URI_HEADER = _UNRESERVED + "[]/?:+$%"
_ANY_URI = _UNRESERVED + ";/?:@&=+$,%[]#"
_HEX = DIGITS + "abcdefABCDEF"
_HOSTNAME = ALPHANUM + "-._"


def check_uri(text: str, *, in_request_line: bool = False) -> None:
    """ParseError unless `text` is a URI (section 19.1.1; RFC 3986 for schemes other than sip)."""
    has_headers = _check_uri(text)
    if has_headers and in_request_line:
        raise ParseError("headers in a Request-URI (section 19.1.1)")


@remembering(4096)
def _check_uri(text: str) -> bool:
    """Whether it is a SIP URI with headers."""
    scheme, colon, rest = text.partition(":")
    if not colon or not scheme[:1].isalpha() or scheme.strip(ALPHANUM + "+-."):
        raise ParseError(f"not a URI: {text[:60]!r}")
    if scheme.lower() not in ("sip", "sips"):
        if not rest or rest.strip(_ANY_URI):
            raise ParseError(f"not a URI: {text[:60]!r}")
        _escapes(rest)
        return False
    if rest.strip(_ANY_URI):
        raise ParseError(f"a character that a SIP URI cannot hold: {text[:60]!r}")
    _escapes(rest)
    userinfo, at, place = rest.partition("@")
    if at:
        user, _, password = userinfo.partition(":")
        if not user or user.strip(_USER) or password.strip(_PASSWORD):
            raise ParseError(f"the user of a SIP URI: {userinfo[:60]!r}")
    else:
        place = rest
    place, question, headers = place.partition("?")
    if question:
        for part in headers.split("&"):
            name, equals, value = part.partition("=")
            if not name or not equals or name.strip(_URI_HEADER) or value.strip(_URI_HEADER):
                raise ParseError(f"a header of a SIP URI: {part[:60]!r}")
    place, *params = place.split(";")
    seen: set[str] = set()
    for param in params:
        name, equals, value = param.partition("=")
        if not name or name.strip(_URI_PARAM) or value.strip(_URI_PARAM) or (equals and not value):
            raise ParseError(f"a parameter of a SIP URI: {param[:60]!r}")
        if name.lower() in seen:
            raise ParseError(f"a parameter of a SIP URI twice: {name[:60]!r}")
        seen.add(name.lower())
    check_hostport(place)
    return bool(question)


def check_hostport(text: str) -> None:
    """ParseError unless `text` is `host` or `host:port`, IPv6 in brackets."""
    if text[:1] == "[":
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not is_ipv6(host):
            raise ParseError(f"not an IPv6 address in brackets: {text[:60]!r}")
        if rest and rest[0] != ":":
            raise ParseError(f"not a host and port: {text[:60]!r}")
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = text.partition(":")
        if ":" in port:
            raise ParseError(f"an IPv6 address needs brackets: {text[:60]!r}")
        check_host(host)
    if colon:
        small_int(port, 65535, "a port")


def check_host(host: str) -> None:
    """ParseError unless it is a name or an IPv4 address."""
    if not host.strip(DIGITS + "."):
        if not _is_ip(AF_INET, host):
            raise ParseError(f"not an IPv4 address: {host[:60]!r}")
        return
    labels = host.removesuffix(".").split(".")
    if (
        host.strip(_HOSTNAME)
        or not all(labels)
        or not labels[-1][0].isalpha()
        or any(label[0] == "-" or label[-1] == "-" for label in labels)
    ):
        raise ParseError(f"not a host: {host[:60]!r}")


def is_ipv6(text: str) -> bool:
    """Whether it is an IPv6 address by RFC 4291, or by RFC 3261's grammar where that errs: it puts
    a colon of its own before an embedded IPv4 address (RFC 5118 section 4.10).
    """
    head, colons, last = text.rpartition(":::")
    if colons and "." in last:
        text = f"{head}::{last}"
    return _is_ip(AF_INET6, text)


def _is_ip(family: int, text: str) -> bool:
    try:
        inet_pton(family, text)
    except (OSError, ValueError):  # ValueError: a NUL in it, or not ASCII
        return False
    return True


def _escapes(text: str) -> None:
    if "%" not in text:
        return
    for part in text.split("%")[1:]:
        if len(part) < 2 or part[:2].strip(_HEX):
            raise ParseError(f"'%' without two hexadecimal digits: %{part[:10]!s}")
