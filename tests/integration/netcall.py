"""Calls of two probe phones in a Lab, which do wrong what they are told to do wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from labtool.sip.flow import Address

from .netlab import Lab
from .netserver import NetKamailio
from .peers import ALICE_HZ, BOB_HZ, SandboxProcess
from .probe_phone import CODEC, ProbePhone


@dataclass(frozen=True)
class Habits:
    """What a phone does in a call. Sound goes `port_off` beside the port that it is due at; the offer
    is `more` bytes longer; it waits `patience` seconds for the other side.
    """

    transport: str = "udp"
    speaks: bool = True
    port_off: int = 0
    more: int = 0
    waits: bool = True  #: for the ACK, before it talks
    patience: float = 15.0


class NetPhone(ProbePhone):
    """Sends RTCP with its sound, and no sound where its habits say so."""

    def __init__(
        self, server: SandboxProcess | NetKamailio, user: str, hz: float, habits: Habits
    ) -> None:
        super().__init__(server, user, habits.transport, hz)  # type: ignore[arg-type]
        self.habits = habits
        self.patience = habits.patience

    def __enter__(self) -> NetPhone:
        super().__enter__()
        if self.habits.more:
            plain = self._leg.description
            line = b"a=x-filler:" + b"x" * self.habits.more + b"\r\n"
            self._leg.description = lambda *any_: plain(*any_) + line  # type: ignore[method-assign]
        return self

    def talk(self, seconds: float) -> None:
        audio, to = self._leg.audio, self._sends_to
        audio.control.start(Address(to.host, to.port + 1))
        if self.habits.speaks:
            audio.send(Address(to.host, to.port + self.habits.port_off), CODEC, self._hz)
        self._session.loop.run_until(lambda: self._leg.ended is not None, seconds)
        audio.stop()
        audio.control.leave()


def _nothing() -> None:
    pass


def place_call(
    lab: Lab,
    server: SandboxProcess | NetKamailio,
    *,
    caller: Habits = Habits(),
    callee: Habits = Habits(),
    seconds: float = 4.0,
    before: Callable[[], object] = _nothing,
    midway: Callable[[], object] = _nothing,
    registers: bool = True,
    holds: bool = True,
) -> None:
    """Alice at `a` calls bob at `b`, both talk for `seconds`, alice hangs up.

    `before` runs when both have registered, `midway` half-way through the talk. What `holds` says is
    whether the call is to succeed: if not, what fails in it is the test's own doing.
    """
    ready = threading.Event()

    def bob() -> None:
        with lab.inside("b"), NetPhone(server, "bob", BOB_HZ, callee) as phone:
            ready.set()
            phone.answer("alice", waits=callee.waits)
            phone.talk(seconds + 5)
            phone.wait_ended()

    def alice() -> None:
        assert not registers or ready.wait(20)
        with lab.inside("a"), NetPhone(server, "alice", ALICE_HZ, caller) as phone:
            before()
            phone.call("bob")
            timer = threading.Timer(seconds / 2, midway)
            timer.start()
            phone.talk(seconds)
            timer.join()
            phone.hang_up()

    with ThreadPoolExecutor(2) as pool:
        parties = [pool.submit(one) for one in ((alice, bob) if registers else (alice,))]
        for party in parties:
            with suppress(*(() if holds else (AssertionError,))):
                party.result()
