"""Whole calls through a small proxy, and through proxies and relays with one fault each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fake_server import FakeProxy, FakeServer, Relay

from labtool.errors import RequestError
from labtool.probe import Account
from labtool.probe.phonecall import call
from labtool.probe.result import Result, Step
from labtool.probe.session import Setting
from labtool.probe.sound import CALLEE_HZ, CALLER_HZ
from labtool.sip.digest import Password
from labtool.sip.flow import Address
from labtool.sip.g711 import encode
from labtool.sip.message import Request, response_to
from labtool.sip.rtp import RtpPacket, is_rtcp
from labtool.sip.tone import tone

DOMAIN = "sip.example.test"
ALICE = Account("alice", DOMAIN, Password("wonderland"))
BOB = Account("bob", DOMAIN, Password("builder"))
SECONDS = 0.3

Fake = Callable[..., Any]


def name_of(result: Result) -> str | None:
    return result.cause.name if result.cause else None


def step(result: Result, name: str) -> Step:
    return next(s for s in result.steps if s.name == name)


@pytest.mark.parametrize(
    ("one", "other"), [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp"), ("tcp", "udp")]
)
def test_a_call_has_sound_both_ways(fake: Fake, setting: Setting, one: str, other: str) -> None:
    server = fake(FakeProxy, transport="udp", also="tcp")
    caller, callee = replace(ALICE, transport=one), replace(BOB, transport=other)
    result = call(server.target, caller, callee, setting, seconds=SECONDS)
    assert result.ok, result.verdict
    assert result.transport == (one if one == other else f"{one},{other}")
    assert "direct" in result.verdict
    names = [s.name for s in result.steps if s.name != "connect"]
    assert names == [
        "challenge bob",
        "REGISTER bob",
        "challenge alice",
        "REGISTER alice",
        "INVITE challenge",
        "INVITE",
        "ringing",
        "answer",
        "ACK",
        "sound alice to bob",
        "sound bob to alice",
        "BYE",
        "de-REGISTER alice",
        "de-REGISTER bob",
    ]
    for name, hz in (("alice to bob", CALLER_HZ), ("bob to alice", CALLEE_HZ)):
        facts = step(result, f"sound {name}").facts
        assert facts["tone_hz"] == pytest.approx(hz, abs=3)
        assert facts["received"] >= 0.9 * facts["sent"] > 10
        assert facts["codecs"] == ["PCMU"]
    assert server.bindings == {"alice": {}, "bob": {}}


@pytest.mark.parametrize("hangup", ["caller", "callee"])
@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_either_side_can_hang_up_in_either_codec(
    fake: Fake, setting: Setting, hangup: str, codec: str
) -> None:
    server = fake(FakeProxy)
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS, codec=codec, hangup=hangup)
    assert result.ok, result.verdict
    assert codec in result.verdict
    assert step(result, "BYE").facts["by"] == ("alice" if hangup == "caller" else "bob")


def test_the_tap_sees_signalling_and_sound_of_both_ends(
    fake: Fake, setting: Setting, seen: list[Any]
) -> None:
    server = fake(FakeProxy)
    call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    sip = [p for p in seen if server.address in (p.source, p.destination)]
    media = [p for p in seen if p not in sip]
    rtp = [p for p in media if not is_rtcp(p.data)]
    assert {p.data.split(b" ")[0] for p in sip} >= {b"REGISTER", b"INVITE", b"ACK", b"BYE"}
    assert len({p.source for p in rtp}) == 2
    assert all(RtpPacket.parse(p.data).payload_type == 0 for p in rtp)
    assert [p.time for p in seen] == sorted(p.time for p in seen)
    rtp = [packet.data for packet in seen if packet.data[:1] == b"\x80"]
    # One wire, one packet: what one end sends straight to the other is not seen twice.
    assert len(rtp) == len(set(rtp))


def test_relayed_sound_is_told_from_direct_sound(
    fake: Fake, setting: Setting, relay: Callable[..., Relay]
) -> None:
    between = relay()
    server = fake(FakeProxy, rewrite=between.rewrite)
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert result.ok, result.verdict
    assert "relayed" in result.verdict
    facts = step(result, "sound alice to bob").facts
    assert facts["path"] == "relayed"
    assert facts["from"] != facts["sent_to"]


def test_a_server_that_asks_nobody_for_a_password_still_carries_calls(
    fake: Fake, setting: Setting
) -> None:
    server = fake(FakeProxy)
    server.challenge = lambda request, stale=False: None
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert result.ok, result.verdict
    assert "no password asked for" in step(result, "INVITE").detail


def test_a_stale_nonce_in_a_call_is_answered_once_more(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy)
    honest = server.challenge
    invites: list[Request] = []

    def challenge(request: Request, stale: bool = False) -> Any:
        if request.method == "INVITE":
            invites.append(request)
            return honest(request, stale=len(invites) == 2)
        return honest(request)

    server.challenge = challenge
    assert call(server.target, ALICE, BOB, setting, seconds=SECONDS).ok
    assert len(invites) == 3


# -- what the server answers ----------------------------------------------------------------------


def refusing(
    status: int, reason: str | None = None, *, after: bool = False
) -> Callable[[FakeServer, Any, Request], Any]:
    """Registers everybody; INVITE gets its challenge and then `status`, `after` it rang or not."""

    def answer(server: Any, transaction: Any, request: Request) -> Any:
        if request.method != "INVITE":
            return server._proxied(transaction, request)
        challenge = server.challenge(request)
        if challenge is None and after:
            server.deaf = (200, 486)
            server.loop.call_later(
                0.05, lambda: transaction.respond(response_to(request, status, reason))
            )
            return server._proxied(transaction, signed_again(server, request))
        return challenge or response_to(request, status, reason)

    return answer


def signed_again(server: Any, request: Request) -> Request:
    """So that the proxy's own check, which has counted this nonce, lets it pass."""
    server.nonces = dict.fromkeys(server.nonces, 0)
    return request


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, "not-found"),
        (408, "call-not-delivered"),
        (480, "call-not-delivered"),
        (482, "loop"),
        (486, "busy"),
        (487, "unavailable"),
        (488, "not-acceptable"),
        (403, "forbidden"),
        (407, "wrong-password"),
        (500, "server-error"),
        (603, "declined"),
        (200, "answered-elsewhere"),
    ],
)
def test_an_invite_that_is_refused_has_its_cause(
    fake: Fake, setting: Setting, status: int, expected: str
) -> None:
    server = fake(FakeProxy)
    server.answer = refusing(status)
    if status == 407:
        server.answer = lambda s, t, r: (
            response_to(
                r,
                407,
                headers=[("Proxy-Authenticate", 'Digest realm="sip.example.test", nonce="n"')],
            )
            if r.method == "INVITE"
            else s._proxied(t, r)
        )
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert name_of(result) == expected
    assert str(status) in result.verdict
    assert server.bindings == {"alice": {}, "bob": {}}, "both must be signed out again"


def test_a_call_that_is_given_up_while_it_rings_is_unavailable(
    fake: Fake, setting: Setting
) -> None:
    server = fake(FakeProxy)
    server.answer = refusing(480, after=True)
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert name_of(result) == "unavailable"
    assert result.steps[-3].name == "answer"


def test_an_invite_that_never_reaches_the_callee_is_not_delivered(
    fake: Fake, setting: Setting
) -> None:
    server = fake(FakeProxy, drop=("INVITE",))
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert name_of(result) == "call-not-delivered"
    assert "100 Trying" in result.verdict
    assert any(request.method == "CANCEL" for request in server.requests)


def test_another_device_that_answers_as_well_is_acknowledged_and_hung_up(
    fake: Fake, setting: Setting
) -> None:
    """A forking proxy passes every 2xx on (RFC 3261 section 16.7): each is a dialog of its own."""

    def twice(message: Any, to: str) -> None:
        if to == "caller" and getattr(message, "status", 0) == 200 and "INVITE" in message.cseq:
            other = message.copy()
            other.headers.set("To", f"<sip:bob@{DOMAIN}>;tag=other")
            other.headers.set("Contact", "<sip:bob@127.0.0.1:9>")
            caller = server.ways[f"{message.via.host}:{message.via.port}"]
            for _ in range(2):
                server.loop.call_later(0.05, caller.send, other.to_bytes())

    server = fake(FakeProxy, change=twice)
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS, hold=False)
    assert result.ok, result.verdict
    others = [request for request in server.requests if request.to.tag == "other"]
    assert [request.method for request in others if request.method == "ACK"] == ["ACK", "ACK"]
    assert len({request.cseq for request in others if request.method == "BYE"}) == 1
    assert {request.uri for request in others} == {"sip:bob@127.0.0.1:9"}
    assert [request.headers.get("Route") for request in others if request.method == "BYE"]


def test_an_answer_that_never_comes_back_is_lost(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy, deaf=(200,))
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert name_of(result) == "answer-lost"


def test_an_ack_that_never_arrives_is_lost_and_the_rest_is_still_looked_at(
    fake: Fake, setting: Setting
) -> None:
    server = fake(FakeProxy, drop=("ACK",))
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert name_of(result) == "ack-lost"
    assert step(result, "sound alice to bob").ok
    acks = [request for request in server.requests if request.method == "ACK"]
    assert len(acks) > 2, "each repeated 200 has its ACK"


def test_a_record_route_that_leads_nowhere_loses_the_ack_as_a_phones_would_be(
    fake: Fake, setting: Setting
) -> None:
    server = fake(FakeProxy, record_route="127.0.0.9:9")
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert name_of(result) == "ack-lost"
    assert "127.0.0.9:9" in result.verdict
    assert step(result, "BYE").cause is not None


def test_a_record_route_with_the_domains_name_needs_no_dns(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy)
    server.record_route = f"{DOMAIN}:{server.address.port}"
    assert call(server.target, ALICE, BOB, setting, seconds=SECONDS).ok


@pytest.mark.parametrize("hangup", ["caller", "callee"])
def test_a_bye_that_never_arrives_is_lost(fake: Fake, setting: Setting, hangup: str) -> None:
    server = fake(FakeProxy, drop=("BYE",))
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS, hangup=hangup)
    assert name_of(result) == "bye-lost"


# -- sound ----------------------------------------------------------------------------------------


def test_no_sound_at_all_is_no_media(
    fake: Fake, setting: Setting, relay: Callable[..., Relay]
) -> None:
    between = relay(change=lambda data, to: None)
    server = fake(FakeProxy, rewrite=between.rewrite)
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert name_of(result) == "no-media"
    assert step(result, "BYE").ok


@pytest.mark.parametrize("deaf", ["caller", "callee"])
def test_sound_in_one_direction_is_one_way(
    fake: Fake, setting: Setting, relay: Callable[..., Relay], deaf: str
) -> None:
    between = relay(change=lambda data, to: None if to == deaf else data)
    server = fake(FakeProxy, rewrite=between.rewrite)
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert name_of(result) == "one-way-media"
    good, bad = ("alice to bob", "bob to alice")
    if deaf == "callee":
        good, bad = bad, good
    assert step(result, f"sound {good}").ok
    assert not step(result, f"sound {bad}").ok


def test_another_tone_is_the_wrong_tone(
    fake: Fake, setting: Setting, relay: Callable[..., Relay]
) -> None:
    other = encode("PCMU", tone(1250.0, 0.02))
    between = relay(change=lambda data, to: data[:12] + other)
    server = fake(FakeProxy, rewrite=between.rewrite)
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert name_of(result) == "wrong-tone"
    assert "a tone of 1250 Hz came, 550 Hz was sent" in result.verdict


def test_silence_in_place_of_the_tone_is_the_wrong_tone(
    fake: Fake, setting: Setting, relay: Callable[..., Relay]
) -> None:
    between = relay(change=lambda data, to: data[:12] + b"\xff" * 160)
    server = fake(FakeProxy, rewrite=between.rewrite)
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert name_of(result) == "wrong-tone"
    assert "no clear tone" in result.verdict


def test_another_payload_type_is_the_wrong_codec(
    fake: Fake, setting: Setting, relay: Callable[..., Relay]
) -> None:
    between = relay(change=lambda data, to: data[:1] + b"\x08" + data[2:])
    server = fake(FakeProxy, rewrite=between.rewrite)
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert name_of(result) == "wrong-codec"


def test_comfort_noise_beside_the_codec_is_no_fault(
    fake: Fake, setting: Setting, relay: Callable[..., Relay]
) -> None:
    def noise(data: bytes, to: str) -> bytes:
        packet = RtpPacket.parse(data)
        return bytes(replace(packet, payload_type=13, payload=b"\x50")) if packet.marker else data

    between = relay(change=noise)
    server = fake(FakeProxy, rewrite=between.rewrite)
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert result.ok, result.verdict
    assert set(step(result, "sound alice to bob").facts["codecs"]) == {"CN", "PCMU"}


def test_every_third_packet_lost_is_lossy(
    fake: Fake, setting: Setting, relay: Callable[..., Relay]
) -> None:
    def lossy(data: bytes, to: str) -> bytes | None:
        return None if RtpPacket.parse(data).sequence % 3 == 0 else data

    between = relay(change=lossy)
    server = fake(FakeProxy, rewrite=between.rewrite)
    result = call(server.target, ALICE, BOB, setting, seconds=1.0)
    assert name_of(result) == "lossy-media"
    assert step(result, "sound alice to bob").facts["loss"] == pytest.approx(0.33, abs=0.06)


@pytest.mark.parametrize("port", ["0", "9"])
def test_an_sdp_without_a_place_for_sound_is_explained(
    fake: Fake, setting: Setting, port: str
) -> None:
    def broken(body: bytes, to: str) -> bytes:
        text = body.decode()
        if port == "9":
            return text.replace("127.0.0.1", "nowhere.invalid").encode() if to == "callee" else body
        head, _, tail = text.partition("m=audio ")
        return f"{head}m=audio 0 {tail.split(' ', 1)[1]}".encode() if to == "caller" else body

    server = fake(FakeProxy, rewrite=broken)
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert name_of(result) == "not-acceptable"
    assert step(result, "de-REGISTER bob").ok
    assert any(request.method == "BYE" for request in server.requests), "no call is left behind"


def test_an_offer_without_a_common_codec_is_not_acceptable(fake: Fake, setting: Setting) -> None:
    def g729(body: bytes, to: str) -> bytes:
        return body.replace(b"RTP/AVP 0 8", b"RTP/AVP 18") if to == "callee" else body

    server = fake(FakeProxy, rewrite=g729)
    result = call(server.target, ALICE, BOB, setting, seconds=SECONDS)
    assert name_of(result) == "not-acceptable"


# -- a failure before the call, and nonsense ------------------------------------------------------


def test_a_callee_that_cannot_register_ends_it_before_the_call(
    fake: Fake, setting: Setting
) -> None:
    server = fake(FakeProxy)
    result = call(server.target, ALICE, replace(BOB, secret=Password("x")), setting)
    assert name_of(result) == "wrong-password"
    assert result.steps[-1].name == "REGISTER bob"


def test_a_codec_or_side_that_is_none_is_refused(setting: Setting) -> None:
    with pytest.raises(RequestError, match="G722"):
        call("127.0.0.1", ALICE, BOB, setting, codec="G722")
    with pytest.raises(RequestError, match="nobody"):
        call("127.0.0.1", ALICE, BOB, setting, hangup="nobody")


def test_no_call_is_taken_from_a_stranger(fake: Fake, setting: Setting) -> None:
    server = fake(FakeProxy)
    honest = server._proxied
    asked: list[int] = []

    def with_stranger(_server: Any, transaction: Any, request: Request) -> Any:
        if request.method == "INVITE" and not asked:
            contact = next(iter(server.bindings["bob"]))[1:-1]
            stranger = Request(
                "INVITE",
                contact,
                [
                    ("Max-Forwards", "70"),
                    ("From", "<sip:mallory@example.test>;tag=1"),
                    ("To", "<sip:bob@sip.example.test>"),
                    ("Call-ID", "stranger"),
                    ("CSeq", "1 INVITE"),
                    ("Contact", "<sip:mallory@127.0.0.1:9>"),
                ],
            )
            place = Address("127.0.0.1", int(contact.rpartition(":")[2]))
            server.layer.request(
                stranger,
                server.transports.flow("udp", place),
                on_response=lambda response: asked.append(response.status),
            )
        return honest(transaction, request)

    server.answer = with_stranger
    assert call(server.target, ALICE, BOB, setting, seconds=SECONDS).ok
    assert 486 in asked
