"""Findings outside calls: silence, TLS that fails, scanners."""

from __future__ import annotations

from collections.abc import Iterator

from labtool.trace.findings.finding import Finding, finding
from labtool.trace.findings.scene import Scene
from labtool.trace.findings.silence import closed, is_unanswered, no_response
from labtool.trace.flow import Flow
from labtool.trace.phrase import phrase
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


def other_findings(scene: Scene) -> Iterator[Finding]:
    """Requests outside calls that nobody answers, and scanners."""
    in_calls = {id(one) for call in scene.calls for one in call.transactions}
    silent: dict[object, Transaction] = {}
    for one in scene.transactions:
        if id(one) not in in_calls and (is_unanswered(one) or closed(scene, one)):
            silent.setdefault((one.server, one.method, one.first.flow.view), one)
    for one in silent.values():
        yield no_response(scene, one, one.first.flow.view, 0)
    yield from _tls_alerts(scene)
    yield from _scanners(scene)


def _tls_alerts(scene: Scene) -> Iterator[Finding]:
    """Alerts that could be read: they were sent before, or without, encryption."""
    hosts = {host for m in scene.capture.messages for host in _hosts(m.flow)}
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


def _scanners(scene: Scene) -> Iterator[Finding]:
    found: dict[tuple[str, int, str], list[int]] = {}
    for one in scene.transactions:
        request = one.request
        if request is None:
            continue
        agent = request.agent
        if agent and agent.lower().startswith(_SCANNERS):
            key = (request.flow.source.host, request.flow.view, agent)
            found.setdefault(key, []).append(request.frame)
    for (host, view, agent), frames in found.items():
        yield finding("scanner", frames[:20], view=view, agent=agent, host=host, times=len(frames))
