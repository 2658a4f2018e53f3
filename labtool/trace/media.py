"""The sound of a call: who announced which address until when, and the streams that used it.

Offer and answer (RFC 3264) are followed through the whole call: what holds at a moment is the
latest description of each side, so a hold, a changed codec or a moved address is known for what it
is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from labtool.sip.flow import Address
from labtool.sip.sdp import Media
from labtool.trace.announced import Announcement, Codecs, announcements, candidates, clock, sdp
from labtool.trace.calls import Call, Leg
from labtool.trace.message import Message
from labtool.trace.participants import Places
from labtool.trace.path import Relay, Way
from labtool.trace.reading import Capture
from labtool.trace.stream import Quality, RtpStream, quality
from labtool.trace.turn import announced

_AT_ONCE = 256  # calls whose servers are remembered
_NOWHERE = ("0.0.0.0", "::", None)  # noqa: S104  an address to hold with, not to bind to
_KEYS = "0123456789*#ABCD"
_SENDS, _RECEIVES = ("sendrecv", "sendonly"), ("sendrecv", "recvonly")


@dataclass(frozen=True)
class Stated:
    """The description that one side of a leg sent at a moment; media in the order of its lines."""

    time_ns: int
    message: Message
    media: tuple[Media, ...]


@dataclass(eq=False)
class Negotiation:
    """What both sides of a leg stated, in order of time; a refused offer is not in force."""

    leg: Leg
    caller: list[Stated] = field(default_factory=list)
    callee: list[Stated] = field(default_factory=list)
    caller_tag: str = ""
    #: When the first of the callees answered (nanoseconds), and the tags of all that did.
    answered: tuple[int, frozenset[str]] = (1 << 63, frozenset())

    def stated(self, by_caller: bool) -> list[Stated]:
        """Of one side."""
        return self.caller if by_caller else self.callee

    def intervals(self, from_caller: bool, start: int, end: int) -> list[tuple[int, int]]:
        """When sound was to flow in that direction, within start..end (nanoseconds).

        Only while both descriptions say so: not on hold, not refused, not to 0.0.0.0 (RFC 3264
        sections 8.4 and 5.1).
        """
        moments = {s.time_ns for s in (*self.caller, *self.callee) if start < s.time_ns < end}
        edges = [start, *sorted(moments), end]
        found: list[tuple[int, int]] = []
        for low, high in pairwise(edges):
            if high > low and self._flows(from_caller, low):
                if found and found[-1][1] == low:
                    found[-1] = (found[-1][0], high)
                else:
                    found.append((low, high))
        return found

    def at(self, by_caller: bool, time_ns: int) -> Stated | None:
        """What that side had last stated at that time. Once one has answered, what was stated to
        and by the others that rang does not count any more (RFC 3261 section 13.2.2.4).
        """
        gone = self.answered[0] <= time_ns
        for one in reversed(self.stated(by_caller)):
            if one.time_ns <= time_ns and not (gone and self._is_other(one)):
                return one
        return None

    def _is_other(self, one: Stated) -> bool:
        """Whether it belongs to an early dialog that was not answered."""
        tags = {one.message.from_tag, one.message.to_tag} - {self.caller_tag, ""}
        return bool(tags) and not tags & self.answered[1]

    def _flows(self, from_caller: bool, time_ns: int) -> bool:
        sender, receiver = self.at(from_caller, time_ns), self.at(not from_caller, time_ns)
        if sender is None or receiver is None:
            return False
        return any(
            out.port
            and into.port
            and out.direction in _SENDS
            and into.direction in _RECEIVES
            and into.connection not in _NOWHERE
            for out, into in zip(sender.media, receiver.media, strict=False)
            if out.kind == "audio"
        )


def negotiation(leg: Leg) -> Negotiation:
    """The offers and answers of a leg."""
    found = Negotiation(leg)
    refused = {
        id(one.request)
        for one in leg.transactions
        if one.method in ("INVITE", "UPDATE") and one.final is not None and one.final.status >= 300
    }
    by_host = leg.caller.host != leg.callee.host  # of a connection the port may change
    for one in leg.invites[:1]:
        found.caller_tag = one.first.from_tag
    caller_hosts = {one.client for one in leg.invites[:1]}
    answers = [m for one in leg.invites for m in one.responses if 200 <= m.status < 300]
    if answers and found.caller_tag:
        tags = {tag for m in answers for tag in (m.from_tag, m.to_tag)} - {found.caller_tag}
        found.answered = (min(m.time_ns for m in answers), frozenset(tags))
    for message in leg.messages():
        if message.repeats is not None or not message.has_sdp or id(message) in refused:
            continue
        description = sdp(message)
        if description is None:
            continue
        source = message.flow.source
        if by_host:
            by_caller = source.host == leg.caller.host
        elif caller_hosts:
            by_caller = source in caller_hosts
        else:
            by_caller = (message.from_tag == found.caller_tag) == (message.status == 0)
        found.stated(by_caller).append(Stated(message.time_ns, message, description.media))
    return found


@dataclass(eq=False, slots=True)
class Stream:
    """An RTP stream and its place in a call.

    `codec` is the rtpmap that most of its packets had ("opus/48000/2"), `codecs` all of them;
    `path` is "direct", "relayed" (through the SIP server), "turn" or "" where no call is known; who
    announced the addresses decides it (`labtool.trace.path`).
    """

    rtp: RtpStream
    call: Call | None
    codec: str
    codecs: tuple[str, ...]
    quality: Quality
    path: Way
    digits: str  #: DTMF as RTP events (RFC 4733)
    comfort_noise: bool  #: sent instead of silence (RFC 3389): its gaps are no loss
    clocks: Mapping[int, int] = field(default_factory=dict)  #: Hz by payload type
    names: Mapping[int, str] = field(default_factory=dict)  #: rtpmap by payload type

    @property
    def source(self) -> Address:
        return self.rtp.flow.source

    @property
    def destination(self) -> Address:
        return self.rtp.flow.destination


def streams(capture: Capture, found: Iterable[Call], places: Places) -> list[Stream]:
    """The RTP streams of a capture, each tied to the call whose descriptions announced it."""
    if not capture.streams:
        return []
    # What nobody sends to or from may be most of what was announced, and is soon forgotten.
    used = {end for rtp in capture.streams for end in _ends(rtp)}
    said: dict[Address, list[Announcement]] = {}
    owner: dict[int, Call] = {}  # by announcement
    relay = lru_cache(_AT_ONCE)(lambda call: Relay(call, places, capture.allocations))
    for call in found:
        for one in announcements(call.messages()):
            places.adopt(one.address, one.owner)
            places.adopt(Address(one.owner.host, one.media.port), one.owner)  # as its NAT shows it
            for address in used.intersection(_addresses(one)):
                owner[id(one)] = call
                said.setdefault(address, []).append(one)
    for rows in said.values():
        rows.sort(key=lambda one: one.message.time_ns)
    codecs = Codecs(said)
    result = []
    for rtp in capture.streams:
        ends = _ends(rtp)
        tied = [one for end in ends for one in _latest(said.get(end), rtp.times[0])]
        if not tied and not rtp.is_plausible():
            continue
        its = owner[id(tied[0])] if tied else None
        path: Way = ""
        if its is not None:
            own = {end: [one for one in said.get(end, []) if owner[id(one)] is its] for end in ends}
            path = relay(its).path(rtp.flow, own)
        result.append(_stream(rtp, its, codecs, ends, path))
    result.sort(key=lambda stream: stream.rtp.times[0])
    return result


def _ends(rtp: RtpStream) -> tuple[Address, ...]:
    """Destination and source; of what TURN carried, as they were announced and then as they are."""
    flow = rtp.flow
    source, destination = announced(flow)
    return tuple(dict.fromkeys((destination, source, flow.destination, flow.source)))


def _addresses(one: Announcement) -> list[Address]:
    """Where media of this announcement may come to: the address of its c= and m= lines, the same
    port at the machine that it came from (its NAT kept the port, or its server does not know its
    public address), and its ICE candidates.
    """
    seen = Address(one.message.flow.source.host, one.media.port)
    return list(dict.fromkeys((one.address, seen, *candidates(one.media))))


def _latest(rows: list[Announcement] | None, time_ns: int) -> list[Announcement]:
    """The last announcement before the stream began; else the first after it (early media)."""
    if not rows:
        return []
    now = bisect_right(rows, time_ns, key=lambda one: one.message.time_ns)
    return [rows[max(now - 1, 0)]]


def _stream(
    rtp: RtpStream, call: Call | None, codecs: Codecs, ends: tuple[Address, ...], path: Way
) -> Stream:
    counts = rtp.payload_types
    names = {kind: codecs.name(ends, kind, rtp.times[0]) for kind in counts}
    if len(counts) > 1 or len(codecs.meanings(ends[0])) > 1:
        names = _over_time(rtp, codecs, ends)
    clocks = {kind: clock(name) for kind, name in names.items()}
    spoken = [name for name in names.values() if not is_extra(name)]
    return Stream(
        rtp,
        call,
        spoken[0] if spoken else next(iter(names.values()), ""),
        tuple(dict.fromkeys(name for name in names.values() if name)),
        quality(rtp, clocks),
        path,
        _digits(rtp, names),
        any(name.upper().startswith("CN/") for name in names.values()),
        clocks,
        names,
    )


def _over_time(rtp: RtpStream, codecs: Codecs, ends: tuple[Address, ...]) -> dict[int, str]:
    found: dict[int, str] = {}
    for payload, time_ns in zip(rtp.payloads, rtp.times, strict=True):
        kind = payload & 0x7F
        if kind not in found:
            found[kind] = codecs.name(ends, kind, time_ns)
    return found


def _digits(rtp: RtpStream, names: dict[int, str]) -> str:
    """The keys that were pressed: packets of one event share a timestamp (RFC 4733 2.5.1.2)."""
    events = {kind for kind, name in names.items() if name.lower().startswith("telephone-event/")}
    keys: dict[int, int] = {}
    for index, event in rtp.events:
        if rtp.payloads[index] & 0x7F in events and event < len(_KEYS):
            keys.setdefault(rtp.stamps[index], event)
    return "".join(_KEYS[event] for event in keys.values())


def is_extra(name: str) -> bool:
    """Comfort noise and telephone events ride beside the codec."""
    return name.lower().startswith(("cn/", "telephone-event/"))
