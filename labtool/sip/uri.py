"""SIP and SIPS URIs (RFC 3261 section 19.1); every other scheme is kept as it came."""

from __future__ import annotations

from labtool.sip.errors import ParseError, SipError
from labtool.sip.grammar import (
    ALPHANUM,
    parse_params,
    print_hostport,
    print_params,
    split_hostport,
)
from labtool.sip.value import Value, assign, remembering

_SCHEME = ALPHANUM + "+-."
_UNESCAPED_IN_USER = ALPHANUM + "-_.!~*'()&=+$,;?/"
# Parameters that make two URIs differ even when only one of them has it (section 19.1.4).
_NEVER_IGNORED = ("user", "ttl", "method", "maddr", "transport")


class OtherUri(Value):
    """A URI of any other scheme (tel, urn, http, ...): its scheme, and the text after the colon."""

    __slots__ = ("rest", "scheme")
    scheme: str
    rest: str

    def __init__(self, scheme: str, rest: str) -> None:
        assign(self, "scheme", scheme)
        assign(self, "rest", rest)

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"

    def equivalent(self, other: Uri) -> bool:
        """Whether both name the same thing: the scheme regardless of case, the rest exactly."""
        return (
            isinstance(other, OtherUri)
            and self.scheme.lower() == other.scheme.lower()
            and self.rest == other.rest
        )


class SipUri(Value):
    """`sip:user:password@host:port;params?headers`.

    `user` and `password` are as written (escaped); `username` is the user unescaped. `host` is
    without the brackets of IPv6. `params` has its names in lower case and raw values, None for a
    parameter without one. `headers` are the pairs after the question mark, escaped.
    """

    __slots__ = ("headers", "host", "params", "password", "port", "scheme", "user")
    scheme: str
    user: str | None
    host: str
    port: int | None
    params: dict[str, str | None]
    headers: tuple[tuple[str, str], ...]
    password: str | None

    def __init__(
        self,
        scheme: str = "sip",
        user: str | None = None,
        host: str = "",
        port: int | None = None,
        params: dict[str, str | None] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        password: str | None = None,
    ) -> None:
        assign(self, "scheme", scheme)
        assign(self, "user", user)
        assign(self, "host", host)
        assign(self, "port", port)
        assign(self, "params", {} if params is None else params)
        assign(self, "headers", headers)
        assign(self, "password", password)

    @classmethod
    def parse(cls, text: str) -> SipUri:
        """A sip or sips URI; ParseError for anything else."""
        uri = parse_uri(text)
        if not isinstance(uri, SipUri):
            raise ParseError(f"not a sip or sips URI: {text[:80]!r}")
        return uri

    def __str__(self) -> str:
        text = self.scheme + ":"
        if self.user is not None:
            text += self.user
            if self.password is not None:
                text += ":" + self.password
            text += "@"
        text += print_hostport(self.host, self.port)
        if self.params:
            text += print_params(self.params)
        if self.headers:
            text += "?" + "&".join(f"{name}={value}" for name, value in self.headers)
        return text

    @property
    def username(self) -> str | None:
        """The user with its %-escapes resolved, UTF-8 where it is."""
        return None if self.user is None else unescape(self.user)

    @property
    def transport(self) -> str | None:
        """The transport parameter in lower case."""
        value = self.params.get("transport")
        return None if value is None else value.lower()

    def equivalent(self, other: Uri) -> bool:
        """Whether both URIs are equal by RFC 3261 section 19.1.4."""
        if not isinstance(other, SipUri):
            return False
        if self._key() != other._key():
            return False
        mine, theirs = self.params, other.params
        for name in mine.keys() | theirs.keys():
            if name in mine and name in theirs:
                if _folded(mine[name]) != _folded(theirs[name]):
                    return False
            elif name in _NEVER_IGNORED:
                return False
        return True

    def _key(self) -> tuple[object, ...]:
        return (
            self.scheme.lower(),
            None if self.user is None else unescape(self.user),
            None if self.password is None else unescape(self.password),
            self.host.lower(),
            self.port,
            sorted((name.lower(), unescape(value)) for name, value in self.headers),
        )


Uri = SipUri | OtherUri


@remembering(4096)
def parse_uri(text: str) -> SipUri | OtherUri:
    """A URI of any scheme. ParseError where there is none, or a sip URI that has no sense.

    Spaces around it are let pass; `labtool.sip.validation` is what judges them.
    """
    text = text.strip()
    # Neither may stand in any URI; let in here, it would end the brackets it is printed in.
    if "<" in text or ">" in text:
        raise ParseError(f"'<' or '>' in a URI: {text[:80]!r}")
    scheme, colon, rest = text.partition(":")
    lower = scheme.lower()
    if lower == "sip" or lower == "sips":
        return _parse_sip(lower, rest)
    if not colon or not scheme[:1].isalpha() or scheme.strip(_SCHEME):
        raise ParseError(f"not a URI: {text[:80]!r}")
    return OtherUri(scheme, rest)


def _parse_sip(scheme: str, rest: str) -> SipUri:
    user = password = None
    headers: tuple[tuple[str, str], ...] = ()
    params: dict[str, str | None] | None = None
    # The user may hold ';' and '?', so it is taken off first (RFC 4475 section 3.1.1.9).
    userinfo, at, place = rest.partition("@")
    if at:
        user, colon, password_text = userinfo.partition(":")
        password = password_text if colon else None
        if not user:
            raise ParseError(f"a sip URI with '@' but no user: {rest[:80]!r}")
    else:
        place = rest
    if "?" in place:
        place, _, query = place.partition("?")
        headers = tuple(_pair(part) for part in query.split("&") if part)
    if ";" in place:
        place, _, tail = place.partition(";")
        params = parse_params(tail)
    host, port = split_hostport(place.rstrip())
    return SipUri(scheme, user, host, port, params, headers, password)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _folded(value: str | None) -> str | None:
    return None if value is None else unescape(value).lower()


def unescape(text: str) -> str:
    """Resolve %HH escapes; a percent sign that starts none stays as it is."""
    if "%" not in text:
        return text
    head, *parts = text.split("%")
    out = bytearray(head, "utf-8", "surrogateescape")
    for part in parts:
        digits = part[:2]
        if len(digits) == 2 and not digits.strip("0123456789abcdefABCDEF"):
            out.append(int(digits, 16))
            part = part[2:]
        else:
            out += b"%"
        out += part.encode("utf-8", "surrogateescape")
    return out.decode("utf-8", "surrogateescape")


def escape_user(text: str) -> str:
    """`text` as the user part of a SIP URI: whatever may not stand there becomes %HH."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise SipError(f"not text: {text!r}") from error
    allowed = _UNESCAPED_IN_USER.encode()
    return "".join(chr(byte) if byte in allowed else f"%{byte:02X}" for byte in data)
