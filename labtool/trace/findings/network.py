"""Findings outside calls: silence, TLS that fails, scanners."""

from __future__ import annotations

from collections.abc import Iterator

from labtool.trace.findings.finding import Finding, finding
from labtool.trace.findings.scene import Scene
from labtool.trace.findings.silence import REPEATED, no_response
from labtool.trace.flow import Flow
from labtool.trace.transactions import Transaction

#: Tools that try numbers and passwords, by how their User-Agent begins.
_SCANNERS = ("friendly-scanner", "sipvicious", "sipsak-scan", "sundayddr", "pplsip", "sipcli/v1.8")

_SIPS_PORT = 5061
_FATAL = 2
_CERTIFICATE = "Renew the server's certificate, for the very name that the clients use."
_TRUST = (
    "Install the certificate of the authority that signed the server's in the client, or use a "
    "certificate of a public one."
)
#: RFC 8446 section 6.2: what each says, and what to do.
_ALERTS = {
    40: (
        "handshake_failure",
        "The two have no version, cipher or key type of TLS in common.",
        "Compare the TLS versions and ciphers that both allow.",
    ),
    42: ("bad_certificate", "It could not use the other's certificate.", _CERTIFICATE),
    43: ("unsupported_certificate", "It cannot use a certificate of that kind.", _CERTIFICATE),
    44: ("certificate_revoked", "The certificate was revoked.", _CERTIFICATE),
    45: ("certificate_expired", "The certificate has expired, or a clock is wrong.", _CERTIFICATE),
    46: ("certificate_unknown", "It did not accept the other's certificate.", _TRUST),
    48: ("unknown_ca", "It does not know who signed the other's certificate.", _TRUST),
    70: (
        "protocol_version",
        "The version of TLS that was offered is not allowed there.",
        "Allow TLS 1.2 or 1.3 on both sides.",
    ),
    112: (
        "unrecognized_name",
        "The server has no certificate for the name that was asked for.",
        _CERTIFICATE,
    ),
    116: (
        "certificate_required",
        "The server wants a certificate of the client, which sent none.",
        "Install a client certificate, or let the server accept clients without one.",
    ),
}
_OTHER_ALERT = ("of another kind", "The number is that of RFC 8446 section 6.", "Look it up there.")


def other_findings(scene: Scene) -> Iterator[Finding]:
    """Requests outside calls that nobody answers, and scanners."""
    in_calls = {id(one) for call in scene.calls for one in call.transactions}
    silent: dict[object, Transaction] = {}
    for one in scene.transactions:
        if id(one) not in in_calls and not one.responses and len(one.messages) > REPEATED:
            silent.setdefault((one.server, one.method, one.first.flow.view), one)
    for one in silent.values():
        yield no_response(one, one.first.flow.view, 0)
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
            alert, meaning, advice = _ALERTS.get(number, _OTHER_ALERT)
            yield finding(
                "tls-alert",
                [frame],
                view=flow.view,
                client=client,
                server=server,
                who=flow.source,
                alert=alert,
                number=number,
                meaning=meaning,
                advice=advice,
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
