"""Calls of two probe phones in a Lab, which do wrong what they are told to do wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from labtool.probe.media import PAYLOAD_TYPES
from labtool.sip.flow import Address
from labtool.sip.message import Request

from .netlab import Lab
from .netserver import NetKamailio
from .peers import ALICE_HZ, BOB_HZ, SandboxProcess
from .probe_phone import CODEC, ProbePhone, sound_of


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

    def call(self, callee: str) -> None:
        super().call(callee)
        self._leg._codec = CODEC  # what it answers a re-INVITE with

    def invited(self, caller: str) -> Request:
        """Wait for the call of a user, and leave it open."""
        leg = self._leg
        leg.expected, leg.caller = "", caller
        self._wait(f"{caller} calls", lambda: leg.invite is not None)
        assert leg.invite is not None
        return leg.invite.request

    def respond(self, status: int, *, described: bool = False) -> None:
        """To the call that came; with a description, for early media."""
        leg = self._leg
        assert leg.invite is not None
        request = leg.invite.request
        body = leg.description({CODEC: PAYLOAD_TYPES[CODEC]}) if described else b""
        leg.invite.respond(leg._response(status, request, body))
        self._sends_to = sound_of(request)

    def hold(self, direction: str = "sendonly") -> None:
        """re-INVITE with another direction of sound."""
        exchange, _ = self._leg.reoffer(CODEC, direction, 5.0)
        assert exchange.final is not None
        assert exchange.final.status == 200, exchange.final

    def wait(self, seconds: float) -> None:
        self._session.loop.run_until(lambda: self._leg.ended is not None, seconds)

    def talk(self, seconds: float) -> None:
        audio, to = self._leg.audio, self._sends_to
        audio.control.start(Address(to.host, to.port + 1))
        if self.habits.speaks:
            audio.send(Address(to.host, to.port + self.habits.port_off), CODEC, self._hz)
        self._session.loop.run_until(lambda: self._leg.ended is not None, seconds)
        audio.stop()
        audio.control.leave()


Script = Callable[[NetPhone], object]


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
    alice: Script | None = None,
    bob: Script | None = None,
    at: tuple[str, str] = ("a", "b"),
    registers: bool = True,
    holds: bool = True,
) -> None:
    """Alice calls bob, both talk for `seconds`, alice hangs up. They are on the machines `at`.

    `before` runs when both have registered, `midway` half-way through the talk; `alice` and `bob`
    are what they do instead of that. Bob is somebody else's phone unless he `registers`. What `holds`
    says is whether all this is to succeed: if not, what fails is the test's own doing.
    """
    ready = threading.Event()

    def calls(phone: NetPhone) -> None:
        phone.call("bob")
        timer = threading.Timer(seconds / 2, midway)
        timer.start()
        phone.talk(seconds)
        timer.join()
        phone.hang_up()

    def is_called(phone: NetPhone) -> None:
        phone.answer("alice", waits=callee.waits)
        phone.talk(seconds + 5)
        phone.wait_ended()

    def party_b() -> None:
        with lab.inside(at[1]), NetPhone(server, "bob", BOB_HZ, callee) as phone:
            ready.set()
            (bob or is_called)(phone)

    def party_a() -> None:
        assert not registers or ready.wait(20)
        with lab.inside(at[0]), NetPhone(server, "alice", ALICE_HZ, caller) as phone:
            before()
            (alice or calls)(phone)

    with ThreadPoolExecutor(2) as pool:
        parties = [pool.submit(one) for one in ((party_a, party_b) if registers else (party_a,))]
        for party in parties:
            with suppress(*(() if holds else (AssertionError,))):
                party.result()
