"""From a captured frame to the UDP, TCP or ICMP in it: link layers, tunnels, IP and its fragments.

Slices of structs, no objects: this is where every packet of a capture passes.
"""

from __future__ import annotations

import mmap
import struct
from typing import NamedTuple

Buffer = bytes | mmap.mmap

ICMP, IPIP, TCP, UDP, IPV6, GRE, ICMPV6 = 1, 4, 6, 17, 41, 47, 58
_FRAGMENT = 44
_OPTIONS = {0, 43, 51, 60}  # hop-by-hop, routing, authentication, destination options (RFC 8200)
_VLAN = {0x8100, 0x88A8, 0x9100}
_MAX_PENDING = 256  # datagrams whose fragments are waited for; the oldest goes first
_MAX_DEPTH = 8  # tunnels within tunnels, and tags on tags


class Payload(NamedTuple):
    """What IP carried: protocol number, packed addresses, and where the bytes stand in `buffer`."""

    protocol: int
    source: bytes
    destination: bytes
    buffer: Buffer
    start: int
    end: int
    ttl: int = 0  #: 0 where fragments with more than one were put together


class Unwrapper:
    """Takes frames apart; remembers the fragments that it has seen."""

    def __init__(self) -> None:
        self._pending: dict[tuple[bytes, bytes, int, int], _Pieces] = {}
        self._whole: set[tuple[bytes, bytes, int, int]] = (
            set()
        )  # that were complete: copies may follow
        self._given_up = 0
        #: Link types that were met and are not understood.
        self.unknown_links: set[int] = set()

    def unwrap(self, link: int, data: Buffer, start: int, end: int) -> Payload | None:
        """The transport payload of the frame at data[start:end]; None where there is none (yet)."""
        try:
            return self._link(link, data, start, end)
        except (IndexError, struct.error):
            return None  # cut off within a header

    def _link(self, link: int, data: Buffer, start: int, end: int) -> Payload | None:
        if link == 1:  # Ethernet
            return self._ether(data, start + 12, end)
        if link == 113:  # Linux cooked v1: the EtherType ends a header of 16
            return self._ether(data, start + 14, end)
        if link == 276:  # Linux cooked v2: the EtherType begins a header of 20
            kind = data[start] << 8 | data[start + 1]
            if kind in _VLAN:
                return self._ether(data, start + 20 + 2, end)
            return self._ip(data, start + 20, end) if kind in (0x0800, 0x86DD) else None
        if link in (12, 14, 101, 228, 229):  # raw IP
            return self._ip(data, start, end)
        if link in (0, 108):  # BSD loopback: an address family, then IP
            return self._ip(data, start + 4, end)
        self.unknown_links.add(link)
        return None

    def _ether(self, data: Buffer, at: int, end: int) -> Payload | None:
        """`at` is where the EtherType stands."""
        for _ in range(_MAX_DEPTH):
            kind = data[at] << 8 | data[at + 1]
            if kind in (0x0800, 0x86DD):
                return self._ip(data, at + 2, end)
            if kind in _VLAN:
                at += 4
            elif kind == 0x8864:  # PPPoE session: version, code, session, length, then PPP
                ppp = data[at + 8] << 8 | data[at + 9]
                return self._ip(data, at + 10, end) if ppp in (0x21, 0x57) else None
            else:
                return None
        return None

    def _ip(self, data: Buffer, at: int, end: int, depth: int = 0) -> Payload | None:
        if depth > _MAX_DEPTH:
            return None
        version = data[at] >> 4
        found = (
            self._ipv4(data, at, end)
            if version == 4
            else self._ipv6(data, at, end)
            if version == 6
            else None
        )
        if found is None:
            return None
        if found.protocol in (IPIP, IPV6):
            return self._ip(found.buffer, found.start, found.end, depth + 1)
        if found.protocol == GRE:
            return self._gre(found, depth)
        return found

    def _gre(self, found: Payload, depth: int) -> Payload | None:
        """Generic routing encapsulation (RFC 2784, 2890): port mirrors use it."""
        flags, kind = struct.unpack_from(">HH", found.buffer, found.start)
        start = found.start + 4 + sum(4 for bit in (0x8000, 0x2000, 0x1000) if flags & bit)
        if kind in (0x0800, 0x86DD):
            return self._ip(found.buffer, start, found.end, depth + 1)
        return None

    def _ipv4(self, data: Buffer, at: int, end: int) -> Payload | None:
        head = (data[at] & 0x0F) * 4
        if head < 20 or at + head > end:
            return None
        total, identification, fragment = struct.unpack_from(">HHH", data, at + 2)
        protocol = data[at + 9]
        source, destination = data[at + 12 : at + 16], data[at + 16 : at + 20]
        # 0 is what segmentation offload leaves; padding of short Ethernet frames is cut off.
        stop = min(end, at + total) if total >= head else end
        if not fragment & 0x3FFF:
            return Payload(protocol, source, destination, data, at + head, stop, data[at + 8])
        key = (source, destination, identification, protocol)
        offset, more = (fragment & 0x1FFF) * 8, bool(fragment & 0x2000)
        return self._piece(key, protocol, offset, more, data[at + head : stop])

    def _ipv6(self, data: Buffer, at: int, end: int) -> Payload | None:
        length, protocol, ttl = struct.unpack_from(">HBB", data, at + 4)
        source, destination = data[at + 8 : at + 24], data[at + 24 : at + 40]
        at += 40
        stop = min(end, at + length) if length else end
        for _ in range(_MAX_DEPTH):
            if protocol in _OPTIONS:
                size = (data[at + 1] + 2) * 4 if protocol == 51 else (data[at + 1] + 1) * 8
                protocol, at = data[at], at + size
            elif protocol == _FRAGMENT:
                following, _, bits, identification = struct.unpack_from(">BBHI", data, at)
                key = (source, destination, identification, following)
                body = data[at + 8 : stop]
                return self._piece(key, following, bits & 0xFFF8, bool(bits & 1), body)
            else:
                break
        if at > stop:
            return None
        return Payload(protocol, source, destination, data, at, stop, ttl)

    def _piece(
        self,
        key: tuple[bytes, bytes, int, int],
        protocol: int,
        offset: int,
        more: bool,
        body: bytes,
    ) -> Payload | None:
        pieces = self._pending.pop(key, None) or _Pieces()
        whole = pieces.add(offset, more, body)
        if whole is not None:
            self._whole.add(key)
            return Payload(protocol, key[0], key[1], whole, 0, len(whole))
        self._pending[key] = pieces
        if len(self._pending) > _MAX_PENDING:
            oldest = next(iter(self._pending))
            del self._pending[oldest]
            self._given_up += oldest not in self._whole
        if len(self._whole) > _MAX_PENDING:
            self._whole.clear()
        return None

    @property
    def incomplete(self) -> int:
        """Datagrams of which a fragment never came."""
        return self._given_up + sum(key not in self._whole for key in self._pending)


class _Pieces:
    """The fragments of one datagram (RFC 791 section 3.2)."""

    __slots__ = ("bodies", "total")

    def __init__(self) -> None:
        self.bodies: dict[int, bytes] = {}
        self.total = -1

    def add(self, offset: int, more: bool, body: bytes) -> bytes | None:
        """The datagram, once its last gap is closed."""
        if offset + len(body) > 65535 or (more and not body):
            return None
        self.bodies.setdefault(offset, body)
        if not more:
            self.total = offset + len(body)
        if self.total < 0:
            return None
        whole = bytearray()
        for start in sorted(self.bodies):
            if start > len(whole):
                return None
            whole += self.bodies[start][len(whole) - start :]
        return bytes(whole[: self.total]) if len(whole) >= self.total else None
