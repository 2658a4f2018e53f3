"""The target of `make fuzz` holds for its seeds and for what is made of them at random."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fuzz import target
from fuzz.__main__ import SEEDS


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_breaks_no_promise(seed: str) -> None:
    dice = random.Random(seed)
    data = seed.encode("latin-1")
    target.one_input(data)
    for _ in range(100):
        changed = bytearray(data)
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(changed))
            changed[at : at + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 3))
            if not changed:
                changed = bytearray(b"\r")
        target.one_input(bytes(changed))


def test_an_error_that_was_not_promised_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> None:
        raise IndexError(data)

    monkeypatch.setattr(target, "parse", broken)
    with pytest.raises(IndexError):
        target.one_input(SEEDS[0].encode("latin-1"))
