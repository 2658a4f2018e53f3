"""Whatever way offer and answer go, the latest of them says whose stream it is and what is expected."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from trace_scenario import ALICE, ALICE_RTP, BOB, BOB_RTP, SERVER, Scenario, sdp

from labtool.sip.flow import Address, Packet
from labtool.trace.analysis import Analysis
from labtool.trace.calls import Leg
from labtool.trace.media import negotiation

INVITE, RINGING, PROGRESS, OK = (
    *("INVITE sip:bob@lab.test", "SIP/2.0 180 Ringing"),
    *("SIP/2.0 183 Session Progress", "SIP/2.0 200 OK"),
)
BOTH = ("a", "b")
DIALOG: dict[str, Any] = {"tags": BOTH}


class Talk(Scenario):
    """Requests and answers between alice and her server."""

    def ask(self, start: str, body: str = "", **facts: Any) -> None:
        """From alice."""
        self.sip(ALICE, SERVER, start, body=body, **facts)

    def tell(self, start: str, body: str = "", **facts: Any) -> None:
        """To alice."""
        self.sip(SERVER, ALICE, start, body=body, **facts)

    def ack(self, body: str = "") -> None:
        self.ask("ACK sip:bob@lab.test", body, cseq="1 ACK", tags=BOTH, branch="ack")


def sound(s: Scenario, seconds: float = 4, first: int = 0) -> None:
    """Both ways."""
    s.rtp(seconds, (ALICE_RTP, BOB_RTP), (BOB_RTP, ALICE_RTP), first=first)


def flows(analysis: Analysis, at: float) -> tuple[bool, bool]:
    """Whether sound is to flow from the caller and from the callee, `at` seconds into the talk."""
    leg: Leg = analysis.calls[0].first_leg
    answer = leg.answer
    assert answer is not None
    low = answer.time_ns + round(at * 1e9)
    stated = negotiation(leg)
    return tuple(bool(stated.intervals(way, low, low + 1)) for way in (True, False))  # type: ignore[return-value]


def tied(analysis: Analysis) -> bool:
    """Whether every stream has the call."""
    return bool(analysis.streams) and all(
        one.call is analysis.calls[0] and one.codec for one in analysis.streams
    )


def test_sound_before_the_answer_belongs_to_the_call() -> None:
    s = Talk()
    s.ask(INVITE, sdp(ALICE_RTP))
    s.tell(PROGRESS, sdp(BOB_RTP), **DIALOG)
    s.rtp(3, (BOB_RTP, ALICE_RTP))
    s.tell(OK, sdp(BOB_RTP), **DIALOG)
    s.ack()
    s.rtp(4, (BOB_RTP, ALICE_RTP), (ALICE_RTP, BOB_RTP), first=150)
    analysis = s.analyse()
    assert tied(analysis)
    assert analysis.findings == []


def test_an_offer_in_the_answer_is_answered_in_the_ack() -> None:
    s = Talk()
    s.ask(INVITE)
    s.tell(OK, sdp(BOB_RTP, lines="a=sendonly\r\n"), **DIALOG)
    s.ack(sdp(ALICE_RTP, lines="a=recvonly\r\n"))
    s.rtp(4, (BOB_RTP, ALICE_RTP))
    s.bye()
    analysis = s.analyse()
    assert flows(analysis, 1) == (False, True)
    assert tied(analysis)
    assert analysis.findings == []


def test_an_offer_in_a_reliable_183_is_answered_in_the_prack() -> None:
    s = Talk()
    s.ask(INVITE)
    s.tell(PROGRESS, sdp(BOB_RTP), headers=("Require: 100rel", "RSeq: 1"), **DIALOG)
    s.ask("PRACK sip:bob@lab.test", sdp(ALICE_RTP), cseq="2 PRACK", tags=BOTH)
    s.tell(OK, cseq="2 PRACK", tags=BOTH)
    s.tell(OK, **DIALOG)
    s.ack()
    sound(s)
    s.bye()
    analysis = s.analyse()
    assert flows(analysis, 1) == (True, True)
    assert tied(analysis)
    assert analysis.findings == []


def test_an_update_holds_as_a_new_invite_does_and_a_refused_one_changes_nothing() -> None:
    for status, after in (("200 OK", (True, False)), ("488 Not Acceptable Here", (True, True))):
        s = Talk()
        s.answered()
        sound(s)
        facts = {"cseq": "5 UPDATE", "tags": BOTH}
        s.ask("UPDATE sip:bob@lab.test", sdp(ALICE_RTP, lines="a=sendonly\r\n"), **facts)
        answer = sdp(BOB_RTP, lines="a=recvonly\r\n") if status[0] == "2" else ""
        s.tell(f"SIP/2.0 {status}", answer, **facts)
        s.rtp(4, (ALICE_RTP, BOB_RTP), first=200)
        s.bye()
        analysis = s.analyse()
        assert flows(analysis, 5) == after
        assert after[1] or analysis.findings == []


def test_a_phone_that_rang_and_was_not_answered_has_no_say() -> None:
    desk = Address("203.0.113.105", 4004)
    s = Talk()
    s.ask(INVITE, sdp(ALICE_RTP))
    s.tell(PROGRESS, sdp(BOB_RTP), tags=("a", "b"))
    s.tell(PROGRESS, sdp(desk, lines="a=inactive\r\n"), tags=("a", "c"))
    s.tell(OK, tags=("a", "b"))  # it has said all in its 183
    s.ack()
    sound(s)
    s.bye()
    analysis = s.analyse()
    assert flows(analysis, 1) == (True, True)
    stated = negotiation(analysis.calls[0].first_leg).at(False, analysis.capture.last_ns)
    assert stated is not None
    assert stated.media[0].port == BOB_RTP.port
    assert analysis.findings == []


def test_early_sound_of_two_phones_that_ring_belongs_to_the_one_call() -> None:
    desk = Address("203.0.113.105", 4004)
    s = Talk()
    s.ask(INVITE, sdp(ALICE_RTP))
    s.tell(PROGRESS, sdp(BOB_RTP), tags=("a", "b"))
    s.tell(PROGRESS, sdp(desk), tags=("a", "c"))
    s.rtp(2, (BOB_RTP, ALICE_RTP), (desk, ALICE_RTP))
    s.tell(OK, sdp(desk), tags=("a", "c"))
    s.ack()
    s.rtp(4, (ALICE_RTP, desk), (desk, ALICE_RTP), first=100)
    s.bye()
    analysis = s.analyse()
    assert tied(analysis)
    assert {str(one.source) for one in analysis.streams} == {
        *(str(BOB_RTP), str(desk), str(ALICE_RTP))
    }
    assert analysis.findings == []


def video(port: int, number: int = 97) -> str:
    """A second media section."""
    return f"m=video {port} RTP/AVP {number}\r\na=rtpmap:{number} H264/90000\r\n"


def picture(s: Scenario, source: Address, target: Address, ssrc: int, number: int = 97) -> None:
    """Two seconds of video, ten packets a second, from now on."""
    for n in range(20):
        data = struct.pack(">BBHII", 0x80, number, n, n * 9000, ssrc) + bytes(900)
        s.packets.append(Packet(s.now + n / 10, "udp", source, target, data))


def test_video_beside_the_sound_is_told_from_it_and_refused_video_is_not_missed() -> None:
    for answered in (5002, 0):
        s = Talk()
        s.answered(sdp(ALICE_RTP) + video(5000), sdp(BOB_RTP) + video(answered))
        if answered:
            picture(s, Address(BOB.host, 5002), Address(ALICE.host, 5000), 99)
        sound(s)
        s.bye()
        analysis = s.analyse()
        assert tied(analysis)
        names = sorted(one.codec for one in analysis.streams)
        assert names == (["H264/90000"] if answered else []) + ["PCMA/8000"] * 2
        assert analysis.findings == []


def test_refused_sound_is_not_missed_though_video_flows() -> None:
    s = Talk()
    offer = sdp(ALICE_RTP) + video(5000)
    refused = sdp(Address(BOB.host, 0)) + video(5002)
    s.answered(offer, refused)
    picture(s, Address(BOB.host, 5002), Address(ALICE.host, 5000), 99)
    s.now += 6
    s.bye()
    analysis = s.analyse()
    assert flows(analysis, 1) == (False, False)
    assert analysis.findings == []


def test_a_bundle_shares_one_port_and_rtcp_too() -> None:
    s = Talk()
    mux = "a=rtcp-mux\r\n"
    offer = sdp(ALICE_RTP, lines=mux) + video(ALICE_RTP.port) + mux
    answer = sdp(BOB_RTP, lines=mux) + video(BOB_RTP.port) + mux
    s.answered(offer, answer)
    picture(s, BOB_RTP, ALICE_RTP, 99)
    s.rtcp(BOB_RTP, ALICE_RTP, sent=100, blocks=1)
    sound(s)
    s.bye()
    analysis = s.analyse()
    assert tied(analysis)
    assert sorted(one.codec for one in analysis.streams) == ["H264/90000", *["PCMA/8000"] * 2]
    assert len(analysis.capture.reports) == 1
    assert analysis.findings == []


@pytest.mark.parametrize("line", ["a=rtcp:7001\r\n", "a=rtcp-mux\r\n", ""])
def test_reports_are_found_where_the_description_says_that_they_come(line: str) -> None:
    port = {"a=rtcp:7001\r\n": 7001, "a=rtcp-mux\r\n": ALICE_RTP.port}.get(line, ALICE_RTP.port + 1)
    s = Talk()
    s.answered(sdp(ALICE_RTP, lines=line), sdp(BOB_RTP))
    for n in range(3):
        s.rtp(3, (ALICE_RTP, BOB_RTP), first=n * 150)
        s.rtcp(BOB_RTP, Address(ALICE.host, port), sent=0, blocks=1)
    s.bye()
    (found,) = s.analyse().findings
    assert found.id == "one-way-audio"
    assert "its RTCP did" in found.cause


def v6(host: str, port: int, lines: str = "") -> str:
    """An audio section at an IPv6 address, however that is written."""
    return (
        f"v=0\r\no=- 1 1 IN IP6 {host}\r\ns=-\r\nc=IN IP6 {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 8\r\n{lines}"
    )


def test_ipv6_is_the_same_address_however_it_is_written() -> None:
    alice, server = (Address(f"2001:db8::{n}", 5060) for n in (1, 2))
    mine, his = Address("2001:db8::a:1", 4000), Address("2001:db8::b:3", 4002)
    s = Scenario()
    offer = v6("2001:DB8:0:0:0:0:A:1", 4000)
    candidate = "a=candidate:1 1 UDP 9 2001:0DB8::000b:0003 4002 typ host\r\n"
    s.answered(offer, v6("2001:db8::99", 4004, candidate), caller=alice, callee=server)
    s.rtp(4, (mine, his))
    s.rtp(4, (his, Address("2001:db8::77", 9)))
    s.bye(alice, server)
    analysis = s.analyse()
    assert tied(analysis)
    assert analysis.findings == []


def test_a_new_invite_over_a_new_connection_is_still_the_callers() -> None:
    again, moved = Address(ALICE.host, 49_999), Address(ALICE.host, 6000)
    s = Scenario()
    for start in ("OPTIONS sip:bob@lab.test", OK):  # so that it is seen to be captured at bob
        ends = (SERVER, BOB) if start[0] == "O" else (BOB, SERVER)
        s.sip(*ends, start, cseq="1 OPTIONS", call="other")
    s.answered(caller=ALICE, callee=BOB)
    sound(s)
    facts = {"cseq": "2 INVITE", "tags": BOTH, "transport": "tcp"}
    s.sip(again, BOB, INVITE, body=sdp(moved, lines="a=recvonly\r\n"), **facts)  # type: ignore[arg-type]
    s.sip(BOB, again, OK, body=sdp(BOB_RTP, lines="a=sendonly\r\n"), **facts)  # type: ignore[arg-type]
    s.rtp(6, (BOB_RTP, moved), first=200)
    s.bye(ALICE, BOB)
    analysis = s.analyse()
    assert analysis.vantages == [BOB.host]
    assert flows(analysis, 6) == (False, True)
    assert analysis.findings == []


def test_sound_that_moves_to_a_new_port_is_followed_there() -> None:
    moved = Address(BOB.host, 6000)
    s = Talk()
    s.answered()
    sound(s)
    facts = {"cseq": "2 INVITE", "tags": BOTH}
    s.ask(INVITE, sdp(ALICE_RTP), **facts)
    s.tell(OK, sdp(moved, payload="0"), **facts)
    s.rtp(4, (ALICE_RTP, moved), (moved, ALICE_RTP), payload=0, first=200)
    s.bye()
    analysis = s.analyse()
    assert tied(analysis)
    codecs = {(one.destination, one.source): one.codec for one in analysis.streams}
    assert codecs[moved, ALICE_RTP] == codecs[ALICE_RTP, moved] == "PCMU/8000"
    assert analysis.findings == []


def test_hold_by_an_address_of_nobody_is_hold() -> None:
    s = Talk()
    s.answered()
    sound(s)
    facts = {"cseq": "2 INVITE", "tags": BOTH}
    s.ask(INVITE, sdp(Address("0.0.0.0", ALICE_RTP.port)), **facts)
    s.tell(OK, sdp(BOB_RTP), **facts)
    s.rtp(6, (ALICE_RTP, BOB_RTP), first=200)
    s.bye()
    analysis = s.analyse()
    assert flows(analysis, 6) == (True, False)
    assert analysis.findings == []
