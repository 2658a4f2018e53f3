"""A deployment before anything is done: the lab and the host as they are to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from labtool import deployment, inventory, operation, playbook, proof
from labtool.deployment import Request
from labtool.errors import RequestError
from labtool.inventory import Account, Host, Lab
from labtool.operation import Access
from labtool.state import HostState


def test_a_first_deployment_needs_a_host_and_a_domain(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="Name a machine with --host"):
        deployment.wanted(tmp_path / "lab", Request())
    with pytest.raises(RequestError, match="flexisip_domain is missing"):
        deployment.wanted(tmp_path / "lab", Request(host="203.0.113.5"))
    options = {"flexisip_domain": "a.test"}
    lab, host = deployment.wanted(tmp_path / "lab", Request(host="203.0.113.5", options=options))
    assert lab.domain == "a.test"
    assert host == Host("203.0.113.5", "203.0.113.5")
    assert not (tmp_path / "lab").exists(), "nothing is written"


def test_what_the_command_line_says_comes_before_the_lab(write_lab: Callable[..., Lab]) -> None:
    write_lab(
        options="flexisip_domain: a.test\nflexisip_port: 5070\n",
        hosts="flexisip: {hosts: {edge: {ansible_host: 203.0.113.5, ansible_user: ubuntu}}}",
    )
    path = write_lab().path
    request = Request(
        host="203.0.113.5",
        user="root",
        port=2222,
        options={"flexisip_public_address": "198.51.100.7"},
    )
    lab, host = deployment.wanted(path, request)
    assert (host.name, host.address, host.user, host.port) == ("edge", "203.0.113.5", "root", 2222)
    assert lab.options["flexisip_public_address"] == "198.51.100.7"
    assert lab.options["flexisip_port"] == 5070
    assert inventory.read(path).options["flexisip_public_address"] == ""


def test_this_machine_is_reached_without_ssh(lab: Path) -> None:
    assert deployment.wanted(lab, Request(host="localhost"))[1].local


def test_a_key_is_named_by_its_whole_path(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    (tmp_path / "key").chmod(0o600)
    _, host = deployment.wanted(lab, Request(host="h", identity=str(tmp_path / "." / "key")))
    assert host.variables["ansible_ssh_private_key_file"] == str(tmp_path / "key")


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("# labtool\n", 0o600, "no private SSH key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", 0o644, "chmod 600"),
    ],
)
def test_a_key_that_ssh_would_not_take_is_told_before_the_host_is_asked(
    lab: Path, tmp_path: Path, text: str, mode: int, words: str
) -> None:
    (tmp_path / "key").write_text(text)
    (tmp_path / "key").chmod(mode)
    with pytest.raises(RequestError, match=words):
        deployment.wanted(lab, Request(host="h", identity=str(tmp_path / "key")))


def test_a_file_that_is_no_package_is_told_before_the_host_is_asked(
    lab: Path, tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_text("# labtool\n")
    for given, words in ((tmp_path, "is a folder"), (tmp_path / "README.md", "no Debian package")):
        with pytest.raises(RequestError, match=words):
            deployment.wanted(lab, Request(host="h", options={"flexisip_deb": str(given)}))


def test_the_play_of_a_deployment_is_limited_to_its_host(lab: Path) -> None:
    host = Host("edge", "203.0.113.5")
    access = Access("hush-1", "hush-2")
    play = deployment.play(lab, host, access, Request(check=True, diff=True, verbosity=1))
    assert (play.playbook.name, play.inventory, play.limit) == ("deploy.yml", lab, "edge")
    assert (play.check, play.diff, play.verbosity, play.skip_tags) == (
        True,
        True,
        1,
        ("certificate", "proof"),
    )
    assert play.secrets == {"ansible_become_password": "hush-2"}
    assert "hush" not in playbook.shown(play) + repr(play) + " ".join(playbook.command(play))


def test_a_look_works_on_a_copy_of_the_lab(lab: Path) -> None:
    (lab / ".labtool").mkdir()
    with operation.copy_of(lab) as copy:
        inventory.set_options(inventory.read(copy), {"flexisip_port": 5070})
        assert not (copy / ".labtool").exists()
    assert inventory.read(lab).options["flexisip_port"] == 5060
    with operation.copy_of(lab / "nothing") as copy:
        assert list(copy.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "own", "public", "expected"),
    [
        ("203.0.113.5", ("203.0.113.5",), "", "203.0.113.5:5060"),
        ("203.0.113.5", ("10.0.0.4",), "", "203.0.113.5:5060"),
        ("203.0.113.5", ("10.0.0.4",), "198.51.100.7", "198.51.100.7:5060"),
        ("127.0.0.1", ("10.0.0.4",), "", "10.0.0.4:5060"),
        ("2001:db8::5", ("2001:db8::5",), "", "[2001:db8::5]:5060"),
        ("nowhere.invalid", (), "", "nowhere.invalid:5060"),
    ],
)
def test_a_server_is_proved_where_phones_reach_it(
    write_lab: Callable[..., Lab], address: str, own: tuple[str, ...], public: str, expected: str
) -> None:
    lab = write_lab(options=f'flexisip_domain: a.test\nflexisip_public_address: "{public}"\n')
    found = proof.target(lab, Host("h", address), HostState(addresses=own))
    assert str(found) == expected


def test_a_password_of_a_deployment_is_in_no_repr(lab: Path) -> None:
    account = Account("alice", "a.test", {"md5": "a1" * 16})
    read = inventory.read(lab)
    played = operation.Played(
        playbook.Outcome(0, 0, 0, ("h",), (), (), 0.0, lab), Host("h", "h"), HostState()
    )
    done = deployment.Deployed(
        played, Lab(lab, (), read.options, (account,)), proof.Target("h"), (), {"alice": "hush"}
    )
    assert "hush" not in repr(done)
    assert "a1a1" not in repr(done)
