"""The probe against the embedded server, on one loop: every check, as a user would run them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unruly import Unruly

from labtool import probe
from labtool.errors import RequestError
from labtool.probe import Account, Result
from labtool.probe.capabilities import options
from labtool.probe.checks import OF_ONE, OF_TWO
from labtool.probe.phonecall import call
from labtool.probe.registration import register
from labtool.probe.session import Setting
from labtool.sandbox.refusal import SandboxRefusal
from labtool.sandbox.server import Sandbox
from labtool.sip.digest import Ha1, Password, ha1
from labtool.sip.loop import Loop

DOMAIN = "sip.example.test"
USERS = {"alice": "wonderland", "bob": "builder"}

CONF = """[global]
transports=sip:{host}:5060
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
[module::Authentication]
enabled={authentication}
auth-domains={domain}
available-algorithms=MD5 SHA-256
db-implementation=file
file-path={users}
"""


def hashes(user: str) -> dict[str, str]:
    return {a: ha1(user, DOMAIN, USERS[user], a) for a in ("MD5", "SHA-256")}


@pytest.fixture
def sandbox(loop: Loop, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts one and gives the target; `authentication` off makes it an open server."""
    started: list[Sandbox] = []

    def start(*, authentication: bool = True, host: str = "127.0.0.1") -> str:
        users = tmp_path / "users.db.txt"
        rows = [
            f"{user}@{DOMAIN} md5:{hashes(user)['MD5']} sha256:{hashes(user)['SHA-256']} ;\n"
            for user in USERS
        ]
        users.write_text("version:1\n" + "".join(rows))
        conf = tmp_path / "flexisip.conf"
        enabled = str(authentication).lower()
        conf.write_text(CONF.format(domain=DOMAIN, users=users, authentication=enabled, host=host))
        server = Sandbox.from_file(conf, loop=loop, port=0)
        server.start()
        started.append(server)
        return str(server.address("udp"))

    yield start
    for server in started:
        server.stop()


@pytest.mark.parametrize(("one", "other"), [("udp", "udp"), ("udp", "tcp")])
def test_a_call_over_ipv6_has_sound_both_ways(
    sandbox: Callable[..., str], setting: Setting, one: str, other: str
) -> None:
    try:
        target = sandbox(host="[::1]")
    except SandboxRefusal as why:
        pytest.skip(f"this machine has no IPv6: {why}")
    alice, bob = account("alice", one), account("bob", other)
    result = call(target, alice, bob, setting, seconds=0.3, hold=True)
    assert result.ok, result.verdict
    assert any("[::1]" in str(each.facts.get("sent_to", "")) for each in result.steps)


def account(user: str, transport: str = "udp") -> Account:
    return Account(user, DOMAIN, Password(USERS[user]), transport)


def name_of(result: Result) -> str | None:
    return result.cause.name if result.cause else None


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_options_and_both_algorithms(
    sandbox: Callable[..., str], setting: Setting, transport: str
) -> None:
    target = sandbox()
    assert options(target, transport, setting).ok
    alice = account("alice", transport)
    result = register(target, alice, setting, algorithms=("MD5", "SHA-256"))
    assert result.ok, result.verdict
    stored = replace(alice, secret=Ha1(hashes("alice")))
    assert "SHA-256" in register(target, stored, setting).verdict


@pytest.mark.parametrize(("one", "other"), [("udp", "udp"), ("udp", "tcp"), ("tcp", "tcp")])
def test_a_call_with_sound_both_ways(
    sandbox: Callable[..., str], setting: Setting, one: str, other: str
) -> None:
    alice, bob = account("alice", one), account("bob", other)
    result = call(sandbox(), alice, bob, setting, seconds=0.3, hold=True)
    assert result.ok, result.verdict


@pytest.mark.parametrize(
    ("user", "password", "domain", "expected"),
    [
        ("alice", "nonsense", DOMAIN, "wrong-password"),
        ("carol", "nonsense", DOMAIN, "wrong-password"),
        ("alice", "wonderland", "127.0.0.1", "wrong-domain"),
        ("alice", "wonderland", "other.example.test", "wrong-domain"),
    ],
)
def test_a_bad_login_has_its_cause(
    sandbox: Callable[..., str],
    setting: Setting,
    user: str,
    password: str,
    domain: str,
    expected: str,
) -> None:
    result = register(sandbox(), Account(user, domain, Password(password)), setting)
    assert name_of(result) == expected


@pytest.mark.parametrize("name", OF_ONE)
def test_each_check_of_one_account_holds(
    sandbox: Callable[..., str], setting: Setting, name: str
) -> None:
    result = OF_ONE[name](sandbox(), account("alice"), setting)
    assert result.ok, result.verdict
    assert result.check == name


@pytest.mark.parametrize("transports", ["udp udp", "udp tcp", "tcp tcp"])
@pytest.mark.parametrize("name", OF_TWO)
def test_each_check_of_two_accounts_holds(
    sandbox: Callable[..., str], setting: Setting, name: str, transports: str
) -> None:
    one, other = transports.split()
    result = OF_TWO[name](sandbox(), account("alice", one), account("bob", other), setting)
    assert result.ok, result.verdict
    assert result.check == name


@pytest.mark.parametrize("name", ["register", "call", *OF_ONE, *OF_TWO])
def test_a_way_that_loses_doubles_and_reorders_fails_no_check(
    sandbox: Callable[..., str], setting: Setting, loop: Loop, name: str
) -> None:
    port = int(sandbox().rpartition(":")[2])
    patient = replace(setting, timeout=8.0, patience=0.0)
    alice, bob = account("alice"), account("bob")
    way = Unruly(loop, port, loss=0.15, doubled=0.3, late=0.1, seed=len(name))
    try:
        if name == "register":
            result = register(way.target, alice, patient, algorithms=("MD5", "SHA-256"))
        elif name == "call":
            result = call(way.target, alice, bob, patient, seconds=0.2, hold=True)
        elif name in OF_ONE:
            result = OF_ONE[name](way.target, alice, patient)
        else:
            result = OF_TWO[name](way.target, alice, bob, patient)
    finally:
        way.close()
    assert result.ok, "\n".join(probe.lines(result))
    assert way.sent > 3


@pytest.mark.parametrize("name", ["wrong-password", "unknown-user"])
def test_an_open_server_lets_anybody_in(
    sandbox: Callable[..., str], setting: Setting, name: str
) -> None:
    result = OF_ONE[name](sandbox(authentication=False), account("alice"), setting)
    assert name_of(result) == "open-server"


def test_an_open_server_does_not_challenge_a_call(
    sandbox: Callable[..., str], setting: Setting
) -> None:
    target = sandbox(authentication=False)
    check: Any = OF_TWO["unauthenticated-invite"]
    assert name_of(check(target, account("alice"), account("bob"), setting)) == "no-challenge"


def test_a_check_is_run_by_its_name(sandbox: Callable[..., str], loop: Loop) -> None:
    target = sandbox()
    alice, bob = account("alice"), account("bob")
    assert probe.check("refresh", target, caller=alice, loop=loop).ok
    assert probe.check("busy", target, caller=alice, callee=bob, loop=loop).ok
    with pytest.raises(RequestError, match="second account"):
        probe.check("busy", target, caller=alice, loop=loop)
    with pytest.raises(RequestError, match="refresh"):
        probe.check("nonsense", target, caller=alice, loop=loop)
