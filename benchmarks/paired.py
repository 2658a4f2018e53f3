"""Timing two things in turn, so that a machine whose speed drifts slows both alike."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """Wall-clock and CPU seconds (of the children that ended meanwhile)."""

    wall: float
    cpu: float


def timed(do: Callable[[], object]) -> Run:
    """Run it once."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    do()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, used)


def paired(
    ours: Callable[[], object], theirs: Callable[[], object], runs: int, *, warm_up: int = 1
) -> tuple[list[Run], list[Run]]:
    """Ours, theirs, ours, theirs, ... after a warm-up of each."""
    for _ in range(warm_up):
        ours()
        theirs()
    pairs = [(timed(ours), timed(theirs)) for _ in range(runs)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def report(name: str, runs: list[Run]) -> None:
    """A line: median, least and greatest wall-clock seconds, median CPU seconds."""
    walls = sorted(run.wall for run in runs)
    cpu = statistics.median(run.cpu for run in runs)
    print(
        f"{name:<34} wall {statistics.median(walls):7.3f} s  ({walls[0]:.3f} to {walls[-1]:.3f})"
        f"   cpu {cpu:6.3f} s"
    )


def ratio(ours: list[Run], theirs: list[Run]) -> float:
    """The median of the ratios, pair by pair, of wall-clock time."""
    return statistics.median(a.wall / b.wall for a, b in zip(ours, theirs, strict=True))
