"""Messages explained line by line."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_scenario import ALICE, ALICE_RTP, BOB, BOB_RTP, SERVER, Scenario, sdp

from labtool.sip.flow import Address, Packet
from labtool.trace.analysis import Analysis, analyse, analyse_packets
from labtool.trace.explain.lines import Explainer
from labtool.trace.explain.remark import say
from labtool.trace.explain.sources import SOURCES
from labtool.trace.explain.texts import LANGUAGES, render, source
from labtool.trace.message import Message


def _said(found: Analysis, message: Message, language: str = "en") -> dict[str, list[str]]:
    """The ids of the remarks by line; every one is rendered, so that no place stays empty."""
    lines = Explainer(found).lines(message)
    for line in lines:
        assert all(render(one, language) for one in line.remarks)
    return {line.text: [one.id for one in line.remarks] for line in lines}


def _of(said: dict[str, list[str]], start: str) -> list[str]:
    return next(ids for text, ids in said.items() if text.startswith(start))


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_language_has_every_text_with_the_same_places(language: str) -> None:
    texts = LANGUAGES[language]
    assert set(texts) == set(SOURCES)

    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for name, text in texts.items():
        assert places(text) == places(LANGUAGES["en"][name]), name
        assert text.strip() == text
        assert text


def test_chinese_is_chinese() -> None:
    assert all(any("\u4e00" <= c <= "\u9fff" for c in text) for text in LANGUAGES["zh"].values())


def test_every_rule_names_its_section() -> None:
    without = {name for name, text in SOURCES.items() if not text}
    plain = {"unreadable", "unparsed", "header.other", "header.private"}
    assert without == {*plain, "sdp.nortpproxy"}  # a custom of relays, in no RFC
    assert source(say("branch.request")) == "RFC 3261 8.1.1.7"


def _challenged() -> Scenario:
    """REGISTER and INVITE as far as the ACKs, with a challenge."""
    s = Scenario()
    s.sip(ALICE, SERVER, "INVITE sip:bob@lab.test", body=sdp(ALICE_RTP))
    asks = 'Proxy-Authenticate: Digest realm="lab.test", nonce="n1", algorithm=MD5, qop="auth"'
    s.sip(SERVER, ALICE, "SIP/2.0 407 Proxy", tags=("a", "x"), headers=(asks,))
    s.sip(
        *(ALICE, SERVER, "ACK sip:bob@lab.test"),
        cseq="1 ACK",
        branch="1INVITEcall",
        tags=("a", "x"),
    )
    answers = (
        'Proxy-Authorization: Digest username="alice", realm="lab.test", nonce="n1", '
        'uri="sip:bob@lab.test", response="00", cnonce="c", nc=00000001, qop=auth'
    )
    s.sip(
        *(ALICE, SERVER, "INVITE sip:bob@lab.test"),
        cseq="2 INVITE",
        body=sdp(ALICE_RTP),
        headers=(answers,),
    )
    s.sip(SERVER, ALICE, "SIP/2.0 180 Ringing", cseq="2 INVITE", tags=("a", "b"))
    s.sip(SERVER, ALICE, "SIP/2.0 200 OK", cseq="2 INVITE", tags=("a", "b"), body=sdp(BOB_RTP))
    s.sip(ALICE, SERVER, "ACK sip:bob@h", cseq="2 ACK", branch="other", tags=("a", "b"))
    return s


def test_the_ack_to_a_407_is_told_from_the_ack_to_a_200() -> None:
    found = _challenged().analyse()
    first, second = (m for m in found.messages if m.method == "ACK" and not m.status)
    assert _said(found, first)["ACK sip:bob@lab.test SIP/2.0"] == ["ack.failure"]
    assert "branch.ack-same" in _of(_said(found, first), "Via")
    assert _said(found, second)["ACK sip:bob@h SIP/2.0"] == ["ack.success", "ack.end-to-end"]
    assert "branch.ack-new" in _of(_said(found, second), "Via")


def _first_remarks(shared: Path, capture: str, method: str) -> list[list[str]]:
    """What is said of the first lines of a capture's requests of that method, in English."""
    found = analyse([shared / f"data/calls/{capture}.pcap"])
    explainer = Explainer(found)
    return [
        [render(one) for one in explainer.lines(message)[0].remarks]
        for message in found.messages
        if message.method == method and not message.status
    ]


def test_a_re_invite_says_what_it_is_for(shared: Path) -> None:
    said = _first_remarks(shared, "12b_nat_udp_hold_resume_by_A-b", "INVITE")
    assert [one[0].partition(" (")[0] for one in said[1:]] == [
        "alice puts the call on hold",
        "alice takes the call back from hold",
    ]
    ice = _first_remarks(shared, "02_udp_nonat_ice-a", "INVITE")[-1]
    assert ice[0].startswith("alice tells the way that ICE has chosen")
    assert not any("refused" in one for one in ice), "it has the old credentials, and no challenge"


def test_where_only_the_last_hop_is_seen_the_server_is_not_the_caller(shared: Path) -> None:
    (said,) = _first_remarks(shared, "03_nat_udp_relay-b", "BYE")
    assert said[0].startswith("alice hangs up")
    assert said[1].startswith("The server did not begin this")


def test_the_program_of_the_callee_is_not_taken_for_the_servers(shared: Path) -> None:
    found = analyse([shared / "data/calls/02_udp_nonat_ice-a.pcap"])
    answer = next(m for m in found.messages if m.method == "INVITE" and m.status == 200)
    refusal = next(m for m in found.messages if m.status == 407)
    assert _of(_said(found, answer), "User-Agent") == ["agent.forwarded"]
    assert _of(_said(found, refusal), "Server") == ["agent"]


def test_a_relay_that_the_server_added_is_told_from_a_turn_server(shared: Path) -> None:
    found = analyse([shared / "data/calls/02_udp_nonat_ice-a.pcap"])
    answer = next(m for m in found.messages if m.method == "INVITE" and m.status == 200)
    relay = next(ids for line, ids in _said(found, answer).items() if "typ relay" in line)
    assert relay[0] == "candidate.relay-added"


def test_a_contact_in_an_ack_sets_no_target() -> None:
    s = _challenged()
    contact = ("Contact: <sip:alice@h>",)
    s.sip(*(ALICE, SERVER, "ACK sip:bob@h"), cseq="2 ACK", tags=("a", "b"), headers=contact)
    s.sip(*(ALICE, SERVER, "INVITE sip:bob@h"), cseq="3 INVITE", tags=("a", "b"), headers=contact)
    found = s.analyse()
    ids = [_of(_said(found, message), "Contact")[0] for message in found.messages[-2:]]
    assert ids == ["contact.idle", "contact.target"]


def test_the_answer_names_its_challenge_and_the_verdict() -> None:
    found = _challenged().analyse()
    again = found.messages[3]
    lines = Explainer(found).lines(again)
    line = next(one for one in lines if one.text.startswith("Proxy-Authorization"))
    texts = [render(one) for one in line.remarks]
    assert "challenge of frame 2" in texts[0]
    assert "nc=00000001" in texts[1]
    assert "accepted: frame 5 is 180 Ringing" in texts[-1]
    assert "cseq.repeated" in _of(_said(found, again), "CSeq")


def test_the_tag_of_the_answer_makes_the_dialog() -> None:
    found = _challenged().analyse()
    ids = [_of(_said(found, message), "To") for message in found.messages]
    assert ids[0] == ["to", "to.tag-not-yet"]
    assert ids[1] == ["to", "to.tag-no-dialog"]
    assert ids[4] == ["to", "to.tag-early"]
    assert ids[5] == ["to", "to.tag-confirmed"]
    assert ids[6] == ["to", "to.tag-ack"]


def test_offer_and_answer_are_known() -> None:
    found = _challenged().analyse()
    assert "sdp.offer" in _said(found, found.messages[0])["v=0"]
    assert "sdp.answer" in _said(found, found.messages[5])["v=0"]


def test_a_late_offer_is_the_offer() -> None:
    s = Scenario()
    s.sip(ALICE, SERVER, "INVITE sip:bob@lab.test")
    s.sip(SERVER, ALICE, "SIP/2.0 200 OK", tags=("a", "b"), body=sdp(BOB_RTP))
    s.sip(
        *(ALICE, SERVER, "ACK sip:bob@lab.test"),
        cseq="1 ACK",
        tags=("a", "b"),
        body=sdp(ALICE_RTP),
    )
    found = s.analyse()
    assert "sdp.late-offer" in _said(found, found.messages[1])["v=0"]
    assert "sdp.answer-in-ack" in _said(found, found.messages[2])["v=0"]


def test_a_bye_of_the_callee_has_its_tags_swapped() -> None:
    s = Scenario()
    s.answered()
    s.sip(SERVER, ALICE, "BYE sip:alice@h", cseq="9 BYE", tags=("b", "a"))
    found = s.analyse()
    assert "from.swapped" in _of(_said(found, found.messages[-1]), "From")
    assert "from.swapped" not in _of(_said(found, found.messages[0]), "From")


def test_a_repeated_request_says_of_which_it_is_the_repetition() -> None:
    s = Scenario()
    for _ in range(2):
        s.sip(ALICE, SERVER, "INVITE sip:bob@lab.test")
        s.now += 0.5
    found = s.analyse()
    lines = Explainer(found).lines(found.messages[1])
    assert any("same as frame 1" in render(one) for one in lines[0].remarks)


def test_a_nat_is_read_from_received_and_rport() -> None:
    s = Scenario()
    call = ("From: <sip:a@b>;tag=1", "To: <sip:a@b>", "Call-ID: c", "CSeq: 1 OPTIONS", "", "")
    for start, via, way in (
        ("OPTIONS sip:b SIP/2.0", "10.0.0.1:5060;branch=z9hG4bKx;rport", (ALICE, SERVER)),
        (
            "SIP/2.0 200 OK",
            "10.0.0.1:5060;branch=z9hG4bKx;rport=5060;received=203.0.113.21",
            (SERVER, ALICE),
        ),
    ):
        s.send(*way, "\r\n".join((start, f"Via: SIP/2.0/UDP {via}", *call)).encode())
    found = s.analyse()
    asked, told = (_of(_said(found, message), "Via") for message in found.messages)
    assert asked == ["via.request-only", "branch.request", "rport.asked", "nat.packet"]
    assert told == ["via.response-top", "branch.response", "nat.address"]


def test_the_server_view_shows_why_the_via_grew(shared: Path) -> None:
    found = analyse([shared / "data/calls/03_nat_udp_relay-srv.pcap"])
    forwarded = next(
        m for m in found.messages if m.method == "INVITE" and b"203.0.113.104:" in m.data[:80]
    )
    said = _said(found, forwarded)
    assert "request.retargeted" in next(iter(said.values()))
    assert "via.grew" in _of(said, "Via")
    assert "max-forwards.less" in _of(said, "Max-Forwards")


def test_the_candidates_that_won_are_named(shared: Path) -> None:
    found = analyse([shared / "data/calls/02b_nat_udp_ice_relay-a.pcap"])
    invite = [m for m in found.messages if m.method == "INVITE" and not m.status][1]
    answer = next(m for m in found.messages if m.status == 200 and m.method == "INVITE")
    said = _said(found, invite)
    own = _of(said, "a=candidate:1 1 ")
    assert {"candidate.host", "candidate.nominated", "candidate.used"} <= set(own)
    assert "candidate.nominated" not in _of(said, "a=candidate:1 2 ")
    assert "candidate.nominated" in _of(_said(found, answer), "a=candidate:2 1 ")
    assert "candidate.nominated" not in _of(_said(found, answer), "a=candidate:1 1 ")


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_recorded_message_is_explained(shared: Path, language: str) -> None:
    captures = (
        "data/calls/12d_nat_udp_codec_change_on_resume-srv.pcap",
        "data/captures/sip-proxy.pcap",
    )
    for name in captures:
        found = analyse([shared / name])
        for message in found.messages:
            said = _said(found, message, language)
            assert all(said.values()), "a line without a remark"


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        ["method.other", "INVITE", "REGISTER-remove", "SIP/2.0 200 OK", "SIP/2.0 699 x", "ACK"]
    ),
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "Via",
                    "From",
                    "To",
                    "Contact",
                    "Call-ID",
                    "CSeq",
                    "Route",
                    "Record-Route",
                    "Authorization",
                    "Expires",
                    "WWW-Authenticate",
                    "Max-Forwards",
                    "Content-Length",
                    "User-Agent",
                    "other",
                    "private",
                ]
            ),
            st.one_of(
                st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n\0")),
                st.sampled_from(["*", "<sip:a;lr>;tag={x}", "SIP/2.0/UDP h;branch=z9hG4bK;rport"]),
            ),
        ),
        max_size=6,
    ),
    st.sampled_from(
        [
            *(
                "",
                "v=0\r\na=c-own\r\na=candidate:1 1 UDP 1 h 1 typ nominated\r\n",
                "v=0\r\nm=x\r\n",
            ),
            *(
                "v=0\r\no=\r\nc=\r\nc=IN IP4\r\n=\r\n",
                "v=0\r\nm=audio 0 RTP/AVP 999999\r\na={x}\r\n",
            ),
        ]
    ),
)
def test_no_message_makes_it_crash(start: str, lines: list[tuple[str, str]], body: str) -> None:
    first = start if start.startswith("SIP") else f"{start} sip:x SIP/2.0"
    head = "".join(f"{name}: {value}\r\n" for name, value in lines)
    frame = (
        f"{first}\r\n{head}Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
        f"To: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 1 {start.split()[0].replace('SIP/2.0', 'INVITE')}"
        f"\r\n\r\n{body}"
    )
    packets = [Packet(n, "udp", ALICE, BOB, frame.encode()) for n in (1.0, 2.0)]
    found = analyse_packets(packets)
    for message in found.messages:
        for line in Explainer(found).lines(message):
            assert line.text.isprintable()
            assert all(
                render(one, lang).isprintable() for one in line.remarks for lang in LANGUAGES
            )


def test_who_rewrote_the_address_of_the_sound_is_said() -> None:
    relay = sdp(Address("198.51.100.10", 6000)).replace("1 1 IN IP4 198.51.100.10", "1 1 IN IP4 x")
    private = sdp(Address("192.168.1.5", 7078)).replace("1 1 IN IP4 192.168.1.5", "1 1 IN IP4 x")
    scene = Scenario()
    scene.sip(ALICE, SERVER, "INVITE sip:bob@lab.test", body=private)
    scene.sip(SERVER, BOB, "INVITE sip:bob@h", body=relay, vias=2)
    found = scene.analyse()
    first, second = found.messages
    assert "sdp.c-rewritten" not in _of(_said(found, first), "c=")
    said = _of(_said(found, second), "c=")
    assert "sdp.c-rewritten" in said
    assert "sdp.c-own" not in said
    (remark,) = (
        one
        for line in Explainer(found).lines(second)
        for one in line.remarks
        if one.id == "sdp.c-rewritten"
    )
    text = render(remark, "en")
    assert "frame 1 " in text
    assert "192.168.1.5" in text
    assert text.startswith("The server put 198.51.100.10 here")


def test_an_address_of_a_relay_seen_only_behind_it_is_not_called_unchanged() -> None:
    scene = Scenario()
    scene.sip(SERVER, BOB, "INVITE sip:bob@h", body=sdp(Address(SERVER.host, 6000)), vias=2)
    found = scene.analyse()
    said = _of(_said(found, found.messages[0]), "c=")
    assert "sdp.c-through" in said
    assert "sdp.c-own" not in said


def test_what_refreshes_no_target_says_so() -> None:
    """RFC 6086 and RFC 3262; a Record-Route within a call changes no route either."""
    scene = Scenario()
    scene.answered()
    lines = ("Contact: <sip:alice@h>", "Record-Route: <sip:198.51.100.10;lr>")
    for number, method in enumerate(("INFO", "PRACK", "UPDATE", "INVITE"), 2):
        facts = {"cseq": f"{number} {method}", "headers": lines}
        scene.sip(ALICE, SERVER, f"{method} sip:bob@h", tags=("a", "b"), **facts)
    found = scene.analyse()
    said = {one.method: _said(found, one) for one in found.messages[-4:]}
    kinds = {method: _of(lines, "Contact")[0] for method, lines in said.items()}
    assert kinds == {
        "INFO": "contact.idle",
        "PRACK": "contact.idle",
        "UPDATE": "contact.target",
        "INVITE": "contact.target",
    }
    assert all("record-route.again" in _of(lines, "Record-Route") for lines in said.values())


def test_a_key_that_info_carries_is_explained() -> None:
    scene = Scenario()
    scene.answered()
    kind = ("Content-Type: application/dtmf-relay",)
    body = "Signal=5\r\nDuration=160\r\n"
    facts = {"cseq": "2 INFO", "headers": kind, "body": body}
    scene.sip(ALICE, SERVER, "INFO sip:bob@h", tags=("a", "b"), **facts)
    found = scene.analyse()
    said = _said(found, found.messages[-1])
    assert _of(said, "Signal") == ["dtmf.signal"]
    assert _of(said, "Duration") == ["dtmf.duration"]


def test_the_codecs_of_an_answer_are_those_of_rfc_3264_6_1() -> None:
    scene = Scenario()
    lines = "a=rtpmap:8 PCMA/8000\r\na=rtcp-fb:8 ccm fir\r\n"
    scene.answered(sdp(ALICE_RTP, lines=lines), sdp(BOB_RTP, lines=lines))
    found = scene.analyse()
    offer, _, answer, _ = found.messages
    assert "sdp.m-codecs" in _of(_said(found, offer), "m=")
    assert "sdp.m-codecs-answer" in _of(_said(found, answer), "m=")
    assert _of(_said(found, answer), "a=rtcp-fb") == ["sdp.rtcp-fb-ccm"]
