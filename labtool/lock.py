"""One play at a time on a lab: a lock with an owner and a time.

The lock is an flock on `.labtool/lock` in the lab's directory. The kernel lets go of it when the
process ends, however it ends, so a killed labtool leaves no stale lock; the playbook that it had
started inherits the file and keeps the lab locked until it is done.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from labtool.errors import LockedError, RequestError


@contextlib.contextmanager
def locked(lab: Path, command: str) -> Iterator[int]:
    """Hold the lab's lock; yields the descriptor that a child process may inherit.

    Raises LockedError naming the owner, and since when, where somebody else holds it.
    """
    path = lab / ".labtool" / "lock"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RequestError(f"The lab {lab} cannot be locked: {error.strerror}: {path}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(_held_by(descriptor, lab)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, _owner(command).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _owner(command: str) -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # In a container a user may be a number alone (OSError from Python 3.13 on).
        user = f"uid {os.getuid()}"
    return json.dumps(
        {
            "user": user,
            "machine": socket.gethostname(),
            "pid": os.getpid(),
            "command": command,
            "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        }
    )


def _held_by(descriptor: int, lab: Path) -> str:
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        if owner["machine"] == socket.gethostname() and not Path(f"/proc/{owner['pid']}").exists():
            return (
                f"A play on the lab {lab}, begun {owner['since']} (labtool {owner['command']}), still "
                "runs, although the labtool that began it has ended. Try again in a minute."
            )
        return (
            f"{owner['user']} on {owner['machine']} holds the lab {lab} since {owner['since']} "
            f"(labtool {owner['command']}, process {owner['pid']}). Try again when that is done."
        )
    except (ValueError, KeyError, TypeError):
        return f"Somebody else holds the lab {lab}. Try again when that is done."
