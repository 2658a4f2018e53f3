"""What a tapped packet looked like on the wire: Ethernet, IP, UDP or TCP around its bytes.

The tap of the probe sees messages, not frames. For Wireshark and for `labtool trace` they are put
back into frames: real addresses, ports, payloads and times; the Ethernet addresses, TCP's sequence
numbers and handshake are made up, consistently. A message that went over TLS is written as the
plain text it was, in a TCP connection, since the tap stands behind the decryption.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from labtool.sip.flow import Address, Packet

#: TCP payload of a full Ethernet frame (RFC 9293 section 3.7.1: 1500 - 20 - 20).
_SEGMENT = 1460
_UDP, _TCP = 17, 6
_FIN, _SYN, _PSH, _ACK = 0x01, 0x02, 0x08, 0x10


@dataclass
class _Connection:
    """The next sequence number of each end."""

    next: dict[Address, int] = field(default_factory=dict)


class Wire:
    """Turns packets into frames; remembers the TCP connections."""

    def __init__(self) -> None:
        self._connections: dict[frozenset[Address], _Connection] = {}
        self._identification = 0
        self._last_ns = 0

    def frames(self, packet: Packet) -> Iterator[tuple[int, bytes]]:
        """The frames of `packet`, each with its time in nanoseconds; times never go back."""
        now = max(round(packet.time * 1_000_000) * 1000, self._last_ns)
        for frame in self._datagram(packet) if packet.transport == "udp" else self._stream(packet):
            self._last_ns = now
            yield now, frame
            if packet.transport != "udp":
                now += 1000  # a microsecond apart, so that the order shows in the times too

    def _datagram(self, packet: Packet) -> Iterator[bytes]:
        source, target = packet.source, packet.destination
        length = 8 + len(packet.data)
        header = struct.pack(">HHHH", source.port, target.port, length, 0)
        total = _sum(_pseudo(source, target, _UDP, length) + header + packet.data)
        # A computed 0 is sent as all ones; 0 says "no checksum" (RFC 768).
        header = header[:6] + struct.pack(">H", total or 0xFFFF)
        yield self._ip(source, target, _UDP, header + packet.data)

    def _stream(self, packet: Packet) -> Iterator[bytes]:
        source, target = packet.source, packet.destination
        key = frozenset((source, target))
        connection = self._connections.get(key)
        if connection is None:
            connection = self._connections[key] = _Connection({source: 1000, target: 5000})
            yield self._segment(connection, source, target, _SYN)
            yield self._segment(connection, target, source, _SYN | _ACK)
            yield self._segment(connection, source, target, _ACK)
        for at in range(0, len(packet.data), _SEGMENT):
            part = packet.data[at : at + _SEGMENT]
            last = at + _SEGMENT >= len(packet.data)
            yield self._segment(connection, source, target, _ACK | (_PSH if last else 0), part)
        if packet.data:
            yield self._segment(connection, target, source, _ACK)

    def _segment(
        self,
        connection: _Connection,
        source: Address,
        target: Address,
        flags: int,
        data: bytes = b"",
    ) -> bytes:
        sequence = connection.next[source]
        answered = connection.next[target] if flags & _ACK else 0
        advance = len(data) + (1 if flags & (_SYN | _FIN) else 0)
        connection.next[source] = (sequence + advance) & 0xFFFFFFFF
        header = struct.pack(
            ">HHIIBBHHH", source.port, target.port, sequence, answered, 0x50, flags, 65535, 0, 0
        )
        total = _sum(_pseudo(source, target, _TCP, len(header) + len(data)) + header + data)
        header = header[:16] + struct.pack(">H", total) + header[18:]
        return self._ip(source, target, _TCP, header + data)

    def _ip(self, source: Address, target: Address, protocol: int, payload: bytes) -> bytes:
        if ":" in source.host:
            head = struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64)
            head += _packed(source.host) + _packed(target.host)
            kind = b"\x86\xdd"
        else:
            self._identification = (self._identification + 1) & 0xFFFF
            head = struct.pack(
                ">BBHHHBBH",
                *(0x45, 0, 20 + len(payload), self._identification, 0x4000, 64, protocol, 0),
            )
            head += _packed(source.host) + _packed(target.host)
            head = head[:10] + struct.pack(">H", _sum(head)) + head[12:]
            kind = b"\x08\x00"
        return _hardware(target.host) + _hardware(source.host) + kind + head + payload


def _packed(host: str) -> bytes:
    """The address in network order; a scope ("%eth0") has no place on the wire."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.inet_pton(family, host.partition("%")[0])


def _hardware(host: str) -> bytes:
    """A locally administered Ethernet address that shows the IP address it stands for."""
    return b"\x02\x00" + _packed(host)[-4:]


def _pseudo(source: Address, target: Address, protocol: int, length: int) -> bytes:
    """The pseudo-header of the UDP and TCP checksum (RFC 768; RFC 8200 section 8.1)."""
    addresses = _packed(source.host) + _packed(target.host)
    form = ">IHBB" if ":" in source.host else ">BBH"
    rest = (length, 0, 0, protocol) if ":" in source.host else (0, protocol, length)
    return addresses + struct.pack(form, *rest)


def _sum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)
