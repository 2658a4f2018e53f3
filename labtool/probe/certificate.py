"""TLS: the certificates that a server shows, and whether a client would take them.

The chain is read over a connection that takes any certificate, so that a bad one is shown too; the
verdict is that of a second connection, which verifies as a client does.
"""

from __future__ import annotations

import datetime
import ssl
import warnings
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

from labtool.probe.agent import UserAgent
from labtool.probe.capabilities import describe, request_for, seen
from labtool.probe.failure import printable
from labtool.probe.result import Result
from labtool.probe.session import Session, Setting
from labtool.probe.target import Target

_UTC = datetime.timezone.utc
# _ssl.ENCODING_DER.
_DER = 2


@dataclass(frozen=True)
class Certificate:
    """One certificate of a chain, as text for people. Times are in UTC."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    since: datetime.datetime
    until: datetime.datetime

    def to_dict(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "issuer": self.issuer,
            "names": list(self.names),
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
        }


def parse(der: bytes) -> Certificate:
    """A certificate from its DER. Raises ValueError for what is none."""
    from cryptography import x509

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # serial numbers and names that RFC 5280 forbids
        made = x509.load_der_x509_certificate(der)
        try:
            found = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            dns = found.get_values_for_type(x509.DNSName)
            uris = found.get_values_for_type(x509.UniformResourceIdentifier)
            ips = [str(ip) for ip in found.get_values_for_type(x509.IPAddress)]
        except (x509.ExtensionNotFound, ValueError):
            dns, uris, ips = [], [], []
        since = getattr(made, "not_valid_before_utc", None) or made.not_valid_before.replace(
            tzinfo=_UTC
        )
        until = getattr(made, "not_valid_after_utc", None) or made.not_valid_after.replace(
            tzinfo=_UTC
        )
        return Certificate(
            printable(made.subject.rfc4514_string()),
            printable(made.issuer.rfc4514_string()),
            tuple(printable(name) for name in (*dns, *uris, *ips)),
            since,
            until,
        )


def covers(name: str, wanted: str) -> bool:
    """Whether a name of a certificate is for this host (RFC 6125: `*.` stands for one label)."""
    name = name.lower().removeprefix("sip:").rstrip(".")
    wanted = wanted.lower().rstrip(".")
    if not name.startswith("*.") or _is_address(wanted):
        return name == wanted
    return wanted.partition(".")[2] == name[2:] and "." in name[2:]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def chain(sock: ssl.SSLSocket) -> list[bytes]:
    """The DER of the certificates that the server sent, its own first.

    Python has a public way to the whole chain from 3.13 on; before it is asked of the socket's
    inner object, and where that has changed only the first certificate is seen.
    """
    public = getattr(sock, "get_unverified_chain", None)
    if public is not None:
        return [bytes(der) for der in public()]
    inner = getattr(getattr(sock, "_sslobj", None), "get_unverified_chain", None)
    if inner is not None:
        return [bytes(one.public_bytes(_DER)) for one in inner() or ()]
    own = sock.getpeercert(binary_form=True)
    return [own] if own else []


def tls(target: Target | str, domain: str | None, setting: Setting) -> Result:
    """Steps "connect", "OPTIONS", a "certificate" each, and "verified" by the setting's issuers.

    `domain` is what the certificate must be for where the target is an address. With
    `setting.tls.verify` False nothing is verified, and the verdict says so.
    """
    checked = setting.tls.verify
    name = ""
    with Session("tls", target, setting) as session:
        name = session.server_name(domain)
        agent = session.agent("tls", domain, tls=replace(setting.tls, verify=False))
        response, seconds = session.ask(agent, request_for(session.target, agent), "OPTIONS")
        facts = seen(agent, response)
        session.passed("OPTIONS", seconds, describe(response, facts), **facts)
        _show(session, agent)
        if checked:
            judge = session.agent("tls", domain)
            _, seconds = session.ask(judge, request_for(session.target, judge), "verified")
            session.passed("verified", seconds, f"a client takes it for {name}", server_name=name)
    how = f"{session.target} over tls"
    holds = f"the certificate is good for {name}" if checked else "the certificate was not verified"
    return session.result("tls", f"{how}: {holds}", f"{how}: a client would not take it")


def _show(session: Session, agent: UserAgent) -> None:
    sock = getattr(agent.flow, "tls", None)
    now = datetime.datetime.now(_UTC)
    for number, der in enumerate(chain(sock) if sock is not None else []):
        name = "certificate" if number == 0 else f"certificate {number + 1}"
        try:
            one = parse(der)
        except ValueError as error:
            session.passed(name, 0.0, f"it cannot be read: {printable(str(error))}")
            continue
        days = (one.until - now).total_seconds() / 86400
        if days < 0:
            when = f"expired {-days:.0f} days ago"
        elif one.since > now:
            when = f"good from {one.since:%Y-%m-%d} only"
        else:
            when = f"good until {one.until:%Y-%m-%d} ({days:.0f} days)"
        names = f", for {', '.join(one.names)}" if one.names else ""
        issued = "itself" if one.issuer == one.subject else one.issuer
        session.passed(
            name,
            0.0,
            f"{one.subject}{names}, issued by {issued}, {when}",
            **one.to_dict(),
            expires_at=round(one.until.timestamp()),
            days_left=round(days, 2),
        )
