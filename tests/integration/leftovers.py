"""Containers that a killed test session left behind: known by a label, removed by the next one."""

from __future__ import annotations

import os
from pathlib import Path

from .engine import Engine

KIND = "labtool.test"
OWNER = "labtool.owner"


def labels(kind: str) -> list[str]:
    """Options of `docker run` that tie a container to this process, for `sweep`."""
    return [f"--label={KIND}={kind}", f"--label={OWNER}={_this_process()}"]


def sweep(engine: Engine) -> int:
    """Remove the containers of test sessions that are no more; how many there were."""
    listed = engine.run(
        "ps",
        "--all",
        "--filter",
        f"label={KIND}",
        "--format",
        f'{{{{.ID}}}} {{{{.Label "{OWNER}"}}}}',
    )
    stale = [line.split()[0] for line in listed.splitlines() if not _lives(line.split()[1:])]
    if stale:
        engine.run("rm", "--force", "--volumes", *stale)
    return len(stale)


def _this_process() -> str:
    return f"{os.getpid()}.{_started(os.getpid())}"


def _lives(owner: list[str]) -> bool:
    if not owner:
        return False
    pid, _, started = owner[0].partition(".")
    try:
        return _started(int(pid)) == started
    except (OSError, ValueError):
        return False


def _started(pid: int) -> str:
    """When a process began, in clock ticks since boot: with its number it names the process."""
    # proc(5): field 22, counted after the command, which may hold blanks and parentheses.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
