"""Leaving the terminal: two forks, a pid file, and the outcome of the start handed back."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


def detach(pidfile: str | None) -> Callable[[int], None]:
    """Go on in a daemon; the caller's process waits for its start and ends with the outcome.

    Returns, in the daemon, what to call with 0 once it is up and with an exit code when it is not;
    a daemon that dies without a word counts as 1. `pidfile` gets the daemon's number.
    """
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            said = pipe.read(1)
        os._exit(said[0] if said else 1)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.close(reader)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    if pidfile:
        # Stays behind when the start fails, as Flexisip's does.
        Path(pidfile).write_text(f"{os.getpid()}\n", encoding="ascii")

    def tell(returncode: int) -> None:
        os.write(writer, bytes([returncode & 0xFF]))
        os.close(writer)
        for stream in (1, 2):
            os.dup2(null, stream)

    return tell


def abort() -> NoReturn:
    """End as an uncaught C++ exception ends a process: by SIGABRT, without a core file."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.abort()
