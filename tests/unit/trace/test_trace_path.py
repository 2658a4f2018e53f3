"""Sound is relayed where the server put its own address into the descriptions, and only there."""

from __future__ import annotations

import pytest
from trace_scenario import ALICE, ALICE_RTP, BOB, BOB_RTP, SERVER, Scenario, sdp

from labtool.sip.flow import Address
from labtool.trace.story import ladder_of_analysis


def through_the_server(
    alice: Address, server: Address, bob: Address, offers: list[str], answers: list[str]
) -> Scenario:
    """A call over two legs: what each side sent, then what the server made of it."""
    scene = Scenario()
    route = (f"Record-Route: <sip:{server};lr>",)
    scene.sip(alice, server, "INVITE sip:bob@lab.test", body=offers[0])
    scene.sip(server, bob, "INVITE sip:bob@lab.test", body=offers[1], vias=2, headers=route)
    scene.sip(
        bob, server, "SIP/2.0 200 OK", tags=("a", "b"), body=answers[0], vias=2, headers=route
    )
    scene.sip(server, alice, "SIP/2.0 200 OK", tags=("a", "b"), body=answers[1], headers=route)
    scene.sip(alice, server, "ACK sip:bob@lab.test", cseq="1 ACK", tags=("a", "b"), branch="ack")
    return scene


def paths(scene: Scenario) -> list[str]:
    return [stream.path for stream in scene.analyse().streams]


@pytest.mark.parametrize("host", ["127.0.0.1", "192.168.1.10"])
def test_phones_on_the_servers_own_host_that_hear_each_other_directly_are_not_relayed(
    host: str,
) -> None:
    alice, server, bob = (Address(host, port) for port in (5071, 5060, 5072))
    here, there = Address(host, 4000), Address(host, 4002)
    scene = through_the_server(alice, server, bob, [sdp(here)] * 2, [sdp(there)] * 2)
    scene.rtp(1, (here, there), (there, here))
    assert paths(scene) == ["direct", "direct"]


def test_a_phone_beside_the_server_that_hears_one_elsewhere_directly_is_not_relayed() -> None:
    alice = Address(SERVER.host, 5071)
    here = Address(SERVER.host, 4000)
    scene = through_the_server(alice, SERVER, BOB, [sdp(here)] * 2, [sdp(BOB_RTP)] * 2)
    scene.rtp(1, (here, BOB_RTP), (BOB_RTP, here))
    assert paths(scene) == ["direct", "direct"]


@pytest.mark.parametrize("host", ["127.0.0.1", SERVER.host])
def test_a_server_that_rewrites_the_descriptions_relays_even_on_the_phones_host(host: str) -> None:
    server = Address(host, 5060)
    alice, bob = (Address(host, 5071), Address(host, 5072)) if host[:3] == "127" else (ALICE, BOB)
    here, there = Address(alice.host, 4000), Address(bob.host, 4002)
    to_alice, to_bob = Address(host, 6000), Address(host, 6002)
    scene = through_the_server(
        alice, server, bob, [sdp(here), sdp(to_bob)], [sdp(there), sdp(to_alice)]
    )
    scene.rtp(1, (here, to_alice), (to_alice, here), (there, to_bob), (to_bob, there))
    assert paths(scene) == ["relayed"] * 4


def test_a_relay_on_another_machine_than_the_server_is_one() -> None:
    relay = Address("198.51.100.77", 6000)
    scene = through_the_server(
        ALICE, SERVER, BOB, [sdp(ALICE_RTP), sdp(relay)], [sdp(BOB_RTP), sdp(relay)]
    )
    scene.rtp(1, (ALICE_RTP, relay), (relay, ALICE_RTP))
    assert paths(scene) == ["relayed", "relayed"]


def test_addresses_that_the_server_only_passed_on_are_direct() -> None:
    scene = through_the_server(ALICE, SERVER, BOB, [sdp(ALICE_RTP)] * 2, [sdp(BOB_RTP)] * 2)
    scene.rtp(1, (ALICE_RTP, BOB_RTP), (BOB_RTP, ALICE_RTP))
    assert paths(scene) == ["direct", "direct"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_two_phones_behind_one_nat_are_two(transport: str) -> None:
    home = "203.0.113.21"
    alice, bob = Address(home, 40001), Address(home, 40002)
    inside, beside = Address("192.168.1.5", 4000), Address("192.168.1.6", 4002)
    scene = Scenario()
    to_alice, to_bob = Address(SERVER.host, 6000), Address(SERVER.host, 6002)
    scene.sip(alice, SERVER, "INVITE sip:bob@lab.test", body=sdp(inside), transport=transport)
    forwarded = {"vias": 2, "transport": transport}
    scene.sip(SERVER, bob, "INVITE sip:bob@lab.test", body=sdp(to_bob), **forwarded)  # type: ignore[arg-type]
    answer = {"tags": ("a", "b"), "transport": transport}
    scene.sip(bob, SERVER, "SIP/2.0 200 OK", body=sdp(beside), vias=2, **answer)  # type: ignore[arg-type]
    scene.sip(SERVER, alice, "SIP/2.0 200 OK", body=sdp(to_alice), **answer)  # type: ignore[arg-type]
    here, there = Address(home, 4000), Address(home, 4002)
    scene.rtp(1, (here, to_alice), (to_alice, here), (there, to_bob), (to_bob, there))
    found = scene.analyse()
    (call,) = found.calls
    assert [len(leg.invites) for leg in call.legs] == [1, 1]
    ladder = ladder_of_analysis(found)
    assert [p.name for p in ladder.participants] == ["alice", "server", "bob"]
    assert [stream.path for stream in found.streams] == ["relayed"] * 4


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_machine_that_gets_its_own_call_back_is_one(transport: str) -> None:
    """A trunk: it listens on 5060, and over TCP calls from another port."""
    trunk = Address("203.0.113.21", 5060)
    out = trunk if transport == "udp" else Address(trunk.host, 40001)
    scene = Scenario()
    via = "z9hG4bKx"
    invite = (
        f"INVITE sip:bob@lab.test SIP/2.0\r\nVia: SIP/2.0/TCP {trunk};branch={via}\r\n"
        "From: <sip:alice@lab.test>;tag=a\r\nTo: <sip:bob@lab.test>\r\nCall-ID: call\r\n"
        "CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    )
    scene.send(out, SERVER, invite.encode(), transport)
    scene.sip(SERVER, trunk, "INVITE sip:bob@lab.test", vias=2, transport=transport)
    assert len(ladder_of_analysis(scene.analyse()).participants) == 2
