"""The E-model (ITU-T G.107, G.107.1) reduced to what packets show: codec, loss and delay.

Everything else (echo, noise, loudness) keeps the default values of the recommendation, with which a
perfect connection rates 93.2, or 129 in wideband.
"""

from __future__ import annotations

from math import log2

NARROWBAND, WIDEBAND = 93.2, 129.0
#: Of G.107 table 2: what the model is defined for.
MOST_LOSS = 20.0  # per cent
MOST_DELAY = 500.0  # milliseconds
_BURST_RATIOS = (1.0, 8.0)


def equipment(ie: float, bpl: float, loss: float, burst_ratio: float = 1.0) -> float:
    """Ie,eff (G.107 section 7.5): `loss` in per cent; `burst_ratio` 1 is random loss."""
    low, high = _BURST_RATIOS
    burst_ratio = min(max(burst_ratio, low), high)
    return ie + (95 - ie) * loss / (loss / burst_ratio + bpl)


def delay(milliseconds: float) -> float:
    """Idd (G.107 section 7.4, ordinary sensitivity) for a one-way delay from mouth to ear."""
    if milliseconds <= 100:
        return 0.0
    x = log2(milliseconds / 100)
    return 25 * float((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2)


def mos(rating: float) -> float:
    """MOS-CQE of a rating on the scale of 93.2 (G.107 annex B); below 6.5 the curve is no more
    rising, and means 1.
    """
    if rating <= 6.5:
        return 1.0
    if rating >= 100:
        return 4.5
    return 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6
