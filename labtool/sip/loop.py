"""An event loop on `selectors`: sockets and timers, nothing else.

asyncio costs 100 ms of start-up, four times what a whole REGISTER takes; this module costs 3 ms.
The clock can be replaced, so that the timers of RFC 3261 are tested without waiting for them.
"""

from __future__ import annotations

import heapq
import selectors
import time

from labtool.sip.errors import SipError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Callback: TypeAlias = Callable[..., object]

__all__ = ["Loop", "ManualClock", "Timer"]

# Cancelled timers stay in the heap until they are due; above this many, and above half of the
# heap, the heap is rebuilt, so that a server under load does not keep 32 s of dead timers.
_COMPACT_ABOVE = 512


class Timer:
    """A call that is due at `when` (seconds on the loop's clock)."""

    __slots__ = ("_loop", "args", "fn", "when")

    def __init__(self, loop: Loop, when: float, fn: Callback, args: tuple[Any, ...]) -> None:
        self._loop = loop
        self.when = when
        self.fn: Callback | None = fn
        self.args = args

    @property
    def pending(self) -> bool:
        """True until the call was made or cancelled."""
        return self.fn is not None

    def cancel(self) -> None:
        """Never make the call. Cancelling twice, or too late, does nothing."""
        if self.fn is not None:
            self.fn = None
            self.args = ()
            self._loop._timer_cancelled()


class ManualClock:
    """A clock that stands still until it is told to go on; for tests of timers."""

    def __init__(self, start: float = 1000.0) -> None:
        self.time = start

    def __call__(self) -> float:
        return self.time


class Loop:
    """Waits for sockets and timers and calls back, one call at a time, in one thread.

    An exception out of a callback leaves `run_until` or `run_forever`: this is a program's own
    mistake, and must be seen. Input from the network is dealt with before it gets that far.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._heap: list[tuple[float, int, Timer]] = []
        self._serial = 0
        self._cancelled = 0
        self._stopping = False
        self._closed = False

    # -- time ---------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds on a clock that never goes back (not the time of day)."""
        return self._clock()

    def call_later(self, delay_s: float, fn: Callback, *args: Any) -> Timer:
        """Call `fn(*args)` once, `delay_s` seconds from now; equal times keep their order."""
        timer = Timer(self, self._clock() + delay_s, fn, args)
        self._serial += 1
        heapq.heappush(self._heap, (timer.when, self._serial, timer))
        return timer

    def call_soon(self, fn: Callback, *args: Any) -> Timer:
        """Call `fn(*args)` on the next round, never from inside this call."""
        return self.call_later(0.0, fn, *args)

    def _timer_cancelled(self) -> None:
        self._cancelled += 1
        if self._cancelled > _COMPACT_ABOVE and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].fn is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def run_due(self) -> int:
        """Make every call that is due now; returns how many were made.

        A call that was put off to "now" by another one waits for the next round, so that a chain
        of them can't keep the sockets from being read.
        """
        heap, now, last = self._heap, self._clock(), self._serial
        made = 0
        while heap and heap[0][0] <= now and heap[0][1] <= last:
            timer = heapq.heappop(heap)[2]
            fn = timer.fn
            if fn is None:
                self._cancelled -= 1
                continue
            args, timer.fn, timer.args = timer.args, None, ()
            fn(*args)
            made += 1
            heap = self._heap  # a cancellation may have rebuilt it
        return made

    # -- sockets ------------------------------------------------------------------------------

    def add_reader(self, sock: Any, fn: Callback) -> None:
        """Call `fn()` whenever `sock` (socket or file descriptor) can be read or has failed."""
        self._watch(sock, 0, fn)

    def add_writer(self, sock: Any, fn: Callback) -> None:
        """Call `fn()` whenever `sock` can be written or has failed."""
        self._watch(sock, 1, fn)

    def remove_reader(self, sock: Any) -> None:
        """Stop watching for input; no error where it was not watched."""
        self._unwatch(sock, 0)

    def remove_writer(self, sock: Any) -> None:
        """Stop watching for room to write; no error where it was not watched."""
        self._unwatch(sock, 1)

    def _watch(self, sock: Any, slot: int, fn: Callback) -> None:
        event = selectors.EVENT_WRITE if slot else selectors.EVENT_READ
        try:
            key = self._selector.get_key(sock)
        except (KeyError, ValueError):
            calls: list[Callback | None] = [None, None]
            calls[slot] = fn
            self._selector.register(sock, event, calls)
            return
        key.data[slot] = fn
        if not key.events & event:
            self._selector.modify(sock, key.events | event, key.data)

    def _unwatch(self, sock: Any, slot: int) -> None:
        try:
            key = self._selector.get_key(sock)
        except (KeyError, ValueError, RuntimeError):
            return
        key.data[slot] = None
        left = key.events & ~(selectors.EVENT_WRITE if slot else selectors.EVENT_READ)
        if left:
            self._selector.modify(sock, left, key.data)
        else:
            self._selector.unregister(sock)

    # -- running ------------------------------------------------------------------------------

    def run_once(self, max_wait_s: float | None = None) -> None:
        """Wait for the next event, at most `max_wait_s` seconds, and deal with what is due."""
        heap = self._heap
        while heap and heap[0][2].fn is None:
            heapq.heappop(heap)
            self._cancelled -= 1
        wait = max_wait_s
        if heap:
            due = max(0.0, heap[0][0] - self._clock())
            wait = due if wait is None else min(wait, due)
        for key, mask in self._selector.select(wait):
            calls = key.data
            if mask & selectors.EVENT_READ and calls[0] is not None:
                calls[0]()
            if mask & selectors.EVENT_WRITE and calls[1] is not None:
                calls[1]()
        self.run_due()

    def run_until(self, predicate: Callable[[], bool], timeout_s: float) -> bool:
        """Run until `predicate()` holds (True), `timeout_s` seconds passed or `stop()` (False)."""
        self._stopping = False
        deadline = self._clock() + timeout_s
        while not predicate():
            left = deadline - self._clock()
            if left <= 0 or self._stopping:
                return False
            self.run_once(left)
        return True

    def run_forever(self) -> None:
        """Run until `stop()`."""
        self._stopping = False
        while not self._stopping:
            self.run_once()

    def stop(self) -> None:
        """Make `run_forever` or `run_until` return after the present round."""
        self._stopping = True

    def close(self) -> None:
        """Drop every timer and watch. The sockets are their owners' to close."""
        if not self._closed:
            self._closed = True
            self._heap.clear()
            self._selector.close()

    def advance(self, seconds: float) -> None:
        """Move a `ManualClock` on, making each call at its own time; sockets are not looked at.

        Raises SipError when the loop runs on a real clock.
        """
        clock = self._clock
        if not isinstance(clock, ManualClock):
            raise SipError("only a loop with a ManualClock can be advanced")
        end = clock.time + seconds
        while self._heap and self._heap[0][0] <= end:
            clock.time = max(clock.time, self._heap[0][0])
            self.run_due()
        clock.time = end
