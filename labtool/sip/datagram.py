"""A UDP socket that carries SIP, with the ICMP errors that come back to it."""

from __future__ import annotations

import errno
import os
import socket
import struct
import time

from labtool.sip.errors import ParseError
from labtool.sip.flow import Address, Flow, Packet
from labtool.sip.message import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labtool.sip.flow import Events
    from labtool.sip.loop import Loop

__all__ = ["UdpFlow", "UdpSocket"]

# linux/in.h, linux/in6.h; not in Python's socket module.
_IP_PKTINFO, _IP_RECVERR, _IPV6_RECVERR = 8, 11, 25
_MSG_ERRQUEUE = 0x2000
_RECEIVE_BUFFER = 4 << 20
# Datagrams taken at one go before timers and other sockets get their turn.
_BATCH = 256
_MAX_FLOWS = 4096
_UNREACHABLE = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPROTO)
_KEEP_ALIVE = b"\r\n\0 "


class UdpFlow(Flow):
    """A UDP socket and a peer. Two flows with the same ends are equal."""

    __slots__ = ("_peer", "_socket", "local", "remote")
    transport = "udp"

    def __init__(self, udp: UdpSocket, peer: Any, local: Address) -> None:
        self._socket = udp
        self._peer = peer
        self.local = local
        self.remote = Address.of(peer)

    @property
    def alive(self) -> bool:
        return not self._socket.closed

    @property
    def reliable(self) -> bool:
        return False

    def send(self, data: bytes) -> None:
        self._socket.send(data, self._peer, self)

    def close(self, reason: Exception | None = None) -> None:
        """Nothing to close: others share the socket."""

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, UdpFlow)
            and self._socket is other._socket
            and self._peer == other._peer
            and self.local == other.local
        )

    def __hash__(self) -> int:
        return hash((id(self._socket), self._peer))


class UdpSocket:
    """A bound UDP socket. `address` is what it is bound to, with the true port."""

    def __init__(self, loop: Loop, events: Events, host: str, port: int) -> None:
        bind = Address(host, port)
        self._loop = loop
        self._events = events
        self._sock = sock = socket.socket(bind.family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if bind.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
                if bind.is_wildcard:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
                if bind.is_wildcard:
                    sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            sock.bind(bind.sockaddr())
        except BaseException:
            sock.close()
            raise
        self.address = Address.of(sock.getsockname())
        self.dropped = 0
        self._wildcard = bind.is_wildcard
        self._buffer = bytearray(65536)
        self._view = memoryview(self._buffer)
        self._flows: dict[Any, UdpFlow] = {}
        loop.add_reader(sock, self._readable)

    @property
    def closed(self) -> bool:
        return self._sock.fileno() < 0

    def close(self) -> None:
        if not self.closed:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    def flow(self, remote: Address) -> UdpFlow:
        """The flow to a peer. On a wildcard socket the local end is what the routing table says."""
        peer = remote.sockaddr()
        local = self._route(peer) if self._wildcard else self.address
        return self._flow(peer, local)

    def _flow(self, peer: Any, local: Address) -> UdpFlow:
        key = (peer, local.host) if self._wildcard else peer
        flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= _MAX_FLOWS:
                self._flows.clear()  # flows compare by their ends, so old ones stay good
            flow = self._flows[key] = UdpFlow(self, peer, local)
        return flow

    def _route(self, peer: Any) -> Address:
        with socket.socket(self._sock.family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(peer)
            except OSError:
                return self.address
            return Address(probe.getsockname()[0], self.address.port)

    # -- sending ------------------------------------------------------------------------------

    def send(self, data: bytes, peer: Any, flow: UdpFlow) -> None:
        """Send one datagram; what fails at once is reported on the loop's next round."""
        for attempt in (1, 2):
            try:
                if self._wildcard:
                    self._sock.sendmsg([data], self._from(flow.local), 0, peer)
                else:
                    self._sock.sendto(data, peer)
            except (BlockingIOError, InterruptedError):
                self.dropped += 1  # as a full queue on the wire would: the sender repeats it
                return
            except OSError as error:
                # With IP_RECVERR a send reports the ICMP error of an earlier datagram, to anyone.
                if attempt == 1 and error.errno in _UNREACHABLE and self._drain_errors():
                    continue
                if not self.closed:
                    self._loop.call_soon(self._events.closed, flow, error)
                return
            break
        tap = self._events.tap
        if tap is not None:
            tap(Packet(time.time(), "udp", flow.local, flow.remote, data))

    def _from(self, local: Address) -> list[tuple[int, int, bytes]]:
        if local.is_wildcard:
            return []
        if self._sock.family == socket.AF_INET6:
            packed = socket.inet_pton(socket.AF_INET6, local.host.partition("%")[0])
            return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, packed + struct.pack("@I", 0))]
        packed = socket.inet_aton(local.host)
        return [(socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("@i4s4s", 0, packed, bytes(4)))]

    # -- receiving ----------------------------------------------------------------------------

    def _readable(self) -> None:
        sock, events, flows, view = self._sock, self._events, self._flows, self._view
        receive = self._receive_wildcard if self._wildcard else None
        for _ in range(_BATCH):
            try:
                if receive is None:
                    size, peer = sock.recvfrom_into(self._buffer)
                    flow = flows.get(peer) or self._flow(peer, self.address)
                else:
                    size, flow = receive()
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._drain_errors()
                if self.closed:
                    return
                continue
            data = bytes(view[:size])
            if events.tap is not None:
                events.tap(Packet(time.time(), "udp", flow.remote, flow.local, data))
            if events.admit is not None and not events.admit(flow.remote):
                continue
            if size < 5 and not data.strip(_KEEP_ALIVE):
                continue
            try:
                message = parse(data)
            except ParseError as error:
                events.bad(data, flow, error)
            else:
                events.on_message(message, flow)
            if sock.fileno() < 0:
                return

    def _receive_wildcard(self) -> tuple[int, UdpFlow]:
        size, ancillary, _, peer = self._sock.recvmsg_into([self._buffer], 256)
        local = self.address
        for level, kind, value in ancillary:
            if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                local = Address(socket.inet_ntoa(value[8:12]), self.address.port)
            elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                host = socket.inet_ntop(socket.AF_INET6, value[:16])
                local = Address(host, self.address.port)
        return size, self._flow(peer, local)

    def _drain_errors(self) -> bool:
        """Take the ICMP errors that wait (ip(7), IP_RECVERR) to their flows; True if there were."""
        found = False
        while not self.closed:
            try:
                _, ancillary, _, peer = self._sock.recvmsg(1, 512, _MSG_ERRQUEUE)
            except OSError:
                return found
            for level, kind, value in ancillary:
                if (level, kind) in (
                    (socket.IPPROTO_IP, _IP_RECVERR),
                    (socket.IPPROTO_IPV6, _IPV6_RECVERR),
                ):
                    found = True
                    number = struct.unpack_from("@I", value)[0]
                    local = self._route(peer) if self._wildcard else self.address
                    flow = self._flow(peer, local)
                    reason = OSError(number, os.strerror(number))
                    self._loop.call_soon(self._events.closed, flow, reason)
        return found
