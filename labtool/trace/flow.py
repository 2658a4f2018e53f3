"""One direction between two endpoints, and what was seen of it."""

from __future__ import annotations

import itertools
import socket
import struct
import sys

from labtool.sip.flow import Address

_hops = itertools.count(1)


class Flow:
    """Packets of one transport from `source` to `destination`, in one capture (`view`).

    `transport` is "udp", "tcp" or "tls" (a TCP connection on which TLS was recognised). `ttl` is
    the time to live (IPv6: hop limit) of its first packet, 0 where it is not known. Both directions
    have the same number `hop`, and 0 and 1 as `side`: cheap to compare, where addresses are not.
    What TURN carried has the flow that carried it as `outer`, and its client's relayed address
    (`labtool.trace.turn`).
    """

    __slots__ = (
        *("back", "destination", "hop", "outer", "relayed"),
        *("side", "source", "transport", "ttl", "view"),
    )

    def __init__(self, transport: str, source: Address, destination: Address, view: int) -> None:
        self.transport = transport
        self.source = source
        self.destination = destination
        self.view = view
        self.back: Flow | None = None
        self.hop = next(_hops)
        self.side = 0
        self.ttl = 0
        self.outer: Flow | None = None
        self.relayed: Address | None = None

    def join(self, back: Flow) -> None:
        """Make `back` the other direction."""
        self.back, back.back = back, self
        self.hop, self.side = back.hop, 1 - back.side

    def __repr__(self) -> str:
        return f"<Flow {self.transport} {self.source} > {self.destination}>"


def address(packed: bytes, port: int) -> Address:
    """The readable form of a packed IP address and a port."""
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return Address(sys.intern(socket.inet_ntop(family, packed)), port)


def endpoints(key: bytes) -> tuple[Address, Address]:
    """Source and destination of a flow key: both packed addresses, then both ports."""
    size = (len(key) - 4) // 2
    source, destination = struct.unpack(">HH", key[-4:])
    return address(key[:size], source), address(key[size : 2 * size], destination)
