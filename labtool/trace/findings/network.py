"""Findings outside calls: silence, TLS that fails, scanners."""

from __future__ import annotations

from collections.abc import Iterator

from labtool.trace.conversations import Conversation
from labtool.trace.findings.finding import Finding, finding
from labtool.trace.findings.scene import Scene, closed_ports
from labtool.trace.findings.silence import is_unanswered, no_response
from labtool.trace.flow import Flow
from labtool.trace.phrase import phrase
from labtool.trace.reading import Capture
from labtool.trace.transactions import Transaction

#: Tools that try numbers and passwords, by how their User-Agent begins.
_SCANNERS = ("friendly-scanner", "sipvicious", "sipsak-scan", "sundayddr", "pplsip", "sipcli/v1.8")

_SIPS_PORT = 5061
_FATAL = 2
#: RFC 8446 section 6.2: the name of each, and the phrase that says what to do; what it means is the
#: phrase `alert-NUMBER`.
_ALERTS = {
    40: ("handshake_failure", "compare-ciphers"),
    42: ("bad_certificate", "renew-certificate"),
    43: ("unsupported_certificate", "renew-certificate"),
    44: ("certificate_revoked", "renew-certificate"),
    45: ("certificate_expired", "renew-certificate"),
    46: ("certificate_unknown", "trust-issuer"),
    48: ("unknown_ca", "trust-issuer"),
    70: ("protocol_version", "allow-tls-1.2"),
    112: ("unrecognized_name", "renew-certificate"),
    116: ("certificate_required", "client-certificate"),
}


class Outside:
    """Outside calls: requests that nobody answers, and scanners. Sees each conversation once."""

    def __init__(self, capture: Capture) -> None:
        self._closed = closed_ports(capture)
        self._silent: dict[object, Transaction] = {}
        self._scans: dict[tuple[str, int, str], list[tuple[int, int]]] = {}

    def see(self, conversation: Conversation) -> None:
        """Take note of what is in it."""
        for one in conversation.transactions:
            if not conversation.legs and (is_unanswered(one) or self._is_closed(one)):
                key = (one.server, one.method, one.first.flow.view)
                first = self._silent.setdefault(key, one)
                if one.first.time_ns < first.first.time_ns:
                    self._silent[key] = one
            request = one.request
            if request and request.agent and request.agent.lower().startswith(_SCANNERS):
                who = (request.flow.source.host, request.flow.view, request.agent)
                self._scans.setdefault(who, []).append((request.time_ns, request.frame))

    def _is_closed(self, one: Transaction) -> bool:
        where = (one.first.flow.view, one.client, one.server)
        return not one.responses and one.method != "ACK" and where in self._closed

    def findings(self, scene: Scene) -> Iterator[Finding]:
        """What they show."""
        for one in self._silent.values():
            yield no_response(scene, one, one.first.flow.view, 0)
        for (host, view, agent), seen in self._scans.items():
            frames = [frame for _, frame in sorted(seen, key=lambda row: row[0])[:20]]
            yield finding("scanner", frames, view=view, agent=agent, host=host, times=len(seen))


def tls_findings(scene: Scene) -> Iterator[Finding]:
    """Alerts that could be read: they were sent before, or without, encryption."""
    hosts = {host for flow in scene.capture.messages.flows for host in _hosts(flow)}
    for flow, stream in scene.capture.connections.items():
        for frame, level, number in stream.alerts:
            if level != _FATAL or not (
                _SIPS_PORT in (flow.source.port, flow.destination.port) or hosts & _hosts(flow)
            ):
                continue
            # The lower side number is who sent the first packet: the SYN.
            client, server = (flow.source, flow.destination)[:: -1 if flow.side else 1]
            name, advice = _ALERTS.get(number, ("", "look-up-alert"))
            yield finding(
                "tls-alert",
                [frame],
                view=flow.view,
                client=client,
                server=server,
                who=flow.source,
                alert=name or phrase("alert-of-another-kind"),
                number=number,
                meaning=phrase(f"alert-{number}" if name else "alert-other"),
                advice=phrase(advice),
            )


def _hosts(flow: Flow) -> set[str]:
    return {flow.source.host, flow.destination.host}
