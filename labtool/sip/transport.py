"""The sockets of one SIP element: where it listens, and the flow to any peer (RFC 3261 section 18).

Addresses are numeric: names are resolved by whoever asks (RFC 3263 is no business of sockets).
"""

from __future__ import annotations

import errno
import os
import resource
import socket

from labtool.sip.datagram import UdpSocket
from labtool.sip.errors import SipError
from labtool.sip.flow import Address, Events, Flow, Limits, Packet

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from typing import Any

    from labtool.sip.errors import ParseError
    from labtool.sip.loop import Loop
    from labtool.sip.message import Message
    from labtool.sip.stream import StreamFlow, StreamListener

__all__ = ["Address", "Flow", "Limits", "Packet", "Transports"]

_SWEEP = 1.0  # seconds between two looks for connections that are overdue


def _ignore(message: Message, flow: Flow) -> None:
    """Nobody listens yet."""


class Transports:
    """Every socket of one element, and whom they tell.

    `on_message(message, flow)`: a message came. `on_bad(data, flow, error)`: what came is no SIP; a
    connection is closed after it. `on_closed(flow, reason)`: a connection ended (None: the peer
    closed it) or could not be made (ConnectionRefusedError, TimeoutError, another OSError,
    ssl.SSLCertVerificationError, ssl.SSLError); over UDP: an ICMP error came, and the flow may be
    used again. `tap(packet)` sees everything that is sent and received.

    `TransactionLayer` takes `on_message` and listens in on `on_closed`.
    """

    def __init__(
        self,
        loop: Loop,
        on_message: Callable[[Message, Flow], object] = _ignore,
        *,
        tap: Callable[[Packet], object] | None = None,
        on_bad: Callable[[bytes, Flow, ParseError], object] | None = None,
        on_closed: Callable[[Flow, Exception | None], object] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.loop = loop
        self.limits = limits or Limits()
        self.events = Events(on_message, on_bad, on_closed, tap)
        self._udp: list[UdpSocket] = []
        self._listeners: list[StreamListener] = []
        self._streams: dict[StreamFlow, None] = {}  # a set that keeps its order: oldest first
        self._by_remote: dict[tuple[str, Address], list[StreamFlow]] = {}
        self._tls: ssl.SSLContext | None = None
        self._sweep: Any = None
        self._closed = False
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        room = soft - 64 if soft != resource.RLIM_INFINITY else self.limits.max_connections
        self._max_streams = max(1, min(self.limits.max_connections, room))

    # -- listening ------------------------------------------------------------------------------

    def listen(
        self, transport: str, host: str, port: int, *, tls: ssl.SSLContext | None = None
    ) -> Address:
        """Listen on a numeric address; port 0 takes a free one. Returns the true address.

        `transport` is "udp", "tcp" or "tls" (which needs `tls`). Raises OSError where the system
        refuses (in use, not this machine's address, privileged port).
        """
        if transport == "udp":
            udp = UdpSocket(self.loop, self.events, host, port)
            self._udp.append(udp)
            return udp.address
        if transport not in ("tcp", "tls"):
            raise SipError(f"there is no transport {transport!r}: udp, tcp or tls")
        if transport == "tls" and tls is None:
            raise SipError("to listen for TLS, a certificate is needed")
        context = tls if transport == "tls" else None

        def accept(sock: socket.socket, peer: Any) -> None:
            self._accept(sock, peer, context)

        from labtool.sip.stream import StreamListener  # with ssl, 20 ms that UDP need not pay

        listener = StreamListener(self.loop, host, port, accept)
        self._listeners.append(listener)
        return listener.address

    def _accept(self, sock: socket.socket, peer: Any, tls: ssl.SSLContext | None) -> None:
        if len(self._streams) >= self._max_streams and not self._make_room():
            sock.close()
            return
        try:
            remote = Address.of(peer)
            flow = self._stream(sock, remote, tls=tls, accepted=True)
        except OSError:  # it was gone before we looked
            sock.close()
            return
        if flow.alive:
            self._keep(flow)

    def _make_room(self) -> bool:
        """End the oldest connection that has never carried a message; False if there is none."""
        for flow in self._streams:
            if flow.accepted and not flow.messages:
                flow.close(OSError(errno.EMFILE, "too many connections"))
                return True
        return False

    # -- flows ----------------------------------------------------------------------------------

    def flow(
        self,
        transport: str,
        remote: Address,
        *,
        local: Address | None = None,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> Flow:
        """The flow to `remote`: over UDP from a listening socket (`local` says which; one is opened
        where none fits), over TCP and TLS the connection that is there already, or a new one.

        Returns at once; whether a connection comes about is told through `on_closed`.
        Raises SipError for an address that is not numeric.
        """
        if transport == "udp":
            return self._udp_for(remote, local).flow(remote)
        if transport not in ("tcp", "tls"):
            raise SipError(f"there is no transport {transport!r}: udp, tcp or tls")
        if transport == "tls":
            tls = tls or self._default_tls()
            server_hostname = server_hostname or remote.host
        else:
            tls = server_hostname = None
        for stream in self._by_remote.get((transport, remote), ()):
            if (local is None or stream.local == local) and (
                stream.accepted
                or (stream.tls_context is tls and stream.server_hostname == server_hostname)
            ):
                return stream
        return self._connect(remote, local, tls, server_hostname)

    def find(self, transport: str, remote: Address) -> Flow | None:
        """The TCP or TLS connection that there is to `remote`, if any; none is made."""
        for stream in self._by_remote.get((transport, remote), ()):
            return stream
        return None

    def _udp_for(self, remote: Address, local: Address | None) -> UdpSocket:
        fitting = [udp for udp in self._udp if udp.address.family == remote.family]
        if local is not None:
            fitting = [u for u in fitting if u.address == local] or [
                u
                for u in fitting
                if u.address.is_wildcard and u.address.port == local.port and local.port
            ]
        elif len(fitting) > 1:
            # A socket on loopback can't reach the world, nor the reverse; a wildcard reaches both.
            fitting.sort(
                key=lambda u: (
                    not u.address.is_wildcard and u.address.is_loopback != remote.is_loopback
                )
            )
        if fitting:
            return fitting[0]
        bind = local or Address("::" if ":" in remote.host else "0.0.0.0", 0)  # noqa: S104
        udp = UdpSocket(self.loop, self.events, bind.host, bind.port)
        self._udp.append(udp)
        return udp

    def _default_tls(self) -> ssl.SSLContext:
        import ssl

        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _connect(
        self,
        remote: Address,
        local: Address | None,
        tls: ssl.SSLContext | None,
        server_hostname: str | None,
    ) -> StreamFlow:
        sockaddr = remote.sockaddr()
        sock = socket.socket(remote.family, socket.SOCK_STREAM)
        sock.setblocking(False)
        failure: OSError | None = None
        try:
            if local is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(local.sockaddr())
            number = sock.connect_ex(sockaddr)
            if number not in (0, errno.EINPROGRESS, errno.EAGAIN):
                failure = OSError(number, os.strerror(number))
        except OSError as error:
            failure = error
        flow = self._stream(sock, remote, tls=tls, server_hostname=server_hostname)
        self._keep(flow)
        if failure is not None:
            self.loop.call_soon(flow.close, failure)
        return flow

    def _stream(self, sock: socket.socket, remote: Address, **how: Any) -> StreamFlow:
        from labtool.sip.stream import StreamFlow

        return StreamFlow(self.loop, self.events, self.limits, sock, remote, self._ended, **how)

    def _keep(self, flow: StreamFlow) -> None:
        self._streams[flow] = None
        self._by_remote.setdefault((flow.transport, flow.remote), []).append(flow)
        if self._sweep is None:
            self._sweep = self.loop.call_later(_SWEEP, self._look_for_overdue)

    def _look_for_overdue(self) -> None:
        self._sweep = None
        now = self.loop.now()
        for flow in list(self._streams):
            reason = flow.overdue(now)
            if reason is not None:
                flow.close(reason)
        if self._streams:
            self._sweep = self.loop.call_later(_SWEEP, self._look_for_overdue)

    def _ended(self, flow: StreamFlow, reason: Exception | None) -> None:
        if flow in self._streams:
            del self._streams[flow]
            same = self._by_remote[flow.transport, flow.remote]
            same.remove(flow)
            if not same:
                del self._by_remote[flow.transport, flow.remote]
        if not self._closed:
            self.events.closed(flow, reason)

    @property
    def connections(self) -> int:
        """How many TCP and TLS connections there are."""
        return len(self._streams)

    def close(self) -> None:
        """Close every socket; nobody is told."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for listener in self._listeners:
            listener.close()
        for flow in list(self._streams):
            flow.close()
        for udp in self._udp:
            udp.close()
