"""OPTIONS: is there a SIP server, and what does it say of itself (RFC 3261 section 11)."""

from __future__ import annotations

import secrets
from typing import Any

from labtool.probe.agent import UserAgent
from labtool.probe.failure import of_answer, printable, said
from labtool.probe.result import Result
from labtool.probe.session import Session, Setting
from labtool.probe.target import Target
from labtool.sip.errors import SipError
from labtool.sip.message import Request, Response
from labtool.sip.uri import SipUri

# A server may refuse OPTIONS and still be a working SIP server; these answers say that it is not.
_SERVER_IS_BROKEN = ("loop", "server-error", "redirected", "bad-request", "unexpected-answer")


def options(
    target: Target | str,
    transport: str = "udp",
    setting: Setting | None = None,
    *,
    domain: str | None = None,
) -> Result:
    """Ask the server itself. It holds where any SIP answer comes that shows a working server.

    `domain` is what a certificate must be for where the target is an address.
    """
    with Session("options", target, setting or Setting()) as session:
        agent = session.agent(transport, domain)
        request = request_for(session.target, agent)
        response, seconds = session.ask(agent, request, "OPTIONS")
        facts = seen(agent, response)
        failure = None
        if response.status >= 300:
            failure = of_answer("OPTIONS", response, authenticated=False)
            refused = response.status in (401, 405, 407, 501)
            if refused or failure.cause.name not in _SERVER_IS_BROKEN:
                failure = None
        if failure:
            session.failed("OPTIONS", seconds, failure, **facts)
        session.passed("OPTIONS", seconds, describe(response, facts), **facts)
    where = f"{session.target.over(transport)} over {transport}"
    return session.result(transport, f"SIP is spoken on {where}", f"no working SIP on {where}")


def request_for(target: Target, agent: UserAgent) -> Request:
    """An OPTIONS to the server itself: a Request-URI without a user."""
    parameters = {} if agent.transport == "udp" else {"transport": agent.transport}
    uri = SipUri(host=target.host, port=target.port, params=dict(parameters))
    plain = SipUri(host=target.host)
    sender = SipUri(user="probe", host=target.host)
    return Request(
        "OPTIONS",
        str(uri),
        [
            ("Max-Forwards", "70"),
            ("From", f"<{sender}>;tag={secrets.token_hex(5)}"),
            ("To", f"<{plain}>"),
            ("Call-ID", secrets.token_hex(12)),
            ("CSeq", "1 OPTIONS"),
            ("Contact", f"<{agent.contact('probe')}>"),
            ("Accept", "application/sdp"),
        ],
    )


def seen(agent: UserAgent, response: Response) -> dict[str, Any]:
    """What any answer tells: the software, and the address that the server sees (RFC 3581)."""
    facts: dict[str, Any] = {"status": response.status}
    server = response.headers.get("Server") or response.headers.get("User-Agent")
    if server:
        facts["server"] = printable(server)
    try:
        via = response.via
    except SipError:  # a fact less, not a failure
        return facts
    port = via.params.get("rport")
    if port and port.isdigit():
        host = via.received or agent.flow.local.host
        facts["seen_as"] = printable(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        facts["behind_nat"] = facts["seen_as"] != str(agent.flow.local)
    return facts


def describe(response: Response, facts: dict[str, Any]) -> str:
    """The answer in a line."""
    text = said(response)
    if "server" in facts:
        text += f", {facts['server']}"
    if facts.get("behind_nat"):
        text += f", sees us as {facts['seen_as']} (NAT)"
    return text
