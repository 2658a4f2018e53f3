"""From an analysis to the ladder that tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from labtool.sip.flow import Address
from labtool.trace.analysis import Analysis, understand
from labtool.trace.calls import Call
from labtool.trace.ladder import Arrow, Kind, Ladder, Participant
from labtool.trace.media import Stream
from labtool.trace.message import Message
from labtool.trace.participants import Place
from labtool.trace.reading import Capture


def ladder_of(capture: Capture, *, given: Mapping[Address, str] | None = None) -> Ladder:
    """The ladder of a whole capture. `given` are names for addresses; without one a participant is
    called by its user.
    """
    return ladder_of_analysis(understand(capture, given=given))


def ladder_of_analysis(analysis: Analysis) -> Ladder:
    """Everything in it: messages, and an arrow for each RTP stream and each TLS connection."""
    return _ladder(analysis, analysis.messages, analysis.streams, encrypted=True)


def ladder_of_call(analysis: Analysis, call: Call) -> Ladder:
    """One call, with those that a B2BUA made of it."""
    chosen = {call, *call.related}
    messages = [m for one in chosen for m in one.messages()]
    messages.sort(key=lambda message: message.time_ns)
    streams = [stream for stream in analysis.streams if stream.call in chosen]
    return _ladder(analysis, messages, streams)


def _ladder(
    analysis: Analysis,
    messages: list[Message],
    streams: Iterable[Stream],
    *,
    encrypted: bool = False,
) -> Ladder:
    streams = list(streams)
    connections = [
        (flow, stream)
        for flow, stream in analysis.capture.connections.items()
        if encrypted and stream.kind == "tls" and flow.side == 0
    ]
    start = min(
        [message.time_ns for message in messages[:1]]
        + [stream.rtp.times[0] for stream in streams[:1]]
        + [stream.began[1] for _, stream in connections],
        default=0,
    )
    columns: dict[Place, int] = {}

    def column(address: Address) -> int:
        return columns.setdefault(analysis.places.of(address), len(columns))

    # The caller stands left and the callee right: the way of the first call orders the columns.
    for message in sorted(messages, key=lambda message: message.method != "INVITE"):
        if message.status == 0:
            column(message.flow.source)
            column(message.flow.destination)
    rows = [(message.time_ns, arrow_of(message, column, start)) for message in messages]
    rows += [(stream.rtp.times[0], _media(stream, column, start)) for stream in streams]
    for flow, stream in connections:
        frame, time_ns = stream.began
        back = analysis.capture.connections.get(flow.back) if flow.back else None
        records = stream.tls_records + (back.tls_records if back else 0)
        rows.append(
            (
                time_ns,
                Arrow(
                    (time_ns - start) / 1e9,
                    column(flow.source),
                    column(flow.destination),
                    f"TLS, encrypted: {records} records",
                    "encrypted",
                    frame,
                    both=True,
                ),
            )
        )
    rows.sort(key=lambda row: row[0])
    return Ladder(
        tuple(_participant(place, analysis.names.get(place, str(place))) for place in columns),
        tuple(arrow for _, arrow in rows),
    )


def _participant(place: Place, name: str) -> Participant:
    return Participant(name, str(place) if name != str(place) else "")


def arrow_of(message: Message, column: Callable[[Address], int], start: int) -> Arrow:
    """A message as an arrow; `column` says which an address belongs to, `start` is in ns."""
    label = message.label
    if message.has_sdp:
        label += " (SDP)"
    if message.repeats is not None:
        label += " (again)"
    return Arrow(
        (message.time_ns - start) / 1e9,
        column(message.flow.source),
        column(message.flow.destination),
        label,
        _kind(message.status),
        message.frame,
    )


def _kind(status: int) -> Kind:
    kinds: tuple[Kind, ...] = ("request", "provisional", "success", "redirect")
    return kinds[status // 100] if status < 400 else "failure"


def _media(stream: Stream, column: Callable[[Address], int], start: int) -> Arrow:
    rtp = stream.rtp
    codec = stream.codec.partition("/")[0]
    if not codec:
        codec = f"payload type {next(iter(rtp.payload_types))}"
    return Arrow(
        (rtp.times[0] - start) / 1e9,
        column(stream.source),
        column(stream.destination),
        f"RTP {codec}, {len(rtp)} packets, {stream.quality.duration:.1f} s",
        "media",
        rtp.frames[0],
    )
