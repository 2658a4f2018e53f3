"""What the host's own packet filter does with a new packet from outside: `iptables -S`, followed.

ufw and Docker write their rules there, too. A rule that asks for something else than protocol and
port (an address, a rate, a mark) is taken not to match: it is about some packets only.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_DEPTH = 12


@dataclass(frozen=True)
class Verdict:
    """`target`: DROP or REJECT. `rule`: the line that decides."""

    target: str
    rule: str


def blocks(rules: Sequence[str], protocol: str, port: int) -> Verdict | None:
    """The rule of INPUT by which a packet to this port goes lost; None where it comes through."""
    chains: dict[str, list[str]] = {}
    policies: dict[str, str] = {}
    for rule in rules:
        kind, _, rest = rule.partition(" ")
        name, _, tail = rest.partition(" ")
        if kind == "-P":
            policies[name] = tail.strip()
        elif kind == "-A":
            chains.setdefault(name, []).append(rule)
    decided = _walk(chains, "INPUT", protocol, port, 0)
    if decided is None and policies.get("INPUT", "ACCEPT") != "ACCEPT":
        decided = Verdict(policies["INPUT"], f"-P INPUT {policies['INPUT']}")
    return decided if decided and decided.target in ("DROP", "REJECT") else None


def _walk(
    chains: Mapping[str, Sequence[str]], chain: str, protocol: str, port: int, depth: int
) -> Verdict | None:
    if depth > _DEPTH:
        return None
    for rule in chains.get(chain, ()):
        target = _target_if_it_matches(rule, protocol, port)
        if target in ("ACCEPT", "DROP", "REJECT"):
            return Verdict(target, rule)
        if target == "RETURN":
            return None
        if target and (decided := _walk(chains, target, protocol, port, depth + 1)):
            return decided
    return None


def _target_if_it_matches(rule: str, protocol: str, port: int) -> str:
    try:
        words = shlex.split(rule)[2:]
    except ValueError:
        return ""
    target = ""
    at = 0
    while at < len(words):
        word, value = words[at], words[at + 1] if at + 1 < len(words) else ""
        if word == "!":
            return ""
        if word in ("-p", "--protocol"):
            if value not in (protocol, "all"):
                return ""
        elif word in ("--dport", "--dports", "--destination-ports"):
            if not any(_covers(one, port) for one in value.split(",")):
                return ""
        elif word in ("-j", "-g"):
            target = value
            break
        elif word in ("--ctstate", "--state"):
            if "NEW" not in value.split(","):
                return ""
        elif word == "-m":
            if value not in ("tcp", "udp", "multiport", "state", "conntrack", "comment"):
                return ""
        elif word == "--comment":
            pass
        else:
            return ""
        at += 2
    return target


def _covers(text: str, port: int) -> bool:
    low, dash, high = text.partition(":")
    if not low.isdigit():
        return False
    return int(low) <= port <= int(high or low) if not dash or high.isdigit() else False
