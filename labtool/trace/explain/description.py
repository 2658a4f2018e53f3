"""A session description line by line (RFC 8866), as offer or answer (RFC 3264), with ICE's
candidates (RFC 8839) and what became of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from labtool.sip.errors import ParseError
from labtool.sip.flow import Address
from labtool.sip.sdp import DIRECTIONS, Candidate, Media, SessionDescription
from labtool.trace.explain.context import Seen
from labtool.trace.explain.remark import Remark, say
from labtool.trace.explain.sources import SOURCES
from labtool.trace.hosts import is_private
from labtool.trace.media import Stream
from labtool.trace.message import Message
from labtool.trace.turn import announced

_TYPES = ("host", "srflx", "prflx", "relay")
_ATTRIBUTES = frozenset(
    [
        "crypto",
        "end-of-candidates",
        "extmap",
        "fingerprint",
        "group",
        "ice-lite",
        "ice-mismatch",
        "ice-options",
        "ice-pwd",
        "ice-ufrag",
        "maxptime",
        "mid",
        "nortpproxy",
        "ptime",
        "remote-candidates",
        "rtcp",
        "rtcp-fb",
        "rtcp-mux",
        "rtcp-xr",
        "setup",
        "ssrc",
    ]
)

_NOWHERE = ("0.0.0.0", "::")  # noqa: S104  addresses to hold with

Row = tuple[str, list[Remark]]


def description(seen: Seen, body: SessionDescription) -> list[Row]:
    """Each line of `body` with its remarks."""
    own = bool(body.media) and all(media.first("c") for media in body.media)
    ice = any(media.candidates for media in body.media)
    rows = [
        (f"{kind}={value}", _session(seen, kind, value, own, ice)) for kind, value in body.lines
    ]
    for media in body.media:
        head = str(media).split("\r\n", 1)[0]
        rows.append((head, _media(seen, media)))
        for kind, value in media.lines:
            rows.append(
                (f"{kind}={value}", _line(seen, kind, value, media, bool(media.candidates)))
            )
    return rows


def _session(seen: Seen, kind: str, value: str, overruled: bool, has_ice: bool) -> list[Remark]:
    if kind == "v":
        return [say("sdp.v"), *_role(seen)]
    if kind == "c" and overruled:
        return [say("sdp.c-session", host=_host(value))]
    return _line(seen, kind, value, None, has_ice)


def _role(seen: Seen) -> list[Remark]:
    """Whether this is the offer or the answer (RFC 3264 section 4, RFC 3261 section 13.2.1)."""
    facts = {"sender": seen.author}
    if seen.is_request:
        if seen.method == "ACK":
            return [say("sdp.answer-in-ack", **facts)]
        return [say("sdp.offer", **facts)]
    request = seen.request
    if request is None:
        return []
    if request.has_sdp:
        return [say("sdp.answer", frame=seen.frame(request), **facts)]
    return [say("sdp.late-offer", frame=seen.frame(request), **facts)]


def _line(
    seen: Seen, kind: str, value: str, media: Media | None, has_ice: bool = False
) -> list[Remark]:
    if kind == "o":
        return _origin(seen, value)
    if kind == "c":
        return _address(seen, _host(value), has_ice, media)
    if kind == "b":
        return [say("sdp.b", value=value)]
    if kind == "a":
        return _attribute(seen, value, media)
    name = f"sdp.{kind}"
    return [say(name if name in SOURCES else "sdp.other")]


def _host(value: str) -> str:
    """The address of a `c=` line."""
    words = value.split()
    return words[2].partition("/")[0] if len(words) > 2 else ""


def _origin(seen: Seen, value: str) -> list[Remark]:
    words = value.split()
    if len(words) != 6:
        return [say("unreadable")]
    found = [say("sdp.o", user=words[0], session=words[1], version=words[2])]
    for earlier, body in _earlier(seen):
        before = (body.origin or "").split()
        if before[:2] == words[:2] and len(before) == 6:
            kind = "sdp.o-same" if before[2] == words[2] else "sdp.o-newer"
            facts = {"version": words[2], "earlier": before[2]}
            found.append(say(kind, frame=seen.frame(earlier), **facts))
            break
    return found


def _earlier(seen: Seen) -> Iterator[tuple[Message, SessionDescription]]:
    """What came from the same address before, the newest first, with its message."""
    for one in reversed(seen.others):
        if (
            one.has_sdp
            and one.time_ns < seen.message.time_ns
            and one.flow.source == seen.message.flow.source
            and one.repeats is None
        ):
            try:
                yield one, SessionDescription.parse(one.parsed().body)
            except ParseError:
                continue


def change(seen: Seen) -> str:
    """What a re-INVITE is for, as its description shows: `-hold`, `-resume`, `-ice`, or nothing that
    could be told.
    """
    try:
        now = SessionDescription.parse(seen.parsed.body)
    except ParseError:
        return ""
    mine = (now.origin or "").split()[:2]
    same = (body for _, body in _earlier(seen) if (body.origin or "").split()[:2] == mine)
    before = next(same, None)
    if before is None:
        return ""
    was, is_now = (_is_held(body) for body in (before, now))
    if was != is_now:
        return "-hold" if is_now else "-resume"
    lines = [text for media in now.media for _, text in media.lines]
    return "-ice" if any(text.startswith("remote-candidates:") for text in lines) else ""


def _is_held(body: SessionDescription) -> bool:
    """Whether its sender wants to hear nothing (RFC 3264 section 8.4)."""
    sound = [media for media in body.media if media.kind == "audio" and media.port]
    return bool(sound) and all(
        media.direction in ("sendonly", "inactive") or media.connection in _NOWHERE
        for media in sound
    )


def _address(seen: Seen, host: str, has_ice: bool, media: Media | None) -> list[Remark]:
    source = seen.message.flow.source
    if host in _NOWHERE:
        return [say("sdp.c-hold")]
    found = [say("sdp.c-ice" if has_ice else "sdp.c", host=host)]
    rewritten = _rewritten(seen, host, media)
    if rewritten is not None:
        found.append(rewritten)
    elif host == source.host and seen.author != seen.sender:
        found.append(say("sdp.c-through", sender=seen.sender, author=seen.author))
    elif host == source.host:
        found.append(say("sdp.c-own", sender=seen.sender))
    elif is_private(host) and not is_private(source.host):
        found.append(say("sdp.c-private", host=host, source=source.host))
    elif is_private(source.host) and not is_private(host) and _is_first_hand(seen):
        found.append(say("sdp.c-learned", host=host, sender=seen.sender))
    elif seen.context.knows(Address(host, source.port), seen.view):
        who = seen.context.name(Address(host, source.port), seen.view)
        found.append(say("sdp.c-other", host=host, who=who))
    return found


def _rewritten(seen: Seen, host: str, media: Media | None) -> Remark | None:
    """Who put `host` where the same description named another before: a relay, on the way. It is the
    same by its `o=` line, which names the session and its version (RFC 8866 section 5.2).
    """
    origin, place = None, 0
    was: Message | None = None
    stood = ""
    try:
        own = SessionDescription.parse(seen.parsed.body)
        origin, place = own.origin, own.media.index(media) if media else 0
    except (ParseError, ValueError):
        return None
    if not origin:
        return None
    by = seen.message
    named = f"\no={' '.join(origin.split()[:3])}".encode("utf-8", "surrogateescape")
    for one in seen.context.conversation(seen.message.call_id):
        if not one.has_sdp or one.time_ns >= seen.message.time_ns or one.repeats is not None:
            continue
        if named not in one.data:
            continue
        try:
            body = SessionDescription.parse(one.parsed().body)
        except ParseError:
            continue
        if place >= len(body.media):
            continue
        address = body.media[place].connection or ""
        if address != host:
            was, stood, by = one, address, seen.message
        elif by is seen.message and was is not None:
            by = one  # the first that has it already
    if was is None:
        return None
    if by.branch == was.branch and by.status == was.status:
        return say("sdp.c-between", before=stood, frame=seen.frame(was))
    who = seen.context.name(by.flow.source, by.flow.view)
    return say("sdp.c-rewritten", who=who, before=stood, host=host, frame=seen.frame(was))


def _is_first_hand(seen: Seen) -> bool:
    return seen.is_request and len(seen.vias) == 1


def _media(seen: Seen, media: Media) -> list[Remark]:
    facts = {"kind": media.kind, "port": media.port, "proto": media.proto}
    if media.port == 0:
        return [say("sdp.m-refused", **facts)]
    found = [say("sdp.m", **facts)]
    names = [name.partition("/")[0] for name in media.rtpmap.values()]
    codecs = list(dict.fromkeys(name for name in names if name.lower() != "telephone-event"))
    if codecs:
        answers = seen.method == "ACK" if seen.is_request else seen.request and seen.request.has_sdp
        kind = "sdp.m-codecs-answer" if answers else "sdp.m-codecs"
        found.append(say(kind, codecs=", ".join(codecs), first=codecs[0]))
    proto = media.proto.upper()
    if "SAVP" in proto:
        found.append(say("sdp.m-dtls" if "TLS" in proto else "sdp.m-srtp"))
    for stream in _streams(seen):
        if stream.destination.port == media.port and (
            stream.destination.host in (media.connection, seen.message.flow.source.host)
        ):
            found.append(
                say(
                    "sdp.m-came",
                    packets=len(stream.rtp),
                    source=stream.source,
                    destination=stream.destination,
                    codec=stream.codec or "?",
                )
            )
    return found


def _streams(seen: Seen) -> list[Stream]:
    call = seen.context.call(seen.message.call_id)
    if call is None:
        return []
    view = seen.message.flow.view
    return [
        one
        for one in seen.context.analysis.streams
        if one.call is call and one.rtp.flow.view == view
    ]


def _attribute(seen: Seen, text: str, media: Media | None) -> list[Remark]:
    name, _, value = text.partition(":")
    if name in DIRECTIONS:
        return [say(f"sdp.{name}", sender=seen.author)]
    if name == "rtpmap":
        number, _, encoding = value.partition(" ")
        kind = "sdp.rtpmap"
        if encoding.lower().startswith("telephone-event"):
            kind = "sdp.rtpmap-dtmf"
        elif encoding.lower().startswith("cn/"):
            kind = "sdp.rtpmap-noise"
        return [say(kind, number=number, encoding=encoding)]
    if name == "fmtp":
        number, _, params = value.partition(" ")
        codec = ""
        if media is not None and number.isdecimal() and len(number) < 4:
            codec = media.rtpmap.get(int(number), "")
        return [say("sdp.fmtp", number=number, params=params, codec=codec or number)]
    if name == "rtcp-fb" and value.split()[1:2] == ["ccm"]:
        return [say("sdp.rtcp-fb-ccm", value=value)]
    if name == "candidate":
        return _candidate(seen, value)
    return [say(f"sdp.{name}", value=value) if name in _ATTRIBUTES else say("sdp.a-other")]


def _candidate(seen: Seen, value: str) -> list[Remark]:
    try:
        one = Candidate.parse(value)
    except ParseError:
        return [say("unreadable")]
    address = Address(one.host, one.port)
    related = f"{one.related_host}:{one.related_port}" if one.related_host else "?"
    kind = f"candidate.{one.type if one.type in _TYPES else 'other'}"
    if one.type == "relay" and one.host == seen.message.flow.source.host:
        kind = "candidate.relay-added"
    facts = {"address": address, "related": related, "type": one.type, "sender": seen.sender}
    found = [say(kind, **facts)]
    given = seen.context.analysis.capture.allocations.get(address)
    if given is not None:
        facts = {
            "server": given.server,
            "client": given.client,
            "frame": seen.at(given.frame, given.view),
        }
        found.append(say("candidate.allocated", **facts))
    component = {1: "candidate.rtp", 2: "candidate.rtcp"}.get(one.component)
    if component:
        found.append(say(component))
    chosen = _chosen(seen, address) if one.component == 1 else []
    if not chosen and one.type == "host" and is_private(one.host):
        found.append(say("candidate.private", host=one.host))
    return found + chosen


def _chosen(seen: Seen, address: Address) -> list[Remark]:
    """Whether ICE nominated this candidate, and whether sound used it."""
    found = []
    call = seen.context.call(seen.message.call_id)
    if call is None:
        return []
    view = seen.message.flow.view
    end = call.ended_ns or seen.context.analysis.capture.last_ns
    for stun in seen.context.nominations:
        if (
            stun.flow.view == view
            and call.started_ns <= stun.time_ns <= end
            and address in (ends := announced(stun.flow))
        ):
            found.append(
                say(
                    "candidate.nominated",
                    frame=seen.at(stun.frame, stun.flow.view),
                    local=ends[0],
                    remote=ends[1],
                )
            )
            break
    packets = sum(len(one.rtp) for one in _streams(seen) if address in announced(one.rtp.flow))
    if packets:
        found.append(say("candidate.used", packets=packets))
    return found
