"""Findings about sound: what was negotiated, against what came.

A missing packet is only missed where it should have arrived (`labtool.trace.vantage`): at a client's
own interface, or at a server that announced itself as relay. Everything else is somebody's report
(RTCP), and is said to be one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from labtool.sip.flow import Address
from labtool.trace.calls import Call, Leg
from labtool.trace.findings.finding import Finding, finding
from labtool.trace.findings.scene import Scene
from labtool.trace.hosts import is_private
from labtool.trace.media import Negotiation, Stated, Stream
from labtool.trace.participants import Place
from labtool.trace.routes import recorded
from labtool.trace.rtcp import Report

_WINDOW_NS = 2_000_000_000  # sound that was to flow for less than this proves nothing
_LATE_NS = 1_000_000_000  # streams do not begin with the answer
_STOPPED_NS = 3_000_000_000
_LOSS = 0.03  # below it nobody hears a difference
_LOST = 10  # packets


_RELAY = (
    "Turn the server's media relay on (in flexisip.conf: [module::MediaRelay] enabled=true), or ICE "
    "with a STUN server in both clients."
)
_OWN_ADDRESS = (
    "The server is behind a NAT of its own and does not know its public address: give it that (in "
    "flexisip.conf: transports=sip:PUBLIC-ADDRESS:5060;maddr=PRIVATE-ADDRESS)."
)


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
        return self.negotiation.intervals(from_caller, self.start + _LATE_NS, self.end)

    def remote(self) -> Stated | None:
        """The last description of the other side."""
        return self.negotiation.at(not self.is_caller, self.end)

    def local(self) -> Stated | None:
        """The last description of this side."""
        return self.negotiation.at(self.is_caller, self.end)


def audio_findings(scene: Scene) -> Iterator[Finding]:
    """What each answered call shows about its sound, view by view."""
    by_call: dict[tuple[int, int], list[Stream]] = {}
    for stream in scene.streams:
        if stream.call is not None:
            key = (stream.call.number, stream.rtp.flow.view)
            by_call.setdefault(key, []).append(stream)
    for call in scene.calls:
        if call.outcome != "answered":
            continue
        for view, vantage in enumerate(scene.vantages):
            legs = [leg for leg in call.legs if leg.view == view and leg.answer is not None]
            streams = by_call.get((call.number, view), [])
            if not legs or not (streams or _mentions_private(legs)):
                continue  # nothing that could be judged
            sides = _sides(scene, call, legs, vantage, streams) if vantage else []
            private = list(_private(scene, call, legs, sides, view))
            yield from private
            if not private:
                yield from _one_way(scene, call, sides, view)
                yield from _stopped(scene, call, sides, view)
            yield from _loss(scene, call, streams, sides, view)


def _mentions_private(legs: list[Leg]) -> bool:
    """Whether a description names a private address."""
    return any(m.private_sdp for leg in legs for one in leg.transactions for m in one.messages)


def _sides(
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
            mine = {port for one in stated.stated(is_caller) for port in _ports(one)}
            theirs = {a for one in stated.stated(not is_caller) for a in _targets(one)}
            into = [
                s
                for s in streams
                if s.destination.host == vantage
                and (s.destination.port in mine or (not place.port and s.source in theirs))
            ]
            out = [
                s
                for s in streams
                if s.source.host == vantage
                and (s.source.port in mine or (not place.port and s.destination in theirs))
            ]
            if is_server and not _relays(scene, legs, leg, is_caller):
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


def _relays(scene: Scene, legs: list[Leg], leg: Leg, is_caller: bool) -> bool:
    """Whether a server put itself into the last description: it is not what the other leg said."""
    own = scene.negotiation(leg).stated(is_caller)
    if not own:
        return False
    mine = _hosts(own[-1])
    for other in legs:
        if other is leg:
            continue
        stated = (*scene.negotiation(other).caller, *scene.negotiation(other).callee)
        server = leg.caller if is_caller else leg.callee
        if any(s.message.flow.source.host != server.host and mine & _hosts(s) for s in stated):
            return False
    return True


def _ports(stated: Stated) -> list[int]:
    return [m.port for m in stated.media if m.kind == "audio" and m.port]


def _targets(stated: Stated) -> list[Address]:
    """Where its audio may be sent to, or come from."""
    found = []
    for media in stated.media:
        if media.kind == "audio" and media.port:
            if media.connection:
                found.append(Address(media.connection, media.port))
            found.append(Address(stated.message.flow.source.host, media.port))
            found += [Address(c.host, c.port) for c in media.candidates if c.component == 1]
    return found


def _hosts(stated: Stated) -> set[str]:
    return {m.connection for m in stated.media if m.kind == "audio" and m.port and m.connection}


def _has_ice(stated: Stated) -> bool:
    return any(media.candidates for media in stated.media)


def _within(streams: tuple[Stream, ...], windows: list[tuple[int, int]]) -> int:
    """Packets of these streams within these times."""
    total = 0
    for stream in streams:
        times = stream.rtp.times
        for low, high in windows:
            total += bisect_right(times, high) - bisect_left(times, low)
    return total


def _length(windows: list[tuple[int, int]]) -> int:
    return sum(high - low for low, high in windows)


def _private(
    scene: Scene, call: Call, legs: list[Leg], sides: list[Side], view: int
) -> Iterator[Finding]:
    """A private address that the other side cannot reach."""
    evidence: list[str] = []
    frames: list[int] = []
    hosts: list[str] = []
    for side in sides:
        remote, local = side.remote(), side.local()
        if remote is None or local is None or (_has_ice(remote) and _has_ice(local)):
            continue
        windows = side.expected(True)
        if _length(windows) < _WINDOW_NS or _within(side.incoming, windows):
            continue
        sent = _within(side.outgoing, side.expected(False))
        peer = remote.message.flow.source.host
        for host in _hosts(remote):
            elsewhere = is_private(host) and host != peer and not is_private(peer)
            if elsewhere and not side.is_server and sent:
                hosts.append(host)
                frames += [remote.message.frame, side.outgoing[0].rtp.frames[0]]
                evidence.append(
                    f"{scene.name(side.peer)} (at {peer}) announced {host} for its sound; "
                    f"{sent} packets were sent there and none came back."
                )
        for host in _hosts(local):
            own = side.is_server and host == side.place.host and is_private(host)
            if own and not is_private(side.peer.host) and not _path_is_open(scene, side, view):
                hosts.append(host)
                frames.append(local.message.frame)
                evidence.append(
                    f"The server announced its own private address {host} to "
                    f"{scene.name(side.peer)} (at {side.peer.host}), and nothing came."
                )
    for frame, host, text in _passed_on(scene, legs):
        frames.append(frame)
        hosts.append(host)
        evidence.append(text)
    if not hosts:
        return
    # The server's own address is at fault where its SIP names it too.
    hosts_of_server = {side.place.host for side in sides if side.is_server}
    hosts_of_server |= {host for leg in legs if leg.answer for host in recorded(leg.answer)}
    used = {transport for leg in legs for transport in leg.transports}
    mixed = len(legs) > 1 and len(used) > 1
    yield finding(
        "private-address-in-sdp",
        frames,
        view=view,
        call=call.number,
        host=" and ".join(dict.fromkeys(hosts)),
        evidence=" ".join(dict.fromkeys(evidence)),
        advice=_OWN_ADDRESS if hosts_of_server & set(hosts) else _RELAY,
        transports=(
            f"That one side signals over {' and the other over '.join(sorted(used))} is not the "
            "cause: sound never takes the way of the signalling."
            if mixed
            else ""
        ),
    )


def _passed_on(scene: Scene, legs: list[Leg]) -> Iterator[tuple[int, str, str]]:
    """A description with a private address, from behind a NAT, that a server passed on as it was to
    somebody behind another.
    """
    for leg in legs:
        for other in legs:
            if other is leg or (leg.callee != other.caller and leg.caller != other.callee):
                continue
            server = leg.callee if leg.callee == other.caller else leg.caller
            user = leg.caller if server == leg.callee else leg.callee
            far = other.callee if server == other.caller else other.caller
            if (
                server.port
                or user.host == far.host
                or is_private(user.host)
                or is_private(far.host)
            ):
                continue
            stated = scene.negotiation(leg).stated(leg.caller == user)
            passed = scene.negotiation(other).stated(other.caller == server)
            answer = scene.negotiation(leg).stated(leg.caller == server)
            if not stated or not passed or not answer:
                continue
            if _has_ice(stated[-1]) and _has_ice(answer[-1]):
                continue
            for host in sorted(_hosts(stated[-1]) & _hosts(passed[-1])):
                if is_private(host):
                    text = (
                        f"{scene.name(user)} (at {user.host}) announced {host} for its sound, and "
                        f"the server passed that on to {scene.name(far)} (at {far.host})."
                    )
                    yield passed[-1].message.frame, host, text


def _path_is_open(scene: Scene, side: Side, view: int) -> bool:
    """Whether anything at all comes from the peer to this side's media ports."""
    local = side.local()
    ports = {port + extra for port in (_ports(local) if local else []) for extra in (0, 1)}
    seen = [(stun.flow, stun.time_ns) for stun in scene.capture.stun]
    seen += [(report.flow, report.time_ns) for report in scene.capture.reports]
    return any(
        flow.view == view
        and flow.destination.host == side.place.host
        and flow.destination.port in ports
        and side.start < time < side.end
        for flow, time in seen
    )


def _reports(scene: Scene, side: Side, view: int) -> list[Report]:
    """RTCP that came to this side within the call."""
    local = side.negotiation.stated(side.is_caller)
    ports = {
        port
        for one in local
        for media in one.media
        if media.port
        for port in (media.port, media.rtcp_port, media.port + 1)
    }
    return [
        report
        for report in scene.capture.reports
        if report.flow.view == view
        and report.flow.destination.host == side.place.host
        and report.flow.destination.port in ports
        and side.start < report.time_ns
    ]


def _one_way(scene: Scene, call: Call, sides: list[Side], view: int) -> Iterator[Finding]:
    for side in sides:
        windows, out_windows = side.expected(True), side.expected(False)
        received = _within(side.incoming, windows)
        sent = _within(side.outgoing, out_windows)
        me, peer = scene.name(side.place), scene.name(side.peer)
        reports = _reports(scene, side, view)
        frames = [stream.rtp.frames[0] for stream in (*side.outgoing, *side.incoming)]
        facts = {"view": view, "call": call.number}
        if _length(windows) >= _WINDOW_NS and not received:
            others = [one for one in sides if one is not side]
            heard = sent or any(_within(one.incoming, one.expected(True)) for one in others)
            if not heard:
                continue  # no sound anywhere: this capture may not have it at all
            yield _nothing_came(scene, side, reports, frames, sent, facts)
            return
        if not side.is_server and _length(out_windows) >= _WINDOW_NS and not sent and received:
            yield finding(
                "one-way-audio",
                frames,
                title=f"{me} sends none",
                evidence=f"{me} received {received} packets of sound and sent not one, although "
                f"both sides had agreed to it. This was captured at {me} or right beside it: "
                "nothing on the way can have taken them.",
                advice=f"Look at {me}'s microphone, its permission to use it, and its audio "
                "settings; the network is not the reason.",
                **facts,
            )
            return
        if sent > 100:
            blind = _never_reported(side, reports)
            if blind:
                who = peer if not side.is_server else scene.name(side.peer)
                yield finding(
                    "one-way-audio",
                    frames + [report.frame for report in blind],
                    title="it does not arrive at the other end",
                    evidence=f"{sent} packets of sound went out from {me} towards {who}, and in "
                    f"{len(blind)} RTCP reports over {_span(blind):.0f} s the other end named no "
                    "stream that it receives (report count 0): nothing arrives there, while its own "
                    "sound gets through.",
                    advice="Look at the NAT or firewall in front of the other end: it lets sound "
                    "out and none in.",
                    **facts,
                )
                return


def _nothing_came(
    scene: Scene,
    side: Side,
    reports: list[Report],
    frames: list[int],
    sent: int,
    facts: dict[str, int],
) -> Finding:
    me, peer = scene.name(side.place), scene.name(side.peer)
    other = "the other end" if not side.is_server else peer
    speaking = [report for report in reports if report.is_sender and report.packets]
    silent = [report for report in reports if not report.packets]
    frames = frames + [report.frame for report in reports[:5]]
    if speaking:
        evidence = (
            f"No sound arrived at {me}; {sent} packets went out. The other end says in RTCP that it "
            f"has sent {speaking[-1].packets} packets: they were lost on the way."
        )
        advice = f"Look at the NAT or firewall in front of {me}: it lets sound out and none in."
    elif silent:
        evidence = (
            f"No sound arrived at {me} from {other}, but its RTCP did, over the same path, and "
            "says that it has sent no sound: the path is open and the client at that end is silent."
        )
        advice = (
            f"Look at {other}: its microphone, its permission to use it, and its audio settings. "
            "The network is not the reason."
        )
    else:
        evidence = (
            f"No sound arrived at {me} from {other}; {sent} packets went out. Whether it was sent "
            "and lost, or never sent, cannot be seen from here."
        )
        advice = (
            f"Capture at {other} too. If its sound leaves there, look at the NAT or firewall in "
            f"front of {me}."
        )
    title = f"{me} hears nothing" if not side.is_server else f"none comes from {peer}"
    return finding("one-way-audio", frames, title=title, evidence=evidence, advice=advice, **facts)


def _never_reported(side: Side, reports: list[Report]) -> list[Report]:
    """Reports of a peer that has sound sent to it and says all along that none comes."""
    began = min((s.rtp.times[0] for s in side.outgoing), default=0)
    until = max((s.rtp.times[-1] for s in side.outgoing), default=0)
    late = [r for r in reports if began + 2 * _LATE_NS < r.time_ns <= until + _LATE_NS]
    if len(late) < 2 or any(report.blocks for report in reports) or _span(late) < 2:
        return []
    return late


def _span(reports: list[Report]) -> float:
    return (reports[-1].time_ns - reports[0].time_ns) / 1e9


def _stopped(scene: Scene, call: Call, sides: list[Side], view: int) -> Iterator[Finding]:
    """Sound of one direction that ends long before the other's, with a reason in the packets."""
    lost = [
        one
        for one in call.transactions
        if one.final is not None
        and one.final.status in (404, 481)
        and one.first.to_tag
        and one.first.flow.view == view
    ]
    for side in sides:
        ends = {
            into: max((s.rtp.times[-1] for s in streams), default=0)
            for into, streams in ((True, side.incoming), (False, side.outgoing))
        }
        for into in (True, False):
            windows = side.expected(into)
            if not windows or not ends[into] or not ends[not into]:
                continue
            stop = ends[into]
            until = min(windows[-1][1], ends[not into])
            if until - stop < _STOPPED_NS or windows[-1][0] > stop:
                continue
            errors = [
                error
                for error in scene.capture.icmp
                if error.is_port_unreachable
                and error.time_ns > stop
                and any(
                    error.destination in (s.destination, s.source)
                    for s in (*side.incoming, *side.outgoing)
                )
            ]
            if not errors and not lost:
                continue
            streams = side.incoming if into else side.outgoing
            others = side.outgoing if into else side.incoming
            who = scene.name(side.peer if into else side.place)
            after = (stop - side.start) / 1e9
            evidence = (
                f"{after:.1f} s after the answer the sound {'from' if into else 'to'} "
                f"{scene.name(side.peer)} ended, while the other direction went on for "
                f"{(until - stop) / 1e9:.1f} s."
            )
            frames = [s.rtp.frames[-1] for s in (*streams, *others)]
            if errors:
                evidence += (
                    f" From then on {errors[0].sender} said that the port for the sound is closed "
                    f"(ICMP port unreachable, {len(errors)} times)."
                )
                frames += [error.frame for error in errors[:5]]
            if lost:
                final = lost[0].final
                assert final is not None
                evidence += (
                    f" The {lost[0].method} was answered with {final.label}: the call was no longer "
                    "known there."
                )
                frames += [lost[0].first.frame, final.frame]
            yield finding(
                "audio-stopped",
                frames,
                view=view,
                call=call.number,
                direction=f"from {scene.name(side.peer)}"
                if into
                else f"to {scene.name(side.peer)}",
                evidence=evidence,
                who=who,
            )
            return


def _loss(
    scene: Scene, call: Call, streams: list[Stream], sides: list[Side], view: int
) -> Iterator[Finding]:
    """Loss that the numbers show, or that the receiver reports."""
    told: set[int] = set()
    for stream in streams:
        quality = stream.quality
        if quality.lost >= _LOST and quality.lost >= _LOSS * quality.expected:
            if stream.rtp.ssrc in told:
                continue
            told.add(stream.rtp.ssrc)
            yield finding(
                "packet-loss",
                [stream.rtp.frames[0], stream.rtp.frames[-1]],
                view=view,
                call=call.number,
                percent=f"{100 * quality.lost / quality.expected:.0f}",
                source=scene.name(scene.places.of(stream.source)),
                target=scene.name(scene.places.of(stream.destination)),
                evidence=f"{quality.lost} of {quality.expected} packets are missing in the sequence "
                "numbers where this was captured.",
            )
    for side in sides:
        own = {s.rtp.ssrc: s for s in side.outgoing}
        blocks: dict[int, list[tuple[Report, int, int]]] = {}
        for report in _reports(scene, side, view):
            for block in report.blocks:
                if block.ssrc in own:
                    blocks.setdefault(block.ssrc, []).append((report, block.lost, block.highest))
        for ssrc, rows in blocks.items():
            report, lost, highest = rows[-1]
            first = own[ssrc].rtp.sequences[0]
            expected = (highest - first) & 0xFFFF
            if ssrc in told or lost < _LOST or lost < _LOSS * expected or expected > 40_000:
                continue
            told.add(ssrc)
            yield finding(
                "packet-loss",
                [report.frame for report, _, _ in rows],
                view=view,
                call=call.number,
                percent=f"{100 * lost / max(expected, 1):.0f}",
                source=scene.name(side.place),
                target=scene.name(side.peer),
                evidence=f"The receiver reports in RTCP that {lost} of {expected} packets did not "
                "arrive; they were complete where this was captured.",
            )
