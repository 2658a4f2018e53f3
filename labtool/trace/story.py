"""From an analysis to the ladder that tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from labtool.sip.flow import Address
from labtool.trace import selection
from labtool.trace.analysis import Analysis, understand
from labtool.trace.calls import Call
from labtool.trace.flow import Flow
from labtool.trace.ladder import Arrow, Kind, Ladder, Participant
from labtool.trace.media import Stream
from labtool.trace.message import Message
from labtool.trace.participants import Place
from labtool.trace.phrase import phrase, said
from labtool.trace.reading import Capture

#: Which column an address of a flow belongs to.
Column = Callable[[Flow, Address], int]


def ladder_of(capture: Capture, *, given: Mapping[Address, str] | None = None) -> Ladder:
    """The ladder of a whole capture. `given` are names for addresses; without one a participant is
    called by its user.
    """
    return ladder_of_analysis(understand(capture, given=given))


def ladder_of_analysis(analysis: Analysis, *, language: str = "en") -> Ladder:
    """Everything in it: messages, and an arrow for each RTP stream and each TLS connection."""
    messages, streams = analysis.messages, analysis.streams
    return ladder_of_parts(analysis, messages, streams, encrypted=True, language=language)


def ladder_of_call(analysis: Analysis, call: Call, *, language: str = "en") -> Ladder:
    """One call, with those that a B2BUA made of it."""
    messages = selection.messages(analysis, [call])
    streams = selection.streams(analysis, [call])
    return ladder_of_parts(analysis, messages, streams, language=language)


def ladder_of_parts(
    analysis: Analysis,
    messages: Sequence[Message],
    streams: Sequence[Stream],
    *,
    encrypted: bool = False,
    language: str = "en",
) -> Ladder:
    """These messages, in order of time, and streams; with `encrypted` the TLS connections too. The
    key of an arrow is `m` or `s` and its place in `messages` or `streams`, from 0.
    """
    groups = analysis.merged.streams(streams, analysis.places)
    order = {id(stream): place for place, stream in enumerate(streams)}
    connections = [
        (flow, stream)
        for flow, stream in analysis.capture.connections.items()
        if encrypted and stream.kind == "tls" and flow.side == 0 and not stream.is_opened
    ]
    start = min(
        [message.time_ns for message in messages[:1]]
        + [group[0].rtp.times[0] for group in groups[:1]]
        + [stream.began[1] for _, stream in connections],
        default=0,
    )
    columns: dict[Place, int] = {}

    def column(flow: Flow, address: Address) -> int:
        place = analysis.merged.place(flow.view, analysis.places.of(address))
        return columns.setdefault(place, len(columns))

    # The caller stands left and the callee right: the way of the first call orders the columns.
    for message in sorted(messages, key=lambda message: message.method != "INVITE"):
        if message.status == 0:
            column(message.flow, message.flow.source)
            column(message.flow, message.flow.destination)
    rows = [
        (message.time_ns, replace(arrow_of(message, column, start, language), key=f"m{place}"))
        for place, message in enumerate(messages)
        if id(message) not in analysis.merged.twins
    ]
    rows += [
        (
            first.rtp.times[0],
            replace(_media(group, column, start, language), key=f"s{order[id(first)]}"),
        )
        for group in groups
        for first in group[:1]
    ]
    for flow, stream in connections:
        frame, time_ns = stream.began
        back = analysis.capture.connections.get(flow.back) if flow.back else None
        records = stream.tls_records + (back.tls_records if back else 0)
        rows.append(
            (
                time_ns,
                Arrow(
                    (time_ns - start) / 1e9,
                    column(flow, flow.source),
                    column(flow, flow.destination),
                    said(phrase("arrow_tls", records=records), language),
                    "encrypted",
                    frame,
                    both=True,
                ),
            )
        )
    rows.sort(key=lambda row: row[0])
    heads = (
        (analysis.merged.addresses(place), said(analysis.names.get(place, place), language))
        for place in columns
    )
    return Ladder(
        tuple(_participant(places, name) for places, name in heads),
        tuple(arrow for _, arrow in rows),
    )


def _participant(places: list[Place], name: str) -> Participant:
    where = " = ".join(map(str, places))  # its own address, and what a NAT makes of it
    return Participant(name, where if name != where else "")


def arrow_of(message: Message, column: Column, start: int, language: str = "en") -> Arrow:
    """A message as an arrow; `column` says which an address belongs to, `start` is in ns."""
    label = message.label
    if message.has_sdp:
        label += " (SDP)"
    if message.repeats is not None:
        label += said(phrase("arrow_again"), language)
    return Arrow(
        (message.time_ns - start) / 1e9,
        column(message.flow, message.flow.source),
        column(message.flow, message.flow.destination),
        label,
        _kind(message.status),
        message.frame,
    )


def _kind(status: int) -> Kind:
    if status in (401, 407):
        return "challenge"  # no failure: the request is to come again with an answer
    kinds: tuple[Kind, ...] = ("request", "provisional", "success", "redirect")
    return kinds[status // 100] if status < 400 else "failure"


def _media(group: list[Stream], column: Column, start: int, language: str) -> Arrow:
    stream = max(group, key=lambda one: len(one.rtp))  # the nearest to its sender
    rtp = stream.rtp
    codec: object = stream.codec.partition("/")[0]
    if not codec:
        codec = phrase("arrow_payload", number=next(iter(rtp.payload_types)))
    arrived = min(len(one.rtp) for one in group)
    lost = "" if arrived == len(rtp) else phrase("arrow_arrived", count=arrived)
    seconds = f"{stream.quality.duration:.1f}"
    facts = {"packets": len(rtp), "lost": lost, "seconds": seconds}
    way = ", TURN" if stream.path == "turn" else ""
    label = phrase("arrow_rtp", codec=codec, way=way, **facts)
    return Arrow(
        (rtp.times[0] - start) / 1e9,
        column(rtp.flow, stream.source),
        column(rtp.flow, stream.destination),
        said(label, language),
        "media",
        rtp.frames[0],
    )
