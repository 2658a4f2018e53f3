"""The loss and the jitter of a stream over its time, and small drawings of them (inline SVG)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from labtool.trace.media import Stream
from labtool.trace.stream import STATIC

_PARTS = 60  # a plot has at most so many steps
_STEP = 0.5  # seconds: a shorter step shows nothing
_DROPOUT = 3000  # RFC 3550 appendix A.1: a jump further than this is a new beginning
_WIDTH, _HEIGHT = 300, 56


@dataclass(frozen=True)
class Course:
    """A stream step by step: each `step` seconds long; loss in packets, jitter in milliseconds (the
    greatest of the step), None where no packet came or no clock is known.
    """

    step: float
    lost: tuple[int, ...]
    jitter: tuple[float | None, ...]


def course(stream: Stream) -> Course:
    """How `stream` went. Jitter is RFC 3550's (section 6.4.1), as `stream.quality` has it; what was
    missing counts in the step in which the next packet came.
    """
    rtp = stream.rtp
    began = rtp.times[0]
    length = (rtp.times[-1] - began) / 1e9
    step = max(length / _PARTS, _STEP)
    count = int(length / step) + 1
    lost = [0] * count
    peaks: list[float | None] = [None] * count
    jitter = 0.0
    top = last_stamp = last_time = last_rate = 0
    for index, (time, sequence, stamp, payload) in enumerate(
        zip(rtp.times, rtp.sequences, rtp.stamps, rtp.payloads, strict=True)
    ):
        at = min(max(int((time - began) / 1e9 / step), 0), count - 1)
        kind = payload & 0x7F
        rate = stream.clocks.get(kind) or STATIC.get(kind, ("", 0))[1]
        if index:
            ahead = (sequence - top) & 0xFFFF
            if 0 < ahead < _DROPOUT:
                lost[at] += ahead - 1
                top = sequence
            elif ahead > 0x10000 - _DROPOUT:
                lost[at] -= 1  # late, not lost: it was counted when it was missed
            elif ahead:
                top = sequence
            if rate and rate == last_rate:
                ticks = (stamp - last_stamp) & 0xFFFFFFFF
                ticks -= 0x100000000 if ticks >= 0x80000000 else 0
                apart = abs((time - last_time) / 1e6 - ticks * 1000.0 / rate)
                jitter += (apart - jitter) / 16
                peaks[at] = max(peaks[at] or 0.0, jitter)
        else:
            top = sequence
        last_stamp, last_time, last_rate = stamp, time, rate
    return Course(step, tuple(max(one, 0) for one in lost), tuple(peaks))


def bars(values: Sequence[float | None], label: str) -> str:
    """A plot of bars, the tallest as high as the plot; `label` is its text for who cannot see it."""
    top = max((value for value in values if value), default=0.0)
    width = _WIDTH / max(len(values), 1)
    drawn = []
    for place, value in enumerate(values):
        if value and top:
            height = max(value / top * (_HEIGHT - 2), 1.5)
            drawn.append(
                f'<rect x="{place * width:.1f}" y="{_HEIGHT - height:.1f}" '
                f'width="{max(width - 0.8, 0.6):.1f}" height="{height:.1f}"/>'
            )
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT + 1}" role="img" aria-label="{escape(label)}" '
        f'preserveAspectRatio="none"><path class="axis" d="M0 {_HEIGHT}.5H{_WIDTH}"/>'
        f"{''.join(drawn)}</svg>"
    )
