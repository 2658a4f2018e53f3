"""From packets to the ladder."""

from __future__ import annotations

import struct
from pathlib import Path

from labtool.sip.flow import Address, Packet
from labtool.trace.ladder import text
from labtool.trace.reading import read, read_packets
from labtool.trace.story import ladder_of

ALICE, SERVER, BOB = (Address("127.0.0.1", port) for port in (5071, 5060, 5072))


def sip(start: str, *, vias: int = 1, to_tag: str = "", sdp_port: int = 0) -> bytes:
    method = "INVITE" if start.startswith("SIP/2.0") else start.split()[0]
    body = ""
    if sdp_port:
        body = (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {sdp_port} RTP/AVP 8\r\n"
        )
    lines = [start]
    lines += [f"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{vias}{i}" for i in range(vias)]
    lines += [
        "From: <sip:alice@lab.test>;tag=a",
        f"To: <sip:bob@lab.test>{to_tag}",
        "Call-ID: c",
        f"CSeq: 1 {method}",
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def call_on_one_machine() -> list[Packet]:
    hops = [
        (ALICE, SERVER, sip("INVITE sip:bob@lab.test SIP/2.0", sdp_port=4000)),
        (SERVER, ALICE, sip("SIP/2.0 100 Trying")),
        (SERVER, BOB, sip("INVITE sip:bob@127.0.0.1:5072 SIP/2.0", vias=2, sdp_port=4000)),
        (BOB, SERVER, sip("SIP/2.0 180 Ringing", vias=2, to_tag=";tag=b")),
        (SERVER, ALICE, sip("SIP/2.0 180 Ringing", to_tag=";tag=b")),
        (BOB, SERVER, sip("SIP/2.0 200 OK", vias=2, to_tag=";tag=b", sdp_port=4002)),
        (SERVER, ALICE, sip("SIP/2.0 200 OK", to_tag=";tag=b", sdp_port=4002)),
        (ALICE, SERVER, sip("ACK sip:bob@127.0.0.1:5072 SIP/2.0", to_tag=";tag=b")),
    ]
    packets = [Packet(1e9 + i / 10, "udp", *hop) for i, hop in enumerate(hops)]
    ends = Address("127.0.0.1", 4000), Address("127.0.0.1", 4002)
    for i in range(50):
        data = struct.pack(">BBHII", 0x80, 8, i, i * 160, 77) + bytes(160)
        packets.append(Packet(1e9 + 1 + i / 50, "udp", *ends, data))
        packets.append(Packet(1e9 + 1.001 + i / 50, "udp", *reversed(ends), data))
    return packets


def test_participants_on_one_machine_are_told_apart_by_port_and_called_by_their_users() -> None:
    ladder = ladder_of(read_packets(call_on_one_machine()))
    assert [(p.name, p.place) for p in ladder.participants] == [
        ("alice", "127.0.0.1:5071"),
        ("server", "127.0.0.1:5060"),
        ("bob", "127.0.0.1:5072"),
    ]


def test_names_that_are_given_win() -> None:
    ladder = ladder_of(read_packets(call_on_one_machine()), given={SERVER: "sandbox"})
    assert [p.name for p in ladder.participants] == ["alice", "sandbox", "bob"]


def test_sound_is_one_arrow_a_direction_from_the_one_who_announced_the_port() -> None:
    ladder = ladder_of(read_packets(call_on_one_machine()))
    media = [arrow for arrow in ladder.arrows if arrow.kind == "media"]
    assert [(a.source, a.target, a.label) for a in media] == [
        (0, 2, "RTP PCMA, 50 packets, 1.0 s"),
        (2, 0, "RTP PCMA, 50 packets, 1.0 s"),
    ]


def test_a_message_that_is_sent_again_says_so() -> None:
    packets = call_on_one_machine()
    again = Packet(1e9 + 0.5, "udp", ALICE, SERVER, packets[0].data)
    ladder = ladder_of(read_packets([*packets, again]))
    assert [a.label for a in ladder.arrows].count("INVITE (SDP) (again)") == 1


def test_a_packet_that_was_captured_twice_is_shown_once() -> None:
    packets = call_on_one_machine()
    twin = Packet(1e9 + 0.0001, "udp", ALICE, SERVER, packets[0].data)
    ladder = ladder_of(read_packets([*packets, twin]))
    labels = [arrow.label for arrow in ladder.arrows]
    assert [label for label in labels if label.startswith("INVITE")] == ["INVITE (SDP)"] * 2


def test_the_caller_stands_left_though_the_callee_registered_first(shared: Path) -> None:
    path = shared / "data/calls/03_nat_udp_relay-srv.pcap"
    ladder = ladder_of(read([path]))
    assert [p.name for p in ladder.participants] == ["alice", "server", "bob"]
    drawn = text(ladder, width=100)
    assert drawn.count("REGISTER") == 6
    assert drawn.count("RTP opus, 353 packets, 7.0 s") == 2
