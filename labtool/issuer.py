"""The lab's own issuer, and the certificates that it signs.

    inventory/.tls/    (hidden, for Ansible reads every other file of an inventory as a part of it)
      ca.pem           the issuer: what phones are told to trust
      ca.key           its key, 0600; it never leaves this machine
      HOST.pem, .key   what the server of that name shows

A certificate is for a year, and is made again by the first deployment within its last month, or once
the server's names are others. The issuer stays, so phones need nothing new.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from labtool import atomic, remote
from labtool.certificates import files_of, folder, is_own, parsed, read, text_of, wanted
from labtool.errors import LabtoolError, RequestError
from labtool.inventory import Host, Lab

_UTC = datetime.timezone.utc
_DAY = datetime.timedelta(days=1)
_ISSUER_DAYS, _SERVER_DAYS, _RENEW_DAYS = 3650, 365, 30
# A phone whose clock is behind takes the certificate all the same.
_EARLIER = _DAY


def for_host(lab: Lab, host: Host, *, renew: bool = False) -> bool:
    """See that a lab which leaves its certificate to labtool has one for this host.

    True where one was made. Raises LabtoolError, RequestError.
    """
    if not wanted(lab.options) or not is_own(lab.options):
        return False
    reached = "" if host.local else remote.numeric(host.address)
    public = str(lab.options["flexisip_public_address"])
    return made(lab.path, host.name, names_for(lab.domain, host, (reached, public)), renew=renew)


def names_for(domain: str, host: Host, addresses: Iterable[str]) -> tuple[str, ...]:
    """Every name and address by which a phone may reach the server, the domain first."""
    given = [domain, *(() if host.local else (host.name, host.address)), *addresses]
    return tuple(dict.fromkeys(name for name in given if name and not _is_loopback(name)))


def _is_loopback(name: str) -> bool:
    address = _address(name)
    return name == "localhost" or (address is not None and address.is_loopback)


def _address(name: str) -> Any:
    from ipaddress import ip_address

    try:
        return ip_address(name)
    except ValueError:
        return None


def made(lab: Path, host: str, names: Sequence[str], *, renew: bool = False) -> bool:
    """See that the lab has a certificate for these names. True where one was made.

    Raises LabtoolError where the lab cannot be written, RequestError where its issuer is spoilt.
    """
    certificate, key = files_of(lab, host)
    if not renew and _is_good(certificate, key, names, folder(lab) / "ca.pem"):
        return False
    try:
        _make_folder(lab)
        issuer, issuer_key = _issuer(lab, names[0])
        server_key = _new_key()
        signed = _signed(names[0], names, server_key.public_key(), issuer, issuer_key)
        atomic.write(key, _key_pem(server_key))
        atomic.write(certificate, _pem(signed), mode=0o644)
    except OSError as error:
        raise LabtoolError(f"{folder(lab)} cannot be written: {error.strerror}") from error
    return True


def _make_folder(lab: Path) -> None:
    folder(lab).mkdir(mode=0o700, parents=True, exist_ok=True)
    ignore = folder(lab) / ".gitignore"
    if not ignore.exists():
        atomic.write(ignore, "# Private keys do not belong in a repository.\n*\n", mode=0o644)


def brought_back(lab: Path, certificate: str, key: str) -> None:
    """Give the lab the issuer that its phones trusted; another one that it has is kept beside it.

    Raises LabtoolError where the lab cannot be written.
    """
    places = (folder(lab) / "ca.pem", folder(lab) / "ca.key")
    try:
        _make_folder(lab)
        if places[0].exists() and places[0].read_text() != certificate:
            for place in places:
                if place.exists():
                    place.rename(place.with_stem("ca-replaced"))
        atomic.write(places[1], key)
        atomic.write(places[0], certificate, mode=0o644)
    except OSError as error:
        raise LabtoolError(f"{folder(lab)} cannot be written: {error.strerror}") from error


def _is_good(certificate: Path, key: Path, names: Sequence[str], ca: Path) -> bool:
    try:
        found = read(certificate, key)
        issuer = parsed(text_of(ca, "certificate"), str(ca))
    except RequestError:
        return False
    soon = datetime.datetime.now(_UTC) + _RENEW_DAYS * _DAY
    return (
        set(names) <= set(found.names)
        and soon < found.until <= issuer.until
        and _is_of(found.chain, issuer.chain)
    )


def _is_of(certificate: str, issuer: str) -> bool:
    """Whether the issuer of that name signed it: no two of labtool's have one name."""
    from cryptography import x509

    one, other = (x509.load_pem_x509_certificate(text.encode()) for text in (certificate, issuer))
    return one.issuer == other.subject


def _issuer(lab: Path, domain: str) -> tuple[Any, Any]:
    """The lab's issuer and its key; made where there is none or it is about to expire."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    certificate, key = folder(lab) / "ca.pem", folder(lab) / "ca.key"
    if certificate.exists() and key.exists():
        found = read(certificate, key)
        if found.until > datetime.datetime.now(_UTC) + (_SERVER_DAYS + 1) * _DAY:
            return (
                x509.load_pem_x509_certificate(found.chain.encode()),
                serialization.load_pem_private_key(found.key.encode(), password=None),
            )
    secret = _new_key()
    # Two labs for one domain have two issuers, and a phone that trusts both must tell them apart.
    name = f"labtool lab {domain} {os.urandom(4).hex()}"[-64:]
    signed = _signed(name, (), secret.public_key(), None, secret)
    atomic.write(key, _key_pem(secret))
    atomic.write(certificate, _pem(signed), mode=0o644)
    return signed, secret


def _new_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    # Measured on 2.5.2: it takes EC keys; phones of the last ten years do.
    return ec.generate_private_key(ec.SECP256R1())


def _signed(
    subject: str, names: Sequence[str], public_key: Any, issuer: Any, issuer_key: Any
) -> Any:
    """A certificate for these names; without an issuer, one that issues."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    own = issuer is None
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject[:64])])
    now = datetime.datetime.now(_UTC).replace(microsecond=0)
    authority = issuer_key.public_key()
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if own else issuer.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + (_ISSUER_DAYS if own else _SERVER_DAYS) * _DAY)
        .add_extension(x509.BasicConstraints(ca=own, path_length=0 if own else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), critical=False
        )
        .add_extension(_usage(own), critical=True)
    )
    if not own:
        built = built.add_extension(
            x509.SubjectAlternativeName(list(_alternatives(names))), critical=False
        ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return built.sign(issuer_key, hashes.SHA256())


def _usage(own: bool) -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not own,
        key_cert_sign=own,
        crl_sign=own,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternatives(names: Iterable[str]) -> Iterable[Any]:
    from cryptography import x509

    for name in names:
        address = _address(name)
        if address is not None:
            yield x509.IPAddress(address)
        # Linphone (mbed TLS up to 3.4) compares an address with DNS names only: seen with 5.1.65, which
        # says CN-mismatch of a certificate that has it as an address alone.
        yield x509.DNSName(name)


def _pem(certificate: Any) -> str:
    from cryptography.hazmat.primitives import serialization

    return bytes(certificate.public_bytes(serialization.Encoding.PEM)).decode("ascii")


def _key_pem(key: Any) -> str:
    from cryptography.hazmat.primitives import serialization

    return bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    ).decode("ascii")
