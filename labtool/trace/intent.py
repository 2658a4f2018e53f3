"""What a lab was to be against what its packets show.

Plain values on both sides: who reads a lab's files is above this room. A row says "differ" only
where packets show something else; what no packet shows is "not seen".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from labtool.sip.errors import ParseError
from labtool.sip.uri import SipUri, parse_uri
from labtool.trace.analysis import Analysis
from labtool.trace.message import Message
from labtool.trace.registrations import challenges
from labtool.trace.selection import user_of

Verdict = Literal["agree", "differ", "not seen"]
_TOOK_PLACE = ("registered", "unregistered", "queried")
_MANY = 12  # values named in a row; a capture full of scanners has thousands


@dataclass(frozen=True)
class Intent:
    """What was configured. Empty values are left out of the comparison."""

    domain: str = ""
    addresses: tuple[str, ...] = ()  #: of the server, numeric
    port: int | None = None
    transports: tuple[str, ...] = ()  #: "udp", "tcp"
    algorithms: tuple[str, ...] = ()  #: "MD5", "SHA-256"
    relay: bool | None = None  #: whether the server carries the sound
    rtp_ports: tuple[int, int] | None = None  #: of that relay, first and last
    users: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One thing compared. `subject` is the name of a field of Intent."""

    subject: str
    configured: tuple[str, ...]
    seen: tuple[str, ...]
    verdict: Verdict


def compare(intent: Intent, analysis: Analysis) -> list[Row]:
    """The rows, in the order of Intent's fields.

    The server is where the lab's addresses are and, in a capture that shows none of them (a server
    behind a translation of addresses), whoever is registered with.
    """
    servers = _servers(intent, analysis)
    about = [
        message
        for message in analysis.messages
        if {message.flow.source.host, message.flow.destination.host} & servers[message.flow.view]
    ]
    rows = []
    if intent.domain:
        seen = _domains(analysis)
        rows.append(_row("domain", [intent.domain], seen, set(seen) == {intent.domain}))
    if intent.port is not None:
        ports = list(dict.fromkeys(_ports(analysis, servers)))
        agree = set(ports) == {intent.port}
        rows.append(_row("port", [str(intent.port)], map(str, ports), agree))
    if intent.transports:
        seen = list(dict.fromkeys(message.flow.transport for message in about))
        rows.append(_row("transports", intent.transports, seen, set(seen) <= {*intent.transports}))
    if intent.algorithms:
        seen = list(dict.fromkeys(_offered(about, servers)))
        agree = {name.upper() for name in seen} == {name.upper() for name in intent.algorithms}
        rows.append(_row("algorithms", intent.algorithms, seen, agree))
    if intent.relay is not None:
        way = "relayed" if intent.relay else "direct"
        seen = list(dict.fromkeys(one.path for one in analysis.streams if one.path))
        ways = {way} if intent.relay else {way, "turn"}  # of the phones' own choice
        rows.append(_row("relay", [way], seen, set(seen) <= ways))
    if intent.relay and intent.rtp_ports is not None:
        first, last = intent.rtp_ports
        used = sorted(set(_relay_ports(analysis, servers)))
        shown = [str(port) for port in used[:1] + used[1:][-1:]]
        agree = all(first <= port <= last for port in used)
        rows.append(_row("rtp_ports", [str(first), str(last)], shown, agree))
    if intent.users:
        seen = list(
            dict.fromkeys(
                user_of(one.user) for one in analysis.registrations if one.outcome in _TOOK_PLACE
            )
        )
        rows.append(_row("users", intent.users, seen, set(seen) <= {*intent.users}))
    return rows


def _row(subject: str, configured: Sequence[str], seen: Iterable[str], agree: bool) -> Row:
    found = tuple(seen)
    verdict: Verdict = "not seen" if not found else "agree" if agree else "differ"
    return Row(subject, tuple(configured), found[:_MANY], verdict)


def _servers(intent: Intent, analysis: Analysis) -> list[set[str]]:
    """The server's addresses in each view."""
    views = len(analysis.capture.views)
    known: list[set[str]] = [set() for _ in range(views)]
    registrars: list[set[str]] = [set() for _ in range(views)]
    for message in analysis.messages:
        flow = message.flow
        known[flow.view] |= {flow.source.host, flow.destination.host} & {*intent.addresses}
    for one in analysis.registrations:
        if one.status:  # a server that answered
            registrars[one.transactions[0].first.flow.view].add(one.registrar.host)
    return [mine or others for mine, others in zip(known, registrars, strict=True)]


def _domains(analysis: Analysis) -> list[str]:
    """Of who registered; where nobody did, of who called. Refused ones only where there is no other:
    a scanner tries any domain.
    """
    took = [one.user for one in analysis.registrations if one.outcome in _TOOK_PLACE]
    tried = [one.user for one in analysis.registrations]
    called = [one.caller for one in analysis.calls]
    return list(dict.fromkeys(host for uri in took or tried or called if (host := _host(uri))))


def _host(uri: str) -> str:
    try:
        parsed = parse_uri(uri)
    except ParseError:
        return ""
    return parsed.host if isinstance(parsed, SipUri) else ""


def _ports(analysis: Analysis, servers: list[set[str]]) -> Iterator[int]:
    """Where the server answered a REGISTER. (Other requests also go back over a connection that the
    server opened, to a port of no meaning.)
    """
    for one in analysis.registrations:
        first = one.transactions[0].first
        if first.flow.transport == "tls":
            continue  # the configured port is that of UDP and TCP
        if one.status and one.registrar.host in servers[first.flow.view]:
            yield (first.flow.source if first.status else first.flow.destination).port


def _offered(messages: list[Message], servers: list[set[str]]) -> Iterator[str]:
    for message in messages:
        if message.status in (401, 407) and message.flow.source.host in servers[message.flow.view]:
            for challenge in challenges(message):
                yield challenge.algorithm


def _relay_ports(analysis: Analysis, servers: list[set[str]]) -> Iterator[int]:
    for stream in analysis.streams:
        # Where phones run on the server's own address nothing tells their ports from its.
        if stream.path == "relayed" and stream.source.host != stream.destination.host:
            for end in (stream.source, stream.destination):
                if end.host in servers[stream.rtp.flow.view]:
                    yield end.port
