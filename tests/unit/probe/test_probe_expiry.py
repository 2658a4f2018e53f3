"""Registrations that end, and servers with a least of their own; SHA-256 where it is offered."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from labtool.probe import Account, Result
from labtool.probe import expiry as expiries
from labtool.probe.checks import sha_256
from labtool.probe.expiry import expiry
from labtool.probe.session import Setting
from labtool.sip.digest import Ha1, Password, ha1
from labtool.sip.message import Request, Response, response_to

DOMAIN = "sip.example.test"
ALICE = Account("alice", DOMAIN, Password("wonderland"))
Fake = Callable[..., Any]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiries, "ASKED_S", 1)
    monkeypatch.setattr(expiries, "_MARGIN_S", 0.2)


def name_of(result: Result) -> str | None:
    return result.cause.name if result.cause else None


def registrar(
    forgets: bool = True, lists: bool = True, least: int = 0, refuses: bool = False
) -> Any:
    """Answers as a registrar that forgets after the time it granted, and its faults."""

    def answer(server: Any, _transaction: Any, request: Request) -> Response:
        denied = server.challenge(request)
        if denied:
            return denied
        asked = int(request.headers.get("Expires") or 0)
        if refuses and 0 < asked < least:
            return response_to(request, 423, headers=[("Min-Expires", str(least))])
        response: Response = server.registered(request)
        mine = server.bindings["alice"]
        granted = max(asked, least)
        if asked:
            for uri, rest in mine.items():
                mine[uri] = re.sub(r"expires=\d+", f"expires={granted}", rest)
            if forgets:
                server.loop.call_later(granted, mine.clear)
        contacts = [("Contact", uri + rest) for uri, rest in mine.items()] if lists else []
        if request.headers.get("Contact") and not lists:
            return response
        return response_to(request, 200, headers=contacts)

    return answer


def test_a_registration_that_ends_in_time_is_seen_to_be_gone(fake: Fake, setting: Setting) -> None:
    server = fake(answer=registrar())
    result = expiry(server.target, ALICE, setting)
    assert result.ok, result.verdict
    assert "1 s ends in time" in result.verdict
    assert [s.name for s in result.steps[-2:]] == ["before the end", "after the end"]
    assert result.seconds > 1.0
    assert server.requests[-1].headers.get("Contact") is None, "asking changes nothing"


def test_a_registration_that_outlives_its_time_is_noticed(fake: Fake, setting: Setting) -> None:
    server = fake(answer=registrar(forgets=False))
    result = expiry(server.target, ALICE, setting)
    assert name_of(result) == "not-expired"
    assert server.bindings == {"alice": {}}, "it is taken away all the same"


def test_a_registrar_that_does_not_list_contacts_proves_nothing(
    fake: Fake, setting: Setting
) -> None:
    server = fake(answer=registrar(lists=False))
    assert name_of(expiry(server.target, ALICE, setting)) == "contact-missing"


@pytest.mark.parametrize("refuses", [True, False])
def test_a_servers_own_least_time_is_said_and_not_waited_for(
    fake: Fake, setting: Setting, refuses: bool
) -> None:
    server = fake(answer=registrar(least=60, refuses=refuses))
    result = expiry(server.target, ALICE, setting)
    assert result.ok, result.verdict
    assert not result.tested
    assert "least time is 60 s" in result.verdict
    assert "not waited for" in result.verdict
    step = next(s for s in result.steps if s.name == "expiry")
    assert (step.facts["granted"], step.facts["waited"]) == (60, False)
    assert server.bindings == {"alice": {}}


def test_a_least_time_within_ones_patience_is_waited_for(fake: Fake, setting: Setting) -> None:
    server = fake(answer=registrar(least=2))
    impatient = expiry(server.target, ALICE, replace(setting, patience=1.5))
    assert "not waited for" in impatient.verdict
    assert "2 s ends in time" in expiry(server.target, ALICE, setting).verdict


# -- SHA-256 --------------------------------------------------------------------------------------


def test_sha_256_that_is_offered_is_used_beside_md5(fake: Fake, setting: Setting) -> None:
    server = fake(algorithms=("MD5", "SHA-256"))
    result = sha_256(server.target, ALICE, setting)
    assert result.ok, result.verdict
    assert "algorithm=SHA-256" in (server.requests[-1].headers.get("Authorization") or "")


def test_sha_256_that_is_not_offered_is_no_fault(fake: Fake, setting: Setting) -> None:
    result = sha_256(fake(algorithms=("MD5",)).target, ALICE, setting)
    assert result.ok
    assert not result.tested
    assert "not offered" in result.verdict


def test_sha_256_that_the_account_lacks_is_named(fake: Fake, setting: Setting) -> None:
    stored = replace(ALICE, secret=Ha1({"MD5": ha1("alice", DOMAIN, "wonderland", "MD5")}))
    result = sha_256(fake(algorithms=("MD5", "SHA-256")).target, stored, setting)
    assert name_of(result) == "algorithm-unsupported"


def test_a_server_that_asks_for_no_password_is_open(fake: Fake, setting: Setting) -> None:
    server = fake(answer=lambda s, _t, request: s.registered(request))
    assert name_of(sha_256(server.target, ALICE, setting)) == "open-server"
    assert server.bindings == {"alice": {}}
