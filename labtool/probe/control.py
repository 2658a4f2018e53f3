"""RTCP beside a party's sound: reports out, reports in (RFC 3550 section 6).

Reports are a second apart, the first after half of one: RFC 3550's five seconds would tell nothing
of a call that lasts two. That is 2 % of the bandwidth of G.711, inside the 5 % of section 6.2. A
relay that drops RTCP does no harm to a call, so what does not come is told, and fails nothing.
"""

from __future__ import annotations

import secrets
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from labtool.sip.errors import ParseError
from labtool.sip.flow import Address, Packet
from labtool.sip.g711 import SAMPLE_RATE
from labtool.sip.loop import Loop, Timer
from labtool.sip.rtcp import Reception, Report, Sent, middle, round_trip

if TYPE_CHECKING:
    from labtool.probe.agent import Tap
    from labtool.probe.media import AudioPort

_FIRST_S = 0.5
_INTERVAL_S = 1.0
_FRAME_OCTETS = 160  # the payload of 20 ms of G.711


class ControlPort:
    """The RTCP socket of an AudioPort: sends from `start` to `leave`, always reads."""

    def __init__(
        self, loop: Loop, sock: socket.socket, audio: AudioPort, tap: Tap | None = None
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._audio = audio
        self._tap = tap
        self.local = Address.of(sock.getsockname())
        self.sent = 0
        self.received: list[Report] = []
        self.round_trip: float | None = None  # seconds, by the last report that tells
        self._last_arrival = 0.0  # on the wall clock
        self._remote: Address | None = None
        self._timer: Timer | None = None
        self._told_expected = self._told_received = 0
        # A name of no person and no machine (RFC 7022 section 4.2).
        self._cname = secrets.token_urlsafe(12)
        loop.add_reader(sock, self._readable)

    def start(self, remote: Address) -> None:
        """Report to `remote` from now on; nothing changes where that runs already."""
        self._remote = remote
        if self._timer is None:
            self._timer = self._loop.call_later(_FIRST_S, self._again)

    def leave(self) -> None:
        """The last report, with a BYE (6.3.7)."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.report(bye=True)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    def facts(self) -> dict[str, Any]:
        """What the other side says of this party's sound, and the way there and back."""
        blocks = [block for report in self.received for block in report.receptions]
        last = blocks[-1] if blocks else None
        trip = self.round_trip
        return {
            "rtcp_sent": self.sent,
            "rtcp_received": len(self.received),
            "rtcp_sender_reports": sum(report.sent is not None for report in self.received),
            "rtcp_lost": last.lost if last else None,
            "rtcp_jitter_ms": round(last.jitter / SAMPLE_RATE * 1000, 2) if last else None,
            "rtcp_round_trip_ms": None if trip is None else round(trip * 1000, 2),
        }

    # -- out --------------------------------------------------------------------------------------

    def _again(self) -> None:
        self.report()
        self._timer = self._loop.call_later(_INTERVAL_S, self._again)

    def report(self, *, bye: bool = False) -> None:
        """Send a report now."""
        assert self._remote is not None
        audio, now = self._audio, time.time()
        sent = None
        if audio.packets:
            sent = Sent(now, audio.timestamp, audio.packets, audio.packets * _FRAME_OCTETS)
        data = bytes(Report(audio.ssrc, sent, self._receptions(now), self._cname, bye))
        with suppress(OSError):  # lost, as it could be further on
            self._sock.sendto(data, self._remote.sockaddr())
            self._see(self.local, self._remote, data)
        self.sent += 1

    def _receptions(self, now: float) -> tuple[Reception, ...]:
        stats = self._audio.whole
        if not stats.ssrcs:
            return ()
        expected = stats.expected - self._told_expected
        lost = expected - (stats.received - self._told_received)
        self._told_expected, self._told_received = stats.expected, stats.received
        last = next((one.sent for one in reversed(self.received) if one.sent), None)
        return (
            Reception(
                stats.ssrcs[-1],
                max(0, lost) / expected if expected > 0 else 0.0,
                stats.lost,
                stats.highest,
                round(stats.jitter * SAMPLE_RATE),
                middle(last.time) if last else 0,
                max(0.0, now - self._last_arrival) if last else 0.0,
            ),
        )

    # -- in ---------------------------------------------------------------------------------------

    def _readable(self) -> None:
        while self._sock.fileno() >= 0:
            try:
                data, peer = self._sock.recvfrom(65536)
            except OSError:
                return
            source, now = Address.of(peer), time.time()
            audio = self._audio
            if audio.peer is None or source != Address(audio.peer.host, audio.peer.port + 1):
                self._see(source, self.local, data)
            try:
                report = Report.parse(data)
            except ParseError:
                continue
            self.received.append(report)
            if report.sent is not None:
                self._last_arrival = now
            for block in report.receptions:
                if block.ssrc == audio.ssrc:
                    trip = round_trip(block, now)
                    self.round_trip = self.round_trip if trip is None else trip

    def _see(self, source: Address, destination: Address, data: bytes) -> None:
        if self._tap is not None:
            self._tap(Packet(time.time(), "udp", source, destination, data))
