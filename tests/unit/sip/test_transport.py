"""Sockets: what is sent arrives, what fails is told apart, what is too much is ended."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labtool.sip.errors import ParseError, SipError
from labtool.sip.flow import Address, Flow, Limits, Packet
from labtool.sip.loop import Loop
from labtool.sip.message import Message, Request
from labtool.sip.transport import Transports

LOCAL = "127.0.0.1"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


class Side:
    """One element that notes all that it is told."""

    def __init__(self, loop: Loop, limits: Limits | None = None) -> None:
        self.messages: list[tuple[Message, Flow]] = []
        self.bad: list[tuple[bytes, ParseError]] = []
        self.closed: list[tuple[Flow, Exception | None]] = []
        self.packets: list[Packet] = []
        self.transports = Transports(
            loop,
            lambda message, flow: self.messages.append((message, flow)),
            tap=self.packets.append,
            on_bad=lambda data, _flow, error: self.bad.append((data, error)),
            on_closed=lambda flow, reason: self.closed.append((flow, reason)),
            limits=limits,
        )


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def side(loop: Loop) -> Iterator[Callable[..., Side]]:
    made: list[Side] = []

    def make(limits: Limits | None = None) -> Side:
        made.append(Side(loop, limits))
        return made[-1]

    yield make
    for one in made:
        one.transports.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    folder: Path = tmp_path_factory.mktemp("tls")
    chain, key = folder / "chain.pem", folder / "key.pem"
    names = "subjectAltName=DNS:sip.example.test,IP:127.0.0.1"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    words = [*make.split(), "-subj", "/CN=sip.example.test", "-addext", names]
    subprocess.run([*words, "-keyout", key, "-out", chain], check=True, capture_output=True)
    return str(chain), str(key)


def options(length: int = 0) -> bytes:
    headers = [
        ("Via", "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1"),
        ("From", "<sip:a@lab.example>;tag=1"),
        ("To", "<sip:b@lab.example>"),
        ("Call-ID", "1"),
        ("CSeq", "1 OPTIONS"),
    ]
    return Request("OPTIONS", "sip:b@lab.example", headers, b"x" * length).to_bytes()


HOSTS = [LOCAL, pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6"))]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_message_arrives_with_the_true_addresses(
    transport: str, host: str, loop: Loop, side: Callable[..., Side]
) -> None:
    server, client = side(), side()
    address = server.transports.listen(transport, host, 0)
    flow = client.transports.flow(transport, address)
    flow.send(options())
    assert loop.run_until(lambda: bool(server.messages), 2)
    message, came = server.messages[0]
    assert isinstance(message, Request)
    assert came.transport == transport
    assert came.local == address
    assert came.remote == flow.local
    packet = server.packets[0]
    assert (packet.source, packet.destination, packet.data) == (flow.local, address, options())
    assert client.packets[0].data == options()
    came.send(options())
    assert loop.run_until(lambda: bool(client.messages), 2)


def test_a_wildcard_socket_knows_to_which_address_a_datagram_came(
    loop: Loop, side: Callable[..., Side]
) -> None:
    server, client = side(), side()
    port = server.transports.listen("udp", "0.0.0.0", 0).port
    client.transports.flow("udp", Address("127.0.0.2", port)).send(options())
    assert loop.run_until(lambda: bool(server.messages), 2)
    flow = server.messages[0][1]
    assert flow.local == Address("127.0.0.2", port)
    flow.send(options())
    assert loop.run_until(lambda: bool(client.messages), 2)
    assert client.messages[0][1].remote == Address("127.0.0.2", port)


def test_icmp_port_unreachable_is_told_for_the_flow_it_concerns(
    loop: Loop, side: Callable[..., Side]
) -> None:
    client, server = side(), side()
    client.transports.listen("udp", LOCAL, 0)
    good = client.transports.flow("udp", server.transports.listen("udp", LOCAL, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind((LOCAL, 0))
        dead = Address.of(gone.getsockname())
    flow = client.transports.flow("udp", dead)
    flow.send(options())
    good.send(options())
    assert loop.run_until(lambda: bool(client.closed) and bool(server.messages), 2)
    assert client.closed[0][0] == flow
    assert isinstance(client.closed[0][1], ConnectionRefusedError)
    assert flow.alive


def test_a_refused_connection_is_told_apart_from_a_silent_one(
    loop: Loop, side: Callable[..., Side]
) -> None:
    client = side(Limits(connect_timeout=0.3))
    with socket.socket() as gone:
        gone.bind((LOCAL, 0))
        dead = Address.of(gone.getsockname())
    client.transports.flow("tcp", dead)
    assert loop.run_until(lambda: bool(client.closed), 2)
    assert isinstance(client.closed[0][1], ConnectionRefusedError)
    with socket.socket() as full:  # its queue takes one connection; the next gets no answer
        full.bind((LOCAL, 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        client.transports.flow("tcp", Address.of(full.getsockname()))
        assert loop.run_until(lambda: len(client.closed) > 1, 3)
        for filler in fillers:
            filler.close()
    assert isinstance(client.closed[1][1], TimeoutError)


def test_an_address_without_a_route_is_told(loop: Loop, side: Callable[..., Side]) -> None:
    client = side()
    client.transports.flow("tcp", Address("255.255.255.255", 5060))
    assert loop.run_until(lambda: bool(client.closed), 2)
    assert isinstance(client.closed[0][1], OSError)


def test_a_name_is_no_address(side: Callable[..., Side]) -> None:
    with pytest.raises(SipError, match="not an IP address"):
        side().transports.flow("tcp", Address("sip.example.test", 5060))


def test_a_connection_is_used_again(loop: Loop, side: Callable[..., Side]) -> None:
    server, client = side(), side()
    address = server.transports.listen("tcp", LOCAL, 0)
    first = client.transports.flow("tcp", address)
    first.send(options())
    assert client.transports.flow("tcp", address) is first
    assert loop.run_until(lambda: bool(server.messages), 2)
    assert server.transports.flow("tcp", first.local) is server.messages[0][1]


def test_several_messages_in_one_write_and_one_in_many(
    loop: Loop, side: Callable[..., Side]
) -> None:
    server = side()
    address = server.transports.listen("tcp", LOCAL, 0)
    with socket.create_connection((address.host, address.port)) as sock:
        sock.sendall(options(3) + options(70_000) + options()[:40])
        assert loop.run_until(lambda: len(server.messages) == 2, 2)
        sock.sendall(options()[40:])
        assert loop.run_until(lambda: len(server.messages) == 3, 2)
    assert [len(message.body) for message, _ in server.messages] == [3, 70_000, 0]


def test_a_double_crlf_is_answered_with_one(loop: Loop, side: Callable[..., Side]) -> None:
    server = side()
    address = server.transports.listen("tcp", LOCAL, 0)
    with socket.create_connection((address.host, address.port)) as sock:
        sock.setblocking(False)
        sock.sendall(b"\r\n\r\n")
        got: list[bytes] = []
        loop.add_reader(sock, lambda: got.append(sock.recv(10)))
        assert loop.run_until(lambda: bool(got), 2)
        loop.remove_reader(sock)
    assert got == [b"\r\n"]
    assert not server.messages


def test_a_stream_that_is_no_sip_is_told_and_closed(loop: Loop, side: Callable[..., Side]) -> None:
    server = side()
    address = server.transports.listen("tcp", LOCAL, 0)
    with socket.create_connection((address.host, address.port)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert loop.run_until(lambda: bool(server.closed), 2)
    assert len(server.bad) == 1


def test_a_datagram_that_is_no_sip_is_told_and_the_socket_goes_on(
    loop: Loop, side: Callable[..., Side]
) -> None:
    server, client = side(), side()
    flow = client.transports.flow("udp", server.transports.listen("udp", LOCAL, 0))
    for data in (b"\0\1\2rubbish", b"\r\n\r\n", b"", options()):
        flow.send(data)
    assert loop.run_until(lambda: bool(server.messages), 2)
    assert len(server.bad) == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"OPTIONS sip:a SIP/2.0\r\nVia: ", "did not finish"), (b"", "no message came")],
)
def test_a_slow_loris_is_shown_out(
    data: bytes, words: str, loop: Loop, side: Callable[..., Side]
) -> None:
    server = side(Limits(message_timeout=0.2, silent_timeout=0.2))
    address = server.transports.listen("tcp", LOCAL, 0)
    with socket.create_connection((address.host, address.port)) as sock:
        sock.sendall(data)
        assert loop.run_until(lambda: bool(server.closed), 3)
    assert words in str(server.closed[0][1])


def test_drip_feeding_does_not_buy_time(loop: Loop, side: Callable[..., Side]) -> None:
    server = side(Limits(message_timeout=0.5))
    address = server.transports.listen("tcp", LOCAL, 0)
    with socket.create_connection((address.host, address.port)) as sock:

        def drip() -> None:
            if not server.closed:
                sock.send(b"O")
                loop.call_later(0.1, drip)

        drip()
        assert loop.run_until(lambda: bool(server.closed), 3)


def test_a_message_that_begins_after_a_pause_has_its_full_time(
    loop: Loop, side: Callable[..., Side]
) -> None:
    server = side(Limits(message_timeout=0.3))
    address = server.transports.listen("tcp", LOCAL, 0)
    with socket.create_connection((address.host, address.port)) as sock:
        sock.sendall(options())
        assert loop.run_until(lambda: bool(server.messages), 2)
        flow: Any = server.messages[0][1]
        loop.run_until(lambda: False, 0.35)
        sock.sendall(options()[:30])
        assert loop.run_until(lambda: len(server.packets) == 2, 2)
        assert flow.overdue(loop.now()) is None
        assert flow.overdue(loop.now() + 0.3) is not None


def test_headers_without_end_are_cut_off(loop: Loop, side: Callable[..., Side]) -> None:
    server = side(Limits(max_head=2000))
    address = server.transports.listen("tcp", LOCAL, 0)
    with socket.create_connection((address.host, address.port)) as sock:
        sock.sendall(b"OPTIONS sip:a SIP/2.0\r\nSubject: " + b"x" * 5000)
        assert loop.run_until(lambda: bool(server.closed), 2)


def test_over_the_limit_the_oldest_connection_that_said_nothing_goes(
    loop: Loop, side: Callable[..., Side]
) -> None:
    server = side(Limits(max_connections=5))
    address = server.transports.listen("tcp", LOCAL, 0)
    useful = socket.create_connection((address.host, address.port))
    useful.sendall(options())
    assert loop.run_until(lambda: bool(server.messages), 2)
    idle = [socket.create_connection((address.host, address.port)) for _ in range(20)]
    assert loop.run_until(lambda: len(server.closed) == 16, 2)
    assert server.transports.connections == 5
    assert server.messages[0][1].alive
    for sock in (useful, *idle):
        sock.close()


def test_a_peer_that_does_not_read_is_given_up(loop: Loop, side: Callable[..., Side]) -> None:
    server = side(Limits(send_buffer=100_000))
    address = server.transports.listen("tcp", LOCAL, 0)
    with socket.create_connection((address.host, address.port)) as sock:
        sock.sendall(options())
        assert loop.run_until(lambda: bool(server.messages), 2)
        flow = server.messages[0][1]
        for _ in range(1000):
            flow.send(options(20_000))
        assert not flow.alive
    assert "does not read" in str(server.closed[0][1])


def test_much_data_for_a_slow_reader_arrives_whole(loop: Loop, side: Callable[..., Side]) -> None:
    server, client = side(), side(Limits(send_buffer=1 << 24))
    flow = client.transports.flow("tcp", server.transports.listen("tcp", LOCAL, 0))
    for _ in range(60):
        flow.send(options(100_000))
    assert loop.run_until(lambda: len(server.messages) == 60, 5)
    assert all(len(message.body) == 100_000 for message, _ in server.messages)


def tls_contexts(certificate: tuple[str, str]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificate)
    return server, ssl.create_default_context(cafile=certificate[0])


def test_tls_carries_messages_both_ways_and_the_tap_sees_them_decrypted(
    loop: Loop, side: Callable[..., Side], certificate: tuple[str, str]
) -> None:
    server, client = side(), side()
    for_server, for_client = tls_contexts(certificate)
    address = server.transports.listen("tls", LOCAL, 0, tls=for_server)
    flow = client.transports.flow("tls", address, tls=for_client)
    flow.send(options(50_000))
    assert loop.run_until(lambda: bool(server.messages), 3)
    server.messages[0][1].send(options(50_000))
    assert loop.run_until(lambda: bool(client.messages), 3)
    assert client.packets[0].data == options(50_000)
    assert client.packets[0].transport == "tls"
    again = client.transports.flow("tls", address, tls=for_client)
    assert again is flow


@pytest.mark.parametrize("hostname", [None, "other.example.test"])
def test_a_certificate_that_does_not_fit_is_told_as_such(
    hostname: str | None, loop: Loop, side: Callable[..., Side], certificate: tuple[str, str]
) -> None:
    server, client = side(), side()
    for_server, for_client = tls_contexts(certificate)
    address = server.transports.listen("tls", LOCAL, 0, tls=for_server)
    context: Any = {"tls": for_client} if hostname else {}  # without it: the public CAs
    client.transports.flow("tls", address, server_hostname=hostname, **context).send(options())
    assert loop.run_until(lambda: bool(client.closed), 3)
    assert isinstance(client.closed[0][1], ssl.SSLCertVerificationError)


def test_rubbish_on_a_tls_port_closes_that_connection_only(
    loop: Loop, side: Callable[..., Side], certificate: tuple[str, str]
) -> None:
    server, client = side(), side()
    for_server, for_client = tls_contexts(certificate)
    address = server.transports.listen("tls", LOCAL, 0, tls=for_server)
    with socket.create_connection((address.host, address.port)) as sock:
        sock.sendall(options())
        assert loop.run_until(lambda: bool(server.closed), 3)
    assert isinstance(server.closed[0][1], ssl.SSLError)
    client.transports.flow("tls", address, tls=for_client).send(options())
    assert loop.run_until(lambda: bool(server.messages), 3)
