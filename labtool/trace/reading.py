"""Captures read: the SIP messages, RTP streams, RTCP, STUN, ICMP and TCP in them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from labtool.sip.flow import Address, Packet
from labtool.trace import layers, rtcp, stun, tcp, turn
from labtool.trace.flow import Flow, address, endpoints
from labtool.trace.glance import Glance, glance, is_sip
from labtool.trace.layers import Buffer, Unwrapper
from labtool.trace.message import Message, Source
from labtool.trace.messages import Columns, Kept
from labtool.trace.pcap import CaptureFile
from labtool.trace.phrase import Phrase, phrase
from labtool.trace.rtcp import Report
from labtool.trace.stream import RtpStream
from labtool.trace.stun import Stun

if TYPE_CHECKING:
    from labtool.trace.tls import KeyLog, Session

#: Messages of one capture that are kept in memory as objects, about 600 bytes each.
KEPT = 300_000
#: Bytes of unfinished TCP that are held over all connections; then they begin anew.
_MAX_HELD = 64 << 20
#: Ethernet's type and the first byte of IPv4; fragment, TTL and protocol; addresses and ports; UDP's
#: length; and RTP's flags, type, sequence number, timestamp and SSRC (RFC 3550 section 5.1).
_COMMON = struct.Struct(">12x3s5xHBB2x12sH2xBBHII")
_ETHERNET_IPV4 = b"\x08\x00\x45"
_MAX_SSRCS = 10_000  # of a flow
_MAX_CONNECTIONS = 200_000  # each direction of them; about 1,200 bytes
_MAX_STUN = 100_000  # kept; a capture of a STUN server's whole day says nothing more after that


@dataclass(frozen=True, slots=True)
class IcmpError:
    """An ICMP error and the packet that it quotes. `port` says "port unreachable"."""

    frame: int
    time_ns: int
    sender: str
    type: int
    code: int
    protocol: int
    source: Address  #: of the packet that could not be delivered
    destination: Address
    view: int = 0

    @property
    def is_port_unreachable(self) -> bool:
        """3/3 of ICMP, 1/4 of ICMPv6."""
        return (self.type, self.code) in ((3, 3), (1, 4))


@dataclass
class Capture:
    """What the files held, in order of time."""

    views: list[str] = field(default_factory=list)  #: names of the files
    frames: list[int] = field(default_factory=list)  #: frames in each view
    first_ns: int = 0
    last_ns: int = 0
    messages: Kept | Columns = field(default_factory=Kept)
    streams: list[RtpStream] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    stun: list[Stun] = field(default_factory=list)
    #: TURN's, by relayed address
    allocations: dict[Address, turn.Allocation] = field(default_factory=dict)
    icmp: list[IcmpError] = field(default_factory=list)
    connections: dict[Flow, tcp.Stream] = field(default_factory=dict)
    damage: list[Phrase] = field(default_factory=list)  #: what could not be read
    cut: int = 0  #: frames that the snap length cut
    files: list[CaptureFile] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)  #: frames that look like SIP and are not readable

    def view_name(self, view: int) -> str:
        """What a file is called beside others: short where that tells them apart; "" for the only
        one.
        """
        if len(self.views) < 2:
            return ""
        name = Path(self.views[view]).name
        alone = sum(Path(other).name == name for other in self.views) == 1
        return name if alone else self.views[view]


def read(paths: Sequence[str | Path], key_log: str | Path | None = None) -> Capture:
    """Read captures ("-" is standard input), TLS too where `key_log` has its secrets.

    Raises CaptureError for what is none.
    """
    keys = None
    if key_log is not None:
        from labtool.trace.tls import KeyLog  # OpenSSL is 4 MiB that others need not spend

        keys = KeyLog.read(key_log)
    capture = Capture()
    # Several views are compared message by message; those of one may be put away.
    keep = KEPT if len(paths) == 1 else None
    for path in paths:
        Reader(capture, str(path), keys, keep=keep).file(path)
    return _finished(capture)


def read_packets(packets: Iterable[Packet], name: str = "tap") -> Capture:
    """The same from packets that a tap saw, numbered from 1."""
    capture = Capture()
    reader = Reader(capture, name)
    for number, packet in enumerate(sorted(packets, key=lambda packet: packet.time), 1):
        reader.tapped(number, packet)
    reader.end()
    return _finished(capture)


def _finished(capture: Capture) -> Capture:
    capture.messages.in_order()
    capture.streams = [stream for stream in capture.streams if len(stream)]
    if any(file.is_disordered for file in capture.files):
        for stream in capture.streams:
            stream.in_order()
    return capture


def _whole(data: bytes) -> Glance | None:
    """What files a message that the snap length cut; None where that is among what was cut, for then
    it cannot be told from others.
    """
    if b"\r\n\r\n" in data:
        return glance(data)
    found = glance(data[: data.rfind(b"\r\n") + 2] + b"\r\n")
    return found if found and found.call_id and found.branch and found.method else None


class Reader:
    """Reads one view into a Capture."""

    def __init__(
        self,
        capture: Capture,
        name: str,
        keys: KeyLog | None = None,
        *,
        keep: int | None = None,
    ) -> None:
        """`keep` is how many messages to have in memory; beyond, they are put into columns."""
        self.capture = capture
        self.keep = keep
        self.keys = keys
        self.sessions: dict[int, Session] = {}  #: of TLS, by hop
        self.view = len(capture.views)
        capture.views.append(name)
        capture.frames.append(0)
        self.udp: dict[bytes, tuple[Flow, dict[int, RtpStream]]] = {}
        self.tcp: dict[bytes, tuple[Flow, tcp.Stream]] = {}
        self.flows: dict[tuple[str, Address, Address], Flow] = {}
        self.turn = turn.Turn()
        self.within: dict[Flow, dict[int, RtpStream]] = {}  # streams that TURN carried
        self.held = 0  #: bytes, by all of `tcp`
        self.unwrapper = Unwrapper()
        self.source: CaptureFile | None = None
        self.cut = 0  #: the last frame that the snap length cut
        self.snap = 0  #: bytes that were left of the longest such frame
        self.cut_sip = 0  #: frames with SIP that it cut
        self.unreadable = 0  #: messages of this view that cannot be read

    def file(self, path: str | Path) -> None:
        """Read a capture file."""
        capture = self.capture
        source = self.source = CaptureFile(path)
        capture.views[self.view] = source.name
        capture.files.append(source)
        data = source.data
        udp, unpack = self.udp, _COMMON.unpack_from
        frame = 0
        for frame, time_ns, link, start, length, original in source.records():
            if time_ns < capture.first_ns or not capture.first_ns:
                capture.first_ns = time_ns
            if time_ns > capture.last_ns:
                capture.last_ns = time_ns
            if length < original:
                capture.cut += 1
                self.cut, self.snap = frame, max(self.snap, length)
            end = start + length
            # The common case by hand: Ethernet, IPv4 without options or fragments, UDP.
            if link == 1 and length >= 54:
                kind, part, ttl, protocol, key, size, first, second, sequence, stamp, ssrc = unpack(
                    data, start
                )
                if kind == _ETHERNET_IPV4 and protocol == 17 and not part & 0x3FFF:
                    entry = udp.get(key) or self._udp_flow(key, ttl)
                    if first & 0xC0 != 0x80 or 192 <= second <= 223 or size < 20:
                        stop = min(start + 34 + size, end)
                        self._datagram(frame, time_ns, entry, data, start + 42, stop)
                        continue
                    stream = entry[1].get(ssrc)
                    if stream is None:
                        stream = self._stream(entry, ssrc)
                    stream.frames.append(frame)
                    stream.times.append(time_ns)
                    stream.sequences.append(sequence)
                    stream.stamps.append(stamp)
                    stream.payloads.append(second)
                    if first == 0x80 and min(size, length - 34) == 24:
                        stream.events.append((len(stream.times) - 1, data[start + 54]))
                    continue
            found = self.unwrapper.unwrap(link, data, start, end)
            if found is not None:
                self._payload(frame, time_ns, found)
        capture.frames[self.view] = frame
        source.forget()
        capture.damage += [phrase("damage_in", file=source.name, what=one) for one in source.damage]
        for link in sorted(self.unwrapper.unknown_links):
            unknown = phrase("damage_link", link=link)
            capture.damage.append(phrase("damage_in", file=source.name, what=unknown))
        self.end()
        self._missing(source.name)

    def _missing(self, name: str) -> None:
        """Say what SIP may have lost on its way into the file."""
        found = []
        if self.cut_sip:
            found.append(phrase("doubt_cut", count=self.cut_sip, length=self.snap))
        if self.unreadable:
            frames = self.capture.bad[-self.unreadable :]
            listed = ", ".join(map(str, frames[:8])) + (", …" if len(frames) > 8 else "")
            found.append(phrase("damage_sip", count=self.unreadable, frames=listed))
        gaps = [stream for _, stream in self.tcp.values() if stream.lost and stream.kind == "sip"]
        if gaps:
            times, size = sum(one.lost for one in gaps), sum(one.missing for one in gaps)
            found.append(phrase("damage_segments", times=times, size=size))
        if pieces := self.unwrapper.incomplete:
            found.append(phrase("damage_fragments", count=pieces))
        self.capture.damage += [phrase("damage_in", file=name, what=what) for what in found]

    def frame(self, number: int, time_ns: int, link: int, data: bytes, *, cut: bool) -> None:
        """Read one frame of a capture that is still going on; `cut` by the snap length."""
        capture = self.capture
        capture.frames[self.view] = number
        capture.first_ns = min(capture.first_ns or time_ns, time_ns)
        capture.last_ns = max(capture.last_ns, time_ns)
        capture.cut += cut
        found = self.unwrapper.unwrap(link, data, 0, len(data))
        if found is not None:
            self._payload(number, time_ns, found)

    def tapped(self, frame: int, packet: Packet) -> None:
        """Read one packet of a tap. A stream's bytes are whole and in order there."""
        capture = self.capture
        capture.frames[self.view] = frame
        time_ns = round(packet.time * 1e6) * 1000
        capture.first_ns = min(capture.first_ns or time_ns, time_ns)
        capture.last_ns = max(capture.last_ns, time_ns)
        source, target, data = packet.source, packet.destination, packet.data
        key = f"{packet.transport} {source} {target}".encode()
        if packet.transport == "udp":
            entry = self.udp.get(key)
            if entry is None:
                entry = self.udp[key] = (self._flow("udp", source, target), {})
            self._datagram(frame, time_ns, entry, data, 0, len(data))
            return
        found = self.tcp.get(key)
        if found is None:
            found = self.tcp[key] = (self._flow(packet.transport, source, target), tcp.Stream())
        flow, stream = found
        for _, _, message in stream.feed(frame, time_ns, stream.size & 0xFFFFFFFF, data):
            self._framed(frame, time_ns, flow, stream, message)

    def end(self) -> None:
        """Give what still waits for bytes that never came."""
        self.capture.allocations |= self.turn.allocations
        for flow, stream in self.tcp.values():
            for frame, time_ns, message in stream.flush():
                self._framed(frame, time_ns, flow, stream, message)
            if stream.kind == "tls":
                flow.transport = "tls"
            self.capture.connections[flow] = stream

    def _flow(self, transport: str, source: Address, destination: Address) -> Flow:
        flow = self.flows[transport, source, destination] = Flow(
            transport, source, destination, self.view
        )
        back = self.flows.get((transport, destination, source))
        if back is not None and back is not flow:
            flow.join(back)
        return flow

    def _udp_flow(self, key: bytes, ttl: int) -> tuple[Flow, dict[int, RtpStream]]:
        entry = self.udp[key] = (self._flow("udp", *endpoints(key)), {})
        entry[0].ttl = ttl
        return entry

    def _payload(self, frame: int, time_ns: int, found: layers.Payload) -> None:
        protocol, source, destination, buffer, start, end, ttl = found
        if protocol == layers.UDP and start + 8 <= end:
            key = source + destination + buffer[start : start + 4]
            size = buffer[start + 4] << 8 | buffer[start + 5]
            entry = self.udp.get(key) or self._udp_flow(key, ttl)
            stop = start + size if size >= 8 else end  # 0: a jumbogram (RFC 2675)
            self._datagram(frame, time_ns, entry, buffer, start + 8, min(stop, end))
        elif protocol == layers.TCP and start + 20 <= end:
            key = source + destination + buffer[start : start + 4]
            self._segment(frame, time_ns, key, found)
        elif protocol in (layers.ICMP, layers.ICMPV6) and start + 8 <= end:
            self._icmp(frame, time_ns, found)

    def _datagram(
        self,
        frame: int,
        time_ns: int,
        entry: tuple[Flow, dict[int, RtpStream]],
        data: Buffer,
        start: int,
        end: int,
    ) -> None:
        size = end - start
        if size < 12:
            return  # keep-alives (RFC 5626 section 4.4.1, and single bytes)
        first = data[start]
        if first & 0xC0 == 0x80:
            flow = entry[0]
            second = data[start + 1]
            if 192 <= second <= 223:  # RFC 5761 section 4
                self.capture.reports += rtcp.parse(frame, time_ns, flow, data[start:end])
                return
            sequence, stamp, ssrc = struct.unpack_from(">HII", data, start + 2)
            stream = entry[1].get(ssrc)
            if stream is None:
                stream = self._stream(entry, ssrc)
            stream.frames.append(frame)
            stream.times.append(time_ns)
            stream.sequences.append(sequence)
            stream.stamps.append(stamp)
            stream.payloads.append(second)
            if size == 16 and first == 0x80:
                stream.events.append((len(stream) - 1, data[start + 12]))
        elif first < 4:
            if size >= 20 and data[start + 4 : start + 8] == stun.COOKIE:
                self._stun(frame, time_ns, entry[0], data[start:end])
        elif first >= 0x40 and self._is_channel(entry[0], data, start, size):
            self._channel(frame, time_ns, entry[0], data[start:end])
        elif 0x20 < first < 0x7F or first in (0x0D, 0x0A):
            while start < end and data[start] in (0x0D, 0x0A):
                start += 1
            body = data[start:end]
            if is_sip(body):
                self._sip(frame, time_ns, entry[0], data, start, body)

    def _stream(self, entry: tuple[Flow, dict[int, RtpStream]], ssrc: int) -> RtpStream:
        """A new one; it is not kept where a flow has too many for a sender that takes a new SSRC now
        and then.
        """
        flow, streams = entry
        stream = RtpStream(flow, ssrc)
        if len(streams) < _MAX_SSRCS:
            streams[ssrc] = stream
            self.capture.streams.append(stream)
        else:
            ends = {"source": str(flow.source), "destination": str(flow.destination)}
            self._left_out(phrase("damage_ssrc", count=_MAX_SSRCS, **ends))
        return stream

    def _left_out(self, what: Phrase) -> None:
        """Say it once."""
        text = phrase("damage_in", file=self.capture.views[self.view], what=what)
        if text not in self.capture.damage:
            self.capture.damage.append(text)

    def _stun(self, frame: int, time_ns: int, flow: Flow, data: bytes) -> None:
        """A STUN message, or what TURN carries in one."""
        found = stun.parse(frame, time_ns, flow, data)
        if found is None:
            return
        if found.data:
            self._carried(frame, time_ns, self.turn.within(flow, found.peer), found.data)
            return
        if found.method in (turn.ALLOCATE, turn.CHANNEL_BIND):
            self.turn.note(found)
        if len(self.capture.stun) < _MAX_STUN:
            self.capture.stun.append(found)

    def _is_channel(self, flow: Flow, data: Buffer, start: int, size: int) -> bool:
        """Whether it is ChannelData: by its length or, cut short, by its channel. Text is not: its
        letters would be a length of more than 8,000.
        """
        rest = size - 4 - (data[start + 2] << 8 | data[start + 3])
        if rest >= 0:
            return rest < 4 and data[start] < 0x80
        return self.turn.is_bound(flow, data[start] << 8 | data[start + 1])

    def _channel(self, frame: int, time_ns: int, flow: Flow, data: bytes) -> None:
        """ChannelData of TURN."""
        number, size = struct.unpack_from(">HH", data)
        if flow.outer is None:  # no TURN within TURN
            self._carried(frame, time_ns, self.turn.channel(flow, number), data[4 : 4 + size])

    def _carried(self, frame: int, time_ns: int, flow: Flow, data: bytes) -> None:
        """A datagram that TURN carried: RTP, RTCP or a check of ICE; anything else is left alone."""
        if len(data) >= 12 and (data[0] & 0xC0 == 0x80 or data[0] < 4):
            entry = (flow, self.within.setdefault(flow, {}))
            self._datagram(frame, time_ns, entry, data, 0, len(data))

    def _sip(
        self, frame: int, time_ns: int, flow: Flow, data: Source, start: int, body: bytes
    ) -> None:
        """`body` is what `data` has from `start` on."""
        if self.source is not None and data is self.source.data:
            data = self.source
        is_cut = frame == self.cut
        self.cut_sip += is_cut
        values = _whole(body) if is_cut else glance(body)
        if values is None:
            self.capture.bad.append(frame)
            self.unreadable += 1
            return
        message = Message(frame, time_ns, flow, values, data, start, body)
        messages = self.capture.messages
        messages.append(message)
        if len(messages) == self.keep:
            self.capture.messages = Columns(messages)

    def _segment(self, frame: int, time_ns: int, key: bytes, found: layers.Payload) -> None:
        data, start, end = found.buffer, found.start, found.end
        sequence, _, offset, flags = struct.unpack_from(">IIBB", data, start + 4)
        entry = self.tcp.get(key)
        if entry is None:
            if len(self.tcp) >= _MAX_CONNECTIONS:
                self._left_out(phrase("damage_connections", count=_MAX_CONNECTIONS))
                return
            entry = self.tcp[key] = (self._flow("tcp", *endpoints(key)), tcp.Stream())
            entry[0].ttl = found.ttl
            self._open_tls(*entry)
        flow, stream = entry
        if flags & (tcp.SYN | tcp.FIN | tcp.RST):
            stream.control(frame, time_ns, sequence, flags)
        body = start + (offset >> 4) * 4
        if frame == self.cut and stream.kind == "sip":
            self.cut_sip += 1
        if body >= end or (flags & tcp.RST):
            return
        if not stream.segments:
            stream.began = (frame, time_ns)
        if flags & tcp.SYN:
            sequence = (sequence + 1) & 0xFFFFFFFF  # data on a SYN: TCP Fast Open
        before = stream.held
        for seen, when, message in stream.feed(frame, time_ns, sequence, data[body:end]):
            self._framed(seen, when, flow, stream, message)
        self.held += stream.held - before
        if self.held > _MAX_HELD:
            self._give_up(frame)

    def _framed(
        self, frame: int, time_ns: int, flow: Flow, stream: tcp.Stream, message: bytes
    ) -> None:
        """A message of a connection."""
        if (stream.inner or stream).kind != "turn":
            self._sip(frame, time_ns, flow, message, 0, message)
        elif message[0] < 4:
            self._stun(frame, time_ns, flow, message)
        else:
            self._channel(frame, time_ns, flow, message)

    def _give_up(self, frame: int) -> None:
        """Too many connections with gaps, or with messages that do not end."""
        for flow, stream in self.tcp.values():
            for seen, when, message in stream.give_up():
                self._framed(seen, when, flow, stream, message)
        self.held = 0
        self._left_out(phrase("damage_tcp", frame=frame, size=_MAX_HELD >> 20))

    def _open_tls(self, flow: Flow, stream: tcp.Stream) -> None:
        """Let what the key log has secrets for be read."""
        if self.keys is not None:
            from labtool.trace.tls import Session

            session = self.sessions.setdefault(flow.hop, Session(self.keys))
            stream.tls = partial(session.open, flow.side)

    def _icmp(self, frame: int, time_ns: int, found: layers.Payload) -> None:
        """Only errors; the packet that they quote is evidence, and never itself SIP or RTP."""
        kind, code = found.buffer[found.start], found.buffer[found.start + 1]
        errors = (3, 4, 5, 11, 12) if found.protocol == layers.ICMP else (1, 2, 3, 4)
        if kind not in errors:
            return
        quoted = Unwrapper().unwrap(101, found.buffer, found.start + 8, found.end)
        if quoted is None or quoted.start + 4 > quoted.end:
            return
        source, destination = struct.unpack_from(">HH", quoted.buffer, quoted.start)
        self.capture.icmp.append(
            IcmpError(
                frame,
                time_ns,
                address(found.source, 0).host,
                kind,
                code,
                quoted.protocol,
                address(quoted.source, source),
                address(quoted.destination, destination),
                self.view,
            )
        )
