"""Which checks run, on which transports, in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fake_server import FakeProxy

from labtool.errors import RequestError
from labtool.probe import Account
from labtool.probe.checks import OF_ONE, OF_TWO
from labtool.probe.session import Setting
from labtool.probe.suite import CHECKS, Plan, accounts_needed, run
from labtool.probe.target import Target
from labtool.sip.digest import Password

DOMAIN = "sip.example.test"
ALICE = Account("alice", DOMAIN, Password("wonderland"))
BOB = Account("bob", DOMAIN, Password("builder"))
Fake = Callable[..., Any]


def plan(server: Any, *checks: str, over: tuple[str, ...] = ("udp",)) -> Plan:
    return Plan(Target.parse(server.target), over, checks, ALICE, BOB, seconds=0.2, hold=False)


def test_every_check_that_there_is_can_be_named() -> None:
    assert {*OF_ONE, *OF_TWO, "options", "register", "call", "tls"} == set(CHECKS)
    assert all(CHECKS[name][0] == 1 for name in OF_ONE)
    assert all(CHECKS[name][0] == 2 for name in OF_TWO)
    assert accounts_needed(("options", "refresh")) == 1
    with pytest.raises(RequestError, match="there are: options"):
        accounts_needed(("nonsense",))


def test_one_account_is_checked_on_each_transport_and_two_on_the_first_and_last(
    fake: Fake, setting: Setting
) -> None:
    server = fake(FakeProxy, transport="udp", also="tcp")
    wanted = plan(server, "options", "register", "call", over=("tcp", "udp"))
    found = [(r.check, r.transport, r.account) for r in run(wanted, setting)]
    assert found == [
        ("options", "tcp", ""),
        ("options", "udp", ""),
        ("register", "tcp", f"alice@{DOMAIN}"),
        ("register", "udp", f"alice@{DOMAIN}"),
        ("call", "tcp,udp", "alice to bob"),
    ]


def test_a_transport_on_which_nothing_answers_is_left_out_of_the_rest(
    fake: Fake, setting: Setting
) -> None:
    server = fake(FakeProxy)
    wanted = plan(server, "options", "register", "busy", over=("udp", "tcp"))
    found = [(r.check, r.transport, r.ok) for r in run(wanted, setting)]
    assert found == [
        ("options", "udp", True),
        ("options", "tcp", False),
        ("register", "udp", True),
        ("busy", "udp", True),
    ]


def test_checks_without_their_accounts_are_a_wrong_request(fake: Fake, setting: Setting) -> None:
    wanted = replace(plan(fake(), "busy"), callee=None)
    with pytest.raises(RequestError, match="need an account"):
        list(run(wanted, setting))
