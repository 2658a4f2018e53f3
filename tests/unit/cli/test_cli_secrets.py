"""Accounts by the command line: what is shown, to whom, and that no secret is shown elsewhere."""

from __future__ import annotations

import json
import re
import shlex
import socket
from pathlib import Path
from typing import Any

import pytest

from labtool import inventory, resources
from labtool.cli.main import run
from labtool.inventory import Account, Host

PASSWORD = "Hush-hush.4711"


@pytest.fixture(autouse=True)
def here(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABTOOL_INVENTORY", str(lab))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    return lab


def hashes(lab: Path) -> list[str]:
    return [value for account in inventory.read(lab).accounts for value in account.hashes.values()]


def files(folder: Path) -> str:
    """Everything below a folder, but the file that the test gave the password in."""
    return "\n".join(
        path.read_text(errors="replace")
        for path in folder.rglob("*")
        if path.is_file() and path.name != "password"
    )


def test_a_generated_password_is_shown_once_and_kept_nowhere(
    lab: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["add-user", "carol"]) == 0
    said = capsys.readouterr()
    (password,) = re.findall(r"^The password of carol, shown this once: (\S+)$", said.out, re.M)
    assert len(password) == 14
    assert password not in said.err
    assert password not in files(tmp_path)
    assert not [value for value in hashes(lab) if value in said.out + said.err]


def test_for_a_program_the_password_is_apart_from_the_json(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["add-user", "carol", "--json"]) == 0
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert lines[-1] == {
        "event": "added",
        "user": "carol",
        "ok": True,
        "tasks": 0,
        "put_back": None,
        "passes_again": None,
        "told": [],
    }
    (password,) = re.findall(r"shown this once: (\S+)", said.err)
    assert password not in said.out


@pytest.mark.parametrize("more", [(), ("--json",), ("-q",), ("-vv",)], ids=str)
def test_a_password_that_was_given_is_not_shown_at_all(
    lab: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, more: tuple[str, ...]
) -> None:
    assert run(["add-user", "carol", "--password-file", "password", *more]) == 0
    before = hashes(lab)
    assert run(["set-password", "carol", "--password-file", "password", *more]) == 0
    assert hashes(lab) == before, "one password has one hash"
    said = capsys.readouterr()
    assert PASSWORD not in said.out + said.err + files(tmp_path)


def test_users_are_listed_without_their_hashes(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["add-user", "carol"])
    old = Account("dave", "sip.example.test", {"md5": "0" * 32})
    inventory.write_accounts(inventory.read(lab), (*inventory.read(lab).accounts, old))
    capsys.readouterr()
    assert run(["list-users"]) == 0
    assert run(["list-users", "--json"]) == 0
    plain, _, as_json = capsys.readouterr().out.partition("{")
    assert plain.splitlines() == [
        "carol  sip:carol@sip.example.test  MD5, SHA-256",
        "dave   sip:dave@sip.example.test  MD5",
    ]
    assert json.loads("{" + as_json)["users"] == [
        {"name": "carol", "domain": "sip.example.test", "algorithms": ["MD5", "SHA-256"]},
        {"name": "dave", "domain": "sip.example.test", "algorithms": ["MD5"]},
    ]


def test_a_user_is_removed_from_the_lab(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["add-user", "carol"])
    assert run(["remove-user", "carol"]) == 0
    assert "carol is removed in the lab" in capsys.readouterr().out
    assert inventory.read(lab).accounts == ()


# --- a play that fails ------------------------------------------------------------------------

FAILING = """\
- hosts: flexisip
  gather_facts: false
  tasks:
    - name: Hide
      ansible.builtin.debug:
        msg: "{{ flexisip_users_accounts }}"
      no_log: true
    - name: Install
      ansible.builtin.fail:
        msg: "E: No space left on device"
"""


@pytest.fixture
def failing(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab on this machine whose every playbook fails, and never does anything."""
    play = tmp_path / "failing.yml"
    play.write_text(FAILING)
    monkeypatch.setattr(resources, "playbook", lambda verb: play)
    added = inventory.add_host(inventory.read(lab), Host("localhost", "localhost", local=True))
    account = Account("alice", "sip.example.test", {"md5": "a1" * 16, "sha256": "b2" * 32})
    inventory.write_accounts(added, (account,))
    return lab


def test_where_ansible_fails_labtool_fails_and_the_lab_is_as_before(
    failing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = inventory.read(failing)
    assert run(["add-user", "carol"]) == 1
    said = capsys.readouterr()
    assert "labtool: Install failed on localhost." in said.err
    assert "  | E: No space left on device" in said.err
    assert "Likely cause: The host's disk is full." in said.err
    (log,) = re.findall(r"^The full Ansible log: (.+)$", said.err, re.M)
    assert "shown this once" not in said.out + said.err
    assert inventory.read(failing) == before
    text = Path(log).read_text()
    assert "No space left on device" in text
    assert not [value for value in hashes(failing) if value in text + said.err + said.out]


def test_for_a_program_a_failure_is_an_object_and_the_exit_code_is_the_same(
    failing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["set-password", "alice", "--password-file", "password", "--json"]) == 1
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    error = lines[-1]
    assert (error["event"], error["exit_code"], error["task"]) == ("error", 1, "Install")
    assert error["cause"] == "The host's disk is full."
    assert Path(error["log"]).is_file()
    everything = said.out + said.err + Path(error["log"]).read_text()
    assert PASSWORD not in everything
    assert not [value for value in hashes(failing) if value in everything]


# --- what is shown without being done ---------------------------------------------------------


def test_the_command_of_a_deployment_is_shown_without_a_secret_and_nothing_is_done(
    lab: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run(["add-user", "carol", "--password-file", "password"])
    before = files(lab)
    capsys.readouterr()
    arguments = ["--host", "203.0.113.5", "--ssh-password-file", "password", "--check", "--diff"]
    assert run(["deploy", *arguments, "--show-command"]) == 0
    said = capsys.readouterr()
    words = shlex.split(said.out)
    assert words[0].startswith("ANSIBLE_CONFIG=")
    assert words[1:3] == ["ansible-playbook", "-i"]
    assert {"--check", "--diff"} <= set(words)
    assert words[-1].endswith("playbooks/deploy.yml")
    assert PASSWORD not in said.out + said.err
    assert not [value for value in hashes(lab) if value in said.out]
    assert files(lab) == before


def test_a_probe_for_a_program_shows_no_secret(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["add-user", "carol", "--password-file", "password"])
    capsys.readouterr()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        for who in (("carol",), ("dave", "--password-file", "password")):
            code = run(["probe", target, "--user", *who, "--timeout", "0.1", "--json"])
            assert code >= 10
    said = capsys.readouterr()
    found: list[Any] = [json.loads(line) for line in said.out.splitlines()]
    assert [one["ok"] for one in found] == [False, False]
    assert not [value for value in (PASSWORD, *hashes(lab)) if value in said.out + said.err]


@pytest.mark.parametrize("more", [(), ("--json",)], ids=str)
def test_lint_shows_no_password_of_the_file_that_it_judges(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, more: tuple[str, ...]
) -> None:
    users = tmp_path / "users.db.txt"
    secret = "d41d8cd98f00b204e9800998ecf8427e"
    for line in (
        f"alice@a.test clrtxt:{PASSWORD} md5:{secret}",
        f"alice@a.test clrtxt:{PASSWORD} ;\nalice@a.test md5:{secret} ;",
        f"alice clrtxt:{PASSWORD} ;",
        f"alice@a.test clrtxt:{PASSWORD};md5:{secret} ;",
        f"alice@a.test sha1:{secret} clrtxt:{PASSWORD} ;",
        f"alice@a.test {PASSWORD} ;",
        f" # alice md5={secret} (old)",
    ):
        users.write_text(f"version:1\n{line}\n")
        run(["lint", "--users", str(users), *more])
        said = capsys.readouterr()
        assert said.out
        assert PASSWORD not in said.out + said.err, line
        assert secret not in said.out + said.err, line


def test_lint_shows_no_password_of_a_setting(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    conf = tmp_path / "flexisip.conf"
    conf.write_text(
        "[module::Authentication]\n"
        f"soci-connection-sting=password='{PASSWORD}'\n"
        "[module::Registrar]\n"
        f"redis-auth-password={PASSWORD}\nredis-auth-pasword={PASSWORD}\n"
        f"redis-auth-password {PASSWORD}\nauth-password={PASSWORD}\n"
    )
    for more in ((), ("--json",)):
        run(["lint", "--conf", str(conf), *more])
        said = capsys.readouterr()
        assert "redis-auth-pasword=***" in said.out
        assert PASSWORD not in said.out + said.err
