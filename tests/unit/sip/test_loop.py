"""The event loop: timers in order, sockets watched, nothing kept that is over."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from labtool.sip.errors import SipError
from labtool.sip.loop import Loop, ManualClock


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop(clock=ManualClock())
    yield made
    made.close()


def test_timers_are_called_at_their_time_and_in_their_order(loop: Loop) -> None:
    called: list[tuple[str, float]] = []

    def note(name: str) -> None:
        called.append((name, loop.now() - 1000))

    loop.call_later(2, note, "late")
    loop.call_later(1, note, "first")
    loop.call_later(1, note, "second")
    loop.advance(1.5)
    assert called == [("first", 1.0), ("second", 1.0)]
    loop.advance(1)
    assert called[-1] == ("late", 2.0)


def test_a_cancelled_timer_is_never_called(loop: Loop) -> None:
    called: list[int] = []
    timer = loop.call_later(1, called.append, 1)
    timer.cancel()
    timer.cancel()
    loop.advance(5)
    assert not called
    assert not timer.pending


def test_ten_thousand_cancelled_timers_do_not_stay_in_memory(loop: Loop) -> None:
    kept = loop.call_later(60, lambda: None)
    for _ in range(10_000):
        loop.call_later(32, lambda: None).cancel()
    assert len(loop._heap) < 1100
    assert kept.pending


def test_a_timer_that_is_set_by_a_timer_waits_for_the_next_round(loop: Loop) -> None:
    called: list[int] = []

    def again() -> None:
        called.append(1)
        loop.call_soon(again)

    loop.call_soon(again)
    loop.run_due()
    assert called == [1]


def test_only_a_manual_clock_can_be_advanced() -> None:
    loop = Loop()
    with pytest.raises(SipError):
        loop.advance(1)
    loop.close()


def test_a_socket_is_read_when_there_is_something_and_not_after_its_removal() -> None:
    loop = Loop()
    here, there = socket.socketpair()
    got: list[bytes] = []
    loop.add_reader(here, lambda: got.append(here.recv(10)))
    there.send(b"one")
    assert loop.run_until(lambda: got == [b"one"], 1)
    loop.remove_reader(here)
    loop.remove_reader(here)
    there.send(b"two")
    assert not loop.run_until(lambda: len(got) > 1, 0.02)
    here.close()
    there.close()
    loop.close()


def test_reading_and_writing_one_socket_are_watched_apart() -> None:
    loop = Loop()
    here, there = socket.socketpair()
    seen: list[str] = []
    loop.add_reader(here, lambda: seen.append("read") or here.recv(10))
    loop.add_writer(here, lambda: seen.append("write") or loop.remove_writer(here))
    there.send(b"x")
    assert loop.run_until(lambda: sorted(seen) == ["read", "write"], 1)
    here.close()
    there.close()
    loop.close()


def test_stop_ends_run_forever_and_a_timeout_ends_run_until() -> None:
    loop = Loop()
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    assert loop.run_until(lambda: False, 0.01) is False
    loop.close()
