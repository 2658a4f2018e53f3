"""A flow: where a message came from and the way back to there (RFC 5626 section 2)."""

from __future__ import annotations

import socket

from labtool.sip.errors import SipError
from labtool.sip.value import Value, assign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from labtool.sip.errors import ParseError
    from labtool.sip.message import Message

__all__ = ["Address", "Events", "Flow", "Limits", "Packet"]


class Address(Value):
    """A numeric IPv4 or IPv6 address (no brackets) and a port."""

    __slots__ = ("host", "port")
    host: str
    port: int

    def __init__(self, host: str, port: int) -> None:
        assign(self, "host", host)
        assign(self, "port", port)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self.host == other.host and self.port == other.port

    def __hash__(self) -> int:
        return hash((self.host, self.port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def is_loopback(self) -> bool:
        """True for 127.0.0.0/8 and ::1."""
        return self.host.startswith("127.") or self.host == "::1"

    @property
    def is_wildcard(self) -> bool:
        return self.host in ("0.0.0.0", "::")  # noqa: S104

    def sockaddr(self) -> Any:
        """The form that the socket calls take. Raises SipError where the host is no IP address."""
        # As bytes where it is ASCII: Python would load its IDNA tables for the text of an address.
        host = self.host.encode() if self.host.isascii() else self.host
        try:
            found = socket.getaddrinfo(
                host, self.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
            )
        except (OSError, OverflowError, UnicodeError) as error:
            raise SipError(f"{self.host!r} port {self.port} is not an IP address and port") from (
                error
            )
        return found[0][4]

    @classmethod
    def of(cls, sockaddr: Any) -> Address:
        """From what the socket calls return."""
        return cls(sockaddr[0], sockaddr[1])


class Packet(Value):
    """What a tap sees: a datagram, or the bytes of one read or write of a stream (TLS: decrypted).

    `time` is in seconds since 1970, `transport` is "udp", "tcp" or "tls".
    """

    __slots__ = ("data", "destination", "source", "time", "transport")
    time: float
    transport: str
    source: Address
    destination: Address
    data: bytes

    def __init__(
        self, time: float, transport: str, source: Address, destination: Address, data: bytes
    ) -> None:
        assign(self, "time", time)
        assign(self, "transport", transport)
        assign(self, "source", source)
        assign(self, "destination", destination)
        assign(self, "data", data)


class Limits(Value):
    """What one peer may take. Times in seconds, sizes in bytes (head and body of one message).

    `message_timeout` runs from the first byte of a message (or of a TLS handshake) to its last: a
    slow loris ends there. `silent_timeout` is for an accepted connection that has never carried a
    message, which is worth less than one that has.
    """

    __slots__ = (
        "connect_timeout",
        "idle_timeout",
        "max_body",
        "max_connections",
        "max_head",
        "message_timeout",
        "send_buffer",
        "silent_timeout",
    )
    max_connections: int
    max_head: int
    max_body: int
    connect_timeout: float
    message_timeout: float
    silent_timeout: float
    idle_timeout: float
    send_buffer: int

    def __init__(
        self,
        max_connections: int = 1000,
        max_head: int = 65_536,
        max_body: int = 1 << 20,
        connect_timeout: float = 10.0,
        message_timeout: float = 10.0,
        silent_timeout: float = 60.0,
        idle_timeout: float = 3600.0,
        send_buffer: int = 1 << 20,
    ) -> None:
        assign(self, "max_connections", max_connections)
        assign(self, "max_head", max_head)
        assign(self, "max_body", max_body)
        assign(self, "connect_timeout", connect_timeout)
        assign(self, "message_timeout", message_timeout)
        assign(self, "silent_timeout", silent_timeout)
        assign(self, "idle_timeout", idle_timeout)
        assign(self, "send_buffer", send_buffer)


class Events:
    """Whom the sockets tell; one object shared by all sockets of a `Transports`."""

    __slots__ = ("admit", "on_bad", "on_closed", "on_message", "tap")

    def __init__(
        self,
        on_message: Callable[[Message, Flow], object],
        on_bad: Callable[[bytes, Flow, ParseError], object] | None = None,
        on_closed: Callable[[Flow, Exception | None], object] | None = None,
        tap: Callable[[Packet], object] | None = None,
    ) -> None:
        self.on_message = on_message
        self.on_bad = on_bad
        self.on_closed = on_closed
        self.tap = tap
        # Asked before anything that came is looked at: False for a source not to be heard.
        self.admit: Callable[[Address], bool] | None = None

    def closed(self, flow: Flow, reason: Exception | None) -> None:
        if self.on_closed is not None:
            self.on_closed(flow, reason)

    def bad(self, data: bytes, flow: Flow, error: ParseError) -> None:
        if self.on_bad is not None:
            self.on_bad(data, flow, error)


class Flow:
    """The way to one peer: over UDP a socket and an address, over TCP and TLS a connection."""

    __slots__ = ()

    transport: str
    local: Address
    remote: Address

    @property
    def alive(self) -> bool:
        """False once a connection is gone; a UDP flow lives as long as its socket."""
        raise NotImplementedError

    @property
    def reliable(self) -> bool:
        """True where the transport itself repeats what is lost (RFC 3261: TCP and TLS)."""
        return self.transport != "udp"

    @property
    def shaking_hands(self) -> bool:
        """True while a connection stands and its TLS handshake is not over."""
        return False

    @property
    def secure(self) -> bool:
        return self.transport == "tls"

    def send(self, data: bytes) -> None:
        """Send one message. Never blocks and never raises OSError: failures go to `on_closed`."""
        raise NotImplementedError

    def close(self, reason: Exception | None = None) -> None:
        """End a connection; over UDP this does nothing."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{self.transport} {self.local} - {self.remote}>"
