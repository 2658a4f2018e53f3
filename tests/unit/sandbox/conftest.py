"""What the tests of the sandbox share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sandbox_lab import Lab

from labtool.sip.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def prepared(loop: Loop, tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Makes the files; `.start()` is the test's to call."""
    labs: list[Lab] = []

    def make(**settings: str) -> Lab:
        labs.append(Lab(tmp_path, loop, **settings))
        return labs[-1]

    yield make
    for lab in labs:
        lab.stop()


@pytest.fixture
def lab(prepared: Callable[..., Lab]) -> Callable[..., Lab]:
    """Makes the files and starts the sandbox; keywords are settings, `options` for the start."""

    def make(options: dict[str, Any] | None = None, **settings: str) -> Lab:
        made = prepared(**settings)
        made.start(**(options or {}))
        return made

    return make
