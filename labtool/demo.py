"""`labtool demo`: the whole story on this machine, without a server and without root.

Ansible renders flexisip.conf and users.db.txt from the templates that a server gets; the embedded
server starts from those two files as a process of its own; two users register, a wrong password is
refused, one calls the other with sound both ways; the packets are kept and drawn.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labtool import accounts, inventory, operation, playbook, probe, resources
from labtool.errors import LabtoolError, RequestError
from labtool.inventory import Host
from labtool.operation import Access, Progress
from labtool.sip.digest import Password

if TYPE_CHECKING:
    from labtool.probe.result import Result
    from labtool.sip.flow import Packet
    from labtool.trace.ladder import Ladder

DOMAIN = "sip.example.test"
# How long the embedded server may take to listen, seconds.
_START_S = 10.0
# A folder that the demo made says so, and only such a folder is used again.
_MARK = "made-by-labtool-demo"


@dataclass(frozen=True)
class Step:
    """A step of the demo that is not a probe's: what was done, whether it went well, seconds."""

    name: str
    ok: bool
    detail: str
    seconds: float


@dataclass(frozen=True)
class Demo:
    """What came of it, and the files it left."""

    steps: tuple[Step, ...]
    results: tuple[Result, ...]
    ladder: Ladder | None
    folder: Path
    files: tuple[Path, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps) and all(result.ok for result in self.results)

    def to_dict(self) -> dict[str, object]:
        """result.json. No secret is in it."""
        return {
            "ok": self.ok,
            "seconds": round(self.seconds, 3),
            "steps": [
                {"name": s.name, "ok": s.ok, "detail": s.detail, "seconds": round(s.seconds, 3)}
                for s in self.steps
            ],
            "checks": [result.to_dict() for result in self.results],
            "files": [file.name for file in self.files],
        }


def run(
    folder: Path,
    progress: Progress,
    on_step: Callable[[Step], None],
    on_result: Callable[[Result], None],
    *,
    seconds: float = 2.0,
) -> Demo:
    """Run the demo in a folder, which is made, or emptied where an earlier demo made it.

    `seconds` of sound. Raises RequestError where the folder is somebody else's, LabtoolError where
    the embedded server does not start.
    """
    started = time.monotonic()
    folder = folder.resolve()
    _prepare(folder)
    steps: list[Step] = []
    results: list[Result] = []

    def step(name: str, detail: str, since: float, *, ok: bool = True) -> None:
        steps.append(Step(name, ok, detail, time.monotonic() - since))
        on_step(steps[-1])

    def check(result: Result) -> None:
        results.append(result)
        on_result(result)

    begun = time.monotonic()
    port = _free_port()
    passwords = _make_lab(folder / "inventory", port)
    rendered = _render(folder, progress)
    step(
        "Render", f"{len(rendered)} files by Ansible, from the templates that a server gets", begun
    )

    packets: list[Packet] = []
    begun = time.monotonic()
    with _server(folder, rendered[0]) as listening:
        step("Start the embedded server", f"from those files, on {listening}", begun)
        target = probe.Target("127.0.0.1", port)
        alice, bob = (
            probe.Account(name, DOMAIN, Password(passwords[name]), transport)
            for name, transport in zip(accounts.FIRST_USERS, ("udp", "tcp"), strict=True)
        )
        for account in (alice, bob):
            check(probe.register(target, account.transport, account.user, DOMAIN, account.secret))
        check(probe.check_wrong_password(target, "udp", alice.user, DOMAIN))
        check(probe.call(target, caller=alice, callee=bob, seconds=seconds, tap=packets.append))

    begun = time.monotonic()
    capture, ladder = _draw(folder / "call.pcap", packets)
    step("Read the capture back", f"{len(packets)} packets", begun, ok=bool(packets))
    result_file = folder / "result.json"
    files = (*rendered, capture, result_file)
    demo = Demo(tuple(steps), tuple(results), ladder, folder, files, time.monotonic() - started)
    result_file.write_text(json.dumps(demo.to_dict(), indent=2, ensure_ascii=False) + "\n")
    return demo


def _prepare(folder: Path) -> None:
    import shutil

    try:
        if folder.exists() and any(folder.iterdir()):
            if not (folder / _MARK).is_file():
                raise RequestError(
                    f"The folder {folder} has files that the demo did not make. Name another: -o DIR"
                )
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / _MARK).write_text("The next `labtool demo` empties this folder.\n")
    except OSError as error:
        raise RequestError(f"The folder {folder} cannot be used: {error.strerror}") from error


def _free_port() -> int:
    """A port that is free for UDP and TCP on loopback; 5060 where it can be had."""
    for wanted in (5060, 0, 0, 0, 0):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            try:
                tcp.bind(("127.0.0.1", wanted))
                udp.bind(("127.0.0.1", tcp.getsockname()[1]))
            except OSError:
                continue
            return int(tcp.getsockname()[1])
    raise LabtoolError("No port of 127.0.0.1 is free for both UDP and TCP.")


def _make_lab(path: Path, port: int) -> dict[str, str]:
    """A lab like any other, on this machine; returns the passwords of its two users."""
    inventory.initialise(path, domain=DOMAIN)
    lab = inventory.set_options(inventory.read(path), {"flexisip_port": port})
    lab = inventory.add_host(lab, Host("localhost", "localhost", local=True))
    made = [accounts.account(name, DOMAIN) for name in accounts.FIRST_USERS]
    inventory.write_accounts(lab, tuple(account for account, _ in made))
    return {account.name: password for account, password in made}


def _render(folder: Path, progress: Progress) -> tuple[Path, Path]:
    configuration, users = folder / "flexisip.conf", folder / "users.db.txt"
    play = playbook.Play(
        playbook=resources.playbook("render"),
        inventory=folder / "inventory",
        variables={
            "ansible_python_interpreter": sys.executable,
            "flexisip_loopback": True,
            "flexisip_configuration": str(configuration),
            "flexisip_users_file": str(users),
            "flexisip_log_directory": str(folder),
        },
    )
    host = Host("localhost", "localhost", local=True)
    operation.run(play, host, Access(), progress, log_folder=operation.logs(folder / "inventory"))
    return configuration, users


@contextlib.contextmanager
def _server(folder: Path, configuration: Path) -> Iterator[str]:
    """The embedded server as a process of its own; yields what it listens on."""
    log = folder / "server.log"
    with log.open("w") as words:
        child = subprocess.Popen(
            [sys.executable, "-m", "labtool.sandbox", "--conf", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
        )
    try:
        yield _first_lines(child, log)
    finally:
        child.terminate()
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _first_lines(child: subprocess.Popen[bytes], log: Path) -> str:
    """The addresses that the server says it listens on: one line each, two transports."""
    assert child.stdout is not None
    said = b""
    deadline = time.monotonic() + _START_S
    with selectors.DefaultSelector() as ready:
        ready.register(child.stdout, selectors.EVENT_READ)
        while said.count(b"\n") < 2 and time.monotonic() < deadline:
            if ready.select(0.1):
                block = os.read(child.stdout.fileno(), 4096)
                if not block:
                    break
                said += block
    found = [line.removeprefix("listening on ") for line in said.decode().splitlines()]
    if len(found) < 2:
        words = log.read_text(errors="replace").strip()
        raise LabtoolError(f"The embedded server does not start: {words or 'it said nothing'}")
    return ", ".join(found)


def _draw(path: Path, packets: list[Packet]) -> tuple[Path, Ladder | None]:
    """Write the capture, read it back and draw it: what is shown is what is in the file."""
    from labtool.trace import pcap
    from labtool.trace.reading import read
    from labtool.trace.story import ladder_of

    pcap.write(path, packets)
    return path, ladder_of(read([path])) if packets else None
