"""RTP (RFC 3550): the packet, and how well a stream of them arrived.

The sound inside is in `g711` and `tone`; this file knows only numbers and times.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from labtool.sip.errors import ParseError

VERSION = 2
HEADER = struct.Struct("!BBHII")


@dataclass(frozen=True)
class RtpPacket:
    """One RTP packet. `timestamp` counts in the payload's clock, `sequence` in packets."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: tuple[int, bytes] | None = None

    @classmethod
    def parse(cls, data: bytes) -> RtpPacket:
        """The packet in a datagram; ParseError for what RFC 3550 appendix A.1 calls invalid."""
        if len(data) < HEADER.size:
            raise ParseError(f"{len(data)} bytes are too few for an RTP header (12)")
        first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
        if first >> 6 != VERSION:
            raise ParseError(f"RTP version {first >> 6}, not 2")
        if is_rtcp(data):
            raise ParseError("an RTCP packet, not RTP")
        offset = HEADER.size + 4 * (first & 0x0F)
        if len(data) < offset:
            raise ParseError("the list of CSRCs is cut short")
        csrcs = struct.unpack_from(f"!{first & 0x0F}I", data, HEADER.size)
        extension = None
        if first & 0x10:
            if len(data) < offset + 4:
                raise ParseError("the header extension is cut short")
            profile, words = struct.unpack_from("!HH", data, offset)
            extension = (profile, data[offset + 4 : offset + 4 + 4 * words])
            offset += 4 + 4 * words
            if len(data) < offset:
                raise ParseError("the header extension is cut short")
        end = len(data)
        if first & 0x20:
            padding = data[-1] if end > offset else 0
            if not 0 < padding <= end - offset:
                raise ParseError("the padding is longer than the payload")
            end -= padding
        return cls(
            payload_type=second & 0x7F,
            sequence=sequence,
            timestamp=timestamp,
            ssrc=ssrc,
            payload=data[offset:end],
            marker=bool(second & 0x80),
            csrcs=csrcs,
            extension=extension,
        )

    def __bytes__(self) -> bytes:
        """The datagram, without padding."""
        first = VERSION << 6 | (0x10 if self.extension else 0) | len(self.csrcs)
        head = HEADER.pack(
            first,
            (0x80 if self.marker else 0) | self.payload_type,
            self.sequence & 0xFFFF,
            self.timestamp & 0xFFFFFFFF,
            self.ssrc,
        )
        parts = [head, struct.pack(f"!{len(self.csrcs)}I", *self.csrcs)]
        if self.extension:
            profile, words = self.extension
            parts += [struct.pack("!HH", profile, len(words) // 4), words]
        return b"".join([*parts, self.payload])


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram on an RTP port is RTCP instead (RFC 5761 section 4: types 192 to 223)."""
    return len(data) >= 8 and data[0] >> 6 == VERSION and 192 <= data[1] <= 223


# RFC 3550 appendix A.1.
MAX_DROPOUT = 3000
MAX_MISORDER = 100


@dataclass
class StreamStats:
    """How one direction of sound arrived: loss and jitter as RFC 3550 (6.4.1, A.3, A.8) has them.

    Feed every packet to `add`. A new SSRC, or a jump of the sequence number that no network makes,
    begins a new run of numbers; what was counted before stays counted.
    """

    clock_rate: int = 8000
    received: int = 0
    duplicates: int = 0
    reordered: int = 0
    ssrcs: list[int] = field(default_factory=list)
    payload_types: dict[int, int] = field(default_factory=dict)
    first_arrival: float | None = None
    last_arrival: float | None = None
    longest_gap: float = 0.0
    max_jitter: float = 0.0
    _jitter: float = 0.0
    _transit: float | None = None
    _base: int | None = None
    _highest: int = 0
    _expected_before: int = 0
    _recent: dict[int, None] = field(default_factory=dict)

    def add(self, packet: RtpPacket, arrival: float) -> None:
        """Count `packet`, which came at `arrival` (seconds, any steady clock)."""
        if not self.ssrcs or packet.ssrc != self.ssrcs[-1]:
            self.ssrcs.append(packet.ssrc)
            self._restart(packet.sequence)
        else:
            self._place(packet.sequence)
        self.payload_types[packet.payload_type] = self.payload_types.get(packet.payload_type, 0) + 1
        if self.first_arrival is None:
            self.first_arrival = arrival
        if self.last_arrival is not None:
            self.longest_gap = max(self.longest_gap, arrival - self.last_arrival)
        self.last_arrival = arrival
        transit = arrival * self.clock_rate - packet.timestamp
        if self._transit is not None:
            self._jitter += (abs(transit - self._transit) - self._jitter) / 16
            self.max_jitter = max(self.max_jitter, self.jitter)
        self._transit = transit

    def _restart(self, sequence: int) -> None:
        self._expected_before = self.expected
        self._base = self._highest = sequence
        self._transit = None
        self._recent = {sequence: None}
        self.received += 1

    def _place(self, sequence: int) -> None:
        ahead = (sequence - self._highest) & 0xFFFF
        if 0 < ahead < MAX_DROPOUT:
            self._highest += ahead
            self._remember(self._highest)
        elif ahead == 0 or ahead > 0x10000 - MAX_MISORDER:
            place = self._highest - (-ahead & 0xFFFF)
            if place in self._recent:
                self.duplicates += 1
                return
            self.reordered += 1
            self._base = min(self._base or 0, place)
            self._remember(place)
        else:
            self._restart(sequence)

    def _remember(self, place: int) -> None:
        self.received += 1
        self._recent[place] = None
        if len(self._recent) > 2 * MAX_MISORDER:
            del self._recent[next(iter(self._recent))]

    @property
    def expected(self) -> int:
        """Packets that the sequence numbers say were sent, from the first seen to the highest."""
        if self._base is None:
            return 0
        return self._expected_before + self._highest - self._base + 1

    @property
    def highest(self) -> int:
        """The highest sequence number, with the count of its cycles above (RFC 3550 6.4.1)."""
        return self._highest

    @property
    def lost(self) -> int:
        """Packets that never came (duplicates do not make up for them)."""
        return max(0, self.expected - self.received)

    @property
    def loss(self) -> float:
        """The share that was lost, 0.0 to 1.0."""
        return self.lost / self.expected if self.expected else 0.0

    @property
    def jitter(self) -> float:
        """The interarrival jitter at this moment, in seconds (RFC 3550 section 6.4.1)."""
        return self._jitter / self.clock_rate

    @property
    def duration(self) -> float:
        """Seconds from the first packet to the last."""
        if self.first_arrival is None or self.last_arrival is None:
            return 0.0
        return self.last_arrival - self.first_arrival
