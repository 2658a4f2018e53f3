"""Findings that the messages of a call show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labtool.trace.announced import sdp
from labtool.trace.calls import Call, Leg
from labtool.trace.findings.astray import circle, left_out, private_contact
from labtool.trace.findings.finding import Finding, finding
from labtool.trace.findings.refused import challenged, refused
from labtool.trace.findings.scene import Scene
from labtool.trace.findings.silence import (
    REPEATED,
    answers_are_missing,
    closed,
    is_unanswered,
    no_response,
)
from labtool.trace.hosts import is_private
from labtool.trace.message import Message
from labtool.trace.participants import Name
from labtool.trace.phrase import joined, phrase
from labtool.trace.registrations import credentials
from labtool.trace.routes import next_host
from labtool.trace.transactions import Transaction

_T1_NS = 500_000_000  # RFC 3261 section 17.1.1.1
_SLOW_NS = 4_000_000_000  # a client behind a working server rings within a second


def call_findings(scene: Scene) -> Iterator[Finding]:
    """What each call shows."""
    for call in scene.calls:
        for view in dict.fromkeys(leg.view for leg in call.legs):
            legs = [leg for leg in call.legs if leg.view == view]
            failed = [*_failed(scene, call, legs, view), *circle(scene, call, view)]
            yield from failed
            if not failed:
                yield from refused(scene, call, legs, view)
                yield from challenged(scene, call, legs, view)
            slow = list(_too_big(scene, call, legs, view))
            yield from slow or _slow(scene, call, legs, view)
            lost = list(_ack_missing(scene, call, legs, view))
            yield from lost
            astray = list(_private_route(scene, call, legs, view, bool(lost)))
            yield from astray
            lost += astray
            forgotten = list(_forgotten(scene, call, legs, view))
            yield from forgotten
            if not (failed or lost or forgotten):
                yield from _no_end(scene, call, legs, view)


def _failed(scene: Scene, call: Call, legs: list[Leg], view: int) -> Iterator[Finding]:
    front = legs[0]
    invites = [one for one in front.invites if not one.first.to_tag or one.request is None]
    final = next((one.final for one in reversed(invites) if one.final), None)
    deaf = [leg for leg in legs[1:] if (one := _unanswered(leg)) and one.method == "INVITE"]
    if deaf and not any(leg.answer for leg in legs):
        one = _unanswered(deaf[0])
        assert one is not None
        sent = phrase("invite-unanswered", times=len(one.messages), target=one.server)
        frames = [m.frame for m in one.messages] + ([final.frame] if final else [])
        behind_nat = private_contact(scene, call, one, final, view)
        yield behind_nat or finding(
            "callee-unreachable",
            frames,
            view=view,
            call=call.number,
            callee=call.callee,
            evidence=sent,
        )
    if final is None:
        yield from _silent(scene, call, front, view)
        return
    facts: dict[str, Any] = {"status": final.status, "reason": final.label.partition(" ")[2]}
    who = scene.name(front.callee)
    frames = [m.frame for one in invites for m in (one.request, one.final) if m is not None]
    if final.status in (404, 604):
        yield finding(
            "callee-unknown",
            frames[-2:],
            view=view,
            call=call.number,
            callee=call.callee,
            server=who,
            **facts,
        )
    elif (
        final.status == 408
        and not deaf
        and not call.ringing_ns
        and front.caller not in scene.servers(call)
    ):
        trying = any(m.status == 100 for one in invites for m in one.responses)
        if trying:
            waited = (final.time_ns - invites[-1].first.time_ns) / 1e9
            sent = phrase("invite-given-up", who=who, waited=f"{waited:.0f}", callee=call.callee)
            yield finding(
                "callee-unreachable",
                frames[-2:],
                view=view,
                call=call.number,
                callee=call.callee,
                evidence=sent,
            )
    elif final.status in (488, 606) and any(one.request and one.request.has_sdp for one in invites):
        yield _codec_refused(scene, call, legs, view)
    elif final.status in (482, 483):
        yield finding("loop", frames[-2:], view=view, call=call.number, who=who, **facts)
    elif final.status == 403 and credentials(invites[-1].request):
        user, realm = call.caller, credentials(invites[-1].request)[0].realm
        yield finding(
            "wrong-password",
            frames,
            view=view,
            call=call.number,
            user=user,
            server=who,
            realm=realm,
            **facts,
        )


def _unanswered(leg: Leg) -> Transaction | None:
    """A request on this leg that nobody answered."""
    return next((one for one in leg.transactions if is_unanswered(one)), None)


def _silent(scene: Scene, call: Call, leg: Leg, view: int) -> Iterator[Finding]:
    one = _unanswered(leg) or next((t for t in leg.invites if closed(scene, t)), None)
    if one is not None and not answers_are_missing(one.client, leg.messages()):
        yield no_response(scene, one, view, call.number)


def _no_end(scene: Scene, call: Call, legs: list[Leg], view: int) -> Iterator[Finding]:
    """A BYE that nobody answered, where its answer would have been seen. Not where the other end
    hung up too, or a machine said why by ICMP.
    """
    byes = [one for leg in legs for one in leg.transactions if one.method == "BYE"]
    if call.outcome != "answered" or any(one.responses for one in byes):
        return
    if len({one.first.from_tag for one in byes}) != 1:
        return
    for one in byes:
        near = {scene.vantages[view], *scene.neighbours[view]}
        back = any(m.status and m.flow.destination == one.client for m in legs[0].messages())
        if is_unanswered(one) and one.client.host in near and back and not closed(scene, one):
            yield no_response(scene, one, view, call.number, "nothing-to-the-bye")
            return


def _codec_refused(scene: Scene, call: Call, legs: list[Leg], view: int) -> Finding:
    frames: list[int] = []
    who: Name = ""
    status, reason = 0, ""
    offered: object = phrase("nothing-readable")
    for leg in legs:
        for one in leg.invites:
            if one.final is None or one.final.status not in (488, 606) or one.request is None:
                continue
            frames += [one.request.frame, one.final.frame]
            # The last leg that saw the refusal is the nearest to whoever refused.
            who, status = scene.name(leg.callee), one.final.status
            reason = one.final.label.partition(" ")[2]
            description = sdp(one.request)
            lines = [
                phrase(
                    "offered-media",
                    kind=media.kind,
                    proto=media.proto,
                    codecs=" ".join(media.rtpmap.values()) or phrase("without-codecs"),
                )
                for media in (description.media if description else ())
            ]
            offered = joined("rows", lines or [offered])
    return finding(
        "codec-refused",
        frames,
        view=view,
        call=call.number,
        callee=call.callee,
        who=who,
        status=status,
        reason=reason,
        offered=offered,
    )


def _slow(scene: Scene, call: Call, legs: list[Leg], view: int) -> Iterator[Finding]:
    """A server that took the call at once and then let the caller wait for the first ring."""
    leg = legs[0]
    for one in leg.invites:
        if one.request is None or one.final is None or one.final.status in (401, 407, 408):
            continue
        trying = next((m for m in one.responses if m.status == 100), None)
        ring = next((m for m in one.responses if 100 < m.status < 200), None)
        if trying is None or ring is None or any(m.repeats for m in one.messages[:2]):
            continue
        waited = ring.time_ns - one.request.time_ns
        if waited >= _SLOW_NS and trying.time_ns - one.request.time_ns < 1_000_000_000:
            yield finding(
                "slow-setup",
                [one.request.frame, trying.frame, ring.frame],
                view=view,
                call=call.number,
                delay=f"{waited / 1e9:.1f}",
                callee=call.callee,
                server=scene.name(leg.callee),
            )
            return


def _too_big(scene: Scene, call: Call, legs: list[Leg], view: int) -> Iterator[Finding]:
    """TCP tried in vain, then UDP: RFC 3261 section 18.1.1 asks for it from 1300 bytes on."""
    if not scene.deaf_ports:
        return
    for leg in legs:
        since = 0
        for one in leg.invites:
            request = one.request
            if request is None or request.flow.transport != "udp":
                continue
            to = request.flow.destination
            tried = scene.deaf_ports.get((view, request.flow.source.host, to), [])
            before = [(frame, time) for frame, time in tried if since < time < request.time_ns]
            since = request.time_ns
            if not before:
                continue
            delay = (request.time_ns - min(time for _, time in before)) / 1e9
            if delay < 1:
                continue
            yield finding(
                "invite-too-big-for-udp",
                [frame for frame, _ in before] + [request.frame],
                view=view,
                call=call.number,
                callee=call.callee,
                delay=f"{delay:.1f}",
                size=request.size,
                target=to,
                times=len(before),
            )
            return


def _ack_missing(scene: Scene, call: Call, legs: list[Leg], view: int) -> Iterator[Finding]:
    for leg in legs:
        for one in leg.invites:
            sendings = one.sendings()
            for response in one.responses:
                sent = sendings[id(response)]
                times = len(sent)
                if response.status < 200 or times < REPEATED:
                    continue
                if response.status >= 300 and call.outcome != "answered":
                    continue  # no call that could drop; who does not go on need not be a fault
                acks = _acks(legs, one, response)
                seen = phrase("no-ack")
                if acks:
                    # They are on their way, and yet it goes on. Where they are seen to arrive, or
                    # one could have, they are not what is missing.
                    nearby = scene.vantages[view] in (None, response.flow.source.host)
                    if nearby and len(acks) < REPEATED:
                        continue
                    since = min(m.time_ns for m in acks) + _T1_NS
                    if sum(m.time_ns > since for m in sent) < REPEATED - 1:
                        continue  # it arrived in the end; what was lost is no dropped call
                    seen = phrase("acks-in-vain", count=len(acks))
                frames = [m.frame for m in (*sent, *acks)]
                end: object = ""
                bye = leg.bye
                if bye is not None and bye.flow.source == response.flow.source:
                    waited = (bye.time_ns - sent[0].time_ns) / 1e9
                    if response.status >= 300 and call.answered_ns:
                        waited = (bye.time_ns - call.answered_ns) / 1e9
                    if waited > 20:
                        end = phrase("dropped-after", waited=f"{waited:.0f}")
                        frames.append(bye.frame)
                yield finding(
                    "ack-missing",
                    frames,
                    view=view,
                    call=call.number,
                    who=scene.name(scene.places.of(response.flow.source)),
                    response=response.label,
                    times=times,
                    seen=seen,
                    end=end,
                    advice=phrase("check-next-hop" if response.status >= 300 else "check-route"),
                )
                return


def _acks(legs: list[Leg], one: Transaction, response: Message) -> list[Message]:
    """What its client sent, wherever to."""
    if response.status >= 300:
        return [m for m in one.messages if m.method == "ACK"]
    return [
        message
        for leg in legs
        for ack in leg.transactions
        if ack.method == "ACK"
        and ack.first.cseq == response.cseq
        and ack.client.host == one.client.host
        for message in ack.messages
    ]


def _private_route(
    scene: Scene, call: Call, legs: list[Leg], view: int, ack_missing: bool
) -> Iterator[Finding]:
    """A Record-Route or Contact with a private address that is not where the server answers from,
    and a request of the call that went there, or never came back from there.
    """
    vantage, servers = scene.vantages[view], scene.servers(call)
    if not ack_missing and not any(is_private(host) for leg in legs for host in leg.hosts):
        return
    for leg in legs:
        for message in (leg.answer, *(one.request for one in leg.invites)):
            if message is None or message.repeats is not None:
                continue
            sender, receiver = message.flow.source.host, message.flow.destination.host
            host = next_host(message)
            if host is None or not is_private(host):
                continue
            gone = [
                m for other in legs for m in other.messages() if m.flow.destination.host == host
            ]
            if not is_private(sender) and host != receiver and gone:
                if any(m.flow.source.host == host for m in call.messages() if m.flow.view == view):
                    continue  # it answers: it can be reached
                if message is leg.answer and (missing := left_out(scene, call, leg, gone)):
                    yield missing
                    return
                frames = [message.frame] + [m.frame for m in gone]
            elif (
                host == sender == vantage
                and scene.places.of(message.flow.source) in servers
                and not is_private(receiver)
                and ack_missing
                and not any(m.flow.destination.host == host for m in _later(leg))
            ):
                frames = [message.frame]
            else:
                continue
            peer = scene.name(scene.places.of(message.flow.destination))
            yield finding(
                "private-record-route", frames, view=view, call=call.number, host=host, peer=peer
            )
            return


def _later(leg: Leg) -> list[Message]:
    """Requests within the call: they follow the route."""
    return [m for m in leg.messages() if m.status == 0 and m.to_tag and m.method != "INVITE"]


def _forgotten(scene: Scene, call: Call, legs: list[Leg], view: int) -> Iterator[Finding]:
    if call.outcome != "answered":
        return
    for leg in legs:
        for one in leg.transactions:
            final = one.final
            if one.method in ("INVITE", "ACK", "CANCEL") or final is None or one.request is None:
                continue
            if final.status not in (404, 481) or not one.request.to_tag:
                continue
            over = any(
                m.status == 0 and m.method == "BYE" and m.time_ns < one.request.time_ns
                for m in call.messages()
            )
            if over:
                continue  # both hung up at once: the second BYE finds nothing (RFC 3261 15.1.2)
            yield finding(
                "call-forgotten",
                [one.request.frame, final.frame],
                view=view,
                call=call.number,
                who=scene.name(
                    leg.callee if leg.callee != scene.places.of(one.client) else leg.caller
                ),
                status=final.status,
                reason=final.label.partition(" ")[2],
                method=one.method,
            )
            return
