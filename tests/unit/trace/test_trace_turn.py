"""Sound that a TURN server carries: taken out, tied to its call, and counted like any."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_scenario import ALICE, ALICE_RTP, BOB, BOB_RTP, SERVER, Scenario, sdp

from labtool.sip.flow import Address, Packet
from labtool.trace.analysis import Analysis, analyse, analyse_packets
from labtool.trace.explain.lines import Explainer
from labtool.trace.explain.texts import LANGUAGES
from labtool.trace.explain.texts import render as said
from labtool.trace.intent import Intent, compare
from labtool.trace.live import Splitter, without_voice
from labtool.trace.report import report
from labtool.trace.turn import frame_size, payload_at

TURN = Address("192.0.2.50", 3478)
RELAYED = Address("192.0.2.50", 50_000)
CHANNEL = 0x4001
_COOKIE = 0x2112A442
Envelope = Callable[[bytes, bool], bytes]


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute of STUN, padded."""
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def address(kind: int, where: Address) -> bytes:
    """An XOR address (IPv4)."""
    packed = int(ip_address(where.host)) ^ _COOKIE
    return attribute(kind, struct.pack(">BBHI", 0, 1, where.port ^ _COOKIE >> 16, packed))


def stun(kind: int, *attributes: bytes, number: int = 1) -> bytes:
    """A STUN message."""
    body = b"".join(attributes)
    return struct.pack(">HHI", kind, len(body), _COOKIE) + number.to_bytes(12, "big") + body


def channel_data(payload: bytes, _: bool = True) -> bytes:
    """Sound in ChannelData."""
    return struct.pack(">HH", CHANNEL, len(payload)) + payload


def padded(payload: bytes, _: bool = True) -> bytes:
    """The same on a stream of bytes, where its end is padded."""
    return channel_data(payload) + bytes(-len(payload) % 4)


def indication(payload: bytes, outgoing: bool) -> bytes:
    """Sound in a Send or a Data indication."""
    kind = 0x0016 if outgoing else 0x0017
    return stun(kind, address(0x0012, BOB_RTP), attribute(0x0013, payload))


def rtp(n: int, ssrc: int) -> bytes:
    """A packet of 20 ms."""
    return struct.pack(">BBHII", 0x80, 8, n, n * 160, ssrc) + b"voice!!!" * 20


class Turned(Scenario):
    """A call in which alice speaks through a TURN server, captured at her."""

    def allocate(self, transport: str = "udp", *, granted: bool = True, bound: bool = True) -> None:
        """Allocate, refused once as is usual, and a channel to bob."""
        self.send(ALICE_RTP, TURN, stun(0x0003, number=1), transport)
        self.send(TURN, ALICE_RTP, stun(0x0113, attribute(9, bytes((0, 0, 4, 1)))), transport)
        self.send(ALICE_RTP, TURN, stun(0x0003, number=2), transport)
        if not granted:
            return
        given = address(0x0016, RELAYED)
        self.send(TURN, ALICE_RTP, stun(0x0103, given, number=2), transport)
        if bound:
            channel = attribute(0x000C, struct.pack(">HH", CHANNEL, 0))
            asked = stun(0x0009, channel, address(0x0012, BOB_RTP), number=3)
            self.send(ALICE_RTP, TURN, asked, transport)
            self.send(TURN, ALICE_RTP, stun(0x0109, number=3), transport)

    def speak(
        self,
        seconds: float = 4,
        envelope: Envelope = channel_data,
        *,
        transport: str = "udp",
        lose: int = 0,
        hears: bool = True,
    ) -> None:
        """Sound both ways, or only from alice."""
        start = self.now
        for n in range(int(seconds * 50)):
            when = start + n / 50
            one = Packet(when, transport, ALICE_RTP, TURN, envelope(rtp(n, 7), True))
            self.packets.append(one)
            if hears and not (lose and n % lose == 1):
                two = envelope(rtp(n, 8), False)
                self.packets.append(Packet(when + 0.001, transport, TURN, ALICE_RTP, two))
        self.now = start + seconds


def streams(analysis: Analysis) -> list[tuple[str, str, str, str, int]]:
    """Source, destination, codec, path and packets of each that has a call."""
    return sorted(
        (str(s.source), str(s.destination), s.codec, s.path, len(s.rtp))
        for s in analysis.streams
        if s.call is not None
    )


BOTH_WAYS = sorted(
    [
        (str(ALICE_RTP), str(BOB_RTP), "PCMA/8000", "turn", 200),
        (str(BOB_RTP), str(ALICE_RTP), "PCMA/8000", "turn", 200),
    ]
)


@pytest.mark.parametrize("envelope", [channel_data, indication])
def test_sound_through_turn_is_tied_to_its_call_and_no_fault(envelope: Envelope) -> None:
    s = Turned()
    s.allocate()
    s.answered(sdp(RELAYED), sdp(BOB_RTP))
    s.speak(envelope=envelope)
    s.bye()
    analysis = s.analyse()
    assert streams(analysis) == BOTH_WAYS
    assert analysis.findings == []
    assert analysis.vantages == [ALICE.host]


@pytest.mark.parametrize("envelope", [padded, indication])
def test_turn_over_tcp_is_read_too(envelope: Envelope, tmp_path: Path) -> None:
    s = Turned()
    s.allocate("tcp")
    s.answered(sdp(RELAYED), sdp(BOB_RTP))
    s.speak(envelope=envelope, transport="tcp")
    s.bye()
    for analysis in (s.analyse(), s.file(tmp_path / "tcp.pcap")):
        assert streams(analysis) == BOTH_WAYS
        assert analysis.findings == []


def test_a_file_shows_what_a_tap_shows(tmp_path: Path) -> None:
    s = Turned()
    s.allocate()
    s.answered(sdp(RELAYED), sdp(BOB_RTP))
    s.speak()
    analysis = s.file(tmp_path / "turn.pcap")
    assert streams(analysis) == BOTH_WAYS
    assert report(analysis)["streams"][0]["path"] == "turn"


def test_a_capture_that_began_after_the_allocation_still_counts_the_sound() -> None:
    s = Turned()
    s.answered(sdp(RELAYED, lines=relay_candidate(ALICE_RTP, "host")), sdp(BOB_RTP))
    s.speak()
    s.bye()
    analysis = s.analyse()
    assert [one[3:] for one in streams(analysis)] == [("turn", 200)] * 2
    assert analysis.findings == []


def test_loss_and_silence_are_found_through_turn_as_anywhere() -> None:
    lossy, silent = Turned(), Turned()
    for s in (lossy, silent):
        s.allocate()
        s.answered(sdp(RELAYED), sdp(BOB_RTP))
    lossy.speak(lose=5)
    silent.speak(6, hears=False)
    silent.bye()
    assert lossy.ids() == ["packet-loss"]
    (found,) = silent.analyse().findings
    assert (found.id, found.title) == ("one-way-audio", "One-way sound: alice hears nothing")


def relay_candidate(where: Address, kind: str = "relay") -> str:
    """A line of SDP."""
    return f"a=candidate:1 1 UDP 9 {where.host} {where.port} typ {kind} raddr 10.0.0.1 rport 9\r\n"


def test_the_other_side_knows_a_relayed_address_by_its_candidate() -> None:
    s = Scenario()
    offer = sdp(ALICE_RTP, lines=relay_candidate(RELAYED))
    answer = sdp(BOB_RTP, lines=relay_candidate(BOB_RTP, "host"))
    s.answered(offer, answer, caller=SERVER, callee=BOB)
    s.rtp(4, (RELAYED, BOB_RTP), (BOB_RTP, RELAYED))
    assert {stream.path for stream in s.analyse().streams} == {"turn"}


def test_a_server_that_calls_its_own_relay_a_candidate_is_no_turn_server() -> None:
    relay = Address(SERVER.host, 20_000)
    s = Scenario()
    s.answered(sdp(ALICE_RTP), sdp(relay, lines=relay_candidate(relay)))
    s.answered(sdp(relay, lines=relay_candidate(relay)), sdp(BOB_RTP), caller=SERVER, callee=BOB)
    s.rtp(4, (ALICE_RTP, relay), (relay, ALICE_RTP), (relay, BOB_RTP), (BOB_RTP, relay))
    assert {stream.path for stream in s.analyse().streams} == {"relayed"}


def test_an_address_that_turn_was_seen_to_give_is_known_in_every_view(tmp_path: Path) -> None:
    near, far = Turned(), Turned()
    near.allocate()
    for s, caller in ((near, ALICE), (far, ALICE)):
        s.now = 1_700_000_001.0
        s.answered(sdp(RELAYED), sdp(BOB_RTP), caller=caller, callee=BOB)
    near.speak()
    far.rtp(4, (RELAYED, BOB_RTP), (BOB_RTP, RELAYED))
    assert {one.path for one in far.analyse().streams} == {"direct"}  # nothing tells it there
    near.file(tmp_path / "near.pcap")
    far.file(tmp_path / "far.pcap")
    both = analyse([tmp_path / "near.pcap", tmp_path / "far.pcap"])
    assert {one.path for one in both.streams} == {"turn"}
    assert both.findings == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_candidate_that_won_through_turn_is_the_relayed_one(language: str) -> None:
    s = Turned()
    s.allocate()
    host = relay_candidate(ALICE_RTP, "host")
    offer = sdp(ALICE_RTP, lines=host + relay_candidate(RELAYED))
    s.answered(offer, sdp(BOB_RTP, lines=relay_candidate(BOB_RTP, "host")))
    nominated = stun(0x0001, attribute(6, b"b:a"), attribute(0x0025, b""), number=77)
    s.send(ALICE_RTP, TURN, indication(nominated, True))
    s.speak()
    analysis = s.analyse()
    explainer = Explainer(analysis)
    (invite,) = (one for one in analysis.messages if one.label == "INVITE")
    found = {
        line.text.split()[7]: [remark.id for remark in line.remarks]
        for line in explainer.lines(invite)
        if line.text.startswith("a=candidate:")
    }
    won = {"candidate.nominated", "candidate.used", "candidate.allocated"}
    assert won <= set(found["relay"])
    assert not won & set(found["host"])
    texts = [said(r, language) for line in explainer.lines(invite) for r in line.remarks]
    assert any(str(TURN) in text and str(ALICE_RTP) in text for text in texts)


def test_phones_that_use_turn_of_their_own_contradict_no_lab_without_a_relay() -> None:
    s = Turned()
    s.allocate()
    s.answered(sdp(RELAYED), sdp(BOB_RTP))
    s.speak()
    for relay, verdict in ((False, "agree"), (True, "differ")):
        rows = compare(Intent(relay=relay), s.analyse())
        (row,) = (row for row in rows if row.subject == "relay")
        assert (row.seen, row.verdict) == (("turn",), verdict)


@pytest.mark.parametrize("envelope", [channel_data, indication])
def test_nobodys_voice_is_kept_and_everything_can_still_be_counted(
    envelope: Envelope, tmp_path: Path
) -> None:
    s = Turned()
    s.allocate()
    s.answered(sdp(RELAYED), sdp(BOB_RTP))
    s.speak(envelope=envelope)
    whole, path = tmp_path / "whole.pcap", tmp_path / "trimmed.pcap"
    s.file(whole)
    splitter = Splitter()
    records = [frame.record(without_voice(frame)) for frame in splitter.feed(whole.read_bytes())]
    assert b"voice!!!" not in b"".join(records)
    path.write_bytes(splitter.header + b"".join(records))
    assert streams(analyse([path])) == BOTH_WAYS


def test_a_message_of_sip_is_never_taken_for_channel_data() -> None:
    s = Scenario()
    for method in ("INVITE", "OPTIONS", "MESSAGE", "NOTIFY", "PUBLISH", "Ab"):
        for size in (0, 1, 100, 60_000):
            s.sip(ALICE, SERVER, f"{method} sip:bob@lab.test", body="x" * size, cseq=f"1 {method}")
    assert len(s.analyse().messages) == len(s.packets)


@given(st.binary(max_size=80), st.booleans(), st.sampled_from(["udp", "tcp"]))
def test_no_bytes_of_a_turn_server_make_the_analysis_fail(
    data: bytes, wrapped: bool, transport: str
) -> None:
    s = Turned()
    s.allocate(transport)
    s.send(TURN, ALICE_RTP, channel_data(data) if wrapped else b"\x40" + data, transport)
    s.send(TURN, ALICE_RTP, indication(data, False)[: 60 - len(data) % 40], transport)
    analyse_packets(s.packets)
    assert 0 <= payload_at(data) <= len(data) + 4
    assert frame_size(data) >= -1
