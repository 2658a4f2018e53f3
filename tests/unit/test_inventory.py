"""A lab on disk: what is read, what is refused, and that writing keeps what people wrote."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labtool import inventory, lock
from labtool.errors import LabtoolError, RequestError
from labtool.inventory import Account, Host

ALICE = Account("alice", "sip.example.test", {"md5": "a1" * 16, "sha256": "b2" * 32})
NAMES = st.text("abcxyzABZ0159-.!*_+'~", min_size=1, max_size=12)
HASHES = st.fixed_dictionaries(
    {
        "md5": st.text("0123456789abcdef", min_size=32, max_size=32),
        "sha256": st.text("0123456789abcdef", min_size=64, max_size=64),
    }
)
# What a reader of YAML 1.1 (Ansible) takes for something else than a text.
TREACHEROUS = ["on", "no", "yes", "null", "1_000", "0x1f", "1e5", "true", "12e03"]


def refusal(path: Path) -> str:
    with pytest.raises(RequestError) as refused:
        inventory.read(path)
    sentence = str(refused.value)
    assert sentence.isprintable(), "one line, in which nothing is hidden"
    return sentence


# --- reading ---------------------------------------------------------------------------------


def test_a_new_lab_is_read_with_every_default(lab: Path) -> None:
    read = inventory.read(lab)
    assert read.domain == "sip.example.test"
    assert read.hosts == ()
    assert read.accounts == ()
    assert read.options["flexisip_port"] == 5060


def test_hosts_are_read_as_ansible_reads_them(write_lab: Callable[..., inventory.Lab]) -> None:
    lab = write_lab(
        hosts="""
        flexisip:
          vars: {ansible_user: ubuntu}
          hosts:
            203.0.113.5:
            edge: {ansible_host: "2001:db8::5", ansible_port: 2222, ansible_user: root}
            localhost: {ansible_connection: local}
        """
    )
    plain, edge, local = lab.hosts
    assert (plain.name, plain.address, plain.port, plain.user) == (
        "203.0.113.5",
        "203.0.113.5",
        None,
        "ubuntu",
    )
    assert (edge.address, edge.port, edge.user, edge.local) == ("2001:db8::5", 2222, "root", False)
    assert local.local
    assert lab.host("2001:db8::5") is edge


def test_a_lab_with_several_hosts_asks_which(write_lab: Callable[..., inventory.Lab]) -> None:
    lab = write_lab(hosts="flexisip: {hosts: {one: , two: }}")
    with pytest.raises(RequestError, match="several hosts; name one by --host: one, two"):
        lab.host(None)
    with pytest.raises(RequestError, match="no host three"):
        lab.host("three")


def test_a_lab_without_a_domain_says_so_when_it_is_needed(
    write_lab: Callable[..., inventory.Lab],
) -> None:
    lab = write_lab(options="---\n# nothing yet\n")
    with pytest.raises(RequestError, match=r"lab\.yml: flexisip_domain is missing"):
        _ = lab.domain


def test_where_there_is_no_lab_the_command_that_makes_one_is_named(tmp_path: Path) -> None:
    assert "labtool init -i" in refusal(tmp_path / "nothing")


BAD_YAML = [
    "a: [",
    "a: b: c",
    "\tx: 1",
    "a: 2024-99-99",
    "a: !!int x",
    "a: !!bool x",
    "a: !!timestamp x",
    "a: !!float x",
    "a: !!python/object:os.system x",
    "? [1]\n: 2",
    "a: *nowhere",
    "a: \x07",
    "--- a\n--- b",
    "[" * 5000,
]


@pytest.mark.parametrize("text", BAD_YAML)
@pytest.mark.parametrize("name", ["hosts_file", "lab_file", "users_file"])
def test_what_is_not_yaml_is_refused_by_one_sentence(lab: Path, name: str, text: str) -> None:
    file = getattr(inventory, name)(lab)
    file.write_text(text)
    assert refusal(lab).startswith(f"{file} is not valid YAML")


@pytest.mark.parametrize("name", ["hosts_file", "lab_file", "users_file"])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\xfe\x00binary", "it is not UTF-8 text"),
        (b"just words", "must hold `name: value` lines, but holds str"),
        (b"- a\n- b\n", "must hold `name: value` lines, but holds list"),
        (b"5", "must hold `name: value` lines, but holds int"),
        (b"&a [*a]", "must hold `name: value` lines, but holds list"),
    ],
)
def test_what_is_no_mapping_is_refused_by_one_sentence(
    lab: Path, name: str, content: bytes, why: str
) -> None:
    file = getattr(inventory, name)(lab)
    file.write_bytes(content)
    assert why in refusal(lab)


@pytest.mark.parametrize("name", ["hosts_file", "lab_file", "users_file"])
def test_a_file_that_is_a_directory_is_refused_by_one_sentence(lab: Path, name: str) -> None:
    file = getattr(inventory, name)(lab)
    file.unlink(missing_ok=True)
    file.mkdir()
    assert refusal(lab) == f"{file} cannot be read: Is a directory"


@pytest.mark.parametrize(
    ("hosts", "why"),
    [
        ("flexisip: [a]", "the group flexisip must hold `hosts:`"),
        ("flexisip: {hosts: [a]}", "must hold one `NAME:` line a host"),
        ("flexisip: {hosts: {a: b}}", "the host a must hold `variable: value` lines"),
        ("flexisip: {hosts: {a: {ansible_port: x}}}", "ansible_port must be a port"),
        ("flexisip: {hosts: {a: {ansible_port: true}}}", "ansible_port must be a port"),
        ("flexisip: {hosts: {a b: }}", "a space"),
        ("flexisip: {hosts: {a: {ansible_host: '{{ 7*7 }}'}}}", "a brace"),
        ("flexisip: {hosts: {a: {ansible_host: -oProxyCommand=x}}}", "begins with a hyphen"),
        ('flexisip: {hosts: {"a\\nb": }}', "a line break"),
        ('flexisip: {hosts: {"a\\nb": x}}', "a line break"),
        ("flexisip: {hosts: {5: }}", "the host 5"),
        ("flexisip: {hosts: {2024-01-01: }}", "in quotes"),
        ("flexisip: {hosts: {a: {ansible_user: [x]}}}", "the login ['x'] is not a name"),
        ("flexisip: {hosts: {a: {ansible_user: -oProxyCommand=x}}}", "the login '-oProxy"),
        ("flexisip: {hosts: {a: {ansible_user: '{{ 7*7 }}'}}}", "the login '{{ 7*7 }}'"),
    ],
)
def test_a_wrong_host_is_refused_by_one_sentence(lab: Path, hosts: str, why: str) -> None:
    inventory.hosts_file(lab).write_text(hosts)
    sentence = refusal(lab)
    assert sentence.startswith(f"{inventory.hosts_file(lab)}: ")
    assert why in sentence


def test_variables_that_hold_themselves_do_no_harm(lab: Path) -> None:
    inventory.hosts_file(lab).write_text("flexisip: &a {hosts: {b: *a}}")
    assert [host.name for host in inventory.read(lab).hosts] == ["b"]
    assert len(repr(inventory.read(lab))) < 10_000


SECRET = "5ec2e7" * 5 + "ab"


@pytest.mark.parametrize(
    ("users", "why"),
    [
        ("other: 1", "unknown option 'other'"),
        ("flexisip_users_accounts: [a]", "must hold one `NAME:` entry"),
        ("flexisip_users_accounts: {a: b}", "needs domain, md5 and sha256"),
        ("flexisip_users_accounts: {a: {md5: " + SECRET + "}}", "needs domain"),
        ("flexisip_users_accounts: {a: {domain: A.test, md5: x}}", "upper-case"),
        ("flexisip_users_accounts: {a: {domain: a.test}}", "has no hash"),
        ("flexisip_users_accounts: {a: {domain: a.test, sha1: x}}", "unknown key 'sha1'"),
        ("flexisip_users_accounts: {a: {domain: a.test, md5: 5}}", "32 hexadecimal digits"),
        (
            "flexisip_users_accounts: {a: {domain: a.test, md5: " + SECRET + "0}}",
            "32 hexadecimal digits",
        ),
        (
            "flexisip_users_accounts: {a: {domain: a.test, sha256: " + SECRET + "}}",
            "64 hexadecimal digits",
        ),
        ("flexisip_users_accounts: {'a;b': {domain: a.test}}", "a semicolon"),
        ("flexisip_users_accounts: {'a b': {domain: a.test}}", "a space"),
        ("flexisip_users_accounts: {0123: {domain: a.test, md5: " + SECRET + "}}", "in quotes"),
        ("flexisip_users_accounts: {no: {domain: a.test, md5: " + SECRET + "}}", "in quotes"),
        ("flexisip_users_accounts: &a {b: *a}", "needs domain"),
    ],
)
def test_a_wrong_account_is_refused_by_one_sentence_without_its_hash(
    lab: Path, users: str, why: str
) -> None:
    inventory.users_file(lab).write_text(users)
    sentence = refusal(lab)
    assert sentence.startswith(f"{inventory.users_file(lab)}: ")
    assert why in sentence
    assert SECRET not in sentence


@given(text=st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_read_or_refused_by_one_sentence(lab: Path, text: str) -> None:
    for file in (inventory.lab_file(lab), inventory.hosts_file(lab)):
        before = file.read_text()
        file.write_text(text, encoding="utf-8", errors="replace")
        try:
            inventory.read(lab)
        except RequestError as error:
            assert "\n" not in str(error)  # noqa: PT017
        file.write_text(before)


def test_a_lab_that_may_not_be_entered_is_refused_by_one_sentence(
    as_nobody: Callable[[], AbstractContextManager[Path]],
) -> None:
    with as_nobody() as folder:
        lab = folder / "closed" / "inventory"
        inventory.initialise(lab, domain="sip.example.test")
        lab.parent.chmod(0)
        assert refusal(lab) == f"The lab {lab} cannot be read: Permission denied"
        with pytest.raises(RequestError, match="cannot be written: Permission denied"):
            inventory.initialise(lab)
        with pytest.raises(RequestError, match="cannot be locked: Permission denied"):
            lock.locked(lab, "test").__enter__()


def test_a_lab_that_may_not_be_written_stays_as_it_is(
    as_nobody: Callable[[], AbstractContextManager[Path]],
) -> None:
    with as_nobody() as folder:
        path = folder / "inventory"
        inventory.initialise(path, domain="sip.example.test")
        lab = inventory.read(path)
        folder_of_options = inventory.lab_file(path).parent
        folder_of_options.chmod(0o500)
        with pytest.raises(LabtoolError, match=r"users\.yml cannot be written: Permission denied"):
            inventory.write_accounts(lab, (ALICE,))
        with pytest.raises(LabtoolError, match=r"lab\.yml cannot be written: Permission denied"):
            inventory.set_options(lab, {"flexisip_port": 5070})
        assert inventory.read(path) == lab
        assert [file.name for file in folder_of_options.iterdir()] == ["lab.yml"]


@pytest.mark.parametrize("name", ["x" * 300, "file/inventory"])
def test_a_path_that_cannot_be_is_refused_by_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    refusal(tmp_path / name)
    with pytest.raises(RequestError):
        inventory.initialise(tmp_path / name)


# --- writing ---------------------------------------------------------------------------------


def test_init_writes_a_lab_that_can_be_read_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lab"
    made = inventory.initialise(path, domain="sip.example.test")
    before = {file: file.read_text() for file in made}
    assert {str(file.relative_to(path)) for file in made} == {
        "hosts.yml",
        "group_vars/flexisip/lab.yml",
        ".gitignore",
    }
    with pytest.raises(RequestError, match="exists already, and is left as it is"):
        inventory.initialise(path, domain="other.test")
    assert {file: file.read_text() for file in made} == before


@pytest.mark.parametrize("name", ["hosts_file", "lab_file", "users_file"])
def test_init_writes_nothing_where_one_file_of_a_lab_is(tmp_path: Path, name: str) -> None:
    file: Path = getattr(inventory, name)(tmp_path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("mine")
    with pytest.raises(RequestError, match="exists already"):
        inventory.initialise(tmp_path)
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [file]
    assert file.read_text() == "mine"


def test_init_where_a_file_is_says_so(tmp_path: Path) -> None:
    (tmp_path / "lab").write_text("mine")
    with pytest.raises(RequestError, match="is a file"):
        inventory.initialise(tmp_path / "lab")


@pytest.mark.parametrize("word", [word for word in TREACHEROUS if "_" not in word])
def test_a_domain_that_yaml_takes_for_something_else_is_written_in_quotes(
    tmp_path: Path, word: str
) -> None:
    inventory.initialise(tmp_path / "lab", domain=word)
    assert inventory.read(tmp_path / "lab").domain == word
    lab = inventory.set_options(inventory.read(tmp_path / "lab"), {"flexisip_domain": f"x{word}"})
    lab = inventory.set_options(lab, {"flexisip_domain": word})
    assert lab.domain == word


@pytest.mark.parametrize("word", TREACHEROUS)
def test_a_host_that_yaml_takes_for_something_else_is_written_in_quotes(
    lab: Path, word: str
) -> None:
    written = inventory.add_host(inventory.read(lab), Host(word, word, user=word))
    assert written.hosts[0].name == word
    assert written.hosts[0].user == word
    assert inventory.add_host(written, written.hosts[0]) == written


@given(accounts=st.dictionaries(NAMES, HASHES, max_size=5))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_accounts_are_read_as_they_were_written(
    lab: Path, accounts: dict[str, dict[str, str]]
) -> None:
    made = tuple(Account(name, "sip.example.test", hashes) for name, hashes in accounts.items())
    written = inventory.write_accounts(inventory.read(lab), made)
    assert inventory.read(lab) == written
    assert written.accounts == tuple(sorted(made, key=lambda account: account.name))


def test_the_accounts_are_for_their_owner_alone_even_where_they_were_not(lab: Path) -> None:
    file = inventory.users_file(lab)
    file.write_text("---\n")
    file.chmod(0o644)
    inventory.write_accounts(inventory.read(lab), (ALICE,))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


HOSTS = """\
---
# Room 12.
flexisip:
  hosts:
    # The old one; ask Bob.
    203.0.113.5:
      ansible_user: root  # until March
    edge: {ansible_host: 203.0.113.6}
other:
  hosts:
    'printer': {}
"""


def test_adding_a_host_keeps_comments_and_everything_else(
    lab: Path, write_lab: Callable[..., inventory.Lab]
) -> None:
    before = write_lab(hosts=HOSTS)
    added = inventory.add_host(before, Host("new", "203.0.113.7", port=2222, user="ubuntu"))
    text = inventory.hosts_file(lab).read_text()
    for line in HOSTS.splitlines():
        assert line in text.splitlines()
    assert yaml.safe_load(text)["flexisip"]["hosts"]["new"] == {
        "ansible_host": "203.0.113.7",
        "ansible_port": 2222,
        "ansible_user": "ubuntu",
        "ansible_become": True,
    }
    assert [host.name for host in added.hosts] == ["203.0.113.5", "edge", "new"]


def test_a_host_that_is_there_is_changed_in_its_place(
    lab: Path, write_lab: Callable[..., inventory.Lab]
) -> None:
    before = write_lab(hosts=HOSTS)
    changed = inventory.add_host(before, dataclasses.replace(before.hosts[1], port=2222))
    assert changed.host("edge").port == 2222
    assert "# until March" in inventory.hosts_file(lab).read_text()


def test_writing_what_is_there_already_touches_nothing(
    lab: Path, write_lab: Callable[..., inventory.Lab]
) -> None:
    before = write_lab(hosts=HOSTS)
    stamp = inventory.hosts_file(lab).stat().st_ino
    inventory.add_host(before, before.hosts[0])
    assert inventory.hosts_file(lab).stat().st_ino == stamp


def test_setting_an_option_keeps_comments_and_everything_else(lab: Path) -> None:
    text = inventory.lab_file(lab).read_text() + "\nflexisip_stun: true  # for the phones\n"
    inventory.lab_file(lab).write_text(text)
    after = inventory.set_options(inventory.read(lab), {"flexisip_port": 5070})
    assert after.options["flexisip_port"] == 5070
    assert after.options["flexisip_stun"] is True
    written = inventory.lab_file(lab).read_text().splitlines()
    assert [line for line in text.splitlines() if line not in written] == []


@pytest.mark.parametrize("text", ["", "---\n", "# only a comment\n", "---\n# only a comment\n"])
def test_an_option_and_a_host_are_written_to_a_file_that_holds_nothing_yet(
    lab: Path, write_lab: Callable[..., inventory.Lab], text: str
) -> None:
    before = write_lab(hosts=text, options=text)
    after = inventory.set_options(before, {"flexisip_domain": "a.test"})
    after = inventory.add_host(after, Host("new", "new"))
    assert inventory.read(lab) == after
    assert after.domain == "a.test"
    for file in (inventory.hosts_file(lab), inventory.lab_file(lab)):
        assert ("# only a comment" in file.read_text()) == ("#" in text)


def test_a_wrong_option_is_refused_before_anything_is_written(lab: Path) -> None:
    before = inventory.lab_file(lab).read_text()
    with pytest.raises(RequestError):
        inventory.set_options(inventory.read(lab), {"flexisip_port": 5070, "flexisip_stun": "x"})
    assert inventory.lab_file(lab).read_text() == before


def test_a_name_that_stands_twice_is_refused_by_one_sentence(lab: Path) -> None:
    file = inventory.lab_file(lab)
    file.write_text("flexisip_domain: a.test\nflexisip_port: 1\nflexisip_port: 2\n")
    sentence = refusal(lab)
    assert sentence == f"{file} is not valid YAML at line 3: 'flexisip_port' stands there twice"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_file_that_was_closed_to_others_stays_so(lab: Path, mode: int) -> None:
    inventory.hosts_file(lab).chmod(mode)
    inventory.lab_file(lab).chmod(mode)
    changed = inventory.add_host(inventory.read(lab), Host("new", "new"))
    inventory.set_options(changed, {"flexisip_port": 5070})
    for file in (inventory.hosts_file(lab), inventory.lab_file(lab)):
        assert stat.S_IMODE(file.stat().st_mode) == mode


# --- secrets ---------------------------------------------------------------------------------


def test_the_hashes_are_in_no_repr(lab: Path) -> None:
    written: Any = inventory.write_accounts(inventory.read(lab), (ALICE,))
    for shown in (repr(ALICE), repr(written), str(written), f"{written.accounts}"):
        for value in ALICE.hashes.values():
            assert value not in shown


def test_accounts_of_another_domain_are_found(lab: Path) -> None:
    old = Account("old", "before.test", ALICE.hashes)
    written = inventory.write_accounts(inventory.read(lab), (ALICE, old))
    assert written.stale_accounts() == (old,)


_NAMES = st.text("abcdefnoyesfltru019-.!*_+'~", min_size=1, max_size=12)


@given(
    st.dictionaries(
        _NAMES | st.sampled_from(["no", "On", "null", "0b1", "1e3", "y", "~", "a'b", "12", "0x1f"]),
        st.tuples(
            st.sampled_from(["sip.example.test", "192.0.2.1", "3com.example", "on"]),
            st.text("0123456789abcdef", min_size=32, max_size=32),
            st.none() | st.text("0123456789", min_size=64, max_size=64),
        ),
        max_size=5,
    )
)
def test_the_users_file_says_to_yaml_what_it_says_to_labtool(
    made: dict[str, tuple[str, str, str | None]],
) -> None:
    accounts = tuple(
        Account(name, domain, {"md5": md5} | ({"sha256": sha256} if sha256 else {}))
        for name, (domain, md5, sha256) in made.items()
    )
    text = inventory._written(accounts)
    assert yaml.safe_load(text)[inventory.ACCOUNTS] == {
        one.name: {"domain": one.domain, **one.hashes} for one in accounts
    }
    if accounts:
        assert inventory._as_written(text) == accounts


def test_what_labtool_wrote_is_read_without_a_yaml_parser_and_anything_else_with_one(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = tuple(Account(name, "a.test", {"md5": "1" * 32}) for name in ("alice", "no"))
    inventory.write_accounts(inventory.read(lab), two)
    file = inventory.users_file(lab)
    text = file.read_text()
    monkeypatch.setattr(inventory, "_mapping", lambda *_, **__: {})
    assert inventory.read_accounts(file) == two
    for other in (text + "  # a comment\n", text.replace("alice", "al\tice"), text + text[-60:]):
        file.write_text(other)
        assert inventory.read_accounts(file) == ()
