"""The sound of a call: a tone out, whatever comes in, and what to think of it."""

from __future__ import annotations

import secrets
import socket
import time
from array import array
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labtool.probe.causes import cause
from labtool.probe.control import ControlPort
from labtool.probe.failure import Failure
from labtool.sip.errors import ParseError
from labtool.sip.flow import Address, Packet
from labtool.sip.g711 import SAMPLE_RATE, decode, encode
from labtool.sip.loop import Loop, Timer
from labtool.sip.rtp import RtpPacket, StreamStats
from labtool.sip.tone import detect_tone, tone

if TYPE_CHECKING:
    from labtool.probe.agent import Tap

PAYLOAD_TYPES = {"PCMU": 0, "PCMA": 8}
CODECS = {number: name for name, number in PAYLOAD_TYPES.items()}
# What may come beside the codec: a relay that hears a pause may send comfort noise (RFC 3389), whose
# payload type is the same everywhere.
BESIDE = {13: "CN"}
_NAMES = CODECS | BESIDE

FRAME = 0.02  # seconds of sound in a packet
_FRAME_SAMPLES = int(FRAME * SAMPLE_RATE)
# A relay may need a packet from each side before it forwards: so many may be lost at the start.
_START_UP = 5
_TOLERABLE_LOSS = 0.05
_TOLERABLE_HZ = 10.0


class AudioPort:
    """An RTP socket on an even port (RFC 3550 section 11) of `host`, and RTCP on the next one.

    Counts and keeps what comes; sends a tone from `send` to `stop`. A call has spells of sound
    (before and after a hold): `fresh` begins a new one, to which `sent`, `stats`, `samples` and
    `sources` belong; `whole` is the entire call, which RTCP reports.
    """

    def __init__(self, loop: Loop, host: str, tap: Tap | None = None) -> None:
        self._loop = loop
        self._tap = tap
        self._sock, control = _port_pair(host)
        self.local = Address.of(self._sock.getsockname())
        self.control = ControlPort(loop, control, self, tap)
        # Another port of this process: what it sends here straight has been seen as it left.
        self.peer: Address | None = None
        self.ssrc = secrets.randbits(32)
        self.whole = StreamStats()
        self.packets = 0  # sent in the whole call
        self.fresh()
        self._frames: list[bytes] = []
        self._payload_type = 0
        self._remote: Address | None = None
        self._sequence = secrets.randbits(15)
        self._timestamp = secrets.randbits(31)
        self._first: float | None = None  # when the first packet of all was sent
        self._started = 0.0  # these three: the time, the timestamp and the count of this spell
        self._offset = 0
        self._spoken = 0
        self._timer: Timer | None = None
        loop.add_reader(self._sock, self._readable)

    def fresh(self) -> None:
        """Begin a new spell: nothing sent, nothing heard."""
        self.sent = 0
        self.stats = StreamStats()
        self.sources: dict[Address, int] = {}
        self.samples = array("h")

    def send(self, remote: Address, codec: str, hz: float) -> None:
        """Send a tone of `hz` to `remote`, 50 packets a second, until `stop`."""
        self.stop()
        second = encode(codec, tone(hz, 1.0))
        self._frames = [
            second[at : at + _FRAME_SAMPLES] for at in range(0, len(second), _FRAME_SAMPLES)
        ]
        self._payload_type = PAYLOAD_TYPES[codec]
        self._remote = remote
        self._started = self._loop.now()
        if self._first is None:
            self._first = self._started
        self._offset = round((self._started - self._first) * SAMPLE_RATE)
        self._spoken = 0
        self._next()

    @property
    def sending(self) -> bool:
        return self._timer is not None

    @property
    def timestamp(self) -> int:
        """The RTP timestamp of this moment, which goes on while nothing is sent."""
        since = 0.0 if self._first is None else self._loop.now() - self._first
        return (self._timestamp + round(since * SAMPLE_RATE)) & 0xFFFFFFFF

    def _next(self) -> None:
        """The packet that is due now; each is timed from the first, so that no delay adds up."""
        assert self._remote is not None
        packet = RtpPacket(
            self._payload_type,
            (self._sequence + self.packets) & 0xFFFF,
            (self._timestamp + self._offset + self._spoken * _FRAME_SAMPLES) & 0xFFFFFFFF,
            self.ssrc,
            self._frames[self._spoken % len(self._frames)],
            marker=self._spoken == 0,
        )
        data = bytes(packet)
        with suppress(OSError):  # no route, no room: it is lost, as it could be further on
            self._sock.sendto(data, self._remote.sockaddr())
            self._see(self.local, self._remote, data)
        self.packets += 1
        self.sent += 1
        self._spoken += 1
        due = self._started + self._spoken * FRAME
        self._timer = self._loop.call_later(max(0.0, due - self._loop.now()), self._next)

    def stop(self) -> None:
        """Send no more; what comes is still counted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        self.stop()
        self.control.close()
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    def _readable(self) -> None:
        while self._sock.fileno() >= 0:
            try:
                data, peer = self._sock.recvfrom(65536)
            except OSError:
                return
            source = Address.of(peer)
            if source != self.peer:
                self._see(source, self.local, data)
            try:
                packet = RtpPacket.parse(data)
            except ParseError:
                continue  # RTCP, STUN, a stranger
            now = self._loop.now()
            self.sources[source] = self.sources.get(source, 0) + 1
            self.stats.add(packet, now)
            self.whole.add(packet, now)
            codec = CODECS.get(packet.payload_type)
            if codec and len(self.samples) < 60 * SAMPLE_RATE:
                self.samples.extend(decode(codec, packet.payload))

    def _see(self, source: Address, destination: Address, data: bytes) -> None:
        if self._tap is not None:
            self._tap(Packet(time.time(), "udp", source, destination, data))


def _port_pair(host: str) -> tuple[socket.socket, socket.socket]:
    """UDP sockets on a free even port and the one above it; OSError where there are none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    spare: list[socket.socket] = []
    try:
        for _ in range(100):
            sock = _bound(family, host, 0)
            port = sock.getsockname()[1]
            if port % 2 == 0 and port < 65535:
                with suppress(OSError):
                    return sock, _bound(family, host, port + 1)
            spare.append(sock)  # held, so that the next try gets another
        raise OSError("no free pair of ports for RTP and RTCP")
    finally:
        for sock in spare:
            sock.close()


def _bound(family: int, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


@dataclass(frozen=True)
class Direction:
    """What one direction was to carry, and who was to hear it."""

    name: str
    codec: str
    hz: float
    sender: AudioPort
    hearer: AudioPort

    @property
    def heard(self) -> bool:
        return self.hearer.stats.received > 0

    def facts(self) -> dict[str, Any]:
        """Numbers of this direction; times in milliseconds, `loss` from 0 to 1."""
        stats = self.hearer.stats
        heard = detect_tone(self.hearer.samples)
        return {
            "direction": self.name,
            "sent": self.sender.sent,
            "received": stats.received,
            "lost": stats.lost,
            "loss": round(self.loss, 4),
            "duplicates": stats.duplicates,
            "reordered": stats.reordered,
            "jitter_ms": round(stats.jitter * 1000, 2),
            "max_jitter_ms": round(stats.max_jitter * 1000, 2),
            "longest_gap_ms": round(stats.longest_gap * 1000, 1),
            "codecs": [_NAMES.get(number, str(number)) for number in stats.payload_types],
            "tone_hz": None if heard is None else round(heard, 1),
            "tone_sent_hz": self.hz,
            "from": [str(source) for source in self.hearer.sources],
            **self.sender.control.facts(),
        }

    @property
    def loss(self) -> float:
        """The share that was lost, the first packets (a relay's start-up) not counted."""
        sent, received = self.sender.sent, self.hearer.stats.received
        if received == 0:
            return 1.0
        missing = max(self.hearer.stats.lost, sent - received - _START_UP)
        return max(0, missing) / max(1, sent)

    def failure(self, facts: dict[str, Any]) -> Failure | None:
        """What is wrong with it; None where the tone came as it was sent."""
        if not self.heard:
            return Failure(cause("one-way-media"), f"none of {facts['sent']} packets arrived")
        wrong = [name for name in facts["codecs"] if name not in (self.codec, *BESIDE.values())]
        if wrong:
            return Failure(
                cause("wrong-codec"), f"{', '.join(wrong)} came, {self.codec} was agreed"
            )
        heard = facts["tone_hz"]
        if heard is None or abs(heard - self.hz) > _TOLERABLE_HZ:
            came = "no clear tone" if heard is None else f"a tone of {heard:.0f} Hz"
            return Failure(cause("wrong-tone"), f"{came} came, {self.hz:.0f} Hz was sent")
        if self.loss > _TOLERABLE_LOSS:
            return Failure(
                cause("lossy-media"),
                f"{facts['received']} of {facts['sent']} packets arrived",
            )
        return None


def describe(facts: dict[str, Any]) -> str:
    """A direction in a line."""
    codecs = "/".join(facts["codecs"])
    text = (
        f"{facts['received']} of {facts['sent']} packets, {codecs}, jitter "
        f"{facts['jitter_ms']:.1f} ms, {facts['tone_hz']:.0f} Hz heard"
    )
    if facts["rtcp_round_trip_ms"] is not None:
        text += f", round trip {facts['rtcp_round_trip_ms']:.1f} ms"
    return text
