"""G.711: sound as 8 bits a sample, mu-law (PCMU) and A-law (PCMA), ITU-T G.711.

Samples are signed 16-bit numbers at 8,000 Hz. Both laws are built from their definition; the
tables are made on first use (a probe that only registers never pays for them).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache

SAMPLE_RATE = 8000
SILENCE = {"PCMU": 0xFF, "PCMA": 0xD5}

_BIAS = 0x84
_CLIP = 32635


def _mulaw_decoded(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + _BIAS << ((code & 0x70) >> 4)) - _BIAS
    return -magnitude if code & 0x80 else magnitude


def _alaw_decoded(code: int) -> int:
    code ^= 0x55
    exponent = (code & 0x70) >> 4
    magnitude = ((code & 0x0F) << 4) + 8
    if exponent:
        magnitude = (magnitude + 0x100) << (exponent - 1)
    return magnitude if code & 0x80 else -magnitude


def _mulaw_encoded(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | magnitude >> (exponent + 3) & 0x0F) & 0xFF


def _alaw_encoded(sample: int) -> int:
    sign = 0x80 if sample >= 0 else 0
    # One's complement for negatives, so that both signs have the same steps (as ITU's G.191 does).
    magnitude = min(sample if sample >= 0 else ~sample, 32767) >> 4
    if magnitude < 32:
        code = magnitude
    else:
        exponent = magnitude.bit_length() - 4
        code = exponent << 4 | magnitude >> (exponent - 1) & 0x0F
    return (sign | code) ^ 0x55


_DECODERS = {"PCMU": _mulaw_decoded, "PCMA": _alaw_decoded}
_ENCODERS = {"PCMU": _mulaw_encoded, "PCMA": _alaw_encoded}


@lru_cache(maxsize=2)
def _decoded(codec: str) -> Sequence[int]:
    return [_DECODERS[codec](code) for code in range(256)]


def decode(codec: str, payload: bytes) -> array[int]:
    """Samples of a PCMU or PCMA payload; KeyError for another codec."""
    return array("h", map(_decoded(codec).__getitem__, payload))


def encode(codec: str, samples: Iterable[int]) -> bytes:
    """The PCMU or PCMA payload of `samples`, one byte each; KeyError for another codec."""
    return bytes(map(_ENCODERS[codec], samples))
