"""What a load came to: counts, times and causes, while it runs and when it has ended.

The JSON form (`Round.to_dict`):

    what             str     "REGISTER" or "call"
    rate             float   asked for, a second
    seconds          float   for how long they were begun
    begun            int     registrations (with their challenge) or calls that were begun
    achieved         float   begun a second
    held_back        int     that were due and were not begun: too many waited for an answer, or
                             this machine was too slow
    succeeded        int
    failed           int
    causes           {str: int}   why they failed, as the server said it
    retransmissions  int     requests that had to be repeated (UDP)
    latency_ms       null | {min, p50, p90, p95, p99, max}: from the first request to the final
                     answer: the 200 to the second REGISTER, the 200 to the INVITE
    cpu              float   share of one core that this client took
    clean            bool    nothing failed, nothing was repeated, the rate was kept
"""

from __future__ import annotations

import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

# A round is clean that began at least this share of what was asked for.
KEPT = 0.98
# Seconds that the beginning may take beside.
_START_UP = 0.05
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_RECENT = 2000


def quantiles(seconds: Sequence[float]) -> dict[str, float] | None:
    """Milliseconds by name (nearest rank); None where nothing was measured."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    last = len(ordered) - 1
    found = {
        name: ordered[min(last, int(share * len(ordered)))] for name, share in _QUANTILES.items()
    }
    found = {"min": ordered[0], **found, "max": ordered[-1]}
    return {name: round(value * 1000, 3) for name, value in found.items()}


@dataclass(frozen=True)
class Snapshot:
    """How it goes at this moment. `rate` is what succeeded a second since the last snapshot."""

    what: str
    wanted: float
    elapsed: float
    duration: float
    rate: float
    begun: int
    in_flight: int
    succeeded: int
    failed: int
    retransmissions: int
    latency_ms: dict[str, float] | None
    causes: dict[str, int]


@dataclass(frozen=True)
class Round:
    """One load, ended."""

    what: str
    rate: float
    seconds: float
    begun: int
    held_back: int
    succeeded: int
    failed: int
    causes: dict[str, int]
    retransmissions: int
    latency_ms: dict[str, float] | None
    cpu: float
    # Whether something was begun late because too many waited for the server's answer.
    waited: bool = False

    @property
    def achieved(self) -> float:
        return self.begun / self.seconds if self.seconds else 0.0

    @property
    def kept(self) -> bool:
        """Whether the rate that was asked for was kept: all was begun, and in the time for it."""
        due = self.begun + self.held_back
        in_time = (self.seconds - _START_UP) * KEPT <= due / self.rate
        return self.held_back <= (1 - KEPT) * due and in_time

    @property
    def clean(self) -> bool:
        return not self.failed and not self.retransmissions and self.kept and self.begun > 0

    @property
    def server_bound(self) -> bool:
        """Whether it was the server that failed, or let too many wait."""
        return bool(self.failed or self.retransmissions or self.waited)

    @property
    def client_bound(self) -> bool:
        """Whether it was this client, not the server, that could not keep up."""
        return not self.kept and not self.failed and self.cpu > 0.9

    def to_dict(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "rate": self.rate,
            "seconds": round(self.seconds, 3),
            "begun": self.begun,
            "achieved": round(self.achieved, 1),
            "held_back": self.held_back,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "causes": self.causes,
            "retransmissions": self.retransmissions,
            "latency_ms": self.latency_ms,
            "cpu": round(self.cpu, 2),
            "clean": self.clean,
        }


@dataclass
class Tally:
    """Counts while it runs. `now` is the loop's clock, in seconds."""

    what: str
    rate: float
    duration: float
    now: Callable[[], float]
    begun: int = 0
    held_back: int = 0
    waited: bool = False
    succeeded: int = 0
    retransmissions: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    seconds: array[float] = field(default_factory=lambda: array("d"))
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _started: float = 0.0
    _cpu: float = 0.0
    _last: tuple[float, int] = (0.0, 0)

    def __post_init__(self) -> None:
        self._started, self._cpu = self.now(), time.process_time()
        self._last = (self._started, 0)

    @property
    def failed(self) -> int:
        return sum(self.causes.values())

    @property
    def in_flight(self) -> int:
        return self.begun - self.succeeded - self.failed

    def success(self) -> None:
        self.succeeded += 1

    def measured(self, seconds: float) -> None:
        """One latency."""
        self.seconds.append(seconds)
        self._recent.append(seconds)

    def failure(self, cause: str) -> None:
        self.causes[cause] += 1

    def snapshot(self) -> Snapshot:
        now = self.now()
        (before, count), self._last = self._last, (now, self.succeeded)
        return Snapshot(
            what=self.what,
            wanted=self.rate,
            elapsed=now - self._started,
            duration=self.duration,
            rate=(self.succeeded - count) / (now - before) if now > before else 0.0,
            begun=self.begun,
            in_flight=self.in_flight,
            succeeded=self.succeeded,
            failed=self.failed,
            retransmissions=self.retransmissions,
            latency_ms=quantiles(self._recent),
            causes=dict(self.causes.most_common()),
        )

    def ended(self, seconds: float) -> Round:
        """The round; `seconds` is for how long requests were begun."""
        elapsed = self.now() - self._started
        return Round(
            what=self.what,
            rate=self.rate,
            seconds=seconds,
            begun=self.begun,
            held_back=self.held_back,
            succeeded=self.succeeded,
            failed=self.failed,
            causes=dict(self.causes.most_common()),
            retransmissions=self.retransmissions,
            latency_ms=quantiles(self.seconds),
            cpu=(time.process_time() - self._cpu) / elapsed if elapsed else 0.0,
            waited=self.waited,
        )
