"""An SSH server on loopback for the tests of labtool.remote: one user, a password and a key."""

from __future__ import annotations

import io
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

USER = "teacher"
PASSWORD = "right horse"


def new_key() -> tuple[paramiko.Ed25519Key, str]:
    """An Ed25519 key, and its file."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
    )
    return paramiko.Ed25519Key.from_private_key(io.StringIO(pem.decode())), pem.decode()


class _Interface(paramiko.ServerInterface):
    """`sessions` False refuses every session, as a server does that is full."""

    def __init__(self, authorized: paramiko.PKey | None, sessions: bool) -> None:
        self._authorized, self._sessions = authorized, sessions

    def get_allowed_auths(self, username: str) -> str:
        return "password,publickey"

    def check_auth_password(self, username: str, password: str) -> int:
        right = (username, password) == (USER, PASSWORD)
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        right = username == USER and key == self._authorized
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if self._sessions:
            return paramiko.OPEN_SUCCEEDED
        return paramiko.OPEN_FAILED_RESOURCE_SHORTAGE

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=_run, args=(channel, command), daemon=True).start()
        return True


def _run(channel: paramiko.Channel, command: bytes) -> None:
    if command.endswith(b" kill"):
        channel.get_transport().close()
        return
    # No sudo here: what it would run is run.
    shell = command.decode().removeprefix("sudo -n ")
    done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, check=False)
    channel.sendall(done.stdout)
    channel.sendall_stderr(done.stderr)
    channel.send_exit_status(done.returncode)
    channel.close()


@dataclass
class SshServer:
    port: int
    host_key: paramiko.PKey


@contextmanager
def serving(
    host_key: paramiko.PKey, authorized: paramiko.PKey | None = None, *, sessions: bool = True
) -> Iterator[SshServer]:
    """Serve on a free port of 127.0.0.1 until the end of the block."""
    transports: list[paramiko.Transport] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transports.append(transport)
            transport.add_server_key(host_key)
            # With an event it does not wait for the handshake, which a client may leave.
            transport.start_server(threading.Event(), _Interface(authorized, sessions))

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield SshServer(listener.getsockname()[1], host_key)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        for transport in transports:
            transport.close()
