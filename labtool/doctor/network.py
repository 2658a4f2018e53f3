"""What the controller sees of a server's ports: open, closed, filtered, silent, or not SIP."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from dataclasses import dataclass, field, replace

from labtool import probe
from labtool.probe.result import Result
from labtool.probe.session import Tls
from labtool.probe.target import Target

# A person waits for the slowest of these; three retransmissions of an OPTIONS fit in.
TIMEOUT_S = 2.5

OPEN = "open"
CLOSED = "closed"
FILTERED = "filtered"
SILENT = "silent"
NOT_SIP = "not-sip"
REFUSES = "refuses"
UNREACHABLE = "unreachable"
UNKNOWN_NAME = "unknown-name"
LOCAL = "local"

# The cause of a port that speaks SIP by another transport than it was asked by.
OTHER_TRANSPORT = "other-transport"

# What a state is called before people.
WORDS = {
    OPEN: "open, and speaks SIP",
    CLOSED: "closed: the machine answers that nothing listens there",
    FILTERED: "filtered: nothing comes back",
    SILENT: "open, but no SIP answer comes",
    NOT_SIP: "open, but it does not speak SIP",
    REFUSES: "open, and its SIP answer is an error",
    UNREACHABLE: "unreachable: there is no way to this address, or a firewall rejects the packet",
    UNKNOWN_NAME: "unknown: the name has no address",
    LOCAL: "unknown: this machine cannot send",
}

# OpenSSL's verify(1): no issuer found, or only the certificate itself (X509_V_ERR_*).
_NO_ISSUER = (18, 19, 20, 21)

_BY_CAUSE = {
    "refused": CLOSED,
    "unreachable": UNREACHABLE,
    "name-not-resolved": UNKNOWN_NAME,
    "not-sip": NOT_SIP,
    "tls-not-spoken": NOT_SIP,
    "connection-closed": SILENT,
    "banned": SILENT,
    "local-error": LOCAL,
}


@dataclass(frozen=True)
class Port:
    """A port as it is seen from here. `detail`: what came. `cause`: the probe's, "" where open.

    server: the Server header of the answer. certificate: the TLS peer's, DER. untrusted: why it is
    of no issuer that is trusted here, "" where it is, or is refused for something else.
    """

    transport: str
    number: int
    state: str
    detail: str = ""
    cause: str = ""
    server: str = ""
    seconds: float = 0.0
    certificate: bytes = field(default=b"", repr=False)
    untrusted: str = ""

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.transport} {self.number}: {WORDS[self.state]}{detail}"

    def to_dict(self) -> dict[str, object]:
        return {
            "transport": self.transport,
            "port": self.number,
            "state": self.state,
            "detail": self.detail,
            "server": self.server,
            "seconds": round(self.seconds, 3),
        }


def look(
    host: str,
    transport: str,
    number: int,
    timeout_s: float = TIMEOUT_S,
    ca_file: str | None = None,
) -> Port:
    """Ask one port for SIP, and tell the ways of failing apart.

    ca_file: the issuers of certificates to trust, in place of the system's. Raises RequestError
    where it cannot be read.
    """
    started = time.monotonic()
    if transport != "udp":
        before = _connects(host, number, timeout_s)
        if before is not None:
            return Port(transport, number, *before, seconds=time.monotonic() - started)
    certificate, untrusted = b"", ""
    if transport == "tls":
        certificate = _certificate(host, number, timeout_s)
        if certificate:
            untrusted = _untrusted(host, number, timeout_s, Tls(ca_file).context())
        elif _ask(host, "tcp", number, timeout_s).ok:
            return _of_another(transport, number, started, "it speaks SIP over TCP, without TLS")
    result = _ask(host, transport, number, timeout_s)
    if transport == "tcp" and not result.ok and _certificate(host, number, timeout_s / 2):
        return _of_another(transport, number, started, "it speaks TLS")
    return replace(of_result(result, transport, number, certificate), untrusted=untrusted)


def _ask(host: str, transport: str, number: int, timeout_s: float) -> Result:
    return probe.options(
        Target(host, number), transport, timeout_s=timeout_s, tls=Tls(verify=False)
    )


def _of_another(transport: str, number: int, started: float, what: str) -> Port:
    seconds = time.monotonic() - started
    return Port(transport, number, NOT_SIP, what, OTHER_TRANSPORT, seconds=seconds)


def of_result(result: Result, transport: str, number: int, certificate: bytes = b"") -> Port:
    """The state of a port whose connection, where there is one, came about."""
    step = result.steps[-1] if result.steps else None
    detail = step.detail if step else ""
    server = str(step.facts.get("server", "")) if step else ""
    if result.cause is None:
        state = OPEN
    elif result.cause.name == "no-answer":
        state = FILTERED if transport == "udp" else SILENT
    else:
        state = _BY_CAUSE.get(result.cause.name, REFUSES)
    cause = result.cause.name if result.cause else ""
    return Port(
        transport, number, state, detail, cause, server, result.seconds, certificate=certificate
    )


def _connects(host: str, number: int, timeout_s: float) -> tuple[str, str] | None:
    """None where a TCP connection comes about, else the state and what was seen."""
    try:
        socket.create_connection((host, number), timeout_s).close()
    except (socket.gaierror, UnicodeError) as error:
        return UNKNOWN_NAME, str(getattr(error, "strerror", None) or error)
    except TimeoutError:
        return FILTERED, f"no connection in {timeout_s:g} s"
    except ConnectionRefusedError:
        return CLOSED, "connection refused"
    except OSError as error:
        if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN):
            return UNREACHABLE, error.strerror or "no route"
        return LOCAL, error.strerror or str(error)
    return None


def _certificate(host: str, number: int, timeout_s: float) -> bytes:
    """The peer's certificate, whatever it is worth; b"" where there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, number), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            return secure.getpeercert(binary_form=True) or b""
    except (OSError, ValueError):
        return b""


def _untrusted(host: str, number: int, timeout_s: float, context: ssl.SSLContext) -> str:
    context.check_hostname = False
    try:
        with (
            socket.create_connection((host, number), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message if error.verify_code in _NO_ISSUER else ""
    except (OSError, ValueError):
        return ""


def addresses(host: str) -> tuple[str, ...]:
    """The numeric addresses of a name, by this machine's resolver; empty where it has none."""
    try:
        rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(row[4][0]) for row in rows))
