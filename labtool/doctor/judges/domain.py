"""The domain's records in DNS against the host (RFC 3263)."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from labtool.doctor.evidence import Evidence
from labtool.doctor.finding import Finding, found
from labtool.doctor.names import NAPTR_SERVICES, is_address


def findings(evidence: Evidence) -> Iterator[Finding]:
    names = evidence.names
    if not names.domain or names.error or is_address(names.domain):
        return
    # Without a lab the domain is what the server's own file says.
    quoted, service = shlex.quote(names.domain), shlex.quote(f"_sip._udp.{names.domain}")
    ask = f"dig +short {quoted} A; dig +short {service} SRV"
    if not (names.addresses or names.srv):
        if not names.private:
            yield found(
                "dns-missing",
                f"{names.domain} has no address in DNS: phones find the server only where its "
                "address is entered as proxy.",
                f"{names.domain}: no A, AAAA or SRV record",
                next=ask,
            )
        return
    yield from _host(evidence, ask)
    yield from _services(evidence, ask)


def _own(evidence: Evidence) -> set[str]:
    own = set(evidence.reached_by)
    if evidence.server:
        own |= set(evidence.server.addresses)
    if evidence.wanted and evidence.wanted.public_address:
        own.add(evidence.wanted.public_address)
    return {one for one in own if not one.startswith("127.") and one != "::1"}


def _host(evidence: Evidence, ask: str) -> Iterator[Finding]:
    names, own = evidence.names, _own(evidence)
    if not own:
        return
    # With SRV records those count for signing in, and A only for what does not know SRV.
    known = own | set(evidence.wanted.siblings if evidence.wanted else ())
    other = [one for one in names.addresses if one not in known]
    if other:
        yield found(
            "dns-other-host",
            f"The domain {names.domain} leads to {', '.join(other)}, which is not this host "
            f"({', '.join(sorted(own))}).",
            *names.lines(),
            next=ask,
        )
    server = evidence.server
    own_v6 = [one for one in names.aaaa if one in own]
    if own_v6 and server and server.active:
        heard = any(
            one.flexisip and ":" in one.host and not one.loopback for one in server.listening
        )
        if not heard:
            yield found(
                "dns-ipv6",
                f"{names.domain} has the IPv6 address {own_v6[0]}, on which the server does not "
                "listen.",
                *names.lines(),
                next=ask,
            )


def _services(evidence: Evidence, ask: str) -> Iterator[Finding]:
    names = evidence.names
    wrong = [f"{srv}: the target has no address" for srv in names.srv if not srv.addresses]
    own = _own(evidence)
    served = set(evidence.points) or {
        (port.transport, port.number) for port in evidence.ports if port.state == "open"
    }
    if served:
        wrong += [
            f"{srv}: the server does not serve that port over {srv.transport}"
            for srv in names.srv
            if srv.addresses
            and set(srv.addresses) & own
            and (srv.transport, srv.port) not in served
        ]
        offered = {transport for transport, _ in served}
        wrong += [
            f"{record}: the server does not serve {NAPTR_SERVICES[record.service.upper()]}"
            for record in names.naptr
            if NAPTR_SERVICES.get(record.service.upper(), "udp") not in offered
            and record.service.upper() in NAPTR_SERVICES
        ]
    if wrong:
        yield found(
            "dns-service",
            f"The service records of {names.domain} do not fit the server.",
            *wrong,
            next=ask,
        )
