"""What the host's own packet filter does with a new packet from outside.

`iptables` and `nftables` read the rules; here they are followed. A rule that asks for something that
is not known (a mark, a program) may hold or not: it is remembered, and what comes after it is sure
only where it would come to the same. Source address and interface are those of the SSH connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labtool.doctor.server import Server

_DEPTH = 16
ACCEPT, DROP, REJECT, RETURN, JUMP, GOTO = "ACCEPT", "DROP", "REJECT", "RETURN", "JUMP", "GOTO"
_BLOCKS = (DROP, REJECT)


@dataclass(frozen=True)
class Packet:
    """The first one of a connection. source, interface: "" where they are not known."""

    protocol: str
    port: int
    source: str = ""
    interface: str = ""
    version: int = 4


@dataclass(frozen=True)
class Step:
    """A rule as it is for one packet. holds: whether it matches, None where that is not known.

    action: ACCEPT, DROP, REJECT, RETURN, JUMP or GOTO; "" for a rule that only counts or logs.
    chain: where JUMP and GOTO lead. rule: as people read it.
    """

    holds: bool | None
    action: str = ""
    chain: str = ""
    rule: str = ""


@dataclass(frozen=True)
class Verdict:
    """target: ACCEPT, DROP, REJECT, or "" where nothing was decided. rule: the line that decides.

    unclear: rules before it that may decide otherwise. base: the chain of nftables that it came
    from, "" for iptables.
    """

    target: str
    rule: str = ""
    unclear: tuple[str, ...] = ()
    base: str = ""

    @property
    def blocks(self) -> bool:
        return self.target in _BLOCKS and not self.unclear


def follow(
    chains: Mapping[str, Sequence[Step]], chain: str, policy: str = ACCEPT, policy_rule: str = ""
) -> Verdict:
    """What becomes of the packet in a base chain."""
    maybe: list[Verdict] = []
    decided = _walk(chains, chain, 0, maybe) or Verdict(policy, policy_rule)
    other = [one.rule for one in maybe if (one.target in _BLOCKS) != (decided.target in _BLOCKS)]
    return replace(decided, unclear=tuple(dict.fromkeys(other)))


def _walk(
    chains: Mapping[str, Sequence[Step]], chain: str, depth: int, maybe: list[Verdict]
) -> Verdict | None:
    if depth > _DEPTH:
        return None
    for step in chains.get(chain, ()):
        if step.holds is False or not step.action:
            continue
        if step.action in (JUMP, GOTO):
            decided = _walk(chains, step.chain, depth + 1, maybe)
        else:
            decided = Verdict(step.action, step.rule)
        if step.holds is None:
            # An unknown RETURN leaves the rest of the chain as unsure as an unknown ACCEPT does.
            if decided:
                maybe.append(replace(decided, target="" if decided.target == RETURN else
                                     decided.target, rule=step.rule))  # fmt: skip
            continue
        if step.action == RETURN:
            return None
        if decided or step.action == GOTO:
            return decided
    return None


def verdict(server: Server, protocol: str, port: int, *, version: int = 4) -> Verdict:
    """What the host does with a new packet to this port: by iptables' rules, then by nftables'."""
    from labtool.doctor import iptables, nftables

    source = server.client if _version(server.client) == version else ""
    packet = Packet(protocol, port, source, server.interface, version)
    # Who floods the server is shut out for a while, which is another matter.
    chains = server.iptables if version == 4 else server.ip6tables
    rules = [rule for rule in chains if not rule.startswith("-A FLEXISIP ")]
    first = iptables.verdict(rules, packet)
    if first.blocks:
        return first
    # What iptables lists is in nft's list once more, in a form that says less.
    then = nftables.verdict(server.nft_json, server.nft, packet, known=bool(rules))
    return then if then.target in _BLOCKS or then.unclear else first


def opening(server: Server, blocked: Mapping[tuple[str, str], Verdict]) -> str:
    """The command that opens ports, {(protocol, "5060" or "10000-20000"): what blocks it}.

    By whatever keeps the host's firewall; a rule that is put in by iptables or nft themselves is
    gone after a reboot.
    """
    if any(line.startswith("-N ufw") for line in server.iptables):
        return " && ".join(f"ufw allow {port.replace('-', ':')}/{kind}" for kind, port in blocked)
    if any("firewalld" in rule.base for rule in blocked.values()):
        added = " ".join(f"--add-port={port}/{kind}" for kind, port in blocked)
        return f"firewall-cmd --permanent {added} && firewall-cmd --reload"
    return " && ".join(
        f"nft insert rule {rule.base} {kind} dport {port} accept"
        if rule.base
        else f"iptables -I INPUT -p {kind} --dport {port.replace('-', ':')} -j ACCEPT"
        for (kind, port), rule in blocked.items()
    )


def is_within(address: str, network: str) -> bool | None:
    """Whether an address is of a network; None where either cannot be told."""
    try:
        return ip_address(address) in ip_network(network, strict=False)
    except ValueError:
        return None


def _version(address: str) -> int:
    try:
        return ip_address(address).version
    except ValueError:
        return 0
