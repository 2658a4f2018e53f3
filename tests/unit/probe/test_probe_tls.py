"""TLS: a certificate that is good, and each way in which it can be bad."""

from __future__ import annotations

import datetime
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from labtool.errors import RequestError
from labtool.probe import Account, Result
from labtool.probe.capabilities import options
from labtool.probe.registration import register
from labtool.probe.session import Setting, Tls
from labtool.sip.digest import Password
from labtool.sip.loop import Loop

Fake = Callable[..., Any]
DOMAIN = "sip.example.test"
NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def certificate(folder: Path, name: str, *, since: Any = NOW - DAY, until: Any = NOW + DAY) -> Path:
    """A self-signed certificate for `name`, with its key, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}-{until.timestamp():.0f}.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def serving(path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def name_of(result: Result) -> str | None:
    return result.cause.name if result.cause else None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def good(folder: Path) -> Path:
    return certificate(folder, DOMAIN)


def test_a_trusted_certificate_for_the_domain_is_good(
    fake: Fake, setting: Setting, good: Path
) -> None:
    server = fake(transport="tls", tls=serving(good))
    account = Account("alice", DOMAIN, Password("wonderland"), "tls")
    result = register(server.target, account, replace(setting, tls=Tls(ca_file=str(good))))
    assert result.ok, result.verdict
    connect = result.steps[0]
    assert connect.name == "connect"
    assert connect.facts["tls"].startswith("TLSv1.")
    assert connect.facts["expires"]
    assert "transport=tls" in str(server.requests[0].contacts[0].uri)


def test_a_certificate_of_an_unknown_issuer_is_untrusted(
    fake: Fake, setting: Setting, good: Path
) -> None:
    server = fake(transport="tls", tls=serving(good))
    result = options(server.target, "tls", setting)
    assert name_of(result) == "tls-untrusted"
    assert result.steps[-1].name == "connect"
    unchecked = replace(setting, tls=Tls(verify=False))
    assert options(server.target, "tls", unchecked).ok


def test_a_certificate_for_another_name_is_named_so(
    fake: Fake, setting: Setting, good: Path
) -> None:
    server = fake(transport="tls", tls=serving(good))
    tls = Tls(ca_file=str(good), server_name="other.example.test")
    result = options(server.target, "tls", replace(setting, tls=tls))
    assert name_of(result) == "tls-name"
    assert "other.example.test" in result.verdict


@pytest.mark.parametrize(("since", "until"), [(-3, -1), (1, 3)])
def test_a_certificate_out_of_its_time_is_expired(
    fake: Fake, setting: Setting, folder: Path, since: int, until: int
) -> None:
    old = certificate(folder, DOMAIN, since=NOW + since * DAY, until=NOW + until * DAY)
    server = fake(transport="tls", tls=serving(old))
    tls = Tls(ca_file=str(old), server_name=DOMAIN)
    assert name_of(options(server.target, "tls", replace(setting, tls=tls))) == "tls-expired"


def test_a_server_of_another_tls_version_has_no_common_ground(
    fake: Fake, setting: Setting, good: Path
) -> None:
    context = serving(good)
    context.set_ciphers("NULL-SHA256")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    server = fake(transport="tls", tls=context)
    assert name_of(options(server.target, "tls", setting)) == "tls-handshake"


def test_a_server_that_demands_a_client_certificate_is_explained(
    fake: Fake, setting: Setting, good: Path
) -> None:
    context = serving(good)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(good)
    server = fake(transport="tls", tls=context)
    tls = Tls(ca_file=str(good), server_name=DOMAIN)
    result = options(server.target, "tls", replace(setting, tls=tls))
    assert name_of(result) == "tls-handshake"
    assert "CERTIFICATE" in result.verdict.upper()


@pytest.fixture
def plain_tcp(loop: Loop) -> Iterator[Callable[[bytes | None], str]]:
    """A TCP server that answers whatever comes with `reply` and closes; None keeps silent."""
    socks: list[socket.socket] = []

    def make(reply: bytes | None) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        socks.append(listener)

        def accept() -> None:
            peer, _ = listener.accept()
            socks.append(peer)

            def read() -> None:
                loop.remove_reader(peer)
                with suppress(OSError):
                    peer.recv(65536)
                    if reply is not None:
                        peer.send(reply)
                        peer.close()

            loop.add_reader(peer, read)

        loop.add_reader(listener, accept)
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield make
    for sock in socks:
        if sock.fileno() >= 0:
            loop.remove_reader(sock)
            sock.close()


@pytest.mark.parametrize("reply", [b"", b"SIP/2.0 400 Bad Request\r\n\r\n", b"HTTP/1.1 400 x\r\n"])
def test_a_port_that_does_not_speak_tls_is_told(
    plain_tcp: Callable[[bytes | None], str], setting: Setting, reply: bytes
) -> None:
    assert name_of(options(plain_tcp(reply), "tls", setting)) == "tls-not-spoken"


def test_a_port_that_never_answers_the_handshake_does_not_speak_tls(
    plain_tcp: Callable[[bytes | None], str], setting: Setting
) -> None:
    result = options(plain_tcp(None), "tls", setting)
    assert name_of(result) == "tls-not-spoken"
    assert result.steps[-1].name == "connect"
    assert "no answer to the TLS handshake" in result.verdict


def test_a_tls_port_that_is_asked_in_plain_tcp_is_not_sip(
    fake: Fake, setting: Setting, good: Path
) -> None:
    server = fake(transport="tls", tls=serving(good))
    result = options(server.target, "tcp", setting)
    assert name_of(result) in ("not-sip", "connection-closed")


def test_a_file_that_holds_no_certificate_is_a_wrong_request(
    setting: Setting, tmp_path: Path
) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing")
    with pytest.raises(RequestError, match=r"ca\.pem"):
        options("127.0.0.1:1", "tls", replace(setting, tls=Tls(ca_file=str(empty))))
