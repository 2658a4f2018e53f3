"""`nft -j list ruleset` as steps for a packet (libnftables-json(5)): firewalld and Debian write such.

Followed are the base chains of type filter at the hooks ingress, prerouting and input: each may drop
the packet, and only if none does it comes through.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

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

_HOOKS = ("ingress", "prerouting", "input")
_ENDS = {"accept": ACCEPT, "drop": DROP, "reject": REJECT, "return": RETURN}
_LEADS = {"jump": JUMP, "goto": GOTO}
# Statements that decide nothing.
_NEUTRAL = ("counter", "log", "mangle", "notrack", "secmark", "flow", "continue")
# The tables that iptables writes by way of nftables, where its own list is at hand.
_IPTABLES = ("filter", "raw", "mangle", "nat", "security")
_PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58, "icmpv6": 58, "sctp": 132}


class _Unknown:
    """Stands for a value of the packet that is not known here."""


_UNKNOWN = _Unknown()


@dataclass(frozen=True)
class _Ruleset:
    """sets: the elements by (family, table, name). texts: a rule's line by (family, table, handle)."""

    chains: tuple[dict[str, Any], ...]
    rules: tuple[dict[str, Any], ...]
    sets: Mapping[tuple[str, str, str], Sequence[Any]]
    texts: Mapping[tuple[str, str, int], str]


def verdict(listed: str, lines: Sequence[str], packet: Packet, *, known: bool = False) -> Verdict:
    """What nftables does with the packet. `lines` is the same as text, for showing (nft -a).

    known: iptables' own list is known, so that the tables which it wrote are passed over. Where the
    list cannot be read, nothing is decided.
    """
    ruleset = _read(listed, lines)
    families = ("netdev", "inet", "ip" if packet.version == 4 else "ip6")
    bases = [
        one
        for one in ruleset.chains
        if one.get("type") == "filter"
        and one.get("hook") in _HOOKS
        and one.get("family") in families
        and not (known and one["family"] in ("ip", "ip6") and one["table"] in _IPTABLES)
    ]
    bases.sort(key=lambda one: (_HOOKS.index(one["hook"]), _number(one.get("prio"))))
    unclear: list[str] = []
    for base in bases:
        decided = _in_base(ruleset, base, packet)
        if decided.blocks:
            return decided
        unclear += decided.unclear
    return Verdict("", unclear=tuple(dict.fromkeys(unclear)))


def _in_base(ruleset: _Ruleset, base: Mapping[str, Any], packet: Packet) -> Verdict:
    family, table = str(base["family"]), str(base["table"])
    chains: dict[str, list[Step]] = {}
    for rule in ruleset.rules:
        if (rule.get("family"), rule.get("table")) == (family, table):
            reader = _Reader(ruleset, family, table, packet)
            chains.setdefault(str(rule.get("chain")), []).extend(reader.steps(rule))
    policy = str(base.get("policy", "accept")).upper()
    # It stands in a command that is to be pasted.
    name = shlex.join((family, table, str(base["name"])))
    decided = follow(chains, str(base["name"]), policy, f"{name}: policy {policy.lower()}")
    return replace(decided, base=name)


@dataclass(frozen=True)
class _Reader:
    """Reads the rules of one table for one packet."""

    ruleset: _Ruleset
    family: str
    table: str
    packet: Packet

    def steps(self, rule: Mapping[str, Any]) -> Iterable[Step]:
        holds: bool | None = True
        text = self._text(rule)
        for statement in _dicts(rule.get("expr")):
            ((kind, value),) = list(statement.items())[:1] or [("", None)]
            if kind == "match":
                holds = _both(holds, self._matches(value))
            elif kind in ("limit", "ct count"):
                # The first packet is within a limit, and not over it.
                holds = _both(holds, not (isinstance(value, dict) and value.get("inv")))
            elif kind in _ENDS:
                yield Step(holds, _ENDS[kind], rule=text)
            elif kind in _LEADS and isinstance(value, dict):
                yield Step(holds, _LEADS[kind], str(value.get("target")), text)
            elif kind == "vmap" and isinstance(value, dict):
                yield self._mapped(value, holds, text)
            elif kind not in _NEUTRAL:
                holds = _both(holds, None)

    def _text(self, rule: Mapping[str, Any]) -> str:
        handle = _number(rule.get("handle"))
        where = f"{self.family} {self.table} {rule.get('chain')}"
        line = self.ruleset.texts.get((self.family, self.table, handle), f"handle {handle}")
        return f"{where}: {line}"

    def _matches(self, match: Any) -> bool | None:
        if not isinstance(match, dict):
            return None
        value = self._value(match.get("left"))
        if isinstance(value, bool):
            return value
        op = match.get("op")
        if isinstance(value, _Unknown):
            return None
        answer = self._is_in(value, match.get("right"))
        if op in ("==", "in", None):
            return answer
        if op == "!=":
            return None if answer is None else not answer
        right = match.get("right")
        if not (isinstance(value, int) and isinstance(right, int)):
            return None
        return {"<": value < right, ">": value > right, "<=": value <= right, ">=": value >= right}[
            str(op)
        ] if op in ("<", ">", "<=", ">=") else None  # fmt: skip

    def _value(self, left: Any) -> int | str | bool | _Unknown:
        """What the packet has there; False where it cannot have it, so that no rule on it holds."""
        packet = self.packet
        known: dict[str, int | str]
        if not isinstance(left, dict):
            return _UNKNOWN
        ((kind, field),) = list(left.items())[:1] or [("", None)]
        if kind == "payload" and isinstance(field, dict):
            protocol, name = str(field.get("protocol")), str(field.get("field"))
            if protocol in ("ip", "ip6"):
                if protocol != ("ip" if packet.version == 4 else "ip6"):
                    return False
                if name in ("protocol", "nexthdr"):
                    return packet.protocol
                return packet.source if name == "saddr" and packet.source else _UNKNOWN
            if protocol not in ("th", packet.protocol):
                return False
            return packet.port if name == "dport" else _UNKNOWN
        if kind == "meta" and isinstance(field, dict):
            known = {
                "l4proto": packet.protocol,
                "nfproto": f"ipv{packet.version}",
                "protocol": "ip" if packet.version == 4 else "ip6",
            }
            key = str(field.get("key"))
            if key in ("iif", "iifname"):
                return packet.interface or "?"
            return known.get(key, _UNKNOWN)
        if kind == "ct" and isinstance(field, dict):
            known = {"state": "new", "status": 0}
            return known.get(str(field.get("key")), _UNKNOWN)
        if kind == "fib" and isinstance(field, dict) and field.get("result") == "type":
            return "local" if "daddr" in _words(field.get("flags")) else "unicast"
        if kind == "&" and isinstance(field, list) and field:
            # Flags of TCP: the first packet has SYN alone.
            under = field[0]
            if isinstance(under, dict) and under.get("payload") == {
                "protocol": "tcp", "field": "flags"
            }:  # fmt: skip
                return "syn" if packet.protocol == "tcp" else False
        return _UNKNOWN

    def _is_in(self, value: int | str, right: Any) -> bool | None:
        if isinstance(right, str) and right.startswith("@"):
            elements = self.ruleset.sets.get((self.family, self.table, right[1:]))
            return None if elements is None else self._any(value, elements)
        if isinstance(right, dict):
            ((kind, inner),) = list(right.items())[:1] or [("", None)]
            if kind == "set":
                return self._any(value, inner if isinstance(inner, list) else [inner])
            if kind == "range" and isinstance(inner, list) and len(inner) == 2:
                return _between(value, inner[0], inner[1])
            if kind == "prefix" and isinstance(inner, dict) and isinstance(value, str):
                return is_within(value, f"{inner.get('addr')}/{inner.get('len')}")
            if kind == "elem" and isinstance(inner, dict):
                return self._is_in(value, inner.get("val"))
            return None
        if isinstance(right, list):
            return self._any(value, right)
        if value == "?":
            # An interface that is not known is at least not the loopback.
            return False if right == "lo" else None
        if isinstance(right, str) and right.endswith("*") and isinstance(value, str):
            return value.startswith(right[:-1])
        if value in _PROTOCOLS and isinstance(right, int):
            return _PROTOCOLS[str(value)] == right
        return bool(value == right)

    def _any(self, value: int | str, elements: Sequence[Any]) -> bool | None:
        answers = [self._is_in(value, one) for one in elements]
        if True in answers:
            return True
        return None if None in answers else False

    def _mapped(self, vmap: Mapping[str, Any], holds: bool | None, text: str) -> Step:
        """The verdict that a map has for the packet."""
        value = self._value(vmap.get("key"))
        data = vmap.get("data")
        pairs: Any = data.get("set") if isinstance(data, dict) else None
        if isinstance(data, str) and data.startswith("@"):
            pairs = self.ruleset.sets.get((self.family, self.table, data[1:]))
        if value is False:
            return Step(False, rule=text)
        if isinstance(value, (_Unknown, bool)) or not isinstance(pairs, (list, tuple)):
            # Whatever it says: that it says something to this packet is not known.
            return Step(None, DROP if "drop" in json.dumps(pairs) else ACCEPT, rule=text)
        for pair in pairs:
            if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], dict)):
                continue
            answer = self._is_in(value, pair[0])
            if answer is False:
                continue
            ((kind, target),) = list(pair[1].items())[:1] or [("", None)]
            holds = _both(holds, answer)
            if kind in _ENDS:
                return Step(holds, _ENDS[kind], rule=text)
            if kind in _LEADS and isinstance(target, dict):
                return Step(holds, _LEADS[kind], str(target.get("target")), text)
        return Step(False, rule=text)


def _both(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def _between(value: int | str, low: Any, high: Any) -> bool | None:
    if isinstance(value, int) and isinstance(low, int) and isinstance(high, int):
        return low <= value <= high
    return None


def _words(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _read(listed: str, lines: Sequence[str]) -> _Ruleset:
    chains: list[dict[str, Any]] = []
    rules: list[dict[str, Any]] = []
    sets: dict[tuple[str, str, str], Sequence[Any]] = {}
    for one in _dicts(_parsed(listed).get("nftables")):
        ((kind, value),) = list(one.items())[:1] or [("", None)]
        if not isinstance(value, dict):
            continue
        if kind == "chain" and "hook" in value and {"family", "table", "name"} <= set(value):
            chains.append(value)
        elif kind == "rule":
            rules.append(value)
        elif kind in ("set", "map"):
            place = (str(value.get("family")), str(value.get("table")), str(value.get("name")))
            elements = value.get("elem", [])
            sets[place] = elements if isinstance(elements, list) else [elements]
    return _Ruleset(tuple(chains), tuple(rules), sets, _texts(lines))


def _texts(lines: Sequence[str]) -> dict[tuple[str, str, int], str]:
    texts: dict[tuple[str, str, int], str] = {}
    table = ("", "")
    for line in lines:
        if head := re.match(r"table (\S+) (\S+) \{", line):
            table = (head[1], head[2])
        elif tail := re.match(r"\s*(.*\S)\s+# handle (\d+)$", line):
            texts[(*table, int(tail[2]))] = re.sub(r"counter packets \d+ bytes \d+ ?", "", tail[1])
    return texts


def can_be_read(listed: str) -> bool:
    """Whether the list is one in JSON, and whole."""
    return bool(_parsed(listed))


def _parsed(listed: str) -> dict[str, Any]:
    try:
        top = json.loads(listed)
    except (ValueError, RecursionError):
        return {}
    return top if isinstance(top, dict) else {}
