"""`[global] transports` as places to listen at, and the certificates for them."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from labtool.flexisip.releases import version
from labtool.flexisip.startup import REWORDED
from labtool.sandbox.refusal import SandboxRefusal
from labtool.sandbox.settings import Settings
from labtool.sip.errors import SipError
from labtool.sip.flow import Address
from labtool.sip.grammar import print_hostport
from labtool.sip.uri import SipUri

__all__ = ["Certificate", "Point", "plan", "server_context"]

_SIOCGIFADDR = 0x8915  # linux/sockios.h


@dataclass(frozen=True)
class Certificate:
    """Files of a TLS listener; `key` may be the same file. Empty where none is named."""

    chain: str
    key: str
    ca: str


@dataclass(frozen=True)
class Point:
    """One socket: what it is bound to, and by which name the world is told to reach it."""

    transport: str
    bind: Address
    host: str
    uri: str
    certificate: Certificate | None = None

    @property
    def sent_by(self) -> str:
        """For Via; the port is always written."""
        return print_hostport(self.host, self.bind.port)

    @property
    def record_route(self) -> str:
        """The value of Record-Route that leads back here (RFC 3261 section 16.6, step 4)."""
        if self.transport == "tls":
            return f"<sips:{self.sent_by};lr>"
        tail = ";transport=tcp" if self.transport == "tcp" else ""
        return f"<sip:{self.sent_by}{tail};lr>"

    def __str__(self) -> str:
        return f"{self.transport} {self.bind}"


def plan(settings: Settings, *, allow_public: bool, port: int | None = None) -> list[Point]:
    """The sockets that `transports` asks for, in its order.

    `port` replaces the port of every `sip:` entry, and `port` + 1 that of every `sips:` entry (0
    stays 0: any free port). Raises SandboxRefusal with Flexisip's words for what it would refuse,
    and in the sandbox's own for an address other than loopback that `allow_public` does not allow.
    """
    points: list[Point] = []
    for text in settings.transports:
        try:
            uri = SipUri.parse(text)
        except SipError:
            raise cannot_enable(settings.release, text, os.strerror(errno.EINVAL)) from None
        secure = uri.scheme == "sips"
        number = uri.port or (5061 if secure else 5060)
        if port is not None:
            number = port + 1 if secure and port else port
        certificate = _certificate(uri, settings) if secure else None
        kinds = ["tls"] if secure else ["udp", "tcp"]
        if uri.transport in ("udp", "tcp") and not secure:
            kinds = [uri.transport]
        for name, host in _hosts(uri, text, settings.release, allow_public=allow_public):
            address = Address(host, number)
            if not allow_public and not address.is_loopback:
                raise SandboxRefusal(
                    f"the sandbox listens on loopback only, and transports={text} names {host}; "
                    "allow other addresses with --public, in a network that you trust"
                )
            points += [Point(kind, address, name, text, certificate) for kind in kinds]
    if port == 0:
        return points
    first = {(point.transport, point.bind): point for point in reversed(points)}
    return [point for point in points if first[point.transport, point.bind] is point]


def cannot_enable(release: str, uri: str, reason: str) -> SandboxRefusal:
    """What Flexisip says of a transport that it cannot listen on."""
    if version(release) >= REWORDED:
        return SandboxRefusal(f"could not enable transport {uri}, {reason}", 1)
    return SandboxRefusal(f"Could not enable transport {uri}: {reason}", 255)


def _hosts(
    uri: SipUri, text: str, release: str, *, allow_public: bool
) -> Iterator[tuple[str, str]]:
    """(public name, numeric address to bind) of one entry."""
    bind = (uri.params.get("maddr") or uri.host).strip("[]")
    if bind == "*":
        for host in _own_addresses():
            if allow_public or Address(host, 0).is_loopback:
                yield host, host
        return
    try:
        found = socket.getaddrinfo(bind, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        raise cannot_enable(release, text, os.strerror(errno.ENOENT)) from None
    yield uri.host.strip("[]"), str(found[0][4][0])


def _own_addresses() -> list[str]:
    """Every address of this machine that a socket can be bound to without a scope (Linux)."""
    import fcntl

    found: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, request)
            except OSError:
                continue
            found.append(socket.inet_ntoa(answer[20:24]))
    table = Path("/proc/net/if_inet6")
    if table.exists():
        for line in table.read_text(encoding="ascii").splitlines():
            words = line.split()
            if len(words) >= 4 and words[3] != "20":  # 0x20: link-local, useless without a scope
                found.append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(words[0])))
    return found


# -- TLS ----------------------------------------------------------------------------------------


def _certificate(uri: SipUri, settings: Settings) -> Certificate:
    """An entry's own parameters come before [global], files before the older directory."""
    params = uri.params
    chain = (params.get("tls-certificates-file") or "").strip('"')
    key = (params.get("tls-certificates-private-key") or "").strip('"')
    ca = (params.get("tls-certificates-ca-file") or "").strip('"')
    folder = (params.get("tls-certificates-dir") or "").strip('"')
    if not (chain or folder):
        chain, key = settings.certificate, settings.private_key
        ca = ca or settings.ca_file
        folder = settings.certificate_dir
    if chain:
        return Certificate(chain, key or chain, ca)
    agent = str(Path(folder) / "agent.pem") if folder else ""
    return Certificate(agent, agent, str(Path(folder) / "cafile.pem") if folder else "")


def server_context(certificate: Certificate, settings: Settings) -> tuple[ssl.SSLContext, str]:
    """A server's TLS context, and a warning or "".

    As on Flexisip, a certificate that is missing or does not fit its key is no reason not to
    listen: every handshake will then fail.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    warning = ""
    if settings.ciphers:
        try:
            context.set_ciphers(settings.ciphers)
        except ssl.SSLError:
            warning = f"tls-ciphers: OpenSSL knows none of {settings.ciphers}"
    if settings.require_peer_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        if Path(certificate.ca).is_file():
            context.load_verify_locations(certificate.ca)
    try:
        context.load_cert_chain(certificate.chain, certificate.key)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, FileNotFoundError) else str(error)
        warning = (
            f"no TLS handshake will succeed: {certificate.chain or 'no certificate'}: {reason}"
        )
    return context, warning


def with_port(point: Point, address: Address) -> Point:
    """The same with the address that the socket really got."""
    return replace(point, bind=address)
