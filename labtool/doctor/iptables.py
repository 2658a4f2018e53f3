"""`iptables -S` as steps for a packet. ufw, Docker and Flexisip's flood protection write there, too."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from labtool.doctor.firewall import (
    ACCEPT,
    DROP,
    GOTO,
    JUMP,
    REJECT,
    RETURN,
    Packet,
    Step,
    Verdict,
    follow,
    is_within,
)

_PORTS = ("--dport", "--dports", "--destination-port", "--destination-ports")
# Modules whose options are known here.
_MODULES = ("tcp", "udp", "multiport", "state", "conntrack", "comment", "addrtype", "limit")
# Targets that end nothing.
_NEUTRAL = ("LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "TRACE", "CT", "NOTRACK", "SET")


def verdict(rules: Sequence[str], packet: Packet) -> Verdict:
    """What the chain INPUT does with the packet; nothing is decided where there are no rules."""
    if not rules:
        return Verdict("")
    chains: dict[str, list[Step]] = {}
    policy = ACCEPT
    for rule in rules:
        kind, _, rest = rule.partition(" ")
        name, _, tail = rest.partition(" ")
        if kind == "-P" and name == "INPUT":
            policy = tail.strip()
        elif kind == "-A":
            chains.setdefault(name, []).append(_step(rule, packet))
    return follow(chains, "INPUT", policy, f"-P INPUT {policy}")


def _step(rule: str, packet: Packet) -> Step:
    try:
        words = shlex.split(rule)[2:]
    except ValueError:
        return Step(False)
    answers: list[bool | None] = []
    at, negated = 0, False
    while at < len(words):
        word, value = words[at], words[at + 1] if at + 1 < len(words) else ""
        if word == "!":
            negated, at = True, at + 1
            continue
        if word in ("-j", "-g"):
            return _ending(word, value, _all(answers), rule)
        answer = _holds(word, value, packet)
        answers.append(answer if answer is None else answer != negated)
        negated = False
        # Flags without a value.
        at += 1 if word in ("--syn",) else 2
        if word == "--tcp-flags":
            at += 1
    return Step(_all(answers), rule=rule)


def _all(answers: Sequence[bool | None]) -> bool | None:
    if False in answers:
        return False
    return None if None in answers else True


def _ending(word: str, target: str, holds: bool | None, rule: str) -> Step:
    if target in (ACCEPT, DROP, REJECT, RETURN):
        return Step(holds, target, rule=rule)
    if target in _NEUTRAL:
        return Step(holds, rule=rule)
    return Step(holds, GOTO if word == "-g" else JUMP, target, rule)


def _holds(word: str, value: str, packet: Packet) -> bool | None:
    if word in ("-p", "--protocol"):
        return value in (packet.protocol, "all")
    if word in _PORTS:
        return any(_covers(one, packet.port) for one in value.split(","))
    if word in ("-s", "--source"):
        return is_within(packet.source, value)
    if word in ("-i", "--in-interface"):
        return _is_interface(value, packet.interface)
    if word in ("--ctstate", "--state"):
        return "NEW" in value.split(",")
    if word == "--dst-type":
        return value == "LOCAL"
    if word == "-m":
        return True if value in _MODULES else None
    # A limit lets the first packet through; it is not for the first one that it is there.
    if word in ("--comment", "--syn", "--limit", "--limit-burst"):
        return packet.protocol == "tcp" if word == "--syn" else True
    if word == "--tcp-flags":
        return None if packet.protocol == "tcp" else False
    return None


def _is_interface(name: str, here: str) -> bool | None:
    if name == "lo":
        return False
    if not here:
        return None
    return here.startswith(name[:-1]) if name.endswith("+") else here == name


def _covers(text: str, port: int) -> bool:
    low, dash, high = text.partition(":")
    if not low.isdigit():
        return False
    return int(low) <= port <= int(high or low) if not dash or high.isdigit() else False
