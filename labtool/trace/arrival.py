"""What of a stream a receiver could play: missing packets, those too late, and how they cluster."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from labtool.trace.stream import STATIC, RtpStream

#: The de-jitter buffer that is assumed, in milliseconds: Linphone's own setting (`audio_jitt_comp`).
BUFFER_MS = 60
#: RFC 3550 appendix A.1: a jump further than this is a new beginning, not loss.
_MAX_DROPOUT = 3000
_SILENCE_NS = 1_000_000_000  # after such a pause a receiver takes the time anew
_FOLLOWS = 0.01  # how much of a packet's delay goes into the mean: clocks drift apart
_MARKER = 0x80


@dataclass(frozen=True)
class Arrival:
    """Packets by sequence number, duplicates once. `late` is not part of `missing`; `bursts` are the
    runs of either.
    """

    expected: int
    missing: int
    late: int
    bursts: int

    @property
    def loss(self) -> float:
        """Per cent that could not be played."""
        return 100 * (self.missing + self.late) / self.expected if self.expected else 0.0

    @property
    def burst_ratio(self) -> float:
        """The mean length of a burst, against that of random loss (G.107 section 7.5)."""
        if not self.bursts:
            return 1.0
        return (self.missing + self.late) / self.bursts * (1 - self.loss / 100)


def arrival(stream: RtpStream, clocks: Mapping[int, int], events: Iterable[int] = ()) -> Arrival:
    """Count what could be played; `clocks` is Hz by payload type. The payload types of `events` have
    no time of their own (RFC 4733) and are never late.
    """
    expected = missing = late = bursts = 0
    flags = _late(stream, clocks, set(events))
    for base, top, seen, tardy in _stretches(stream.sequences, flags):
        expected += top - base + 1
        late += len(tardy - seen)
        missing += top - base + 1 - len(seen | tardy)
        bursts += sum(b - a > 1 for a, b in pairwise((base - 1, *sorted(seen), top + 1)))
    return Arrival(expected, missing, late, bursts)


def _stretches(
    sequences: array[int], late: bytearray
) -> Iterable[tuple[int, int, set[int], set[int]]]:
    """First and last number of each run, those that came in time, and those that came too late."""
    if not sequences:
        return
    base = top = sequences[0]
    seen: set[int] = set()
    tardy: set[int] = set()
    for sequence, is_late in zip(sequences, late, strict=True):
        ahead = (sequence - top) & 0xFFFF
        if ahead < _MAX_DROPOUT:
            place = top = top + ahead
        elif ahead > 0x10000 - _MAX_DROPOUT:
            place = top - (0x10000 - ahead)
            base = min(base, place)
        else:
            yield base, top, seen, tardy
            base = place = top = sequence
            seen, tardy = set(), set()
        (tardy if is_late else seen).add(place)
    yield base, top, seen, tardy


def _late(stream: RtpStream, clocks: Mapping[int, int], events: set[int]) -> bytearray:
    """Whether each packet took longer than the mean of those before it and the buffer together."""
    late = bytearray(len(stream))
    last_time = last_stamp = last_rate = 0
    passed = mean = 0.0  # milliseconds: the sender's clock, and the mean time on the way
    rows = zip(stream.times, stream.stamps, stream.payloads, strict=True)
    for index, (time, stamp, payload) in enumerate(rows):
        kind = payload & 0x7F
        rate = clocks.get(kind) or STATIC.get(kind, ("", 0))[1]
        if kind in events or not rate:
            continue
        ticks = (stamp - last_stamp) & 0xFFFFFFFF
        ticks -= 0x100000000 if ticks >= 0x80000000 else 0
        new_spurt = payload & _MARKER or time - last_time > _SILENCE_NS
        if new_spurt or rate != last_rate or abs(ticks) > 10 * rate:
            passed = 0.0
            mean = time / 1e6
        else:
            passed += ticks * 1000.0 / rate
        last_time, last_stamp, last_rate = time, stamp, rate
        slower = time / 1e6 - passed - mean
        late[index] = slower > BUFFER_MS
        mean += slower * _FOLLOWS
    return late
