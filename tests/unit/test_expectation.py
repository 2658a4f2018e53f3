"""What a lab wants of a host: Ansible and labtool render the same bytes from one template."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labtool import (
    accounts,
    expectation,
    inventory,
    issuer,
    playbook,
    rendering,
    resources,
    state,
)
from labtool.errors import LabtoolError, RequestError
from labtool.flexisip.releases import LATEST
from labtool.inventory import Account, Host, Lab

# A host on 2.3.4 in a cloud: 203.0.113.5 is not its own.
CLOUD = "id debian\nversion_id 12\nuid 0\npackage installed 2.3.4-1\naddress 10.0.0.4\n"

OPTIONS = """\
flexisip_domain: sip.example.test
flexisip_port: 5070
flexisip_transports: [tcp, tls]
flexisip_flood_packet_rate: 7
flexisip_algorithms: [SHA-256]
flexisip_media_relay: false
flexisip_stun: true
flexisip_cache_expire: 9
flexisip_settings: {module::Registrar: {max-expires: 3600}, global: {aliases: "a b"}}
"""


def run_ansible(lab: Path, folder: Path, **variables: Any) -> tuple[str, str]:
    conf, users = folder / "flexisip.conf", folder / "users.db.txt"
    outcome = playbook.run(
        playbook.Play(
            resources.playbook("render"),
            lab,
            variables={
                "ansible_python_interpreter": sys.executable,
                "flexisip_configuration": str(conf),
                "flexisip_users_file": str(users),
                **variables,
            },
        ),
        log=folder / "log",
    )
    assert outcome.ok, outcome.failures
    assert conf.stat().st_mode & 0o777 == users.stat().st_mode & 0o777 == 0o640
    return conf.read_text(encoding="utf-8"), users.read_text(encoding="utf-8")


@pytest.fixture
def with_users(lab: Path) -> Lab:
    made = [accounts.account(name, "sip.example.test")[0] for name in ("bob", "alice", "o'x~+")]
    read = inventory.add_host(inventory.read(lab), Host("localhost", "localhost", local=True))
    return inventory.write_accounts(read, tuple(made))


def test_the_files_of_this_machine_are_the_same_by_ansible_and_by_labtool(
    with_users: Lab, tmp_path: Path
) -> None:
    conf, users = run_ansible(
        with_users.path, tmp_path, flexisip_loopback=True, flexisip_log_directory=str(tmp_path)
    )
    assert conf == expectation.configuration(
        with_users,
        LATEST,
        state.Addresses("", "", ()),
        users_file=str(tmp_path / "users.db.txt"),
        log_directory=str(tmp_path),
        loopback=True,
    )
    assert users == expectation.users_file(with_users, LATEST)
    for account in with_users.accounts:
        assert f"{account.name}@sip.example.test md5:{account.hashes['md5']} " in users


def test_the_files_of_a_server_in_a_cloud_are_the_same_by_ansible_and_by_labtool(
    with_users: Lab, tmp_path: Path
) -> None:
    inventory.lab_file(with_users.path).write_text(OPTIONS)
    inventory.hosts_file(with_users.path).write_text("flexisip: {hosts: {203.0.113.5: }}")
    lab = inventory.read(with_users.path)
    assert issuer.for_host(lab, lab.hosts[0])
    conf, users = run_ansible(
        lab.path, tmp_path, flexisip_state_text=CLOUD, flexisip_reached_by="203.0.113.5"
    )
    wanted = expectation.expectation(lab, lab.hosts[0], state.parse(CLOUD), lambda name: name)
    theirs = conf.replace(str(tmp_path / "users.db.txt"), "/etc/flexisip/users.db.txt")
    assert theirs == wanted.files["configuration"].text
    assert users == wanted.files["users"].text
    assert "sip:203.0.113.5:5070;maddr=10.0.0.4;transport=tcp" in conf
    assert "sips:203.0.113.5:5061;maddr=10.0.0.4" in conf
    assert "packet-rate-limit=7" in conf
    assert "max-expires=3600" in conf


# --- without Ansible --------------------------------------------------------------------------


def test_what_is_expected_of_a_host(lab: Path) -> None:
    read = inventory.read(lab)
    host = Host("edge", "edge.example.test")
    wanted = expectation.expectation(read, host, state.parse(CLOUD), lambda name: "203.0.113.5")
    assert (wanted.package, wanted.release, wanted.service, wanted.port) == (
        "bc-flexisip",
        "2.3.4",
        "flexisip-proxy",
        5060,
    )
    assert {file.path: file.mode for file in wanted.files.values()} == {
        "/etc/flexisip/flexisip.conf": 0o640,
        "/etc/flexisip/users.db.txt": 0o640,
        "/etc/systemd/system/flexisip-proxy.service.d/labtool.conf": 0o644,
    }
    assert "sip:203.0.113.5:5060;maddr=10.0.0.4" in wanted.files["configuration"].text
    local = expectation.expectation(read, Host("l", "l", local=True), state.parse(CLOUD), repr)
    assert "203.0.113.5" not in local.files["configuration"].text


def test_every_template_can_be_rendered_without_ansible(project: Path) -> None:
    known: dict[str, Any] = {
        "flexisip_sections": [],
        "flexisip_users_entries": [],
        "flexisip_repository_chosen": {"url": "u", "suite": "s", "components": ["a", "b"]},
    }
    for template in sorted((project / "templates").iterdir()):
        text = expectation.render(template.name, known)
        assert text.endswith("\n")
        assert "{{" not in text


def test_a_hole_in_a_template_is_an_error_not_a_blank() -> None:
    import jinja2

    with pytest.raises(jinja2.UndefinedError):
        expectation.render("bc-flexisip.list.j2", {})


def test_an_extra_setting_that_the_release_refuses_is_told_by_name(
    write_lab: Callable[..., Lab],
) -> None:
    lab = write_lab(
        options="flexisip_domain: a.test\nflexisip_settings: {global: {use-maddr: true}}\n"
    )
    with pytest.raises(RequestError, match="use-maddr"):
        expectation.configuration(lab, LATEST, state.Addresses("", "", ()))


# --- rendering --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("2.5.2-1", "2.5.2"),
        ("2.5.2", "2.5.2"),
        ("1:2.3.4-0ubuntu1", "2.3.4"),
        ("installed 2.5.2-1", "2.5.2"),
        ("2.6.0~beta-30+abc", "2.6.0"),
        ("2.4-1", "2.4"),
        ("", LATEST),
    ],
)
def test_the_release_of_a_package_version(version: str, release: str) -> None:
    assert rendering.release(version) == release


def test_a_version_that_is_none_is_refused() -> None:
    with pytest.raises(LabtoolError, match="'unknown' is not one of Flexisip's"):
        rendering.release("unknown")


def test_an_account_of_another_domain_is_told_with_what_to_do() -> None:
    found = rendering.accounts_wrong(
        {"a": {"domain": "x.test"}, "b": {"domain": "y.test"}}, "x.test"
    )
    (sentence,) = found
    assert "labtool set-password b" in sentence


@pytest.mark.parametrize("line", ["alice@a.test md5 ;", "a;b@a.test clrtxt:x ;", "alice"])
def test_a_users_file_that_flexisip_refuses_is_never_sent(line: str) -> None:
    with pytest.raises(LabtoolError, match=r"users\.db\.txt would be refused by Flexisip 2\.5\.2"):
        rendering.users_file(f"version:1\n{line}\n", "2.5.2")


def test_an_account_with_one_hash_is_written_with_that_alone() -> None:
    (entry,) = rendering.entries({"a": {"domain": "x.test", "md5": "0" * 32}})
    assert entry["passwords"] == [{"algorithm": "md5", "value": "0" * 32}]


# --- accounts ---------------------------------------------------------------------------------


def test_an_account_keeps_hashes_and_never_the_password() -> None:
    account, password = accounts.account("alice", "sip.example.test", "Pass.word-1")
    words = b"alice:sip.example.test:Pass.word-1"
    assert account.hashes == {
        "md5": hashlib.md5(words).hexdigest(),
        "sha256": hashlib.sha256(words).hexdigest(),
    }
    assert password == "Pass.word-1"
    assert "Pass" not in repr(account)
    assert accounts.account("alice", "a.test")[1] != accounts.account("alice", "a.test")[1]


@pytest.mark.parametrize("password", ["", "a\tb", "a\nb", "x" * 129])
def test_a_password_that_nobody_can_type_is_refused_without_showing_it(
    password: str,
) -> None:
    with pytest.raises(RequestError) as refused:
        accounts.account("alice", "sip.example.test", password)
    assert not password or password not in str(refused.value)


def test_accounts_are_added_changed_and_removed_by_name(with_users: Lab) -> None:
    names = [account.name for account in with_users.accounts]
    new = Account("carol", "sip.example.test", {"md5": "0" * 32})
    assert [one.name for one in accounts.added(with_users, new)] == [*names, "carol"]
    with pytest.raises(RequestError, match="exists already"):
        accounts.added(with_users, Account("alice", "sip.example.test", {}))
    assert [one.name for one in accounts.removed(with_users, "bob")] == ["alice", "o'x~+"]
    with pytest.raises(RequestError, match="no user carol"):
        accounts.removed(with_users, "carol")
    changed = accounts.changed(with_users, Account("bob", "sip.example.test", {"md5": "1" * 32}))
    assert [one.name for one in changed] == names
    assert changed[1].hashes == {"md5": "1" * 32}
    with pytest.raises(RequestError, match="no user carol"):
        accounts.changed(with_users, new)


# --- where it all is --------------------------------------------------------------------------


def test_the_playbooks_and_the_suite_are_found_in_a_checkout(project: Path) -> None:
    assert resources.ansible_root() == project
    for verb in ("deploy", "users", "render"):
        assert resources.playbook(verb).is_file()
    assert (resources.testinfra_suite() / "test_server.py").is_file()
