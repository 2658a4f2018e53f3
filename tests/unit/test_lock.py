"""One at a time on a lab: the lock names its owner, and goes when the owner goes."""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labtool.errors import LockedError
from labtool.lock import locked

HOLD = """
import sys, time
from pathlib import Path
from labtool.lock import locked
with locked(Path(sys.argv[1]), "deploy"):
    print("held", flush=True)
    sys.stdin.read()
"""
# Holds the lock, starts a child that inherits it, and dies: as a killed labtool leaves its playbook.
INHERIT = """
import os, signal, subprocess, sys
from pathlib import Path
from labtool.lock import locked
with locked(Path(sys.argv[1]), "deploy") as descriptor:
    child = subprocess.Popen(["cat"], pass_fds=(descriptor,))
    print("held", child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@contextmanager
def process(script: str, lab: Path) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(lab)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            assert stream is not None
            stream.close()


def test_a_second_one_is_told_who_holds_the_lab_and_since_when(tmp_path: Path) -> None:
    with process(HOLD, tmp_path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError) as refused, locked(tmp_path, "add-user"):
            pass
    sentence = str(refused.value)
    assert sentence.startswith(f"{getpass.getuser()} on ")
    assert f"(labtool deploy, process {holder.pid})" in sentence
    assert " since 20" in sentence
    assert refused.value.exit_code == 4


def test_the_lock_is_gone_when_its_holder_is_done(tmp_path: Path) -> None:
    for command in ("deploy", "add-user"):
        with locked(tmp_path, command):
            owner = json.loads((tmp_path / ".labtool" / "lock").read_text())
            assert owner["command"] == command
            assert owner["pid"] == os.getpid()


def test_the_lock_is_gone_when_its_holder_is_killed(tmp_path: Path) -> None:
    with process(HOLD, tmp_path) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with locked(tmp_path, "add-user"):
            pass


def test_the_playbook_of_a_killed_labtool_keeps_the_lab_locked_until_it_ends(
    tmp_path: Path,
) -> None:
    with process(INHERIT, tmp_path) as holder:
        assert holder.stdout is not None
        heir = int(holder.stdout.readline().split()[1])
        holder.wait()
        with pytest.raises(LockedError), locked(tmp_path, "add-user"):
            pass
        # Its standard input is a pipe of ours: it ends, and the lock with it.
        assert holder.stdin is not None
        holder.stdin.close()
    wait_for_end(heir)
    with locked(tmp_path, "add-user"):
        pass


def wait_for_end(pid: int) -> None:
    """Until a process that is not our child has ended (pidfd is Linux 5.3's)."""
    import select

    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([descriptor], [], [], 5)[0], "the heir of the lock does not end"
    os.close(descriptor)


def test_an_owner_that_cannot_be_read_is_nobody_by_name(tmp_path: Path) -> None:
    with process(HOLD, tmp_path) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        (tmp_path / ".labtool" / "lock").write_text("[]")
        with (
            pytest.raises(LockedError, match="Somebody else holds the lab"),
            locked(tmp_path, "add-user"),
        ):
            pass


def test_a_user_without_a_name_may_lock_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that was started with a number for a user."""

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nameless)
    with locked(tmp_path, "deploy"):
        owner = json.loads((tmp_path / ".labtool" / "lock").read_text())
    assert owner["user"] == f"uid {os.getuid()}"


def test_the_lock_is_for_its_owner_alone(tmp_path: Path) -> None:
    with locked(tmp_path, "deploy"):
        assert (tmp_path / ".labtool").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / ".labtool" / "lock").stat().st_mode & 0o777 == 0o600
