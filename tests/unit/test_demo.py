"""`labtool demo`: the whole story on this machine, and what it leaves behind."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from labtool import demo
from labtool.errors import RequestError
from labtool.flexisip import users

FILES = {"flexisip.conf", "users.db.txt", "call.pcap", "result.json"}


@dataclass(frozen=True)
class Shown:
    folder: Path
    returncode: int
    out: str
    err: str


def run(folder: Path) -> Shown:
    done = subprocess.run(
        [sys.executable, "-m", "labtool", "demo", "-o", str(folder), "--seconds", "0.5"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    return Shown(folder, done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("demo") / "new" / "demo"
    demo._prepare(folder)
    (folder / "left over").write_text("of an earlier demo")
    return run(folder)


@pytest.fixture(scope="module")
def result(shown: Shown) -> Any:
    return json.loads((shown.folder / "result.json").read_text())


def test_the_demo_holds_and_says_so(shown: Shown, result: Any) -> None:
    assert shown.returncode == 0, shown.out + shown.err
    assert result["ok"] is True
    assert shown.err == ""
    for words in ("Register over UDP", "Register over TCP", "Wrong password", "Call over"):
        assert words in shown.out
    assert "INVITE" in shown.out, "the ladder of the call"
    assert "Everything holds" in shown.out
    assert "labtool deploy --host ADDRESS --domain" in shown.out.splitlines()[-1]


def test_the_demo_leaves_its_files(shown: Shown, result: Any) -> None:
    assert set(result["files"]) == FILES
    assert {file.name for file in shown.folder.iterdir()} >= FILES
    assert not (shown.folder / "left over").exists()
    assert shown.folder.stat().st_mode & 0o777 == 0o700
    capture = (shown.folder / "call.pcap").read_bytes()
    assert capture[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1")
    assert b"INVITE sip:" in capture
    names = [check["check"] for check in result["checks"]]
    assert names == ["register", "register", "wrong-password", "call"]


def test_the_users_of_the_demo_are_those_that_flexisip_reads(shown: Shown) -> None:
    read = users.parse((shown.folder / "users.db.txt").read_text())
    assert isinstance(read, list)
    assert [entry.name for entry in read] == ["alice", "bob"]


def test_no_hash_of_the_demo_is_shown_or_in_the_result(shown: Shown) -> None:
    accounts = yaml.safe_load(
        (shown.folder / "inventory/group_vars/flexisip/users.yml").read_text()
    )["flexisip_users_accounts"]
    hashes = [account[key] for account in accounts.values() for key in ("md5", "sha256")]
    assert len(hashes) == 4
    told = shown.out + shown.err + (shown.folder / "result.json").read_text()
    logs = "".join(file.read_text() for file in shown.folder.rglob("*.log"))
    assert logs, "Ansible's log and the server's"
    for value in hashes:
        assert value not in told
        assert value not in logs
    assert not re.search(r'"(password|secret|ha1)"\s*:\s*"[^"]', told)


def test_a_folder_with_somebody_elses_files_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RequestError, match="has files that the demo did not make"):
        demo._prepare(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    with pytest.raises(RequestError, match="cannot be used"):
        demo._prepare(tmp_path / "thesis.txt")


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    demo._prepare(tmp_path)
    demo._prepare(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
