"""What did not get into a capture whole is said, and nothing is made of the rest that is not so."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner
from trace_scenario import ALICE, ALICE_RTP, BOB_RTP, SERVER, Scenario

from labtool.cli.trace import trace
from labtool.trace import pcap
from labtool.trace.analysis import Analysis, analyse


def _rewritten(path: Path, change: Callable[[int, bytes], list[bytes]]) -> Analysis:
    """The capture with each frame, of that number, made into others; what is left out is cut."""
    data, found = path.read_bytes(), bytearray()
    at, frame = 24, 0
    found += data[:24]
    while at < len(data):
        frame += 1
        seconds, micros, length, original = struct.unpack_from("<IIII", data, at)
        made = change(frame, data[at + 16 : at + 16 + length])
        for one in made:
            whole = original if len(made) == 1 else len(one)
            found += struct.pack("<IIII", seconds, micros, len(one), whole) + one
        at += 16 + length
    path.write_bytes(found)
    return analyse([path])


def _said(path: Path, *words: str) -> str:
    result = CliRunner().invoke(trace, [str(path), *words], catch_exceptions=False)
    return result.output


def _call(path: Path, transport: str = "udp") -> Path:
    scene = Scenario()
    scene.sip(ALICE, SERVER, "OPTIONS sip:x", cseq="1 OPTIONS", call="first", transport=transport)
    scene.sip(SERVER, ALICE, "SIP/2.0 200 OK", cseq="1 OPTIONS", call="first", transport=transport)
    scene.sip(ALICE, SERVER, "OPTIONS sip:y", cseq="1 OPTIONS", call="other", transport=transport)
    scene.sip(ALICE, SERVER, "OPTIONS sip:z", cseq="1 OPTIONS", call="third", transport=transport)
    pcap.write(path, scene.packets)
    return path


def test_messages_that_the_snap_length_cut_are_counted_and_not_taken_for_each_other(
    tmp_path: Path,
) -> None:
    path = _call(tmp_path / "cut.pcap")
    found = _rewritten(path, lambda _, data: [data[:110]])
    assert not found.calls
    assert all(one.repeats is None for one in found.messages)
    said = _said(path)
    assert "4 frames with SIP are cut by the snap length (110 bytes" in said
    assert "4 SIP messages cannot be read (frames 1, 2, 3, 4)" in said
    assert "No SIP message can be read in it." in said
    assert "not certain" in said


def test_sound_that_the_snap_length_cut_is_no_matter(tmp_path: Path) -> None:
    scene = Scenario()
    scene.answered()
    scene.rtp(2, (ALICE_RTP, BOB_RTP))
    pcap.write(tmp_path / "sound.pcap", scene.packets)
    found = _rewritten(
        tmp_path / "sound.pcap", lambda _, data: [data[:54] if data[42] == 0x80 else data]
    )
    assert found.capture.cut == 100
    assert not found.capture.damage


def test_missing_segments_are_said(tmp_path: Path) -> None:
    path = _call(tmp_path / "tcp.pcap", "tcp")
    gone: list[int] = []

    def lose(_: int, data: bytes) -> list[bytes]:
        if b"OPTIONS sip:y" in data:
            gone.append(len(data) - 54)
            return []
        return [data]

    found = _rewritten(path, lose)
    assert len(gone) == 1
    (damage,) = found.capture.damage
    assert f"{gone[0]} bytes of TCP with SIP are missing, in 1 places" in str(damage)


def test_missing_fragments_are_said_and_copies_are_none(tmp_path: Path) -> None:
    def fragmented(frame: int, data: bytes) -> list[bytes]:
        def piece(start: int, end: int, more: int) -> bytes:
            head = bytearray(data[:34])
            body = data[34:][start:end]
            struct.pack_into(">H", head, 16, 20 + len(body))
            struct.pack_into(">HH", head, 18, frame, more << 13 | start // 8)
            return bytes(head) + body

        pieces = [piece(0, 80, 1), piece(80, 4000, 0)]
        return [pieces[1], pieces[1]] if frame == 2 else [*pieces, *pieces]

    found = _rewritten(_call(tmp_path / "fragments.pcap"), fragmented)
    (damage,) = found.capture.damage
    assert "of 1 datagrams a fragment is missing" in str(damage)


def test_sound_without_readable_sip_is_shown(tmp_path: Path) -> None:
    scene = Scenario()
    scene.rtp(2, (ALICE_RTP, BOB_RTP), payload=97)
    pcap.write(tmp_path / "sound.pcap", scene.packets)
    said = _said(tmp_path / "sound.pcap")
    assert f"sound {ALICE_RTP} → {BOB_RTP}: payload type 97, 100 packets" in said


def test_what_came_twice_is_not_less_than_nothing_lost(tmp_path: Path) -> None:
    scene = Scenario()
    scene.answered()
    scene.rtp(2, (ALICE_RTP, BOB_RTP), lose=50)
    scene.packets += [one for one in scene.packets if one.source == ALICE_RTP]
    pcap.write(tmp_path / "twice.pcap", scene.packets)
    said = _said(tmp_path / "twice.pcap")
    assert "196 packets, 2 lost, 98 duplicates" in said
    assert analyse([tmp_path / "twice.pcap"]).streams[0].quality.lost == -96
