"""SIP messages out of TCP segments."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labtool.trace.tcp import RST, SYN, Stream


def message(number: int, size: int = 0) -> bytes:
    head = f"OPTIONS sip:a SIP/2.0\r\nCall-ID: {number}\r\nContent-Length: {size}\r\n\r\n"
    return head.encode() + bytes([65 + number % 26]) * size


ALL = [message(i, size) for i, size in enumerate((0, 10, 3000, 0, 77))]
BYTES = b"".join(ALL)


def segments(data: bytes, sizes: list[int], start: int = 0) -> list[tuple[int, bytes]]:
    found, at = [], 0
    for size in [*sizes, len(data)]:
        if data[at : at + size]:
            found.append(((start + at) & 0xFFFFFFFF, data[at : at + size]))
        at += size
    return found


def opened(first: int = 0) -> Stream:
    """A connection whose SYN was seen; its first byte has the sequence number `first`."""
    stream = Stream()
    stream.control(0, 0, (first - 1) & 0xFFFFFFFF, SYN)
    return stream


def feed(stream: Stream, parts: list[tuple[int, bytes]]) -> list[bytes]:
    found = []
    for frame, (sequence, data) in enumerate(parts, 1):
        found += [message for _, _, message in stream.feed(frame, frame, sequence, data)]
    return found + [message for _, _, message in stream.flush()]


@given(st.lists(st.integers(1, 1500), max_size=12), st.integers(0, 0xFFFFFFFF))
def test_messages_are_found_however_they_are_cut_into_segments(
    sizes: list[int], start: int
) -> None:
    assert feed(opened(start), segments(BYTES, sizes, start)) == ALL


@given(st.lists(st.integers(1, 400), min_size=3, max_size=12), st.randoms(use_true_random=False))
def test_segments_may_come_twice_and_out_of_order(sizes: list[int], random: object) -> None:
    parts = segments(BYTES, sizes, 0xFFFFFF00)
    mixed = parts[1:] + parts[2:4]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    stream = opened(0xFFFFFF00)
    assert feed(stream, [*mixed, parts[0], *parts[:2]]) == ALL


def test_a_retransmission_may_be_cut_elsewhere_and_overlap() -> None:
    parts = [(0, BYTES[:100]), (50, BYTES[50:2000]), (1500, BYTES[1500:])]
    assert feed(Stream(), parts) == ALL


def test_after_a_lost_segment_the_next_whole_message_is_found() -> None:
    parts = [(len(b"".join(ALL[:i])), one) for i, one in enumerate(ALL)]
    stream = Stream()
    assert feed(stream, [parts[0], parts[1], *parts[3:]]) == [ALL[0], ALL[1], ALL[3], ALL[4]]
    assert stream.lost == 1


def test_what_follows_a_lost_segment_keeps_its_frame_and_time_and_is_not_held_for_ever() -> None:
    parts = [(len(b"".join(ALL[:i])), one) for i, one in enumerate(ALL)]
    seen = {n: (n, n * 3_000_000_000, *part) for n, part in enumerate(parts)}
    stream = Stream()
    found = [list(stream.feed(*seen[n])) for n in (0, 2, 3, 4)]
    later = [(n, n * 3_000_000_000, ALL[n]) for n in (2, 3)]
    # Nobody repeats what the capture lacks: after a while the rest is as it came.
    assert found == [[(0, 0, ALL[0])], [], [], [*later, (4, 12_000_000_000, ALL[4])]]


def test_a_capture_that_begins_within_a_message_gives_those_after_it() -> None:
    middle = len(ALL[0]) + len(ALL[1]) + 1000
    whole = sum(map(len, ALL[:3]))
    parts = [(middle, BYTES[middle:whole]), (whole, BYTES[whole:])]
    assert feed(Stream(), parts) == ALL[3:]


def test_keep_alives_between_messages_are_passed_over() -> None:
    data = b"\r\n\r\n" + ALL[0] + b"\r\n\r\n\r\n" + ALL[1] + b"\r\n"
    assert feed(Stream(), [(0, data)]) == ALL[:2]


def test_a_new_connection_on_the_same_ports_starts_anew() -> None:
    stream = Stream()
    assert list(stream.feed(1, 0, 100, ALL[0][:20])) == []
    stream.control(2, 0, 0, RST)
    stream.control(3, 0, 9999, SYN)
    assert list(stream.feed(4, 7, 10000, ALL[1])) == [(4, 7, ALL[1])]


def test_tls_is_recognised_and_its_plain_alert_read() -> None:
    hello = b"\x16\x03\x01\x00\x05hello"
    alert = b"\x15\x03\x03\x00\x02\x02\x30"
    stream = Stream()
    assert feed(stream, [(0, hello + alert[:3]), (len(hello) + 3, alert[3:])]) == []
    assert stream.kind == "tls"
    assert stream.alerts == [(2, 2, 48)]


def test_other_protocols_are_neither_held_nor_searched() -> None:
    stream = Stream()
    for i in range(100):
        assert list(stream.feed(i, 0, i * 1000, b"\x00" * 999 + b"x")) == []
    assert stream.kind == "other"
    assert not stream._buffer


@given(st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=60)), max_size=20))
def test_no_segments_make_it_fail(parts: list[tuple[int, bytes]]) -> None:
    for one in feed(Stream(), [(0, BYTES[:50]), *parts]):
        assert one.startswith(b"OPTIONS") or b"SIP/2.0" in one
