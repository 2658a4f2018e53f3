"""Session descriptions (RFC 8866), as far as calls need them; every other line is kept.

A description is its lines, in their order: printing gives back what was parsed. The properties
read the lines when asked, and pass over what they cannot read.
"""

from __future__ import annotations

from labtool.sip.errors import ParseError, SipError
from labtool.sip.grammar import is_digits
from labtool.sip.value import Value, assign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

Line = tuple[str, str]  # the type, one letter, and what follows "="

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")

# RFC 3551 section 6: payload types that need no rtpmap.
STATIC_PAYLOADS = {
    0: "PCMU/8000",
    3: "GSM/8000",
    4: "G723/8000",
    8: "PCMA/8000",
    9: "G722/8000",
    13: "CN/8000",
    15: "G728/8000",
    18: "G729/8000",
    26: "JPEG/90000",
    31: "H261/90000",
    34: "H263/90000",
}


class Candidate(Value):
    """An ICE candidate (RFC 8839 section 5.1): `type` is host, srflx, prflx or relay."""

    __slots__ = (
        "component",
        "extensions",
        "foundation",
        "host",
        "port",
        "priority",
        "related_host",
        "related_port",
        "transport",
        "type",
    )
    foundation: str
    component: int
    transport: str
    priority: int
    host: str
    port: int
    type: str
    related_host: str | None
    related_port: int | None
    extensions: tuple[tuple[str, str], ...]

    def __init__(
        self,
        foundation: str,
        component: int,
        transport: str,
        priority: int,
        host: str,
        port: int,
        type: str,
        related_host: str | None = None,
        related_port: int | None = None,
        extensions: tuple[tuple[str, str], ...] = (),
    ) -> None:
        assign(self, "foundation", foundation)
        assign(self, "component", component)
        assign(self, "transport", transport)
        assign(self, "priority", priority)
        assign(self, "host", host)
        assign(self, "port", port)
        assign(self, "type", type)
        assign(self, "related_host", related_host)
        assign(self, "related_port", related_port)
        assign(self, "extensions", extensions)

    @classmethod
    def parse(cls, text: str) -> Candidate:
        """The value of an `a=candidate:` line; ParseError otherwise."""
        words = text.split()
        numbers = [words[at] for at in (1, 3, 5)] if len(words) >= 8 else []
        if not numbers or words[6] != "typ" or len(words) % 2:
            raise ParseError(f"not an ICE candidate: {text[:80]!r}")
        if not all(is_digits(number) and len(number) <= 10 for number in numbers):
            raise ParseError(f"not an ICE candidate: {text[:80]!r}")
        related_host: str | None = None
        related_port: int | None = None
        extensions: list[tuple[str, str]] = []
        for name, value in zip(words[8::2], words[9::2], strict=True):
            if name == "raddr" and related_host is None:
                related_host = value
            elif name == "rport" and related_port is None and _is_port(value):
                related_port = int(value)
            else:
                extensions.append((name, value))
        return cls(
            words[0],
            int(words[1]),
            words[2],
            int(words[3]),
            words[4],
            int(words[5]),
            words[7],
            related_host,
            related_port,
            tuple(extensions),
        )

    def __str__(self) -> str:
        text = (
            f"{self.foundation} {self.component} {self.transport} {self.priority} "
            f"{self.host} {self.port} typ {self.type}"
        )
        if self.related_host is not None:
            text += f" raddr {self.related_host}"
        if self.related_port is not None:
            text += f" rport {self.related_port}"
        return text + "".join(f" {name} {value}" for name, value in self.extensions)


class _Lines(Value):
    """What a session and a media section have in common."""

    __slots__ = ("lines",)
    lines: tuple[Line, ...]

    def first(self, kind: str) -> str | None:
        """The value of the first line of that type."""
        for letter, value in self.lines:
            if letter == kind:
                return value
        return None

    def attributes(self, name: str) -> list[str]:
        """The values of every `a=name:value`; "" for an `a=name`."""
        found: list[str] = []
        for letter, text in self.lines:
            if letter == "a":
                key, _, value = text.partition(":")
                if key == name:
                    found.append(value)
        return found

    def attribute(self, name: str) -> str | None:
        """The value of the first `a=name:value`, "" for `a=name`, None for neither."""
        values = self.attributes(name)
        return values[0] if values else None

    @property
    def connection(self) -> str | None:
        """The address of its own `c=` line."""
        return _address(self.first("c"))

    @property
    def ice_ufrag(self) -> str | None:
        return self.attribute("ice-ufrag")

    @property
    def ice_pwd(self) -> str | None:
        return self.attribute("ice-pwd")

    def _direction(self) -> str | None:
        for letter, value in self.lines:
            if letter == "a" and value in DIRECTIONS:
                return value
        return None


class Media(_Lines):
    """One media section: its `m=` line taken apart, and the lines below it.

    `count` is the number of ports of the `m=` line (`49170/2`), None where it is not written.
    `inherited` are the session's address and direction, which hold where it has none of its own.
    """

    __slots__ = ("count", "formats", "inherited", "kind", "lines", "port", "proto")
    kind: str
    port: int
    proto: str
    formats: tuple[str, ...]
    count: int | None
    inherited: tuple[str | None, str | None]

    def __init__(
        self,
        kind: str,
        port: int,
        proto: str,
        formats: tuple[str, ...],
        lines: tuple[Line, ...] = (),
        count: int | None = None,
        inherited: tuple[str | None, str | None] = (None, None),
    ) -> None:
        assign(self, "kind", kind)
        assign(self, "port", port)
        assign(self, "proto", proto)
        assign(self, "formats", formats)
        assign(self, "lines", lines)
        assign(self, "count", count)
        assign(self, "inherited", inherited)

    def __str__(self) -> str:
        port = f"{self.port}" if self.count is None else f"{self.port}/{self.count}"
        head = " ".join((self.kind, port, self.proto, *self.formats))
        return _print((("m", head), *self.lines))

    @property
    def connection(self) -> str | None:
        """The address that holds for it: its own, or the session's."""
        return _address(self.first("c")) or self.inherited[0]

    @property
    def direction(self) -> str:
        """sendrecv, sendonly, recvonly or inactive: its own, or the session's, or sendrecv."""
        return self._direction() or self.inherited[1] or "sendrecv"

    @property
    def rtpmap(self) -> dict[int, str]:
        """`PCMU/8000` by payload type, the static ones of RFC 3551 included, in its order."""
        written: dict[str, str] = {}
        for value in self.attributes("rtpmap"):
            number, _, encoding = value.strip().partition(" ")
            if encoding:
                written.setdefault(number, encoding.strip())
        found: dict[int, str] = {}
        for number in self.formats:
            if not is_digits(number) or len(number) > 3:
                continue
            name = written.get(number) or STATIC_PAYLOADS.get(int(number))
            if name is not None:
                found[int(number)] = name
        return found

    @property
    def fmtp(self) -> dict[int, str]:
        """The parameters by payload type."""
        found: dict[int, str] = {}
        for value in self.attributes("fmtp"):
            number, _, params = value.strip().partition(" ")
            if is_digits(number) and len(number) <= 3:
                found.setdefault(int(number), params.strip())
        return found

    @property
    def rtcp_port(self) -> int:
        """Where RTCP goes (RFC 3605, RFC 5761): with `a=rtcp-mux` the port of RTP itself."""
        if self.attribute("rtcp-mux") is not None:
            return self.port
        words = (self.attribute("rtcp") or "").split()
        return int(words[0]) if words and _is_port(words[0]) else self.port + 1

    @property
    def ptime(self) -> int | None:
        """The packet time in milliseconds."""
        value = self.attribute("ptime") or ""
        return int(value) if is_digits(value) and len(value) < 6 else None

    @property
    def candidates(self) -> list[Candidate]:
        """Its ICE candidates, those that can be read."""
        found: list[Candidate] = []
        for value in self.attributes("candidate"):
            try:
                found.append(Candidate.parse(value))
            except ParseError:
                continue
        return found


class SessionDescription(_Lines):
    """A session: the lines before the first `m=`, and the media."""

    __slots__ = ("lines", "media")
    media: tuple[Media, ...]

    def __init__(self, lines: tuple[Line, ...], media: tuple[Media, ...] = ()) -> None:
        assign(self, "lines", lines)
        assign(self, "media", media)

    @classmethod
    def parse(cls, body: bytes | str) -> SessionDescription:
        """ParseError where it does not begin with `v=`, a line has no type, or an `m=` is broken.

        Lines may end in CRLF or LF; empty ones at the end are passed over.
        """
        text = body.decode("utf-8", "surrogateescape") if isinstance(body, bytes) else body
        text = text.replace("\r\n", "\n").rstrip("\n")
        if "\r" in text or "\0" in text:
            raise ParseError("a lone CR or a NUL in SDP")
        sections: list[list[Line]] = [[]]
        for row in text.split("\n"):
            letter, equals, value = row.partition("=")
            if not equals or len(letter) != 1 or not letter.isalpha():
                raise ParseError(f"not a line of SDP: {row[:80]!r}")
            if letter == "m":
                sections.append([])
            sections[-1].append((letter, value))
        session = sections[0]
        if not session or session[0][0] != "v":
            raise ParseError("SDP that does not begin with v=")
        own = cls(tuple(session))
        inherited = (own.connection, own._direction())
        return cls(own.lines, tuple(_media(lines, inherited) for lines in sections[1:]))

    def __str__(self) -> str:
        return _print(self.lines) + "".join(map(str, self.media))

    def to_bytes(self) -> bytes:
        """The body of a message of type application/sdp."""
        try:
            return str(self).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise SipError("the description holds what UTF-8 cannot express") from error

    @property
    def origin(self) -> str | None:
        """The whole `o=` line."""
        return self.first("o")

    @property
    def version(self) -> int | None:
        """The number that grows with each offer or answer that differs (RFC 3264 section 8)."""
        words = (self.first("o") or "").split()
        return int(words[2]) if len(words) > 2 and _is_number(words[2]) else None

    @property
    def direction(self) -> str:
        return self._direction() or "sendrecv"


def session(
    host: str,
    media: Sequence[Media],
    *,
    session_id: int,
    version: int = 1,
    user: str = "-",
    name: str = "-",
) -> SessionDescription:
    """A description to offer or answer with: `host` is the address of its origin and its media."""
    family = "IP6" if ":" in host else "IP4"
    lines = (
        ("v", "0"),
        ("o", f"{user} {session_id} {version} IN {family} {host}"),
        ("s", name),
        ("c", f"IN {family} {host}"),
        ("t", "0 0"),
    )
    placed = tuple(section.replace(inherited=(host, None)) for section in media)
    return SessionDescription(lines, placed)


def audio(
    port: int, rtpmap: dict[int, str], *, direction: str = "sendrecv", ptime: int | None = 20
) -> Media:
    """An RTP/AVP audio section with these payload types, `ptime` in milliseconds."""
    lines = [("a", f"rtpmap:{number} {name}") for number, name in rtpmap.items()]
    lines += [
        ("a", f"fmtp:{number} 0-16")
        for number, name in rtpmap.items()
        if name.lower().startswith("telephone-event/")
    ]
    if ptime is not None:
        lines.append(("a", f"ptime:{ptime}"))
    lines.append(("a", direction))
    return Media("audio", port, "RTP/AVP", tuple(map(str, rtpmap)), tuple(lines))


def answered_direction(offered: str, wanted: str = "sendrecv") -> str:
    """The direction to answer with, at most what is wanted (RFC 3264 section 6.1)."""
    sends = offered in ("sendrecv", "recvonly") and wanted in ("sendrecv", "sendonly")
    receives = offered in ("sendrecv", "sendonly") and wanted in ("sendrecv", "recvonly")
    if sends and receives:
        return "sendrecv"
    return "sendonly" if sends else "recvonly" if receives else "inactive"


def common_payloads(offer: Media, encodings: Sequence[str]) -> dict[int, str]:
    """The offer's payload types whose encoding one also has, in the offer's order.

    Encodings compare by name regardless of case, by clock rate and by channels (1 where unsaid).
    """
    wanted = {_encoding(name) for name in encodings}
    return {number: name for number, name in offer.rtpmap.items() if _encoding(name) in wanted}


def _encoding(text: str) -> str:
    text = text.strip().lower()
    return text[:-2] if text.count("/") == 2 and text.endswith("/1") else text


def _media(lines: list[Line], inherited: tuple[str | None, str | None]) -> Media:
    words = lines[0][1].split()
    if len(words) < 4:
        raise ParseError(f"not an m= line: {lines[0][1][:80]!r}")
    port, slash, count = words[1].partition("/")
    if not _is_port(port) or (slash and not _is_port(count)):
        raise ParseError(f"not a port of an m= line: {words[1][:40]!r}")
    return Media(
        words[0],
        int(port),
        words[2],
        tuple(words[3:]),
        tuple(lines[1:]),
        int(count) if slash else None,
        inherited,
    )


def _address(value: str | None) -> str | None:
    """`IN IP4 192.0.2.1/127` as its address."""
    words = (value or "").split()
    return words[2].partition("/")[0] if len(words) >= 3 else None


def _is_port(text: str) -> bool:
    return is_digits(text) and len(text) <= 5 and int(text) <= 65535


def _print(lines: tuple[Line, ...]) -> str:
    for letter, value in lines:
        if "\r" in value or "\n" in value or "\0" in value:
            raise SipError(f"CR, LF or NUL in an SDP line: {letter}={value[:80]!r}")
    return "".join(f"{letter}={value}\r\n" for letter, value in lines)


def _is_number(text: str) -> bool:
    return is_digits(text) and len(text) <= 20
