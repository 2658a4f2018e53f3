"""The command: what it prints, its exit codes, and the requests that make no sense."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import healthy as h
import pytest

from labtool.cli.main import run
from labtool.doctor import examination
from labtool.doctor.catalogue import ROWS
from labtool.doctor.evidence import Evidence

Doctor = Callable[..., tuple[int, str, str]]


@pytest.fixture
def doctor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Doctor:
    """Runs `labtool doctor` where there is no lab: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABTOOL_INVENTORY", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(["doctor", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_a_row_is_explained_and_all_are_listed(doctor: Doctor) -> None:
    code, said, _ = doctor("--explain", "no-sound")
    assert code == 0
    assert "Users see:" in said
    assert "#234" in said
    _, said, _ = doctor("--explain", "all")
    assert len(said.splitlines()) == len(ROWS)
    _, said, _ = doctor("--explain", "no-sound", "--json")
    assert set(json.loads(said)) == {"id", "symptom", "how", "test", "cure", "source"}


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--explain", "no-sond"), "Did you mean no-sound"),
        ((), "There is no lab"),
        (("127.0.0.1", "--host", "x"), "without SERVER"),
        (("--host", "x", "--transport", "udp"), "goes with SERVER"),
        (("127.0.0.1", "--domain", "x"), "go with --user"),
        (("127.0.0.1:99999",), "is no port"),
        (("--host", "-oProxyCommand=x"), "-oProxyCommand"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_in_a_sentence(
    doctor: Doctor, arguments: tuple[str, ...], hint: str
) -> None:
    code, said, error = doctor(*arguments)
    assert code == 2
    assert said == ""
    assert hint in error


def test_a_closed_port_is_exit_1_and_a_name_that_is_none_exit_3(doctor: Doctor) -> None:
    target = f"127.0.0.1:{closed_port()}"
    code, said, _ = doctor(target)
    assert code == 1
    assert "✗ port-closed" in said
    assert "reachable, but nothing listens" in said
    code, said, _ = doctor(target, "--json")
    assert code == json.loads(said)["exit_code"] == 1
    code, said, _ = doctor("nowhere.invalid")
    assert code == 3
    assert "✗ name-unknown" in said


def test_the_json_has_the_keys_that_the_documentation_names(doctor: Doctor, project: Path) -> None:
    _, said, _ = doctor(f"127.0.0.1:{closed_port()}", "--json")
    text = (project / "docs" / "doctor.md").read_text()
    for key, value in json.loads(said).items():
        assert f"| `{key}` |" in text
        if isinstance(value, list) and value and isinstance(value[0], dict):
            assert all(f"`{inner}`" in text for inner in value[0])


def test_a_healthy_host_is_said_to_serve(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    def healthy(*arguments: object, **more: object) -> Evidence:
        return h.HEALTHY

    monkeypatch.setattr(examination, "of_host", healthy)
    code, said, _ = doctor("--host", h.ADDRESS)
    assert code == 0
    assert said.startswith(f"{h.ADDRESS} ({h.DOMAIN}): serving\n")
    assert "nothing wrong" in said
