"""Packets off a server: a call through it, captured as it happens."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from labtool.trace.analysis import analyse

from .conftest import BareHost, not_here
from .container import Container
from .controller import Controller, Ran, wait_for
from .images import Image
from .repository import Repository

CALL_S = "1"


@pytest.fixture
def host(bare_host: BareHost, any_image: Image) -> Container:
    return bare_host(any_image)


@pytest.fixture
def controller(tmp_path: Path, login_file: Path, host: Container) -> Controller:
    made = Controller(tmp_path, login_file)
    made.knows(host)
    return made


def tcpdumps(host: Container) -> str:
    return host.shell("pgrep -a 'tcpdump|^cat$' || true").stdout


def capturing(controller: Controller, *arguments: str) -> Callable[[], Ran]:
    """`labtool capture --json`, once it captures; what is returned waits for its end."""
    file = controller.folder / arguments[arguments.index("-o") + 1]
    child = controller.start("capture", "--json", *arguments)
    if not wait_for(lambda: file.exists() or child.poll() is not None, 20):
        os.killpg(child.pid, signal.SIGKILL)

    def ended(stop: int = 0) -> Ran:
        if stop:
            os.killpg(child.pid, stop)
        stdout, stderr = child.communicate(timeout=30)
        return Ran(arguments, child.returncode, stdout, stderr)

    return ended


def test_a_call_is_captured_on_the_server_as_it_happens(
    host: Container, controller: Controller, repository: Repository
) -> None:
    deployed = controller.deploy(host, "--repo-url", repository.url())
    assert deployed.returncode == 0, deployed.output
    missing = controller.run("capture", "--host", host.address, "-o", "none.pcap")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "apt-get install -y tcpdump" in missing.stderr
    assert not (controller.folder / "none.pcap").exists()

    installed = host.shell("apt-get -q update && apt-get -q install -y tcpdump", check=False)
    if installed.returncode:
        not_here(f"tcpdump cannot be installed in the container: {installed.stderr[-200:]}")

    ended = capturing(controller, "--host", host.address, "-o", "call.pcap", "--until-call-ends")
    called = controller.run("probe", "--call", "--seconds", CALL_S, host.address)
    assert called.returncode == 0, called.output
    ran = ended()
    assert ran.returncode == 0, ran.output
    last = ran.last("end")
    assert last["end"] == "call"
    labels = [event["label"] for event in ran.events if event["event"] == "message"]
    assert labels.count("INVITE") >= 2
    assert labels.count("BYE") == 2
    assert last["messages"] == len(labels)

    seen = analyse([controller.folder / "call.pcap"])
    assert not seen.capture.damage
    assert sum(seen.capture.frames) == last["frames"]
    assert [call.outcome for call in seen.calls] == ["answered"]
    # Both phones are on this machine: told apart by their ports.
    assert [len(call.legs) for call in seen.calls] == [2]
    assert not [one for one in seen.findings if one.severity == "error"]
    # SSH carried all of it, and is not in it.
    assert all(22 not in (f.source.port, f.destination.port) for f in seen.capture.connections)
    assert wait_for(lambda: not tcpdumps(host), 5), tcpdumps(host)

    # Ctrl-C: the file is whole, and nothing is left behind.
    ended = capturing(controller, "--host", host.address, "-o", "broken.pcap", "--media", "none")
    controller.run("probe", host.address)
    ran = ended(signal.SIGINT)
    assert (ran.returncode, ran.last("end")["end"]) == (0, "interrupt"), ran.output
    assert [m.label for m in analyse([controller.folder / "broken.pcap"]).messages] == [
        "OPTIONS",
        "200 OK",
    ]
    assert wait_for(lambda: not tcpdumps(host), 5), tcpdumps(host)

    # Killed: the connection ends, and so does what ran there.
    ended = capturing(controller, "--host", host.address, "-o", "killed.pcap")
    assert "tcpdump" in tcpdumps(host)
    ended(signal.SIGKILL)
    assert wait_for(lambda: not tcpdumps(host), 10), tcpdumps(host)

    # As somebody who is not root, by sudo; and as one who may not.
    for name, sudo in (("teacher", True), ("student", False), ("asked", True)):
        host.add_user(name, password="Sudo-9", sudo=sudo)
        if name == "asked":
            host.write("/etc/sudoers.d/asked", "asked ALL=(ALL) ALL\n", mode=0o440)
        hosts = controller.folder / "inventory" / "hosts.yml"
        former = hosts.read_text()
        hosts.write_text(former.replace("ansible_user: root", f"ansible_user: {name}"))
        assert name in hosts.read_text(), former
        command = ["capture", "--host", host.address, "--duration", "1", "--json"]
        if name == "asked":
            wrong = controller.typed(
                "Sudo-8", *command, "-o", "wrong.pcap", "--ask-become-password"
            )
            assert wrong.returncode == 3, wrong.output
            assert "sudo refuses the password of asked" in wrong.output
            ran = controller.typed("Sudo-9", *command, "-o", "asked.pcap", "--ask-become-password")
        else:
            ran = controller.run(*command, "-o", f"{name}.pcap")
        hosts.write_text(former)
        if sudo:
            assert ran.returncode == 0, ran.output
            assert json.loads(ran.stdout.splitlines()[-1])["end"] == "duration"
            assert wait_for(lambda: not tcpdumps(host), 5), tcpdumps(host)
        else:
            assert ran.returncode == 3
            assert "sudo" in ran.stderr
