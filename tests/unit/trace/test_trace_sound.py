"""Findings about sound that needs care: what counts as sound, and who can have seen it."""

from __future__ import annotations

import pytest
from trace_scenario import ALICE_RTP, BOB_RTP, Scenario, sdp

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
