"""Where a probe is aimed: host, port and transport out of what a person typed, then an address.

Addresses here come from the system's resolver (A, AAAA and its hosts file); what a domain says of its
SIP servers by NAPTR and SRV (RFC 3263) is in `location`.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

from labtool.errors import LabtoolError, RequestError
from labtool.sip.flow import Address

TRANSPORTS = ("udp", "tcp", "tls")
DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}

# RFC 1123 names, with the underscore that some labs have.
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


class NameNotResolved(LabtoolError):
    """The name has no address; the text says what the resolver said."""


@dataclass(frozen=True)
class Target:
    """A server as it was named. `port` None means the transport's own; `transport` None, any.

    `tls_port` is for TLS where that differs from `port`.
    """

    host: str
    port: int | None = None
    transport: str | None = None
    tls_port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def port_for(self, transport: str) -> int:
        """The port to ask over `transport`."""
        return self.named_port(transport) or DEFAULT_PORTS[transport]

    def named_port(self, transport: str) -> int | None:
        """The port that was named for `transport`, if there was one."""
        if transport == "tls" and self.tls_port is not None:
            return self.tls_port
        return self.port

    def over(self, transport: str) -> Target:
        """The same where only `transport` is asked: its port is the one to name."""
        return Target(self.host, self.named_port(transport), self.transport)

    @classmethod
    def parse(cls, text: str) -> Target:
        """From "host", "host:port", "[v6]:port", a bare IPv6 address, or a sip(s): URI of a host.

        Raises RequestError with a sentence on what is wrong.
        """
        rest, transport = text, None
        scheme = re.match(r"(sips?):(?!\d+$)", rest, re.IGNORECASE)
        if scheme:
            transport = "tls" if scheme[1].lower() == "sips" else None
            rest = rest[scheme.end() :]
            rest, *parameters = rest.split(";")
            for parameter in parameters:
                name, _, value = parameter.partition("=")
                if name.lower() == "transport":
                    transport = value.lower()
            rest = rest.rpartition("@")[2]
        if transport is not None and transport not in TRANSPORTS:
            raise RequestError(f"{text!r} has the transport {transport!r}; known: udp, tcp, tls")
        host, port = _host_and_port(rest, text)
        return cls(host, port, transport)


def _host_and_port(rest: str, text: str) -> tuple[str, int | None]:
    if rest.count(":") > 1 and not rest.startswith("["):
        host, port = rest, ""
        address, _, last = rest.rpartition(":")
        if last in ("5060", "5061") and _is_ipv6(address):
            raise RequestError(
                f"{text!r} may be an address, or one with a port: write [{address}]:{last} "
                f"(or [{rest}])"
            )
    else:
        matched = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::(.*))?", rest, re.DOTALL)
        if not matched:
            raise RequestError(f"{text!r} is no HOST, HOST:PORT or [IPV6]:PORT")
        host, port = matched[1].strip("[]"), matched[2] or ""
        if matched[2] == "":
            raise RequestError(f"{text!r} has no port after the colon")
    if ":" in host:
        if not _is_ipv6(host):
            raise RequestError(f"{host!r} is no IPv6 address")
    elif not _NAME.fullmatch(host) or len(host) > 253:
        raise RequestError(f"{host!r} is no host name or IP address")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise RequestError(f"{port!r} is no port; a port is a number from 1 to 65535")
    return host, int(port) if port else None


def _is_ipv6(text: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except OSError:
        return False
    return True


def transports(text: str) -> tuple[str, ...]:
    """The transports of "udp", "udp,tcp", or "all" (udp, tcp and tls), in that order.

    Raises RequestError for a name that is none of them.
    """
    if text.strip().lower() == "all":
        return TRANSPORTS
    names = tuple(part.strip().lower() for part in text.split(","))
    for name in names:
        if name not in TRANSPORTS:
            raise RequestError(f"{name!r} is no transport; known: udp, tcp, tls, all")
    return tuple(dict.fromkeys(names))


def resolve(target: Target, transport: str) -> tuple[Address, ...]:
    """The addresses of `target` in the order in which the system would try them.

    Blocks as long as the system's resolver does. Raises NameNotResolved.
    """
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    try:
        # As bytes where it is ASCII: Python would load its IDNA tables for the text of an address.
        host = target.host.encode() if target.host.isascii() else target.host
        found = socket.getaddrinfo(host, target.port_for(transport), type=kind)
    except (OSError, UnicodeError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise NameNotResolved(f"{target.host}: {said}") from None
    return tuple(dict.fromkeys(Address.of(row[4]) for row in found))


def local_host(remote: Address) -> str:
    """This machine's own address on the way to `remote`; OSError where there is no way.

    Nothing is sent: connecting a UDP socket only asks the routing table.
    """
    with socket.socket(remote.family, socket.SOCK_DGRAM) as probe:
        probe.connect(remote.sockaddr())
        return str(probe.getsockname()[0])
