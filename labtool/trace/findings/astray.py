"""Requests and sound that go where nobody waits for them: in circles, to an address behind a NAT, to
a port that nobody announced, past a server that did not record its route, to candidates that no
connectivity check reaches.
"""

from __future__ import annotations

from collections.abc import Iterator

from labtool.sip.errors import ParseError
from labtool.sip.message import Request
from labtool.sip.uri import parse_uri
from labtool.trace.calls import Call, Leg
from labtool.trace.findings.finding import Finding, finding
from labtool.trace.findings.scene import Scene
from labtool.trace.findings.sides import (
    WINDOW_NS,
    Side,
    audio_hosts,
    audio_ports,
    has_ice,
    length,
    targets,
    within,
)
from labtool.trace.flow import Flow
from labtool.trace.hosts import is_private
from labtool.trace.message import Message
from labtool.trace.participants import Place
from labtool.trace.phrase import joined
from labtool.trace.routes import next_host, recorded
from labtool.trace.stun import REQUEST, SUCCESS
from labtool.trace.transactions import Transaction

_ROUNDS = (
    3  # a spiral may pass a server twice with the same URI by misfortune of timing, not thrice
)
_SENT = 50  # packets of sound: a second
_CHECKS = 4


def circle(scene: Scene, call: Call, view: int) -> Iterator[Finding]:
    """The same request on the same hop again and again, each time with more Vias (RFC 5393)."""
    again: dict[tuple[Flow, int, str], list[Message]] = {}
    for one in call.transactions:
        request = one.request
        if request is not None and request.flow.view == view:
            again.setdefault((request.flow, request.cseq, request.method), []).append(request)
    suspects = [request for group in again.values() if len(group) >= _ROUNDS for request in group]
    if not suspects or any(m.status in (482, 483) for t in call.transactions for m in t.responses):
        return  # the answer says it already
    rounds: dict[tuple[Flow, int, str, str], dict[int, Message]] = {}
    for request in suspects:
        try:
            parsed = request.parsed()
        except ParseError:
            continue
        if isinstance(parsed, Request):
            key = (request.flow, request.cseq, request.method, parsed.uri)
            rounds.setdefault(key, {}).setdefault(len(parsed.headers.all("Via")), request)
    for (flow, _, method, uri), passed in rounds.items():
        if len(passed) < _ROUNDS:
            continue
        yield finding(
            "request-loop",
            [request.frame for request in passed.values()],
            view=view,
            call=call.number,
            method=method,
            uri=uri,
            who=scene.name(scene.places.of(flow.destination)),
            times=len(passed),
            least=min(passed),
            most=max(passed),
        )
        return


def private_contact(
    scene: Scene, call: Call, one: Transaction, final: Message | None, view: int
) -> Finding | None:
    """An unanswered INVITE to the private address that a client behind a NAT registered with."""
    host = one.server.host
    for registration in scene.registrations:
        client = registration.client.host
        if (
            registration.user != call.callee
            or registration.messages()[0].flow.view != view
            or not is_private(host)
            or is_private(client)
            or host not in map(_host, registration.contacts)
        ):
            continue
        frames = [m.frame for m in (*registration.messages(), *one.messages)]
        return finding(
            "nat-contact",
            frames + ([final.frame] if final else []),
            view=view,
            call=call.number,
            user=call.callee,
            host=host,
            client=client,
            server=scene.name(registration.registrar),
            times=len(one.messages),
        )
    return None


def _host(contact: str) -> str:
    try:
        return str(getattr(parse_uri(contact), "host", ""))
    except ParseError:
        return ""


def left_out(scene: Scene, call: Call, leg: Leg, gone: list[Message]) -> Finding | None:
    """An answer that a server passed on without a route through it, so that what follows goes to a
    Contact that cannot be reached. `gone` are the requests that went there in vain.
    """
    answer = leg.answer
    if answer is None or recorded(answer):
        return None
    sender = scene.places.of(answer.flow.source)
    registrars: set[Place] = {one.registrar for one in scene.registrations}
    if sender not in registrars | scene.servers(call):
        return None  # it may be the callee itself
    return finding(
        "missing-record-route",
        [answer.frame, *(m.frame for m in gone)],
        view=leg.view,
        call=call.number,
        server=scene.name(sender),
        callee=call.callee,
        peer=scene.name(scene.places.of(answer.flow.destination)),
        host=next_host(answer),
        method=joined("and", (m.method for m in gone)),
        times=len(gone),
    )


def wrong_port(scene: Scene, call: Call, sides: list[Side], view: int) -> Iterator[Finding]:
    """Sound to the right machine, at a port that it never announced and that never sent any. It is
    seen where it leaves and where it arrives.
    """
    for side in sides:
        for into, streams, back in (
            (False, side.outgoing, side.incoming),
            (True, side.incoming, side.outgoing),
        ):
            stated = side.negotiation.stated(side.is_caller == into)
            known = {address for one in stated for address in targets(one)}
            hosts = {host for one in stated for host in audio_hosts(one)}
            heard = {stream.source for stream in back}
            if side.is_server or any(has_ice(one) for one in stated):
                continue
            for stream in streams:
                to = stream.destination
                if to.host in hosts and to not in known | heard and len(stream.rtp) >= _SENT:
                    announced = [port for one in stated for port in audio_ports(one)]
                    mine, theirs = scene.name(side.place), side.party(call)
                    who, peer = (theirs, mine) if into else (mine, theirs)
                    yield finding(
                        "wrong-port",
                        [stated[-1].message.frame, stream.rtp.frames[0], stream.rtp.frames[-1]],
                        view=view,
                        call=call.number,
                        who=who,
                        peer=peer,
                        port=to.port,
                        announced=joined("and", announced),
                        packets=len(stream.rtp),
                    )
                    return


def ice_failed(scene: Scene, call: Call, sides: list[Side], view: int) -> Iterator[Finding]:
    """Connectivity checks of which none was ever answered, and no sound (RFC 8445 section 7)."""
    for side in sides:
        local, remote = side.local(), side.remote()
        if side.is_server or local is None or remote is None:
            continue
        windows = side.expected(True)
        if not (has_ice(local) and has_ice(remote)) or length(windows) < WINDOW_NS:
            continue
        ports = {
            port for one in side.negotiation.stated(side.is_caller) for port in audio_ports(one)
        }
        checks = [stun for stun in scene.capture.stun if stun.flow.view == view]
        sent = [
            stun
            for stun in checks
            if stun.kind == REQUEST
            and stun.username  # a check of ICE, not a question to a STUN server
            and stun.flow.source.host == side.place.host
            and stun.flow.source.port in ports
        ]
        asked = {stun.transaction for stun in sent}
        answered = any(one.kind == SUCCESS and one.transaction in asked for one in checks)
        if len(sent) < _CHECKS or answered or within(side.incoming, windows):
            continue
        tried = dict.fromkeys(str(s.flow.destination) for s in sent)
        yield finding(
            "ice-failed",
            [local.message.frame, remote.message.frame, *(s.frame for s in sent[:20])],
            view=view,
            call=call.number,
            who=scene.name(side.place),
            peer=side.party(call),
            times=len(sent),
            tried=joined("list", list(tried)[:6]),
        )
        return
