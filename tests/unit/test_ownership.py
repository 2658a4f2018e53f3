"""Whose server a host is, decided from what its files serve."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from labtool import expectation, former, inventory
from labtool.inventory import Host
from labtool.ownership import foreign

OURS = {name: {"domain": "sip.example.test"} for name in ("alice", "bob")}


def of(said: str) -> str:
    return foreign(said, OURS, "sip.example.test", "192.0.2.1")


@pytest.mark.parametrize(
    "said",
    [
        "",
        "domain localhost\n",
        "labtool yes\ndomain sip.example.test\nuser alice@sip.example.test\n",
    ],
    ids=["known or bare", "the package's own", "this lab's, from another machine or cut off"],
)
def test_what_would_lose_nobody_anything_is_not_refused(said: str) -> None:
    assert of(said) == ""


@pytest.mark.parametrize(
    "said",
    [
        "domain sip.example.test\nuser alice@sip.example.test\n",
        "labtool yes\ndomain other.example.test\n",
        "labtool yes\ndomain sip.example.test\nuser carol@sip.example.test\n",
    ],
    ids=["by hand", "another lab", "another lab of the same domain"],
)
def test_what_another_set_up_is_refused_with_the_next_command(said: str) -> None:
    assert "labtool import 192.0.2.1 -i taken-over" in of(said)


def test_the_users_that_would_go_are_named_and_counted() -> None:
    said = "domain a.test\n" + "".join(f"user u{n:02}@a.test\n" for n in range(12))
    assert "u00@a.test, u01@a.test" in of(said)
    assert "u09@a.test and 2 more." in of(said)
    assert "u10" not in of(said)


def test_the_script_says_names_and_no_password(tmp_path: Path) -> None:
    users, conf = tmp_path / "users", tmp_path / "flexisip.conf"
    users.write_text("version:1\n# carol@a.test clrtxt:x ;\nbob@a.test clrtxt:Pw-1 md5:Pw-2 ;\n")
    conf.write_text(
        "[module::Registrar]\r\nreg-domains = a.test b.test\r\n[module::Authentication]\n"
        f"#auth-domains=c.test\nfile-path={users}\n"
    )
    script = expectation.script("served.sh.j2").replace("/etc/flexisip/flexisip.conf", str(conf))
    said = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout == "domain a.test\ndomain b.test\nuser bob@a.test\n"


def test_a_host_is_known_once_its_state_was_kept(lab: Path) -> None:
    host = Host("192.0.2.1", "192.0.2.1")
    assert not former.known(lab, host.name)
    former.saved(inventory.read(lab), host)
    assert former.known(lab, host.name)
