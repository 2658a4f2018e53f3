"""OPTIONS, and everything that can go wrong before SIP is spoken at all."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

import labtool.probe.agent
from labtool import probe
from labtool.probe.capabilities import options
from labtool.probe.result import Result
from labtool.probe.session import Setting
from labtool.sip.loop import Loop
from labtool.sip.message import response_to

FakeFactory = Callable[..., Any]


def name_of(result: Result) -> str | None:
    return result.cause.name if result.cause else None


def has_ipv6() -> bool:
    """Whether this machine has IPv6's loopback address: a container often has none."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as trial:
            trial.bind(("::1", 0))
    except OSError:
        return False
    return True


HOSTS = [
    "127.0.0.1",
    pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6")),
]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("host", HOSTS)
def test_a_server_that_answers_is_described(
    fake: FakeFactory, setting: Setting, transport: str, host: str
) -> None:
    server = fake(transport=transport, host=host)
    result = options(server.target, transport, setting)
    assert result.ok, result
    assert result.exit_code == 0
    step = result.steps[-1]
    assert step.name == "OPTIONS"
    assert step.detail == "200 OK, fake/1"
    assert step.facts["server"] == "fake/1"
    assert step.facts["behind_nat"] is False
    assert 0 < step.seconds < 0.5
    assert [s.name for s in result.steps] == (["connect"] if transport == "tcp" else []) + [
        "OPTIONS"
    ]
    assert server.requests[0].uri.startswith(f"sip:{server.target}")


def test_the_tap_sees_every_packet_with_its_true_addresses(
    fake: FakeFactory, setting: Setting, seen: list[Any]
) -> None:
    server = fake()
    options(server.target, "udp", setting)
    request, answer = seen
    assert request.data.startswith(b"OPTIONS ")
    assert answer.data.startswith(b"SIP/2.0 200 ")
    assert request.destination == answer.source == server.address
    assert request.source == answer.destination


@pytest.mark.parametrize("status", [401, 403, 404, 405, 407, 480, 501])
def test_a_server_that_refuses_options_still_speaks_sip(
    fake: FakeFactory, setting: Setting, status: int
) -> None:
    server = fake(answer=lambda _s, _t, request: response_to(request, status))
    result = options(server.target, "udp", setting)
    assert result.ok
    assert str(status) in result.steps[-1].detail


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (482, "loop"),
        (483, "loop"),
        (500, "server-error"),
        (503, "server-error"),
        (302, "redirected"),
        (400, "bad-request"),
        (499, "unexpected-answer"),
    ],
)
def test_an_answer_that_shows_a_broken_server_is_a_failure(
    fake: FakeFactory, setting: Setting, status: int, expected: str
) -> None:
    server = fake(answer=lambda _s, _t, request: response_to(request, status))
    result = options(server.target, "udp", setting)
    assert name_of(result) == expected
    assert result.exit_code == probe.CAUSES[expected].exit_code
    assert str(status) in result.verdict


def test_a_redirection_says_where_to(fake: FakeFactory, setting: Setting) -> None:
    server = fake(
        answer=lambda _s, _t, r: response_to(r, 302, headers=[("Contact", "<sip:b.example>")])
    )
    assert "<sip:b.example>" in options(server.target, "udp", setting).verdict


def test_a_lost_request_is_repeated_and_counted(fake: FakeFactory, setting: Setting) -> None:
    server = fake()
    inner = server.transports.events.on_message
    lost = iter([True, True])

    def lossy(message: Any, flow: Any) -> None:
        if not next(lost, False):
            inner(message, flow)

    server.transports.events.on_message = lossy
    result = options(server.target, "udp", setting)
    assert result.ok
    assert result.steps[-1].retransmissions == 2
    assert "(sent 3 times)" in probe.lines(result)[0]


def test_an_answer_to_another_branch_is_ignored(fake: FakeFactory, setting: Setting) -> None:
    def stray(_server: Any, _transaction: Any, request: Any) -> Any:
        response = response_to(request, 500)
        response.headers.set("Via", "SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKother;rport=1")
        server.flows[-1].send(response.to_bytes())
        return response_to(request, 200)

    server = fake(answer=stray)
    assert options(server.target, "udp", setting).ok


def test_a_terminal_is_safe_from_what_the_server_says(fake: FakeFactory, setting: Setting) -> None:
    server = fake(answer=lambda _s, _t, r: response_to(r, 200, headers=[("Server", "\x1b[2Jx")]))
    result = options(server.target, "udp", setting)
    assert "\x1b" not in "\n".join(probe.lines(result)) + str(result.to_dict())


# -- nothing there -------------------------------------------------------------------------------


@pytest.fixture
def silent_udp() -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


def test_silence_over_udp_is_no_answer(silent_udp: str, setting: Setting) -> None:
    result = options(silent_udp, "udp", setting)
    assert name_of(result) == "no-answer"
    assert result.steps[-1].retransmissions >= 2
    assert result.exit_code == 10
    assert result.steps[-1].seconds == pytest.approx(0.5, abs=0.1)


def test_a_full_queue_of_connections_is_no_answer(setting: Setting) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        blockers = []
        for _ in range(3):
            blocker = socket.socket()
            blocker.setblocking(False)
            with suppress(BlockingIOError):
                blocker.connect(listener.getsockname())
            blockers.append(blocker)
        result = options(f"127.0.0.1:{listener.getsockname()[1]}", "tcp", setting)
        for blocker in blockers:
            blocker.close()
    assert name_of(result) == "no-answer"
    assert result.steps[-1].name == "connect"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_closed_port_is_refused_at_once(setting: Setting, transport: str) -> None:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    result = options(f"127.0.0.1:{port}", transport, setting)
    assert name_of(result) == "refused"
    assert result.seconds < 0.3


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH])
def test_no_route_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, setting: Setting, number: int
) -> None:
    def no_way(_remote: Any) -> str:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(labtool.probe.agent, "local_host", no_way)
    result = options("192.0.2.1", "udp", setting)
    assert name_of(result) == "unreachable"
    assert os.strerror(number) in result.verdict


def test_what_this_machine_may_not_send_is_a_local_error(setting: Setting) -> None:
    result = options("255.255.255.255", "udp", setting)
    assert name_of(result) == "local-error"


def test_a_dead_name_is_a_cause_of_its_own(
    monkeypatch: pytest.MonkeyPatch, setting: Setting
) -> None:
    def nothing(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    result = options("nowhere.example.test", "udp", setting)
    assert name_of(result) == "name-not-resolved"
    assert [step.name for step in result.steps] == ["resolve"]


# -- something else is there ----------------------------------------------------------------------


@pytest.mark.parametrize("junk", [b"\x00\x01\x02garbage", b"HTTP/1.1 400 Bad\r\n\r\n", b"hello"])
def test_random_bytes_over_udp_are_not_sip(loop: Loop, setting: Setting, junk: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def talk() -> None:
            _, peer = sock.recvfrom(65536)
            sock.sendto(junk, peer)

        loop.add_reader(sock, talk)
        patient = replace(setting, timeout=3.0)
        result = options(f"127.0.0.1:{sock.getsockname()[1]}", "udp", patient)
        loop.remove_reader(sock)
    assert name_of(result) == "not-sip"
    assert "b'" not in result.verdict
    if junk.startswith(b"\x00"):
        assert 'no SIP: "...garbage"' in result.verdict
    assert result.seconds < 2.0


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_an_echo_is_no_sip_server(loop: Loop, setting: Setting, transport: str) -> None:
    """Even if the probe's own answer to its own request comes back to it as the server's."""
    with socket.socket(
        socket.AF_INET, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    ) as sock:
        sock.bind(("127.0.0.1", 0))
        peers = []

        def back() -> None:
            data, peer = sock.recvfrom(65536)
            sock.sendto(data, peer)

        def accept() -> None:
            peer, _ = sock.accept()
            peers.append(peer)
            loop.add_reader(peer, lambda: peer.sendall(peer.recv(65536)))

        if transport == "tcp":
            sock.listen()
        loop.add_reader(sock, back if transport == "udp" else accept)
        target = f"127.0.0.1:{sock.getsockname()[1]}"
        result = options(target, transport, replace(setting, timeout=3.0))
        for one in (sock, *peers):
            loop.remove_reader(one)
            one.close()
    assert name_of(result) == "not-sip"
    assert "echo" in result.verdict
    assert result.seconds < 2.0


def tcp_server(loop: Loop, greeting: bytes, reply: bytes | None) -> tuple[socket.socket, list[Any]]:
    """Greets; on data replies and closes (None: only closes)."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    kept: list[Any] = [listener]

    def accept() -> None:
        peer, _ = listener.accept()
        kept.append(peer)
        if greeting:
            peer.send(greeting)

        def read() -> None:
            loop.remove_reader(peer)
            with suppress(OSError):
                peer.recv(65536)
                if reply:
                    peer.send(reply)
            peer.close()

        loop.add_reader(peer, read)

    loop.add_reader(listener, accept)
    return listener, kept


@pytest.mark.parametrize(
    ("greeting", "reply", "word"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", b"Invalid SSH identification string.", "SSH"),
        (b"", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "HTTP"),
        (b"", b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
        (b"220 mail.example.test ESMTP\r\n", b"500 what?\r\n", "SMTP"),
        (b"", b"\x00\x01\x02", "no SIP"),
    ],
)
def test_another_protocol_over_tcp_is_not_sip_and_named(
    loop: Loop, setting: Setting, greeting: bytes, reply: bytes, word: str
) -> None:
    listener, kept = tcp_server(loop, greeting, reply)
    result = options(f"127.0.0.1:{listener.getsockname()[1]}", "tcp", setting)
    for sock in kept:
        loop.remove_reader(sock)
        sock.close()
    assert name_of(result) == "not-sip"
    assert word in result.verdict


def test_a_connection_that_is_closed_without_an_answer_says_so(
    loop: Loop, setting: Setting
) -> None:
    listener, kept = tcp_server(loop, b"", None)
    result = options(f"127.0.0.1:{listener.getsockname()[1]}", "tcp", setting)
    for sock in kept:
        loop.remove_reader(sock)
        sock.close()
    assert name_of(result) == "connection-closed"


def test_localhost_finds_the_server_on_whichever_address_it_listens(
    monkeypatch: pytest.MonkeyPatch, fake: FakeFactory, setting: Setting
) -> None:
    server = fake()
    port = server.address.port
    both = [
        (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("::1", port, 0, 0)),
        (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", port)),
    ]
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda h, *a, **k: both if h == "localhost" else real(h, *a, **k)
    )
    result = options(f"localhost:{port}", "udp", setting)
    assert result.ok, result.verdict
    assert result.steps[0].name == "resolve"
