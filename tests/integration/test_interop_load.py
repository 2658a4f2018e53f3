"""`labtool load` as a program, against the sandbox as another."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from .peers import DOMAIN, LOOPBACK, SandboxProcess, users_file

USERS = {f"user{number}": f"secret{number}" for number in range(20)}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    folder = tmp_path_factory.mktemp("load")
    with SandboxProcess(folder, passwords=USERS, tls=True) as process:
        yield process


def load(sandbox: SandboxProcess, transport: str, *options: str) -> tuple[int, dict[str, Any]]:
    assert sandbox.certificate is not None
    users = sandbox.folder / "users.db.txt"
    assert users.read_text() == users_file(USERS)
    command = [sys.executable, "-m", "labtool", "load", f"{LOOPBACK}:{sandbox.ports[transport]}"]
    command += ["--transport", transport, "--users-file", str(users), "--json"]
    command += ["--ca-file", str(sandbox.certificate.chain), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["registrations", "calls"])
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_load_over_each_transport_has_no_failure(
    sandbox: SandboxProcess, transport: str, kind: str
) -> None:
    before = len(sandbox.events("unregistered"))
    extra = ["--calls", "--hold", "0.1"] if kind == "calls" else []
    _, result = load(sandbox, transport, "--rate", "30", "--duration", "1", *extra)
    assert (result["failed"], result["causes"]) == (0, {})
    assert result["succeeded"] == result["begun"] > 15
    signed_out = sandbox.events("unregistered")[before:]
    assert {event["aor"] for event in signed_out} == {f"{user}@{DOMAIN}" for user in USERS}


def test_the_limit_of_the_sandbox_is_found(sandbox: SandboxProcess) -> None:
    code, result = load(sandbox, "udp", "--find-limit", "--rate", "800", "--duration", "0.2")
    assert code == 0
    assert result["limit"] > 0
    assert result["rounds"][0]["what"] == "REGISTER"
