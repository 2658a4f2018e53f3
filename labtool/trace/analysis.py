"""A capture understood: the one way in."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labtool.sip.flow import Address, Packet
from labtool.trace.calls import Call, Front, call_of, relate
from labtool.trace.conversations import Conversations
from labtool.trace.findings.audio import audio_findings
from labtool.trace.findings.calling import call_findings
from labtool.trace.findings.finding import Finding
from labtool.trace.findings.network import Outside, tls_findings
from labtool.trace.findings.registering import registration_findings
from labtool.trace.findings.rewritten import rewriting_findings
from labtool.trace.findings.scene import Scene
from labtool.trace.findings.together import together
from labtool.trace.flow import Flow
from labtool.trace.media import Stream, streams
from labtool.trace.merge import Merged, align, merge
from labtool.trace.message import Message
from labtool.trace.participants import Name, Place, Places, names
from labtool.trace.reading import Capture, read, read_packets
from labtool.trace.registrations import Registration, registrations
from labtool.trace.vantage import neighbours, vantage

_PORTION = 500  # calls that are judged before what was found of them is forgotten
_ORDER = {"error": 0, "warning": 1, "notice": 2}


@dataclass
class Analysis:
    """What a capture holds, in order of time; findings with the worst first."""

    capture: Capture
    messages: Sequence[Message]
    conversations: Conversations
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
    places = Places(capture.messages)
    conversations = Conversations(capture.messages, places)
    found: list[Call] = []
    fronts: list[Front] = []
    entered: list[Registration] = []
    outside = Outside(capture)
    for index in conversations:
        one = conversations[index]
        call = call_of(len(found) + 1, conversations, index)
        if call is not None:
            found.append(call)
            fronts.append(Front(one.legs[0].caller, one.legs[0].callee, one.legs[0].view))
        entered += registrations(conversations, index, places)
        outside.see(one)
    relate(found, fronts)
    entered.sort(key=lambda registration: registration.started_ns)
    media = streams(capture, found, places)
    used = [_flows(capture, media, view) for view in range(len(capture.views))]
    scene = Scene(
        capture,
        places,
        entered,
        found,
        media,
        names(capture.messages.telling(places.ends), places, given),
        [vantage(flows) for flows in used],
        [neighbours(flows) for flows in used],
    )
    of_calls: list[Finding] = []
    of_sound: list[Finding] = []
    for portion in scene.portions(_PORTION):
        of_calls += call_findings(portion)
        of_sound += audio_findings(portion)
    findings = [
        *registration_findings(scene),
        *of_calls,
        *of_sound,
        *outside.findings(scene),
        *tls_findings(scene),
    ]
    merged = merge(capture, places, scene.vantages, added)
    if len(capture.views) > 1:
        findings = together(scene, merged, findings)
        findings += rewriting_findings(scene, merged)
    findings.sort(key=lambda one: (_ORDER[one.severity], one.view, one.frames[:1]))
    return Analysis(
        capture,
        capture.messages.without_copies(),
        conversations,
        entered,
        found,
        media,
        findings,
        places,
        scene.names,
        merged,
        scene.vantages,
    )


def _flows(capture: Capture, media: list[Stream], view: int) -> list[Flow]:
    """All that tells where a view was taken."""
    used = {id(flow): flow for flow in capture.messages.flows if flow.view == view}
    used |= {id(s.rtp.flow): s.rtp.flow for s in media if s.rtp.flow.view == view}
    for seen in (capture.stun, capture.reports):
        used |= {id(one.flow): one.flow for one in seen if one.flow.view == view}
    return list(used.values())
