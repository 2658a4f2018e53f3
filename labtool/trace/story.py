"""From a capture to the ladder that tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from labtool.sip.flow import Address
from labtool.trace.announced import Announcement, Codecs, announcements
from labtool.trace.ladder import Arrow, Kind, Ladder, Participant
from labtool.trace.message import Message
from labtool.trace.participants import Place, Places, names
from labtool.trace.reading import Capture
from labtool.trace.stream import RtpStream
from labtool.trace.transactions import transactions


def ladder_of(
    capture: Capture,
    *,
    given: Mapping[Address, str] | None = None,
    messages: Iterable[Message] | None = None,
    streams: Iterable[RtpStream] | None = None,
) -> Ladder:
    """The ladder of a capture, or of some of its messages and streams.

    `given` are names for addresses; without one a participant is called by its user. Each RTP
    stream is one arrow, at the time of its first packet.
    """
    chosen = capture.messages if messages is None else list(messages)
    _, copies = transactions(chosen)
    dropped = set(map(id, copies))
    chosen = [message for message in chosen if id(message) not in dropped]
    places = Places(chosen)
    said = announcements(chosen)
    for one in said:
        places.adopt(one.address, one.owner)
    shown = capture.streams if streams is None else list(streams)
    shown = [stream for stream in shown if is_media(stream, said)]
    columns: dict[Place, int] = {}
    rows: list[tuple[int, Arrow]] = []
    start = min([m.time_ns for m in chosen[:1]] + [s.times[0] for s in shown], default=0)

    def column(address: Address) -> int:
        return columns.setdefault(places.of(address), len(columns))

    # The caller stands left and the callee right: the way of the first call orders the columns.
    for message in sorted(chosen, key=lambda message: message.method != "INVITE"):
        if message.status == 0:
            column(message.flow.source)
            column(message.flow.destination)
    for message in chosen:
        rows.append((message.time_ns, _arrow(message, column, start)))
    codecs = Codecs(said)
    for stream in sorted(shown, key=lambda stream: stream.times[0]):
        rows.append((stream.times[0], _media(stream, codecs, column, start)))
    rows.sort(key=lambda row: row[0])
    known = names(chosen, places, given)
    return Ladder(
        tuple(_participant(place, known.get(place, str(place))) for place in columns),
        tuple(arrow for _, arrow in rows),
    )


def is_media(stream: RtpStream, said: Iterable[Announcement]) -> bool:
    """Whether it is RTP: announced by a session description, or plain from its numbers."""
    ends = (stream.flow.source, stream.flow.destination)
    return stream.is_plausible() or any(one.address in ends for one in said)


def _participant(place: Place, name: str) -> Participant:
    return Participant(name, str(place) if name != str(place) else "")


def _arrow(message: Message, column: Callable[[Address], int], start: int) -> Arrow:
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


def _media(
    stream: RtpStream, codecs: Codecs, column: Callable[[Address], int], start: int
) -> Arrow:
    flow = stream.flow
    payload = next(iter(stream.payload_types))
    name = codecs.name(flow.source, flow.destination, payload, stream.times[0])
    codec = name.partition("/")[0] or f"payload type {payload}"
    duration = (stream.times[-1] - stream.times[0]) / 1e9
    return Arrow(
        (stream.times[0] - start) / 1e9,
        column(flow.source),
        column(flow.destination),
        f"RTP {codec}, {len(stream)} packets, {duration:.1f} s",
        "media",
        stream.frames[0],
    )
