"""SIPp's own scenarios and sipsak, through the sandbox."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import peers
from .conftest import not_here
from .engine import Unavailable
from .peers import DOMAIN, LOOPBACK, PASSWORDS, Process, SandboxProcess, free_port

CALLS = 200


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    try:
        peers.need("sipp", "sipsak")
    except Unavailable as why:
        not_here(why)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path / "sandbox") as process:
        yield process


@pytest.fixture
def open_sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    """Without authentication: SIPp's built-in scenarios know none."""
    with SandboxProcess(tmp_path / "sandbox", authentication=False) as process:
        yield process


def run(command: list[str], folder: Path, seconds: float = 30) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=seconds,
        check=False,
    )


def sipsak(sandbox: SandboxProcess, folder: Path, *arguments: str) -> tuple[int, str]:
    proxy = f"{LOOPBACK}:{sandbox.ports['udp']}"
    done = run(["sipsak", "-vvv", "-p", proxy, *arguments], folder)
    return done.returncode, done.stdout + done.stderr


def register(sandbox: SandboxProcess, user: str, contact: str) -> int:
    """Register somebody else's contact where no password is asked for; the status."""
    _, _, host = user.partition("@")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect((LOOPBACK, sandbox.ports["udp"]))
        own = "{}:{}".format(*sock.getsockname())
        lines = [
            f"REGISTER sip:{host} SIP/2.0",
            f"Via: SIP/2.0/UDP {own};rport;branch=z9hG4bK1",
            *("Max-Forwards: 70", "Call-ID: 1", "CSeq: 1 REGISTER", "Content-Length: 0"),
            *(f"From: <sip:{user}>;tag=1", f"To: <sip:{user}>", f"Contact: <{contact}>", "", ""),
        ]
        sock.send("\r\n".join(lines).encode())
        return int(sock.recv(65536).split()[1])


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_sipps_own_caller_and_callee_talk_through_the_sandbox(
    open_sandbox: SandboxProcess, tmp_path: Path, transport: str
) -> None:
    mode = {"udp": "u1", "tcp": "t1"}[transport]
    port, server = free_port(), f"{LOOPBACK}:{open_sandbox.ports[transport]}"
    callee = ["sipp", "-sn", "uas", "-i", LOOPBACK, "-p", str(port), "-t", mode]
    with Process(tmp_path / "uas", [*callee, "-nostdin", "-timeout", "60"], cwd=tmp_path):
        contact = f"sip:service@{LOOPBACK}:{port};transport={transport}"
        assert register(open_sandbox, f"service@{LOOPBACK}", contact) == 200
        caller = ["sipp", "-sn", "uac", server, "-i", LOOPBACK, "-t", mode, "-nostdin"]
        caller += ["-m", str(CALLS), "-r", "100", "-d", "50", "-timeout", "20", "-trace_stat"]
        caller += ["-fd", "1", "-stf", str(tmp_path / "statistics.csv")]
        done = run(caller, tmp_path)
    assert done.returncode == 0, (done.returncode, done.stdout[-2000:], done.stderr[:1500])
    names, *_, last = (tmp_path / "statistics.csv").read_text().splitlines()
    counted = dict(zip(names.split(";"), last.split(";"), strict=False))
    assert counted["SuccessfulCall(C)"] == str(CALLS)
    assert counted["FailedCall(C)"] == counted["Retransmissions(C)"] == "0"


def test_sipsak_registers_with_digest_and_sees_its_contact(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    code, said = sipsak(
        sandbox,
        tmp_path,
        *("-U", "-s", f"sip:alice@{DOMAIN}", "-u", "alice", "-a", PASSWORDS["alice"], "-x", "60"),
        *("-C", f"sip:alice@{LOOPBACK}:9"),
    )
    assert code == 0, said
    assert re.search(rf"Contact: <sip:alice@{LOOPBACK}:9>;.*expires=60", said), said
    registered = sandbox.events("registered")
    assert [event["contact"] for event in registered] == [f"sip:alice@{LOOPBACK}:9"]


def test_sipsak_is_refused_with_a_wrong_password(sandbox: SandboxProcess, tmp_path: Path) -> None:
    code, said = sipsak(
        sandbox,
        tmp_path,
        *(
            "-U",
            "-s",
            f"sip:alice@{DOMAIN}",
            "-u",
            "alice",
            "-a",
            "not this",
            "-C",
            f"sip:alice@{LOOPBACK}:9",
        ),
    )
    assert code != 0
    assert "SIP/2.0 403" in said, said
    assert not sandbox.events("registered")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_sipsak_gets_an_answer_to_options(
    sandbox: SandboxProcess, tmp_path: Path, transport: str
) -> None:
    code, said = sipsak(sandbox, tmp_path, "-E", transport, "-s", f"sip:{DOMAIN}")
    assert code == 0, said
    assert "SIP/2.0 200" in said, said
