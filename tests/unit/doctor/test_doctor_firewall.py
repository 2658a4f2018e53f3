"""The rules of iptables and nftables followed for a new packet from outside."""

from __future__ import annotations

import json
from typing import Any

import healthy as h
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.doctor import firewall, iptables, nftables
from labtool.doctor.firewall import Packet
from labtool.doctor.judgement import judge

HERE = Packet("udp", 5060, "198.51.100.7", "eth0")

UFW = (
    "-P INPUT DROP",
    "-N ufw-user-input",
    "-A INPUT -i lo -j ACCEPT",
    "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A INPUT -j ufw-not-local",
    "-A INPUT -j ufw-user-input",
    "-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN",
    "-A ufw-not-local -j DROP",
    "-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT",
    "-A ufw-user-input -p udp -m multiport --dports 5060,10000:20000 -j ACCEPT",
)


@pytest.mark.parametrize(
    ("rules", "protocol", "port", "blocks"),
    [
        ((), "udp", 5060, False),
        (("-P INPUT ACCEPT",), "udp", 5060, False),
        (("-P INPUT DROP",), "udp", 5060, True),
        (UFW, "udp", 5060, False),
        (UFW, "udp", 15000, False),
        (UFW, "tcp", 5060, True),
        (UFW, "tcp", 22, False),
        (("-A INPUT -p tcp --dport 5060 -j REJECT --reject-with tcp-reset",), "tcp", 5060, True),
        (("-A INPUT -s 192.0.2.1/32 -j DROP",), "udp", 5060, False),
        (("-A INPUT -s 198.51.100.0/24 -j DROP",), "udp", 5060, True),
        (("-A INPUT -s 10.0.0.0/8 -j ACCEPT", "-P INPUT DROP"), "udp", 5060, True),
        (("-A INPUT ! -p tcp -j DROP",), "udp", 5060, True),
        (("-A INPUT ! -p tcp -j DROP",), "tcp", 5060, False),
        (("-A INPUT -i docker0 -j ACCEPT", "-P INPUT DROP"), "udp", 5060, True),
        (("-A INPUT -i eth+ -j ACCEPT", "-P INPUT DROP"), "udp", 5060, False),
        (("-A INPUT -m mark --mark 0x1 -j ACCEPT", "-P INPUT DROP"), "udp", 5060, False),
        (("-A INPUT -m mark --mark 0x1 -j DROP", "-P INPUT DROP"), "udp", 5060, True),
        (("-A INPUT -p udp -m mark --mark 0x1 -j ACCEPT", "-P INPUT DROP"), "tcp", 5060, True),
        (("-A INPUT -j FLEXISIP", "-A FLEXISIP -s 192.0.2.1/32 -j REJECT"), "udp", 5060, False),
        (("-A INPUT -j a", "-A a -j RETURN", "-A a -j DROP", "-P INPUT ACCEPT"), "udp", 1, False),
        (("-A INPUT -j a", "-A a -j a"), "udp", 1, False),
        (("-A INPUT -j LOG --log-prefix x", "-A INPUT -j DROP"), "udp", 1, True),
    ],
)
def test_iptables_rules_are_followed_to_what_decides(
    rules: tuple[str, ...], protocol: str, port: int, blocks: bool
) -> None:
    packet = Packet(protocol, port, HERE.source, HERE.interface)
    assert iptables.verdict(rules, packet).blocks is blocks


# --- nftables, in the form that nft 1.0.6 gave them ----------------------------------------------


def matches(left: dict[str, Any], right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def dport(right: Any, protocol: str = "udp", op: str = "==") -> dict[str, Any]:
    return matches({"payload": {"protocol": protocol, "field": "dport"}}, right, op)


def saddr(right: Any) -> dict[str, Any]:
    return matches({"payload": {"protocol": "ip", "field": "saddr"}}, right)


def meta(key: str, right: Any) -> dict[str, Any]:
    return matches({"meta": {"key": key}}, right)


STATE = {"ct": {"key": "state"}}
PORTS = {"payload": {"protocol": "udp", "field": "dport"}}
ACCEPT: dict[str, Any] = {"accept": None}
DROP: dict[str, Any] = {"drop": None}
REJECT: dict[str, Any] = {"reject": {"type": "icmpx", "expr": "admin-prohibited"}}
UNKNOWN = {"xt": {"type": "match", "name": "owner"}}
SYN = matches({"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["syn", "ack"]]}, "syn")


def ruleset(*rules: list[dict[str, Any]], policy: str = "accept", **chains: Any) -> str:
    """The table `inet filter`: its input chain with these rules, and other chains by name."""
    place = {"family": "inet", "table": "filter"}
    listed: list[dict[str, Any]] = [{"metainfo": {"json_schema_version": 1}}]
    base = {"name": "input", "type": "filter", "hook": "input", "prio": 0, "policy": policy}
    listed += [
        {"chain": {**place, **base}},
        {"set": {**place, "name": "open", "elem": [22, {"range": [5000, 5099]}]}},
        {
            "set": {
                **place,
                "name": "bad",
                "elem": [{"elem": {"val": "198.51.100.7", "timeout": 9}}],
            }
        },
    ]
    for name, inside in {"input": rules, **chains}.items():
        listed += [
            {"rule": {**place, "chain": name, "handle": number, "expr": expressions}}
            for number, expressions in enumerate(inside, 1)
        ]
    return json.dumps({"nftables": listed})


NFT: tuple[tuple[str, bool], ...] = (
    ("", False),
    ("no json", False),
    (ruleset(), False),
    (ruleset(policy="drop"), True),
    (ruleset([dport(5060), ACCEPT], policy="drop"), False),
    (ruleset([dport("@open"), ACCEPT], policy="drop"), False),
    (ruleset([dport({"set": [53, {"range": [5060, 5061]}]}), ACCEPT], policy="drop"), False),
    (ruleset([dport(5060, "th"), REJECT]), True),
    (ruleset([dport(5060, "tcp"), ACCEPT], policy="drop"), True),
    (ruleset([dport(5060, op="!="), ACCEPT], policy="drop"), True),
    (ruleset([dport(5000, op=">="), dport(5070, op="<"), DROP]), True),
    (ruleset([matches(STATE, ["established", "related"], "in"), ACCEPT], policy="drop"), True),
    (ruleset([matches(STATE, "new", "in"), ACCEPT], policy="drop"), False),
    (ruleset([{"vmap": {"key": STATE, "data": {"set": [["invalid", DROP]]}}}, DROP]), True),
    (ruleset([meta("iif", "lo"), ACCEPT], policy="drop"), True),
    (ruleset([meta("iifname", "eth0"), ACCEPT], policy="drop"), False),
    (ruleset([meta("iifname", {"set": ["wg0", "tun*"]}), ACCEPT], policy="drop"), True),
    (ruleset([meta("l4proto", {"set": ["tcp", 17]}), ACCEPT], policy="drop"), False),
    (ruleset([meta("nfproto", "ipv6"), ACCEPT], policy="drop"), True),
    (ruleset([saddr("@bad"), DROP]), True),
    (ruleset([saddr({"prefix": {"addr": "198.51.100.0", "len": 24}}), DROP]), True),
    (ruleset([saddr({"prefix": {"addr": "10.0.0.0", "len": 8}}), ACCEPT], policy="drop"), True),
    (ruleset([SYN, DROP]), False),
    (ruleset([{"limit": {"rate": 9, "per": "second"}}, ACCEPT], policy="drop"), False),
    (ruleset([{"limit": {"rate": 9, "per": "second", "inv": True}}, DROP]), False),
    (ruleset([{"counter": {"packets": 0}}, {"log": {"prefix": "x"}}, DROP]), True),
    # What is not known may be so.
    (ruleset([UNKNOWN, ACCEPT], policy="drop"), False),
    (ruleset([UNKNOWN, DROP], policy="drop"), True),
    (ruleset([dport(53), UNKNOWN, ACCEPT], policy="drop"), True),
    # Other chains.
    (ruleset([{"jump": {"target": "more"}}], policy="drop", more=[[dport(5060), ACCEPT]]), False),
    (ruleset([{"goto": {"target": "more"}}, ACCEPT], policy="drop", more=[[DROP]]), True),
    (ruleset([{"jump": {"target": "more"}}, DROP], more=[[{"return": None}], [ACCEPT]]), True),
    (ruleset([{"jump": {"target": "input"}}]), False),
    (
        ruleset(
            [{"vmap": {"key": PORTS, "data": {"set": [
                [53, DROP], [{"range": [5000, 5100]}, {"jump": {"target": "more"}}]
            ]}}}],
            more=[[DROP]],
        ),
        True,
    ),
)  # fmt: skip


@pytest.mark.parametrize(("listed", "blocks"), NFT)
def test_nftables_rules_are_followed_to_what_decides(listed: str, blocks: bool) -> None:
    assert nftables.verdict(listed, (), HERE).blocks is blocks


def test_a_rule_of_nftables_is_shown_as_its_own_list_has_it() -> None:
    lines = ("table inet filter {", "\t\tudp dport 5060 counter packets 7 bytes 9 drop # handle 1")
    found = nftables.verdict(ruleset([dport(5060), DROP]), lines, HERE)
    assert found.rule == "inet filter input: udp dport 5060 drop"
    assert found.base == "inet filter input"
    assert nftables.verdict(ruleset(policy="drop"), (), HERE).rule == (
        "inet filter input: policy drop"
    )


def test_tables_that_iptables_wrote_are_followed_once() -> None:
    listed = ruleset([UNKNOWN, DROP]).replace('"inet"', '"ip"')
    assert nftables.verdict(listed, (), HERE).unclear
    assert not nftables.verdict(listed, (), HERE, known=True).unclear


def test_the_hosts_nftables_are_told_before_the_cloud_and_an_unclear_rule_beside_it() -> None:
    ill = h.with_ports(h.FILTERED, h.OPEN, h.with_server(nft_json=ruleset([dport(5060), DROP])))
    (found,) = judge(ill).findings
    assert found.id == "host-firewall"
    assert found.next.endswith("'nft insert rule inet filter input udp dport 5060 accept'")
    unsure = h.with_server(nft_json=ruleset([dport(5060), UNKNOWN, DROP]))
    (found,) = judge(h.with_ports(h.FILTERED, h.OPEN, unsure)).findings
    assert found.id == "security-group"
    assert any("inet filter input: handle 1" in line for line in found.evidence)


def test_whoever_keeps_the_firewall_is_the_one_to_open_the_port() -> None:
    (found,) = judge(h.with_ports(h.OPEN, h.FILTERED, h.with_server(iptables=UFW))).findings
    assert found.next.endswith("'ufw allow 5060/tcp'")


@given(st.lists(st.text("-APINUTjpdsortDROCEFLX tcudm\"'!05:,6", max_size=60), max_size=8))
def test_no_rules_of_iptables_make_it_fail(rules: list[str]) -> None:
    iptables.verdict(rules, HERE)


_LEAVES = st.sampled_from(
    ["drop", "accept", "jump", "input", "@open", "udp", "dport", 5060, None, True, "lo", "new"]
)
_KEYS = st.sampled_from(
    ["match", "left", "right", "op", "payload", "meta", "key", "ct", "set", "range", "vmap", "data",
     "jump", "target", "limit", "prefix", "addr", "elem", "val", "&", "fib", "drop", "xt"]
)  # fmt: skip
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(st.lists(_TREES, max_size=4), max_size=4), _TREES)
def test_no_rules_of_nftables_make_it_fail(rules: list[Any], anything: Any) -> None:
    nftables.verdict(ruleset(*rules), (), HERE)
    nftables.verdict(json.dumps(anything), (), HERE)
    nftables.verdict(json.dumps({"nftables": anything}), (), HERE)


def test_without_rules_the_host_decides_nothing() -> None:
    assert h.HEALTHY.server is not None
    assert firewall.verdict(h.HEALTHY.server, "udp", 5060).target == ""
