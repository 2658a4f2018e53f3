"""The ends of a call at the place where a capture was taken, and what reached them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from labtool.sip.flow import Address
from labtool.trace.announced import candidates, destination
from labtool.trace.calls import Call, Leg
from labtool.trace.findings.scene import Scene
from labtool.trace.media import Negotiation, Stated, Stream, is_extra
from labtool.trace.participants import Place
from labtool.trace.rtcp import Report

WINDOW_NS = 2_000_000_000  # sound that was to flow for less than this proves nothing
LATE_NS = 1_000_000_000  # streams do not begin with the answer


@dataclass(frozen=True)
class Side:
    """One end of a leg at the place where the capture was taken."""

    leg: Leg
    negotiation: Negotiation
    is_caller: bool
    place: Place
    peer: Place
    is_server: bool
    start: int
    end: int
    incoming: tuple[Stream, ...]
    outgoing: tuple[Stream, ...]

    def expected(self, into: bool) -> list[tuple[int, int]]:
        """When sound was to come in (or go out)."""
        from_caller = self.is_caller != into
        return self.negotiation.intervals(from_caller, self.start + LATE_NS, self.end)

    def party(self, call: Call) -> str:
        """Who is talked to, whatever servers pass the messages on."""
        uri = call.callee if self.is_caller else call.caller
        return uri.partition(":")[2].partition("@")[0] or uri

    def remote(self) -> Stated | None:
        """The last description of the other side."""
        return self.negotiation.at(not self.is_caller, self.end)

    def local(self) -> Stated | None:
        """The last description of this side."""
        return self.negotiation.at(self.is_caller, self.end)


def sides_of(
    scene: Scene, call: Call, legs: list[Leg], vantage: str, streams: list[Stream]
) -> list[Side]:
    """The ends at the vantage. Of a machine that talks to itself only the users' ends: what its
    server relays is seen there too.
    """
    servers = scene.servers(call)
    found = []
    for leg in legs:
        answer = leg.answer
        assert answer is not None
        end = leg.bye.time_ns if leg.bye else call.ended_ns or scene.capture.last_ns
        stated = scene.negotiation(leg)
        for is_caller in (True, False):
            place, peer = (leg.caller, leg.callee) if is_caller else (leg.callee, leg.caller)
            is_server = place in servers
            if place.host != vantage or (is_server and place.port):
                continue
            mine = {port for one in stated.stated(is_caller) for port in audio_ports(one)}
            theirs = {a for one in stated.stated(not is_caller) for a in targets(one)}
            into = [
                s
                for s in streams
                if s.destination.host == vantage
                and (
                    s.destination.port in mine
                    or (not place.port and (s.source in theirs or s.rtp.flow.outer))
                )
            ]
            out = [
                s
                for s in streams
                if s.source.host == vantage
                and (
                    s.source.port in mine
                    or (not place.port and (s.destination in theirs or s.rtp.flow.outer))
                )
            ]
            if is_server and not relays(scene, legs, leg, is_caller):
                continue
            found.append(
                Side(
                    leg,
                    stated,
                    is_caller,
                    place,
                    peer,
                    is_server,
                    answer.time_ns,
                    end,
                    tuple(into),
                    tuple(out),
                )
            )
    return found


def relays(scene: Scene, legs: list[Leg], leg: Leg, is_caller: bool) -> bool:
    """Whether a server put itself into the last description: it is not what the other leg said."""
    own = scene.negotiation(leg).stated(is_caller)
    if not own:
        return False
    mine = audio_hosts(own[-1])
    for other in legs:
        if other is leg:
            continue
        stated = (*scene.negotiation(other).caller, *scene.negotiation(other).callee)
        server = leg.caller if is_caller else leg.callee
        if any(s.message.flow.source.host != server.host and mine & audio_hosts(s) for s in stated):
            return False
    return True


def audio_ports(stated: Stated) -> list[int]:
    """Where it wants its audio."""
    return [m.port for m in stated.media if m.kind == "audio" and m.port]


def targets(stated: Stated) -> list[Address]:
    """Where its audio may be sent to, or come from."""
    found = []
    for media in stated.media:
        if media.kind == "audio" and media.port:
            own = destination(media)
            found += [own] if own is not None else []
            found.append(Address(stated.message.flow.source.host, media.port))
            found += candidates(media)
    return found


def audio_hosts(stated: Stated) -> set[str]:
    """The addresses that it names for its audio."""
    found = (destination(media) for media in stated.media if media.kind == "audio")
    return {one.host for one in found if one is not None}


def has_ice(stated: Stated) -> bool:
    """Whether it offers ICE candidates (RFC 8839)."""
    return any(media.candidates for media in stated.media)


def within(streams: tuple[Stream, ...], windows: list[tuple[int, int]]) -> int:
    """Packets of these streams within these times."""
    total = 0
    for stream in streams:
        times = stream.rtp.times
        for low, high in windows:
            total += bisect_right(times, high) - bisect_left(times, low)
    return total


def spoken(streams: tuple[Stream, ...], windows: list[tuple[int, int]]) -> int:
    """The same without what rides beside the sound: pressed keys (RFC 4733) and comfort noise."""
    total = 0
    for stream in streams:
        extra = {kind for kind, name in stream.names.items() if is_extra(name)}
        found = within((stream,), windows)
        if found and extra:
            rows = zip(stream.rtp.times, stream.rtp.payloads, strict=True)
            found = sum(
                payload & 0x7F not in extra and any(low <= time <= high for low, high in windows)
                for time, payload in rows
            )
        total += found
    return total


def length(windows: list[tuple[int, int]]) -> int:
    """Nanoseconds in all."""
    return sum(high - low for low, high in windows)


def path_is_open(scene: Scene, side: Side, view: int) -> bool:
    """Whether anything at all comes from the peer to this side's media ports."""
    local = side.local()
    ports = {port + extra for port in (audio_ports(local) if local else []) for extra in (0, 1)}
    seen = [(stun.flow, stun.time_ns) for stun in scene.capture.stun]
    seen += [(report.flow, report.time_ns) for report in scene.capture.reports]
    return any(
        flow.view == view
        and flow.destination.host == side.place.host
        and flow.destination.port in ports
        and side.start < time < side.end
        for flow, time in seen
    )


def reports_to(scene: Scene, side: Side, view: int) -> list[Report]:
    """RTCP that came to this side within the call."""
    found = [
        report
        for port in _rtcp_ports(side)
        for report in scene.reports.get((view, Address(side.place.host, port)), [])
        if side.start < report.time_ns < side.end + LATE_NS
    ]
    return sorted(found, key=lambda report: report.time_ns)


def own_reports(scene: Scene, side: Side, view: int) -> list[Report]:
    """RTCP that this side sent within the call."""
    sources = {Address(side.place.host, port) for port in _rtcp_ports(side)}
    return [
        report
        for report in scene.capture.reports
        if report.flow.view == view
        and report.flow.source in sources
        and side.start < report.time_ns < side.end + LATE_NS
    ]


def _rtcp_ports(side: Side) -> set[int]:
    return {
        port
        for one in side.negotiation.stated(side.is_caller)
        for media in one.media
        if media.port
        for port in (media.port, media.rtcp_port, media.port + 1)
    }
