"""RTCP reports as they are seen on the wire (RFC 3550 section 6.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from labtool.trace.flow import Flow

SENDER_REPORT, RECEIVER_REPORT, BYE = 200, 201, 203


@dataclass(frozen=True, slots=True)
class Block:
    """What a receiver says of one stream. `fraction` is lost/256 since its last report."""

    ssrc: int
    fraction: int
    lost: int
    highest: int
    jitter: int
    last_sr: int
    delay: int


@dataclass(frozen=True, slots=True)
class Report:
    """One SR or RR: who sent it, what it has sent (SR), and what it has received."""

    frame: int
    time_ns: int
    flow: Flow
    ssrc: int
    is_sender: bool
    packets: int  #: of an SR: RTP packets sent so far
    blocks: tuple[Block, ...]
    stamp: int = 0  #: of an SR: the middle of its NTP time, which a `last_sr` quotes


def parse(frame: int, time_ns: int, flow: Flow, data: bytes) -> list[Report]:
    """The reports of a compound packet; what is cut off or not RTCP is left out."""
    reports = []
    at = 0
    while at + 8 <= len(data):
        first, kind, words = struct.unpack_from(">BBH", data, at)
        size = 4 * (words + 1)
        if first >> 6 != 2 or at + size > len(data):
            break
        if kind in (SENDER_REPORT, RECEIVER_REPORT):
            head = 28 if kind == SENDER_REPORT else 8
            ssrc = struct.unpack_from(">I", data, at + 4)[0]
            whole = head == 28 <= size
            packets = struct.unpack_from(">I", data, at + 20)[0] if whole else 0
            stamp = struct.unpack_from(">I", data, at + 10)[0] if whole else 0
            count = min(first & 0x1F, (size - head) // 24)
            blocks = tuple(_block(data, at + head + 24 * i) for i in range(max(count, 0)))
            sender = kind == SENDER_REPORT
            reports.append(Report(frame, time_ns, flow, ssrc, sender, packets, blocks, stamp))
        at += size
    return reports


def _block(data: bytes, at: int) -> Block:
    ssrc, loss, highest, jitter, last, delay = struct.unpack_from(">6I", data, at)
    lost = loss & 0xFFFFFF
    if lost & 0x800000:
        lost -= 0x1000000  # signed: duplicates can make it negative
    return Block(ssrc, loss >> 24, lost, highest, jitter, last, delay)
