"""Hostile input over the network: the sandbox, a process of its own, goes on answering others."""

from __future__ import annotations

import random
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from labtool import probe
from labtool.probe.session import Tls
from labtool.sip.digest import Password

from .peers import DOMAIN, LOOPBACK, PASSWORDS, SandboxProcess, answers_options, wait_for

MEMORY = 60.0  # MB; an idle sandbox has about 25
SEED = 20


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path_factory.mktemp("hostile"), tls=True, log=False) as process:
        yield process


@pytest.fixture(autouse=True)
def _others_are_served(sandbox: SandboxProcess) -> Iterator[None]:
    """After each attack: answers, registers over each transport, is small, has no mistake.

    What was thrown may still fill the socket's buffer: 3 s leave room for a repetition or two.
    """
    yield
    assert answers_options(sandbox.ports["udp"], seconds=3.0)
    assert sandbox.certificate is not None
    tls = Tls(ca_file=str(sandbox.certificate.chain), server_name="localhost")
    for transport in ("udp", "tcp", "tls"):
        result = probe.register(
            f"{LOOPBACK}:{sandbox.ports[transport]}",
            transport,
            "alice",
            DOMAIN,
            Password(PASSWORDS["alice"]),
            timeout_s=3.0,
            tls=tls,
        )
        assert result.ok, "\n".join(probe.lines(result))
    assert sandbox.memory() < MEMORY
    assert "Traceback" not in sandbox.said(), sandbox.said()[-3000:]


def connect(sandbox: SandboxProcess, transport: str = "tcp") -> socket.socket:
    return socket.create_connection((LOOPBACK, sandbox.ports[transport]), timeout=3)


def throw(sandbox: SandboxProcess, data: bytes, transport: str = "tcp") -> None:
    """Send it on a connection of its own, and leave without a word."""
    with suppress(OSError), connect(sandbox, transport) as sock:
        sock.sendall(data)


def datagrams(sandbox: SandboxProcess, many: Iterator[bytes] | list[bytes]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for data in many:
            with suppress(OSError):
                sock.sendto(data, (LOOPBACK, sandbox.ports["udp"]))


def options(via: str, *lines: str, length: int = 0) -> bytes:
    head = [
        f"OPTIONS sip:{DOMAIN} SIP/2.0",
        f"Via: SIP/2.0/{via} {LOOPBACK}:9;rport;branch=z9hG4bK{random.getrandbits(48):x}",
        f"From: <sip:mallory@{DOMAIN}>;tag=1",
        f"To: <sip:{DOMAIN}>",
        *("Max-Forwards: 70", "Call-ID: hostile", "CSeq: 1 OPTIONS", f"Content-Length: {length}"),
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode()


def corpus(shared: Path) -> list[bytes]:
    folder = shared / "data/torture"
    return [path.read_bytes() for path in sorted(folder.glob("rfc*/*.dat"))]


def test_the_torture_messages(sandbox: SandboxProcess, shared: Path) -> None:
    messages = corpus(shared)
    assert len(messages) >= 49
    for _ in range(20):
        datagrams(sandbox, messages)
    for message in messages:
        throw(sandbox, message)


def test_mutated_torture_messages(sandbox: SandboxProcess, shared: Path) -> None:
    dice = random.Random(SEED)
    messages = corpus(shared)
    for _ in range(100):
        datagrams(sandbox, [mutated(dice.choice(messages), dice) for _ in range(20)])
    for _ in range(200):
        throw(sandbox, mutated(dice.choice(messages), dice))


def mutated(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(changed))
        match dice.randrange(3):
            case 0:
                changed[at] = dice.randrange(256)
            case 1:
                del changed[at : at + dice.randint(1, 40)]
            case _:
                changed[at:at] = changed[at : at + dice.randint(1, 40)]
        if not changed:
            return b"\0"
    return bytes(changed)


def test_random_bytes(sandbox: SandboxProcess) -> None:
    dice = random.Random(SEED)
    datagrams(sandbox, (dice.randbytes(dice.randint(0, 1400)) for _ in range(5000)))
    for _ in range(200):
        throw(sandbox, dice.randbytes(dice.randint(1, 4000)))


def test_half_messages(sandbox: SandboxProcess) -> None:
    whole = options("UDP")
    datagrams(sandbox, [whole[:end] for end in range(0, len(whole), 3)])
    with ExitStack() as held:
        for end in range(1, len(whole), 3):
            sock = held.enter_context(connect(sandbox))
            sock.sendall(options("TCP")[:end])
        assert answers_options(sandbox.ports["udp"])


def test_headers_of_64_kilobytes_and_more(sandbox: SandboxProcess) -> None:
    long = "X-Long: " + "a" * 65_000
    many = [f"X-{number}: b" for number in range(4000)]
    datagrams(sandbox, [options("UDP", long), options("UDP", *many)] * 20)
    for line in (long, long * 2, "Via: " + "SIP/2.0/TCP 127.0.0.1," * 4000):
        for _ in range(5):
            throw(sandbox, options("TCP", line))
    for _ in range(5):
        throw(sandbox, options("TCP", *many))
        throw(sandbox, b"OPTIONS sip:" + b"a" * 3_000_000)


def test_bodies_that_never_come(sandbox: SandboxProcess) -> None:
    with ExitStack() as held:
        for length in (1, 100_000, 10**9, 10**30, -1):
            for _ in range(20):
                sock = held.enter_context(connect(sandbox))
                with suppress(OSError):
                    sock.sendall(options("TCP", length=length))
        assert answers_options(sandbox.ports["udp"])


def test_a_peer_that_never_reads(sandbox: SandboxProcess) -> None:
    with connect(sandbox) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        with suppress(OSError):
            for _ in range(30_000):
                sock.send(options("TCP"))
        assert answers_options(sandbox.ports["udp"])
        assert sandbox.memory() < MEMORY


def test_rubbish_for_tls(sandbox: SandboxProcess) -> None:
    dice = random.Random(SEED)
    hello = client_hello()
    with ExitStack() as held:
        for number in range(200):
            throw(sandbox, dice.randbytes(dice.randint(1, 2000)), "tls")
            throw(sandbox, mutated(hello, dice), "tls")
            if number % 4 == 0:
                sock = held.enter_context(connect(sandbox, "tls"))
                sock.sendall(hello[: dice.randrange(len(hello))])
        throw(sandbox, options("TLS"), "tls")
        assert answers_options(sandbox.ports["udp"])


def client_hello() -> bytes:
    """The first bytes of a TLS connection."""
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def test_ten_thousand_idle_connections(sandbox: SandboxProcess) -> None:
    """As many as this process may open. A phone that has spoken keeps its connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceiling = 10_500 if hard == resource.RLIM_INFINITY else min(10_500, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, ceiling), hard))
    count = min(10_000, max(soft, ceiling) - 400)
    try:
        with connect(sandbox) as phone, ExitStack() as held:
            phone.sendall(options("TCP"))
            assert phone.recv(65536).startswith(b"SIP/2.0 200")
            for number in range(count):
                held.enter_context(connect(sandbox))
                if number % 1000 == 0:
                    assert answers_options(sandbox.ports["udp"]), number
            assert answers_options(sandbox.ports["udp"])
            phone.sendall(options("TCP"))
            assert phone.recv(65536).startswith(b"SIP/2.0 200")
            throw(sandbox, options("TCP"))
            assert sandbox.memory() < MEMORY
            print(f"{count} idle connections, {sandbox.memory():.0f} MB")
        wait_for("it answers", lambda: answers_options(sandbox.ports["udp"]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
