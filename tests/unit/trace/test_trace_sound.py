"""Findings about sound that needs care: what counts as sound, and who can have seen it."""

from __future__ import annotations

from pathlib import Path

import pytest
from trace_scenario import ALICE, ALICE_RTP, BOB_RTP, SERVER, Scenario, sdp

from labtool.sip.flow import Address

RELAY = Address(SERVER.host, 6000)
EVENTS = "a=rtpmap:101 telephone-event/8000\r\n"


@pytest.mark.parametrize(("payload", "ids"), [(101, []), (8, ["one-way-audio"])])
def test_pressed_keys_are_no_sound(payload: int, ids: list[str]) -> None:
    scene = Scenario()
    scene.answered(
        sdp(ALICE_RTP, payload="8 101", lines=EVENTS), sdp(BOB_RTP, payload="8 101", lines=EVENTS)
    )
    scene.now += 2
    scene.rtp(0.2, (ALICE_RTP, BOB_RTP), payload=payload)
    scene.now += 6
    scene.bye()
    assert scene.ids() == ids


def test_who_hears_only_pressed_keys_is_not_said_to_send_no_sound() -> None:
    scene = Scenario()
    scene.answered(
        sdp(ALICE_RTP, payload="8 101", lines=EVENTS), sdp(BOB_RTP, payload="8 101", lines=EVENTS)
    )
    scene.now += 2
    scene.rtp(0.2, (BOB_RTP, ALICE_RTP), payload=101)
    scene.now += 6
    scene.bye()
    assert scene.ids() == []


@pytest.mark.parametrize(
    ("ways", "title"),
    [
        ([(ALICE_RTP, RELAY)], "alice hears nothing"),
        ([(RELAY, ALICE_RTP)], "alice sends none"),
        ([(ALICE_RTP, RELAY), (RELAY, ALICE_RTP)], ""),
        ([], ""),
    ],
)
def test_between_two_neighbours_missing_sound_is_missed(
    ways: list[tuple[Address, Address]], title: str, tmp_path: Path
) -> None:
    """Nothing has passed a router: every packet in a file has the time to live that it began with."""
    scene = Scenario()
    scene.sip(ALICE, SERVER, "REGISTER sip:lab.test", cseq="1 REGISTER", call="r")
    scene.sip(SERVER, ALICE, "SIP/2.0 200 OK", cseq="1 REGISTER", call="r")
    scene.answered(answer=sdp(RELAY))
    scene.rtp(6, *ways)
    if not ways:
        scene.now += 6
    scene.bye()
    found = [one.title for one in scene.file(tmp_path / "a.pcap").findings]
    assert found == [f"One-way sound: {title}"] * bool(title)


def test_between_two_neighbours_sound_that_was_offered_elsewhere_is_not_missed(
    tmp_path: Path,
) -> None:
    scene = Scenario()
    elsewhere = "a=candidate:1 1 UDP 1 192.0.2.7 4000 typ host\r\n"
    scene.answered(sdp(ALICE_RTP, lines=elsewhere), sdp(RELAY))
    scene.rtp(6, (ALICE_RTP, RELAY))
    scene.bye()
    assert not scene.file(tmp_path / "a.pcap").findings


@pytest.mark.parametrize(
    ("grows", "words"), [(True, "500 packets were sent; 100 came by here"), (False, "no more was")]
)
def test_sound_that_stops_is_found_where_the_senders_own_count_tells_why(
    grows: bool, words: str
) -> None:
    (found,) = stopping(grows).analyse().findings
    assert found.id == "audio-stopped"
    assert words in found.cause


def test_sound_that_stops_is_no_fault_where_nothing_tells_why() -> None:
    assert stopping(None).ids() == []


def test_a_sender_that_pauses_in_silence_may_stop() -> None:
    assert stopping(False, pause=True).ids() == []
    assert stopping(True, pause=True).ids() == ["audio-stopped"]


def stopping(grows: bool | None, *, pause: bool = False) -> Scenario:
    """Bob's sound ends after 2 s, and alice's goes on; what bob's RTCP counts, if there is any."""
    scene = Scenario()
    scene.answered(answer=sdp(BOB_RTP))
    both = (ALICE_RTP, BOB_RTP), (BOB_RTP, ALICE_RTP)
    scene.rtp(1, *both)
    if pause:
        scene.now += 1
    scene.rtp(1, *both, first=50)
    for part in range(4):
        scene.rtp(2.5, both[0], first=100 + 125 * part)
        if grows is not None:
            sent = 125 * (part + 1) if grows else 100
            there, here = Address(BOB_RTP.host, 4003), Address(ALICE_RTP.host, 4001)
            scene.rtcp(there, here, sent=sent, blocks=1)
    scene.bye()
    return scene
