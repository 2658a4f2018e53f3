"""RTCP reports: read as RFC 3550 lays them out, and built so that they are read back."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.sip.errors import ParseError
from labtool.sip.rtcp import Reception, Report, Sent, middle, ntp, round_trip
from labtool.sip.rtp import is_rtcp

RECEPTIONS = st.builds(
    Reception,
    ssrc=st.integers(0, 2**32 - 1),
    fraction=st.integers(0, 255).map(lambda n: n / 256),
    lost=st.integers(-(2**23), 2**23 - 1),
    highest=st.integers(0, 2**32 - 1),
    jitter=st.integers(0, 2**32 - 1),
    last_report=st.integers(0, 2**32 - 1),
    delay=st.integers(0, 2**32 - 1).map(lambda n: n / 65536),
)
REPORTS = st.builds(
    Report,
    ssrc=st.integers(0, 2**32 - 1),
    sent=st.none()
    | st.builds(
        Sent,
        time=st.integers(0, 2_000_000_000).map(float),
        timestamp=st.integers(0, 2**32 - 1),
        packets=st.integers(0, 2**32 - 1),
        octets=st.integers(0, 2**32 - 1),
    ),
    receptions=st.lists(RECEPTIONS, max_size=3).map(tuple),
    cname=st.text("abc@.é", max_size=40),
    bye=st.booleans(),
)


@given(REPORTS)
def test_what_is_built_is_read_back(report: Report) -> None:
    data = bytes(report)
    assert Report.parse(data) == report
    assert len(data) % 4 == 0
    assert is_rtcp(data)


@given(st.binary(max_size=120))
def test_no_bytes_raise_anything_but_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        Report.parse(data)


@given(REPORTS, st.integers(1, 60))
def test_a_report_that_is_cut_short_is_refused(report: Report, cut: int) -> None:
    data = bytes(report)[:-cut]
    if len(data) % 4:
        with pytest.raises(ParseError):
            Report.parse(data)


def test_a_sender_report_has_the_layout_of_rfc_3550_section_6_4_1() -> None:
    data = bytes(
        Report(0x11223344, Sent(0.5, 160, 7, 1120), (Reception(5, 0.25, -1, 9, 3, 8, 1.5),), "a@b")
    )
    first = struct.unpack_from("!BBHI", data)
    assert first == (0x81, 200, 12, 0x11223344)
    assert struct.unpack_from("!IIIII", data, 8) == (2_208_988_800, 0x8000_0000, 160, 7, 1120)
    assert struct.unpack_from("!IIIIII", data, 28) == (5, 0x40FFFFFF, 9, 3, 8, 98304)
    assert struct.unpack_from("!BBHI", data, 52) == (0x81, 202, 3, 0x11223344)
    assert data[60:] == b"\x01\x03a@b\x00\x00\x00"


def test_the_round_trip_is_the_time_since_the_report_without_the_reporters_own() -> None:
    block = Reception(1, 0.0, 0, 0, 0, middle(1000.0), 0.5)
    assert round_trip(block, 1000.6) == pytest.approx(0.1, abs=1e-3)
    assert round_trip(Reception(1, 0.0, 0, 0, 0), 1000.6) is None
    assert round_trip(block, 900.0) == 0.0, "a clock that was set back"
    assert ntp(0.25) == (2_208_988_800, 0x4000_0000)
