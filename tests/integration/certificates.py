"""An issuer of certificates for a test, which nobody trusts unless told to."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Issuer:
    """`pem` is its own certificate."""

    def __init__(self, name: str = "Test issuer") -> None:
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.pem = self._signed(self._name, self._name, self._key.public_key(), self._key, 300)

    def issues(self, name: str, days: int, *, by_itself: bool = False) -> tuple[str, str]:
        """A certificate for `name` that ends in so many days, and its key, both as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        if by_itself:
            certificate = self._signed(subject, subject, key.public_key(), key, days, name)
        else:
            certificate = self._signed(subject, self._name, key.public_key(), self._key, days, name)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return certificate, private.decode()

    @staticmethod
    def _signed(
        subject: x509.Name,
        issuer: x509.Name,
        public: ec.EllipticCurvePublicKey,
        private: ec.EllipticCurvePrivateKey,
        days: int,
        name: str = "",
    ) -> str:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=100))
            .not_valid_after(now + datetime.timedelta(days=days))
        )
        if name:
            names = x509.SubjectAlternativeName([x509.DNSName(name)])
            builder = builder.add_extension(names, critical=False)
        else:
            authority = x509.BasicConstraints(ca=True, path_length=None)
            builder = builder.add_extension(authority, critical=True)
        signed = builder.sign(private, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()
