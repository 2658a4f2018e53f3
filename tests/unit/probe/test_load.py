"""A load: its rate, its counts and causes, and what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_server import FakeServer

from labtool.cli.main import run as labtool
from labtool.errors import RequestError, UnreachableError
from labtool.probe import Account, Target, load
from labtool.probe.load import Plan
from labtool.probe.load_accounts import from_users_file, may_aim, some
from labtool.probe.load_statistics import Round, Snapshot, quantiles
from labtool.sandbox.server import Sandbox
from labtool.sip.digest import Ha1, Password, ha1
from labtool.sip.loop import Loop
from labtool.sip.message import Request, Response, response_to
from labtool.sip.transaction import ServerTransaction

DOMAIN = "sip.example.test"
USERS = {f"user{number}": f"secret{number}" for number in range(10)}
CONF = """[global]
transports=sip:127.0.0.1:5060
aliases=localhost {domain}
[module::DoSProtection]
enabled=false
[module::Registrar]
reg-domains={domain}
[module::Authentication]
enabled=true
auth-domains={domain}
available-algorithms=MD5 SHA-256
file-path={users}
"""


def accounts(transport: str = "udp", password: str | None = None) -> tuple[Account, ...]:
    return tuple(
        Account(user, DOMAIN, Password(password or secret), transport)
        for user, secret in USERS.items()
    )


@pytest.fixture
def sandbox(loop: Loop, tmp_path: Path) -> Iterator[Sandbox]:
    users = tmp_path / "users.db.txt"
    rows = [f"{user}@{DOMAIN} clrtxt:{secret} ;\n" for user, secret in USERS.items()]
    users.write_text("version:1\n" + "".join(rows))
    conf = tmp_path / "flexisip.conf"
    conf.write_text(CONF.format(domain=DOMAIN, users=users))
    server = Sandbox.from_file(conf, loop=loop, port=0, json_log=tmp_path / "log.json")
    server.start()
    yield server
    server.stop()


def events(tmp_path: Path, kind: str) -> list[dict[str, str]]:
    lines = (tmp_path / "log.json").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_many_users_register_at_the_rate_and_are_signed_out_again(
    sandbox: Sandbox, loop: Loop, tmp_path: Path, transport: str
) -> None:
    shown: list[Snapshot] = []
    plan = Plan(
        str(sandbox.address(transport)), accounts(transport), 80.0, 0.6, transport=transport
    )
    result = load.run(plan, watch=shown.append, loop=loop)
    assert not result.failed, result
    assert result.begun == result.succeeded
    assert result.begun + result.held_back == 48
    assert result.begun > 24
    assert result.achieved < 90
    assert result.latency_ms is not None
    assert 0 < result.latency_ms["min"] <= result.latency_ms["p99"] <= result.latency_ms["max"]
    assert shown[-1].succeeded
    assert {event["aor"] for event in events(tmp_path, "registered")} == {
        f"{user}@{DOMAIN}" for user in USERS
    }
    assert len(events(tmp_path, "unregistered")) >= len(USERS)
    assert len({event["source"] for event in events(tmp_path, "registered")}) == len(USERS)
    assert not any(sandbox.registrar.lookup(f"{user}@{DOMAIN}") for user in USERS)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_users_call_each_other(sandbox: Sandbox, loop: Loop, transport: str) -> None:
    plan = Plan(
        str(sandbox.address(transport)),
        accounts(transport),
        rate=40.0,
        duration=0.5,
        transport=transport,
        calls=True,
        hold=0.05,
    )
    result = load.run(plan, loop=loop)
    assert not result.failed, result
    assert result.what == "call"
    assert result.begun == result.succeeded
    assert result.succeeded > 10


def test_a_wrong_password_is_counted_by_its_cause(sandbox: Sandbox, loop: Loop) -> None:
    plan = Plan(str(sandbox.address()), accounts(password="wrong"), rate=50.0, duration=0.2)
    result = load.run(plan, loop=loop)
    assert result.causes == {"403 Forbidden": 10}
    assert not result.clean
    assert result.latency_ms is None


def test_calls_need_users_who_can_register(sandbox: Sandbox, loop: Loop) -> None:
    plan = Plan(str(sandbox.address()), accounts(password="wrong"), calls=True)
    with pytest.raises(UnreachableError, match="10 of 10 users could not register: 403 Forbidden"):
        load.run(plan, loop=loop)


def silent(server: FakeServer, transaction: ServerTransaction, request: Request) -> None:
    """Never an answer."""


def test_silence_is_repeated_into_and_then_a_failure(
    fake: Callable[..., FakeServer], loop: Loop
) -> None:
    server = fake(answer=silent)
    plan = Plan(server.target, accounts(), rate=100.0, duration=0.1, timeout=0.7)
    result = load.run(plan, loop=loop)
    assert result.causes == {"no answer in 0.7 s": 10}
    assert result.retransmissions == 10
    assert not result.clean


def test_a_user_waits_for_the_end_of_one_registration_before_the_next(
    fake: Callable[..., FakeServer], loop: Loop
) -> None:
    server = fake(answer=silent)
    plan = Plan(server.target, accounts()[:2], rate=50.0, duration=0.2, timeout=0.9)
    result = load.run(plan, loop=loop)
    assert (result.begun, result.held_back) == (2, 8)
    assert not result.kept


def test_a_server_that_is_not_there_is_a_cause(loop: Loop) -> None:
    result = load.run(Plan("127.0.0.1:1", accounts(), rate=50.0, duration=0.1), loop=loop)
    assert result.causes == {"Connection refused": 5}


def test_a_challenge_that_comes_again_and_again_ends(
    fake: Callable[..., FakeServer], loop: Loop
) -> None:
    def stale(server: FakeServer, _: ServerTransaction, request: Request) -> Response:
        challenge = 'Digest realm="sip.example.test", nonce="1", stale=true, algorithm=MD5'
        return response_to(request, 401, headers=[("WWW-Authenticate", challenge)])

    server = fake(answer=stale)
    result = load.run(Plan(server.target, accounts(), rate=50.0, duration=0.02), loop=loop)
    assert result.causes == {"401 Unauthorized": 1}
    assert len(server.requests) == 3


# -- the search -----------------------------------------------------------------------------------


def made(rate: float, *, good: bool, cpu: float = 0.1) -> Round:
    held = 0 if good else 500
    return Round("REGISTER", rate, 500 / rate, 500, held, 500, 0, {}, 0, None, cpu, waited=True)


def late(rate: float, cpu: float = 0.1) -> Round:
    """All was begun, and nothing waited, but it took a third more time than there was."""
    return Round("REGISTER", rate, 1.35, int(rate), 0, int(rate), 0, {}, 0, None, cpu)


def test_a_rate_that_took_too_long_was_not_kept() -> None:
    assert not late(1600.0).kept
    assert Round("REGISTER", 1600.0, 1.02, 1600, 0, 1600, 0, {}, 0, None, 0.1).kept


def test_a_client_that_is_late_does_not_blame_the_server() -> None:
    found = load._search(lambda rate: made(rate, good=True) if rate < 900 else late(rate), 500, [])
    assert found.why == "unknown"


@pytest.mark.parametrize("limit", [3.0, 40.0, 777.0, 12_000.0])
@pytest.mark.parametrize("start", [1.0, 100.0, 5_000.0])
def test_the_search_ends_just_below_the_limit(limit: float, start: float) -> None:
    rounds: list[Round] = []

    def tried(rate: float) -> Round:
        rounds.append(made(rate, good=rate <= limit))
        return rounds[-1]

    found = load._search(tried, start, rounds)
    assert limit / 1.09 <= found.rate <= limit
    assert found.why == "server"
    assert len(rounds) <= 24


def test_a_server_that_bears_all_is_not_asked_for_more_than_the_bound() -> None:
    rounds: list[Round] = []
    found = load._search(lambda rate: made(rate, good=True), 1_000.0, rounds)
    assert (found.rate, found.why) == (load.MAX_RATE, "bound")


def test_a_client_that_is_too_slow_says_so() -> None:
    found = load._search(lambda rate: made(rate, good=rate < 900, cpu=0.99), 500.0, [])
    assert found.why == "client"


# -- who and where --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["127.0.0.1", "127.9.9.9:5070", "[::1]", "localhost"])
def test_loopback_may_be_aimed_at(text: str) -> None:
    assert may_aim(Target.parse(text), [])


def test_only_the_labs_own_hosts_may_be_aimed_at() -> None:
    assert may_aim(Target.parse("192.0.2.7"), ["server", "192.0.2.7"])
    assert may_aim(Target.parse("Server:5070"), ["server", "192.0.2.7"])
    assert not may_aim(Target.parse("192.0.2.8"), ["server", "192.0.2.7"])
    assert not may_aim(Target.parse("192.0.2.8"), ["", ""])


def test_the_command_refuses_a_stranger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = labtool(["load", "192.0.2.8", "-i", str(tmp_path / "none")])
    assert code == 2
    assert "--i-own-this-server" in capsys.readouterr().err


def test_a_users_file_gives_passwords_and_hashes(tmp_path: Path) -> None:
    file = tmp_path / "users.db.txt"
    md5 = ha1("bob", DOMAIN, "builder", "MD5")
    file.write_text(f"version:1\n\nalice@{DOMAIN} clrtxt:wonderland ;\nbob@{DOMAIN} md5:{md5} ;\n")
    alice, bob = from_users_file(file, "tcp")
    assert (alice.user, alice.secret, alice.transport) == ("alice", Password("wonderland"), "tcp")
    assert bob.secret == Ha1({"MD5": md5})


def test_a_users_file_that_is_none_is_a_wrong_request(tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    with pytest.raises(RequestError, match="cannot be read"):
        from_users_file(file, "udp")
    file.write_text("alice wonderland\n")
    with pytest.raises(RequestError, match=r"no users\.db\.txt"):
        from_users_file(file, "udp")


def test_more_users_than_there_are_is_a_wrong_request() -> None:
    assert len(some(accounts(), None)) == 10
    assert len(some(accounts(), 3)) == 3
    with pytest.raises(RequestError, match="11 users were asked for, and there are 10"):
        some(accounts(), 11)
    with pytest.raises(RequestError, match="no users"):
        some((), None)


@pytest.mark.parametrize(
    "wrong", [{"rate": 0.0}, {"rate": 1e6}, {"duration": 1e6}, {"accounts": ()}]
)
def test_a_load_is_bounded(wrong: dict[str, object]) -> None:
    plan = {"target": "127.0.0.1", "accounts": accounts(), **wrong}
    with pytest.raises(RequestError):
        load.run(Plan(**plan))  # type: ignore[arg-type]


def test_quantiles_are_of_the_nearest_rank_in_milliseconds() -> None:
    assert quantiles([]) is None
    assert quantiles([0.001]) == dict.fromkeys(("min", "p50", "p90", "p95", "p99", "max"), 1.0)
    found = quantiles([n / 1000 for n in range(1, 101)])
    assert found == {"min": 1, "p50": 51, "p90": 91, "p95": 96, "p99": 100, "max": 100}
