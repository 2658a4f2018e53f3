"""RTCP (RFC 3550 section 6): what each side of a call says of the sound it sends and hears.

Only reports, SDES CNAME and BYE are built; what else a compound packet holds is passed over.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from labtool.sip.errors import ParseError

SENDER_REPORT, RECEIVER_REPORT, DESCRIPTION, BYE = 200, 201, 202, 203
_CNAME = 1
_SENDER = struct.Struct("!IIIII")  # NTP seconds, NTP fraction, RTP time, packets, bytes
_BLOCK = struct.Struct("!IIIIII")
# 1970 as seconds since 1900, where NTP begins.
_NTP_1970 = 2_208_988_800


@dataclass(frozen=True)
class Reception:
    """A report block (6.4.1): how one stream arrives at whoever reports.

    `fraction` is the share lost since the last report, 0.0 to 1.0; `lost` is the count of the
    whole call, negative where duplicates came; `jitter` is in units of the payload's clock;
    `last_report` (LSR) the middle 32 bits of the NTP time of the last SR that came, 0 for none;
    `delay` (DLSR) the time since then, in seconds.
    """

    ssrc: int
    fraction: float
    lost: int
    highest: int
    jitter: int
    last_report: int = 0
    delay: float = 0.0


@dataclass(frozen=True)
class Sent:
    """The sender's part of an SR. `time` is the wall clock in seconds since 1970."""

    time: float
    timestamp: int
    packets: int
    octets: int


@dataclass(frozen=True)
class Report:
    """One SR (with `sent`) or RR. `bye`: the sender leaves with this packet."""

    ssrc: int
    sent: Sent | None
    receptions: tuple[Reception, ...]
    cname: str = ""
    bye: bool = False

    @classmethod
    def parse(cls, data: bytes) -> Report:
        """The first report of a compound packet (6.1), and the CNAME and BYE beside it.

        Raises ParseError for what appendix A.2 calls invalid and for a packet without a report.
        """
        report: Report | None = None
        cname, bye, at = "", False, 0
        while at < len(data):
            if len(data) - at < 4:
                raise ParseError("an RTCP packet is cut short")
            first, kind, words = struct.unpack_from("!BBH", data, at)
            end = at + 4 * (words + 1)
            if first >> 6 != 2:
                raise ParseError(f"RTCP version {first >> 6}, not 2")
            if end > len(data):
                raise ParseError("an RTCP packet is longer than its datagram")
            body, count = data[at + 4 : end], first & 0x1F
            if kind in (SENDER_REPORT, RECEIVER_REPORT) and report is None:
                report = _report(kind, count, body)
            elif kind == DESCRIPTION and count:
                cname = cname or _cname(body)
            elif kind == BYE:
                bye = True
            at = end
        if report is None:
            raise ParseError("no RTCP report is in it")
        return cls(report.ssrc, report.sent, report.receptions, cname, bye)

    def __bytes__(self) -> bytes:
        """The compound packet: the report, its CNAME (which 6.1 demands), and BYE."""
        blocks = b"".join(_block(reception) for reception in self.receptions)
        body = self.ssrc.to_bytes(4, "big")
        kind = RECEIVER_REPORT
        if self.sent is not None:
            kind = SENDER_REPORT
            seconds, fraction = ntp(self.sent.time)
            body += _SENDER.pack(
                seconds,
                fraction,
                self.sent.timestamp & 0xFFFFFFFF,
                self.sent.packets & 0xFFFFFFFF,
                self.sent.octets & 0xFFFFFFFF,
            )
        data = _packet(kind, len(self.receptions), body + blocks)
        name = self.cname.encode()[:255]
        item = self.ssrc.to_bytes(4, "big") + bytes((_CNAME, len(name))) + name
        data += _packet(DESCRIPTION, 1, item + bytes(4 - len(item) % 4))
        if self.bye:
            data += _packet(BYE, 1, self.ssrc.to_bytes(4, "big"))
        return data


def ntp(time: float) -> tuple[int, int]:
    """Seconds since 1970 as NTP's seconds since 1900 and their fraction in 2**-32 s (section 4)."""
    seconds = int(time)
    return (seconds + _NTP_1970) & 0xFFFFFFFF, int((time - seconds) * 0x1_0000_0000) & 0xFFFFFFFF


def middle(time: float) -> int:
    """The middle 32 bits of an NTP time: what LSR holds, in units of 1/65536 s."""
    seconds, fraction = ntp(time)
    return (seconds & 0xFFFF) << 16 | fraction >> 16


def round_trip(reception: Reception, arrived: float) -> float | None:
    """Seconds to the reporter and back (6.4.1): `arrived` is the wall clock when the block came.

    None where the reporter had no SR yet.
    """
    if not reception.last_report:
        return None
    units = (middle(arrived) - reception.last_report) & 0xFFFFFFFF
    if units & 0x8000_0000:  # clocks that were set back
        return 0.0
    return max(0.0, units / 65536 - reception.delay)


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


def _block(one: Reception) -> bytes:
    fraction = min(255, max(0, int(one.fraction * 256)))
    lost = max(-0x800000, min(0x7FFFFF, one.lost)) & 0xFFFFFF
    return _BLOCK.pack(
        one.ssrc,
        fraction << 24 | lost,
        one.highest & 0xFFFFFFFF,
        min(0xFFFFFFFF, one.jitter),
        one.last_report,
        min(0xFFFFFFFF, int(one.delay * 65536)),
    )


def _report(kind: int, count: int, body: bytes) -> Report:
    head = 4 + (_SENDER.size if kind == SENDER_REPORT else 0)
    if len(body) < head + count * _BLOCK.size:
        raise ParseError("an RTCP report is shorter than its count of blocks says")
    sent = None
    if kind == SENDER_REPORT:
        seconds, fraction, timestamp, packets, octets = _SENDER.unpack_from(body, 4)
        time = seconds - _NTP_1970 + fraction / 0x1_0000_0000
        sent = Sent(time, timestamp, packets, octets)
    receptions = []
    for number in range(count):
        ssrc, loss, highest, jitter, last, delay = _BLOCK.unpack_from(
            body, head + number * _BLOCK.size
        )
        lost = loss & 0xFFFFFF
        lost -= 0x1000000 if lost & 0x800000 else 0
        receptions.append(
            Reception(ssrc, (loss >> 24) / 256, lost, highest, jitter, last, delay / 65536)
        )
    return Report(int.from_bytes(body[:4], "big"), sent, tuple(receptions))


def _cname(body: bytes) -> str:
    """The CNAME of the first chunk, or ""."""
    at = 4
    while at + 2 <= len(body) and body[at]:
        kind, size = body[at], body[at + 1]
        if kind == _CNAME:
            return body[at + 2 : at + 2 + size].decode("utf-8", "replace")
        at += 2 + size
    return ""
