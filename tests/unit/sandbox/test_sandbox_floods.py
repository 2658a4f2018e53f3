"""Too much, too fast, or not SIP at all: others are still served."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from sandbox_lab import DOMAIN, Lab

from labtool.sandbox.flood import FloodGuard
from labtool.sandbox.nonces import Nonces, NonceState
from labtool.sandbox.settings import FloodLimit
from labtool.sip.flow import Address

Make = Callable[..., Lab]
PEER = Address("192.0.2.1", 5060)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def guard(clock: Clock, *, white_list: tuple[str, ...] = (), **how: bool) -> FloodGuard:
    return FloodGuard(FloodLimit(True, 20, 3.0, 120.0, white_list), clock, **how)


def test_twenty_packets_a_second_are_let_through_for_ever() -> None:
    clock = Clock()
    flood = guard(clock)
    for _ in range(2000):
        clock.now += 0.0501
        assert flood.admits(PEER)


def test_a_faster_source_is_not_heard_until_its_ban_ends() -> None:
    clock = Clock()
    flood = guard(clock)
    heard = [flood.admits(PEER) for _ in range(100)]
    assert heard.index(False) == 60
    assert not any(heard[60:])
    assert flood.admits(Address("192.0.2.1", 5061))
    clock.now += 119
    assert not flood.admits(PEER)
    clock.now += 2
    assert flood.admits(PEER)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1"])
def test_loopback_is_limited_only_when_asked(host: str) -> None:
    peer = Address(host, 5060)
    usual = guard(Clock())
    assert all(usual.admits(peer) for _ in range(1000))
    limited = guard(Clock(), limit_loopback=True)
    assert not all(limited.admits(peer) for _ in range(100))


@pytest.mark.parametrize("listed", ["192.0.2.1", "192.0.2.0/24"])
def test_the_white_list_is_never_banned(listed: str) -> None:
    flood = guard(Clock(), white_list=(listed,))
    assert all(flood.admits(PEER) for _ in range(1000))


def test_a_flood_from_invented_addresses_fills_no_memory() -> None:
    clock = Clock()
    flood = guard(clock)
    for number in range(20_000):
        flood.admits(Address(f"10.{number % 256}.{number // 256}.1", 5060))
    assert len(flood._counts) <= 4096


def test_the_limit_works_in_the_server(lab: Make) -> None:
    made = lab(
        options={"limit_loopback": True},
        dos__enabled="true",
        dos__packet_rate_limit="5",
        dos__time_period="1000",
    )
    loud, quiet = made.phone("alice"), made.phone("bob")
    exchanges = [loud.send(loud.build("OPTIONS", f"sip:{DOMAIN}")) for _ in range(30)]
    made.settle()
    assert sum(exchange.final is not None for exchange in exchanges) == 5
    assert quiet.register().status == 200
    assert any("too fast" in text for _, text in made.logged)


# -- nonces ---------------------------------------------------------------------------------------


def test_a_nonce_is_good_once_for_each_count() -> None:
    nonces = Nonces(100, Clock())
    nonce = nonces.issue()
    assert nonces.judge(nonce, 1) is NonceState.GOOD
    assert nonces.judge(nonce, 1) is NonceState.STALE
    assert nonces.judge(nonce, 5) is NonceState.GOOD
    assert nonces.judge(nonce, 3) is NonceState.STALE


def test_a_nonce_expires_and_cannot_be_made_up() -> None:
    clock = Clock()
    nonces = Nonces(100, clock)
    nonce = nonces.issue()
    clock.now = 101
    assert nonces.judge(nonce, 1) is NonceState.STALE
    fresh = nonces.issue()
    for text in (
        "",
        "x",
        fresh[:-1] + "é",
        fresh.upper(),
        "0" * len(fresh),
        Nonces(9, clock).issue(),
    ):
        assert nonces.judge(text, 1) is NonceState.STALE
    assert nonces.judge(fresh, 1) is NonceState.GOOD


def test_forgotten_nonces_cannot_be_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labtool.sandbox.nonces._CAPACITY", 10)
    clock = Clock()
    nonces = Nonces(1000, clock)
    used = []
    for _ in range(30):
        clock.now += 1
        used.append(nonces.issue())
        assert nonces.judge(used[-1], 1) is NonceState.GOOD
    assert all(nonces.judge(nonce, 1) is NonceState.STALE for nonce in used)
    assert len(nonces._used) <= 10


# -- rubbish --------------------------------------------------------------------------------------

RUBBISH = [
    b"",
    b"\0" * 1000,
    b"\xff\xfe" * 500,
    b"GET / HTTP/1.1\r\n\r\n",
    b"REGISTER sip:x SIP/2.0\r\n\r\n",
    b"REGISTER sip:x SIP/2.0\r\nVia: \r\nFrom: \r\nTo: \r\nCall-ID: \r\nCSeq: \r\n\r\n",
    b"INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 0;branch=z9hG4bK;rport\r\n" + b"A: b\r\n" * 5000,
    b"SIP/2.0 200 OK\r\n\r\n",
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\nCSeq: 1 INVITE\r\n\r\n",
    b"REGISTER sip:sip.example.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bKr\r\n"
    b"From: <sip:\xff@sip.example.test>;tag=1\r\nTo: <sip:a@sip.example.test>\r\nCall-ID: 1\r\n"
    b"CSeq: 1 REGISTER\r\nAuthorization: Digest username=\xff\r\nContact: <<<>>>\r\n\r\n",
    b"INVITE sip:bob@sip.example.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bKs\r\n"
    b"From: <tel:+1>;tag=1\r\nTo: <>\r\nCall-ID: 1\r\nCSeq: 99999999999999 INVITE\r\n"
    b"Route: <sip:;lr>\r\nMax-Forwards: -1\r\n\r\n",
    b"ACK sip:bob@sip.example.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bKt\r\n"
    b"From: <sip:a@b>\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 ACK\r\nRoute: x\r\n\r\n",
    b"BYE sip:127.0.0.1:0 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bKu\r\n"
    b"From: <sip:a@b>\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\n\r\n",
]


def test_rubbish_over_udp_and_tcp_stops_nobody_else(lab: Make) -> None:
    made = lab()
    address = made.sandbox.address()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for data in RUBBISH:
            udp.sendto(data, (address.host, address.port))
            for cut in (10, 50, 100):
                udp.sendto(data[:cut], (address.host, address.port))
    streams = []
    for data in RUBBISH:
        stream = socket.create_connection((address.host, address.port))
        stream.sendall(data)
        streams.append(stream)
    made.settle()
    assert made.phone("alice").register().status == 200
    assert made.phone("bob", "tcp").register().status == 200
    for stream in streams:
        stream.close()
    assert made.sandbox.fatal is None


def test_the_torture_messages_stop_nobody(shared: Path, lab: Make) -> None:
    files = sorted(
        path for path in (shared / "data/torture").rglob("*") if path.suffix in (".dat", ".sip")
    )
    if not files:
        pytest.skip("there are no torture messages in the shared data")
    made = lab()
    address = made.sandbox.address()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for path in files:
            udp.sendto(path.read_bytes(), (address.host, address.port))
            made.settle()
    assert made.phone("alice").register().status == 200


def test_hundreds_of_idle_connections_keep_nobody_out(lab: Make) -> None:
    made = lab()
    address = made.sandbox.address("tcp")
    idle = [socket.create_connection((address.host, address.port)) for _ in range(300)]
    assert made.phone("alice", "tcp").register().status == 200
    for sock in idle:
        sock.close()
