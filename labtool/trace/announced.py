"""What session descriptions announced: which media goes where, with which codecs, since when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from labtool.sip.errors import ParseError
from labtool.sip.flow import Address
from labtool.sip.message import parse
from labtool.sip.sdp import Media, SessionDescription
from labtool.trace.hosts import written
from labtool.trace.message import Message
from labtool.trace.stream import STATIC


@dataclass(frozen=True, slots=True)
class Announcement:
    """One media section of one message: "send it to `address`"."""

    message: Message
    media: Media
    address: Address

    @property
    def owner(self) -> Address:
        """The SIP address that said so, on this hop."""
        return self.message.flow.source


def announcements(messages: Iterable[Message]) -> list[Announcement]:
    """Every media section with a usable address, in order of time; retransmissions once."""
    found = []
    known: dict[Media, Media] = {}  # a proxy passes on what it gets
    for message in messages:
        if message.repeats is not None or not message.has_sdp:
            continue
        description = sdp(message)
        for one in description.media if description else ():
            media = known.setdefault(one, one)
            address = destination(media)
            if address is not None:
                found.append(Announcement(message, media, address))
    return found


def destination(media: Media) -> Address | None:
    """Where a media section wants its packets; None where it wants none."""
    host = media.connection
    return Address(written(host), media.port) if host and media.port else None


def candidates(media: Media) -> list[Address]:
    """The addresses of its ICE candidates for RTP (RFC 8839)."""
    return [Address(written(c.host), c.port) for c in media.candidates if c.component == 1]


def sdp(message: Message) -> SessionDescription | None:
    """The session description that a message carries, alone or as one of several parts."""
    try:
        body = _body(message.data)
        at = 0 if body[:2] == b"v=" else body.find(b"\nv=0") + 1
        if body[at : at + 2] != b"v=":
            return None
        if at:
            end = body.find(b"\r\n--", at)  # the boundary after the part (RFC 2046)
            body = body[at : end + 2 if end > 0 else len(body)]
        return _description(body)
    except ParseError:
        return None


def _body(data: bytes) -> bytes:
    """Of a message. Raises ParseError where its headers have to be read to know it, and cannot be."""
    head, _, body = data.partition(b"\r\n\r\n")
    # The usual case by hand: its length comes last, and all that follows the headers is the body.
    length = b"\r\nContent-Length: %d" % len(body)
    if head.endswith(length) and head.find(length[:17]) == len(head) - len(length):
        return body
    return parse(data).body


#: A proxy passes on what it gets, and more than one question is asked of a description.
_description = lru_cache(256)(SessionDescription.parse)


class Codecs:
    """Names a payload type by the description that was in force when it was sent."""

    def __init__(self, found: Mapping[Address, Sequence[Announcement]]) -> None:
        """By the addresses that media may come to, in order of time."""
        self._found = found
        self._maps: dict[int, dict[int, str]] = {}

    def meanings(self, destination: Address) -> set[tuple[tuple[int, str], ...]]:
        """The different payload maps that this address announced in turn."""
        return {tuple(sorted(self._map(one).items())) for one in self._found.get(destination, ())}

    def name(self, ends: Iterable[Address], payload: int, time_ns: int) -> str:
        """`opus/48000/2`; "" where nothing says what the payload type means.

        `ends` is the destination and then the source. What is sent to an address is encoded as its
        description says; where the destination never announced itself (its NAT did, or the capture
        lacks it), the sender's description is what the answer was made from.
        """
        for address in ends:
            rows = self._found.get(address, ())
            now = bisect_right(rows, time_ns, key=lambda one: one.message.time_ns)
            for index in (
                *range(now - 1, max(now - 9, -1), -1),
                *range(now, min(now + 4, len(rows))),
            ):
                if payload in (names := self._map(rows[index])):
                    return names[payload]
        name, rate = STATIC.get(payload, ("", 0))
        return f"{name}/{rate}" if name else ""

    def _map(self, one: Announcement) -> dict[int, str]:
        found = self._maps.get(id(one.media))
        if found is None:
            found = self._maps[id(one.media)] = one.media.rtpmap
        return found


def clock(name: str) -> int:
    """Hz of an rtpmap's encoding, 0 where it has none."""
    rate = name.split("/")[1] if "/" in name else ""
    return int(rate) if rate.isascii() and rate.isdecimal() and len(rate) < 8 else 0
