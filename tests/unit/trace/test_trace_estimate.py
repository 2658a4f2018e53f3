"""The quality of a stream: estimated where that can be done, and said how; no number where not."""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner
from trace_scenario import ALICE, ALICE_RTP, BOB_RTP, SERVER, Scenario, sdp

from labtool.cli.trace import trace
from labtool.sip.flow import Address, Packet
from labtool.trace import emodel
from labtool.trace.analysis import Analysis
from labtool.trace.arrival import Arrival, arrival
from labtool.trace.estimate import Estimate, Estimator
from labtool.trace.estimate_texts import TEXTS, rating, sentence
from labtool.trace.flow import Flow
from labtool.trace.impairment import IMPAIRMENTS
from labtool.trace.page import render
from labtool.trace.report import report
from labtool.trace.stream import RtpStream

ALICE_RTCP = Address(ALICE_RTP.host, ALICE_RTP.port + 1)
BOB_RTCP = Address(BOB_RTP.host, BOB_RTP.port + 1)


def stream(rows: Iterable[tuple[int, int, float]], payload: int = 8) -> RtpStream:
    """Of rows (sequence, timestamp, milliseconds)."""
    found = RtpStream(Flow("udp", ALICE_RTP, BOB_RTP, 0), 7)
    for sequence, stamp, milliseconds in rows:
        found.frames.append(len(found.frames) + 1)
        found.times.append(round(milliseconds * 1e6))
        found.sequences.append(sequence & 0xFFFF)
        found.stamps.append(stamp & 0xFFFFFFFF)
        found.payloads.append(payload)
    return found


def steady(count: int, first: int = 0) -> list[tuple[int, int, float]]:
    """Packets of 20 ms."""
    return [(first + n, n * 160, n * 20.0) for n in range(count)]


def counted(rows: Iterable[tuple[int, int, float]]) -> Arrival:
    """What could be played of it."""
    return arrival(stream(rows), {})


def incoming(analysis: Analysis) -> Estimate:
    """The estimate of what came to alice, where the capture was taken."""
    (one,) = (one for one in analysis.streams if one.destination == ALICE_RTP)
    return Estimator(analysis).of(one)


def outgoing(analysis: Analysis) -> Estimate:
    """The estimate of what alice sent."""
    (one,) = (one for one in analysis.streams if one.source == ALICE_RTP)
    return Estimator(analysis).of(one)


def call(*, lose: int = 0, payload: int = 8, lines: str = "", seconds: float = 4) -> Scenario:
    """A call with sound both ways, captured at alice."""
    s = Scenario()
    s.answered(
        sdp(ALICE_RTP, payload=str(payload), lines=lines),
        sdp(BOB_RTP, payload=str(payload), lines=lines),
    )
    s.rtp(seconds, (ALICE_RTP, BOB_RTP), (BOB_RTP, ALICE_RTP), lose=lose, payload=payload)
    return s


def report_packet(
    source: Address,
    target: Address,
    time: float,
    *,
    ssrc: int,
    stamp: int = 0,
    about: int = 0,
    lost: int = 0,
    highest: int = 0,
    last_sr: int = 0,
    delay: float = 0,
) -> Packet:
    """An SR at `time` with one block, where `about` says of which SSRC; `delay` in seconds."""
    body = struct.pack(">IHIHIII", ssrc, 0, stamp, 0, 0, 200, 32000)
    if about:
        ticks = round(delay * 65536)
        body += struct.pack(">IIIIII", about, lost, highest, 0, last_sr, ticks)
    head = struct.pack(">BBH", 0x80 | bool(about), 200, len(body) // 4)
    return Packet(time, "udp", source, target, head + body)


# The model


@pytest.mark.parametrize(
    ("codec", "loss", "expected"),
    # G.113 Appendix I (09/1999) tabulated Ie under random loss, to which the formula was fitted.
    [("G729", 2, 19), ("G729", 8, 36), ("G729", 16, 49), ("PCMU", 2, 7), ("GSM-EFR", 5, 35)],
)
def test_loss_costs_what_the_recommendation_tabulates(
    codec: str, loss: float, expected: float
) -> None:
    row = IMPAIRMENTS[codec]
    assert row.bpl is not None
    assert emodel.equipment(row.ie, row.bpl, loss) == pytest.approx(expected, abs=0.6)


def test_delay_costs_nothing_up_to_100_ms_and_much_beyond_the_knee() -> None:
    assert emodel.delay(100) == 0
    assert emodel.delay(150) == pytest.approx(0.16, abs=0.01)
    assert emodel.delay(400) == pytest.approx(24.1, abs=0.1)


def test_a_rating_becomes_the_mos_of_annex_b() -> None:
    assert emodel.mos(93.2) == pytest.approx(4.41, abs=0.005)
    assert emodel.mos(50) == pytest.approx(2.58, abs=0.005)
    assert [emodel.mos(value) for value in (-5, 0, 6.5, 100, 120)] == [1, 1, 1, 4.5, 4.5]
    rising = [emodel.mos(value / 10) for value in range(1000)]
    assert rising == sorted(rising)


def test_a_burst_costs_more_than_the_same_loss_at_random() -> None:
    scattered = emodel.equipment(0, 25.1, 5)
    assert emodel.equipment(0, 25.1, 5, 4) > scattered + 2
    assert emodel.equipment(0, 25.1, 5, 0.5) == scattered


# What arrived


def test_packets_in_order_all_count_once() -> None:
    assert counted(steady(500, 65300)) == Arrival(500, 0, 0, 0)


def test_a_packet_sent_twice_or_out_of_order_is_not_lost() -> None:
    rows = steady(100)
    rows[40], rows[41] = (*rows[41][:2], rows[40][2]), (*rows[40][:2], rows[41][2])
    rows.insert(60, rows[60])
    assert counted(rows) == Arrival(100, 0, 0, 0)


def test_missing_packets_are_counted_with_the_runs_they_make() -> None:
    rows = [row for row in steady(100) if row[0] not in (10, 50, 51, 52)]
    found = counted(rows)
    assert found == Arrival(100, 4, 0, 2)
    assert found.loss == 4
    assert found.burst_ratio == pytest.approx(2 * 0.96)


def test_random_loss_has_a_burst_ratio_of_one() -> None:
    dice = random.Random(1)
    rows = [row for row in steady(20_000) if row[0] in (0, 19_999) or dice.random() > 0.1]
    assert counted(rows).burst_ratio == pytest.approx(1, abs=0.03)


def test_a_packet_is_too_late_only_where_the_buffer_would_not_wait() -> None:
    def held(milliseconds: float) -> int:
        rows = steady(200)
        rows[100] = (*rows[100][:2], rows[100][2] + milliseconds)
        return counted(rows).late

    assert (held(50), held(70)) == (0, 1)


def test_a_late_packet_is_not_missed_as_well_and_joins_its_burst() -> None:
    rows = [row for row in steady(200) if row[0] != 101]
    rows[100] = (*rows[100][:2], rows[100][2] + 100)
    assert counted(rows) == Arrival(200, 1, 1, 1)


def test_a_copy_that_comes_too_late_does_no_harm() -> None:
    rows = steady(200)
    rows.insert(110, (*rows[100][:2], rows[109][2]))
    assert counted(rows) == Arrival(200, 0, 0, 0)


def test_clocks_that_drift_apart_make_nothing_late() -> None:
    rows = [(n, n * 160, n * 20.004) for n in range(60_000)]  # 200 ppm: 240 ms in 20 minutes
    assert counted(rows).late == 0


def test_silence_that_was_not_sent_is_neither_lost_nor_late() -> None:
    rows = steady(100) + [(100 + n, (400 + n) * 160, 8000 + n * 20.0) for n in range(100)]
    assert counted(rows) == Arrival(200, 0, 0, 0)


def test_a_hold_after_which_the_timestamps_go_on_is_neither_lost_nor_late() -> None:
    rows = steady(100) + [(100 + n, (100 + n) * 160, 6000 + n * 20.0) for n in range(100)]
    assert counted(rows) == Arrival(200, 0, 0, 0)


def test_a_new_beginning_is_no_loss() -> None:
    rows = steady(100) + [(30_000 + n, 99_999_999 + n * 160, 2000 + n * 20.0) for n in range(100)]
    assert counted(rows) == Arrival(200, 0, 0, 0)


def test_a_key_that_is_held_down_is_not_late() -> None:
    rows = [(n, 0, n * 20.0) for n in range(100)]  # RFC 4733: one timestamp for the whole event
    assert arrival(stream(rows, payload=101), {101: 8000}, [101]).late == 0


# Estimates


def test_a_flawless_stream_rates_what_the_model_gives_at_most() -> None:
    found = incoming(call().analyse())
    assert (found.rating, found.mos, found.loss, found.late) == (93.2, 4.41, 0, 0)
    assert found.evidence == "arrived"
    text = sentence(found.said)
    assert "G.107" in text
    assert "Delay is not counted" in text
    assert "Not counted: echo" in text
    assert rating(found) == "MOS 4.4 (R 93)"


def test_loss_lowers_it_and_says_what_it_would_be_without_concealment() -> None:
    found = incoming(call(lose=10).analyse())
    assert found.loss == pytest.approx(10, abs=0.3)
    assert found.rating == pytest.approx(93.2 - 95 * 10 / 35.1, abs=0.8)
    assert "without that it is R 27" in sentence(found.said)


def test_beyond_what_the_model_holds_for_there_is_no_number() -> None:
    found = incoming(call(lose=3).analyse())
    assert (found.rating, found.mos) == (None, None)
    assert "up to 20 %" in sentence(found.said)


@pytest.mark.parametrize(
    ("rtpmap", "rate", "words"),
    [
        ("opus/48000/2", None, "publishes no value for opus"),
        ("speex/8000", None, "publishes no value for speex"),
        ("iLBC/8000", None, "publishes no value for iLBC"),
        ("G729/8000", 93.2 - 11, "Ie 11, Bpl 19"),
        ("G726-32/8000", 93.2 - 7, "Ie 7"),
        ("H264/90000", None, "is not speech"),
    ],
)
def test_only_a_codec_with_published_values_is_rated(
    rtpmap: str, rate: float | None, words: str
) -> None:
    found = incoming(call(payload=97, lines=f"a=rtpmap:97 {rtpmap}\r\n").analyse())
    assert found.rating == (None if rate is None else pytest.approx(rate, abs=0.05))
    assert words in sentence(found.said)


def test_wideband_is_rated_on_its_own_scale_and_only_without_loss() -> None:
    found = incoming(call(payload=9).analyse())
    assert (found.rating, found.wideband) == (129 - 13, True)
    assert found.mos == pytest.approx(emodel.mos(116 / 1.29), abs=0.005)
    lossy = incoming(call(payload=9, lose=10).analyse())
    assert lossy.rating is None
    assert "no value for G722 with loss" in sentence(lossy.said)


def test_what_was_sent_from_here_is_rated_by_its_receivers_reports_or_not_at_all() -> None:
    s = call()
    assert outgoing(s.analyse()).rating is None
    assert "captured where it was sent" in sentence(outgoing(s.analyse()).said)
    late = s.now - 0.5
    s.packets.append(
        report_packet(BOB_RTCP, ALICE_RTCP, late, ssrc=8, about=7, lost=9, highest=179)
    )
    found = outgoing(s.analyse())
    assert (found.evidence, found.loss) == ("reported", 5)
    assert found.rating == pytest.approx(93.2 - 95 * 5 / 30.1, abs=0.1)
    assert "taken as random" in sentence(found.said)


def test_a_report_about_another_stream_rates_nothing() -> None:
    s = call()
    for ssrc, source in ((99, BOB_RTCP), (7, Address("203.0.113.77", 4003))):
        s.packets.append(
            report_packet(source, ALICE_RTCP, s.now - 1, ssrc=8, about=ssrc, lost=9, highest=150)
        )
    assert outgoing(s.analyse()).rating is None


def test_a_round_trip_in_rtcp_gives_the_delay() -> None:
    s = call()
    sent = s.now - 3
    s.packets += [
        report_packet(ALICE_RTCP, BOB_RTCP, sent, ssrc=7, stamp=0x1234_5678),
        report_packet(
            BOB_RTCP,
            ALICE_RTCP,
            sent + 0.9,
            ssrc=8,
            about=7,
            highest=100,
            last_sr=0x1234_5678,
            delay=0.3,
        ),
    ]
    found = incoming(s.analyse())
    assert found.round_trip == pytest.approx(600, abs=0.5)
    assert found.delay == pytest.approx(300 + 20 + 60, abs=0.5)
    assert found.rating == pytest.approx(93.2 - emodel.delay(380), abs=0.1)
    assert "half of the round trip of 600 ms" in sentence(found.said)
    assert outgoing(s.analyse()).round_trip == found.round_trip


def test_a_stream_that_changes_its_codec_or_hardly_began_is_not_rated() -> None:
    s = call()
    s.rtp(3, (ALICE_RTP, BOB_RTP), (BOB_RTP, ALICE_RTP), payload=0, first=200)
    assert "the codec changes" in sentence(incoming(s.analyse()).said)
    assert "less than two seconds" in sentence(incoming(call(seconds=1).analyse()).said)


def test_in_the_middle_only_what_was_lost_before_is_counted() -> None:
    s = Scenario()
    s.answered()
    s.sip(SERVER, Address("203.0.113.104", 5060), "OPTIONS sip:bob@lab.test", call="other")
    s.rtp(4, (ALICE_RTP, BOB_RTP), (BOB_RTP, ALICE_RTP))
    s.sip(ALICE, Address("203.0.113.104", 5060), "OPTIONS sip:bob@lab.test", call="third")
    analysis = s.analyse()
    assert analysis.vantages == [None]
    found = incoming(analysis)
    assert (found.evidence, found.rating) == ("passing", 93.2)
    assert "lost after that is not counted" in sentence(found.said)


# Where people read it


def test_the_estimate_is_in_the_json_object_and_on_the_page() -> None:
    analysis = call(lose=10).analyse()
    found = json.loads(json.dumps(report(analysis)))["streams"]
    (came,) = (one for one in found if one["destination"] == str(ALICE_RTP))
    assert came["estimate"]["r"] == incoming(analysis).rating
    assert came["estimate"]["how"].startswith("By the E-model of ITU-T G.107")
    (went,) = (one for one in found if one["source"] == str(ALICE_RTP))
    assert went["estimate"]["r"] is None
    for language in TEXTS:
        page = render(analysis, language=language)
        assert rating(incoming(analysis)) in page
        assert sentence(outgoing(analysis).said, language) in page


def test_the_terminal_says_the_estimate_and_what_it_rests_on(tmp_path: Path) -> None:
    path = tmp_path / "call.pcap"
    call(lose=10).file(path)
    for language, words in (("en", "Not counted: echo"), ("zh", "未计入：回声")):
        done = CliRunner().invoke(trace, [str(path), "--lang", language])
        assert "MOS 3.4 (R 66) – PCMA" in done.output
        assert done.output.count(words) == 1


def test_of_many_streams_the_terminal_says_the_estimate_only(tmp_path: Path) -> None:
    s = Scenario()
    for n in range(11):
        mine, his = Address(ALICE.host, 6000 + 2 * n), Address(BOB_RTP.host, 7000 + 2 * n)
        facts = {"call": f"call{n}", "tags": ("a", f"b{n}")}
        s.sip(ALICE, SERVER, "INVITE sip:bob@lab.test", body=sdp(mine), call=f"call{n}")
        s.sip(SERVER, ALICE, "SIP/2.0 200 OK", body=sdp(his), **facts)  # type: ignore[arg-type]
        s.rtp(3, (mine, his), (his, mine))
    path = tmp_path / "calls.pcap"
    s.file(path)
    output = CliRunner().invoke(trace, [str(path)]).output
    assert output.count("MOS 4.4 (R 93)") == 11  # of what came; of what went nothing is reported
    assert "Bpl" not in output
    assert "Not estimated" not in output


def test_the_estimate_says_the_same_in_every_language() -> None:
    english = TEXTS["en"]
    for texts in TEXTS.values():
        assert texts.keys() == english.keys()
        for key, text in texts.items():
            places = re.findall(r"{\w+}", english[key])
            assert sorted(re.findall(r"{\w+}", text)) == sorted(places), key
