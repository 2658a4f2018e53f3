"""TURN taken apart (RFC 8656): who got which relayed address, and whose packets are in the messages.

A client sends its packets to the TURN server in Send indications or, once a channel is bound to the
peer, as ChannelData; the server sends them on from the relayed address. What is within is filed as a
flow between the client and the peer: theirs is the conversation, the server only carries it.
"""

from __future__ import annotations

from dataclasses import dataclass

from labtool.sip.flow import Address
from labtool.trace.flow import Flow
from labtool.trace.stun import COOKIE, REQUEST, SUCCESS, Stun

ALLOCATE, SEND, DATA, CHANNEL_BIND = 3, 6, 7, 9
_PORTS = (3478, 5349)  # of TURN, and of TURN over TLS (RFC 8656 section 3)
_MAX_ASKED = 10_000  # requests that wait for an answer


@dataclass(frozen=True)
class Allocation:
    """A relayed address, and the client that it was given to, as the capture's host has it."""

    relayed: Address
    client: Address
    server: Address
    frame: int  #: of the answer
    view: int


class Turn:
    """What one view showed of TURN so far, and the flows within."""

    def __init__(self) -> None:
        self.allocations: dict[Address, Allocation] = {}  #: by relayed address
        self._relayed: dict[tuple[Address, Address], Address] = {}  # by client and server
        self._asked: dict[bytes, tuple[int, Address]] = {}
        self._peers: dict[tuple[int, int], Address] = {}  # by hop and channel
        self._flows: dict[tuple[int, Address | None, bool], Flow] = {}

    def note(self, one: Stun) -> None:
        """Learn from an Allocate or a ChannelBind."""
        if one.method == ALLOCATE and one.kind == SUCCESS and one.relayed is not None:
            client, server = one.flow.destination, one.flow.source
            self._relayed[client, server] = one.relayed
            self.allocations[one.relayed] = Allocation(
                one.relayed, client, server, one.frame, one.flow.view
            )
        elif one.method == CHANNEL_BIND and one.kind == REQUEST and one.peer is not None:
            if len(self._asked) < _MAX_ASKED:
                self._asked[one.transaction] = (one.channel, one.peer)
        elif one.method == CHANNEL_BIND and one.transaction in self._asked:
            channel, peer = self._asked.pop(one.transaction)
            if one.kind == SUCCESS:
                self._peers[one.flow.hop, channel] = peer

    def is_bound(self, flow: Flow, number: int) -> bool:
        """Whether the channel was seen to be bound."""
        return bool(self._peers) and (flow.hop, number) in self._peers

    def channel(self, flow: Flow, number: int) -> Flow:
        """The flow of what is in ChannelData on `flow`."""
        return self.within(flow, self._peers.get((flow.hop, number)))

    def within(self, flow: Flow, peer: Address | None) -> Flow:
        """The flow between the client of `flow` and `peer`, and between its own ends where the peer
        is not known (the capture began too late).
        """
        outgoing = self._is_outgoing(flow)
        key = (flow.hop, peer, outgoing)
        found = self._flows.get(key)
        if found is None:
            client, server = flow.source, flow.destination
            if not outgoing:
                client, server = server, client
            ends = (client, peer or server)
            found = Flow("udp", *(ends if outgoing else ends[::-1]), flow.view)
            found.ttl, found.outer = flow.ttl, flow
            found.relayed = self._relayed.get((client, server), server)
            self._flows[key] = found
            back = self._flows.get((flow.hop, peer, not outgoing))
            if back is not None:
                found.join(back)
        return found

    def _is_outgoing(self, flow: Flow) -> bool:
        """From the client to its server."""
        if (flow.source, flow.destination) in self._relayed:
            return True
        if (flow.destination, flow.source) in self._relayed:
            return False
        return flow.source.port not in _PORTS


def announced(flow: Flow) -> tuple[Address, Address]:
    """Source and destination as descriptions have them: the client's is its relayed address."""
    if flow.outer is None or flow.relayed is None:
        return flow.source, flow.destination
    if flow.source == flow.outer.source:
        return flow.relayed, flow.destination
    return flow.source, flow.relayed


def payload_at(data: bytes) -> int:
    """Where the packet stands that a whole datagram carries for TURN; 0 where it is none of TURN's."""
    if len(data) < 4:
        return 0
    if data[0] & 0xC0 == 0x40:
        return 4 if 0 <= len(data) - 4 - (data[2] << 8 | data[3]) < 4 else 0
    if data[:2] not in (b"\x00\x16", b"\x00\x17") or data[4:8] != COOKIE:
        return 0
    at = 20
    while at + 4 <= len(data):
        size = data[at + 2] << 8 | data[at + 3]
        if data[at : at + 2] == b"\x00\x13":
            return at + 4
        at += 4 + size + -size % 4
    return 0


def frame_size(data: bytes | bytearray) -> int:
    """Bytes of the STUN message or ChannelData that begins here, on a TCP connection: there
    ChannelData is padded (RFC 8656 section 12.5). 0 where neither begins here, -1 where more bytes
    are needed to know.
    """
    if not data:
        return -1
    if data[0] < 4:
        if len(data) < 8:
            return -1 if data[4:] == COOKIE[: max(len(data) - 4, 0)] else 0
        return 20 + (data[2] << 8 | data[3]) if data[4:8] == COOKIE else 0
    if data[0] & 0xC0 != 0x40:
        return 0
    if len(data) < 4:
        return -1
    size = data[2] << 8 | data[3]
    return 4 + size + -size % 4
