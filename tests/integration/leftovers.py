"""What a killed test session leaves behind, tied to its process, and removed by the next session."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .engine import Engine

KIND = "labtool.test"
OWNER = "labtool.owner"


def labels(kind: str) -> list[str]:
    """Options of `docker run` that tie a container to this process, for `sweep`."""
    return [f"--label={KIND}={kind}", f"--label={OWNER}={this_process()}"]


def gpg_home() -> Path:
    """A new GnuPG home. Not in pytest's folder: its agent's socket must fit into 108 bytes."""
    return Path(tempfile.mkdtemp(prefix=f"labtool-gpg-{this_process()}-"))


def sweep(engine: Engine) -> int:
    """Remove what test sessions that are no more left behind; how many containers that were."""
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
    for folder in Path(tempfile.gettempdir()).glob("labtool-gpg-*.*-*"):
        if not _lives(folder.name.split("-")[2:3]):
            end_gpg(folder)
    return len(stale)


def end_gpg(home: Path) -> None:
    """End the agent of a GnuPG home and delete the home, private key and all."""
    command = ["gpgconf", "--homedir", str(home), "--kill", "all"]
    subprocess.run(command, capture_output=True, check=False)
    shutil.rmtree(home, ignore_errors=True)


def this_process() -> str:
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
