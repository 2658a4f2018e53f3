"""Small calls made up packet by packet, for findings that a test must be able to provoke."""

from __future__ import annotations

import struct
from pathlib import Path

from trace_languages import findings_are_chinese

from labtool.sip.flow import Address, Packet
from labtool.trace import pcap
from labtool.trace.analysis import Analysis, analyse, analyse_packets

ALICE = Address("203.0.113.21", 5060)
SERVER = Address("198.51.100.10", 5060)
BOB = Address("203.0.113.104", 5060)
ALICE_RTP = Address("203.0.113.21", 4000)
BOB_RTP = Address("203.0.113.104", 4002)


def sdp(address: Address, *, payload: str = "8", lines: str = "") -> str:
    """An audio section at that address."""
    return (
        f"v=0\r\no=- 1 1 IN IP4 {address.host}\r\ns=-\r\nc=IN IP4 {address.host}\r\nt=0 0\r\n"
        f"m=audio {address.port} RTP/AVP {payload}\r\n{lines}"
    )


class Scenario:
    """A clock and the packets so far. Times are in seconds."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.packets: list[Packet] = []

    def send(self, source: Address, target: Address, data: bytes, transport: str = "udp") -> None:
        """One packet, 10 ms after the last."""
        self.now += 0.01
        self.packets.append(Packet(self.now, transport, source, target, data))

    def sip(
        self,
        source: Address,
        target: Address,
        start: str,
        *,
        cseq: str = "1 INVITE",
        branch: str = "",
        tags: tuple[str, str] = ("a", ""),
        body: str = "",
        headers: tuple[str, ...] = (),
        call: str = "call",
        vias: int = 1,
        transport: str = "udp",
    ) -> None:
        """One message; the user in From is alice and in To is bob."""
        lines = [start if start.startswith("SIP/2.0") else f"{start} SIP/2.0"]
        branch = branch or cseq.replace(" ", "") + call
        lines += [f"Via: SIP/2.0/UDP h{n};branch=z9hG4bK{branch}{n}" for n in range(vias, 0, -1)]
        lines += [
            f"From: <sip:alice@lab.test>;tag={tags[0]}",
            "To: <sip:bob@lab.test>" + (f";tag={tags[1]}" if tags[1] else ""),
            f"Call-ID: {call}",
            f"CSeq: {cseq}",
            *headers,
            f"Content-Length: {len(body)}",
        ]
        self.send(source, target, ("\r\n".join(lines) + "\r\n\r\n" + body).encode(), transport)

    def answered(
        self,
        offer: str = "",
        answer: str = "",
        *,
        caller: Address = ALICE,
        callee: Address = SERVER,
        ack: bool = True,
    ) -> None:
        """INVITE, 180, 200 and ACK on one hop."""
        offer, answer = offer or sdp(ALICE_RTP), answer or sdp(BOB_RTP)
        self.sip(caller, callee, "INVITE sip:bob@lab.test", body=offer)
        self.sip(callee, caller, "SIP/2.0 180 Ringing", tags=("a", "b"))
        self.sip(callee, caller, "SIP/2.0 200 OK", tags=("a", "b"), body=answer)
        if ack:
            self.sip(
                caller, callee, "ACK sip:bob@lab.test", cseq="1 ACK", tags=("a", "b"), branch="ack"
            )

    def rtp(
        self,
        seconds: float,
        *ways: tuple[Address, Address],
        lose: int = 0,
        payload: int = 8,
        first: int = 0,
    ) -> None:
        """Packets of 20 ms on each way; every `lose`th is missing."""
        start = self.now
        for n in range(first, first + int(seconds * 50)):
            for ssrc, (source, target) in enumerate(ways, 7):
                if lose and n % lose == 1:
                    continue
                data = struct.pack(">BBHII", 0x80, payload, n & 0xFFFF, n * 160, ssrc) + bytes(160)
                when = start + (n - first) / 50 + ssrc / 10_000
                self.packets.append(Packet(when, "udp", source, target, data))
        self.now = start + seconds

    def rtcp(
        self,
        source: Address,
        target: Address,
        *,
        sent: int,
        blocks: int = 0,
        lost: int = 0,
        highest: int = 100,
    ) -> None:
        """A report: SR where something was sent, else RR. `lost` and `highest` are of SSRC 7."""
        kind, body = (200, bytes(12) + struct.pack(">II", sent, sent * 160)) if sent else (201, b"")
        body += b"".join(struct.pack(">IIIIII", 7, lost, highest, 0, 0, 0) for _ in range(blocks))
        head = struct.pack(">BBHI", 0x80 | blocks, kind, (8 + len(body)) // 4 - 1, 8)
        self.send(source, target, head + body)

    def bye(self, source: Address = ALICE, target: Address = SERVER) -> None:
        """The end."""
        self.sip(source, target, "BYE sip:bob@lab.test", cseq="2 BYE", tags=("a", "b"))
        self.sip(target, source, "SIP/2.0 200 OK", cseq="2 BYE", tags=("a", "b"))

    def analyse(self) -> Analysis:
        """What the trace makes of it."""
        return findings_are_chinese(analyse_packets(self.packets))

    def ids(self) -> list[str]:
        """Its findings."""
        return [one.id for one in self.analyse().findings]

    def file(self, path: Path) -> Analysis:
        """The same by way of a capture file."""
        pcap.write(path, self.packets)
        return findings_are_chinese(analyse([path]))
