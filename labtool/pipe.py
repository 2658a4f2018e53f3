"""A command that runs, on this machine or over SSH, and gives bytes until its input is closed.

Whatever runs that way ends with its input: so nothing is left behind where a connection is lost, or
where this program is killed.
"""

from __future__ import annotations

import selectors
import subprocess
import time
from typing import TYPE_CHECKING, Protocol

from labtool.errors import UnreachableError

if TYPE_CHECKING:
    import paramiko

_CHUNK = 1 << 16
_ENOUGH = 1 << 16  # of what a command says on stderr
_END_S = 5.0


class Pipe(Protocol):
    """A running command."""

    def read(self, timeout_s: float) -> bytes | None:
        """What it wrote; b"" at its end, None when nothing came in time."""

    def end_input(self) -> None:
        """Close its input: it is to end."""

    def close(self) -> int:
        """Wait for its end, for a few seconds; the return code, -1 where it is not known."""

    @property
    def errors(self) -> str:
        """What it has said on stderr so far."""


class Process:
    """A command of this machine."""

    def __init__(self, command: str) -> None:
        self._errors = b""
        self._child = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us: it ends by its input
        )
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._out, self._said = self._child.stdout, self._child.stderr
        self._selector = selectors.DefaultSelector()
        for stream in (self._out, self._said):
            self._selector.register(stream, selectors.EVENT_READ)

    def read(self, timeout_s: float) -> bytes | None:
        deadline = time.monotonic() + timeout_s
        while self._selector.get_map():
            ready = self._selector.select(max(deadline - time.monotonic(), 0))
            if not ready:
                return None
            for key, _ in ready:
                chunk: bytes = key.fileobj.read1(_CHUNK)  # type: ignore[union-attr]
                if not chunk:
                    self._selector.unregister(key.fileobj)
                elif key.fileobj is self._said:
                    self._errors = (self._errors + chunk)[-_ENOUGH:]
                else:
                    return chunk
        return b""

    def end_input(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()

    def close(self) -> int:
        self.end_input()
        try:
            code = self._child.wait(_END_S)
        except subprocess.TimeoutExpired:
            code = -1
        self._selector.close()
        self._out.close()
        self._said.close()
        return code

    @property
    def errors(self) -> str:
        return self._errors.decode(errors="replace")


class Channel:
    """A command over SSH."""

    def __init__(self, channel: paramiko.Channel, command: str) -> None:
        self._channel = channel
        self._errors = b""
        channel.exec_command(command)

    def read(self, timeout_s: float) -> bytes | None:
        self._channel.settimeout(timeout_s)
        try:
            chunk = self._channel.recv(_CHUNK)
        except TimeoutError:
            self._listen()
            return None
        self._listen()
        transport = self._channel.get_transport()
        if not chunk and not self._channel.exit_status_ready() and not transport.is_active():
            raise UnreachableError("The connection was lost.")
        return chunk

    def _listen(self) -> None:
        while self._channel.recv_stderr_ready():
            self._errors = (self._errors + self._channel.recv_stderr(_CHUNK))[-_ENOUGH:]

    def end_input(self) -> None:
        self._channel.shutdown_write()

    def close(self) -> int:
        self.end_input()
        known = self._channel.status_event.wait(_END_S)
        self._listen()
        code = self._channel.recv_exit_status() if known else -1
        self._channel.close()
        return code

    @property
    def errors(self) -> str:
        return self._errors.decode(errors="replace")
