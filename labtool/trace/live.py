"""A capture that is still going on: its records as they arrive, and the ladder as it grows."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labtool.sip.errors import ParseError
from labtool.sip.flow import Address
from labtool.sip.uri import SipUri
from labtool.trace import layers, turn
from labtool.trace.announced import Announcement, announcements
from labtool.trace.errors import CaptureError
from labtool.trace.flow import Flow
from labtool.trace.ladder import Arrow, Kind, Ladder, Participant
from labtool.trace.message import Message
from labtool.trace.messages import Kept
from labtool.trace.participants import Name, Place, Places, names
from labtool.trace.pcap import MAX_RECORD, PCAP_MAGIC
from labtool.trace.phrase import phrase, said
from labtool.trace.reading import Capture, Reader
from labtool.trace.story import arrow_of
from labtool.trace.transactions import SAME_PACKET_NS

_FILE_HEADER, _RECORD_HEADER = 24, 16
_RTP_HEADER = 12
_EVENT = 4  # the payload of a telephone event (RFC 4733): it is no voice
_PROVES = 5  # RTP packets; fewer may be anything
_RECENT = 64  # messages that are remembered, to know a copy
_LINGER_S = 1.0  # what belongs to the end of a call, and comes behind it


@dataclass(frozen=True)
class Frame:
    """One captured frame, and the whole record that a file holds of it."""

    number: int
    time_ns: int
    link: int
    data: bytes
    original: int  #: bytes on the wire
    order: str  #: of the file: "<" or ">"
    stamp: bytes  #: seconds and fraction as they stand in the file

    def record(self, length: int | None = None) -> bytes:
        """As it stands in the file; with its first `length` bytes only."""
        data = self.data[:length]
        return self.stamp + struct.pack(self.order + "II", len(data), self.original) + data


class Splitter:
    """The bytes of a pcap file in, as they come; whole frames out."""

    def __init__(self) -> None:
        self.header = b""  #: of the file, once it has come
        self._rest = b""
        self._number = 0

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """Raises CaptureError for what is no pcap."""
        self._rest += chunk
        if not self.header:
            if len(self._rest) < _FILE_HEADER:
                return
            self.header, self._rest = self._rest[:_FILE_HEADER], self._rest[_FILE_HEADER:]
            if self.header[:4] not in PCAP_MAGIC:
                raise CaptureError("What tcpdump sends is no capture.")
        order, unit = PCAP_MAGIC[self.header[:4]]
        link = struct.unpack_from(order + "I", self.header, 20)[0] & 0x0FFFFFFF
        at = 0
        while len(self._rest) - at >= _RECORD_HEADER:
            seconds, fraction, length, original = struct.unpack_from(order + "4I", self._rest, at)
            if length > MAX_RECORD:
                raise CaptureError("The capture makes no sense any more: bytes of it were lost.")
            end = at + _RECORD_HEADER + length
            if end > len(self._rest):
                break
            self._number += 1
            time_ns = seconds * 1_000_000_000 + fraction * unit
            data = self._rest[at + _RECORD_HEADER : end]
            stamp = self._rest[at : at + 8]
            yield Frame(self._number, time_ns, link, data, original, order, stamp)
            at = end
        self._rest = self._rest[at:]


def without_voice(frame: Frame) -> int:
    """How many bytes of a frame to keep, so that nobody's voice is in it: all, or up to the end of
    the RTP header. Telephone events and RTCP are kept whole.
    """
    found = layers.Unwrapper().unwrap(frame.link, frame.data, 0, len(frame.data))
    if found is None or found.protocol != layers.UDP or found.buffer is not frame.data:
        return len(frame.data)
    start = found.start + 8
    start += turn.payload_at(frame.data[start : found.end])
    rtp = frame.data[start : found.end]
    if len(rtp) < _RTP_HEADER or rtp[0] & 0xC0 != 0x80 or 192 <= rtp[1] <= 223:  # RFC 5761
        return len(frame.data)
    size = _RTP_HEADER + 4 * (rtp[0] & 0x0F)
    if rtp[0] & 0x10 and len(rtp) >= size + 4:
        size += 4 + 4 * struct.unpack_from(">H", rtp, size + 2)[0]
    return len(frame.data) if len(rtp) <= size + _EVENT else start + size


class Live:
    """What is known of a capture so far. `user` leaves other people's messages out of what is shown."""

    def __init__(
        self,
        user: str | None = None,
        *,
        language: str = "en",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._user, self._language, self._now = user, language, now
        self._capture = Capture()
        self._reader = Reader(self._capture, "live")
        self._mine: set[str] = set()  #: Call-IDs of `user`
        self._invites: dict[str, int] = {}  #: hop of the first INVITE, by Call-ID
        self._ended = 0.0
        self._places = Places(Kept())
        self._names: dict[Place, Name] = {}
        self._hops: set[int] = set()
        self._columns: list[Place] = []
        self._told: set[int] = set()
        self._said: list[Announcement] = []
        self._recent: dict[tuple[int, int, bytes], int] = {}
        self._start_ns = 0
        self._shown: list[Message] = []

    def take(self, frame: Frame) -> list[Message]:
        """The messages that a frame completed, of `user` where one was named."""
        before = len(self._capture.messages)
        self._reader.frame(
            frame.number,
            frame.time_ns,
            frame.link,
            frame.data,
            cut=len(frame.data) < frame.original,
        )
        found = [
            message
            for message in self._capture.messages[before:]
            if not self._is_copy(message) and self._is_mine(message)
        ]
        for message in found:
            self._follow(message)
        return found

    def call_has_ended(self) -> bool:
        """Whether a call ended, and what comes behind it has had the time to."""
        return bool(self._ended) and self._now() - self._ended > _LINGER_S

    def ladder(self, message: Message) -> Ladder:
        """The participants so far, with the one arrow of `message`."""
        self._shown.append(message)
        self._start_ns = self._start_ns or message.time_ns
        if message.flow.hop not in self._hops or len(self._shown) < 50:
            # Who somebody is shows within a few messages.
            self._hops.add(message.flow.hop)
            self._places = Places(Kept(self._shown))
            self._names = names(self._shown, self._places)
        self._said += announcements([message])
        for one in self._said:
            for address in (one.address, Address(one.owner.host, one.media.port)):
                self._places.adopt(address, one.owner)
        for place in self._places.ends(message.flow):
            if place not in self._columns:
                self._columns.append(place)
        arrow = arrow_of(message, self._column, self._start_ns, self._language)
        return Ladder(self._participants(), (arrow,))

    def begun(self) -> Iterator[Ladder]:
        """RTP streams and TLS connections that have begun since the last time, between those who
        are in the ladder.
        """
        for stream in self._capture.streams:
            if id(stream) in self._told or len(stream) < _PROVES:
                continue
            self._told.add(id(stream))
            if stream.is_plausible():
                begin = (stream.times[0], stream.frames[0])
                yield from self._beginning(stream.flow, *begin, "arrow_rtp_begins", "media")
        for flow, connection in self._reader.tcp.values():
            if connection.kind == "tls" and flow.hop not in self._told:
                self._told.add(flow.hop)
                frame, time_ns = connection.began
                yield from self._beginning(flow, time_ns, frame, "arrow_tls_begins", "encrypted")

    def _beginning(
        self, flow: Flow, time_ns: int, frame: int, label: str, kind: Kind
    ) -> Iterator[Ladder]:
        ends = self._places.ends(flow)
        if kind == "encrypted":
            self._columns += [place for place in ends if place not in self._columns]
        elif any(place not in self._columns for place in ends):
            return
        self._start_ns = self._start_ns or time_ns
        source, target = map(self._columns.index, ends)
        seconds = (time_ns - self._start_ns) / 1e9
        both = kind == "encrypted"
        words = said(phrase(label), self._language)
        arrow = Arrow(seconds, source, target, words, kind, frame, both=both)
        yield Ladder(self._participants(), (arrow,))

    def _participants(self) -> tuple[Participant, ...]:
        return tuple(
            Participant(name, str(place) if name != str(place) else "")
            for place in self._columns
            for name in (said(self._names.get(place, place), self._language),)
        )

    def _column(self, _: Flow, address: Address) -> int:
        return self._columns.index(self._places.of(address))

    def _is_copy(self, message: Message) -> bool:
        """Whether it is a packet that was captured twice, on a bridge and behind it."""
        key = (message.flow.hop, message.flow.side, message.data)
        before = self._recent.pop(key, None)
        self._recent[key] = message.time_ns
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        return before is not None and message.time_ns - before < SAME_PACKET_NS

    def _is_mine(self, message: Message) -> bool:
        if self._user is None or message.call_id in self._mine:
            return True
        try:
            parsed = message.parsed()
            uris = (parsed.from_.uri, parsed.to.uri)
        except ParseError:
            return False
        if any(isinstance(uri, SipUri) and uri.user == self._user for uri in uris):
            self._mine.add(message.call_id)
            return True
        return False

    def _follow(self, message: Message) -> None:
        """A call ends with its BYE, or with the refusal that its caller gets."""
        if message.method == "INVITE" and not message.to_tag and message.is_request:
            self._invites.setdefault(message.call_id, message.flow.hop)
        over = message.method == "BYE" and (
            message.status >= 200 and message.status not in (401, 407)
        )
        refused = (
            message.method == "INVITE"
            and message.status >= 300
            and message.status not in (401, 407)
            and self._invites.get(message.call_id) == message.flow.hop
            # Of the call itself, not of a re-INVITE: nothing was answered yet.
            and not self._answered(message.call_id)
        )
        if (over or refused) and not self._ended:
            self._ended = self._now()

    def _answered(self, call_id: str) -> bool:
        return any(
            m.call_id == call_id and m.method == "INVITE" and 200 <= m.status < 300
            for m in self._capture.messages
        )
