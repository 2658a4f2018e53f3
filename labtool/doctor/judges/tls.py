"""TLS: the files on the server, and the certificate that it shows."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from datetime import timezone

from labtool.doctor.evidence import Evidence
from labtool.doctor.finding import Finding, found, shown
from labtool.probe.certificate import covers

_SOON_S = 14 * 86400
_RESTART = "systemctl restart flexisip-proxy"


def findings(evidence: Evidence) -> Iterator[Finding]:
    yield from _files(evidence)
    yield from _shown(evidence)


def _files(evidence: Evidence) -> Iterator[Finding]:
    server, conf = evidence.server, evidence.conf
    if server is None or conf is None or not any(one == "tls" for one, _ in evidence.points):
        return
    certificate = conf.text("global", "tls-certificates-file")
    key = conf.text("global", "tls-certificates-private-key")
    if not certificate:
        # Kept in a directory, or per transport: only the handshake tells.
        return
    wrong = []
    if not server.certificate.strip():
        wrong.append(f"the certificate {certificate} is missing or empty")
    elif "BEGIN CERTIFICATE" not in server.certificate:
        wrong.append(f"{certificate} holds no certificate in PEM form")
    if not server.key:
        wrong.append(f"the key {key} is missing")
    elif (
        server.certificate_public
        and server.key_public
        and server.certificate_public != server.key_public
    ):
        wrong.append(f"the key {key} does not belong to the certificate {certificate}")
    if wrong:
        yield found(
            "tls-files",
            f"TLS cannot work: {'; '.join(wrong)}.",
            f"transports={conf.text('global', 'transports')}",
            next=evidence.on_host(shlex.join(["ls", "-l", certificate, key])),
        )


def _shown(evidence: Evidence) -> Iterator[Finding]:
    for port in evidence.ports:
        if port.certificate:
            yield from _certificate(evidence, port.certificate, port.number, port.untrusted)
            return


def _certificate(evidence: Evidence, data: bytes, port: int, untrusted: str) -> Iterator[Finding]:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        certificate = x509.load_der_x509_certificate(data)
        subject = certificate.subject.rfc4514_string()
        issuer = certificate.issuer.rfc4514_string()
    except ValueError as error:
        yield found(
            "tls-files", f"The certificate on port {port} cannot be read: {error}.",
            next=evidence.on_host(_RESTART),
        )  # fmt: skip
        return
    # cryptography has the _utc names from 42 on; before that the times are naive UTC.
    begins = getattr(certificate, "not_valid_before_utc", None)
    ends = getattr(certificate, "not_valid_after_utc", None)
    if begins is None or ends is None:
        begins = certificate.not_valid_before.replace(tzinfo=timezone.utc)
        ends = certificate.not_valid_after.replace(tzinfo=timezone.utc)
    names: list[str] = []
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names += extension.value.get_values_for_type(x509.DNSName)
        names += extension.value.get_values_for_type(x509.UniformResourceIdentifier)
        names += [str(one) for one in extension.value.get_values_for_type(x509.IPAddress)]
    except (x509.ExtensionNotFound, ValueError):
        names += [
            str(one.value)
            for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        ]
    lines = (
        f"subject {subject}, issuer {issuer}",
        f"names: {', '.join(names) or 'none'}",
        f"valid from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC",
    )
    now = evidence.now or time.time()
    look = (
        f"openssl s_client -connect {evidence.target}:{port} </dev/null | "
        "openssl x509 -noout -dates -ext subjectAltName"
    )
    # Certificates that live for days only are renewed in their last third.
    soon = min(_SOON_S, (ends - begins).total_seconds() / 3)
    if now > ends.timestamp() or now < begins.timestamp() or ends.timestamp() - now < soon:
        if now > ends.timestamp():
            when = f"expired on {ends:%Y-%m-%d}"
        elif now < begins.timestamp():
            when = f"is not valid before {begins:%Y-%m-%d}"
        else:
            when = f"expires on {ends:%Y-%m-%d}, in {int((ends.timestamp() - now) / 86400)} days"
        yield found("tls-expired", f"The server's certificate {when}.", *lines, next=look)
    wanted = [one for one in (evidence.domain, evidence.target) if one]
    if wanted and not any(covers(name, one) for name in names for one in wanted):
        yield found(
            "tls-name",
            f"The server's certificate is for {shown(', '.join(names)) or 'no name'}, not for "
            f"{wanted[0]}.",
            *lines,
            next=look,
        )
    if untrusted:
        by = (
            "itself"
            if subject == issuer
            else f"{shown(issuer)}, an issuer that is not trusted here"
        )
        yield found(
            "tls-self-signed",
            f"The server's certificate is signed by {by}: phones take it only where they are told to.",
            *lines,
            f"OpenSSL says: {untrusted}",
            next=f"labtool doctor {evidence.seen_as} --ca-file ISSUER.pem",
        )
