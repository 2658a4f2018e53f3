"""A load: many users register, or call each other, at a steady rate; what the server makes of it.

    result = load.run(Plan(target="127.0.0.1", accounts=accounts, rate=100, duration=10))
    limit = load.find_limit(plan)

Requests are begun on time whatever the server does ("open loop"), as users do; so a server that is
too slow is seen to be. `Limit.to_dict` has the rounds of the search and `rate`, the highest that was
clean; the form of a round is in `load_statistics`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from labtool.errors import RequestError, UnreachableError
from labtool.probe.account import Account
from labtool.probe.load_calls import Calls
from labtool.probe.load_phones import Phones
from labtool.probe.load_registrations import Registrations
from labtool.probe.load_statistics import Round, Snapshot, Tally
from labtool.probe.session import Tls
from labtool.probe.target import NameNotResolved, Target, resolve
from labtool.sip.loop import Loop

# Not a weapon: what a lab's server can be asked, and no more.
MAX_USERS = 10_000
MAX_RATE = 20_000.0
MAX_DURATION = 600.0
_MAX_ROUNDS = 24
# The search ends when the highest clean rate and the lowest that was not are this close.
_CLOSE = 1.08
# Signing in before and out after, a second.
_GENTLE, _BRISK = 300.0, 1000.0
_WATCH = 0.25  # seconds between two snapshots
_TICK = 0.005
# So many may wait while lost time is made up for, or as many as a tenth of a second brings: a usual
# UDP socket has room for about that.
_CATCHING_UP = 150
_LATE = 0.05  # of a round's time

Watch = Callable[[Snapshot], object]


@dataclass(frozen=True)
class Plan:
    """What to do. `rate` is a second, `duration`, `hold` and `timeout` are in seconds.

    `in_flight` is how many may wait for their answer at once. `hold` is how long a call lasts.
    """

    target: Target | str
    accounts: Sequence[Account] = field(repr=False)
    rate: float = 10.0
    duration: float = 10.0
    transport: str = "udp"
    calls: bool = False
    hold: float = 0.5
    timeout: float = 8.0
    in_flight: int = 2000
    tls: Tls = field(default_factory=Tls)

    def checked(self) -> Plan:
        """The same; RequestError for what makes no sense or is too much."""
        users = len(self.accounts)
        if not 1 <= users <= MAX_USERS:
            raise RequestError(f"A load needs 1 to {MAX_USERS:,} users, not {users:,}.")
        if self.calls and users < 2:
            raise RequestError("A load of calls needs two users at least.")
        if not 0 < self.rate <= MAX_RATE:
            raise RequestError(f"A rate is more than 0 and at most {MAX_RATE:,.0f} a second.")
        if not 0 < self.duration <= MAX_DURATION:
            raise RequestError(f"A load lasts at most {MAX_DURATION:.0f} seconds.")
        return self


@dataclass(frozen=True)
class Limit:
    """What a search found. `rate` is the highest clean one that was kept, a second; 0 for none.

    `why` says what ended it: "server", "client" (this machine could not ask faster), "unknown"
    (this machine was late, nothing waited for an answer) or "bound" (the most that may be asked).
    """

    rate: float
    why: str
    rounds: tuple[Round, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "limit": round(self.rate, 1),
            "why": self.why,
            "rounds": [one.to_dict() for one in self.rounds],
        }


class _Work(Protocol):
    tally: Tally | None

    @property
    def in_flight(self) -> int: ...
    @property
    def ready(self) -> bool: ...
    def begin(self) -> None: ...
    def sweep(self) -> None: ...


class Load:
    """The users of a plan, signed out again and closed on leaving. Raises UnreachableError."""

    def __init__(self, plan: Plan, *, loop: Loop | None = None) -> None:
        self.plan = plan = plan.checked()
        self._own_loop = loop is None
        self.loop = loop or Loop()
        target = Target.parse(plan.target) if isinstance(plan.target, str) else plan.target
        tls = name = None
        if plan.transport == "tls":
            tls, host = plan.tls.context(), target.host
            numeric = ":" in host or host.replace(".", "").isdigit()
            name = plan.tls.server_name or (plan.accounts[0].domain if numeric else host)
        try:
            remote = resolve(target, plan.transport)[0]
            self._phones = Phones(
                self.loop, plan.accounts, plan.transport, remote, tls=tls, server_name=name
            )
        except (NameNotResolved, OSError) as error:
            raise UnreachableError(f"There is no way to {target}: {error}") from error
        self._registrations = Registrations(self._phones, plan.timeout)
        self._work: _Work = self._registrations
        if plan.calls:
            self._work = Calls(self._phones, self._registrations, plan.hold, plan.timeout)

    def __enter__(self) -> Load:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._settle()
            self._sign_out()
        finally:
            self._phones.close()
            if self._own_loop:
                self.loop.close()

    def sign_in(self) -> None:
        """What calls need first. Raises UnreachableError where a user can't, with the reason."""
        tally = self._registrations.tally = Tally("REGISTER", _GENTLE, 0.0, self.loop.now)
        count = len(self._phones.all)
        while tally.begun < count and not tally.failed:
            self._pace(self._registrations, tally, count, _GENTLE, None)
        self._registrations.tally = None
        if tally.failed:
            why, many = tally.causes.most_common(1)[0]
            raise UnreachableError(f"{many} of {count} users could not register: {why}.")

    def round(self, rate: float, duration: float, watch: Watch | None = None) -> Round:
        """One load at that rate; returns when nothing waits for an answer any more."""
        what = "call" if self.plan.calls else "REGISTER"
        tally = self._work.tally = Tally(what, rate, duration, self.loop.now)
        seconds = self._pace(self._work, tally, max(1, round(rate * duration)), rate, watch)
        self._work.tally = None
        return tally.ended(seconds)

    def _pace(
        self, work: _Work, tally: Tally, total: int, rate: float, watch: Watch | None
    ) -> float:
        """Begin at `rate` a second until `total` are begun, as far as may wait at once. Returns for
        how many seconds they were begun, when all have ended."""
        now, run = self.loop.now, self.loop.run_once
        started = shown = now()
        before = tally.begun
        end = started + (total - before) / rate
        at_once = self.plan.in_flight + int(rate * self.plan.hold) * self.plan.calls
        catching_up = max(_CATCHING_UP, int(rate / 10))
        # This process may be late for a moment without its rate being another.
        last = end + _LATE * (end - started) + 0.3
        while (at := now()) < last:
            due = min(total, before + int((at - started) * rate) + 1)
            # Lost time is made up for gently: a burst that the server's socket has no room for
            # would be this client's fault.
            limit = at_once if due - tally.begun <= catching_up else min(at_once, catching_up)
            for _ in range(min(due - tally.begun, catching_up)):
                if work.in_flight >= limit or not work.ready:
                    tally.waited = True
                    break
                tally.begun += 1
                work.begin()
            if tally.begun >= total:
                break
            pause = started + (tally.begun - before) / rate - now()
            waiting = work.in_flight >= limit or not work.ready
            run(_TICK if waiting else min(max(pause, 0.0), _TICK))
            work.sweep()
            if watch is not None and now() - shown >= _WATCH:
                shown = now()
                watch(tally.snapshot())
        took = max(now() - started, 1e-6)
        tally.held_back = total - tally.begun
        patience = now() + self.plan.timeout + self.plan.hold + 1.0
        while work.in_flight and now() < patience:
            run(_TICK)
            work.sweep()
            if watch is not None and now() - shown >= _WATCH:
                shown = now()
                watch(tally.snapshot())
        return took if tally.held_back else max(took, end - started)

    def _settle(self) -> None:
        """Where this was interrupted: end the calls, and hear what is on its way."""
        if isinstance(self._work, Calls):
            self._work.hang_up()
        patience = self.loop.now() + 2.0
        while self._work.in_flight and self.loop.now() < patience:
            self.loop.run_once(_TICK)
            self._work.sweep()

    def _sign_out(self) -> None:
        """Take away the contacts that this load has added, as far as the server lets it."""
        gone = [phone for phone in self._phones.all if phone.registered]
        tally = self._registrations.tally = Tally("sign out", _BRISK, 0.0, self.loop.now)
        self._registrations.timeout = min(self._registrations.timeout, 2.0)
        started = self.loop.now()
        for count, phone in enumerate(gone):
            self._registrations.remove(phone)
            while self.loop.now() < started + count / _BRISK:
                self.loop.run_once(_TICK)
            self._registrations.sweep()
            if tally.failed > 10:  # it is not listening any more
                break
        patience = self.loop.now() + 3.0
        while self._registrations.in_flight and self.loop.now() < patience:
            self.loop.run_once(_TICK)
            self._registrations.sweep()


def run(plan: Plan, *, watch: Watch | None = None, loop: Loop | None = None) -> Round:
    """One load. `watch` is called four times a second. Raises RequestError, UnreachableError."""
    with Load(plan, loop=loop) as load:
        if plan.calls:
            load.sign_in()
        return load.round(plan.rate, plan.duration, watch)


def find_limit(
    plan: Plan,
    *,
    watch: Watch | None = None,
    on_round: Callable[[Round], object] | None = None,
    loop: Loop | None = None,
) -> Limit:
    """The highest clean rate: `plan.rate` is doubled until it is not clean, then narrowed down.

    Each round lasts `plan.duration`. A rate that fails is tried once more before it counts.
    """
    rounds: list[Round] = []
    with Load(plan, loop=loop) as load:
        if plan.calls:
            load.sign_in()

        def tried(rate: float) -> Round:
            for attempt in (1, 2):
                made = load.round(rate, plan.duration, watch)
                rounds.append(made)
                if on_round is not None:
                    on_round(made)
                load.loop.run_until(lambda: False, 0.5)  # what is late comes now
                if made.clean or attempt == 2 or len(rounds) >= _MAX_ROUNDS:
                    break
            return made

        return _search(tried, plan.rate, rounds)


def _search(tried: Callable[[float], Round], rate: float, rounds: list[Round]) -> Limit:
    low, high = 0.0, 0.0
    why, worst = "server", None
    while len(rounds) < _MAX_ROUNDS:
        made = tried(rate)
        if made.clean:
            low = rate
            if rate >= MAX_RATE:
                why = "bound"
                break
        else:
            high, worst = rate, made
        if high and low and high / low <= _CLOSE:
            break
        if high and not low and rate < 1:
            break
        rate = (low + high) / 2 if low and high else min(2 * low, MAX_RATE) or high / 2
    if worst is not None and worst.client_bound:
        why = "client"
    elif worst is not None and why == "server" and not worst.server_bound:
        why = "unknown"
    return Limit(low, why, tuple(rounds))
