"""The teacher's machine: a folder with a lab in it, where `labtool` is run as a person runs it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .container import Container

DOMAIN = "sip.example.test"
DEPLOY_S = 300


@dataclass(frozen=True)
class Ran:
    """What a command printed and returned."""

    arguments: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of `--json`."""
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]

    @property
    def tasks(self) -> list[str]:
        """The tasks that Ansible came to, skipped ones too."""
        return [event["name"] for event in self.events if event["event"] == "task"]

    def last(self, event: str) -> dict[str, Any]:
        """The last event of this name."""
        return next(one for one in reversed(self.events) if one["event"] == event)


class Controller:
    """Runs labtool in `folder`, with known hosts of its own."""

    def __init__(self, folder: Path, login_file: Path) -> None:
        self.folder = folder
        self.identity = login_file
        self.known_hosts = folder / "known_hosts"
        self.commands: set[str] = set()

    @property
    def environment(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("LABTOOL_", "ANSIBLE_"))}
        return clean | {"LABTOOL_KNOWN_HOSTS": str(self.known_hosts)}

    @property
    def lab_file(self) -> Path:
        return self.folder / "inventory" / "group_vars" / "flexisip" / "lab.yml"

    @property
    def users_file(self) -> Path:
        return self.folder / "inventory" / "group_vars" / "flexisip" / "users.yml"

    def knows(self, *hosts: Container) -> None:
        """The keys of these hosts are known already."""
        self.known_hosts.write_text("".join(host.known_hosts for host in hosts))

    def start(
        self, *arguments: str, before: tuple[str, ...] = (), stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[str]:
        """Start labtool, in a process group of its own as a terminal does.

        before: the words of a command that runs it.
        """
        return subprocess.Popen(
            [*before, sys.executable, "-m", "labtool", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def typed(self, answer: str, *arguments: str) -> Ran:
        """`run`, by a person who types this answer at the terminal."""
        ours, terminal = pty.openpty()
        done = threading.Event()

        def types() -> None:
            # What is typed before the question is thrown away, as getpass does.
            for _ in range(50):
                if done.wait(0.2):
                    return
                os.write(ours, f"{answer}\n".encode())

        typist = threading.Thread(target=types, daemon=True)
        typist.start()
        try:
            return self.run(*arguments, stdin=terminal)
        finally:
            done.set()
            typist.join()
            os.close(ours)
            os.close(terminal)

    def run(
        self, *arguments: str, timeout_s: float = DEPLOY_S, stdin: int = subprocess.DEVNULL
    ) -> Ran:
        """Run labtool to its end, and note every command line that exists meanwhile."""
        child = self.start(*arguments, stdin=stdin)
        watching = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(watching,), daemon=True)
        watcher.start()
        try:
            stdout, stderr = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            stdout, stderr = child.communicate()
            raise AssertionError(f"labtool {arguments} does not end:\n{stdout}{stderr}") from None
        finally:
            watching.set()
            watcher.join()
        return Ran(arguments, child.returncode, stdout, stderr)

    def deploy(self, host: Container, *more: str) -> Ran:
        """`labtool deploy --host`, with everything that a first deployment needs."""
        return self.run(
            "deploy",
            "--host",
            host.address,
            "--domain",
            DOMAIN,
            "--identity",
            str(self.identity),
            "--json",
            *more,
        )

    def _watch(self, done: threading.Event) -> None:
        while not done.wait(0.05):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.commands.add(
                        file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    )
                except OSError:
                    continue


def passwords(ran: Ran) -> dict[str, str]:
    """The passwords that a deployment showed."""
    lines = ran.stderr.partition("shown this once:\n")[2].splitlines()
    return dict(line.split() for line in lines if len(line.split()) == 2)


def wait_for(condition: Any, seconds: float = 30.0) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False
