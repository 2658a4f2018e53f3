"""Requests and sound that go astray: each provoked, and its healthy twin free of it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from trace_scenario import ALICE, ALICE_RTP, BOB, BOB_RTP, SERVER, Scenario, sdp

from labtool.sip.flow import Address
from labtool.trace import pcap
from labtool.trace.analysis import Analysis, analyse

OTHER = Address("198.51.100.20", 5060)
HOME = Address("192.168.43.54", 5060)
ICE = (
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
    "a=candidate:1 1 UDP 2130706431 {host} {port} typ host\r\n"
)


def found(scene: Scenario, kind: str) -> str:
    """The cause of the one finding of that kind."""
    (one,) = [one for one in scene.analyse().findings if one.id == kind]
    assert one.frames
    return one.cause


def register(scene: Scenario, client: Address, contact: Address, user: str = "bob") -> None:
    """`user` registers, without being asked for a password."""
    binding = (f"Contact: <sip:{user}@{contact}>;expires=600",)
    facts = {"cseq": "1 REGISTER", "call": f"registration of {user}", "headers": binding}
    scene.sip(client, SERVER, "REGISTER sip:lab.test", **facts)  # type: ignore[arg-type]
    scene.sip(SERVER, client, "SIP/2.0 200 OK", tags=("a", "r"), **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(("vias", "circles"), [([2, 4, 6], True), ([2, 4], False), ([2], False)])
def test_a_request_that_passes_a_server_three_times_runs_in_a_circle(
    vias: list[int], circles: bool
) -> None:
    scene = Scenario()
    scene.sip(ALICE, SERVER, "INVITE sip:bob@lab.test")
    for number in vias:
        scene.sip(SERVER, OTHER, "INVITE sip:bob@lab.test", vias=number, branch=f"there{number}")
        scene.sip(OTHER, SERVER, "INVITE sip:bob@lab.test", vias=number + 1, branch=f"back{number}")
    assert ("request-loop" in scene.ids()) == circles
    if circles:
        assert "3 times" in found(scene, "request-loop")


@pytest.mark.parametrize(
    ("contact", "client", "finding"),
    [
        (HOME, BOB, "nat-contact"),
        (BOB, BOB, "callee-unreachable"),
        (HOME, HOME, "callee-unreachable"),  # one network: the address is right
    ],
)
def test_a_call_to_the_private_contact_of_a_phone_behind_a_nat_is_that(
    contact: Address, client: Address, finding: str
) -> None:
    scene = Scenario()
    register(scene, client, contact)
    scene.sip(ALICE, SERVER, "INVITE sip:bob@lab.test")
    scene.sip(SERVER, ALICE, "SIP/2.0 100 Trying")
    for _ in range(5):
        scene.sip(SERVER, contact, "INVITE sip:bob@lab.test", vias=2)
        scene.now += 1
    scene.sip(SERVER, ALICE, "SIP/2.0 408 Request Timeout", tags=("a", "b"))
    assert scene.ids() == [finding]


@pytest.mark.parametrize("recorded", [False, True])
def test_a_server_that_does_not_record_its_route_loses_the_rest_of_the_call(recorded: bool) -> None:
    scene = Scenario()
    register(scene, ALICE, ALICE, "alice")
    route = (f"Record-Route: <sip:{SERVER};lr>",) if recorded else ()
    scene.sip(ALICE, SERVER, "INVITE sip:bob@lab.test", body=sdp(ALICE_RTP))
    for _ in range(4):
        scene.sip(
            SERVER,
            ALICE,
            "SIP/2.0 200 OK",
            tags=("a", "b"),
            body=sdp(BOB_RTP),
            headers=(f"Contact: <sip:bob@{HOME}>", *route),
        )
        scene.sip(
            ALICE,
            SERVER if recorded else HOME,
            f"ACK sip:bob@{HOME}",
            cseq="1 ACK",
            tags=("a", "b"),
            branch="ack",
        )
        scene.now += 1
    assert ("missing-record-route" in scene.ids()) == (not recorded)
    if not recorded:
        assert "ACK went there 4 times" in found(scene, "missing-record-route")


@pytest.mark.parametrize(("target", "wrong"), [(Address(BOB.host, 4010), True), (BOB_RTP, False)])
def test_sound_to_a_port_that_was_never_announced_is_seen(target: Address, wrong: bool) -> None:
    scene = Scenario()
    scene.answered()
    scene.rtp(5, (ALICE_RTP, target), (BOB_RTP, ALICE_RTP))
    scene.bye()
    assert scene.ids() == (["wrong-port"] if wrong else [])
    if wrong:
        assert "had announced 4002" in found(scene, "wrong-port")


def test_sound_that_arrives_at_a_port_that_was_never_announced_is_seen_there_too() -> None:
    for target, ids in ((Address(BOB.host, 4010), ["wrong-port"]), (BOB_RTP, [])):
        scene = Scenario()
        scene.answered(caller=SERVER, callee=BOB)
        scene.rtp(5, (ALICE_RTP, target), (BOB_RTP, ALICE_RTP))
        scene.bye(SERVER, BOB)
        assert scene.ids() == ids


def test_sound_to_the_port_that_the_other_side_really_sends_from_is_right() -> None:
    scene = Scenario()
    scene.answered()
    real = Address(BOB.host, 4010)  # its NAT gave it another port, and the phone answers to that
    scene.rtp(5, (ALICE_RTP, real), (real, ALICE_RTP))
    scene.bye()
    assert scene.ids() == []


def check(number: int, *, answer: bool = False) -> bytes:
    name = b"" if answer else b"\x00\x06\x00\x09abcd:efgh\x00\x00\x00"
    kind = 0x0101 if answer else 0x0001
    return struct.pack(">HHI", kind, len(name), 0x2112A442) + struct.pack(">QI", 0, number) + name


@pytest.mark.parametrize("answered", [False, True])
def test_connectivity_checks_that_nothing_answers_are_a_failure_of_ice(answered: bool) -> None:
    here, there = ALICE_RTP, Address("192.168.43.54", 4002)
    scene = Scenario()
    scene.answered(
        sdp(here, lines=ICE.format(host=here.host, port=here.port)),
        sdp(there, lines=ICE.format(host=there.host, port=there.port)),
    )
    for number in range(8):
        scene.send(here, there, check(number))
        if answered:
            scene.send(there, here, check(number, answer=True))
        scene.now += 0.5
    scene.bye()
    assert ("ice-failed" in scene.ids()) == (not answered)
    if not answered:
        assert "8 connectivity checks" in found(scene, "ice-failed")


def two_views(folder: Path, *, rewritten: bool) -> Analysis:
    """A call of a phone behind a NAT, seen at the phone and at the server."""
    paths = []
    inside = Address("192.168.1.5", 5060)
    media = Address(inside.host, 4000)
    for name, phone in (("phone", inside), ("server", ALICE)):
        scene = Scenario()
        address = ALICE_RTP if rewritten and name == "server" else media
        scene.answered(sdp(address), caller=phone)
        scene.bye(phone)
        pcap.write(folder / name, scene.packets)
        paths.append(folder / name)
    return analyse(paths)


def test_a_description_that_changed_on_its_way_is_the_work_of_a_sip_alg(tmp_path: Path) -> None:
    (one,) = [one for one in two_views(tmp_path, rewritten=True).findings if one.id == "sip-alg"]
    assert "“c=IN IP4 192.168.1.5” became “c=IN IP4 203.0.113.21”" in one.cause


def test_a_nat_that_leaves_messages_alone_is_no_sip_alg(tmp_path: Path) -> None:
    found = two_views(tmp_path, rewritten=False)
    assert found.merged.twins
    assert "sip-alg" not in [one.id for one in found.findings]
