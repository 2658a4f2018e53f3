"""A capture that is read while it grows."""

from __future__ import annotations

import struct
import tempfile
from functools import partial
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from trace_scenario import ALICE, ALICE_RTP, BOB, BOB_RTP, SERVER, Scenario, sdp

from labtool.sip.flow import Address
from labtool.trace import pcap
from labtool.trace.ladder import listed
from labtool.trace.live import Frame, Live, Splitter, without_voice
from labtool.trace.wire import Wire


def call(tmp_path: Path) -> bytes:
    scene = Scenario()
    scene.answered(callee=BOB)
    scene.rtp(1, (ALICE_RTP, BOB_RTP))
    scene.bye(target=BOB)
    pcap.write(tmp_path / "call.pcap", scene.packets)
    return (tmp_path / "call.pcap").read_bytes()


def frames_of(scene: Scenario) -> list[Frame]:
    wire = Wire()
    rows = [row for packet in scene.packets for row in wire.frames(packet)]
    return [
        Frame(number, time_ns, 1, data, len(data), "<", bytes(8))
        for number, (time_ns, data) in enumerate(rows, 1)
    ]


def lines(live: Live, frames: list[Frame]) -> list[str]:
    shown = []
    for frame in frames:
        for message in live.take(frame):
            shown += [line.text.split(" ", 1)[-1].strip() for line in listed(live.ladder(message))]
        for begun in live.begun():
            shown += [line.text.split(" ", 1)[-1].strip() for line in listed(begun)]
    return [line.split(" ", 1)[-1] for line in shown]


@given(st.lists(st.integers(1, 4000), max_size=30))
def test_a_capture_in_pieces_of_any_size_is_the_same_capture(sizes: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = call(Path(folder))
    splitter, whole, at = Splitter(), b"", 0
    for size in [*sizes, len(data)]:
        for frame in splitter.feed(data[at : at + size]):
            whole += frame.record()
        at += size
    assert splitter.header + whole == data


def test_each_message_is_a_line_as_it_comes_and_sound_is_one_when_it_begins(tmp_path: Path) -> None:
    live = Live()
    assert lines(live, list(Splitter().feed(call(tmp_path)))) == [
        "alice -> 203.0.113.104: INVITE (SDP)",
        "bob -> alice: 180 Ringing",
        "bob -> alice: 200 OK (SDP)",
        "alice -> bob: ACK",
        "alice -> bob: RTP begins",
        "alice -> bob: BYE",
        "bob -> alice: 200 OK",
    ]


def test_what_goes_on_is_shown_in_chinese_too(tmp_path: Path) -> None:
    shown = lines(Live(language="zh"), list(Splitter().feed(call(tmp_path))))
    assert "alice -> bob: RTP 开始" in shown


def test_sound_between_phones_on_one_machine_is_shown_too() -> None:
    alice, bob = Address("127.0.0.1", 5071), Address("127.0.0.1", 5072)
    here, there = Address("127.0.0.1", 4000), Address("127.0.0.1", 4002)
    scene = Scenario()
    scene.answered(sdp(here), sdp(there), caller=alice, callee=bob)
    scene.rtp(1, (here, there), (there, here))
    assert lines(Live(), frames_of(scene))[-2:] == [
        "alice -> bob: RTP begins",
        "bob -> alice: RTP begins",
    ]


def test_a_packet_that_was_captured_twice_is_one_line() -> None:
    scene = Scenario()
    scene.answered()
    frames = [frame for frame in frames_of(scene) for _ in range(2)]
    assert len([line for line in lines(Live(), frames) if "INVITE" in line]) == 1


def test_only_the_messages_of_the_user_are_shown() -> None:
    scene = Scenario()
    scene.answered()
    assert lines(Live("carol"), frames_of(scene)) == []
    assert len(lines(Live("bob"), frames_of(scene))) == 4


def test_a_call_has_ended_a_second_after_its_bye() -> None:
    scene = Scenario()
    scene.answered()
    clock = [100.0]
    live = Live(now=lambda: clock[0])
    for frame in frames_of(scene):
        live.take(frame)
    clock[0] += 10
    assert not live.call_has_ended()
    before = len(scene.packets)
    scene.bye()
    for frame in frames_of(scene)[before:]:
        live.take(frame)
    assert not live.call_has_ended()
    clock[0] += 1.5
    assert live.call_has_ended()


def test_a_call_that_is_refused_has_ended_and_one_that_is_challenged_has_not() -> None:
    for status, ended in (("486 Busy Here", True), ("407 Proxy Authentication Required", False)):
        scene = Scenario()
        scene.sip(ALICE, SERVER, "INVITE sip:bob@lab.test")
        scene.sip(SERVER, ALICE, f"SIP/2.0 {status}", tags=("a", "b"))
        clock = [100.0]
        live = Live(now=partial(clock.__getitem__, 0))
        for frame in frames_of(scene):
            live.take(frame)
        clock[0] += 2
        assert live.call_has_ended() == ended


def test_nobodys_voice_is_kept_but_every_key_and_report_is() -> None:
    scene = Scenario()
    scene.rtp(0.1, (ALICE_RTP, BOB_RTP))
    event = struct.pack(">BBHII", 0x80, 101, 9, 9, 7) + b"\x05\x80\x00\xa0"
    scene.send(ALICE_RTP, BOB_RTP, event)
    scene.rtcp(ALICE_RTP, BOB_RTP, sent=5, blocks=1)
    scene.sip(ALICE, SERVER, "OPTIONS sip:lab.test", cseq="1 OPTIONS")
    frames = frames_of(scene)
    ends = [without_voice(frame) for frame in frames]
    assert ends[:5] == [14 + 20 + 8 + 12] * 5
    assert ends[5:] == [len(frame.data) for frame in frames[5:]]
    kept = frames[0].record(ends[0])
    assert struct.unpack_from("<II", kept, 8) == (ends[0], len(frames[0].data))
