"""Bad input: one sentence, exit code 2, nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from labtool import inventory
from labtool.cli.main import run

HOST = ("deploy", "--host", "203.0.113.5", "--domain", "sip.example.test")

DEMO = "labtool demo: two phones talking over a SIP server, on this machine"

# The arguments (FOLDER is the test's own, LAB its lab) and words of the sentence.
BAD: list[tuple[tuple[str, ...], str]] = [
    (("deploy", "--host", "a b", "--domain", "a.test"), 'the host "a b" has a space'),
    (("deploy", "--host", "-oProxyCommand=x", "--domain", "a.test"), "begins with a hyphen"),
    (("deploy", "--host", "{{ 7*7 }}", "--domain", "a.test"), "has a brace"),
    (("deploy", "--host", "203.0.113.5:22", "--domain", "a.test"), "the port with --port"),
    (("deploy", "--host", "203.0.113.5", "--domain", "a\nb"), "has a line break"),
    (("deploy", "--host", "203.0.113.5", "--domain", "{{ 7*7 }}"), "has a brace"),
    (("deploy", "--host", "203.0.113.5", "--domain", ""), "the domain is empty"),
    (("deploy", "--host", "203.0.113.5", "--domain", "Sip.test"), "write sip.test"),
    ((*HOST, "--user", "{{ 7*7 }}"), "the login '{{ 7*7 }}' is not a name"),
    ((*HOST, "--user", "-oProxyCommand=x"), "is not a name"),
    ((*HOST, "--port", "0"), "0 is not in the range"),
    ((*HOST, "--public-address", "fe80::1%{{ 7*7 }}"), "an IPv4 or IPv6 address"),
    ((*HOST, "--repo-url", "ftp://mirror.test"), "an http or https URL"),
    ((*HOST, "--repo-url", "http://me:hush@mirror.test"), "without a password"),
    ((*HOST, "--deb", "FOLDER/no.deb"), "cannot be read"),
    ((*HOST, "--deb", "FOLDER/{{ 7*7 }}.deb"), "the path of a file"),
    ((*HOST, "--identity", "FOLDER/no-key"), "cannot be read"),
    ((*HOST, "--ssh-password-file", "FOLDER/none"), "No such file or directory"),
    (("deploy",), "has no host yet"),
    (("add-user", "a;b"), 'the user name "a;b" has a semicolon'),
    (("add-user", "a b"), "has a space"),
    (("add-user", ""), "the user name is empty"),
    (("add-user", "alice@sip.example.test"), "give the part before it alone"),
    (("add-user", "{{ 7*7 }}"), "has a brace"),
    (("add-user", "alice"), "The user alice exists already"),
    (("add-user", "carol", "--password-file", "FOLDER/bell"), "a control character"),
    (("add-user", "carol", "--password-file", "FOLDER/blank"), "is empty"),
    (("add-user", "carol", "--password-file", "FOLDER/binary"), "it is not UTF-8 text"),
    (("add-user", "carol", "--password-file", "FOLDER"), "Is a directory"),
    (("add-user", "carol", "--password-file", "FOLDER/none"), "No such file or directory"),
    (("set-password", "nobody"), "has no user nobody"),
    (("set-password", "alice", "--password-file", "FOLDER/bell"), "a control character"),
    (("remove-user", "nobody"), "has no user nobody"),
    (("remove-user", "a;b"), "has no user a;b"),
    (("remove-user", "--lab-only", "nobody"), "has no user nobody"),
    (("import-users", "FOLDER"), "directory"),
    (("import-users", "FOLDER/none"), "No such file or directory"),
    (("verify",), "has no host yet"),
    (("verify", "--host", "elsewhere"), "has no host elsewhere"),
    (("probe", "a b"), "no host name"),
    (("probe", "127.0.0.1", "--transport", "quic"), "'quic' is no transport"),
    (("probe", "127.0.0.1", "--user", "dave"), "The password of dave is needed"),
    (("probe", "127.0.0.1", "--user", "a;b"), "a semicolon"),
    (("probe", "--lab"), "has no host yet"),
    (("probe",), "Name a HOST"),
    (("probe", "127.0.0.1:1", "--user", ""), "--user is empty"),
    (
        ("probe", "127.0.0.1:1", "--user", "a", "--ask-password", "--password-file", "FOLDER/none"),
        "--ask-password or --password-file, not both",
    ),
    (("load", "127.0.0.1:1", "--hold", "3"), "--hold goes with --calls"),
    (("probe", "127.0.0.1", "--dns", "foo"), "a name server is named by its IP address"),
    (("probe", "a.test", "--junit", "FOLDER/none/x.xml"), "--junit FOLDER/none/x.xml: cannot be"),
    (("probe", "a.test", "--metrics", "FOLDER"), "--metrics FOLDER: is a directory"),
    (("probe", "a.test", "--capture", "FOLDER/none/x.pcap"), "/none/x.pcap: cannot be written: No"),
    (("probe", "a.test", "--capture", "FOLDER/blank"), "--capture FOLDER/blank: exists already"),
    (("sandbox", "--json-log", "FOLDER/none/x"), "cannot write FOLDER/none/x: No such file"),
    (("sandbox", "--conf", "FOLDER/none"), "is not there"),
    (("sandbox", "--conf", "FOLDER"), "FOLDER is a directory"),
    (("sandbox", "--release", "9.9"), "Flexisip 9.9 is not known here; known: 2.0, 2.1,"),
    (("sandbox", "--conf", "FOLDER/blank", "--release", "x"), "'x' is not a release of Flexisip"),
    (("lint", "FOLDER/blank", "--release", "9.9"), "Flexisip 9.9 is not known here; known: 2.0,"),
    (("lint", "FOLDER/none"), "cannot be read: No such file or directory"),
    (("lint", "FOLDER"), "cannot be read: Is a directory"),
    (("lint",), "Name a flexisip.conf"),
    (("trace", "FOLDER/none"), "No such file"),
    (("demo", "-o", "FOLDER"), "has files that the demo did not make"),
    (("demo", "-o", "FOLDER/blank"), "cannot be used"),
    (("init",), "exists already, and is left as it is"),
    (("init", "--domain", "a b"), "has a space"),
]


@pytest.fixture
def folder(tmp_path: Path, lab: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a lab that has a user, and some files that are no use."""
    from labtool.inventory import Account

    alice = Account("alice", "sip.example.test", {"md5": "a1" * 16, "sha256": "b2" * 32})
    inventory.write_accounts(inventory.read(lab), (alice,))
    (tmp_path / "bell").write_text("hush\ahush\n")
    (tmp_path / "blank").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\n")
    monkeypatch.setenv("LABTOOL_INVENTORY", str(lab))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(folder: Path) -> dict[str, bytes | None]:
    """Every file but the lock, which whoever wants to change a lab leaves behind."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if ".labtool" not in path.parts
    }


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr that says what is wrong; click's own are below its usage."""
    said = capsys.readouterr()
    shown = [line for line in said.out.splitlines() if '"event": "error"' not in line]
    assert "\n".join(shown).strip() in ("", DEMO), "nothing was done, and nothing said of it"
    assert "Traceback" not in said.err
    *usage, last = said.err.strip().splitlines()
    assert all(line.startswith(("Usage:", "Try ", " ")) or not line for line in usage), said.err
    return last


@pytest.mark.parametrize(
    ("arguments", "words"), BAD, ids=[f"{' '.join(arguments)!r}" for arguments, _ in BAD]
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    before = content(folder)
    assert run([argument.replace("FOLDER", str(folder)) for argument in arguments]) == 2
    told = sentence(capsys)
    assert words.replace("FOLDER", str(folder)) in told
    assert "hush" not in told.replace("me:hush@mirror", "")
    assert content(folder) == before


COMMANDS = [
    ("deploy", "--host", "203.0.113.5"),
    ("deploy", "--host", "203.0.113.5", "--check"),
    ("deploy", "--host", "203.0.113.5", "--show-command"),
    ("add-user", "carol"),
    ("set-password", "alice"),
    ("remove-user", "alice"),
    ("remove-user", "alice", "--lab-only"),
    ("list-users",),
    ("list-users", "--json"),
    ("verify",),
    ("probe", "--lab"),
    ("probe", "127.0.0.1", "--user", "alice"),
    ("sandbox",),
]


def test_who_is_called_without_who_calls_is_refused_where_there_is_no_lab(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABTOOL_INVENTORY", str(folder / "nothing"))
    assert run(["probe", "127.0.0.1:1", "--to", "bob"]) == 2
    assert "name the caller with --user" in sentence(capsys)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_an_unknown_option_in_lab_yml_stops_every_command(
    folder: Path, lab: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    inventory.lab_file(lab).write_text("flexisip_domain: sip.example.test\nflexisip_prot: 5\n")
    before = content(folder)
    assert run(list(arguments)) == 2
    file = inventory.lab_file(lab)
    assert sentence(capsys) == (
        f"labtool: {file}: unknown option 'flexisip_prot'. Did you mean flexisip_port?"
    )
    assert content(folder) == before


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_lab_without_a_domain_or_that_is_none_stops_every_command_that_needs_it(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    monkeypatch.setenv("LABTOOL_INVENTORY", str(folder / "nothing"))
    before = content(folder)
    assert run(list(arguments)) == 2
    assert sentence(capsys)
    assert content(folder) == before


@pytest.mark.parametrize("quiet", [(), ("--json",), ("-q",)], ids=str)
def test_a_lab_without_a_domain_is_not_deployed(
    folder: Path, lab: Path, capsys: pytest.CaptureFixture[str], quiet: tuple[str, ...]
) -> None:
    inventory.users_file(lab).unlink()
    inventory.lab_file(lab).write_text("---\n")
    before = content(folder)
    assert run(["deploy", "--host", "203.0.113.5", *quiet]) == 2
    assert "flexisip_domain is missing" in sentence(capsys)
    assert content(folder) == before


def test_users_of_another_domain_stop_a_deployment(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(folder)
    assert run(["deploy", "--host", "203.0.113.5", "--domain", "other.test"]) == 2
    assert "a password is hashed with its domain" in sentence(capsys)
    assert content(folder) == before


def test_a_lab_that_may_not_be_read_is_one_sentence(
    as_nobody: Callable[[], AbstractContextManager[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    # Imported while it may be: the commands import when they are called.
    run(["list-users", "-i", "/nonexistent"])
    run(["init", "-i", "/dev/null/lab"])
    capsys.readouterr()
    with as_nobody() as folder:
        lab = folder / "closed" / "lab"
        assert run(["init", "-i", str(lab)]) == 0
        capsys.readouterr()
        lab.parent.chmod(0)
        for command in ("list-users", "init"):
            assert run([command, "-i", str(lab)]) == 2
            assert "Permission denied" in sentence(capsys)
