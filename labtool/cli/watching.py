"""Doing something again and again until somebody stops it, cleanly."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click


class Stop:
    """`asked` turns True on Ctrl-C or SIGTERM; `wait` ends early then."""

    def __init__(self, pipe: int) -> None:
        self.asked = False
        self._pipe = pipe

    def wait(self, seconds: float) -> None:
        """Sleep, but wake when asked to stop."""
        select.select([self._pipe], [], [], max(0.0, seconds))


@contextmanager
def until_stopped() -> Iterator[Stop]:
    """The first Ctrl-C (or SIGTERM) asks to stop: what is under way is ended in order, so that no
    registration is left behind. The second one interrupts at once."""
    reading, writing = os.pipe()
    stop = Stop(reading)

    def asked(_number: int, _frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True
        os.write(writing, b"x")
        click.echo("labtool: stopping after this check; again to interrupt it.", err=True)

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)
