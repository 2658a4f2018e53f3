"""A pure tone: made, and recognised again in what arrived.

Two directions of a call carry different tones, so that sound which came back to its sender, or
which belongs to another call, is not taken for sound that works.
"""

from __future__ import annotations

import cmath
import math
from array import array
from collections.abc import Sequence

from labtool.sip.g711 import SAMPLE_RATE

_WINDOW = 4096
_SHORTEST = 256
# A tone that G.711 carried holds over 0.98 of the energy around its peak, white noise below 0.05.
_PURITY = 0.7
_SILENCE_RMS = 30.0


def tone(hz: float, seconds: float, *, level: float = 0.4) -> array[int]:
    """`seconds` of a sine of `hz` as 16-bit samples at 8,000 Hz; `level` is 0.0 to 1.0."""
    if not 0 < hz < SAMPLE_RATE / 2:
        raise ValueError(f"a tone of {hz} Hz does not fit in {SAMPLE_RATE} samples a second")
    step = 2 * math.pi * hz / SAMPLE_RATE
    peak = level * 32767
    return array("h", (round(peak * math.sin(step * n)) for n in range(int(seconds * SAMPLE_RATE))))


def detect_tone(samples: Sequence[int]) -> float | None:
    """The frequency in Hz of the one tone in `samples`; None for silence, noise, or a mixture.

    Looks at the loudest half second or less; right to about 1 Hz for 0.5 s, 10 Hz for 0.05 s.
    """
    size = _WINDOW
    while size > len(samples):
        size //= 2
    if size < _SHORTEST:
        return None
    start = max(
        range(0, len(samples) - size + 1, size // 2),
        key=lambda at: sum(map(abs, samples[at : at + size])),
    )
    chosen = samples[start : start + size]
    mean = sum(chosen) / size
    if math.sqrt(sum((s - mean) ** 2 for s in chosen) / size) < _SILENCE_RMS:
        return None
    # A Hann window: without it a tone between two bins leaks over the whole spectrum.
    shaped = [
        complex((s - mean) * (0.5 - 0.5 * math.cos(2 * math.pi * n / size)))
        for n, s in enumerate(chosen)
    ]
    power = [abs(x) ** 2 for x in _fft(shaped)[: size // 2]]
    peak = max(range(1, size // 2 - 1), key=power.__getitem__)
    near = sum(power[max(0, peak - 3) : peak + 4])
    if near < _PURITY * sum(power):
        return None
    left, middle, right = (math.log(power[peak + k] + 1e-9) for k in (-1, 0, 1))
    shift = 0.5 * (left - right) / (left - 2 * middle + right) if left + right < 2 * middle else 0.0
    return (peak + shift) * SAMPLE_RATE / size


def _fft(x: list[complex]) -> list[complex]:
    """Cooley and Tukey's, for a power of two: 4,096 points in about 20 ms."""
    n = len(x)
    if n == 1:
        return x
    even, odd = _fft(x[0::2]), _fft(x[1::2])
    turned = [cmath.exp(-2j * math.pi * k / n) * odd[k] for k in range(n // 2)]
    return [e + t for e, t in zip(even, turned, strict=True)] + [
        e - t for e, t in zip(even, turned, strict=True)
    ]
