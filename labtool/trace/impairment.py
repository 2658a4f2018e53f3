"""What a codec costs in the E-model: the equipment impairment factors that ITU-T publishes.

A codec that is not in the table has no published value, and no quality is estimated for it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Impairment:
    """A row: `ie` without loss, `bpl` the robustness against it (None: none published).

    `plain_bpl` holds for a receiver that does not conceal what is missing. `wideband` values are on
    the scale of G.107.1, which ends at 129, not on that of G.107, which ends at 93.2.
    """

    ie: float
    bpl: float | None
    source: str
    plain_bpl: float | None = None
    wideband: bool = False


_FIRST = "G.113 Appendix I, table I.1"
_LOSS = "G.113 Appendix I, table I.4"

#: By the encoding name of the rtpmap, in capitals. G.729 is taken with its silence suppression
#: (annex B), which an SDP without annexb=no means. Not here on purpose: G723 (its two rates have
#: different values, and no header tells the rate), iLBC, opus and speex (nothing published).
IMPAIRMENTS: dict[str, Impairment] = {
    "PCMU": Impairment(0, 25.1, _LOSS, plain_bpl=4.3),
    "PCMA": Impairment(0, 25.1, _LOSS, plain_bpl=4.3),
    "G729": Impairment(11, 19.0, _LOSS),
    "GSM-EFR": Impairment(5, 10.0, _LOSS),
    "GSM": Impairment(20, None, _FIRST),
    "G726-40": Impairment(2, None, _FIRST),
    "G726-32": Impairment(7, None, _FIRST),
    "G726-24": Impairment(25, None, _FIRST),
    "G726-16": Impairment(50, None, _FIRST),
    "G728": Impairment(7, None, _FIRST),
    "G722": Impairment(13, None, "G.113 Appendix IV, 64 kbit/s", wideband=True),
}
