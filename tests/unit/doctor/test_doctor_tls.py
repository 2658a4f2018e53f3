"""The certificate that a server shows, and its files."""

from __future__ import annotations

import datetime
from dataclasses import replace

import healthy as h
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from labtool.doctor.evidence import Evidence
from labtool.doctor.judgement import judge
from labtool.doctor.network import OPEN, Port
from labtool.doctor.server import Listener

TLS_CONF = h.CONF.replace(
    "transports=sip:*:5060",
    "transports=sip:*:5060 sips:*:5061\ntls-certificates-file=/etc/a b.crt\n"
    "tls-certificates-private-key=/etc/a.key",
)
SEEN = datetime.datetime.fromtimestamp(h.HEALTHY.now, datetime.timezone.utc)


def certificate(
    *names: str, days: float = 300, issuer: str = "Test CA", begins: float = -100
) -> bytes:
    """DER, valid around the moment of the evidence; without `names` it is for its subject only."""
    key = ec.generate_private_key(ec.SECP256R1())

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(named(h.DOMAIN))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(SEEN + datetime.timedelta(days=begins))
        .not_valid_after(SEEN + datetime.timedelta(days=days))
    )
    if names:
        extension = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def with_tls(shown: bytes = b"", untrusted: str = "", **files: object) -> Evidence:
    """A healthy server with TLS on 5061 that shows this certificate."""
    listener = Listener("tcp", h.ADDRESS, 5061, "flexisip", True)
    assert h.HEALTHY.server is not None
    values: dict[str, object] = {
        "certificate": "-----BEGIN CERTIFICATE-----",
        "certificate_public": "same",
        "key": True,
        "key_public": "same",
        **files,
    }
    ill = h.with_server(h.with_conf(TLS_CONF), listening=(*h.HEALTHY.server.listening, listener))
    ill = h.with_server(ill, **values)
    return replace(
        ill, ports=(*ill.ports, Port("tls", 5061, OPEN, certificate=shown, untrusted=untrusted))
    )


@pytest.mark.parametrize(
    ("expected", "shown"),
    [
        ([], certificate(h.DOMAIN)),
        ([], certificate("*.example.test")),
        ([], certificate()),
        (["tls-expired"], certificate(h.DOMAIN, days=-1)),
        (["tls-expired"], certificate(h.DOMAIN, days=3)),
        ([], certificate(h.DOMAIN, days=3, begins=-3)),
        (["tls-expired"], certificate(h.DOMAIN, days=1, begins=-5)),
        (["tls-expired"], certificate(h.DOMAIN, begins=1)),
        (["tls-name"], certificate("other.example.test")),
        (["tls-files"], b"no certificate"),
    ],
)
def test_the_certificate_that_is_shown_is_judged(expected: list[str], shown: bytes) -> None:
    assert h.ids(with_tls(shown)) == expected


@pytest.mark.parametrize("issuer", [h.DOMAIN, "Test CA"])
def test_a_certificate_of_no_trusted_issuer_is_told_with_the_issuer(issuer: str) -> None:
    (found,) = judge(with_tls(certificate(h.DOMAIN, issuer=issuer), "no issuer")).findings
    assert found.id == "tls-self-signed"
    assert ("itself" if issuer == h.DOMAIN else issuer) in found.message
    assert "--ca-file" in found.next


@pytest.mark.parametrize(
    "files",
    [
        {"certificate": ""},
        {"certificate": "nonsense"},
        {"key": False},
        {"key_public": "another"},
    ],
)
def test_files_that_are_missing_or_do_not_fit_are_told(files: dict[str, object]) -> None:
    evidence = with_tls(certificate(h.DOMAIN), **files)
    assert h.ids(evidence) == ["tls-files"]


def test_a_path_in_a_command_is_quoted() -> None:
    (found,) = judge(replace(with_tls(key=False), ssh=())).findings
    assert found.next == "ls -l '/etc/a b.crt' /etc/a.key"
