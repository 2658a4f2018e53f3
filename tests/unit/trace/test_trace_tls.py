"""TLS with a key log: what it has secrets for is read, the rest stays encrypted."""

from __future__ import annotations

import contextlib
import datetime
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from labtool.sip.flow import Address, Packet
from labtool.trace import pcap
from labtool.trace.analysis import Analysis, analyse
from labtool.trace.errors import CaptureError
from labtool.trace.ladder import text
from labtool.trace.report import report
from labtool.trace.story import ladder_of_analysis
from labtool.trace.tls import KeyLog, Session

CLIENT, SERVER = Address("203.0.113.21", 40000), Address("198.51.100.10", 5061)
OPTIONS = (
    b"OPTIONS sip:lab.test SIP/2.0\r\nVia: SIP/2.0/TLS h;branch=z9hG4bK1\r\n"
    b"From: <sip:alice@lab.test>;tag=1\r\nTo: <sip:lab.test>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n"
    b"Content-Length: 0\r\n\r\n"
)
ANSWER = OPTIONS.replace(b"OPTIONS sip:lab.test SIP/2.0", b"SIP/2.0 200 OK").replace(
    b"<sip:lab.test>", b"<sip:lab.test>;tag=2"
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lab.test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(1))
        .not_valid_after(now + datetime.timedelta(1))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "lab.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


def recorded(
    certificate: Path,
    folder: Path,
    version: ssl.TLSVersion,
    ciphers: str,
    *,
    change: Callable[[list[Packet]], None] = lambda packets: None,
) -> tuple[Path, Path]:
    """A connection with a request and its answer, ten times: its capture and its key log."""
    server, client = (
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    )
    server.load_cert_chain(certificate)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = client.maximum_version = version
    if ciphers:
        client.set_ciphers(ciphers)
    client.keylog_filename = str(folder / "keys.log")
    wires = [ssl.MemoryBIO() for _ in range(4)]
    ends = (
        client.wrap_bio(wires[0], wires[1]),
        server.wrap_bio(wires[2], wires[3], server_side=True),
    )
    packets: list[Packet] = []

    def carry() -> None:
        for out, into, way in ((1, 2, (CLIENT, SERVER)), (3, 0, (SERVER, CLIENT))):
            while data := wires[out].read(700):  # records are cut into several segments
                packets.append(Packet(1e9 + len(packets) / 100, "tcp", *way, data))
                wires[into].write(data)

    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
            carry()
    for number in range(10):
        for end, other, message in ((0, 1, OPTIONS), (1, 0, ANSWER)):
            ends[end].write(message.replace(b"Call-ID: c", b"Call-ID: c%d" % number))
            carry()
            ends[other].read(4096)
    change(packets)
    pcap.write(folder / "tls.pcap", packets)
    return folder / "tls.pcap", folder / "keys.log"


SUITES = [
    (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    (ssl.TLSVersion.TLSv1_3, ""),
]


@pytest.mark.parametrize(("version", "ciphers"), SUITES)
def test_every_message_is_read_with_the_key_log_and_none_without(
    certificate: Path, tmp_path: Path, version: ssl.TLSVersion, ciphers: str
) -> None:
    file, keys = recorded(certificate, tmp_path, version, ciphers)
    found = analyse([file], key_log=keys)
    assert [m.label for m in found.messages] == ["OPTIONS", "200 OK"] * 10
    assert {m.flow.transport for m in found.messages} == {"tls"}
    assert report(found)["encrypted"] == []
    assert "encrypted" not in text(ladder_of_analysis(found))
    closed = analyse([file])
    assert closed.messages == []
    assert len(report(closed)["encrypted"]) == 1


@pytest.mark.parametrize(("version", "ciphers"), SUITES[1::2])
def test_a_record_that_the_capture_lost_costs_no_other(
    certificate: Path, tmp_path: Path, version: ssl.TLSVersion, ciphers: str
) -> None:
    def lose(packets: list[Packet]) -> None:
        sent = [n for n, packet in enumerate(packets) if packet.source == CLIENT]
        del packets[sent[-3]]

    file, keys = recorded(certificate, tmp_path, version, ciphers, change=lose)
    # The tap's writer numbers bytes as it sees them: a loss that TCP does not show.
    labels = [m.label for m in analyse([file], key_log=keys).messages]
    assert (labels.count("OPTIONS"), labels.count("200 OK")) == (9, 10)


def test_a_log_of_another_connection_opens_nothing(certificate: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    file, _ = recorded(certificate, tmp_path / "one", *SUITES[1])
    _, keys = recorded(certificate, tmp_path / "two", *SUITES[1])
    assert analyse([file], key_log=keys).messages == []


def test_a_file_without_secrets_is_no_key_log(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("# nothing\nCLIENT_RANDOM xx yy\n")
    with pytest.raises(CaptureError, match="no TLS secret"):
        KeyLog.read(tmp_path / "empty")
    with pytest.raises(CaptureError, match="cannot be read"):
        KeyLog.read(tmp_path / "none")


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from([20, 21, 22, 23]), st.binary(max_size=90)),
        max_size=8,
    )
)
def test_no_record_can_break_it(records: list[tuple[int, int, bytes]]) -> None:
    session = Session(KeyLog(""))
    for side, kind, body in records:
        head = bytes((kind, 3, 3)) + len(body).to_bytes(2, "big")
        assert session.open(side, head + body) == b""


def call(shared: Path, *views: str) -> Analysis:
    folder = shared / "data/calls"
    paths = [folder / f"10_nat_tls_both-{view}.pcap" for view in views]
    return analyse(paths, key_log=folder / "10_nat_tls_both.keylog")


def test_a_recorded_call_over_tls_is_read_from_every_view(shared: Path) -> None:
    # The figures are tshark's, with the same key log.
    assert [len(call(shared, view).messages) for view in ("a", "b", "srv")] == [16, 13, 29]
    found = call(shared, "a", "b", "srv")
    assert [one.outcome for one in found.calls] == ["answered"]
    assert {stream.path for stream in found.streams} == {"relayed"}
    assert [p.name for p in ladder_of_analysis(found).participants][:3] == [
        "alice",
        "server",
        "bob",
    ]
    assert found.findings == []
