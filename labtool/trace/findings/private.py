"""Private addresses in session descriptions, where the other side cannot reach them."""

from __future__ import annotations

from collections.abc import Iterator

from labtool.trace.calls import Call, Leg
from labtool.trace.findings.finding import Finding, finding
from labtool.trace.findings.scene import Scene
from labtool.trace.findings.sides import (
    LATE_NS,
    WINDOW_NS,
    Side,
    audio_hosts,
    has_ice,
    length,
    path_is_open,
    within,
)
from labtool.trace.hosts import is_private
from labtool.trace.message import Message
from labtool.trace.phrase import Phrase, joined, phrase
from labtool.trace.routes import recorded


def mentions_private(legs: list[Leg]) -> bool:
    """Whether a description names a private address."""
    return any(m.private_sdp for leg in legs for one in leg.transactions for m in one.messages)


def private_findings(
    scene: Scene, call: Call, legs: list[Leg], sides: list[Side], view: int
) -> Iterator[Finding]:
    """A private address that the other side cannot reach."""
    evidence: list[Phrase] = []
    frames: list[int] = []
    hosts: list[str] = []
    for side in sides:
        remote, local = side.remote(), side.local()
        if remote is None or local is None or (has_ice(remote) and has_ice(local)):
            continue
        windows = side.expected(True)
        if length(windows) < WINDOW_NS or within(side.incoming, windows):
            continue
        sent = within(side.outgoing, side.expected(False))
        peer = remote.message.flow.source.host
        for host in audio_hosts(remote):
            elsewhere = is_private(host) and host != peer and not is_private(peer)
            if elsewhere and not side.is_server and sent:
                hosts.append(host)
                frames += [remote.message.frame, side.outgoing[0].rtp.frames[0]]
                evidence.append(
                    phrase(
                        # A server passes on what others announce.
                        "came-with-private"
                        if isinstance(scene.name(side.peer), Phrase)
                        else "announced-private",
                        who=scene.name(side.peer),
                        address=peer,
                        host=host,
                        sent=sent,
                    )
                )
        for host in audio_hosts(local):
            own = side.is_server and host == side.place.host and is_private(host)
            if own and not is_private(side.peer.host) and not path_is_open(scene, side, view):
                hosts.append(host)
                frames.append(local.message.frame)
                evidence.append(
                    phrase(
                        "server-announced-private",
                        host=host,
                        who=scene.name(side.peer),
                        address=side.peer.host,
                    )
                )
    for message, host, text in passed_on(scene, legs):
        heard = (s.rtp for s in scene.streams if s.call is call and s.rtp.flow.view == view)
        if any(rtp.times[-1] > message.time_ns + LATE_NS for rtp in heard):
            continue  # a relay carries the sound all the same
        frames.append(message.frame)
        hosts.append(host)
        evidence.append(text)
    if not hosts:
        return
    # The server's own address is at fault where its SIP names it too.
    hosts_of_server = {side.place.host for side in sides if side.is_server}
    hosts_of_server |= {host for leg in legs if leg.answer for host in recorded(leg.answer)}
    used = sorted({transport for leg in legs for transport in leg.transports})
    mixed = len(legs) > 1 and len(used) > 1
    yield finding(
        "private-address-in-sdp",
        frames,
        view=view,
        call=call.number,
        host=joined("and", hosts),
        evidence=joined("sentences", evidence),
        advice=phrase("tell-public-address" if hosts_of_server & {*hosts} else "turn-relay-on"),
        transports=phrase("transport-innocent", one=used[0], other=joined("and", used[1:]))
        if mixed
        else "",
    )


def passed_on(scene: Scene, legs: list[Leg]) -> Iterator[tuple[Message, str, Phrase]]:
    """A description with a private address, from behind a NAT, that a server passed on as it was to
    somebody behind another. Somebody who is not behind one may answer to where the sound comes from.
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
            if has_ice(stated[-1]) and has_ice(answer[-1]):
                continue
            theirs = scene.negotiation(other).stated(other.caller == far)
            if not theirs or not any(map(is_private, audio_hosts(theirs[-1]))):
                continue
            for host in sorted(audio_hosts(stated[-1]) & audio_hosts(passed[-1])):
                if is_private(host):
                    text = phrase(
                        "private-passed-on",
                        who=scene.name(user),
                        address=user.host,
                        host=host,
                        far=scene.name(far),
                        elsewhere=far.host,
                    )
                    yield passed[-1].message, host, text
