"""A phone that others wrote speaks through a TURN server that others wrote, and the trace knows it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from labtool.sip.flow import Address
from labtool.trace.analysis import analyse

from . import peers
from .conftest import not_here
from .engine import Unavailable
from .peers import ALICE_HZ, BOB_HZ, Baresip, Coturn, SandboxProcess, Tcpdump, is_tone


@pytest.fixture(scope="module", autouse=True)
def software() -> None:
    try:
        peers.need("baresip", "turnserver", "tcpdump")
    except Unavailable as why:
        not_here(why)


def test_a_call_through_coturn_is_followed_on_both_sides_of_it(tmp_path: Path) -> None:
    try:
        tcpdump = Tcpdump(tmp_path / "tcpdump")
    except Unavailable as why:
        not_here(why)
    with (
        tcpdump,
        SandboxProcess(tmp_path / "sandbox", algorithms="MD5") as sandbox,
        Coturn(tmp_path / "coturn", "alice") as coturn,
        Baresip(
            *(tmp_path / "alice", "alice", sandbox, "udp", ALICE_HZ), turn=coturn.address
        ) as alice,
        Baresip(tmp_path / "bob", "bob", sandbox, "udp", BOB_HZ, answers=True) as bob,
    ):
        alice.call("bob")
        bob.wait_talking()
        alice.wait_talking()
        time.sleep(3)
        alice.hang_up()
        bob.wait_ended()
        assert is_tone(bob.heard(), ALICE_HZ), bob.heard()
        assert is_tone(alice.heard(), BOB_HZ), alice.heard()
        time.sleep(0.3)
    found = analyse([tcpdump.file])
    host, _, port = coturn.address.rpartition(":")
    server = Address(host, int(port))
    # Others may talk on loopback meanwhile: the call is that of what coturn carried.
    carried = [
        one
        for one in found.streams
        if (outer := one.rtp.flow.outer) and server in (outer.source, outer.destination)
    ]
    (call,) = {id(one.call): one.call for one in carried}.values()
    assert call is not None
    assert call.outcome == "answered"
    assert [one.id for one in found.findings if one.call == call.number] == []
    sound = [one for one in found.streams if one.call is call and len(one.rtp) > 50]
    # Each direction is seen twice: between alice and the server, and between the server and bob.
    assert (len(carried), len(sound)) == (2, 4)
    assert {one.path for one in sound} == {"turn"}
    assert {one.rtp.ssrc for one in carried} == {one.rtp.ssrc for one in sound}
    assert {one.rtp.flow.relayed for one in carried} <= found.capture.allocations.keys()
    assert all(one.quality.lost == 0 for one in sound)
