"""Findings on calls that were made up to provoke them, and on their healthy twins."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_scenario import ALICE, ALICE_RTP, BOB, BOB_RTP, SERVER, Scenario, sdp

from labtool.sip.flow import Address, Packet
from labtool.trace.analysis import analyse
from labtool.trace.findings.finding import CATALOGUE
from labtool.trace.ladder import draw
from labtool.trace.report import report
from labtool.trace.story import ladder_of_analysis

RELAY = Address(SERVER.host, 6000)
CHALLENGE = 'WWW-Authenticate: Digest realm="lab.test", nonce="n1", algorithm=MD5, qop="auth"'
ANSWER = (
    'Authorization: Digest username="alice", realm="lab.test", nonce="n1", uri="sip:lab.test", '
    'response="00000000000000000000000000000000", algorithm=MD5'
)


def register(
    scene: Scenario, number: int, status: str, *, answered: bool, stale: bool = False
) -> None:
    challenge = CHALLENGE + (", stale=true" if stale else "")
    cseq = f"{number} REGISTER"
    scene.sip(ALICE, SERVER, "REGISTER sip:lab.test", cseq=cseq, headers=(ANSWER,) * answered)
    headers = (challenge,) if status.startswith("401") else ("Contact: <sip:alice@h>;expires=60",)
    scene.sip(SERVER, ALICE, f"SIP/2.0 {status}", cseq=cseq, tags=("a", "r"), headers=headers)


def healthy() -> Scenario:
    """A call through a relay, as it is seen at alice."""
    scene = Scenario()
    register(scene, 1, "401 Unauthorized", answered=False)
    register(scene, 2, "200 OK", answered=True)
    scene.answered(answer=sdp(RELAY))
    scene.rtp(6, (ALICE_RTP, RELAY), (RELAY, ALICE_RTP))
    scene.bye()
    return scene


def test_a_healthy_call_has_no_finding() -> None:
    analysis = healthy().analyse()
    assert analysis.findings == []
    assert analysis.calls[0].outcome == "answered"
    assert [stream.path for stream in analysis.streams] == ["direct", "direct"]


def test_a_tap_and_its_file_are_understood_alike(tmp_path: Path) -> None:
    analysis = healthy().file(tmp_path / "a.pcap")
    assert analysis.findings == []
    assert len(analysis.streams) == 2


def test_a_refused_password_is_found() -> None:
    scene = Scenario()
    register(scene, 1, "401 Unauthorized", answered=False)
    register(scene, 2, "403 Forbidden", answered=True)
    (found,) = scene.analyse().findings
    assert found.id == "wrong-password"
    assert found.frames == (1, 2, 3, 4)


def test_a_stale_nonce_is_no_wrong_password() -> None:
    scene = Scenario()
    register(scene, 1, "401 Unauthorized", answered=True, stale=True)
    assert scene.ids() == []


def test_a_client_that_is_challenged_for_ever_is_found() -> None:
    scene = Scenario()
    register(scene, 1, "401 Unauthorized", answered=False)
    for number in range(2, 6):
        register(scene, number, "401 Unauthorized", answered=True)
    assert scene.ids() == ["authentication-loop"]


def test_a_registrar_that_fails_is_found() -> None:
    scene = Scenario()
    register(scene, 1, "401 Unauthorized", answered=False)
    register(scene, 2, "503 Service Unavailable", answered=True)
    (found,) = scene.analyse().findings
    assert found.id == "registration-refused"
    assert "It cannot serve requests now" in found.cause


def test_a_refusal_without_a_challenge_is_not_blamed_on_the_password() -> None:
    scene = Scenario()
    register(scene, 1, "403 Domain forbidden", answered=False)
    assert scene.ids() == ["registration-refused"]


@pytest.mark.parametrize(
    ("status", "ids"),
    [
        ("404 Not Found", ["callee-unknown"]),
        ("482 Loop Detected", ["loop"]),
        ("483 Too Many Hops", ["loop"]),
        ("488 Not Acceptable Here", ["codec-refused"]),
        ("486 Busy Here", []),
        ("603 Decline", []),
        ("600 Busy Everywhere", []),
        ("403 Forbidden", ["call-refused"]),
        ("415 Unsupported Media Type", ["call-refused"]),
        ("420 Bad Extension", ["call-refused"]),
        ("499 Unheard Of", ["call-refused"]),
        ("500 Server Internal Error", ["call-refused"]),
        ("503 Service Unavailable", ["call-refused"]),
        ("480 Temporarily Unavailable", []),
        ("302 Moved Temporarily", []),
    ],
)
def test_a_failed_call_is_only_a_finding_where_something_is_wrong(
    status: str, ids: list[str]
) -> None:
    scene = Scenario()
    scene.sip(ALICE, SERVER, "INVITE sip:bob@lab.test", body=sdp(ALICE_RTP))
    scene.sip(SERVER, ALICE, f"SIP/2.0 {status}", tags=("a", "b"))
    scene.sip(
        ALICE, SERVER, "ACK sip:bob@lab.test", cseq="1 ACK", tags=("a", "b"), branch="1INVITEcall"
    )
    assert scene.ids() == ids


def invite(scene: Scenario, times: int, source: Address = ALICE, target: Address = SERVER) -> None:
    for number in range(times):
        scene.sip(source, target, "INVITE sip:bob@lab.test", body=sdp(ALICE_RTP), vias=1)
        scene.now += 0.5 * 2**number


def test_a_server_that_does_not_answer_is_found_and_two_tries_are_not_enough() -> None:
    for times, ids in ((2, []), (5, ["no-response"])):
        scene = Scenario()
        invite(scene, times)
        assert scene.ids() == ids


def test_a_callee_that_cannot_be_reached_is_found_from_the_server() -> None:
    scene = Scenario()
    scene.sip(ALICE, SERVER, "INVITE sip:bob@lab.test", body=sdp(ALICE_RTP))
    scene.sip(SERVER, ALICE, "SIP/2.0 100 Trying")
    for number in range(5):
        scene.sip(SERVER, BOB, "INVITE sip:bob@b", body=sdp(ALICE_RTP), vias=2, branch="fwd")
        scene.now += 0.5 * 2**number
    scene.sip(SERVER, ALICE, "SIP/2.0 408 Request Timeout", tags=("a", "s"))
    assert scene.ids() == ["callee-unreachable"]


def test_a_server_that_waits_before_the_phone_rings_is_found() -> None:
    for wait, ids in ((1.0, []), (5.0, ["slow-setup"])):
        scene = Scenario()
        scene.sip(ALICE, SERVER, "INVITE sip:bob@lab.test", body=sdp(ALICE_RTP))
        scene.sip(SERVER, ALICE, "SIP/2.0 100 Trying")
        scene.now += wait
        scene.sip(SERVER, ALICE, "SIP/2.0 180 Ringing", tags=("a", "b"))
        scene.sip(SERVER, ALICE, "SIP/2.0 200 OK", tags=("a", "b"), body=sdp(BOB_RTP))
        assert scene.ids() == ids


def test_an_answer_that_is_repeated_without_an_ack_is_found() -> None:
    for ack, ids in ((True, []), (False, ["ack-missing"])):
        scene = Scenario()
        scene.answered(ack=ack)
        for number in range(3):
            scene.now += 0.5 * 2**number
            scene.sip(SERVER, ALICE, "SIP/2.0 200 OK", tags=("a", "b"), body=sdp(BOB_RTP))
        assert scene.ids() == ids


def test_a_private_address_from_the_internet_is_found_only_where_no_sound_comes_back() -> None:
    hidden = Address("192.168.7.7", 4002)
    for back, ids in ((True, []), (False, ["private-address-in-sdp"])):
        scene = Scenario()
        scene.answered(answer=sdp(hidden))
        ways = [(ALICE_RTP, hidden)] + [(hidden, ALICE_RTP)] * back
        scene.rtp(5, *ways)
        scene.bye()
        scene.send(ALICE, BOB, b"\r\n" * 6)  # alice has other peers: this is captured at alice
        assert scene.ids() == ids


def test_nothing_heard_is_found_and_told_from_a_capture_without_sound() -> None:
    for sound, ids in ((False, []), (True, ["one-way-audio"])):
        scene = Scenario()
        register(scene, 1, "200 OK", answered=False)
        scene.answered(answer=sdp(BOB_RTP))
        if sound:
            scene.rtp(5, (ALICE_RTP, BOB_RTP))
        else:
            scene.now += 5
        scene.bye()
        assert scene.ids() == ids


@pytest.mark.parametrize(
    ("sent", "words"),
    [(200, "has sent 200 packets: they were lost on the way"), (0, "it has sent no sound")],
)
def test_rtcp_tells_lost_sound_from_sound_never_sent(sent: int, words: str) -> None:
    scene = Scenario()
    scene.answered(answer=sdp(BOB_RTP))
    scene.rtp(3, (ALICE_RTP, BOB_RTP))
    scene.rtcp(Address(BOB_RTP.host, 4003), Address(ALICE_RTP.host, 4001), sent=sent, blocks=1)
    scene.rtp(3, (ALICE_RTP, BOB_RTP), first=150)
    scene.bye()
    (found,) = scene.analyse().findings
    assert words in found.cause


def test_a_peer_that_reports_nothing_received_is_found() -> None:
    for blocks, ids in ((1, []), (0, ["one-way-audio"])):
        scene = Scenario()
        scene.answered(answer=sdp(BOB_RTP))
        for part in range(4):
            scene.rtp(3, (ALICE_RTP, BOB_RTP), (BOB_RTP, ALICE_RTP), first=150 * part)
            scene.rtcp(
                Address(BOB_RTP.host, 4003), Address(ALICE_RTP.host, 4001), sent=9, blocks=blocks
            )
        scene.bye()
        assert scene.ids() == ids


def test_hold_is_not_taken_for_silence() -> None:
    scene = Scenario()
    scene.answered(answer=sdp(BOB_RTP))
    scene.rtp(3, (ALICE_RTP, BOB_RTP), (BOB_RTP, ALICE_RTP))
    held = sdp(ALICE_RTP, lines="a=sendonly\r\n"), sdp(BOB_RTP, lines="a=recvonly\r\n")
    scene.sip(ALICE, SERVER, "INVITE sip:b", cseq="2 INVITE", tags=("a", "b"), body=held[0])
    scene.sip(SERVER, ALICE, "SIP/2.0 200 OK", cseq="2 INVITE", tags=("a", "b"), body=held[1])
    scene.rtp(20, (ALICE_RTP, BOB_RTP), first=150)
    scene.bye()
    assert scene.ids() == []


def test_a_callee_that_agreed_only_to_listen_owes_no_sound() -> None:
    for lines, ids in (("a=recvonly\r\n", []), ("", ["one-way-audio"])):
        scene = Scenario()
        scene.answered(answer=sdp(BOB_RTP, lines=lines))
        scene.rtp(6, (ALICE_RTP, BOB_RTP))
        scene.bye()
        assert scene.ids() == ids


def test_loss_is_found_from_three_per_cent_on() -> None:
    for lose, ids in ((50, []), (10, ["packet-loss"])):
        scene = Scenario()
        scene.answered(answer=sdp(BOB_RTP))
        scene.rtp(10, (ALICE_RTP, BOB_RTP), (BOB_RTP, ALICE_RTP), lose=lose)
        scene.bye()
        assert scene.ids()[:1] == ids


def test_a_call_that_the_server_has_forgotten_is_found() -> None:
    scene = Scenario()
    scene.answered()
    scene.sip(ALICE, SERVER, "BYE sip:b", cseq="2 BYE", tags=("a", "b"))
    scene.sip(SERVER, ALICE, "SIP/2.0 481 Unknown", cseq="2 BYE", tags=("a", "b"))
    assert scene.ids() == ["call-forgotten"]


def test_hanging_up_at_the_same_time_is_no_fault() -> None:
    scene = Scenario()
    scene.answered()
    scene.sip(SERVER, ALICE, "BYE sip:a", cseq="1 BYE", tags=("b", "a"))
    scene.sip(ALICE, SERVER, "BYE sip:b", cseq="2 BYE", tags=("a", "b"))
    scene.sip(ALICE, SERVER, "SIP/2.0 200 OK", cseq="1 BYE", tags=("b", "a"))
    scene.sip(SERVER, ALICE, "SIP/2.0 481 Unknown", cseq="2 BYE", tags=("a", "b"))
    assert scene.ids() == []


def test_a_tls_alert_is_explained_and_a_closing_one_is_none() -> None:
    tls = Address(SERVER.host, 5061)
    for alert, ids in ((b"\x01\x00", []), (b"\x02\x30", ["tls-alert"])):
        scene = Scenario()
        scene.send(ALICE, tls, b"\x16\x03\x01\x00\x05hello", "tcp")
        scene.send(tls, ALICE, b"\x16\x03\x03\x00\x05hello", "tcp")
        scene.send(ALICE, tls, b"\x15\x03\x03\x00\x02" + alert, "tcp")
        analysis = scene.analyse()
        assert [one.id for one in analysis.findings] == ids
        for one in analysis.findings:
            assert "unknown_ca" in one.title
            assert one.frames == (3,)


def test_every_row_of_the_catalogue_is_provoked_by_some_test() -> None:
    written = "".join(path.read_text() for path in Path(__file__).parent.glob("test_trace_*.py"))
    assert [kind for kind in CATALOGUE if f'"{kind}"' not in written] == []


def test_a_scanner_is_named() -> None:
    scene = Scenario()
    agent = ("User-Agent: friendly-scanner",)
    scene.sip(BOB, SERVER, "OPTIONS sip:100@h", cseq="1 OPTIONS", headers=agent)
    assert scene.ids() == ["scanner"]


def test_keys_that_were_pressed_are_read_from_telephone_events() -> None:
    scene = Scenario()
    events = sdp(BOB_RTP, payload="8 101", lines="a=rtpmap:101 telephone-event/8000\r\n")
    scene.answered(answer=events)
    scene.rtp(1, (ALICE_RTP, BOB_RTP), (BOB_RTP, ALICE_RTP))
    for n, (key, stamp) in enumerate([(5, 8000), (5, 8000), (5, 8000), (11, 16000), (11, 16000)]):
        head = struct.pack(">BBHII", 0x80, 101, 50 + n, stamp, 7)
        scene.send(ALICE_RTP, BOB_RTP, head + struct.pack(">BBH", key, 10, 160))
    scene.bye()
    digits = {stream.source: stream.digits for stream in scene.analyse().streams}
    assert digits == {ALICE_RTP: "5#", BOB_RTP: ""}


def test_a_repetition_that_was_captured_twice_counts_once() -> None:
    for copies, ids in ((1, []), (3, ["ack-missing"])):
        scene = Scenario()
        scene.answered(ack=False)
        for _ in range(copies):  # each is a repetition, and a copy of it a moment later
            scene.now += 1
            scene.sip(SERVER, ALICE, "SIP/2.0 200 OK", tags=("a", "b"), body=sdp(BOB_RTP))
            again = scene.packets[-1]
            ends = (again.source, again.destination)
            scene.packets.append(Packet(again.time + 0.001, again.transport, *ends, again.data))
        assert scene.ids() == ids


def test_an_ack_again_and_again_that_does_not_stop_the_answer_does_not_arrive() -> None:
    for times, ids in ((1, []), (3, ["ack-missing"])):
        scene = Scenario()
        scene.answered()
        for _ in range(times):
            scene.now += 1
            scene.sip(SERVER, ALICE, "SIP/2.0 200 OK", tags=("a", "b"), body=sdp(BOB_RTP))
            ack = {"cseq": "1 ACK", "branch": "ack"}
            scene.sip(ALICE, SERVER, "ACK sip:bob@lab.test", tags=("a", "b"), **ack)
        assert scene.ids() == ids


def test_a_scanner_that_acknowledges_no_refusal_is_no_lost_call() -> None:
    scene = Scenario()
    scene.sip(ALICE, SERVER, "INVITE sip:100@lab.test")
    for _ in range(6):
        scene.sip(SERVER, ALICE, "SIP/2.0 486 Busy Here", tags=("a", "b"))
        scene.now += 1
    assert scene.ids() == []


def test_gaps_that_the_receiver_knows_nothing_of_are_the_captures() -> None:
    for lost, ids in ((0, []), (40, ["packet-loss"])):
        scene = Scenario()
        scene.answered(answer=sdp(BOB_RTP))
        scene.rtp(8, (BOB_RTP, ALICE_RTP), (ALICE_RTP, BOB_RTP), lose=10)
        scene.rtcp(
            Address(ALICE_RTP.host, 4001),
            Address(BOB_RTP.host, 4003),
            sent=400,
            blocks=1,
            lost=lost,
            highest=399,
        )
        scene.bye()
        assert scene.ids() == ids


def test_a_server_that_asks_itself_how_it_is_stays_one_participant() -> None:
    scene = Scenario()
    for port in (40_000, 40_001):
        itself = Address(SERVER.host, port)
        scene.sip(itself, SERVER, "OPTIONS sip:localhost", cseq="1 OPTIONS", call=f"o{port}")
        scene.sip(SERVER, itself, "SIP/2.0 200 OK", cseq="1 OPTIONS", call=f"o{port}")
    scene.answered(caller=ALICE)
    (call,) = scene.analyse().calls
    assert (str(call.first_leg.caller), str(call.first_leg.callee)) == (ALICE.host, SERVER.host)


@pytest.mark.parametrize(("sent", "ids"), [(0, ["one-way-audio"]), (250, [])])
def test_a_silent_phone_is_known_by_its_own_rtcp_where_no_sound_is_seen(
    sent: int, ids: list[str]
) -> None:
    scene = Scenario()
    scene.sip(ALICE, SERVER, "OPTIONS sip:lab.test", cseq="1 OPTIONS", call="o")
    scene.answered(sdp(Address("192.168.1.5", 4000)), sdp(BOB_RTP))
    for _ in range(4):
        scene.now += 2
        scene.rtcp(Address(ALICE.host, 4001), Address(BOB_RTP.host, 4003), sent=sent, blocks=1)
    scene.bye()
    assert scene.ids() == ids


@pytest.mark.parametrize(
    ("caller", "relayed", "ids"),
    [
        (Address("10.0.0.9", 4000), False, ["private-address-in-sdp"]),
        (Address("10.0.0.9", 4000), True, []),  # something carries it all the same
        (ALICE_RTP, False, []),  # who has no NAT may answer to where the sound comes from
    ],
)
def test_a_private_address_that_a_server_passes_on_is_a_fault_between_two_nats(
    caller: Address, relayed: bool, ids: list[str]
) -> None:
    scene = Scenario()
    offer, answer = sdp(caller), sdp(Address("192.168.43.54", 4002))
    ends = {"tags": ("a", "b")}
    scene.sip(ALICE, SERVER, "INVITE sip:bob@lab.test", body=offer)
    scene.sip(SERVER, BOB, "INVITE sip:bob@b", body=offer, vias=2, branch="on")
    scene.sip(BOB, SERVER, "SIP/2.0 200 OK", body=answer, vias=2, branch="on", **ends)  # type: ignore[arg-type]
    scene.sip(SERVER, ALICE, "SIP/2.0 200 OK", body=answer, **ends)  # type: ignore[arg-type]
    for source, target, branch in ((ALICE, SERVER, "ack"), (SERVER, BOB, "ack on")):
        scene.sip(source, target, "ACK sip:bob@b", cseq="1 ACK", branch=branch, **ends)  # type: ignore[arg-type]
    if relayed:
        alice, bob = Address(ALICE.host, 4000), Address(BOB.host, 4002)
        scene.rtp(5, (alice, RELAY), (RELAY, bob), (bob, RELAY), (RELAY, alice))
    scene.now += 5
    scene.bye()
    assert scene.ids() == ids


@pytest.mark.parametrize("acknowledged", [True, False])
def test_who_waits_for_the_ack_cannot_expect_sound(acknowledged: bool) -> None:
    scene = Scenario()
    scene.answered(ack=acknowledged, caller=SERVER, callee=BOB)
    scene.rtp(5, (BOB_RTP, ALICE_RTP))
    scene.bye(SERVER, BOB)
    assert scene.ids() == ["one-way-audio"] * acknowledged


@given(st.data())
def test_no_damage_makes_the_analysis_fail(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "healthy.pcap"
    scene = Scenario()
    register(scene, 1, "401 Unauthorized", answered=False)
    register(scene, 2, "200 OK", answered=True)
    scene.answered(answer=sdp(RELAY))
    scene.rtp(0.2, (ALICE_RTP, RELAY), (RELAY, ALICE_RTP))
    scene.rtcp(Address(RELAY.host, 6001), Address(ALICE_RTP.host, 4001), sent=9, blocks=1)
    scene.bye()
    scene.file(path)
    content = bytearray(path.read_bytes())
    # Into the packets, not into the records around them: what is read is then also understood.
    for _ in range(data.draw(st.integers(1, 12))):
        at = data.draw(st.integers(24, len(content) - 1))
        if content[at] >= 0x20:
            content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    analysis = analyse([path])
    json.dumps(report(analysis))
    assert all(line.text.isprintable() for line in draw(ladder_of_analysis(analysis)))


@pytest.mark.parametrize(
    ("realm", "times", "ids"),
    [("lab.test", 2, ["authentication-loop"]), ("lab.test", 1, []), ("next.test", 2, [])],
)
def test_an_invite_that_is_challenged_for_ever_is_found(
    realm: str, times: int, ids: list[str]
) -> None:
    """The challenge of another realm is another server's: it has not seen a password yet."""
    scene = Scenario()
    for number in range(1, times + 2):
        its = "lab.test" if number == 1 else realm
        given = ANSWER.replace("Auth", "Proxy-Auth").replace("n1", f"n{number - 1}")
        cseq, answered = f"{number} INVITE", (given,) * (number > 1)
        scene.sip(ALICE, SERVER, "INVITE sip:bob@lab.test", cseq=cseq, headers=answered)
        asked = f'Proxy-Authenticate: Digest realm="{its}", nonce="n{number}", algorithm=MD5'
        scene.sip(SERVER, ALICE, "SIP/2.0 407 No", cseq=cseq, tags=("a", "s"), headers=(asked,))
    assert scene.ids() == ids


@pytest.mark.parametrize(
    ("times", "ended_there_too", "ids"),
    [(8, False, ["no-response"]), (3, False, []), (8, True, [])],
)
def test_a_bye_that_nobody_answers_is_found_at_its_sender(
    times: int, ended_there_too: bool, ids: list[str], tmp_path: Path
) -> None:
    scene = Scenario()
    scene.answered()
    for _ in range(times):
        scene.now += 1
        scene.sip(ALICE, SERVER, "BYE sip:bob@lab.test", cseq="2 BYE", tags=("a", "b"))
    if ended_there_too:
        scene.sip(SERVER, ALICE, "BYE sip:a", cseq="1 BYE", tags=("b", "a"))
    assert [one.id for one in scene.file(tmp_path / "a.pcap").findings] == ids
