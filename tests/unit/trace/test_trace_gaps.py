"""The longest gaps of a stream, and why they are there."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from trace_scenario import ALICE, ALICE_RTP, BOB_RTP, SERVER, Scenario, sdp

from labtool.sip.flow import Packet
from labtool.trace.analysis import analyse
from labtool.trace.gaps import Gap, gaps
from labtool.trace.page import render
from labtool.trace.page_texts import TEXTS, gaps_said
from labtool.trace.report import report


def sound(s: Scenario, rows: list[tuple[int, int, float]], first: float) -> None:
    """Packets to alice: (sequence, timestamp, seconds after `first`)."""
    for sequence, stamp, seconds in rows:
        data = struct.pack(">BBHII", 0x80, 8, sequence & 0xFFFF, stamp, 8) + bytes(160)
        s.packets.append(Packet(first + seconds, "udp", BOB_RTP, ALICE_RTP, data))


def steady(
    count: int, number: int = 0, stamp: int = 0, at: float = 0
) -> list[tuple[int, int, float]]:
    """Packets of 20 ms."""
    return [(number + n, stamp + n * 160, at + n / 50) for n in range(count)]


def of(s: Scenario) -> list[Gap]:
    """The gaps of what came to alice."""
    (one,) = (one for one in s.analyse().streams if one.destination == ALICE_RTP)
    return gaps(one)


@pytest.mark.parametrize(
    ("second", "reason", "missing"),
    [
        (steady(100, 100, 250 * 160, 5), "silence", 0),
        (steady(100, 250, 250 * 160, 5), "lost", 150),
        (steady(100, 100, 100 * 160, 5), "unsent", 0),
        (steady(100, 40_000, 77, 5), "restart", 0),
        ([(100 + n, (100 + n) * 160, 5 + n / 5000) for n in range(100)], "delayed", 0),
    ],
)
def test_a_gap_is_known_for_what_it_is(
    second: list[tuple[int, int, float]], reason: str, missing: int
) -> None:
    s = Scenario()
    s.answered()
    sound(s, steady(100) + second, s.now)
    (found,) = of(s)
    assert (found.reason, found.missing) == (reason, missing)
    assert found.duration == pytest.approx(3.02, abs=0.001)


def test_a_stream_without_a_pause_has_none() -> None:
    s = Scenario()
    s.answered()
    s.rtp(5, (BOB_RTP, ALICE_RTP), lose=5)
    assert of(s) == []


@pytest.mark.parametrize(
    ("offered", "answered", "reason"),
    [
        ("sendonly", "recvonly", "hold"),
        ("inactive", "inactive", "hold"),
        ("recvonly", "sendonly", "unsent"),  # alice only listens: bob was to go on
        ("sendrecv", "sendrecv", "unsent"),
    ],
)
def test_only_a_gap_that_was_agreed_on_is_hold(offered: str, answered: str, reason: str) -> None:
    s = Scenario()
    s.answered()
    sound(s, steady(100), s.now)
    s.now += 2
    for number, (offer, answer) in enumerate(((offered, answered), ("sendrecv",) * 2), 2):
        facts = {"cseq": f"{number} INVITE", "tags": ("a", "b")}
        s.sip(
            *(ALICE, SERVER, "INVITE sip:bob@lab.test"),
            body=sdp(ALICE_RTP, lines=f"a={offer}\r\n"),
            **facts,  # type: ignore[arg-type]
        )
        s.sip(
            *(SERVER, ALICE, "SIP/2.0 200 OK"),
            body=sdp(BOB_RTP, lines=f"a={answer}\r\n"),
            **facts,  # type: ignore[arg-type]
        )
        s.now += 3
    sound(s, steady(100, 100, 100 * 160), s.now - 3)
    (found,) = of(s)
    assert found.reason == reason


def test_only_the_longest_are_kept_in_order_of_time() -> None:
    s = Scenario()
    s.answered()
    rows: list[tuple[int, int, float]] = []
    at = 0.0
    for n, pause in enumerate((0.3, 0.9, 0.5, 0.8, 0.4, 0.7, 0.6)):
        rows += steady(10, n * 10, round(at * 8000), at)
        at += 0.18 + pause
    sound(s, rows + steady(10, 70, round(at * 8000), at), s.now)
    assert [round(one.duration, 1) for one in of(s)] == [0.9, 0.5, 0.8, 0.7, 0.6]


def test_the_hold_of_a_real_call_is_no_loss_in_any_view(shared: Path) -> None:
    for view in ("a", "b", "srv"):
        analysis = analyse([shared / f"data/calls/12b_nat_udp_hold_resume_by_A-{view}.pcap"])
        found = [one for stream in analysis.streams for one in gaps(stream)]
        assert found
        assert {one.reason for one in found} == {"hold"}
        assert all(one.duration == pytest.approx(4.03, abs=0.01) for one in found)
        assert "4.0 s after 4.0 s: on hold, as agreed" in render(analysis)


def test_silence_of_a_real_gateway_is_no_loss(shared: Path) -> None:
    analysis = analyse([shared / "data/captures/rtp-protocol.pcap"])
    (found,) = (one for stream in analysis.streams for one in gaps(stream))
    assert (found.reason, found.frames) == ("silence", (54, 211))


def test_gaps_are_in_the_json_object_and_said_in_every_language() -> None:
    s = Scenario()
    s.answered()
    sound(s, steady(100) + steady(100, 250, 250 * 160, 5), s.now)
    (one,) = report(s.analyse())["streams"]
    (gap,) = one["gaps"]
    assert (gap["reason"], gap["missing"]) == ("lost", 150)
    assert gap["start"] == pytest.approx(one["start"] + 1.98)
    for language in TEXTS:
        assert "150" in gaps_said(of(s), 0, language)
