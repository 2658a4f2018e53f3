from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.sip.errors import ParseError
from labtool.sip.rtp import RtpPacket, StreamStats, is_rtcp

words = st.integers(0, 0xFFFFFFFF)
packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 63) | st.integers(96, 127),
    sequence=st.integers(0, 0xFFFF),
    timestamp=words,
    ssrc=words,
    payload=st.binary(max_size=200),
    marker=st.booleans(),
    csrcs=st.lists(words, max_size=15).map(tuple),
    extension=st.none()
    | st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=5).map(lambda b: b * 4)),
)


@given(packets)
def test_what_is_printed_is_parsed_back(packet: RtpPacket) -> None:
    assert RtpPacket.parse(bytes(packet)) == packet


@given(st.binary(max_size=80))
def test_no_bytes_make_the_parser_raise_anything_but_its_own_error(data: bytes) -> None:
    with suppress(ParseError):
        RtpPacket.parse(data)


def test_padding_is_taken_off() -> None:
    plain = bytes(RtpPacket(0, 1, 2, 3, b"abc"))
    padded = bytes([plain[0] | 0x20]) + plain[1:] + b"\x00\x00\x03"
    assert RtpPacket.parse(padded).payload == b"abc"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80" * 11,
        b"\x40" + bytes(20),
        b"\x8f" + bytes(20),
        b"\xa0" + bytes(11),
        b"\xa0" + bytes(11) + b"\x09",
    ],
)
def test_a_broken_packet_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        RtpPacket.parse(data)


def test_rtcp_on_the_same_port_is_told_apart() -> None:
    report = b"\x80\xc8\x00\x06" + bytes(24)
    assert is_rtcp(report)
    assert not is_rtcp(bytes(RtpPacket(0, 1, 2, 3, b"")))
    with pytest.raises(ParseError, match="RTCP"):
        RtpPacket.parse(report)


def stream(sequences: list[int], *, ssrc: int = 7) -> list[tuple[RtpPacket, float]]:
    """Packets that arrive exactly when they should, in the order of `sequences`."""
    first = sequences[0]
    return [
        (RtpPacket(0, s & 0xFFFF, 160 * (s - first), ssrc, bytes(160)), 0.02 * n)
        for n, s in enumerate(sequences)
    ]


def counted(arrivals: list[tuple[RtpPacket, float]]) -> StreamStats:
    stats = StreamStats()
    for packet, at in arrivals:
        stats.add(packet, at)
    return stats


def test_a_perfect_stream_has_no_loss_and_no_jitter() -> None:
    stats = counted(stream(list(range(100, 200))))
    assert (stats.received, stats.expected, stats.lost) == (100, 100, 0)
    assert stats.jitter == pytest.approx(0.0, abs=1e-9)
    assert stats.duration == pytest.approx(1.98)


def test_lost_packets_are_counted_over_the_wrap_of_the_sequence_number() -> None:
    stats = counted(stream([65533, 65534, 65537, 65538]))
    assert (stats.received, stats.expected, stats.lost) == (4, 6, 2)
    assert stats.loss == pytest.approx(2 / 6)


def test_a_packet_that_comes_late_is_reordered_and_not_lost() -> None:
    stats = counted(stream([1, 2, 4, 3, 5]))
    assert (stats.received, stats.lost, stats.reordered) == (5, 0, 1)


def test_a_late_packet_from_before_the_first_is_expected_too() -> None:
    stats = counted(stream([5, 4, 6]))
    assert (stats.received, stats.expected, stats.lost) == (3, 3, 0)


def test_a_duplicate_does_not_make_up_for_a_loss() -> None:
    stats = counted(stream([1, 2, 2, 2, 4]))
    assert (stats.received, stats.duplicates, stats.lost) == (3, 2, 1)


def test_a_new_source_begins_a_new_run_of_numbers() -> None:
    stats = counted(stream([1, 2, 3]) + stream([60000, 60001], ssrc=8))
    assert stats.ssrcs == [7, 8]
    assert (stats.received, stats.expected, stats.lost) == (5, 5, 0)


def test_a_jump_that_no_network_makes_begins_a_new_run() -> None:
    stats = counted(stream([1, 2, 30000, 30001]))
    assert (stats.received, stats.expected, stats.lost) == (4, 4, 0)


def test_jitter_follows_the_formula_of_rfc_3550() -> None:
    arrivals = stream(list(range(50)))
    shaken = [(p, at + (0.004 if n % 2 else 0.0)) for n, (p, at) in enumerate(arrivals)]
    stats = counted(shaken)
    expected = 0.0
    for _ in range(49):
        expected += (0.004 - expected) / 16
    assert stats.jitter == pytest.approx(expected)
    assert stats.max_jitter == pytest.approx(expected)


def test_the_longest_silence_is_kept() -> None:
    arrivals = stream([1, 2, 3])
    late = replace(arrivals[-1][0], sequence=4, timestamp=480)
    assert counted([*arrivals, (late, 0.54)]).longest_gap == pytest.approx(0.5)
