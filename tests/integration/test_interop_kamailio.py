"""The probe's checks against a Kamailio with digest: all of them hold there, as they should."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labtool import probe
from labtool.probe.checks import OF_ONE, OF_TWO
from labtool.sip.digest import Password

from . import peers
from .conftest import not_here
from .engine import Unavailable
from .peers import DOMAIN, LOOPBACK, PASSWORDS, Kamailio

_OVER = [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp")]


@pytest.fixture(scope="module")
def kamailio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kamailio]:
    try:
        peers.need("kamailio")
    except Unavailable as why:
        not_here(why)
    with Kamailio(tmp_path_factory.mktemp("kamailio") / "server") as server:
        yield server


@pytest.fixture
def target(kamailio: Kamailio) -> str:
    return f"{LOOPBACK}:{kamailio.port}"


def account(user: str, transport: str = "udp") -> probe.Account:
    return probe.Account(user, DOMAIN, Password(PASSWORDS[user]), transport)


def explained(result: probe.Result) -> str:
    return "\n".join(probe.lines(result))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_kamailio_answers_options(target: str, transport: str) -> None:
    result = probe.options(target, transport)
    assert result.ok, explained(result)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_user_signs_in_to_kamailio(target: str, transport: str) -> None:
    alice = account("alice")
    result = probe.register(target, transport, alice.user, DOMAIN, alice.secret)
    assert result.ok, explained(result)
    assert "challenge" in [step.name for step in result.steps]


def test_a_wrong_password_is_named_so(target: str) -> None:
    result = probe.register(target, "udp", "alice", DOMAIN, Password("not this"))
    assert result.cause is not None, explained(result)
    assert result.cause.name == "wrong-password", explained(result)


@pytest.mark.parametrize("over", _OVER)
def test_a_call_through_kamailio_has_sound_both_ways(target: str, over: tuple[str, str]) -> None:
    result = probe.call(
        target, caller=account("alice", over[0]), callee=account("bob", over[1]), seconds=1.0
    )
    assert result.ok, explained(result)


@pytest.mark.parametrize(
    ("name", "over"),
    [
        *((name, (one, "udp")) for name in OF_ONE for one in ("udp", "tcp")),
        *((name, over) for name in OF_TWO for over in _OVER),
    ],
)
def test_the_check_holds_against_kamailio(target: str, name: str, over: tuple[str, str]) -> None:
    alice, bob = account("alice", over[0]), account("bob", over[1])
    result = probe.check(name, target, caller=alice, callee=bob)
    assert result.ok, explained(result)
