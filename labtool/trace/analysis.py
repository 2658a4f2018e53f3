"""A capture understood: the one way in."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labtool.sip.flow import Address, Packet
from labtool.trace.calls import Call, calls
from labtool.trace.findings.audio import audio_findings
from labtool.trace.findings.calling import call_findings
from labtool.trace.findings.finding import Finding
from labtool.trace.findings.network import other_findings
from labtool.trace.findings.registering import registration_findings
from labtool.trace.findings.rewritten import rewriting_findings
from labtool.trace.findings.scene import Scene
from labtool.trace.findings.together import together
from labtool.trace.media import Stream, streams
from labtool.trace.merge import Merged, align, merge
from labtool.trace.message import Message
from labtool.trace.participants import Name, Place, Places, names
from labtool.trace.reading import Capture, read, read_packets
from labtool.trace.registrations import Registration, registrations
from labtool.trace.transactions import Transaction, transactions
from labtool.trace.vantage import vantage

_ORDER = {"error": 0, "warning": 1, "notice": 2}


@dataclass
class Analysis:
    """What a capture holds, in order of time; findings with the worst first."""

    capture: Capture
    messages: list[Message]
    transactions: list[Transaction]
    registrations: list[Registration]
    calls: list[Call]
    streams: list[Stream]
    findings: list[Finding]
    places: Places
    names: dict[Place, Name]
    merged: Merged  #: what several views have in common
    vantages: list[str | None]  #: the host that each view was taken at, None if unknown


def analyse(
    paths: Sequence[str | Path],
    *,
    given: Mapping[Address, str] | None = None,
    key_log: str | Path | None = None,
) -> Analysis:
    """Understand captures ("-" is standard input). `given` names addresses; `key_log` is a file with
    TLS secrets (SSLKEYLOGFILE).

    Raises CaptureError for a file that is no capture; damage within one is in `capture.damage`.
    """
    # Millions of small values that all live to the end: looking for cycles among them again and
    # again would take a third of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return understand(read(paths, key_log), given=given)
    finally:
        if collecting:
            gc.enable()


def analyse_packets(
    packets: Iterable[Packet], *, given: Mapping[Address, str] | None = None
) -> Analysis:
    """Understand what a tap saw."""
    return understand(read_packets(packets), given=given)


def understand(capture: Capture, *, given: Mapping[Address, str] | None = None) -> Analysis:
    """Understand what was read."""
    added = align(capture)
    grouped, copies = transactions(capture.messages)
    if copies:
        dropped = set(map(id, copies))
        messages = [message for message in capture.messages if id(message) not in dropped]
    else:
        messages = capture.messages
    places = Places(messages)
    found = calls(grouped, places)
    media = streams(capture, found, places)
    scene = Scene(
        capture,
        places,
        grouped,
        registrations(grouped, places),
        found,
        media,
        names(messages, places, given),
        _vantages(capture, media),
    )
    findings = [
        *registration_findings(scene),
        *call_findings(scene),
        *audio_findings(scene),
        *other_findings(scene),
    ]
    merged = merge(capture, places, scene.vantages, added)
    if len(capture.views) > 1:
        findings = together(scene, merged, findings)
        findings += rewriting_findings(scene, merged)
    findings.sort(key=lambda one: (_ORDER[one.severity], one.view, one.frames[:1]))
    return Analysis(
        capture,
        messages,
        grouped,
        scene.registrations,
        found,
        media,
        findings,
        places,
        scene.names,
        merged,
        scene.vantages,
    )


def _vantages(capture: Capture, media: list[Stream]) -> list[str | None]:
    found = []
    for view in range(len(capture.views)):
        used = {id(m.flow): m.flow for m in capture.messages if m.flow.view == view}
        used |= {id(s.rtp.flow): s.rtp.flow for s in media if s.rtp.flow.view == view}
        for seen in (capture.stun, capture.reports):
            used |= {id(one.flow): one.flow for one in seen if one.flow.view == view}
        found.append(vantage(used.values()))
    return found
