"""SIGTERM and SIGHUP as Ctrl-C: a command ends its calls and registrations, then exits."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_ENDS = (signal.SIGTERM, signal.SIGHUP)


class Ended:
    """`number` is of the signal that came, else 0."""

    number = 0

    @property
    def exit_code(self) -> int:
        """As a shell has it: 128 and the signal's number."""
        return 128 + (self.number or signal.SIGINT)


@contextmanager
def as_interrupts() -> Iterator[Ended]:
    """The first one raises KeyboardInterrupt. Those after it are nothing: timeout(1) and a closed
    terminal send two, and cleaning up takes seconds at most."""
    ended = Ended()

    def end(number: int, _frame: FrameType | None) -> None:
        if not ended.number:
            ended.number = number
            raise KeyboardInterrupt

    before = {}
    try:
        for number in _ENDS:
            # nohup has it ignored, and so it stays.
            if signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    except ValueError:  # only a program's main thread has signals
        pass
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def noted() -> Iterator[Callable[[], bool]]:
    """Meanwhile the first signal, Ctrl-C too, is only noted, for who looks often whether one came;
    the next raises KeyboardInterrupt. Raised within paramiko, it can leave a lock held for good.
    """
    came = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True

    before = {}
    try:
        for number in (signal.SIGINT, *_ENDS):
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, note)
    except ValueError:  # only a program's main thread has signals
        pass
    try:
        yield lambda: came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
