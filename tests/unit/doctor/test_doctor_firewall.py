"""iptables' rules followed for a new packet from outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.doctor.firewall import blocks

UFW = (
    "-P INPUT DROP",
    "-N ufw-user-input",
    "-A INPUT -i lo -j ACCEPT",
    "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A INPUT -j ufw-user-input",
    "-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT",
    "-A ufw-user-input -p udp -m multiport --dports 5060,10000:20000 -j ACCEPT",
)


@pytest.mark.parametrize(
    ("rules", "protocol", "port", "target"),
    [
        ((), "udp", 5060, None),
        (("-P INPUT ACCEPT",), "udp", 5060, None),
        (("-P INPUT DROP",), "udp", 5060, "DROP"),
        (UFW, "udp", 5060, None),
        (UFW, "udp", 15000, None),
        (UFW, "tcp", 5060, "DROP"),
        (UFW, "tcp", 22, None),
        (
            ("-A INPUT -p tcp --dport 5060 -j REJECT --reject-with tcp-reset",),
            "tcp",
            5060,
            "REJECT",
        ),
        (("-A INPUT -s 192.0.2.1/32 -j DROP",), "udp", 5060, None),
        (("-A INPUT ! -p tcp -j DROP",), "udp", 5060, None),
        (("-A INPUT -j FLEXISIP", "-A FLEXISIP -s 192.0.2.1/32 -j REJECT"), "udp", 5060, None),
        (("-A INPUT -j a", "-A a -j RETURN", "-A a -j DROP", "-P INPUT ACCEPT"), "udp", 1, None),
        (("-A INPUT -j a", "-A a -j a"), "udp", 1, None),
    ],
)
def test_the_rule_that_decides_is_found(
    rules: tuple[str, ...], protocol: str, port: int, target: str | None
) -> None:
    verdict = blocks(rules, protocol, port)
    assert (verdict.target if verdict else None) == target


@given(st.lists(st.text("-APINUTjpdsortDROCEFLX tcudm\"'!05:,6", max_size=60), max_size=8))
def test_no_rules_make_it_fail(rules: list[str]) -> None:
    blocks(rules, "udp", 5060)
