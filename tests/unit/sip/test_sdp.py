"""Session descriptions: reading, keeping and building."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.sip.errors import ParseError, SipError
from labtool.sip.sdp import (
    DIRECTIONS,
    Candidate,
    Media,
    SessionDescription,
    answered_direction,
    audio,
    common_payloads,
    session,
)

_LINPHONE = "\r\n".join(
    (
        "v=0",
        "o=ann 3874 12 IN IP4 198.51.100.7",
        "s=Talk",
        "c=IN IP4 198.51.100.7",
        "t=0 0",
        "a=ice-pwd:1c4e3a5f8d9b7c6e2f0a1b3c",
        "a=ice-ufrag:7f3a91c2",
        "a=sendonly",
        "x=of no known kind: kept",
        "m=audio 7078/2 RTP/AVPF 96 0 101 13",
        "c=IN IP6 2001:db8::7",
        "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 useinbandfec=1",
        "a=rtpmap:101 telephone-event/8000",
        "a=rtcp:7079",
        "a=ptime:20",
        "a=candidate:1 1 UDP 2130706303 198.51.100.7 7078 typ host",
        "a=candidate:2 1 udp 1694498687 203.0.113.9 40112 typ srflx raddr 198.51.100.7 rport 7078"
        " generation 0",
        "a=candidate:rubbish",
        "m=video 0 RTP/AVP 31",
        "a=inactive",
        "a=rtcp-mux",
        "",
    )
)


def test_a_description_prints_as_it_was_written() -> None:
    parsed = SessionDescription.parse(_LINPHONE.encode())
    assert str(parsed) == _LINPHONE
    assert parsed.to_bytes() == _LINPHONE.encode()
    assert SessionDescription.parse(_LINPHONE.replace("\r\n", "\n")) == parsed


def test_what_a_call_needs_is_read() -> None:
    parsed = SessionDescription.parse(_LINPHONE)
    sound, video = parsed.media
    assert (parsed.version, parsed.connection, parsed.ice_ufrag) == (12, "198.51.100.7", "7f3a91c2")
    assert (sound.kind, sound.port, sound.count, sound.proto) == ("audio", 7078, 2, "RTP/AVPF")
    assert sound.formats == ("96", "0", "101", "13")
    assert sound.rtpmap == {
        96: "opus/48000/2",
        0: "PCMU/8000",
        101: "telephone-event/8000",
        13: "CN/8000",
    }
    assert sound.fmtp == {96: "useinbandfec=1"}
    assert (sound.connection, sound.direction, sound.rtcp_port) == ("2001:db8::7", "sendonly", 7079)
    assert sound.ptime == 20
    assert (video.connection, video.direction, video.rtcp_port) == ("198.51.100.7", "inactive", 0)


def test_ice_candidates_are_read_and_printed() -> None:
    host, reflexive = SessionDescription.parse(_LINPHONE).media[0].candidates
    assert (host.type, host.host, host.port, host.related_host) == (
        "host",
        "198.51.100.7",
        7078,
        None,
    )
    assert (reflexive.type, reflexive.related_host, reflexive.related_port) == (
        "srflx",
        "198.51.100.7",
        7078,
    )
    assert reflexive.extensions == (("generation", "0"),)
    assert Candidate.parse(str(reflexive)) == reflexive


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v",
        "hello",
        "s=x\r\nv=0",
        "m=audio 1 RTP/AVP 0",
        "v=0\r\n\r\ns=-",
        "v=0\r\nm=audio",
        "v=0\r\nm=audio 70000 RTP/AVP 0",
        "v=0\r\nm=audio x RTP/AVP 0",
        "v=0\r\nm=audio 1/x RTP/AVP 0",
        "v=0\r\nm =video 1 RTP/AVP 0",
        "v=0\r\ns=a\rb",
        "v=0\r\ns=a\0b",
    ],
)
def test_what_is_no_description_is_a_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        SessionDescription.parse(text)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_parse_error(data: bytes) -> None:
    _read_everything(data)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("vocatmbx"),
            st.text(st.sampled_from("0 1/:rtpmaudiocandidate\u00b2=INP46.") | st.characters()),
        ),
        max_size=8,
    )
)
def test_no_lines_raise_anything_but_a_parse_error(lines: list[tuple[str, str]]) -> None:
    text = "v=0\r\n" + "".join(f"{letter}={value}\r\n" for letter, value in lines)
    _read_everything(text.encode("utf-8", "replace"))


def _read_everything(data: bytes) -> None:
    try:
        parsed = SessionDescription.parse(data)
    except ParseError:
        return
    _ = (parsed.version, parsed.connection, parsed.direction, parsed.origin, parsed.ice_pwd)
    for media in parsed.media:
        _ = (media.rtpmap, media.fmtp, media.candidates, media.rtcp_port, media.ptime)
        _ = (media.connection, media.direction)
    assert SessionDescription.parse(parsed.to_bytes()) == parsed


def test_an_offer_is_built_and_read_back() -> None:
    offer = session(
        "2001:db8::9",
        [audio(4000, {0: "PCMU/8000", 101: "telephone-event/8000"}, direction="recvonly")],
        session_id=77,
        version=2,
    )
    parsed = SessionDescription.parse(offer.to_bytes())
    assert parsed == offer
    (sound,) = parsed.media
    assert (sound.connection, sound.port, sound.direction) == ("2001:db8::9", 4000, "recvonly")
    assert sound.fmtp == {101: "0-16"}
    assert "IN IP6 2001:db8::9" in str(offer)


def test_a_built_line_cannot_become_two() -> None:
    with pytest.raises(SipError):
        str(SessionDescription((("v", "0"), ("s", "a\r\nm=audio 1 RTP/AVP 0"))))


def test_the_payloads_in_common_keep_the_offers_numbers_and_order() -> None:
    offer = Media(
        "audio",
        1,
        "RTP/AVP",
        ("96", "8", "97", "0"),
        (("a", "rtpmap:96 OPUS/48000/2"), ("a", "rtpmap:97 pcmu/8000/1")),
    )
    assert common_payloads(offer, ["PCMU/8000", "PCMA/8000"]) == {
        8: "PCMA/8000",
        97: "pcmu/8000/1",
        0: "PCMU/8000",
    }
    assert common_payloads(offer, ["opus/48000"]) == {}


@pytest.mark.parametrize("offered", DIRECTIONS)
def test_an_answers_direction_is_the_offers_seen_from_the_other_side(offered: str) -> None:
    mirrored = {"sendonly": "recvonly", "recvonly": "sendonly"}
    assert answered_direction(offered) == mirrored.get(offered, offered)
    assert answered_direction(offered, "inactive") == "inactive"


def test_holding_is_answered_by_only_receiving() -> None:
    assert answered_direction("sendonly", "sendrecv") == "recvonly"
    assert answered_direction("sendrecv", "sendonly") == "sendonly"
    assert answered_direction("sendonly", "sendonly") == "inactive"
