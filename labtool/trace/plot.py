"""The loss and the jitter of a stream over its time, and small drawings of them (inline SVG)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from labtool.trace.media import Stream
from labtool.trace.stream import STATIC

_PARTS = 60  # a plot has at most so many steps
_STEP = 0.5  # seconds: a shorter step shows nothing
_DROPOUT = 3000  # RFC 3550 appendix A.1: a jump further than this is a new beginning
_LEFT, _TOP, _WIDTH, _HEIGHT = 36, 4, 294, 52  # of the plot, in a drawing with its labels
_BASE = _TOP + _HEIGHT


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
    length = max(rtp.times[-1] - began, 0) / 1e9  # a frame may have a wrong time
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


def bars(
    values: Sequence[float | None],
    label: str,
    *,
    unit: str,
    seconds: float,
    pauses: Iterable[tuple[float, float]] = (),
) -> str:
    """A plot of bars over `seconds`, the tallest as high as the plot; both axes say what they end
    at. `label` is its text for who cannot see it. `pauses` (begin and end in seconds) are shaded.
    """
    top = max((value for value in values if value), default=0.0)
    width = _WIDTH / max(len(values), 1)
    drawn = []
    for begin, end in pauses:
        left, right = (_LEFT + _WIDTH * min(at / seconds, 1.0) for at in (begin, end))
        drawn.append(
            f'<rect class="pause" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" '
            f'height="{_HEIGHT}"/>'
        )
    for place, value in enumerate(values):
        if value and top:
            height = max(value / top * _HEIGHT, 1.5)
            drawn.append(
                f'<rect x="{_LEFT + place * width:.1f}" y="{_BASE - height:.1f}" '
                f'width="{max(width - 0.8, 0.6):.1f}" height="{height:.1f}"/>'
            )
    right, below = _LEFT + _WIDTH, _BASE + 12
    return (
        f'<svg class="plot" viewBox="0 0 {right + 6} {below + 4}" role="img" '
        f'aria-label="{escape(label)}">'
        f'<path class="axis" d="M{_LEFT} {_TOP - 2}V{_BASE}H{right}M{_LEFT - 3} {_TOP}h3"/>'
        f"{''.join(drawn)}"
        f'<text x="{_LEFT - 5}" y="{_TOP + 4}" text-anchor="end">{escape(_number(top))}</text>'
        f'<text x="{_LEFT - 5}" y="{_TOP + 15}" text-anchor="end">{escape(unit)}</text>'
        f'<text x="{_LEFT - 5}" y="{_BASE}" text-anchor="end">0</text>'
        f'<text x="{_LEFT}" y="{below}">0 s</text>'
        f'<text x="{right}" y="{below}" text-anchor="end">{seconds:.1f} s</text></svg>'
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) or value >= 100 else f"{value:.1f}"
