"""RFC 3263: which servers, ports and transports a domain has, from a DNS server on loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from dns_server import DnsServer

from labtool.probe import location
from labtool.probe.capabilities import options
from labtool.probe.location import by_name, locate, preferred
from labtool.probe.session import Setting
from labtool.probe.target import NameNotResolved, Target
from labtool.sip.flow import Address
from labtool.sip.message import response_to

DOMAIN = "example.test"
TARGET = Target(DOMAIN)
Zone = dict[tuple[str, str], list[str]]

NAPTR: Zone = {
    (DOMAIN, "NAPTR"): [
        '20 10 "s" "SIP+D2U" "" _sip._udp.far.test.',
        '10 20 "s" "SIP+D2T" "" _sip._tcp.example.test.',
        '10 10 "s" "SIP+D2X" "" _sip._sctp.example.test.',
    ],
    ("_sip._udp.far.test", "SRV"): ["0 0 5070 sip.far.test."],
    ("_sip._udp.example.test", "SRV"): ["0 0 5999 wrong.far.test."],
    ("sip.far.test", "A"): ["192.0.2.7"],
}
SRV: Zone = {
    ("_sip._udp.example.test", "SRV"): ["20 0 5062 b.example.test.", "10 0 5061 a.example.test."],
    ("a.example.test", "A"): ["192.0.2.1"],
    ("a.example.test", "AAAA"): ["2001:db8::1"],
    ("b.example.test", "A"): ["192.0.2.2"],
}


@pytest.fixture
def dns() -> Iterator[Callable[..., DnsServer]]:
    servers: list[DnsServer] = []

    def make(zone: Zone, **how: bool) -> DnsServer:
        servers.append(DnsServer(zone, **how))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


Dns = Callable[..., DnsServer]


def test_srv_gives_hosts_and_ports_in_the_order_of_their_priority(dns: Dns) -> None:
    found = locate(TARGET, "udp", dns(SRV).address)
    assert found.addresses == (
        Address("192.0.2.1", 5061),
        Address("2001:db8::1", 5061),
        Address("192.0.2.2", 5062),
    )
    assert found.how.startswith("SRV _sip._udp.example.test: a.example.test:5061, b.")


def test_naptr_says_where_the_srv_records_are_and_which_transport_is_preferred(dns: Dns) -> None:
    server = dns(NAPTR)
    assert preferred(TARGET, server.address) == "tcp", "the lowest order that we can speak"
    assert locate(TARGET, "udp", server.address).addresses == (Address("192.0.2.7", 5070),)
    assert server.asked[(DOMAIN, "NAPTR")] == 1, "what is known is not asked again"


def test_without_naptr_the_transport_that_has_srv_records_is_preferred(dns: Dns) -> None:
    zone = {("_sips._tcp.example.test", "SRV"): ["0 0 5061 a.example.test."]}
    assert preferred(TARGET, dns(zone).address) == "tls"
    assert preferred(TARGET, dns({(DOMAIN, "A"): ["192.0.2.9"]}).address) is None


def test_without_srv_the_name_itself_is_asked_at_the_usual_port(dns: Dns) -> None:
    server = dns({(DOMAIN, "A"): ["192.0.2.9"], (DOMAIN, "AAAA"): ["2001:db8::9"]})
    found = locate(TARGET, "tls", server.address)
    assert found.addresses == (Address("192.0.2.9", 5061), Address("2001:db8::9", 5061))
    assert server.asked[("_sips._tcp.example.test", "SRV")] == 1


def test_a_port_or_an_address_settles_it_without_srv(dns: Dns) -> None:
    server = dns({**SRV, (DOMAIN, "A"): ["192.0.2.9"]})
    found = locate(Target(DOMAIN, 5099), "udp", server.address)
    assert found.addresses == (Address("192.0.2.9", 5099),)
    assert not any(kind in ("SRV", "NAPTR") for _, kind in server.asked)
    found = locate(Target(DOMAIN, tls_port=5098), "tls", server.address)
    assert found.addresses == (Address("192.0.2.9", 5098),)
    assert locate(Target("192.0.2.3"), "udp", server.address).addresses[0].host == "192.0.2.3"
    assert [by_name(Target(h)) for h in ("localhost", "192.0.2.3", "::1", "a.test")] == [
        False,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ({("_sip._udp.example.test", "SRV"): ["0 0 0 ."]}, "no SIP over udp"),
        ({("_sip._udp.example.test", "SRV"): ["0 0 5060 gone.example.test."]}, "has no address"),
        ({}, "no address at the name server"),
    ],
)
def test_a_domain_without_a_server_is_named_so(dns: Dns, zone: Zone, words: str) -> None:
    with pytest.raises(NameNotResolved, match=words):
        locate(TARGET, "udp", dns(zone).address)


@pytest.mark.parametrize("how", ["mute", "broken"])
def test_a_name_server_that_fails_is_said_and_not_waited_for_long(
    dns: Dns, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(location, "_PATIENCE_S", 0.3)
    server = dns({}, **{how: True})
    with pytest.raises(NameNotResolved, match=r"silence|failed"):
        locate(TARGET, "udp", server.address)
    assert preferred(TARGET, server.address) is None


def test_servers_of_equal_priority_share_by_weight(dns: Dns) -> None:
    zone: Zone = {
        ("_sip._udp.example.test", "SRV"): ["1 99 1 a.example.test.", "1 1 2 b.example.test."],
        ("a.example.test", "A"): ["192.0.2.1"],
        ("b.example.test", "A"): ["192.0.2.2"],
    }
    server = dns(zone)
    first = [locate(TARGET, "udp", server.address).addresses[0].port for _ in range(60)]
    assert first.count(1) > 45


def test_the_probe_goes_to_the_server_that_srv_names(
    dns: Dns, fake: Callable[..., Any], setting: Setting
) -> None:
    sip = fake()
    zone: Zone = {
        ("_sip._udp.example.test", "SRV"): [f"0 0 {sip.address.port} sip.example.test."],
        ("sip.example.test", "A"): ["127.0.0.1"],
    }
    asked = replace(setting, nameserver=dns(zone).address)
    result = options(DOMAIN, "udp", asked)
    assert result.ok, result.verdict
    resolved = result.steps[0]
    assert resolved.name == "resolve"
    assert resolved.facts["addresses"] == [str(sip.address)]
    assert "SRV _sip._udp.example.test" in resolved.detail
    assert sip.requests[0].uri == "sip:example.test", "the request still names the domain"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_server_that_is_down_gives_way_to_the_next(
    dns: Dns, fake: Callable[..., Any], setting: Setting, transport: str
) -> None:
    sip = fake(transport=transport)
    asked = replace(setting, nameserver=dns(two_servers(9, sip.address.port)).address)
    result = options(DOMAIN, transport, asked)
    assert result.ok, result.verdict
    assert result.steps[0].name == "resolve"
    assert "passed over: 127.0.0.1:9 (nothing listens" in result.steps[1].detail


def test_a_silent_server_and_one_that_says_503_give_way_to_the_next(
    dns: Dns, fake: Callable[..., Any], setting: Setting
) -> None:
    """RFC 3263 section 4.3."""
    sip = fake()
    busy = fake(answer=lambda _server, _transaction, request: response_to(request, 503))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        for first, why in ((silent.getsockname()[1], "silent"), (busy.address.port, "503")):
            zone = two_servers(first, sip.address.port)
            result = options(DOMAIN, "udp", replace(setting, nameserver=dns(zone).address))
            assert result.ok, result.verdict
            assert why in result.steps[1].detail
            assert result.steps[1].facts == {"remote": str(sip.address)}
    nobody = replace(setting, nameserver=dns(two_servers(busy.address.port, 9)).address)
    assert options(DOMAIN, "udp", nobody).verdict.endswith("503 Service Unavailable")


def two_servers(first: int, second: int) -> Zone:
    srv = [f"10 0 {first} sip.example.test.", f"20 0 {second} sip.example.test."]
    return {
        ("_sip._tcp.example.test", "SRV"): srv,
        ("_sip._udp.example.test", "SRV"): srv,
        ("sip.example.test", "A"): ["127.0.0.1"],
    }


def test_dnspython_is_not_imported_for_an_address_or_a_port() -> None:
    code = (
        "import sys; from labtool.probe.location import locate; "
        "from labtool.probe.target import Target; "
        "locate(Target('127.0.0.1'), 'udp'); locate(Target('localhost', 5060), 'udp'); "
        "locate(Target('localhost'), 'udp'); sys.exit('dns' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
