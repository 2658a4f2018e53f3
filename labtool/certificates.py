"""The certificate of a lab's server, read and judged, and what the server gets of it.

Flexisip starts with a certificate that is missing, expired or of another key, and then no handshake
succeeds (measured on 2.5.2; from 2.4.0 on it refuses an expired one, says its changelog). So what is
wrong with one is said before anything is sent.
"""

from __future__ import annotations

import datetime
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labtool import state as host_state
from labtool.errors import RequestError
from labtool.flexisip.settings import schema
from labtool.state import HostState

_UTC = datetime.timezone.utc
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Certificate:
    """A certificate with its issuers, its key, and what it says of itself. Times are in UTC."""

    chain: str
    names: tuple[str, ...]
    since: datetime.datetime
    until: datetime.datetime
    fingerprint: str
    key: str = field(default="", repr=False)


def wanted(options: Mapping[str, Any]) -> bool:
    """Whether the lab's server speaks TLS."""
    return "tls" in options["flexisip_transports"]


def is_own(options: Mapping[str, Any]) -> bool:
    """Whether labtool makes the certificate. Raises RequestError where only a half is named."""
    certificate, key = options["flexisip_tls_certificate"], options["flexisip_tls_key"]
    if bool(certificate) != bool(key):
        there, missing = ("certificate", "key") if certificate else ("key", "certificate")
        raise RequestError(
            f"flexisip_tls_{there} is set, but flexisip_tls_{missing} is not: name both, or neither "
            "to have labtool make them."
        )
    if options["flexisip_tls_on_server"] and not certificate:
        raise RequestError(
            "flexisip_tls_on_server is true, but no files of the server are named: set "
            "flexisip_tls_certificate and flexisip_tls_key."
        )
    return not certificate


def ca_file(options: Mapping[str, Any], lab: Path) -> str | None:
    """The issuers to verify the server by; None stands for those of the system."""
    if options["flexisip_tls_ca"]:
        return str(options["flexisip_tls_ca"])
    return str(folder(lab) / "ca.pem") if is_own(options) else None


def folder(lab: Path) -> Path:
    return lab / ".tls"


def files_of(lab: Path, host: str) -> tuple[Path, Path]:
    """Certificate and key that labtool makes for a host."""
    name = host.replace("/", "_")
    return folder(lab) / f"{name}.pem", folder(lab) / f"{name}.key"


# --- judging ----------------------------------------------------------------------------------


def of_lab(options: Mapping[str, Any], lab: Path, host: str) -> Certificate | None:
    """What this machine has for the server; None without TLS, or where the server has it itself.

    Raises RequestError for what the server, or its phones, could not use.
    """
    if not wanted(options):
        return None
    own = is_own(options)
    if options["flexisip_tls_ca"]:
        issuer = Path(options["flexisip_tls_ca"])
        parsed(text_of(issuer, "certificate"), str(issuer))
    if options["flexisip_tls_on_server"]:
        return None
    certificate, key = Path(options["flexisip_tls_certificate"]), Path(options["flexisip_tls_key"])
    if own:
        certificate, key = files_of(lab, host)
        if not (certificate.is_file() and key.is_file()):
            raise RequestError(f"The lab has no certificate for {host} yet: labtool certificate")
    found = read(certificate, key)
    for problem in problems(found, options["flexisip_domain"], str(certificate)):
        raise RequestError(problem)
    return found


def read(certificate: Path, key: Path) -> Certificate:
    """A certificate and its key from files of this machine. Raises RequestError."""
    chain, secret = text_of(certificate, "certificate"), text_of(key, "key")
    status = key.stat()
    if status.st_mode & 0o077 and status.st_uid == os.getuid():
        raise RequestError(f"Others may read the key {key}. Run: chmod 600 {key}")
    return pair(chain, secret, str(certificate), str(key))


def text_of(path: Path, what: str) -> str:
    """A PEM file of this machine. Raises RequestError where it cannot be one."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise RequestError(f"{path} is too large to be a {what}.")
        return data.decode("ascii")
    except OSError as error:
        raise RequestError(f"The {what} {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        cure = f"openssl {'x509' if what == 'certificate' else 'pkey'} -inform DER -in {path}"
        raise RequestError(f"{path} is not PEM, which is text. To make it so: {cure}") from None


def pair(chain: str, key: str, certificate_path: str, key_path: str) -> Certificate:
    """A certificate and its key, seen to belong together. Raises RequestError."""
    found = parsed(chain, certificate_path)
    public, why = _public_of_key(key)
    if why:
        raise RequestError(f"{key_path} {why}")
    return _matched(found, public, certificate_path, key_path, key)


def parsed(chain: str, path: str) -> Certificate:
    """The first certificate of a PEM file, without a key. Raises RequestError."""
    from labtool.probe.certificate import parse

    ders = _ders(chain)
    if not ders:
        raise RequestError(f"{path} holds no certificate in PEM (-----BEGIN CERTIFICATE-----).")
    try:
        first = parse(ders[0])
    except ValueError:
        raise RequestError(f"{path} holds something that is no certificate.") from None
    return Certificate(chain, first.names, first.since, first.until, _sha256(ders[0]))


def _matched(
    found: Certificate, public: bytes, certificate_path: str, key_path: str, key: str = ""
) -> Certificate:
    ders = _ders(found.chain)
    if _public(ders[0]) != public:
        if any(_public(der) == public for der in ders[1:]):
            raise RequestError(
                f"In {certificate_path} the server's own certificate does not come first; the server "
                "shows the first one. Put it before its issuers."
            )
        raise RequestError(
            f"The key {key_path} does not belong to the certificate {certificate_path}: with these "
            "two no handshake succeeds. Name the key that the certificate was requested with."
        )
    return Certificate(found.chain, found.names, found.since, found.until, found.fingerprint, key)


def problems(
    found: Certificate, domain: str, path: str, now: datetime.datetime | None = None
) -> list[str]:
    """Why no phone would take this certificate for the domain; empty where they would."""
    from labtool.probe.certificate import covers

    now = now or datetime.datetime.now(_UTC)
    said = []
    if now > found.until:
        said.append(f"The certificate {path} expired on {found.until:%Y-%m-%d}. Renew it.")
    elif now < found.since:
        said.append(f"The certificate {path} is not valid before {found.since:%Y-%m-%d %H:%M} UTC.")
    if not any(covers(name, domain) for name in found.names):
        named = ", ".join(found.names[:5]) or "no name (it has no subjectAltName)"
        said.append(
            f"The certificate {path} is for {named}, not for the lab's domain {domain}: phones would "
            f"refuse it. Use one for {domain}, or leave flexisip_tls_certificate empty for one by "
            "labtool."
        )
    return said


def problems_on_server(options: Mapping[str, Any], state: HostState) -> list[str]:
    """Why TLS would not work with the files that the server has itself; empty where it would."""
    if not wanted(options) or not options["flexisip_tls_on_server"]:
        return []
    certificate, key = options["flexisip_tls_certificate"], options["flexisip_tls_key"]
    missing = [
        path
        for path, there in ((certificate, state.tls_certificate), (key, state.tls_key))
        if not there
    ]
    if missing:
        return [
            f"{' and '.join(missing)} cannot be found on the host, as flexisip_tls_on_server says. "
            "Get the certificate there first (certbot certonly), or set flexisip_tls_on_server: false "
            "for files of this machine."
        ]
    try:
        found = parsed(state.tls_certificate, certificate)
        if state.tls_key_public:
            public = ssl.PEM_cert_to_DER_cert(_as_certificate(state.tls_key_public))
            found = _matched(found, public, certificate, key)
    except RequestError as error:
        return [str(error)]
    except ValueError:
        return [f"{key} on the host holds no private key."]
    return problems(found, options["flexisip_domain"], certificate)


def _as_certificate(public_key: str) -> str:
    """PEM of a public key in a frame that the standard library takes apart."""
    return public_key.strip().replace("PUBLIC KEY", "CERTIFICATE")


def _ders(chain: str) -> list[bytes]:
    found = []
    for part in chain.split("-----BEGIN CERTIFICATE-----")[1:]:
        body, end, _ = part.partition("-----END CERTIFICATE-----")
        try:
            whole = f"-----BEGIN CERTIFICATE-----{body}-----END CERTIFICATE-----\n"
            found.append(ssl.PEM_cert_to_DER_cert(whole) if end else b"")
        except ValueError:
            found.append(b"")
    return found


def _sha256(der: bytes) -> str:
    import hashlib

    return hashlib.sha256(der).hexdigest()


def _public(der: bytes) -> bytes:
    from cryptography import x509

    try:
        return _public_bytes(x509.load_der_x509_certificate(der).public_key())
    except ValueError:
        return b""


def _public_of_key(key: str) -> tuple[bytes, str]:
    """The public half of a private key, or why there is none."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        loaded = serialization.load_pem_private_key(key.encode(), password=None)
        return _public_bytes(loaded.public_key()), ""
    except TypeError:
        return (
            b"",
            "is closed with a passphrase, which the server cannot give. Take it off: openssl pkey",
        )
    except (ValueError, UnsupportedAlgorithm):
        return b"", "holds no private key in PEM (-----BEGIN PRIVATE KEY-----)."


def _public_bytes(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    der, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_bytes(der, form))


# --- what the server gets ---------------------------------------------------------------------


def settings(options: Mapping[str, Any], lab: Path, host: str, place: str) -> dict[str, Any]:
    """What flexisip.conf says of the certificate (rendering.sections); {} without TLS. No secret.

    `place` is the folder on the server that labtool keeps it in. The fingerprint in the comment has
    a new certificate change the configuration, and so restart the server.
    """
    if not wanted(options):
        return {}
    found = of_lab(options, lab, host)
    if found is None:
        return {
            "certificate": options["flexisip_tls_certificate"],
            "key": options["flexisip_tls_key"],
            "directory": "",
            "names": [],
            "comment": "",
        }
    return {
        "certificate": f"{place}/certificate.pem",
        "key": f"{place}/key.pem",
        "directory": place,
        "names": list(found.names),
        "comment": f"good until {found.until:%Y-%m-%d}, SHA-256 {found.fingerprint}",
    }


def files(
    options: Mapping[str, Any], lab: Path, host: str, place: str, release: str
) -> list[dict[str, str]]:
    """The files of the server, each with path, text and mode; their text holds the key.

    Before 2.2 there is a folder with agent.pem (certificate and key) and cafile.pem (its issuers).
    """
    found = of_lab(options, lab, host)
    if found is None:
        return []
    if schema(release).find("global", "tls-certificates-file"):
        texts = [("certificate.pem", found.chain, "644"), ("key.pem", found.key, "600")]
    else:
        first, end, issuers = found.chain.partition("-----END CERTIFICATE-----\n")
        if is_own(options):
            issuers = (folder(lab) / "ca.pem").read_text(encoding="ascii")
        agent = f"{found.key.rstrip()}\n{first}{end}"
        texts = [("agent.pem", agent, "600"), ("cafile.pem", issuers.strip() + "\n", "644")]
    return [{"path": f"{place}/{name}", "text": text, "mode": mode} for name, text, mode in texts]


def differs(state: HostState, wanted_files: list[dict[str, str]], known: list[str]) -> bool:
    """Whether the server has other files than these, or one of `known` that it is not to have."""
    paths = {one["path"] for one in wanted_files}
    return any(
        host_state.differs(state, one["path"], one["text"], one["mode"]) for one in wanted_files
    ) or any(path in state.files and path not in paths for path in known)
