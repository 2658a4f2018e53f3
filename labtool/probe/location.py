"""Locating a SIP server by its domain (RFC 3263): NAPTR, then SRV, then A and AAAA.

Only for a name without a port, and with a dot in it: an address or a port settles the matter
(section 4.2), and a name without a dot is this network's own. dnspython is imported when the first
query is due: it takes longer to import than a whole check.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from labtool.probe.target import NameNotResolved, Target, resolve
from labtool.sip.flow import Address

if TYPE_CHECKING:
    from dns.resolver import Answer, Resolver

# RFC 3263 section 4.1, and its SRV names of section 4.2.
_SERVICES = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}
_SRV = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
# How long one question may take, in seconds: a lab without internet has a resolver that is silent.
_PATIENCE_S = 2.0
_CACHED = 100


@dataclass(frozen=True)
class Located:
    """Where to go, the best first. `how` is the way through DNS, for people; "" for A and AAAA."""

    addresses: tuple[Address, ...]
    how: str = ""


class _Silent(Exception):
    """The name server did not answer, or could not."""


def by_name(target: Target) -> bool:
    """Whether DNS shall say which servers, ports and transports there are for `target`."""
    return target.port is None and "." in target.host.rstrip(".") and not _is_address(target.host)


def preferred(target: Target, nameserver: Address | None = None) -> str | None:
    """The transport that the domain itself prefers (section 4.1); None where it says nothing."""
    if not by_name(target):
        return None
    try:
        offered = _naptr(target.host, nameserver)
        if offered:
            return next(iter(offered))
        for transport, prefix in _SRV.items():
            if _srv(f"{prefix}.{target.host}", nameserver):
                return transport
    except _Silent:
        return None
    return None


def locate(target: Target, transport: str, nameserver: Address | None = None) -> Located:
    """The addresses of `target` for `transport`.

    `nameserver` is asked in place of the system's resolver. Blocks while it is asked. Raises
    NameNotResolved.
    """
    trouble = ""
    if by_name(target) and target.named_port(transport) is None:
        try:
            name = _naptr(target.host, nameserver).get(transport) or (
                f"{_SRV[transport]}.{target.host}"
            )
            servers = _srv(name, nameserver)
        except _Silent as error:
            servers, trouble = [], f"no SRV: {error}"
        if servers == [("", 0)]:
            # RFC 2782: a target of "." says that the service is decidedly not there.
            raise NameNotResolved(f"{target.host} says in DNS that it has no SIP over {transport}")
        if servers:
            return _of_servers(target, transport, name, servers, nameserver)
    return Located(_addresses(target, transport, nameserver), trouble)


def _of_servers(
    target: Target,
    transport: str,
    name: str,
    servers: list[tuple[str, int]],
    nameserver: Address | None,
) -> Located:
    found: list[Address] = []
    for host, port in servers:
        try:
            found += _addresses(Target(host, port), transport, nameserver)
        except NameNotResolved:
            continue
    shown = ", ".join(f"{host}:{port}" for host, port in servers)
    if not found:
        raise NameNotResolved(f"{target.host}: SRV {name} names {shown}, which has no address")
    return Located(tuple(dict.fromkeys(found)), f"SRV {name}: {shown}")


def _addresses(target: Target, transport: str, nameserver: Address | None) -> tuple[Address, ...]:
    if nameserver is None or _is_address(target.host):
        return resolve(target, transport)
    port = target.port_for(transport)
    try:
        found = [
            Address(str(record.address), port)
            for kind in ("A", "AAAA")
            for record in _records(target.host, kind, nameserver)
        ]
    except _Silent as error:
        raise NameNotResolved(f"{target.host}: {error}") from None
    if not found:
        raise NameNotResolved(f"{target.host}: no address at the name server {nameserver}")
    return tuple(found)


def _naptr(name: str, nameserver: Address | None) -> dict[str, str]:
    """Transport to SRV name, the preferred first; only what we can speak."""
    found: dict[str, str] = {}
    for record in _records(name, "NAPTR", nameserver):
        transport = _SERVICES.get(record.service.decode("ascii", "replace").upper())
        if transport and record.flags.lower() == b"s":
            found.setdefault(transport, record.replacement.to_text(omit_final_dot=True))
    return found


def _srv(name: str, nameserver: Address | None) -> list[tuple[str, int]]:
    """Hosts and ports, in the order of RFC 2782; [("", 0)] where there is decidedly none."""
    found = []
    for record in _records(name, "SRV", nameserver):
        found.append((record.target.to_text(omit_final_dot=True), record.port))
    if len(found) == 1 and found[0][0] in ("", ".", "@"):
        return [("", 0)]
    return found


def _records(name: str, kind: str, nameserver: Address | None) -> Iterator[Any]:
    """The records in their processing order (SRV: by priority, then drawn by weight)."""
    answer = _ask(name, kind, nameserver)
    if answer is not None and answer.rrset is not None:
        yield from answer.rrset.processing_order()


def _ask(name: str, kind: str, nameserver: Address | None) -> Answer | None:
    from dns import exception, resolver

    try:
        return _resolver(nameserver).resolve(name, kind, search=False)
    except (resolver.NXDOMAIN, resolver.NoAnswer, resolver.YXDOMAIN):
        return None
    except resolver.NoResolverConfiguration:
        return None
    except (exception.Timeout, resolver.NoNameservers) as error:
        said = "the name server failed" if isinstance(error, resolver.NoNameservers) else "silence"
        raise _Silent(f"{said} on {kind} of {name}") from None
    except exception.DNSException:  # a name that DNS cannot hold
        return None


@cache
def _resolver(nameserver: Address | None) -> Resolver:
    from dns import resolver

    made = resolver.Resolver(configure=nameserver is None)
    if nameserver is not None:
        made.nameservers = [nameserver.host]
        made.port = nameserver.port
    made.lifetime = _PATIENCE_S
    made.cache = resolver.LRUCache(_CACHED)  # keeps what it was told for its time to live
    return made


def _is_address(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host.partition("%")[0])
    except OSError:
        return False
    return True
