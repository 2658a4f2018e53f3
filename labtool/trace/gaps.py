"""The longest times without a packet in a stream, and why: hold, silence, loss or delay.

A gap that was agreed on is no fault, and neither is silence that its sender does not send.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import nlargest
from typing import Literal

from labtool.trace.findings.sides import length, targets
from labtool.trace.media import Negotiation, Stream, negotiation
from labtool.trace.stream import STATIC

Reason = Literal["hold", "silence", "lost", "delayed", "unsent", "restart"]

SHORTEST = 0.2  # seconds: ten packets
_MANY = 5
_MAX_DROPOUT = 3000  # RFC 3550 appendix A.1: a jump further than this is a new beginning
_AFTER = 5  # packets that come at once after what held them up
_AGREED = 0.2  # of a hold: the answer comes a while after the offer, and the first packet later


@dataclass(frozen=True)
class Gap:
    """No packet from `start_ns` on for `duration` seconds; `frames` are those before and after.

    `reason`: "hold" (both sides had agreed on it), "silence" (not sent, as the timestamps tell),
    "lost" (`missing` sequence numbers), "delayed" (what came after came at once), "restart" (new
    sequence numbers), or "unsent" (the sequence goes on as if no time had passed).
    """

    start_ns: int
    duration: float
    reason: Reason
    missing: int
    frames: tuple[int, int]


def gaps(stream: Stream) -> list[Gap]:
    """The longest gaps of a stream, in order of time."""
    times = stream.rtp.times
    shortest = round(SHORTEST * 1e9)
    found = [index for index in range(1, len(times)) if times[index] - times[index - 1] > shortest]
    if not found:
        return []
    agreed = _agreed(stream)
    longest = nlargest(_MANY, found, key=lambda index: times[index] - times[index - 1])
    return [_gap(stream, index, agreed) for index in sorted(longest)]


def _gap(stream: Stream, index: int, agreed: tuple[Negotiation, bool] | None) -> Gap:
    rtp = stream.rtp
    low, high = rtp.times[index - 1], rtp.times[index]
    ahead = (rtp.sequences[index] - rtp.sequences[index - 1]) & 0xFFFF
    missing = ahead - 1 if 0 < ahead < _MAX_DROPOUT else 0
    reason: Reason
    if agreed is not None and _held(*agreed, low, high):
        reason = "hold"
    elif missing:
        reason = "lost"
    elif ahead >= _MAX_DROPOUT:
        reason = "restart"
    else:
        reason = _unlost(stream, index)
    frames = (rtp.frames[index - 1], rtp.frames[index])
    return Gap(low, (high - low) / 1e9, reason, missing, frames)


def _unlost(stream: Stream, index: int) -> Reason:
    """Why there is a gap though no number is missing: what the sender's clock says."""
    rtp = stream.rtp
    kind = rtp.payloads[index] & 0x7F
    rate = stream.clocks.get(kind) or STATIC.get(kind, ("", 0))[1]
    gap = rtp.times[index] - rtp.times[index - 1]
    if not rate:
        return "unsent"

    def spoken(first: int, last: int) -> float:
        ticks = (rtp.stamps[last] - rtp.stamps[first]) & 0xFFFFFFFF
        return (ticks - 0x100000000 if ticks >= 0x80000000 else ticks) * 1e9 / rate

    if abs(spoken(index - 1, index) - gap) <= max(0.1 * gap, 0.1e9):
        return "silence"
    last = min(index + _AFTER, len(rtp) - 1)
    if last > index and rtp.times[last] - rtp.times[index] < spoken(index, last) / 2:
        return "delayed"
    return "unsent"


def _held(stated: Negotiation, from_caller: bool, low: int, high: int) -> bool:
    if stated.at(True, low) is None or stated.at(False, low) is None:
        return False  # nothing was agreed on yet
    flowing = length(stated.intervals(from_caller, low, high))
    return flowing <= _AGREED * (high - low)


def _agreed(stream: Stream) -> tuple[Negotiation, bool] | None:
    """The offers and answers of the hop that it belongs to, and whether it comes from its caller."""
    if stream.call is None:
        return None
    best: tuple[int, Negotiation, bool] | None = None
    for leg in stream.call.legs:
        if leg.view != stream.rtp.flow.view or not leg.invites:
            continue
        found = negotiation(leg)
        ends = [
            {address for one in found.stated(by_caller) for address in targets(one)}
            for by_caller in (True, False)
        ]
        for from_caller, (near, far) in ((True, ends), (False, ends[::-1])):
            fits = (stream.source in near) + (stream.destination in far)
            if fits and (best is None or fits > best[0]):
                best = (fits, found, from_caller)
    return best[1:] if best else None
