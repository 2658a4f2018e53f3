from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.errors import RequestError
from labtool.probe.reach import in_order
from labtool.probe.target import NameNotResolved, Target, resolve, transports
from labtool.sip.flow import Address
from labtool.sip.loop import Loop


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("sip.example.test", Target("sip.example.test")),
        ("sip.example.test:5070", Target("sip.example.test", 5070)),
        ("192.0.2.1", Target("192.0.2.1")),
        ("192.0.2.1:5060", Target("192.0.2.1", 5060)),
        ("::1", Target("::1")),
        ("[::1:5060]", Target("::1:5060")),
        ("2001:db8::5060", Target("2001:db8::5060")),
        ("[2001:db8::1]", Target("2001:db8::1")),
        ("[2001:db8::1]:5061", Target("2001:db8::1", 5061)),
        ("sip:lab.example.test", Target("lab.example.test")),
        ("sip:lab.example.test:5070;transport=tcp", Target("lab.example.test", 5070, "tcp")),
        ("sip:alice@lab.example.test;lr", Target("lab.example.test")),
        ("sips:lab.example.test", Target("lab.example.test", None, "tls")),
        ("sip:5070", Target("sip", 5070)),
    ],
)
def test_a_target_is_read_as_people_write_it(text: str, target: Target) -> None:
    assert Target.parse(text) == target


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no host"),
        ("a b", "no host"),
        ("host:", "no port"),
        ("host:0", "port"),
        ("host:99999", "port"),
        ("host:http", "port"),
        ("[::1", "HOST"),
        ("::zz", "IPv6"),
        ("::1:5060", r"write \[::1\]:5060 "),
        ("a..b", "no host"),
        ("-x", "no host"),
        ("host\nx", "no host"),
        ("sip:host;transport=ws", "transport"),
    ],
)
def test_a_target_that_is_none_is_refused_in_a_sentence(text: str, word: str) -> None:
    with pytest.raises(RequestError, match=word):
        Target.parse(text)


@given(st.text(max_size=40))
def test_no_text_makes_the_target_crash_and_what_it_prints_is_read_back(text: str) -> None:
    try:
        target = Target.parse(text)
    except RequestError:
        return
    assert Target.parse(str(target)) == Target(target.host, target.port)


def test_each_transport_has_its_own_port_unless_one_is_given() -> None:
    assert [Target("h").port_for(t) for t in ("udp", "tcp", "tls")] == [5060, 5060, 5061]
    assert Target("h", 7000).port_for("tls") == 7000


def test_transports_are_a_list_or_all() -> None:
    assert transports("all") == ("udp", "tcp", "tls")
    assert transports("TCP, udp,tcp") == ("tcp", "udp")
    with pytest.raises(RequestError, match="sctp"):
        transports("udp,sctp")


def test_an_address_needs_no_resolver() -> None:
    assert resolve(Target("127.0.0.1"), "tls") == (Address("127.0.0.1", 5061),)
    assert resolve(Target("::1", 7), "udp") == (Address("::1", 7),)


def test_a_name_without_an_address_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    with pytest.raises(NameNotResolved, match=r"lab\.example\.test: Name or service not known"):
        resolve(Target("lab.example.test"), "udp")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_of_two_addresses_the_one_where_something_listens_comes_first(
    loop: Loop, fake: Callable[..., Any], transport: str
) -> None:
    server = fake(transport=transport)
    dead = Address("127.0.0.2", server.address.port)
    for order in ([dead, server.address], [server.address, dead]):
        assert list(in_order(loop, transport, order)) == [server.address, dead]


def test_tls_has_a_port_of_its_own_where_one_is_named() -> None:
    both = Target("host", 5070, tls_port=5071)
    assert (both.port_for("udp"), both.port_for("tls")) == (5070, 5071)
    assert Target("host", 5070).port_for("tls") == 5070
    assert (Target("host", tls_port=7).port_for("tcp"), Target("host").port_for("tls")) == (
        5060,
        5061,
    )
