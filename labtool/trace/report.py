"""The analysis as one JSON object, for programs.

```
capture        files, frames (a file each), start and end (seconds since 1970), clock_added (seconds by
               which the times of each file were moved, so that several agree), and what could not be
               read: damage (sentences), cut (frames shortened by the snap length), unreadable (frames)
messages       frame, view, time, transport, source, destination, label, method, status (0: request),
               call_id, cseq, size, repeats (the frame that it is a retransmission of, or null)
registrations  user, client, registrar, outcome, status, reason, contacts, expires (s), algorithms,
               algorithm, seen_as, frames
calls          number, call_id, caller, callee, outcome, status, started, ringing, answered, ended (null
               where it did not happen), ended_by, legs, dialogs, related (numbers), frames
streams        call (null: none), source, destination, ssrc, codec, codecs, path, packets, lost,
               duplicates, reordered, mean_jitter and max_jitter (ms), duration (s), start, digits,
               comfort_noise, gaps, estimate, first_frame, last_frame, view
encrypted      TLS connections that could not be read: client, server, records, bytes, view
intent         null, or where a lab was named, a row each: subject, configured, seen (lists), verdict
               ("agree", "differ", "not seen")
findings       id, severity, title, cause, cure, frames, view, call (0: none), others (the same in other
               views: view, frames); the worst first
```
Times are seconds since 1970 unless another unit is named. `view` is an index into capture.files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

from labtool.trace import tcp
from labtool.trace.analysis import Analysis
from labtool.trace.calls import Call
from labtool.trace.estimate import Estimate, Estimator
from labtool.trace.estimate_texts import sentence
from labtool.trace.findings.finding import Finding
from labtool.trace.flow import Flow
from labtool.trace.gaps import gaps
from labtool.trace.intent import Intent, Row, compare
from labtool.trace.media import Stream
from labtool.trace.message import Message
from labtool.trace.phrase import said
from labtool.trace.registrations import Registration

_AT_ONCE = 100  # rows that become JSON together


def report(
    analysis: Analysis, language: str = "en", intent: Intent | None = None
) -> dict[str, Any]:
    """The object described above; only strings, numbers, lists, null and true or false. Sentences
    are in `language`, everything else is the same in each.
    """
    parts = _parts(analysis, language, intent)
    return {name: list(part) if isinstance(part, Iterator) else part for name, part in parts}


def written(
    analysis: Analysis, language: str = "en", intent: Intent | None = None
) -> Iterator[str]:
    """The same object as JSON, piece by piece: of a long capture it would be large as a whole."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    before = "{"
    for name, part in _parts(analysis, language, intent):
        yield f'{before}"{name}": '
        before = ", "
        if not isinstance(part, Iterator):
            yield encode(part)
            continue
        comma = "["
        while rows := list(islice(part, _AT_ONCE)):
            yield comma + encode(rows)[1:-1]
            comma = ", "
        yield "[]" if comma == "[" else "]"
    yield "}"


def _parts(
    analysis: Analysis, language: str, intent: Intent | None
) -> Iterator[tuple[str, object]]:
    """Each key with its value, or with an iterator over the rows of a list."""
    capture = analysis.capture
    yield (
        "capture",
        {
            "files": capture.views,
            "frames": capture.frames,
            "start": capture.first_ns / 1e9,
            "end": capture.last_ns / 1e9,
            "clock_added": [added / 1e9 for added in analysis.merged.added],
            "damage": [_text(said(one, language)) for one in capture.damage],
            "cut": capture.cut,
            "unreadable": capture.bad,
        },
    )
    yield "messages", map(_message, analysis.messages)
    yield "registrations", map(_registration, analysis.registrations)
    yield "calls", map(_call, analysis.calls)
    estimator = Estimator(analysis)
    yield "streams", (_stream(one, estimator.of(one), language) for one in analysis.streams)
    yield (
        "encrypted",
        (
            _connection(flow, stream, capture.connections.get(flow.back) if flow.back else None)
            for flow, stream in capture.connections.items()
            if stream.kind == "tls" and flow.side == 0 and not stream.is_opened
        ),
    )
    yield "intent", [_row(row) for row in compare(intent, analysis)] if intent else None
    yield "findings", (_finding(one, language) for one in analysis.findings)


def _finding(one: Finding, language: str) -> dict[str, Any]:
    return {
        "id": one.id,
        "severity": one.severity,
        **{name: _text(text) for name, text in asdict(one.text(language)).items()},
        "frames": list(one.frames),
        "view": one.view,
        "call": one.call,
        "others": [{"view": view, "frames": list(seen)} for view, seen in one.others],
    }


def _row(row: Row) -> dict[str, Any]:
    seen = [_text(value) for value in row.seen]
    return {**asdict(row), "configured": list(row.configured), "seen": seen}


def _connection(flow: Flow, there: tcp.Stream, back: tcp.Stream | None) -> dict[str, Any]:
    return {
        "client": str(flow.source),
        "server": str(flow.destination),
        "records": there.tls_records + (back.tls_records if back else 0),
        "bytes": there.size + (back.size if back else 0),
        "view": flow.view,
    }


def _text(value: str) -> str:
    """Text that every JSON reader takes: bytes that are no UTF-8 become question marks."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _message(one: Message) -> dict[str, Any]:
    return {
        "frame": one.frame,
        "view": one.flow.view,
        "time": one.time_ns / 1e9,
        "transport": one.flow.transport,
        "source": str(one.flow.source),
        "destination": str(one.flow.destination),
        "label": _text(one.label),
        "method": _text(one.method),
        "status": one.status,
        "call_id": _text(one.call_id),
        "cseq": one.cseq,
        "size": one.size,
        "repeats": one.repeats.frame if one.repeats else None,
    }


def _registration(one: Registration) -> dict[str, Any]:
    return {
        "user": _text(one.user),
        "client": str(one.client),
        "registrar": str(one.registrar),
        "outcome": one.outcome,
        "status": one.status,
        "reason": _text(one.reason),
        "contacts": [_text(contact) for contact in one.contacts],
        "expires": one.expires,
        "algorithms": [_text(name) for name in one.algorithms],
        "algorithm": _text(one.algorithm),
        "seen_as": _text(one.seen_as),
        "frames": sorted(message.frame for message in one.messages()),
    }


def _call(one: Call) -> dict[str, Any]:
    return {
        "number": one.number,
        "call_id": _text(one.call_id),
        "caller": _text(one.caller),
        "callee": _text(one.callee),
        "outcome": one.outcome,
        "status": one.status,
        "started": one.started_ns / 1e9,
        "ringing": one.ringing_ns / 1e9 if one.ringing_ns else None,
        "answered": one.answered_ns / 1e9 if one.answered_ns else None,
        "ended": one.ended_ns / 1e9 if one.ended_ns else None,
        "ended_by": one.ended_by,
        "legs": [
            {
                "caller": str(leg.caller),
                "callee": str(leg.callee),
                "transports": leg.transports,
                "view": leg.view,
            }
            for leg in one.legs
        ],
        "dialogs": [[_text(tag) for tag in tags] for tags in one.dialogs],
        "related": [other.number for other in one.related],
        "frames": [message.frame for message in one.messages()],
    }


def _stream(one: Stream, estimate: Estimate, language: str) -> dict[str, Any]:
    quality = one.quality
    return {
        "call": one.call.number if one.call else None,
        "source": str(one.source),
        "destination": str(one.destination),
        "ssrc": f"0x{one.rtp.ssrc:08x}",
        "codec": _text(one.codec),
        "codecs": [_text(name) for name in one.codecs],
        "path": one.path,
        "packets": quality.packets,
        "lost": quality.lost,
        "duplicates": quality.duplicates,
        "reordered": quality.reordered,
        "mean_jitter": _rounded(quality.mean_jitter),
        "max_jitter": _rounded(quality.max_jitter),
        "duration": round(quality.duration, 6),
        "start": one.rtp.times[0] / 1e9,
        "digits": one.digits,
        "comfort_noise": one.comfort_noise,
        "gaps": [
            {
                "start": pause.start_ns / 1e9,
                "duration": round(pause.duration, 6),
                "reason": pause.reason,
                "missing": pause.missing,
                "frames": list(pause.frames),
            }
            for pause in gaps(one)
        ],
        "estimate": {
            "r": estimate.rating,
            "mos": estimate.mos,
            "wideband": estimate.wideband,
            "evidence": estimate.evidence,
            "loss": estimate.loss,
            "burst_ratio": estimate.burst_ratio,
            "late": estimate.late,
            "round_trip": estimate.round_trip,
            "delay": estimate.delay,
            "how": sentence(estimate.said, language),
        },
        "first_frame": one.rtp.frames[0],
        "last_frame": one.rtp.frames[-1],
        "view": one.rtp.flow.view,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
