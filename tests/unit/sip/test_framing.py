"""Messages out of a stream."""

from __future__ import annotations

from itertools import pairwise

import pytest
import sip_messages as messages
from hypothesis import given
from hypothesis import strategies as st

from labtool.sip.errors import ParseError
from labtool.sip.framing import PING, PONG, KeepAlive, StreamFramer
from labtool.sip.message import Message, parse

_SOUND = [parse(data) for data in messages.ALL]
_WIRE = [message.to_bytes() for message in _SOUND]  # with a Content-Length each


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(marks)]


@given(
    st.lists(st.integers(0, len(_WIRE) - 1), min_size=1, max_size=5),
    st.lists(st.integers(0, 20_000), max_size=12),
)
def test_however_a_stream_is_cut_the_same_messages_come_out(
    chosen: list[int], places: list[int]
) -> None:
    framer = StreamFramer()
    out: list[Message | KeepAlive] = []
    for part in _cut(b"".join(_WIRE[number] for number in chosen), places):
        out += framer.feed(part)
    assert out == [parse(_WIRE[number]) for number in chosen]
    assert framer.pending == 0
    framer.eof()


def test_a_message_may_come_one_byte_at_a_time() -> None:
    framer = StreamFramer()
    out = [item for at in range(len(_WIRE[2])) for item in framer.feed(_WIRE[2][at : at + 1])]
    assert out == [_SOUND[2]]


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_no_bytes_raise_anything_but_a_parse_error(parts: list[bytes]) -> None:
    framer = StreamFramer(max_head=100, max_body=100)
    for part in parts:
        try:
            framer.feed(part)
        except ParseError:
            assert framer.broken is not None
        assert framer.pending <= 300


def test_a_double_line_end_is_a_ping_and_a_single_one_a_pong() -> None:
    framer = StreamFramer()
    assert framer.feed(b"\r\n\r\n") == [PING]
    assert framer.feed(b"\r\n\r\n" + _WIRE[0]) == [PING, _SOUND[0]]
    assert framer.feed(b"\r\n") == [PONG]
    assert framer.feed(_WIRE[0] + b"\r\n") == [_SOUND[0], PONG]


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_ping_in_two_segments_is_still_answered(at: int) -> None:
    framer = StreamFramer()
    out = framer.feed(b"\r\n\r\n"[:at]) + framer.feed(b"\r\n\r\n"[at:])
    assert out[-1] == PING


def test_a_message_without_content_length_has_no_body_on_a_stream() -> None:
    framer = StreamFramer()
    (message,) = framer.feed(messages.request())
    assert isinstance(message, Message)
    assert message.body == b""
    assert message.defects == ("no Content-Length on a stream",)


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "5\r\nContent-Length: 6", "9" * 5000])
def test_an_unusable_length_ends_the_stream_after_its_message(length: str) -> None:
    framer = StreamFramer()
    (message,) = framer.feed(messages.request(f"Content-Length: {length}") + b"abc")
    assert isinstance(message, Message)
    assert message.call_id
    assert framer.broken is not None
    with pytest.raises(ParseError):
        framer.feed(b"")


def test_messages_before_rubbish_are_still_given() -> None:
    framer = StreamFramer()
    assert framer.feed(_WIRE[0] + b"rubbish\r\n\r\n" + _WIRE[0]) == [_SOUND[0]]
    with pytest.raises(ParseError):
        framer.feed(_WIRE[0])


def test_rubbish_alone_is_refused_at_once() -> None:
    with pytest.raises(ParseError):
        StreamFramer().feed(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ParseError):
        StreamFramer().feed(b"\n\n")


@pytest.mark.parametrize("whole", [True, False])
def test_endless_headers_are_refused(whole: bool) -> None:
    framer = StreamFramer(max_head=1000)
    head = b"OPTIONS sip:a SIP/2.0\r\nX: " + b"y" * 1000
    with pytest.raises(ParseError):
        framer.feed(head + b"\r\n\r\n" if whole else head)
    assert framer.pending == 0


def test_a_body_above_the_limit_is_never_collected() -> None:
    framer = StreamFramer(max_body=1000)
    (message,) = framer.feed(messages.request("Content-Length: 1001"))
    assert isinstance(message, Message)
    with pytest.raises(ParseError):
        framer.feed(b"y" * 1001)
    assert framer.pending == 0


def test_what_is_pending_shows_and_an_end_within_a_message_is_an_error() -> None:
    framer = StreamFramer()
    framer.feed(b"OPTIONS sip:a SI")
    assert framer.pending == 16
    with pytest.raises(ParseError):
        framer.eof()
    framer = StreamFramer()
    framer.feed(messages.request("Content-Length: 2"))
    assert framer.pending
    with pytest.raises(ParseError):
        framer.eof()


def test_long_headers_in_small_pieces_cost_no_more_than_their_length() -> None:
    framer = StreamFramer()
    data = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\nX: " + b"y" * 60_000 + b"\r\n\r\n"
    out = [item for at in range(0, len(data), 7) for item in framer.feed(data[at : at + 7])]
    assert len(out) == 1
