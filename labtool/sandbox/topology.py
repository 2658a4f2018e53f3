"""Which names and addresses are our own, and which socket leads to a place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from labtool.sandbox.listening import Point
from labtool.sip.flow import Address, Flow
from labtool.sip.uri import SipUri

__all__ = ["Topology", "place"]


class Topology:
    """The points that the sandbox listens at, with the other names that it has."""

    def __init__(self, points: Sequence[Point], aliases: Iterable[str]) -> None:
        self.points = tuple(points)
        hosts = {host.lower() for point in points for host in (point.host, point.bind.host)}
        self._aliases = frozenset(name.strip("[]").lower() for name in aliases)
        self._hosts = hosts | self._aliases
        self.ports = {point.bind.port for point in points}

    def is_us(self, uri: SipUri) -> bool:
        """Whether a request for this URI would come to us. A name without a port is ours whatever
        port we are at, as clients leave out the one that they found through DNS."""
        host = uri.host.lower()
        if host not in self._hosts:
            return False
        if uri.port is None:
            return host in self._aliases or self._default_port(uri) in self.ports
        return uri.port in self.ports

    @staticmethod
    def _default_port(uri: SipUri) -> int:
        return 5061 if uri.scheme == "sips" or uri.transport == "tls" else 5060

    @property
    def own_vias(self) -> frozenset[tuple[str, int]]:
        """(host, port) of every Via that we write."""
        return frozenset((point.host, point.bind.port) for point in self.points)

    def point_of(self, flow: Flow) -> Point:
        """The point that a flow belongs to; for a connection that we opened, the one by which the
        other side would reach us over the same transport."""
        best, score = self.points[0], -1
        for point in self.points:
            found = 0
            if point.transport == flow.transport:
                found += 4
            if point.bind.host == flow.local.host or point.bind.is_wildcard:
                found += 2
            if point.bind.port == flow.local.port:
                found += 1
            if found > score:
                best, score = point, found
        return best

    def local_for(self, transport: str, remote: Address) -> Address | None:
        """The UDP socket to use for a peer: of its family, and on its side of loopback."""
        fitting = [
            point.bind
            for point in self.points
            if point.transport == transport and point.bind.family == remote.family
        ]
        fitting.sort(key=lambda bind: bind.is_loopback != remote.is_loopback)
        return fitting[0] if fitting else None


def place(uri: SipUri) -> tuple[str, Address] | None:
    """Transport and address that a URI names (RFC 3263 section 4, for numeric hosts); None for a
    host name, which the sandbox does not resolve, but for "localhost"."""
    transport = uri.transport or "udp"
    if uri.scheme == "sips" or transport == "tls":
        transport = "tls"
    if transport not in ("udp", "tcp", "tls"):
        return None
    host = (uri.params.get("maddr") or uri.host).strip("[]")
    if host.lower() == "localhost":
        host = "127.0.0.1"
    try:
        ip_address(host)
    except ValueError:
        return None
    return transport, Address(host, uri.port or (5061 if transport == "tls" else 5060))
