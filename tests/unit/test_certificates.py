"""The certificate of a lab: made by its own issuer, or named and judged before anything is sent."""

from __future__ import annotations

import datetime
import ssl
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from labtool import certificates, expectation, inventory, issuer, options, state
from labtool.errors import RequestError
from labtool.inventory import Host

DOMAIN = "sip.example.test"
HOST = Host("edge", "203.0.113.5")
NAMES = (DOMAIN, "edge", "203.0.113.5")
PLACE = "/etc/flexisip/labtool-tls"


def wants(**more: Any) -> Mapping[str, Any]:
    given = {f"flexisip_{name}": value for name, value in more.items()}
    tls = {"flexisip_domain": DOMAIN, "flexisip_transports": ["udp", "tls"]}
    return options.check({**tls, **given}, where="lab.yml")


def named(lab: Path, host: str = "edge") -> dict[str, str]:
    certificate, key = certificates.files_of(lab, host)
    return {"tls_certificate": str(certificate), "tls_key": str(key)}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    assert issuer.made(tmp_path, "edge", NAMES)
    return tmp_path


def test_a_lab_without_tls_has_and_needs_no_certificate(tmp_path: Path) -> None:
    plain = options.check({"flexisip_domain": DOMAIN}, where="lab.yml")
    assert certificates.of_lab(plain, tmp_path, "edge") is None
    assert certificates.settings(plain, tmp_path, "edge", PLACE) == {}
    assert certificates.files(plain, tmp_path, "edge", PLACE, "2.5.2") == []


def test_the_made_certificate_is_for_the_domain_and_the_address_and_its_key_is_closed(
    own: Path,
) -> None:
    found = certificates.of_lab(wants(), own, "edge")
    assert found is not None
    assert set(NAMES) <= set(found.names)
    left = found.until - datetime.datetime.now(datetime.timezone.utc)
    assert 360 < left.days <= 365
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (own / ".tls").iterdir()}
    assert modes["ca.key"] == modes["edge.key"] == 0o600
    assert (own / ".tls" / ".gitignore").read_text().endswith("*\n")
    assert "PRIVATE" not in repr(found)


def test_openssl_takes_the_made_pair_and_verifies_it_by_the_issuer(own: Path) -> None:
    certificate, key = certificates.files_of(own, "edge")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=str(own / ".tls" / "ca.pem"))
    for name in NAMES:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        one = client.wrap_bio(to_client, to_server, server_hostname=name)
        other = server.wrap_bio(to_server, to_client, server_side=True)
        for _ in range(4):
            for side in (one, other):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        assert one.getpeercert()


def test_it_is_made_again_only_for_a_new_name_or_when_asked_and_the_issuer_stays(own: Path) -> None:
    ca = (own / ".tls" / "ca.pem").read_bytes()
    before = certificates.of_lab(wants(), own, "edge")
    assert not issuer.made(own, "edge", NAMES)
    assert issuer.made(own, "edge", (*NAMES, "198.51.100.7"))
    assert issuer.made(own, "edge", NAMES, renew=True)
    after = certificates.of_lab(wants(), own, "edge")
    assert before is not None
    assert after is not None
    assert before.fingerprint != after.fingerprint
    assert before.key != after.key
    assert (own / ".tls" / "ca.pem").read_bytes() == ca


@pytest.mark.parametrize("days", [-1, 20])
def test_a_made_certificate_that_ends_soon_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    monkeypatch.setattr(issuer, "_SERVER_DAYS", days)
    issuer.made(tmp_path, "edge", NAMES)
    monkeypatch.undo()
    assert issuer.made(tmp_path, "edge", NAMES)
    assert not issuer.made(tmp_path, "edge", NAMES)


def test_before_2_2_the_files_are_agent_pem_and_cafile_pem(own: Path) -> None:
    new = certificates.files(wants(), own, "edge", PLACE, "2.2.0")
    assert [(one["path"], one["mode"]) for one in new] == [
        (f"{PLACE}/certificate.pem", "644"),
        (f"{PLACE}/key.pem", "600"),
    ]
    agent, issuers = certificates.files(wants(), own, "edge", PLACE, "2.1.6")
    assert (agent["path"], agent["mode"]) == (f"{PLACE}/agent.pem", "600")
    assert "PRIVATE KEY" in agent["text"]
    assert agent["text"].count("BEGIN CERTIFICATE") == 1
    assert issuers["text"] == (own / ".tls" / "ca.pem").read_text()


def test_a_new_certificate_changes_the_configuration_and_so_restarts_the_server(own: Path) -> None:
    before = certificates.settings(wants(), own, "edge", PLACE)
    issuer.made(own, "edge", NAMES, renew=True)
    after = certificates.settings(wants(), own, "edge", PLACE)
    assert before["comment"] != after["comment"]
    assert "PRIVATE" not in str(after)


# --- what is refused --------------------------------------------------------------------------


def refused(lab: Path, **more: Any) -> str:
    with pytest.raises(RequestError) as caught:
        certificates.of_lab(wants(**more), lab, "edge")
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "PRIVATE KEY-----M" not in sentence
    return sentence


def test_a_half_is_refused(own: Path) -> None:
    assert "flexisip_tls_key is not" in refused(own, tls_certificate="/a.pem")
    assert "flexisip_tls_certificate is not" in refused(own, tls_key="/a.pem")
    assert "no files of the server are named" in refused(own, tls_on_server=True)


def test_a_certificate_that_was_not_made_yet_is_told_with_the_command(tmp_path: Path) -> None:
    assert refused(tmp_path).endswith("labtool certificate")


def test_the_key_of_another_certificate_is_refused(own: Path) -> None:
    issuer.made(own, "other", NAMES)
    pair = {**named(own), "tls_key": named(own, "other")["tls_key"]}
    assert "does not belong to the certificate" in refused(own, **pair)


def test_an_issuer_before_the_servers_own_certificate_is_told(own: Path) -> None:
    certificate, _ = certificates.files_of(own, "edge")
    certificate.write_text((own / ".tls" / "ca.pem").read_text() + certificate.read_text())
    assert "does not come first" in refused(own, **named(own))


def test_a_certificate_of_another_name_is_refused_with_both_names(own: Path) -> None:
    issuer.made(own, "edge", ("other.example.test",), renew=True)
    sentence = refused(own, **named(own))
    assert "is for other.example.test, not for the lab's domain sip.example.test" in sentence


def test_a_wildcard_covers_one_label(own: Path) -> None:
    issuer.made(own, "edge", ("*.example.test",), renew=True)
    assert certificates.of_lab(wants(**named(own)), own, "edge")
    assert "not for the lab's domain" in refused(own, domain="a.b.example.test", **named(own))


def test_an_expired_or_future_certificate_is_refused(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer, "_SERVER_DAYS", -1)
    monkeypatch.setattr(issuer, "_EARLIER", datetime.timedelta(days=9))
    issuer.made(own, "edge", NAMES, renew=True)
    assert "expired on" in refused(own, **named(own))
    monkeypatch.setattr(issuer, "_SERVER_DAYS", 9)
    monkeypatch.setattr(issuer, "_EARLIER", datetime.timedelta(days=-3))
    issuer.made(own, "edge", NAMES, renew=True)
    assert "is not valid before" in refused(own, **named(own))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "holds no certificate"),
        (b"hello\n", "holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n", "no certificate"),
        (b"\x30\x82\x01\xff", "is not PEM"),
        (b"x" * (1 << 21), "is too large"),
    ],
)
def test_what_is_no_certificate_is_refused(own: Path, content: bytes, why: str) -> None:
    certificate, _ = certificates.files_of(own, "edge")
    certificate.write_bytes(content)
    assert why in refused(own, **named(own))


def test_a_key_that_is_none_or_open_to_others_or_closed_is_refused(own: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    _, key = certificates.files_of(own, "edge")
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    key.chmod(0o644)
    assert f"Run: chmod 600 {key}" in refused(own, **named(own))
    key.chmod(0o600)
    key.write_text("hello")
    assert "holds no private key" in refused(own, **named(own))
    key.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"x"),
        )
    )
    assert "closed with a passphrase" in refused(own, **named(own))


def test_an_issuer_file_that_is_none_is_refused_before_anything_is_verified_by_it(
    own: Path,
) -> None:
    assert "cannot be read" in refused(own, tls_ca=str(own / "none.pem"), **named(own))


# --- files of the server itself ---------------------------------------------------------------


def on_server(own: Path, certificate: str, key: bool = True, public: str = "") -> list[str]:
    wanted = wants(tls_certificate="/live/c.pem", tls_key="/live/k.pem", tls_on_server=True)
    found = state.HostState(tls_certificate=certificate, tls_key=key, tls_key_public=public)
    assert certificates.of_lab(wanted, own, "edge") is None
    return certificates.problems_on_server(wanted, found)


def test_files_of_the_server_are_judged_by_what_it_says_of_them(own: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    certificate, key = certificates.files_of(own, "edge")
    text = certificate.read_text()
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    public = (
        loaded.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    assert on_server(own, text, public=public) == []
    assert on_server(own, text) == [], "without openssl there the key cannot be compared"
    assert "/live/c.pem and /live/k.pem cannot be found" in on_server(own, "", key=False)[0]
    assert "/live/k.pem cannot be found" in on_server(own, text, key=False)[0]
    issuer.made(own, "edge", NAMES, renew=True)
    assert "does not belong" in on_server(own, certificate.read_text(), public=public)[0]
    assert "holds no certificate" in on_server(own, "hello")[0]


# --- the whole --------------------------------------------------------------------------------


def test_what_is_expected_of_a_host_with_tls(lab: Path) -> None:
    inventory.set_options(inventory.read(lab), {"flexisip_transports": ["udp", "tcp", "tls"]})
    read = inventory.read(lab)
    assert issuer.for_host(read, HOST)
    assert not issuer.for_host(read, HOST)
    said = "id debian\nversion_id 12\nuid 0\npackage installed 2.3.4-1\naddress 203.0.113.5\n"
    wanted = expectation.expectation(read, HOST, state.parse(said), lambda name: name)
    assert wanted.files["key.pem"].mode == 0o600
    assert "PRIVATE" not in repr(wanted)
    conf = wanted.files["configuration"].text
    assert "transports=sip:*:5060 sips:*:5061\n" in conf
    assert f"tls-certificates-private-key={PLACE}/key.pem\n" in conf
    assert "PRIVATE" not in conf
    assert f"{PLACE}/agent.pem" in expectation.state_script(read)


def test_a_lab_that_leaves_nothing_to_labtool_has_nothing_made(lab: Path) -> None:
    assert not issuer.for_host(inventory.read(lab), HOST)
    assert not (lab / ".tls").exists()


def test_ansible_does_not_read_the_certificates_as_a_part_of_the_inventory(lab: Path) -> None:
    import subprocess
    import sys

    issuer.made(lab, "edge", NAMES)
    said = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(lab), "--list"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "WARNING" not in said.stderr
    assert "PRIVATE" not in said.stdout
