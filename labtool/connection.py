"""An SSH connection opened with a password, shared by every task of a play, without sshpass.

OpenSSH asks for a password through a program (SSH_ASKPASS). labtool opens one master connection so,
and Ansible's ssh uses that (ControlPath): the password is on no command line, in no environment and
no log, only in a 0600 file of a 0700 folder for as long as the login takes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from labtool.errors import LabtoolError, UnreachableError
from labtool.inventory import Host
from labtool.remote import CONNECT_S, known_hosts_option, ssh_user

_ASKPASS = '#!/bin/sh\nexec cat "${0%/*}/password"\n'


@contextlib.contextmanager
def master(host: Host, password: str) -> Iterator[str]:
    """Open the shared connection; yields its ControlPath. Closed on the way out.

    Raises UnreachableError with OpenSSH's own words where the login fails.
    """
    if shutil.which("ssh") is None:
        raise LabtoolError("The program ssh is missing. Install it: apt-get install openssh-client")
    with tempfile.TemporaryDirectory(prefix="labtool-") as folder:
        control = f"{folder}/%C"
        _open(host, password, Path(folder), control)
        try:
            yield control
        finally:
            _close(host, control)


@contextlib.contextmanager
def shared(host: Host, password: str | None) -> Iterator[str]:
    """A ControlPath that several ssh commands share: opened with the password, or by the first.

    Closed on the way out. Raises as `master` does.
    """
    if password is not None and not host.local:
        with master(host, password) as control:
            yield control
        return
    with tempfile.TemporaryDirectory(prefix="labtool-") as folder:
        control = f"{folder}/%C"
        try:
            yield control
        finally:
            if any(file.is_socket() for file in Path(folder).iterdir()):
                _close(host, control)


def _close(host: Host, control: str) -> None:
    subprocess.run(
        ["ssh", "-o", f"ControlPath={control}", "-O", "exit", *_destination(host)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def _destination(host: Host) -> list[str]:
    port = ["-p", str(host.port)] if host.port else []
    return [*port, "-l", ssh_user(host), "--", host.address]


def _open(host: Host, password: str, folder: Path, control: str) -> None:
    askpass = folder / "askpass"
    secret = folder / "password"
    askpass.write_text(_ASKPASS)
    askpass.chmod(0o700)
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(password + "\n")
    options = {
        "ControlMaster": "yes",
        "ControlPath": control,
        "ControlPersist": "10m",
        "ConnectTimeout": str(int(CONNECT_S)),
        "PreferredAuthentications": "password,keyboard-interactive",
        "NumberOfPasswordPrompts": "1",
        # labtool has asked about the key already, with the same known_hosts.
        "StrictHostKeyChecking": "yes",
        "ServerAliveInterval": "15",
    }
    argv = ["ssh", "-f", "-N", *(f"-o{key}={value}" for key, value in options.items())]
    argv += known_hosts_option()
    # SSH_ASKPASS_REQUIRE is OpenSSH 8.4's; before that a DISPLAY and no terminal have it asked.
    variables = os.environ | {
        "SSH_ASKPASS": str(askpass),
        "SSH_ASKPASS_REQUIRE": "force",
        "DISPLAY": os.environ.get("DISPLAY", ":0"),
    }
    # The connection goes on in the background; its words go to a file, so that no pipe waits for it.
    words = folder / "words"
    try:
        with words.open("w") as stream:
            done = subprocess.run(
                [*argv, *_destination(host)],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stream,
                start_new_session=True,
                timeout=4 * CONNECT_S,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise UnreachableError(f"{host.address} does not finish the login.") from None
    finally:
        secret.unlink()
    if done.returncode != 0:
        said = words.read_text(errors="replace").strip().splitlines()
        raise UnreachableError(
            f"ssh to {host.address} failed: {said[-1] if said else f'exit {done.returncode}'}"
        )
