"""TCP and TLS connections that carry SIP (RFC 3261 section 18.3, RFC 5626 section 3.5.1)."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import time
from collections import deque

from labtool.sip.errors import ParseError
from labtool.sip.flow import Address, Flow, Packet
from labtool.sip.framing import KeepAlive, StreamFramer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from labtool.sip.flow import Events, Limits
    from labtool.sip.loop import Loop

__all__ = ["StreamFlow", "StreamListener"]

_READ = 65536
# Reads from one connection at one go, so that one busy peer cannot starve the others.
_BATCH = 8
_PONG = b"\r\n"
_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class StreamFlow(Flow):
    """A connection, from the first SYN to its end. It reports its end once, through `on_end`.

    What is sent before the connection (or the TLS handshake) is complete waits in the buffer.
    """

    def __init__(
        self,
        loop: Loop,
        events: Events,
        limits: Limits,
        sock: socket.socket,
        remote: Address,
        on_end: Callable[[StreamFlow, Exception | None], object],
        *,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        accepted: bool = False,
    ) -> None:
        self.transport = "tls" if tls else "tcp"
        self.remote = remote
        self.messages = 0
        self.accepted = accepted
        self.server_hostname = server_hostname
        self.tls_context = tls
        self._loop = loop
        self._events = events
        self._limits = limits
        self._sock: Any = sock
        self._on_end = on_end
        self._framer = StreamFramer(max_head=limits.max_head, max_body=limits.max_body)
        self._out: deque[bytes] = deque()
        self._out_size = 0
        self._state = "open" if accepted else "connecting"
        self._ended = False
        self._unfinished = False
        self._since = loop.now()
        self.local = Address.of(sock.getsockname())
        if accepted:
            self._connected()
        else:
            loop.add_writer(sock, self._connect_result)

    @property
    def alive(self) -> bool:
        return not self._ended

    @property
    def shaking_hands(self) -> bool:
        return self._state == "handshake"

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The TLS socket, for its version, cipher and the peer's certificate."""
        return self._sock if self.transport == "tls" and self._state == "open" else None

    # -- the beginning --------------------------------------------------------------------------

    def _connect_result(self) -> None:
        number = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self.close(OSError(number, os.strerror(number)))
            return
        self._loop.remove_writer(self._sock)
        self.local = Address.of(self._sock.getsockname())
        self._connected()

    def _connected(self) -> None:
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls_context is not None:
            self._state = "handshake"
            try:
                self._sock = self.tls_context.wrap_socket(
                    self._sock,
                    server_side=self.accepted,
                    do_handshake_on_connect=False,
                    server_hostname=self.server_hostname,
                )
            except (OSError, ValueError) as error:  # the peer was already gone; a bad name
                self.close(error if isinstance(error, OSError) else ssl.SSLError(str(error)))
                return
            self._loop.add_reader(self._sock, self._handshake)
            if not self.accepted:
                self._handshake()
        else:
            self._opened()

    def _handshake(self) -> None:
        self._loop.remove_writer(self._sock)
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self._loop.add_writer(self._sock, self._handshake)
            return
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            self.close(error if isinstance(error, OSError) else ssl.SSLError(str(error)))
            return
        self._opened()

    def _opened(self) -> None:
        self._state = "open"
        self._since = self._loop.now()
        self._loop.add_reader(self._sock, self._readable)
        if self._out:
            self._flush()
        if self.transport == "tls" and not self._ended:
            self._readable()  # bytes that came with the handshake wake no selector

    # -- the middle -----------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        if self._ended:
            return
        if self._out_size + len(data) > self._limits.send_buffer:
            self.close(OSError(errno.ENOBUFS, "the peer does not read what it is sent"))
            return
        self._out.append(data)
        self._out_size += len(data)
        if self._state == "open" and len(self._out) == 1:
            self._tap(data, sent=True)
            self._flush(tapped=True)

    def _flush(self, *, tapped: bool = False) -> None:
        out = self._out
        while out:
            if not tapped:
                self._tap(out[0], sent=True)
            tapped = True
            try:
                sent = self._sock.send(out[0])
            except (BlockingIOError, InterruptedError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                self._loop.add_writer(self._sock, self._resume)
                return
            except OSError as error:
                self.close(error)
                return
            self._out_size -= sent
            if sent < len(out[0]):
                out[0] = out[0][sent:]
            else:
                out.popleft()
                tapped = False
        self._loop.remove_writer(self._sock)

    def _resume(self) -> None:
        self._flush(tapped=True)

    def _readable(self) -> None:
        for _ in range(_BATCH):
            try:
                data = self._sock.recv(_READ)
            except (ssl.SSLWantReadError, BlockingIOError, InterruptedError):
                return
            except ssl.SSLWantWriteError:
                self._loop.add_writer(self._sock, self._resume)
                return
            except OSError as error:
                self.close(error)
                return
            if not data:
                self.close(None)
                return
            self._tap(data, sent=False)
            if self._events.admit is not None and not self._events.admit(self.remote):
                self.close(OSError(errno.EACCES, "the peer sends too much"))
                return
            self._received(data)
            if self._ended or (len(data) < _READ and self.transport == "tcp"):
                return
        # TLS may hold decrypted bytes that the selector does not know of.
        self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self._ended:
            self._readable()

    def _received(self, data: bytes) -> None:
        now = self._loop.now()
        if not self._unfinished:
            self._since = now
        try:
            items = self._framer.feed(data)
        except ParseError as error:
            self._lost(data, error)
            return
        for item in items:
            self._since = now
            if isinstance(item, KeepAlive):
                if item.is_ping:
                    self.send(_PONG)
                continue
            self.messages += 1
            self._events.on_message(item, self)
            if self._ended:
                return
        self._unfinished = self._framer.pending > 0
        if self._framer.broken is not None:
            self._lost(data, self._framer.broken)

    def _lost(self, data: bytes, error: ParseError) -> None:
        """Where one message ends and the next begins can't be known any more."""
        self._events.bad(data, self, error)
        self.close(error)

    def _tap(self, data: bytes, *, sent: bool) -> None:
        tap = self._events.tap
        if tap is not None:
            ends = (self.local, self.remote) if sent else (self.remote, self.local)
            tap(Packet(time.time(), self.transport, *ends, data))

    # -- the end --------------------------------------------------------------------------------

    def overdue(self, now: float) -> Exception | None:
        """Why the connection has lasted too long in its present state, or None."""
        limits, age = self._limits, now - self._since
        if self._state == "connecting":
            if age >= limits.connect_timeout:
                return TimeoutError(errno.ETIMEDOUT, "no answer to the connection request")
        elif self._state == "handshake":
            if age >= limits.message_timeout:
                return TimeoutError(errno.ETIMEDOUT, "the TLS handshake did not finish")
        elif self._unfinished:
            if age >= limits.message_timeout:
                return TimeoutError(errno.ETIMEDOUT, "a message did not finish")
        elif self.accepted and not self.messages:
            if age >= limits.silent_timeout:
                return TimeoutError(errno.ETIMEDOUT, "no message came")
        elif age >= limits.idle_timeout:
            return TimeoutError(errno.ETIMEDOUT, "idle")
        return None

    def close(self, reason: Exception | None = None) -> None:
        if self._ended:
            return
        self._ended = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        self._out.clear()
        self._on_end(self, reason)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


class StreamListener:
    """A listening TCP or TLS socket; every connection is handed to `on_accept`."""

    def __init__(
        self, loop: Loop, host: str, port: int, on_accept: Callable[[socket.socket, Any], object]
    ) -> None:
        bind = Address(host, port)
        self._loop = loop
        self._on_accept = on_accept
        self._sock = sock = socket.socket(bind.family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if bind.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(bind.sockaddr())
            sock.listen(1024)
        except BaseException:
            sock.close()
            raise
        self.address = Address.of(sock.getsockname())
        loop.add_reader(sock, self._readable)

    def _readable(self) -> None:
        for _ in range(64):
            try:
                sock, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _OUT_OF_FILES:
                    # The connection stays in the queue and would wake us at once, for ever.
                    self._loop.remove_reader(self._sock)
                    self._loop.call_later(0.2, self._resume)
                    return
                continue
            sock.setblocking(False)
            self._on_accept(sock, peer)

    def _resume(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock, self._readable)

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()
