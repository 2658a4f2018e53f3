"""Digest authentication: RFC 7616 as RFC 8760 brings it to SIP, and RFC 2617 before it.

MD5, SHA-256 and SHA-512-256, each plain or -sess, with qop auth, auth-int or none. RFC 7616's own
example of SHA-512-256 is wrong; erratum 4897 has the right response.
"""

from __future__ import annotations

import os

from labtool.sip.errors import ParseError, SipError
from labtool.sip.grammar import is_token, quote, split_list, split_outside, unquote
from labtool.sip.uri import unescape
from labtool.sip.value import Value, assign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Weakest first. The names of RFC 8760 beside those of hashlib.
_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
ALGORITHMS = tuple(_HASHES)


def base_algorithm(algorithm: str) -> str:
    """The algorithm without -sess, as this module writes it. SipError for one it does not know."""
    name = algorithm.upper()
    name = name[:-5] if name.endswith("-SESS") else name
    if name not in _HASHES:
        raise SipError(f"a digest algorithm that is not known: {algorithm!r}")
    return name


def _hash(algorithm: str, data: bytes) -> str:
    try:
        import hashlib  # with OpenSSL's 4 MiB, which who only reads a challenge need not spend

        return hashlib.new(_HASHES[algorithm], data, usedforsecurity=False).hexdigest()
    except ValueError as error:  # an OpenSSL that was built without it
        raise SipError(f"this machine's OpenSSL has no {algorithm}") from error


def ha1(username: str, realm: str, password: str, algorithm: str = "MD5") -> str:
    """H(username:realm:password) in hex: what a server stores. For a -sess algorithm it is that of
    the base algorithm too, as the session's part is added with each nonce.
    """
    return _hash(base_algorithm(algorithm), _bytes(f"{username}:{realm}:{password}"))


class Challenge(Value):
    """A `WWW-Authenticate` or `Proxy-Authenticate` of the Digest scheme.

    `qop` is what the server offers, () where it offers none (RFC 2069's way). `domain` is the
    space-separated list of URIs as it came.
    """

    __slots__ = ("algorithm", "domain", "nonce", "opaque", "qop", "realm", "stale")
    realm: str
    nonce: str
    algorithm: str
    qop: tuple[str, ...]
    opaque: str | None
    stale: bool
    domain: str | None

    def __init__(
        self,
        realm: str,
        nonce: str,
        algorithm: str = "MD5",
        qop: tuple[str, ...] = ("auth",),
        opaque: str | None = None,
        stale: bool = False,
        domain: str | None = None,
    ) -> None:
        assign(self, "realm", realm)
        assign(self, "nonce", nonce)
        assign(self, "algorithm", algorithm)
        assign(self, "qop", qop)
        assign(self, "opaque", opaque)
        assign(self, "stale", stale)
        assign(self, "domain", domain)

    @classmethod
    def parse(cls, text: str) -> Challenge:
        """A header's value; ParseError for another scheme or where realm or nonce is missing."""
        fields = _fields(text)
        qop = fields.get("qop")
        return cls(
            _need(fields, "realm"),
            _need(fields, "nonce"),
            fields.get("algorithm", "MD5"),
            () if qop is None else tuple(word.lower() for word in split_list(qop)),
            fields.get("opaque"),
            fields.get("stale", "").lower() == "true",
            fields.get("domain"),
        )

    def __str__(self) -> str:
        parts = [f"realm={quote(self.realm)}"]
        if self.domain is not None:
            parts.append(f"domain={quote(self.domain)}")
        parts.append(f"nonce={quote(self.nonce)}")
        if self.opaque is not None:
            parts.append(f"opaque={quote(self.opaque)}")
        if self.stale:
            parts.append("stale=true")
        parts.append(f"algorithm={_token(self.algorithm)}")
        if self.qop:
            parts.append(f"qop={quote(','.join(self.qop))}")
        return "Digest " + ", ".join(parts)


class Credentials(Value):
    """An `Authorization` or `Proxy-Authorization` of the Digest scheme.

    `nc` is the nonce count as a number; `nc_text` is how it was written, for that is what the
    response covers. `qop` None is RFC 2069's way, without cnonce and nc.
    """

    __slots__ = (
        "algorithm",
        "cnonce",
        "nc",
        "nc_text",
        "nonce",
        "opaque",
        "qop",
        "realm",
        "response",
        "uri",
        "username",
    )
    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str
    cnonce: str | None
    nc: int | None
    qop: str | None
    opaque: str | None
    nc_text: str | None

    def __init__(
        self,
        username: str,
        realm: str,
        nonce: str,
        uri: str,
        response: str,
        algorithm: str = "MD5",
        cnonce: str | None = None,
        nc: int | None = None,
        qop: str | None = None,
        opaque: str | None = None,
        nc_text: str | None = None,
    ) -> None:
        assign(self, "username", username)
        assign(self, "realm", realm)
        assign(self, "nonce", nonce)
        assign(self, "uri", uri)
        assign(self, "response", response)
        assign(self, "algorithm", algorithm)
        assign(self, "cnonce", cnonce)
        assign(self, "nc", nc)
        assign(self, "qop", qop)
        assign(self, "opaque", opaque)
        assign(self, "nc_text", f"{nc:08x}" if nc_text is None and nc is not None else nc_text)

    @classmethod
    def parse(cls, text: str) -> Credentials:
        """A header's value; ParseError for another scheme or where a field is missing or wrong."""
        fields = _fields(text)
        nc_text = fields.get("nc")
        if nc_text is not None and (
            len(nc_text) > 8 or not nc_text or nc_text.strip("0123456789abcdefABCDEF")
        ):
            raise ParseError(f"nc is not 8 hexadecimal digits: {nc_text[:20]!r}")
        qop = fields.get("qop")
        extended = fields.get("username*")
        if "username" not in fields and extended is not None:
            fields["username"] = _extended(extended)
        return cls(
            _need(fields, "username"),
            _need(fields, "realm"),
            _need(fields, "nonce"),
            _need(fields, "uri"),
            _need(fields, "response"),
            fields.get("algorithm", "MD5"),
            fields.get("cnonce"),
            None if nc_text is None else int(nc_text, 16),
            None if qop is None else qop.lower(),
            fields.get("opaque"),
            nc_text,
        )

    def __str__(self) -> str:
        parts = [
            f"username={quote(self.username)}",
            f"realm={quote(self.realm)}",
            f"nonce={quote(self.nonce)}",
            f"uri={quote(self.uri)}",
            f"response={quote(self.response)}",
            f"algorithm={_token(self.algorithm)}",
        ]
        if self.cnonce is not None:
            parts.append(f"cnonce={quote(self.cnonce)}")
        if self.opaque is not None:
            parts.append(f"opaque={quote(self.opaque)}")
        if self.qop is not None:
            parts.append(f"qop={_token(self.qop)}")
        if self.nc_text is not None:
            parts.append(f"nc={_token(self.nc_text)}")
        return "Digest " + ", ".join(parts)


class Password(Value):
    """A secret in clear, good for every algorithm."""

    __slots__ = ("text",)
    __hidden__ = ("text",)
    text: str

    def __init__(self, text: str) -> None:
        assign(self, "text", text)

    def __str__(self) -> str:
        return "***"

    def ha1(self, username: str, realm: str, algorithm: str) -> str | None:
        """Its HA1 for any known algorithm."""
        return ha1(username, realm, self.text, algorithm)


class Ha1(Value):
    """Stored hashes by algorithm, such as {"MD5": hex, "SHA-256": hex}: good for those, and for
    the user and realm they were made of.
    """

    __slots__ = ("by_algorithm",)
    __hidden__ = ("by_algorithm",)
    by_algorithm: Mapping[str, str]

    def __init__(self, by_algorithm: Mapping[str, str]) -> None:
        hashes = {base_algorithm(name): value.lower() for name, value in by_algorithm.items()}
        assign(self, "by_algorithm", hashes)

    def __str__(self) -> str:
        return "***"

    def ha1(self, username: str, realm: str, algorithm: str) -> str | None:
        """Its hash for that algorithm, None where it holds none."""
        return self.by_algorithm.get(base_algorithm(algorithm))


Secret = Password | Ha1


def challenges(values: Iterable[str]) -> list[Challenge]:
    """Those of a response's challenge headers that are sound and that this module can answer."""
    found: list[Challenge] = []
    for value in values:
        try:
            challenge = Challenge.parse(value)
            base_algorithm(challenge.algorithm)
        except SipError:
            continue
        found.append(challenge)
    return found


def answer(
    challenges: Iterable[Challenge],
    *,
    method: str,
    uri: str,
    username: str,
    secret: Password | Ha1,
    body: bytes = b"",
    nc: int = 1,
    cnonce: str | None = None,
) -> Credentials:
    """The answer to the strongest challenge that the secret allows (the first of equals).

    `nc` counts the requests sent with that nonce, from 1. SipError where none can be answered.
    RFC 8760 section 2.4 takes the topmost challenge unless policy says otherwise; this is one.
    """
    best: tuple[int, Challenge, str] | None = None
    for challenge in challenges:
        try:
            name = base_algorithm(challenge.algorithm)
        except SipError:
            continue
        if challenge.qop and not {"auth", "auth-int"} & set(challenge.qop):
            continue
        strength = ALGORITHMS.index(name)
        if best is not None and strength <= best[0]:
            continue
        hashed = secret.ha1(username, challenge.realm, name)
        if hashed is not None:
            best = strength, challenge, hashed
    if best is None:
        raise SipError("none of the challenges can be answered with this secret")
    _, challenge, hashed = best
    session = challenge.algorithm.upper().endswith("-SESS")
    qop = None
    if challenge.qop:
        qop = "auth" if "auth" in challenge.qop else "auth-int"
    if cnonce is None:
        cnonce = os.urandom(12).hex()
    credentials = Credentials(
        username,
        challenge.realm,
        challenge.nonce,
        uri,
        "",
        challenge.algorithm,
        cnonce if qop or session else None,
        nc if qop else None,
        qop,
        challenge.opaque,
    )
    return credentials.replace(response=expected(credentials, method, hashed, body))


def verify(credentials: Credentials, *, method: str, ha1: str, body: bytes = b"") -> bool:
    """Whether the response is that of `ha1` (of the base algorithm), compared in constant time.

    That the nonce is one's own, is fresh, and its count grows, is for the server to see.
    """
    try:
        right = expected(credentials, method, ha1, body)
    except SipError:
        return False
    given = credentials.response.lower().encode("utf-8", "surrogateescape")
    import hmac

    return hmac.compare_digest(right.encode(), given)


def expected(credentials: Credentials, method: str, ha1: str, body: bytes = b"") -> str:
    """The right response for these credentials (RFC 7616 section 3.4.1); SipError for an unknown
    algorithm or qop, or where cnonce or nc is missing.
    """
    name = base_algorithm(credentials.algorithm)
    first = ha1.lower()
    if credentials.algorithm.upper().endswith("-SESS"):
        if credentials.cnonce is None:
            raise SipError("a -sess algorithm without cnonce")
        first = _hash(name, _bytes(f"{first}:{credentials.nonce}:{credentials.cnonce}"))
    second = f"{method}:{credentials.uri}"
    if credentials.qop == "auth-int":
        second += f":{_hash(name, body)}"
    elif credentials.qop not in (None, "auth"):
        raise SipError(f"a qop that is not known: {credentials.qop!r}")
    second = _hash(name, _bytes(second))
    if credentials.qop is None:
        return _hash(name, _bytes(f"{first}:{credentials.nonce}:{second}"))
    if credentials.cnonce is None or credentials.nc_text is None:
        raise SipError("a qop without cnonce or nc")
    middle = f"{credentials.nonce}:{credentials.nc_text}:{credentials.cnonce}:{credentials.qop}"
    return _hash(name, _bytes(f"{first}:{middle}:{second}"))


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise SipError("digest of what UTF-8 cannot express") from error


def _fields(text: str) -> dict[str, str]:
    scheme, *rest = text.split(None, 1) or [""]
    if scheme.lower() != "digest":
        raise ParseError(f"not the Digest scheme: {scheme[:40]!r}")
    fields: dict[str, str] = {}
    for part in split_outside("".join(rest), ","):
        name, equals, value = part.partition("=")
        if equals:
            value = value.strip()
            name = name.strip().lower()
            fields.setdefault(name, unquote(value) if value[:1] == '"' else value)
        elif part.strip():
            raise ParseError(f"a digest field without a value: {part.strip()[:60]!r}")
    return fields


def _need(fields: dict[str, str], name: str) -> str:
    value = fields.get(name)
    if value is None:
        raise ParseError(f"digest without {name}")
    return value


def _extended(text: str) -> str:
    """`UTF-8''J%C3%A4son` of RFC 8187, which RFC 7616 uses for the username."""
    charset, _, rest = text.partition("'")
    _, quote_mark, value = rest.partition("'")
    if charset.upper() != "UTF-8" or not quote_mark:
        raise ParseError(f"username* is not UTF-8: {text[:40]!r}")
    return unescape(value)


def _token(text: str) -> str:
    if not is_token(text):
        raise SipError(f"not a token: {text!r}")
    return text
