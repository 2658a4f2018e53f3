"""Phones that others wrote call each other, and the probe, through the sandbox; the sound is heard."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import peers
from .conftest import not_here
from .engine import Unavailable
from .peers import ALICE_HZ, BOB_HZ, Baresip, Linphone, SandboxProcess, is_tone
from .probe_phone import ProbePhone

TALK = 1.5  # seconds


def need(program: str) -> None:
    try:
        peers.need(program)
    except Unavailable as why:
        not_here(why)


@pytest.fixture(scope="module")
def linphonec() -> None:
    need("linphonec")


@pytest.fixture(scope="module")
def baresip() -> None:
    need("baresip")


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path / "sandbox", tls=True) as process:
        yield process


@pytest.fixture
def md5_sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path / "sandbox", algorithms="MD5", tls=True) as process:
        yield process


def talk(alice: Linphone | Baresip, bob: Linphone | Baresip) -> None:
    alice.call(bob.user)
    bob.wait_talking()
    alice.wait_talking()
    time.sleep(TALK)
    alice.hang_up()
    bob.wait_ended()
    alice.wait_ended()
    assert is_tone(bob.heard(), ALICE_HZ), bob.heard()
    assert is_tone(alice.heard(), BOB_HZ), alice.heard()


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.usefixtures("linphonec")
def test_two_linphones_hear_each_other(
    sandbox: SandboxProcess, tmp_path: Path, transport: str
) -> None:
    with (
        Linphone(tmp_path / "alice", "alice", sandbox, transport, ALICE_HZ) as alice,
        Linphone(tmp_path / "bob", "bob", sandbox, transport, BOB_HZ, answers=True) as bob,
    ):
        talk(alice, bob)
    over = {event["transport"] for event in sandbox.events("answer")}
    assert over == {transport}


@pytest.mark.usefixtures("linphonec")
def test_two_linphones_hear_each_other_over_two_transports(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    with (
        Linphone(tmp_path / "alice", "alice", sandbox, "udp", ALICE_HZ) as alice,
        Linphone(tmp_path / "bob", "bob", sandbox, "tls", BOB_HZ, answers=True) as bob,
    ):
        talk(alice, bob)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.usefixtures("linphonec")
def test_linphone_calls_the_probe_and_each_hears_the_other(
    sandbox: SandboxProcess, tmp_path: Path, transport: str
) -> None:
    with (
        ProbePhone(sandbox, "bob", transport, BOB_HZ) as bob,
        Linphone(tmp_path / "alice", "alice", sandbox, transport, ALICE_HZ) as alice,
    ):
        alice.call("bob")
        bob.answer("alice")
        bob.talk(TALK)
        alice.hang_up()
        bob.wait_ended()
        alice.wait_ended()
        assert is_tone(bob.heard(), ALICE_HZ), bob.heard()
        assert is_tone(alice.heard(), BOB_HZ), alice.heard()


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.usefixtures("linphonec")
def test_the_probe_calls_linphone_and_each_hears_the_other(
    sandbox: SandboxProcess, tmp_path: Path, transport: str
) -> None:
    with (
        Linphone(tmp_path / "bob", "bob", sandbox, transport, BOB_HZ, answers=True) as bob,
        ProbePhone(sandbox, "alice", transport, ALICE_HZ) as alice,
    ):
        alice.call("bob")
        alice.talk(TALK)
        assert alice.hang_up() == 200
        bob.wait_ended()
        assert is_tone(alice.heard(), BOB_HZ), alice.heard()
        assert is_tone(bob.heard(), ALICE_HZ), bob.heard()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.usefixtures("baresip")
def test_two_baresips_hear_each_other(
    md5_sandbox: SandboxProcess, tmp_path: Path, transport: str
) -> None:
    with (
        Baresip(tmp_path / "alice", "alice", md5_sandbox, transport, ALICE_HZ) as alice,
        Baresip(tmp_path / "bob", "bob", md5_sandbox, transport, BOB_HZ, answers=True) as bob,
    ):
        talk(alice, bob)


@pytest.mark.usefixtures("linphonec", "baresip")
def test_a_baresip_and_a_linphone_hear_each_other(
    md5_sandbox: SandboxProcess, tmp_path: Path
) -> None:
    with (
        Baresip(tmp_path / "alice", "alice", md5_sandbox, "udp", ALICE_HZ) as alice,
        Linphone(tmp_path / "bob", "bob", md5_sandbox, "tcp", BOB_HZ, answers=True) as bob,
    ):
        talk(alice, bob)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.usefixtures("baresip")
def test_baresip_calls_the_probe_and_each_hears_the_other(
    md5_sandbox: SandboxProcess, tmp_path: Path, transport: str
) -> None:
    with (
        ProbePhone(md5_sandbox, "bob", "tcp", BOB_HZ) as bob,
        Baresip(tmp_path / "alice", "alice", md5_sandbox, transport, ALICE_HZ) as alice,
    ):
        alice.call("bob")
        bob.answer("alice")
        bob.talk(TALK)
        assert bob.hang_up() == 200
        alice.wait_ended()
        assert is_tone(bob.heard(), ALICE_HZ), bob.heard()
        assert is_tone(alice.heard(), BOB_HZ), alice.heard()


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.usefixtures("baresip")
def test_the_probe_calls_baresip_and_each_hears_the_other(
    md5_sandbox: SandboxProcess, tmp_path: Path, transport: str
) -> None:
    """Over TLS baresip 1.0 can be called, but sends nothing along the route: a server records
    itself there as `sips:`, Flexisip too, and that is a scheme it does not know."""
    with (
        Baresip(tmp_path / "bob", "bob", md5_sandbox, transport, BOB_HZ, answers=True) as bob,
        ProbePhone(md5_sandbox, "alice", transport, ALICE_HZ) as alice,
    ):
        alice.call("bob")
        alice.talk(TALK)
        if transport == "tls":
            assert alice.hang_up() == 200
        else:
            bob.hang_up()
            alice.wait_ended()
        bob.wait_ended()
        assert is_tone(alice.heard(), BOB_HZ), alice.heard()
        assert is_tone(bob.heard(), ALICE_HZ), bob.heard()
