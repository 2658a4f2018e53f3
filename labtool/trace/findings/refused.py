"""Calls and registrations that were refused with a status that tells of a fault."""

from __future__ import annotations

from collections.abc import Iterator

from labtool.trace.calls import Call, Leg
from labtool.trace.findings.finding import Finding, finding
from labtool.trace.findings.scene import Scene
from labtool.trace.phrase import Phrase, joined, phrase
from labtool.trace.registrations import challenges, credentials

#: No faults: somebody did not want the call, was not there, is asked for something first (RFC 3261
#: sections 21 and 22), or the request comes again as the answer asks. Or findings of their own.
_NO_FAULT = {401, 404, 407, 408, 422, 423, 430, 480, 482, 483, 486, 487, 488, 491, 494}
_FIRST, _LAST = 400, 599
_IN_VAIN = 2  # answers to challenges: a nonce may have run out once
#: RFC 3261 section 21: statuses that have a text of their own, `status-N` and `status-N-cure`.
_EXPLAINED = {403, 415, 420, 484, 500, 501, 502, 503, 504, 513}


def refused(scene: Scene, call: Call, legs: list[Leg], view: int) -> Iterator[Finding]:
    """A call that failed with such a status. The last leg that saw it is the nearest to who sent it."""
    front = legs[0].invites
    if call.outcome != "failed" or not is_fault(call.status) or not front:
        return
    if any(one.cancel for one in front) or front[-1].final is None:
        return
    frames: list[int] = []
    who = scene.name(legs[0].callee)
    for leg in legs:
        for one in leg.invites:
            if one.final is not None and one.final.status == call.status:
                who = scene.name(leg.callee)
                frames += [one.first.frame, one.final.frame]
    alone = len({leg.callee for leg in legs}) == 1 and isinstance(who, Phrase)
    why, cure = explained(call.status)
    final = front[-1].final
    if final.status == call.status:
        yield finding(
            "call-refused",
            frames,
            view=view,
            call=call.number,
            callee=call.callee,
            who=who,
            status=final.status,
            reason=final.label.partition(" ")[2],
            behind=phrase("or-behind-it") if alone else "",
            why=why,
            advice=cure,
        )


def challenged(scene: Scene, call: Call, legs: list[Leg], view: int) -> Iterator[Finding]:
    """An INVITE that answered each challenge, and is challenged anew for the same realm."""
    invites = [one for one in legs[0].invites if not one.first.to_tag]
    if call.outcome != "failed" or call.status not in (401, 407):
        return
    asked: set[tuple[str, str]] = set()
    vain = []
    for one in invites:
        again = challenges(one.final) if one.final is not None else []
        given = {(c.realm, c.nonce) for c in credentials(one.request)} & asked
        if given and any(c.realm == realm and not c.stale for c in again for realm, _ in given):
            vain.append(one)
        asked |= {(c.realm, c.nonce) for c in again}
    final = invites[-1].final if invites else None
    if len(vain) < _IN_VAIN or final is None or vain[-1] is not invites[-1]:
        return
    yield finding(
        "authentication-loop",
        [m.frame for one in invites for m in (one.request, one.final) if m is not None],
        view=view,
        call=call.number,
        user=call.caller,
        server=scene.name(legs[0].callee),
        status=final.status,
        reason=final.label.partition(" ")[2],
        times=len(vain),
        algorithms=joined("list", [c.algorithm for c in challenges(final)]),
    )


def is_fault(status: int) -> bool:
    """Whether a final response with that status tells of something wrong."""
    return _FIRST <= status <= _LAST and status not in _NO_FAULT


def explained(status: int) -> tuple[Phrase, Phrase]:
    """What that status means, and what to do."""
    row = status if status in _EXPLAINED else f"{status // 100}xx"
    return phrase(f"status-{row}"), phrase(f"status-{row}-cure")
