"""REGISTER against servers that are right, and against servers with one fault each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from labtool import probe
from labtool.probe import Account
from labtool.probe.registration import check_wrong_password, register
from labtool.probe.result import Result
from labtool.probe.session import Setting
from labtool.sip.digest import Ha1, Password, ha1
from labtool.sip.message import Request, Response, response_to

FakeFactory = Callable[..., Any]
DOMAIN = "sip.example.test"
ALICE = Account("alice", DOMAIN, Password("wonderland"))


def name_of(result: Result) -> str | None:
    return result.cause.name if result.cause else None


def names(result: Result) -> list[str]:
    return [step.name for step in result.steps]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_right_password_registers_and_de_registers(
    fake: FakeFactory, setting: Setting, transport: str
) -> None:
    server = fake(transport=transport)
    result = register(server.target, replace(ALICE, transport=transport), setting)
    assert result.ok, result.verdict
    assert names(result)[-3:] == ["challenge", "REGISTER", "de-REGISTER"]
    assert all(step.seconds > 0 for step in result.steps)
    assert server.bindings["alice"] == {}


def test_only_the_probes_own_contact_is_touched(fake: FakeFactory, setting: Setting) -> None:
    server = fake()
    phone = {"<sip:alice@192.0.2.7:5060>": ";expires=600"}
    server.bindings["alice"] = dict(phone)
    server.answer = lambda s, _t, request: s.usual(request)
    result = register(server.target, ALICE, setting)
    assert result.ok
    assert server.bindings["alice"] == phone
    assert "and 1 other" in result.steps[1].detail
    assert all("*" not in r.headers.all("Contact") for r in server.requests)


def test_its_requests_have_the_sockets_own_contact_and_one_call_id(
    fake: FakeFactory, setting: Setting, seen: list[Any]
) -> None:
    server = fake()
    register(server.target, ALICE, setting)
    source = seen[0].source
    assert len({r.call_id for r in server.requests}) == 1
    assert [r.cseq[0] for r in server.requests] == [1, 2, 3]
    for request in server.requests:
        assert str(source) in str(request.contacts[0].uri)
        assert "rport" in request.via.params
        assert str(request.uri) == f"sip:{DOMAIN}"


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_stored_hash_is_as_good_as_the_password(
    fake: FakeFactory, setting: Setting, algorithm: str
) -> None:
    server = fake(algorithms=("MD5", "SHA-256"))
    secret = Ha1({algorithm: ha1("alice", DOMAIN, "wonderland", algorithm)})
    result = register(server.target, replace(ALICE, secret=secret), setting)
    assert result.ok, result.verdict
    assert f"({algorithm})" in result.verdict


def test_both_algorithms_are_tried_when_asked(fake: FakeFactory, setting: Setting) -> None:
    server = fake(algorithms=("MD5", "SHA-256"))
    result = register(server.target, ALICE, setting, algorithms=("MD5", "SHA-256"))
    assert result.ok, result.verdict
    assert "REGISTER MD5" in names(result)
    assert "REGISTER SHA-256" in names(result)


def test_an_algorithm_that_the_server_lacks_is_named(fake: FakeFactory, setting: Setting) -> None:
    server = fake(algorithms=("MD5",))
    result = register(server.target, ALICE, setting, algorithms=("MD5", "SHA-256"))
    assert name_of(result) == "algorithm-unsupported"
    assert "the server offers MD5; not SHA-256" in result.verdict


def test_a_hash_of_another_algorithm_is_no_help(fake: FakeFactory, setting: Setting) -> None:
    server = fake(algorithms=("SHA-256",))
    result = register(server.target, replace(ALICE, secret=Ha1({"MD5": "0" * 32})), setting)
    assert name_of(result) == "algorithm-unsupported"


@pytest.mark.parametrize("later", [False, True])
def test_a_malformed_challenge_is_said_to_be_one(
    fake: FakeFactory, setting: Setting, later: bool
) -> None:
    spoilt = [("WWW-Authenticate", f'Digest realm="{DOMAIN}", algorithm=MD5')]
    server = fake(
        answer=lambda s, _t, r: (
            s.challenge(r) if later and len(s.requests) < 2 else response_to(r, 401, headers=spoilt)
        )
    )
    result = register(server.target, ALICE, setting)
    assert name_of(result) == "unexpected-answer"
    assert "a malformed challenge: " in result.verdict
    assert result.cause is not None
    assert "malformed" in result.cause.explanation


def test_a_server_that_only_offers_basic_is_explained(fake: FakeFactory, setting: Setting) -> None:
    basic = [("WWW-Authenticate", 'Basic realm="x"')]
    server = fake(answer=lambda _s, _t, r: response_to(r, 401, headers=basic))
    result = register(server.target, ALICE, setting)
    assert name_of(result) == "algorithm-unsupported"
    assert "Basic" in result.verdict


def test_a_wrong_password_is_refused_with_403(fake: FakeFactory, setting: Setting) -> None:
    result = register(fake().target, replace(ALICE, secret=Password("no")), setting)
    assert name_of(result) == "wrong-password"
    assert result.exit_code == 20
    assert "403" in result.verdict


def test_a_server_that_answers_401_for_ever_is_a_wrong_password(
    fake: FakeFactory, setting: Setting
) -> None:
    def always(server: Any, _transaction: Any, request: Request) -> Response:
        request.headers.remove("Authorization")
        return server.challenge(request)  # type: ignore[no-any-return]

    server = fake(answer=always)
    result = register(server.target, ALICE, setting)
    assert name_of(result) == "wrong-password"
    assert len(server.requests) == 2


def test_a_stale_nonce_is_answered_once_more(fake: FakeFactory, setting: Setting) -> None:
    def once(server: Any, _transaction: Any, request: Request) -> Response:
        stale = len(server.requests) == 2
        return server.challenge(request, stale=stale) or server.registered(request)  # type: ignore[no-any-return]

    server = fake(answer=once)
    result = register(server.target, ALICE, setting)
    assert result.ok, result.verdict
    assert len(server.requests) == 4


def test_a_nonce_that_is_always_stale_ends(fake: FakeFactory, setting: Setting) -> None:
    server = fake(answer=lambda s, _t, request: s.challenge(request, stale=True))
    result = register(server.target, ALICE, setting)
    assert name_of(result) == "unexpected-answer"
    assert "stale" in result.verdict
    assert len(server.requests) == 3


def test_a_nonce_that_serves_once_only_does_not_keep_the_contact_there(
    fake: FakeFactory, setting: Setting
) -> None:
    def one_time(server: Any, _transaction: Any, request: Request) -> Response:
        answer = server.challenge(request)
        if answer is None:
            server.nonces.clear()
        return answer or server.registered(request)  # type: ignore[no-any-return]

    server = fake(answer=one_time)
    result = register(server.target, ALICE, setting)
    assert result.ok, result.verdict
    assert server.bindings["alice"] == {}


def test_an_interval_that_is_too_brief_is_mended(fake: FakeFactory, setting: Setting) -> None:
    def slow(server: Any, _transaction: Any, request: Request) -> Response:
        answer = server.challenge(request)
        if answer is None and request.headers.get("Expires") == "60":
            return response_to(request, 423, headers=[("Min-Expires", "300")])
        return answer or server.registered(request)  # type: ignore[no-any-return]

    server = fake(answer=slow)
    result = register(server.target, ALICE, setting)
    assert result.ok, result.verdict
    assert server.requests[2].headers.get("Expires") == "300"


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (403, "Domain forbidden", "wrong-domain"),
        (403, "Go away", "forbidden"),
        (404, None, "unknown-user"),
        (405, None, "not-registrar"),
        (501, None, "not-registrar"),
        (482, None, "loop"),
        (302, None, "redirected"),
        (400, None, "bad-request"),
        (500, None, "server-error"),
        (503, None, "server-error"),
        (513, None, "too-large"),
        (401, None, "unexpected-answer"),
        (499, None, "unexpected-answer"),
        (600, None, "busy"),
    ],
)
def test_a_first_answer_that_is_no_challenge_has_its_cause(
    fake: FakeFactory, setting: Setting, status: int, reason: str | None, expected: str
) -> None:
    server = fake(answer=lambda _s, _t, request: response_to(request, status, reason))
    result = register(server.target, ALICE, setting)
    assert name_of(result) == expected
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (404, None, "unknown-user"),
        (403, "Domain forbidden", "wrong-domain"),
        (500, None, "server-error"),
        (482, None, "loop"),
    ],
)
def test_an_answer_after_the_challenge_has_its_cause(
    fake: FakeFactory, setting: Setting, status: int, reason: str | None, expected: str
) -> None:
    server = fake(answer=lambda s, _t, r: s.challenge(r) or response_to(r, status, reason))
    assert name_of(register(server.target, ALICE, setting)) == expected


def test_silence_after_the_challenge_is_a_cause_of_its_own(
    fake: FakeFactory, setting: Setting
) -> None:
    result = register(fake(answer=lambda s, _t, r: s.challenge(r)).target, ALICE, setting)
    assert name_of(result) == "no-answer-after-challenge"


def test_silence_after_answers_is_most_likely_a_ban(fake: FakeFactory, setting: Setting) -> None:
    server = fake(answer=lambda s, _t, r: s.usual(r) if len(s.requests) < 3 else None)
    result = register(server.target, ALICE, setting)
    assert name_of(result) == "banned"
    assert names(result)[-1] == "de-REGISTER"


def test_a_server_that_only_ever_tries_is_stuck_and_not_a_ban(
    fake: FakeFactory, setting: Setting
) -> None:
    server = fake(answer=lambda _s, _t, request: response_to(request, 100))
    result = register(server.target, ALICE, setting)
    assert name_of(result) == "no-answer"
    assert "only 100 Trying came in" in result.verdict
    assert result.cause is not None
    assert "firewall" not in result.cause.explanation + result.cause.cure


def test_a_refusal_after_answers_is_a_ban_or_a_server_that_has_stopped(
    fake: FakeFactory, setting: Setting
) -> None:
    def last_words(server: Any, _transaction: Any, request: Request) -> Response:
        server.loop.call_soon(server.stop)
        return server.challenge(request)  # type: ignore[no-any-return]

    result = register(fake(answer=last_words).target, ALICE, setting)
    assert name_of(result) == "banned"
    assert "refused now" in result.verdict
    assert result.cause is not None
    assert "flood protection" in result.cause.explanation
    assert "has stopped" in result.cause.explanation
    assert "labtool doctor" in result.cause.cure


def test_a_server_that_closes_tcp_in_the_middle_is_noticed(
    fake: FakeFactory, setting: Setting
) -> None:
    def close(server: Any, _transaction: Any, request: Request) -> Response | None:
        if len(server.requests) == 1:
            return server.challenge(request)  # type: ignore[no-any-return]
        server.flows[-1].close()
        return None

    server = fake(transport="tcp", answer=close)
    result = register(server.target, replace(ALICE, transport="tcp"), setting)
    assert name_of(result) == "connection-closed"


def test_a_server_that_closes_tcp_after_each_answer_is_asked_anew(
    fake: FakeFactory, setting: Setting
) -> None:
    def brief(server: Any, _transaction: Any, request: Request) -> Response:
        flow = server.flows[-1]
        server.loop.call_later(0.0, flow.close)
        return server.usual(request)  # type: ignore[no-any-return]

    server = fake(transport="tcp", answer=brief)
    result = register(server.target, replace(ALICE, transport="tcp"), setting)
    assert result.ok, result.verdict
    assert len({id(flow) for flow in server.flows}) == 3
    assert server.bindings["alice"] == {}


def test_a_server_without_authentication_is_open(fake: FakeFactory, setting: Setting) -> None:
    server = fake(answer=lambda s, _t, r: s.registered(r))
    result = register(server.target, ALICE, setting)
    assert name_of(result) == "open-server"
    assert server.bindings["alice"] == {}
    assert register(server.target, ALICE, setting, allow_open=True).ok
    assert register(server.target, replace(ALICE, secret=None), setting).ok


def test_without_a_secret_a_challenge_cannot_be_answered(
    fake: FakeFactory, setting: Setting
) -> None:
    result = register(fake().target, replace(ALICE, secret=None), setting)
    assert name_of(result) == "wrong-password"
    assert "none was given" in result.verdict


def test_a_200_without_the_contact_is_noticed(fake: FakeFactory, setting: Setting) -> None:
    elsewhere = [("Contact", "<sip:alice@203.0.113.9:5060>;expires=60")]
    server = fake(answer=lambda s, _t, r: s.challenge(r) or response_to(r, 200, headers=elsewhere))
    result = register(server.target, ALICE, setting)
    assert name_of(result) == "contact-missing"
    assert "203.0.113.9" in result.verdict


def test_a_contact_that_a_nat_helper_changed_to_what_it_saw_is_ours(
    fake: FakeFactory, setting: Setting
) -> None:
    def natted(server: Any, _transaction: Any, request: Request) -> Response:
        answer = server.challenge(request)
        if answer is not None:
            return answer  # type: ignore[no-any-return]
        gone = request.headers.get("Expires") == "0"
        seen_as = [] if gone else [("Contact", "<sip:alice@198.51.100.4:40000>;expires=60")]
        response = response_to(request, 200, headers=seen_as)
        via = str(response.via.params["branch"])
        response.headers.set(
            "Via",
            f"SIP/2.0/UDP 127.0.0.1:1;branch={via};received=198.51.100.4;rport=40000",
        )
        return response

    result = register(fake(answer=natted).target, ALICE, setting)
    assert result.ok, result.verdict
    step = next(s for s in result.steps if s.name == "REGISTER")
    assert step.facts["seen_as"] == "198.51.100.4:40000"
    assert step.facts["behind_nat"] is True


# -- a wrong password is refused ------------------------------------------------------------------


def test_a_made_up_password_that_is_refused_is_good(fake: FakeFactory, setting: Setting) -> None:
    result = check_wrong_password(fake().target, ALICE, setting)
    assert result.ok
    assert "refused: 403" in result.steps[-1].detail


@pytest.mark.parametrize("asks", [True, False])
def test_a_server_that_takes_any_password_is_open(
    fake: FakeFactory, setting: Setting, asks: bool
) -> None:
    def gullible(server: Any, _transaction: Any, request: Request) -> Response:
        if asks and "Authorization" not in request.headers:
            return server.challenge(request)  # type: ignore[no-any-return]
        return server.registered(request)  # type: ignore[no-any-return]

    server = fake(answer=gullible)
    result = check_wrong_password(server.target, ALICE, setting)
    assert name_of(result) == "open-server"
    assert server.bindings["alice"] == {}


def test_a_broken_server_has_not_refused_a_wrong_password(
    fake: FakeFactory, setting: Setting
) -> None:
    server = fake(answer=lambda s, _t, r: s.challenge(r) if len(s.requests) < 2 else None)
    assert name_of(check_wrong_password(server.target, ALICE, setting)) is not None


# -- the form of what comes out -------------------------------------------------------------------


@pytest.mark.parametrize("secret", [Password("wonderland"), Password("wrong-one")])
def test_no_secret_and_no_digest_is_in_any_output(
    fake: FakeFactory, setting: Setting, secret: Password
) -> None:
    server = fake(algorithms=("MD5", "SHA-256"))
    result = register(server.target, replace(ALICE, secret=secret), setting)
    out = json.dumps(result.to_dict()) + "\n".join(probe.lines(result)) + repr(result)
    out += repr(replace(ALICE, secret=secret))
    hidden = [secret.text, "Authorization", "response=", "cnonce"]
    hidden += [ha1("alice", DOMAIN, secret.text, a) for a in ("MD5", "SHA-256")]
    for request in server.requests:
        hidden += request.headers.all("Authorization")
    assert not [word for word in hidden if word in out]


def test_the_json_form_is_as_documented(fake: FakeFactory, setting: Setting) -> None:
    out = register(fake().target, replace(ALICE, secret=Password("no")), setting).to_dict()
    assert list(out) == (
        [
            "target",
            "transport",
            "check",
            "account",
            "ok",
            "tested",
            "exit_code",
            "verdict",
            "seconds",
            "cause",
            "steps",
        ]
    )
    assert out["cause"]["name"] == "wrong-password"
    assert out["exit_code"] == out["cause"]["exit_code"] == 20
    assert list(out["steps"][0]) == (
        ["name", "ok", "seconds", "detail", "retransmissions", "cause", "facts"]
    )


def test_the_lines_end_with_the_verdict_and_the_cure(fake: FakeFactory, setting: Setting) -> None:
    text = probe.lines(register(fake().target, replace(ALICE, secret=Password("no")), setting))
    assert text[0].startswith("ok    challenge")
    assert text[1].startswith("FAIL  REGISTER")
    assert "cannot register: 403 Forbidden" in text[2]
    assert text[-1].strip().startswith("Cure: ")


def test_the_public_doors_lead_to_the_same_checks(fake: FakeFactory, loop: Any) -> None:
    server = fake()
    assert probe.options(server.target, "udp", loop=loop).ok
    assert probe.register(
        server.target, "udp", "alice", DOMAIN, Password("wonderland"), loop=loop
    ).ok
    assert probe.check_wrong_password(server.target, "udp", "alice", DOMAIN, loop=loop).ok
