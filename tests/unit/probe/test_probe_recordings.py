"""The probe, fed with what real Flexisip 2.5.2 and 2.3.4 answered, gives the right verdict.

Each recording's answers are replayed in their order; what must fit the request (Via, From, To,
Call-ID, CSeq, and the client's own contact) is taken from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeProxy

from labtool.probe import Account, Result
from labtool.probe.capabilities import options
from labtool.probe.phonecall import call
from labtool.probe.registration import register
from labtool.probe.session import Setting
from labtool.sip.digest import Password
from labtool.sip.message import Request, Response, parse
from labtool.sip.uri import SipUri

DOMAIN = "sip.example.test"
RELEASES = ("2.3.4", "2.5.2")
TEST = Account("test", DOMAIN, Password("secret-that-is-not-checked"))
_HEAD = re.compile(r"^### .*\n", re.MULTILINE)

Fake = Callable[..., Any]


def recorded(shared: Path, release: str, name: str) -> list[Request | Response]:
    """The messages of a recording, in their order."""
    found = list((shared / "data/flexisip/captures").glob(f"{release}-{name}*.txt"))
    assert len(found) == 1, found
    messages = []
    for part in _HEAD.split(found[0].read_text())[1:]:
        head, _, body = part.lstrip("\n").partition("\n\n")
        raw = head.replace("\n", "\r\n") + "\r\n\r\n" + body.strip("\n").replace("\n", "\r\n")
        messages.append(parse(raw.encode() + (b"\r\n" if body.strip() else b"")))
    return messages


def fitted(answer: Response, request: Request, contact: str | None) -> Response:
    """A recorded answer as the answer to another request. `contact` is the recorded client's own,
    whose place the request's contact takes."""
    again = answer.copy()
    tag = answer.to.tag
    for name in ("Via", "From", "Call-ID", "CSeq"):
        again.headers.set(name, request.headers.get(name) or "")
    to = request.headers.get("To") or ""
    again.headers.set("To", to if request.to.tag or not tag else f"{to};tag={tag}")
    if contact and request.headers.get("Contact"):
        kept = []
        for value in again.headers.all("Contact"):
            uri = SipUri.parse(value[value.index("<") + 1 : value.index(">")])
            mine = f"{uri.host}:{uri.port}" == contact
            kept.append(f"<{request.contacts[0].uri}>" if mine else value)
        again.headers.remove("Contact")
        for value in kept:
            again.headers.add("Contact", value)
    return again


def replaying(messages: list[Request | Response]) -> Callable[[Any, Any, Request], Any]:
    """Answers the n-th request as the server answered the n-th of the recording, and once that is
    over, the next (the probe's de-REGISTER) as a registrar that has nothing left."""
    answers = [m for m in messages if isinstance(m, Response)]
    first = next((m for m in messages if isinstance(m, Request)), None)
    contact = None
    if first is not None and first.contacts:
        uri = first.contacts[0].uri
        assert isinstance(uri, SipUri)
        contact = f"{uri.host}:{uri.port}"

    def answer(server: Any, _transaction: Any, request: Request) -> Response:
        if answers:
            return fitted(answers.pop(0), request, contact)
        return fitted(last(messages), request, None)

    def last(all_messages: list[Request | Response]) -> Response:
        final = next(m for m in reversed(all_messages) if isinstance(m, Response)).copy()
        final.headers.remove("Contact")
        return final

    return answer


def name_of(result: Result) -> str | None:
    return result.cause.name if result.cause else None


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    ("recording", "transport", "expected"),
    [
        ("01_register_udp", "udp", None),
        ("02_register_tcp", "tcp", None),
        ("03_register_wrong_password", "udp", "wrong-password"),
        ("04_register_unknown_user", "udp", "wrong-password"),
        ("05_register_wrong_domain", "udp", "wrong-domain"),
    ],
)
def test_a_recorded_registration_has_the_right_verdict(
    shared: Path,
    fake: Fake,
    setting: Setting,
    release: str,
    recording: str,
    transport: str,
    expected: str | None,
) -> None:
    server = fake(transport=transport)
    server.answer = replaying(recorded(shared, release, recording))
    result = register(server.target, replace(TEST, transport=transport), setting)
    assert name_of(result) == expected, result.verdict
    if expected == "wrong-domain":
        return
    challenge = next(s for s in result.steps if s.name == "challenge")
    assert challenge.facts["server"].startswith(f"Flexisip/{release} ")
    assert challenge.facts["realm"] == DOMAIN
    assert challenge.facts["algorithms"] == ["MD5"]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("recording", ["07_options_udp", "13_options_to_user_domain"])
def test_recorded_options_are_a_working_server(
    shared: Path, fake: Fake, setting: Setting, release: str, recording: str
) -> None:
    server = fake()
    messages = recorded(shared, release, recording)
    server.answer = replaying([m for m in messages if m.cseq[1] == "OPTIONS"])
    assert options(server.target, "udp", setting).ok


@pytest.mark.parametrize("release", RELEASES)
def test_a_recorded_call_to_nobody_is_not_found(
    shared: Path, fake: Fake, setting: Setting, release: str
) -> None:
    messages = recorded(shared, release, "11_call_unknown")
    answers = [m for m in messages if isinstance(m, Response) and m.cseq[1] == "INVITE"]
    challenge = next(m for m in answers if m.status == 407)
    trying = next(m for m in answers if m.status == 100)
    nobody = next(m for m in answers if m.status == 404)
    server = fake(FakeProxy)

    def flexisip(_server: Any, transaction: Any, request: Request) -> Response | None:
        if request.method != "INVITE":
            return server._proxied(transaction, request)  # type: ignore[no-any-return]
        if "Proxy-Authorization" not in request.headers:
            return fitted(challenge, request, None)
        transaction.respond(fitted(trying, request, None))
        return fitted(nobody, request, None)

    server.answer = flexisip
    alice = Account("alice", DOMAIN, Password("wonderland"))
    bob = Account("bob", DOMAIN, Password("builder"))
    result = call(server.target, alice, bob, setting, seconds=0.2)
    assert name_of(result) == "not-found"
    assert "404 Not Found" in result.verdict


@pytest.mark.parametrize("release", RELEASES)
def test_a_recorded_call_is_carried_through_in_flexisips_own_form(
    shared: Path, fake: Fake, setting: Setting, relay: Callable[..., Any], release: str
) -> None:
    """Its headers as it wrote them: two Via, Record-Route, a rewritten SDP with a=nortpproxy."""
    messages = recorded(shared, release, "10_call_udp")
    forwarded = next(
        m for m in messages if isinstance(m, Request) and len(m.headers.all("Via")) == 2
    )
    answered = [
        m
        for m in messages
        if isinstance(m, Response) and m.cseq[1] == "INVITE" and len(m.headers.all("Via")) == 1
    ]
    between = relay()

    def rewrite(body: bytes, to: str) -> bytes:
        body = between.rewrite(body, to)
        return body.replace(b"\r\nm=", b"\r\na=nortpproxy:yes\r\nm=") if to == "callee" else body

    server = fake(FakeProxy, rewrite=rewrite)
    forward = server.layer.request

    def as_flexisip(request: Request, flow: Any, **how: Any) -> Any:
        if request.method == "INVITE":
            lines = dict(request.headers.items())
            again = forwarded.copy()
            for name in ("From", "To", "Call-ID", "CSeq", "Contact"):
                again.headers.set(name, lines[name])
            again.headers.remove("Via")
            again.headers.add("Via", request.headers.all("Via")[0])
            again.headers.set("Record-Route", f"<sip:{server.address};lr>")
            again.uri, again.body = request.uri, request.body
            request = again
        return forward(request, flow, **how)

    server.layer.request = as_flexisip
    server.challenge = _challenging_with(
        server, next(m for m in answered if m.status == 407), server.challenge
    )
    alice = Account("alice", DOMAIN, Password("wonderland"))
    bob = Account("bob", DOMAIN, Password("builder"))
    result = call(server.target, alice, bob, setting, seconds=0.3)
    assert result.ok, result.verdict
    assert "relayed" in result.verdict


def _challenging_with(
    server: FakeProxy, challenge: Response, usual: Callable[..., Any]
) -> Callable[..., Any]:
    def challenging(request: Request, stale: bool = False) -> Any:
        if request.method != "INVITE":
            return usual(request, stale=stale)
        if "Proxy-Authorization" not in request.headers:
            return fitted(challenge, request, None)
        return None

    return challenging
