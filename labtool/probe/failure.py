"""From what was seen to a cause: errors of the system, bytes that are no SIP, silence, answers."""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labtool.probe.causes import Cause, cause

if TYPE_CHECKING:
    from labtool.sip.message import Response


@dataclass(frozen=True)
class Failure:
    """Why a step failed: the cause, and what exactly was seen."""

    cause: Cause
    detail: str


def printable(text: str, limit: int = 160) -> str:
    """Text from the network, made safe for a terminal: no control or broken characters."""
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."


# -- the system's errors ------------------------------------------------------------------------

# OpenSSL's X509_V_ERR_* (x509_vfy.h).
_EXPIRED = (9, 10)
_OTHER_NAME = (62, 64)
_NOT_TLS = (
    "WRONG_VERSION_NUMBER",
    "UNEXPECTED_EOF_WHILE_READING",
    "HTTP_REQUEST",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
    "BAD_RECORD_TYPE",
    "PACKET_LENGTH_TOO_LONG",
)
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)


# A ban may refuse (iptables' REJECT); so does a machine whose server has gone.
_BANNED_OR_STOPPED = replace(
    cause("banned"),
    explanation="The server answered at first, and now its port refuses: its flood protection "
    "(Flexisip's DoSProtection: over 20 packets a second, for 2 minutes) banned this address, or "
    "the server's process has stopped.",
    cure="labtool doctor --host HOST tells which (on the server: systemctl status flexisip-proxy). "
    "A ban ends after two minutes: ask less often, raise module::DoSProtection/packet-rate-limit, "
    "or put the class's address on its white list.",
)


def of_error(error: Exception, *, transport: str, open_before: bool, answered: bool) -> Failure:
    """What an error of the transport means.

    `open_before`: the connection carried something already. `answered`: the server has answered
    an earlier request of this check.
    """
    if transport == "tls":
        failure = _of_tls(error, open_before)
        if failure:
            return failure
    if isinstance(error, TimeoutError):
        return Failure(cause("no-answer"), "the connection request was not answered")
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ECONNREFUSED:
        if answered:
            return Failure(_BANNED_OR_STOPPED, "refused now, though it answered a moment ago")
        what = "ICMP port unreachable" if transport == "udp" else "connection refused"
        return Failure(cause("refused"), what)
    if number in _NO_ROUTE:
        return Failure(cause("unreachable"), printable(_words(error)))
    if isinstance(error, ConnectionError):
        return Failure(cause("connection-closed"), "the server closed the connection")
    return Failure(cause("local-error"), printable(_words(error)))


def _of_tls(error: Exception, open_before: bool) -> Failure | None:
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        detail = printable(error.verify_message or str(error))
        if error.verify_code in _EXPIRED:
            return Failure(cause("tls-expired"), detail)
        if error.verify_code in _OTHER_NAME:
            return Failure(cause("tls-name"), detail)
        return Failure(cause("tls-untrusted"), detail)
    early = not open_before
    if isinstance(error, ssl.SSLError):
        if early and (isinstance(error, ssl.SSLEOFError) or error.reason in _NOT_TLS):
            return Failure(cause("tls-not-spoken"), "no TLS answer to the handshake")
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return Failure(cause("connection-closed"), "the server closed the connection")
        return Failure(cause("tls-handshake"), printable(error.reason or str(error)))
    if early and isinstance(error, TimeoutError) and "handshake" in str(error):
        return Failure(cause("tls-not-spoken"), "no TLS answer to the handshake")
    if early and isinstance(error, ConnectionResetError):
        return Failure(cause("tls-not-spoken"), "the server closed the connection on the handshake")
    return None


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


# -- what is no SIP -------------------------------------------------------------------------------

_BANNERS = (
    (b"SSH-", "SSH"),
    (b"HTTP/", "HTTP"),
    (b"RTSP/", "RTSP"),
    (b"220 ", "SMTP or FTP"),
    (b"220-", "SMTP or FTP"),
    (b"\x15\x03", "TLS (an alert; ask over tls)"),
    (b"\x16\x03", "TLS (ask over tls)"),
)


def of_bytes(data: bytes) -> Failure:
    """What came instead of SIP."""
    for start, protocol in _BANNERS:
        if data.startswith(start):
            shown = "" if data[0] < 32 else f": {printable(_first_line(data), 60)!r}"
            return Failure(cause("not-sip"), f"it speaks {protocol}{shown}")
    shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data[:24])
    return Failure(cause("not-sip"), f'{len(data)} bytes came that are no SIP: "{shown}"')


def _first_line(data: bytes) -> str:
    return (data.splitlines() or [b""])[0].decode("utf-8", "replace")


# -- silence --------------------------------------------------------------------------------------

_STUCK = replace(
    cause("no-answer"),
    explanation="The server took the request and gave no final answer: it is stuck, or it waits for "
    "another server, a database or a phone.",
    cure="Read the server's log at this moment, and see what it waits for.",
)


def of_silence(
    seconds: float,
    *,
    heard: bytes,
    connecting: bool,
    challenged: bool,
    answered: bool,
    shaking_hands: bool = False,
    provisional: str = "",
) -> Failure:
    """What it means that no answer came in `seconds`.

    `heard`: bytes that came and were no SIP. `connecting`: not even the connection (or the TLS
    handshake) came about. `challenged`: the request carried the first answer to a challenge.
    `answered`: the server answered an earlier request of this check. `shaking_hands`: the
    connection stands, and its TLS handshake got no answer. `provisional`: the last 1xx that came.
    """
    if heard:
        return of_bytes(heard)
    if shaking_hands:
        detail = f"connected, but no answer to the TLS handshake in {seconds:g} s"
        return Failure(cause("tls-not-spoken"), detail)
    waited = f"{f'only {provisional}' if provisional else 'nothing'} came in {seconds:g} s"
    if connecting and not answered:
        return Failure(cause("no-answer"), f"no connection in {seconds:g} s")
    if challenged:
        return Failure(cause("no-answer-after-challenge"), f"{waited} after the challenge")
    if provisional:
        return Failure(_STUCK, waited)
    if answered:
        return Failure(cause("banned"), f"{waited}, though it answered before")
    return Failure(cause("no-answer"), waited)


# -- answers --------------------------------------------------------------------------------------

_BY_STATUS = {
    404: "not-found",
    408: "unavailable",
    410: "not-found",
    413: "too-large",
    480: "unavailable",
    482: "loop",
    483: "loop",
    486: "busy",
    487: "unavailable",
    488: "not-acceptable",
    415: "not-acceptable",
    501: "bad-request",
    513: "too-large",
    600: "busy",
    603: "declined",
    604: "not-found",
    606: "not-acceptable",
    400: "bad-request",
    405: "bad-request",
    414: "bad-request",
    416: "bad-request",
    420: "bad-request",
    421: "bad-request",
    403: "forbidden",
}


def said(response: Response) -> str:
    """The status line of an answer, and what it adds in Warning, Retry-After or Contact."""
    text = printable(f"{response.status} {response.reason}".strip())
    for name in ("Warning", "Retry-After", "Unsupported", "Allow"):
        value = response.headers.get(name)
        if value and (name != "Allow" or response.status == 405):
            text += f" ({name}: {printable(value, 80)})"
    if 300 <= response.status < 400:
        contacts = ", ".join(response.headers.all("Contact"))
        text += f" -> {printable(contacts, 80) or 'nowhere'}"
    return text


def of_answer(method: str, response: Response, *, authenticated: bool) -> Failure:
    """What a final answer of 300 or above means.

    `authenticated`: the request carried the answer to a challenge. Flexisip (2.5.2 and
    2.3.4): wrong password and unknown user 403; another domain "403 Domain forbidden", with no
    challenge.
    """
    status, detail = response.status, said(response)
    if status == 403 and "domain" in response.reason.lower():
        name = "wrong-domain"
    elif authenticated and status in (401, 403, 407):
        name = "wrong-password"
    elif status in (401, 407):
        name = "unexpected-answer"
    elif method == "REGISTER" and status in (404, 604, 410):
        name = "unknown-user"
    elif method == "REGISTER" and status in (405, 501):
        name = "not-registrar"
    elif status in _BY_STATUS:
        name = _BY_STATUS[status]
    elif 300 <= status < 400:
        name = "redirected"
    elif 500 <= status < 600:
        name = "server-error"
    else:
        name = "unexpected-answer"
    return Failure(cause(name), detail)
