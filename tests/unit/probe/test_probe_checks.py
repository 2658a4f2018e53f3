"""The further checks see what is wrong (that they hold where it is right: test_probe_sandbox)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_server import FakeProxy

from labtool.probe import Account, Result
from labtool.probe import checks as check
from labtool.probe.session import Setting
from labtool.sip.digest import Password
from labtool.sip.message import Request, Response, response_to

DOMAIN = "sip.example.test"
ALICE = Account("alice", DOMAIN, Password("wonderland"))
BOB = Account("bob", DOMAIN, Password("builder"))

Fake = Callable[..., Any]


def name_of(result: Result) -> str | None:
    return result.cause.name if result.cause else None


def test_a_cancel_that_the_server_swallows_leaves_it_ringing(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy)
    server.answer = lambda s, t, r: (
        response_to(r, 200) if r.method == "CANCEL" else s._proxied(t, r)
    )
    result = check.cancel(server.target, ALICE, BOB, setting)
    assert name_of(result) == "call-not-delivered"
    assert "still rings" in result.verdict


def test_a_caller_who_is_never_told_of_the_cancel_is_noticed(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy, deaf=(487,))
    assert name_of(check.cancel(server.target, ALICE, BOB, setting)) == "answer-lost"


def test_a_busy_that_does_not_come_back_is_noticed(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy, deaf=(486,))
    assert name_of(check.busy(server.target, ALICE, BOB, setting)) == "answer-lost"


def test_a_busy_that_becomes_another_answer_is_noticed(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy)
    forward = server.layer.request

    def changed(request: Request, flow: Any, *, on_response: Any) -> Any:
        def back(response: Response) -> None:
            if response.status == 486:
                response = response.copy()
                response.status, response.reason = 480, "Temporarily Unavailable"
            on_response(response)

        return forward(request, flow, on_response=back)

    server.layer.request = changed
    result = check.busy(server.target, ALICE, BOB, setting)
    assert name_of(result) == "unexpected-answer"
    assert "480" in result.verdict


@pytest.mark.parametrize("device", [0, 1])
def test_a_server_that_rings_one_device_only_is_noticed(
    fake: Fake, setting: Setting, device: int
) -> None:
    server = fake(FakeProxy, device=device)
    result = check.fork(server.target, ALICE, BOB, setting)
    assert name_of(result) == "call-not-delivered"
    assert ("only one rings" in result.verdict) == (device == 1)
    assert server.bindings == {"alice": {}, "bob": {}}


def test_a_way_that_loses_large_messages_is_noticed(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy)
    inner = server.transports.events.on_message
    server.transports.events.on_message = lambda message, flow: (
        None if len(message.to_bytes()) > 1300 else inner(message, flow)
    )
    result = check.large(server.target, ALICE, BOB, setting)
    assert not result.ok
    assert result.steps[4].name == "INVITE"


def test_a_large_message_is_over_1300_bytes(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy)
    assert check.large(server.target, ALICE, BOB, setting).ok
    sizes = [len(r.to_bytes()) for r in server.requests if r.method == "INVITE"]
    assert min(sizes) > 1300


def test_a_large_message_from_udp_is_tried_by_tcp_too(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy, transport="udp", also="tcp")
    result = check.large(server.target, ALICE, BOB, setting)
    assert result.ok, result.verdict
    assert "by TCP it arrives too" in result.verdict
    over = {r.via.transport.lower() for r in server.requests if r.method == "INVITE"}
    assert over == {"udp", "tcp"}
    assert "there is no TCP" in check.large(fake(FakeProxy).target, ALICE, BOB, setting).verdict


def test_a_way_that_loses_fragments_but_has_tcp_is_told_so(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy, transport="udp", also="tcp")
    inner = server.transports.events.on_message
    server.transports.events.on_message = lambda message, flow: (
        None if flow.transport == "udp" and len(message.to_bytes()) > 1300 else inner(message, flow)
    )
    result = check.large(server.target, ALICE, BOB, setting)
    assert not result.ok
    assert result.verdict.endswith("by TCP it arrives")


def test_a_renewal_that_makes_a_second_contact_is_noticed(fake: Fake, setting: Setting) -> None:
    def twice(server: Any, _transaction: Any, request: Request) -> Response:
        challenge = server.challenge(request)
        if challenge is not None:
            return challenge  # type: ignore[no-any-return]
        gone = request.headers.get("Expires") == "0"
        contact = ("Contact", f"<{request.contacts[0].uri}>")
        count = 0 if gone else len(server.requests) - 1
        return response_to(request, 200, headers=[contact] * count)

    server = fake(answer=twice)
    result = check.refresh(server.target, ALICE, setting)
    assert name_of(result) == "contact-missing"
    assert "2 times" in result.verdict


@pytest.mark.parametrize(("status", "expected"), [(500, "server-error"), (200, "open-server")])
def test_a_foreign_domain_that_is_not_refused_is_noticed(
    fake: Fake, setting: Setting, status: int, expected: str
) -> None:
    server = fake(answer=lambda _s, _t, request: response_to(request, status))
    assert name_of(check.foreign_domain(server.target, ALICE, setting)) == expected


@pytest.mark.parametrize("status", [404, 480])
def test_a_call_that_is_refused_without_a_challenge_is_no_challenge(
    fake: Fake, setting: Setting, status: int
) -> None:
    server = fake(FakeProxy)
    server.answer = lambda s, t, r: (
        response_to(r, status) if r.method == "INVITE" else s._proxied(t, r)
    )
    result = check.unauthenticated_invite(server.target, ALICE, BOB, setting)
    assert name_of(result) == "no-challenge"


def test_a_call_to_nobody_that_is_not_answered_is_noticed(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy)
    server.answer = lambda s, t, r: s.challenge(r) if r.method == "INVITE" else s._proxied(t, r)
    result = check.call_nobody(server.target, ALICE, BOB, setting)
    assert name_of(result) == "no-answer-after-challenge"
