"""G.711 and tones: what RTP carries."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from labtool.sip.g711 import decode, encode
from labtool.sip.tone import detect_tone, tone

# ITU-T G.711 tables 1a and 2a: code, 16-bit value.
KNOWN = [
    ("PCMU", 0xFF, 0),
    ("PCMU", 0x80, 32124),
    ("PCMU", 0x00, -32124),
    ("PCMA", 0xD5, 8),
    ("PCMA", 0xAA, 32256),
    ("PCMA", 0x2A, -32256),
]


@pytest.mark.parametrize(("codec", "code", "value"), KNOWN)
def test_known_codes_have_the_values_of_the_standard(codec: str, code: int, value: int) -> None:
    assert list(decode(codec, bytes([code]))) == [value]


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_every_code_survives_decoding_and_encoding(codec: str) -> None:
    codes = bytes(range(256))
    again = encode(codec, decode(codec, codes))
    # mu-law has two zeros; every other code comes back as itself.
    assert decode(codec, again) == decode(codec, codes)
    assert sum(a != b for a, b in zip(codes, again, strict=True)) <= 1


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_a_louder_sample_never_becomes_quieter(codec: str) -> None:
    heard = decode(codec, encode(codec, range(-32768, 32768, 7)))
    assert all(a <= b for a, b in pairwise(heard))


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
@pytest.mark.parametrize("hz", [200.0, 440.0, 523.25, 1004.0, 3300.0])
def test_a_tone_is_recognised_after_g711(codec: str, hz: float) -> None:
    assert detect_tone(decode(codec, encode(codec, tone(hz, 0.6)))) == pytest.approx(hz, abs=1)


def test_a_tone_is_recognised_in_a_twentieth_of_a_second() -> None:
    assert detect_tone(tone(700, 0.05)) == pytest.approx(700, abs=10)


def test_a_tone_that_begins_late_is_recognised() -> None:
    assert detect_tone([0] * 9000 + list(tone(700, 0.5))) == pytest.approx(700, abs=2)


def test_silence_noise_and_two_tones_are_no_tone() -> None:
    dice = random.Random(1)
    assert detect_tone([0] * 8000) is None
    assert detect_tone([]) is None
    assert detect_tone([dice.randint(-8000, 8000) for _ in range(8000)]) is None
    both = [a + b for a, b in zip(tone(440, 1), tone(1000, 1), strict=True)]
    assert detect_tone(both) is None
