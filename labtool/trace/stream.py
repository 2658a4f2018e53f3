"""An RTP stream as it was captured: one SSRC on one flow, and what its numbers say (RFC 3550)."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from operator import sub

from labtool.trace.flow import Flow

#: RFC 3550 appendix A.1: a jump further than this is a new beginning, not loss.
_MAX_DROPOUT = 3000
_NOISE = (13, 19)
#: Clock rates of the payload types that need no rtpmap (RFC 3551 tables 4 and 5).
STATIC = {
    0: ("PCMU", 8000),
    3: ("GSM", 8000),
    4: ("G723", 8000),
    5: ("DVI4", 8000),
    6: ("DVI4", 16000),
    7: ("LPC", 8000),
    8: ("PCMA", 8000),
    9: ("G722", 8000),
    10: ("L16", 44100),
    11: ("L16", 44100),
    12: ("QCELP", 8000),
    13: ("CN", 8000),
    15: ("G728", 8000),
    18: ("G729", 8000),
    19: ("CN", 8000),
    25: ("CelB", 90000),
    26: ("JPEG", 90000),
    28: ("nv", 90000),
    31: ("H261", 90000),
    32: ("MPV", 90000),
    33: ("MP2T", 90000),
    34: ("H263", 90000),
}


class RtpStream:
    """The packets of one SSRC on one flow: 19 bytes of memory for each."""

    __slots__ = (*("events", "flow", "frames", "payloads", "sequences", "ssrc", "stamps", "times"),)

    def __init__(self, flow: Flow, ssrc: int) -> None:
        self.flow = flow
        self.ssrc = ssrc
        self.frames = array("I")
        self.times = array("q")  #: nanoseconds
        self.sequences = array("H")
        self.stamps = array("I")
        self.payloads = array("B")  #: payload type, with the marker as the top bit
        #: payloads of four bytes, which may be telephone events (RFC 4733): (index, event)
        self.events: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self.times)

    def in_order(self) -> None:
        """Sort by time."""
        rows = sorted(range(len(self)), key=self.times.__getitem__)
        if rows == list(range(len(self))):
            return
        for name in ("frames", "times", "sequences", "stamps", "payloads"):
            column = getattr(self, name)
            setattr(self, name, array(column.typecode, (column[row] for row in rows)))
        moved = {row: place for place, row in enumerate(rows)}
        self.events = sorted((moved[row], event) for row, event in self.events)

    @property
    def payload_types(self) -> dict[int, int]:
        """Packets by payload type, the most frequent first."""
        counts: dict[int, int] = {}
        for payload, count in Counter(self.payloads).items():
            counts[payload & 0x7F] = counts.get(payload & 0x7F, 0) + count
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    def is_plausible(self) -> bool:
        """Whether these packets are RTP though no SDP announced them: sequence numbers that run."""
        if len(self) < 3:
            return False
        near = sum((b - a) & 0xFFFF in (1, 2, 3) for a, b in pairwise(self.sequences))
        return near * 2 >= len(self) - 1


@dataclass(frozen=True, slots=True)
class Quality:
    """What the numbers of a stream say. Times in seconds, jitter in milliseconds (None: no clock).

    `lost` is RFC 3550's: expected minus received, duplicates included in what was received.
    `longest_gap` is the longest time without a packet, whatever the reason.
    """

    packets: int
    expected: int
    lost: int
    duplicates: int
    reordered: int
    duration: float
    mean_jitter: float | None
    max_jitter: float | None
    longest_gap: float

    @property
    def missing(self) -> int:
        """Packets that never came, however often others did."""
        return max(self.lost + self.duplicates, 0)


def quality(stream: RtpStream, clocks: dict[int, int]) -> Quality:
    """Count `stream`; `clocks` is Hz by payload type, from the SDP, static ones need no entry."""
    expected, duplicates, reordered = _sequence(stream.sequences)
    mean, peak = _jitter(stream, clocks)
    times = stream.times
    longest = max(map(sub, times[1:], times), default=0)
    return Quality(
        packets=len(stream),
        expected=expected,
        lost=expected - len(stream),
        duplicates=duplicates,
        reordered=reordered,
        duration=max(times[-1] - times[0], 0) / 1e9 if times else 0.0,
        mean_jitter=mean,
        max_jitter=peak,
        longest_gap=longest / 1e9,
    )


def _sequence(sequences: array[int]) -> tuple[int, int, int]:
    """Expected packets, duplicates and reordered ones (RFC 3550 appendix A.1 and A.3)."""
    if not sequences:
        return 0, 0, 0
    base = top = sequences[0]
    count = len(sequences)
    if base + count <= 0x10000 and sequences == array("H", range(base, base + count)):
        return count, 0, 0  # nothing happened, as mostly
    expected = duplicates = reordered = 0
    recent: set[int] = {top}
    for sequence in sequences[1:]:
        ahead = (sequence - top) & 0xFFFF
        if ahead == 1:
            top += 1
        elif 0 < ahead < _MAX_DROPOUT:
            top += ahead
        elif ahead == 0 or ahead > 0x10000 - _MAX_DROPOUT:
            place = top - ((0x10000 - ahead) & 0xFFFF)
            if place in recent:
                duplicates += 1
            else:
                reordered += 1
                base = min(base, place)
            recent.add(place)
            continue
        else:
            expected += top - base + 1
            base = top = sequence
            recent = set()
        recent.add(top)
        if len(recent) > 4 * _MAX_DROPOUT:
            recent = {place for place in recent if place > top - _MAX_DROPOUT}
    return expected + top - base + 1, duplicates, reordered


def _jitter(stream: RtpStream, clocks: dict[int, int]) -> tuple[float | None, float | None]:
    """Mean and greatest interarrival jitter in milliseconds (RFC 3550 section 6.4.1).

    Measured as Wireshark does, so that the figures can be compared: the mean leaves out comfort
    noise and what follows it (RFC 3389), weighting by the packets so far. Where the clock changes
    with the codec, time starts anew: ticks of two clocks have no difference.
    """
    rates: dict[int, int] = {}
    jitter = mean = peak = 0.0
    last_time = last_stamp = last_rate = 0
    was_noise, measured = False, False
    rows = zip(stream.times, stream.stamps, stream.payloads, strict=True)
    for index, (time, stamp, payload) in enumerate(rows):
        kind = payload & 0x7F
        rate = rates.get(kind)
        if rate is None:
            rate = rates[kind] = clocks.get(kind) or STATIC.get(kind, ("", 0))[1]
        if rate and rate == last_rate:
            step = (stamp - last_stamp) & 0xFFFFFFFF
            if step >= 0x80000000:
                step -= 0x100000000
            jitter += (abs((time - last_time) / 1e6 - step * 1000.0 / rate) - jitter) / 16
            if jitter > peak:
                peak = jitter
            if kind not in _NOISE and not was_noise:
                mean += (jitter - mean) / index
            measured = True
        last_time, last_stamp, last_rate, was_noise = time, stamp, rate, kind in _NOISE
    return (mean, peak) if measured else (None, None)
