"""From here to the server: not running, running but not reachable, reachable but refusing."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from labtool.doctor import firewall, network
from labtool.doctor.evidence import Evidence
from labtool.doctor.finding import Finding, found
from labtool.doctor.firewall import Verdict, is_within
from labtool.doctor.judges.place import LOST, sound_is_blocked, sound_ports
from labtool.doctor.judges.service import SERVICE
from labtool.doctor.network import Port
from labtool.doctor.server import Server

# What a dropped packet looks like from here.
_SILENT = (network.FILTERED, network.SILENT)
# RFC 1918 and RFC 6598; RFC 4193.
_PRIVATE = tuple(
    ip_network(one)
    for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
# SSH's words where nothing at all came from the machine.
_NO_MACHINE = (
    "does not answer",
    os.strerror(errno.EHOSTUNREACH),
    os.strerror(errno.ENETUNREACH),
    os.strerror(errno.EHOSTDOWN),
)
_CLOUDS = {
    "alibaba": "in the Alibaba Cloud console: ECS, Security Groups, Inbound",
    "amazon": "in the AWS console: EC2, Security Groups, Inbound rules",
    "google": "gcloud compute firewall-rules create sip --allow=",
    "microsoft": "in the Azure portal: Networking, Inbound port rules",
    "digitalocean": "in DigitalOcean's control panel: Networking, Firewalls",
    "hetzner": "in Hetzner's console: Firewalls, Inbound",
    "tencent": "in Tencent Cloud's console: CVM, Security Groups",
    "huawei": "in Huawei Cloud's console: Security Groups, Inbound Rules",
}


def findings(evidence: Evidence) -> Iterator[Finding]:
    ports = evidence.ports
    if not ports:
        return
    unknown = [port for port in ports if port.state == network.UNKNOWN_NAME]
    if unknown:
        yield found(
            "name-unknown",
            f"The name {evidence.target} has no address.",
            *[str(port) for port in unknown],
            next=f"getent ahosts {evidence.target}",
        )
        return
    ways = [port for port in ports if port.state in (network.UNREACHABLE, network.LOCAL)]
    # Some clients of a lab have no TLS, and nobody asked for it: it counts when it is served.
    if ways and len(ways) == len(ports) and not any(_blocked(evidence, port) for port in ways):
        yield _unreachable(evidence, ways)
        return
    if evidence.server is None:
        yield from _from_outside(evidence)
    else:
        yield from _with_the_host(evidence, evidence.server)


def _unreachable(evidence: Evidence, ports: list[Port]) -> Finding:
    return found(
        "host-unreachable",
        f"{evidence.target} cannot be reached from here.",
        *[str(port) for port in ports],
        *([evidence.unreachable] if evidence.unreachable else []),
        next=f"ping -c 3 {evidence.target}",
    )


def _from_outside(evidence: Evidence) -> Iterator[Finding]:
    """What can be said when nobody may look at the host."""
    ports = evidence.ports
    silent = [port for port in ports if port.state in (network.FILTERED, network.UNREACHABLE)]
    answering = [port for port in ports if port not in silent and port.state != network.SILENT]
    dead = any(words in evidence.unreachable for words in _NO_MACHINE)
    if len(silent) == len(ports) and dead:
        yield _unreachable(evidence, silent)
        return
    # Silence over UDP beside a closed TCP port is the same closed port: ICMP is often dropped.
    closed = [port for port in ports if port.state == network.CLOSED]
    if closed:
        yield found(
            "port-closed",
            f"{evidence.target} answers, but nothing listens on {_names(closed)}.",
            *[str(port) for port in ports],
            next=evidence.on_host(f"systemctl status {SERVICE}; ss -lntup")
            if evidence.ssh
            else f"labtool doctor --host {evidence.target}",
        )
    elif silent:
        some = " The other transports answer, so the server runs." if answering else ""
        yield found(
            "security-group",
            f"Nothing comes through to {_names(silent)} of {evidence.target}: a firewall or the "
            f"cloud's security group drops it, or the machine is down.{some}",
            *[str(port) for port in ports],
            next=f"open {_opened(silent)} in the security group, then: labtool probe "
            f"{evidence.target} --transport {silent[0].transport}",
        )
    yield from _odd_answers(evidence, ports)


def _with_the_host(evidence: Evidence, server: Server) -> Iterator[Finding]:
    """Each port beside what the host says of it."""
    ports = evidence.ports
    served = [port for port in ports if evidence.listens(port.transport, port.number)]
    yield from _bans(evidence, server)
    stuck = [port for port in served if _is_stuck(evidence, port)]
    if stuck:
        queue = [str(one) + f": {one.waiting} waiting" for port in stuck
                 for one in evidence.listens(port.transport, port.number) if one.waiting]  # fmt: skip
        yield found(
            "not-answering",
            "The server has its ports open and does not answer: it hangs.",
            *[str(port) for port in stuck],
            *queue,
            next=evidence.on_host(f"systemctl restart {SERVICE}"),
        )
    lost = [port for port in served if port not in stuck and port.state in LOST]
    rules: dict[Port, Verdict] = {}
    unclear: list[str] = []
    for port in lost:
        rule = _verdict(evidence, server, port)
        if rule.blocks:
            rules[port] = rule
        unclear += rule.unclear
    if rules:
        blocked = {
            ("udp" if port.transport == "udp" else "tcp", str(port.number)): rule
            for port, rule in rules.items()
        }
        sound = sound_is_blocked(evidence)
        if sound and evidence.conf:
            blocked["udp", sound_ports(evidence.conf)] = sound
        yield found(
            "host-firewall",
            f"The server listens, but the host's own firewall keeps {_names(list(rules))} closed"
            f"{', and the sound' if sound else ''}.",
            *dict.fromkeys(rule.rule for rule in rules.values()),
            *[str(port) for port in rules],
            next=evidence.on_host(firewall.opening(server, blocked)),
        )
    dropped = [port for port in lost if port not in rules]
    if dropped:
        yield _on_the_way(evidence, server, dropped, unclear)
    closed = [port for port in ports if port not in served and port.state == network.CLOSED]
    if closed:
        yield found(
            "port-closed",
            f"Nothing listens on {_names(closed)} of {evidence.target}.",
            *[str(port) for port in closed],
            next=evidence.on_host(f"systemctl status {SERVICE}; ss -lntup"),
        )
    yield from _odd_answers(evidence, [port for port in ports if port not in stuck])


def _verdict(evidence: Evidence, server: Server, port: Port) -> Verdict:
    kind = "udp" if port.transport == "udp" else "tcp"
    return firewall.verdict(server, kind, port.number, version=evidence.ip_version)


def _blocked(evidence: Evidence, port: Port) -> bool:
    """Whether the host itself lets nothing through. firewalld's rejection looks like a lost way."""
    server = evidence.server
    return server is not None and _verdict(evidence, server, port).blocks


def _is_stuck(evidence: Evidence, port: Port) -> bool:
    """Open and silent: what came in waits in the kernel, or TCP connects and nobody answers."""
    if port.state not in _SILENT:
        return False
    if port.transport != "udp":
        return port.state == network.SILENT
    siblings = [
        one for one in evidence.ports if one.transport != "udp" and one.number == port.number
    ]
    waiting = any(one.waiting for one in evidence.listens("udp", port.number))
    return waiting or any(one.state == network.SILENT for one in siblings)


def _on_the_way(
    evidence: Evidence, server: Server, dropped: list[Port], unclear: list[str]
) -> Finding:
    vendor = server.vendor.lower()
    where = next((text for name, text in _CLOUDS.items() if name in vendor), "")
    more = [f"the machine is one of {server.vendor}"] if where else []
    more += [f"unless it is this rule of the host's own: {rule}" for rule in unclear[:2]]
    opening = where or "in the cloud's web console, or on the router before the host"
    if where.startswith("gcloud"):
        opening += _opened(dropped).lower().replace(", ", ",").replace(" ", ":")
    else:
        opening = f"open {_opened(dropped)} {opening}"
    return found(
        "security-group",
        f"The server runs and listens, and nothing comes through to {_names(dropped)}: the cloud's "
        "security group, or a firewall before the host, drops it.",
        *[str(port) for port in dropped],
        *[str(one) for port in dropped for one in evidence.listens(port.transport, port.number)],
        *more,
        next=opening,
    )


def _bans(evidence: Evidence, server: Server) -> Iterator[Finding]:
    """A stranger's ban is what the protection is for; one of this room's is what goes wrong."""
    ours = [rule for rule in bans(server) if _is_ours(_source(rule), server)]
    if ours:
        yield found(
            "banned",
            f"The server's flood protection shuts out {', '.join(sorted(map(_source, ours)))} now.",
            *ours,
            next=evidence.on_host("iptables -F FLEXISIP"),
        )


def bans(server: Server) -> list[str]:
    """The rules of the flood protection that shut somebody out."""
    return [
        rule
        for rule in (*server.iptables, *server.ip6tables)
        if rule.startswith("-A FLEXISIP ") and ("REJECT" in rule or "DROP" in rule)
    ]


def _source(rule: str) -> str:
    return rule.partition(" -s ")[2].split(" ")[0]


def _is_ours(network: str, server: Server) -> bool:
    """Whether it is the address of who looks, or one of a room's own network."""
    if server.client and is_within(server.client, network):
        return True
    try:
        address = ip_address(network.partition("/")[0])
    except ValueError:
        # A rule for everybody.
        return True
    return any(address in network for network in _PRIVATE if network.version == address.version)


def _odd_answers(evidence: Evidence, ports: tuple[Port, ...] | list[Port]) -> Iterator[Finding]:
    if banned := [port for port in ports if port.cause == "banned"]:
        yield found(
            "banned",
            "The server answered and then fell silent: it has banned this address for two minutes.",
            *[str(port) for port in banned],
            next=f"sleep 120; labtool probe {evidence.target}",
        )
    foreign = [port for port in ports if port.state == network.NOT_SIP]
    if other := [port for port in foreign if port.cause == network.OTHER_TRANSPORT]:
        yield found(
            "not-sip",
            f"{_names(other)} is the port of another transport: {other[0].detail}.",
            *[str(port) for port in other],
            "usual are 5060 for UDP and TCP, 5061 for TLS",
            next=f"labtool doctor {evidence.target} --transport all",
        )
    elif foreign:
        yield found(
            "not-sip",
            f"What answers on {_names(foreign)} does not speak SIP.",
            *[str(port) for port in foreign],
            next=evidence.on_host(f"ss -lntup 'sport = :{foreign[0].number}'"),
        )
    silent = [
        port
        for port in ports
        if port.state == network.SILENT and port.cause != "banned" and evidence.server is None
    ]
    if silent:
        yield found(
            "not-answering",
            f"{_names(silent)} of {evidence.target} takes the connection and does not answer.",
            *[str(port) for port in silent],
            next=evidence.on_host(f"systemctl restart {SERVICE}"),
        )
    errors = [port for port in ports if port.state == network.REFUSES]
    if loops := [port for port in errors if port.cause == "loop"]:
        yield found(
            "alias-missing",
            f"The server does not know that {evidence.target} is its own name: 482 Loop Detected.",
            *[str(port) for port in loops],
            next=evidence.redeploy("grep -n aliases /etc/flexisip/flexisip.conf"),
        )
    if others := [port for port in errors if port.cause != "loop"]:
        yield found(
            "answers-error",
            f"The server answers OPTIONS over {_names(others)} with an error.",
            *[str(port) for port in others],
            next=evidence.on_host(f"journalctl -u {SERVICE} -n 50"),
        )


def _names(ports: list[Port]) -> str:
    return " and ".join(f"{port.transport} {port.number}" for port in ports)


def _opened(ports: list[Port]) -> str:
    return ", ".join(
        dict.fromkeys(f"{'UDP' if p.transport == 'udp' else 'TCP'} {p.number}" for p in ports)
    )
