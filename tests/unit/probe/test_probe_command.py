"""`labtool probe` as a user runs it, against the embedded server in a thread."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import json_schema
import pytest
from certificates import Issuer

from labtool import accounts, inventory
from labtool.cli.main import run
from labtool.cli.probe import _until
from labtool.cli.watching import Stop, until_stopped
from labtool.probe.suite import CHECKS
from labtool.sandbox.server import Sandbox
from labtool.sip.digest import ha1
from labtool.sip.loop import Loop

DOMAIN = "sip.example.test"
USERS = {"alice": "wonderland1", "bob": "builder12"}
CONF = """[global]
transports=sip:127.0.0.1:5060 sips:127.0.0.1:5061
tls-certificates-file={certificate}
tls-certificates-private-key={certificate}
aliases=localhost {domain}
[stun-server]
enabled=false
[module::DoSProtection]
enabled=false
[module::MediaRelay]
enabled=false
[module::Registrar]
enabled=true
reg-domains={domain}
min-expires=1
[module::Authentication]
enabled=true
auth-domains={domain}
available-algorithms=MD5 SHA-256
db-implementation=file
file-path={users}
"""


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("served")
    rows = [
        f"{u}@{DOMAIN} md5:{ha1(u, DOMAIN, p, 'MD5')} sha256:{ha1(u, DOMAIN, p, 'SHA-256')} ;\n"
        for u, p in USERS.items()
    ]
    (folder / "users.db.txt").write_text("version:1\n" + "".join(rows))
    conf = folder / "flexisip.conf"
    users, certificate = folder / "users.db.txt", issuer.issue(DOMAIN)
    conf.write_text(CONF.format(domain=DOMAIN, users=users, certificate=certificate))
    loop, (here, there) = Loop(), socket.socketpair()
    server = Sandbox.from_file(conf, loop=loop, port=0)
    server.start()
    loop.add_reader(there, loop.stop)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield server
    here.send(b"x")
    thread.join(5)
    server.stop()
    loop.close()
    here.close()
    there.close()


@pytest.fixture
def served(sandbox: Sandbox) -> str:
    return str(sandbox.address("udp"))


@pytest.fixture
def in_lab(lab: Path) -> Path:
    """A lab with the two users."""
    made = tuple(accounts.account(user, DOMAIN, password)[0] for user, password in USERS.items())
    inventory.write_accounts(inventory.read(lab), made)
    return lab


Run = Callable[..., int]


@pytest.fixture
def probe(served: str, in_lab: Path) -> Run:
    return lambda *arguments: run(["-i", str(in_lab), "probe", served, *arguments])


def test_a_call_is_between_the_labs_first_two_users(
    probe: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe("--call", "--seconds", "0.3", "--transport", "udp,tcp", "--hangup", "callee") == 0
    shown = capsys.readouterr().out
    assert f"alice@{DOMAIN} calls bob@{DOMAIN} over udp,tcp: sound both ways" in shown
    assert "held and resumed" in shown
    assert "bob hung up" in shown


@pytest.mark.parametrize("over", ["udp,tls", "tls,tcp"])
def test_a_call_goes_from_one_transport_to_tls_and_back(
    probe: Run, sandbox: Sandbox, issuer: Issuer, capsys: pytest.CaptureFixture[str], over: str
) -> None:
    port = str(sandbox.address("tls").port)
    trusting = ["--ca-file", str(issuer.file), "--tls-port", port]
    code = probe("--call", "--seconds", "0.3", "--transport", over, *trusting)
    shown = capsys.readouterr().out
    assert code == 0, shown
    assert f"over {over}: sound both ways" in shown
    assert "TLSv1." in shown
    assert probe("--check", "tls", *trusting) == 0
    assert "issued by CN=Lab CA" in capsys.readouterr().out


def test_tls_is_shown_with_its_own_port_and_judged_by_the_labs_domain(
    probe: Run, sandbox: Sandbox, issuer: Issuer, capsys: pytest.CaptureFixture[str]
) -> None:
    port = sandbox.address("tls").port
    trusting = ["--transport", "tls", "--ca-file", str(issuer.file), "--tls-port", str(port)]
    assert probe("--check", "options", *trusting) == 0
    assert f"SIP is spoken on 127.0.0.1:{port} over tls" in capsys.readouterr().out
    assert probe("--check", "options", "--domain", "other.example.test", *trusting) == 33


def test_the_one_who_is_called_is_the_labs_next_user(
    probe: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe("--check", "busy", "--user", "bob", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [result["account"] for result in shown["results"]] == ["bob to alice"]


def test_password_files_serve_where_there_is_no_lab(
    served: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pw").write_text(USERS["alice"] + "\n")
    base = ["-i", str(tmp_path / "none"), "probe", served, "--check", "cancel"]
    assert run(base) == 2
    assert "Users are needed" in capsys.readouterr().err
    named = [*base, "--user", "alice", "--to", "bob", "--domain", DOMAIN]
    assert run([*named, "--password-file", str(tmp_path / "pw")]) == 2
    assert "password of bob is needed" in capsys.readouterr().err
    (tmp_path / "pw2").write_text(USERS["bob"] + "\n")
    both = ["--password-file", str(tmp_path / "pw"), "--to-password-file", str(tmp_path / "pw2")]
    assert run([*named, *both]) == 0


def test_all_checks_hold_and_are_written_for_others(
    probe: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xml, prom = tmp_path / "probe.xml", tmp_path / "probe.prom"
    code = probe("--all", "--seconds", "0.2", "--junit", str(xml), "--metrics", str(prom))
    shown = capsys.readouterr().out
    assert code == 0, shown
    assert "15 of 15 checks hold." in shown
    assert "a registration of 2 s ends in time" in shown
    suite = ElementTree.parse(xml).getroot()[0]
    assert suite.get("tests") == "15"
    assert 'check="call",account="alice to bob"} 1' in prom.read_text()
    assert prom.stat().st_mode & 0o777 == 0o644
    assert not any(secret in shown + prom.read_text() for secret in USERS.values())


def test_an_end_that_was_not_waited_for_does_not_count_as_holding(
    probe: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = [word for name in ("refresh", "expiry", "options") for word in ("--check", name)]
    xml = tmp_path / "probe.xml"
    assert probe(*checks, "--expiry-wait", "0", "--junit", str(xml)) == 0
    shown = capsys.readouterr().out
    assert "2 of 3 checks hold, 1 not tested." in shown
    assert "not tested  alice@" in shown
    suite = ElementTree.parse(xml).getroot()[0]
    assert (suite.get("skipped"), suite.get("failures")) == ("1", "0")
    skipped = [case.get("name") for case in suite if case.find("skipped") is not None]
    assert skipped == [f"expiry alice@{DOMAIN}"]
    assert probe(*checks, "--expiry-wait", "0", "--brief") == 0
    assert ": 2 checks hold, 1 not tested | " in capsys.readouterr().out


def test_the_json_is_what_its_page_says(
    probe: Run,
    sandbox: Sandbox,
    issuer: Issuer,
    project: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    schema = json_schema.tables((project / "docs" / "probe.md").read_text())
    assert {name: len(keys) for name, keys in schema.items()} == {
        "whole": 3,
        "result": 11,
        "step": 7,
    }
    trusting = ["--ca-file", str(issuer.file), "--tls-port", str(sandbox.address("tls").port)]
    every = ["--all", "--seconds", "0.2", "--expiry-wait", "0", "--transport", "udp,tls"]
    assert probe("--json", *every, *trusting) == 0
    shown = json.loads(capsys.readouterr().out)
    json_schema.check(shown, "whole", schema)
    assert {result["check"] for result in shown["results"]} == set(CHECKS)
    untested = {result["check"] for result in shown["results"] if not result["tested"]}
    assert untested == {"expiry"}
    assert run(["probe", "127.0.0.1:1", "--json"]) == 11
    failed = json.loads(capsys.readouterr().out)
    json_schema.check(failed, "whole", schema)
    assert failed["results"][0]["cause"]["name"] == "refused"
    for wrong in ({**failed, "ok": 1}, {**failed, "more": 1}, {**failed, "results": [{}]}):
        with pytest.raises(AssertionError):
            json_schema.check(wrong, "whole", schema)


def test_brief_is_one_line_and_a_nagios_code(
    probe: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe("--brief", "--check", "register") == 0
    out = capsys.readouterr().out
    assert out.startswith("SIP OK - ")
    assert out.count("\n") == 1
    assert run(["probe", "127.0.0.1:1", "--brief"]) == 2
    assert capsys.readouterr().out.startswith("SIP CRITICAL - ")


@pytest.mark.parametrize(
    "arguments",
    [["--hangup", "nobody"], ["--check", "nonsense"], [], ["127.0.0.1", "--transport", "sctp"]],
)
def test_a_wrong_request_is_unknown_to_nagios_and_2_to_others(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    aim = [] if not arguments or "sctp" in arguments else ["127.0.0.1"]
    assert run(["probe", *aim, *arguments, "--brief"]) == 3
    assert capsys.readouterr().out.startswith("SIP UNKNOWN - ")
    assert run(["probe", *aim, *arguments]) == 2


def test_a_file_that_cannot_be_written_is_one_line_for_nagios(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "none" / "probe.xml"
    assert run(["probe", "127.0.0.1:1", "--brief", "--junit", str(file)]) == 3
    said = capsys.readouterr()
    why = "cannot be written: No such file or directory."
    assert (said.out, said.err) == (f"SIP UNKNOWN - --junit {file}: {why}\n", "")


def test_two_forms_of_the_same_are_a_wrong_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["probe", "127.0.0.1", "--brief", "--json"]) == 3
    assert run(["probe", "127.0.0.1", "--watch", "1", "--capture", "x.pcap"]) == 2
    assert "--watch" in capsys.readouterr().err


def test_a_watch_goes_on_until_it_is_stopped_and_leaves_nothing_behind(
    probe: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prom = tmp_path / "probe.prom"
    timer = threading.Timer(1.4, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    before = signal.getsignal(signal.SIGINT)
    assert probe("--check", "register", "--watch", "1", "--metrics", str(prom)) == 0
    captured = capsys.readouterr()
    rounds = captured.out.splitlines()
    assert len(rounds) == 2
    assert all("SIP OK" in line for line in rounds)
    assert "stopping" in captured.err
    assert f'check="register",account="alice@{DOMAIN}"}} 2' in prom.read_text()
    assert signal.getsignal(signal.SIGINT) is before
    assert list(tmp_path.glob(".probe.prom*")) == [], "no half of a file is left"


def test_a_stop_leaves_out_the_checks_that_are_still_to_come() -> None:
    asked: list[str] = []

    def checks(stop: Stop) -> Iterator[Any]:
        for name in ("first", "second"):
            stop.asked = True
            asked.append(name)
            yield name

    with until_stopped() as stop:
        assert list(_until(stop, checks(stop))) == ["first"]
    assert asked == ["first"]


def test_the_second_interrupt_ends_it_at_once() -> None:
    with until_stopped() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        stop.wait(1)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_help_names_every_check_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["probe", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("call-nobody", "75 hold-ignored", "--expiry-wait", "Nagios"):
        assert words in shown


def test_a_capture_that_is_there_already_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there.pcap"
    there.write_bytes(b"the only one")
    assert run(["probe", "127.0.0.1", "--capture", str(there)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert there.read_bytes() == b"the only one"
