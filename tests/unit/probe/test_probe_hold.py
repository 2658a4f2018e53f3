"""Hold and resume inside a call, and what RTCP tells beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fake_server import FakeProxy, Relay

from labtool.probe import Account
from labtool.probe.phonecall import call
from labtool.probe.result import Result, Step
from labtool.probe.session import Setting
from labtool.sip.digest import Password
from labtool.sip.message import Request, response_to
from labtool.sip.rtcp import Report
from labtool.sip.rtp import is_rtcp
from labtool.sip.sdp import SessionDescription

DOMAIN = "sip.example.test"
ALICE = Account("alice", DOMAIN, Password("wonderland"))
BOB = Account("bob", DOMAIN, Password("builder"))
SECONDS = 0.3

Fake = Callable[..., Any]


def name_of(result: Result) -> str | None:
    return result.cause.name if result.cause else None


def step(result: Result, name: str) -> Step:
    return next(s for s in result.steps if s.name == name)


def is_reinvite(request: Request) -> bool:
    return request.method == "INVITE" and request.to.tag is not None


@pytest.mark.parametrize(("one", "other"), [("udp", "udp"), ("udp", "tcp"), ("tcp", "udp")])
def test_a_held_call_falls_silent_and_its_sound_returns(
    fake: Fake, setting: Setting, one: str, other: str
) -> None:
    server = fake(FakeProxy, transport="udp", also="tcp")
    caller, callee = replace(ALICE, transport=one), replace(BOB, transport=other)
    result = call(server.target, caller, callee, setting, seconds=SECONDS, hold=True)
    assert result.ok, result.verdict
    assert "held and resumed" in result.verdict
    names = [s.name for s in result.steps if s.name != "connect"]
    assert names[9:-3] == [
        "sound alice to bob",
        "sound bob to alice",
        "hold",
        "silence",
        "resume",
        "sound alice to bob after the hold",
        "sound bob to alice after the hold",
    ]
    assert step(result, "hold").facts["arrived_as"] == "sendonly"
    after = step(result, "sound bob to alice after the hold").facts
    assert 10 < after["received"] <= after["sent"], "only this spell is counted"
    assert server.bindings == {"alice": {}, "bob": {}}


def test_each_offer_of_a_call_has_the_next_version_of_one_session(
    fake: Fake, setting: Setting
) -> None:
    server = fake(FakeProxy)
    call(server.target, ALICE, BOB, setting, seconds=SECONDS, hold=True)
    offers = [
        SessionDescription.parse(request.body)
        for request in server.requests
        if request.method == "INVITE"
    ]
    assert [offer.media[0].direction for offer in offers[-3:]] == [
        "sendrecv",
        "sendonly",
        "sendrecv",
    ]
    assert len({(offer.origin or "").split()[1] for offer in offers}) == 1, "RFC 3264 section 8"
    versions = [offer.version or 0 for offer in offers]
    assert versions == sorted(set(versions))
    sequence = [r.cseq[0] for r in server.requests if is_reinvite(r)]
    acks = [r.cseq[0] for r in server.requests if r.method == "ACK"]
    assert set(sequence) <= set(acks)


def test_a_server_that_loses_the_direction_lets_the_sound_go_on(
    fake: Fake, setting: Setting
) -> None:
    server = fake(FakeProxy, rewrite=lambda body, to: body.replace(b"a=sendonly", b"a=sendrecv"))
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS, hold=True)
    assert name_of(result) == "hold-ignored"
    assert "a=sendonly of alice reached bob as sendrecv" in result.verdict
    assert step(result, "sound alice to bob after the hold").ok
    assert step(result, "BYE").ok


def test_a_reinvite_that_is_swallowed_is_lost_and_the_call_still_ends(
    fake: Fake, setting: Setting
) -> None:
    server = fake(FakeProxy)
    server.answer = lambda s, t, r: None if is_reinvite(r) else s._proxied(t, r)
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS, hold=True)
    assert name_of(result) == "reinvite-lost"
    assert "did not reach bob" in result.verdict
    assert step(result, "BYE").ok


def test_the_answer_to_a_reinvite_that_is_lost_is_told_apart(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy)

    def answer(server: FakeProxy, transaction: Any, request: Request) -> Any:
        server.deaf = (200,) if is_reinvite(request) else ()
        return server._proxied(transaction, request)

    server.answer = answer
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS, hold=True)
    assert name_of(result) == "reinvite-lost"
    assert "whose 200 did not come back" in result.verdict


def test_a_reinvite_that_is_refused_says_with_what(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy)
    server.answer = lambda s, t, r: response_to(r, 488) if is_reinvite(r) else s._proxied(t, r)
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS, hold=True)
    assert name_of(result) == "not-acceptable"
    assert not step(result, "hold").ok
    assert step(result, "BYE").ok


def test_a_reinvite_that_is_challenged_is_signed(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy)
    server.answer = lambda s, t, r: (
        (s.challenge(r) if is_reinvite(r) and not r.headers.get("Proxy-Authorization") else None)
        or s._proxied(t, r)
    )
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS, hold=True)
    assert result.ok, result.verdict
    assert any(is_reinvite(r) and r.headers.get("Proxy-Authorization") for r in server.requests)


# -- RTCP -----------------------------------------------------------------------------------------


def test_both_sides_report_what_they_sent_and_heard(
    fake: Fake, setting: Setting, seen: list[Any]
) -> None:
    server = fake(FakeProxy)
    result = call(server.target, ALICE, BOB, setting, seconds=0.7)
    assert result.ok, result.verdict
    facts = step(result, "sound alice to bob").facts
    assert facts["rtcp_sent"] == facts["rtcp_received"] == facts["rtcp_sender_reports"] == 2
    assert facts["rtcp_lost"] == 0
    assert 0 <= facts["rtcp_round_trip_ms"] < 200
    assert facts["rtcp_jitter_ms"] >= 0
    reports = [Report.parse(p.data) for p in seen if is_rtcp(p.data)]
    last = reports[-1]
    assert last.bye
    assert last.sent is not None
    assert last.sent.octets == 160 * last.sent.packets
    assert last.receptions[0].ssrc in {report.ssrc for report in reports}


def test_a_relay_that_passes_no_rtcp_does_no_harm(
    fake: Fake, setting: Setting, relay: Callable[..., Relay]
) -> None:
    server = fake(FakeProxy, rewrite=relay().rewrite)
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS, hold=True)
    assert result.ok, result.verdict
    facts = step(result, "sound alice to bob after the hold").facts
    assert facts["path"] == "relayed"
    assert (facts["rtcp_received"], facts["rtcp_round_trip_ms"]) == (0, None)


def test_a_call_that_is_interrupted_is_hung_up_and_signed_out(
    fake: Fake, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("labtool.probe.phonecall.hold_and_resume", interrupted)
    server = fake(FakeProxy)
    with pytest.raises(KeyboardInterrupt):
        call(server.target, ALICE, BOB, setting, seconds=SECONDS, hold=True)
    assert any(request.method == "BYE" for request in server.requests)
    assert server.bindings == {"alice": {}, "bob": {}}
