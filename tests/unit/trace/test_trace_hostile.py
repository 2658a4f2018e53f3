"""Captures that are damaged or made to harm: read as far as they go, in bounded time and memory."""

from __future__ import annotations

import gzip
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from trace_scenario import ALICE, ALICE_RTP, BOB_RTP, SERVER, Scenario

from labtool.trace import pcap, reading, tcp
from labtool.trace.analysis import analyse
from labtool.trace.errors import CaptureError
from labtool.trace.page import render

_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
_SECTION = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
_GIGABYTE = 1 << 30


def _sparse(path: Path, beginning: bytes) -> Path:
    with path.open("wb") as stream:
        stream.write(beginning)
        stream.truncate(_GIGABYTE)
    return path


@pytest.mark.parametrize(
    ("beginning", "read"), [(_HEADER, 40), (_SECTION, 28)], ids=["pcap", "pcapng"]
)
def test_a_gigabyte_of_zeros_behind_a_header_is_not_read(
    tmp_path: Path, beginning: bytes, read: int
) -> None:
    tracemalloc.start()
    try:
        found = analyse([_sparse(tmp_path / "zeros", beginning)])
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    (damage,) = found.capture.damage
    assert f"{_GIGABYTE - read} bytes are not read" in str(damage)


def test_a_gigabyte_of_zeros_is_no_capture(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="neither a pcap nor a pcapng"):
        analyse([_sparse(tmp_path / "zeros", b"")])


def test_a_compressed_file_is_unpacked_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pcap, "MAX_UNPACKED", 1 << 20)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(_HEADER + bytes(8 << 20)))
    (damage,) = analyse([path]).capture.damage
    assert f"{(1 << 20) - 40} bytes are not read" in str(damage)


def test_a_capture_cut_off_anywhere_is_read_up_to_there(tmp_path: Path) -> None:
    s = Scenario()
    s.sip(ALICE, SERVER, "OPTIONS sip:lab.test", cseq="1 OPTIONS")
    s.sip(ALICE, SERVER, "OPTIONS sip:lab.test", cseq="2 OPTIONS", transport="tcp")
    path = tmp_path / "calls.pcap"
    pcap.write(path, s.packets)
    whole = path.read_bytes()
    seen = []
    for size in range(4, len(whole) + 1):
        path.write_bytes(whole[:size])
        found = analyse([path])
        seen.append(len(found.messages))
        assert bool(found.capture.damage) == (size not in _ends(whole))
    assert seen == sorted(seen)
    assert seen[-1] == 2


def _ends(data: bytes) -> set[int]:
    """Where the header and each record of a capture end."""
    at, found = 24, {24}
    while at < len(data):
        at += 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        found.add(at)
    return found


def _segment(host: int, sequence: int, data: bytes) -> bytes:
    head = struct.pack(">HHIIBBHHH", 1000, 5060, sequence, 0, 0x50, 24, 65535, 0, 0)
    length = 40 + len(data)
    address = struct.pack(">BBH", 10, 1, host) + b"\x0a\0\0\2"
    ip = struct.pack(">BBHHHBBH", 0x45, 0, length, 0, 0, 64, 6, 0) + address
    frame = bytes(12) + b"\x08\0" + ip + head + data
    return struct.pack("<IIII", 1_700_000_000, 0, len(frame), len(frame)) + frame


def test_connections_full_of_gaps_hold_a_bounded_amount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MAX_HELD", 100_000)
    frames = [
        _segment(host, at, b"x" * 1000)
        for host in range(100)
        for at in (1, *range(5000, 15000, 1000))
    ]
    path = tmp_path / "gaps.pcap"
    path.write_bytes(_HEADER + b"".join(frames))
    found = analyse([path])
    assert sum(stream.held for stream in found.capture.connections.values()) == 0
    assert len(found.capture.damage) == 9
    assert all("TCP waited for missing segments" in str(line) for line in found.capture.damage)


def test_segments_that_never_join_are_not_all_held() -> None:
    stream = tcp.Stream()
    most = 0
    for place in range(5000):
        list(stream.feed(place, 0, 3 * place, b"z"))
        most = max(most, stream.held)
    assert most <= 513


def test_a_message_that_comes_byte_by_byte_is_not_searched_from_its_start_each_time() -> None:
    stream = tcp.Stream()
    head = b"INVITE sip:b@lab.test SIP/2.0\r\nContent-Length: 150000\r\nX: " + b"x" * 150_000
    data = head + b"\r\n\r\n" + b"y" * 150_000
    stream.control(1, 0, 0, tcp.SYN)
    started = time.process_time()
    found = [
        message
        for at in range(len(data))
        for _, _, message in stream.feed(at, 0, at + 1, data[at : at + 1])
    ]
    assert found == [data]
    assert time.process_time() - started < 8  # it was more than twenty


def test_the_answers_of_many_forks_cost_no_more_each_than_those_of_few(tmp_path: Path) -> None:
    few, many = (_forks(tmp_path / "forks.pcap", count) for count in (2_000, 12_000))
    assert many / few < 12  # six times the answers; it was twenty times as long


def _forks(path: Path, count: int) -> float:
    """CPU seconds to understand that many 200 to one INVITE."""
    s = Scenario()
    s.sip(ALICE, SERVER, "INVITE sip:bob@lab.test")
    for fork in range(count):
        s.sip(SERVER, ALICE, "SIP/2.0 200 OK", tags=("a", f"t{fork}"))
    pcap.write(path, s.packets)
    started = time.process_time()
    (call,) = analyse([path]).calls
    assert len(call.dialogs) == count
    return time.process_time() - started


def test_streams_of_one_flow_are_kept_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MAX_SSRCS", 10)
    path = tmp_path / "flood.pcap"
    with path.open("wb") as stream:
        stream.write(_HEADER + b"".join(_rtp(ssrc % 20) for ssrc in range(60)))
    found = analyse([path])
    assert len(found.capture.streams) == 10
    assert all(len(stream) == 3 for stream in found.capture.streams)
    (damage,) = found.capture.damage
    assert "more than 10 RTP streams from 10.1.0.1:4000 to 10.0.0.2:4002" in str(damage)


def test_connections_are_kept_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MAX_CONNECTIONS", 10)
    path = tmp_path / "flood.pcap"
    path.write_bytes(_HEADER + b"".join(_segment(host, 1, b"x") for host in range(30)))
    found = analyse([path])
    assert len(found.capture.connections) == 10
    (damage,) = found.capture.damage
    assert "more than 10 TCP connections" in str(damage)


def _rtp(ssrc: int) -> bytes:
    data = struct.pack(">BBHII", 0x80, 0, 7, 7, ssrc) + bytes(20)
    head = struct.pack(">HHHH", 4000, 4002, 8 + len(data), 0)
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 28 + len(data), 0, 0, 64, 17, 0)
    frame = bytes(12) + b"\x08\0" + ip + b"\x0a\x01\0\x01\x0a\0\0\x02" + head + data
    return struct.pack("<IIII", 1_700_000_000, 0, len(frame), len(frame)) + frame


def _call_with_times(path: Path, change: Callable[[int, int], int]) -> list[str]:
    """A call with sound whose frames have other times: of a number and seconds, seconds. What is not
    certain of it; the page of it can be made.
    """
    scene = Scenario()
    scene.answered()
    scene.rtp(8, (ALICE_RTP, BOB_RTP), (BOB_RTP, ALICE_RTP))
    scene.bye()
    pcap.write(path, scene.packets)
    data = bytearray(path.read_bytes())
    at, frame = 24, 0
    while at < len(data):
        frame += 1
        seconds, _, length, _ = struct.unpack_from("<IIII", data, at)
        struct.pack_into("<I", data, at, change(frame, seconds))
        at += 16 + length
    path.write_bytes(data)
    found = analyse([path])
    for stream in found.streams:
        assert 7.9 < stream.quality.duration < 8.1
        assert stream.quality.max_jitter is not None
        assert stream.quality.max_jitter < 100
    (call,) = found.calls
    assert 7.9 < (call.ended_ns - call.answered_ns) / 1e9 < 8.2
    render(found)
    return [str(sentence) for sentence in found.capture.damage]


def test_a_clock_that_is_set_back_is_said_and_makes_no_negative_time(tmp_path: Path) -> None:
    path = tmp_path / "back.pcap"
    (said,) = _call_with_times(path, lambda frame, at: at - 7200 * (frame > 400))
    assert "the clock goes back by 7200.0 s at frame 401" in said


def test_frames_in_no_order_of_time_are_put_in_order(tmp_path: Path) -> None:
    scene = Scenario()
    scene.answered()
    scene.rtp(40, (ALICE_RTP, BOB_RTP), (BOB_RTP, ALICE_RTP))
    path = tmp_path / "reversed.pcap"
    pcap.write(path, scene.packets)
    data = path.read_bytes()
    records, at = [], 24
    while at < len(data):
        end = at + 16 + struct.unpack_from("<I", data, at + 8)[0]
        records.append(data[at:end])
        at = end
    path.write_bytes(data[:24] + b"".join(reversed(records)))
    found = analyse([path])
    assert "not in order of time" in str(found.capture.damage[0])
    assert [stream.quality.lost for stream in found.streams] == [0, 0]
    assert all(stream.quality.duration > 39 for stream in found.streams)
    render(found)


@pytest.mark.parametrize("high", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_time_that_no_clock_has_is_damage(tmp_path: Path, high: int) -> None:
    scene = Scenario()
    scene.answered()
    pcap.write(tmp_path / "plain.pcap", scene.packets)
    data = (tmp_path / "plain.pcap").read_bytes()
    blocks, at, frame = [_SECTION, struct.pack("<IIHHII", 1, 20, 1, 0, 0, 20)], 24, 0
    while at < len(data):
        frame += 1
        seconds, micros, length, _ = struct.unpack_from("<IIII", data, at)
        ticks = seconds * 1_000_000 + micros
        place = (high, 0) if frame == 3 else (ticks >> 32, ticks & 0xFFFFFFFF)
        size = 32 + length + -length % 4
        head = struct.pack("<7I", 6, size, 0, *place, length, length)
        body = data[at + 16 : at + 16 + length] + bytes(-length % 4)
        blocks.append(head + body + struct.pack("<I", size))
        at += 16 + length
    path = tmp_path / "odd.pcapng"
    path.write_bytes(b"".join(blocks))
    found = analyse([path])
    assert "frame 3 contradicts itself" in str(found.capture.damage[0])
    assert len(found.messages) == 3
    render(found)
