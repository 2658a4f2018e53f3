"""Hold and resume (RFC 3264 section 8.4): the sound must stop, and come back.

The caller holds, by a re-INVITE with a=sendonly, and plays no music. The callee does what the offer
that reached it says: where the server lost the direction it goes on sending, as a phone would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labtool.probe.causes import cause
from labtool.probe.failure import Failure, of_answer, said
from labtool.probe.sound import TAIL_S, Sound

if TYPE_CHECKING:
    from labtool.probe.phonecall import Call

# How long the sound runs before the hold, and how long the silence is listened to, in seconds.
_BEFORE_S = 0.1
_SILENCE_S = 0.4


def hold_and_resume(call: Call, sound: Sound, seconds: float) -> None:
    """Steps "hold", "silence", "resume" and the sound after it, `seconds` of it. Failures are
    noted: the call goes on to its end."""
    session, caller, callee = call.session, call.caller, call.callee
    sound.begin()
    call.wait(lambda: False, _BEFORE_S)
    held = _reoffer(call, "hold", "sendonly")
    caller.audio.stop()
    if not held:
        sound.stop()
        return
    call.wait(lambda: False, TAIL_S)
    for leg in (caller, callee):
        leg.audio.fresh()
    call.wait(lambda: False, _SILENCE_S)
    heard = {leg.name: leg.audio.stats.received for leg in (caller, callee)}
    loud = [f"{name} heard {count} packets" for name, count in heard.items() if count]
    facts = {"heard_by_caller": heard[caller.name], "heard_by_callee": heard[callee.name]}
    if loud:
        detail = f"{' and '.join(loud)} during the hold"
        if callee.audio.sending:
            detail += f": the a=sendonly of {caller.name} reached {callee.name} as {callee.offered}"
        session.noted("silence", _SILENCE_S, Failure(cause("hold-ignored"), detail), **facts)
    else:
        session.passed("silence", _SILENCE_S, "no sound while it is held", **facts)
    callee.audio.stop()
    call.wait(lambda: False, TAIL_S if loud else 0.0)
    if _reoffer(call, "resume", "sendrecv"):
        sound.both_ways(seconds, " after the hold")


def _reoffer(call: Call, name: str, direction: str) -> bool:
    """A re-INVITE of the caller, as a step; whether it came about."""
    session, caller, callee = call.session, call.caller, call.callee
    started = session.loop.now()
    callee.offered = None
    exchange, where = caller.reoffer(call.codec, direction, session.timeout)
    took = session.loop.now() - started
    final = exchange.final
    facts: dict[str, Any] = {"sent_to": where, "direction": direction, "arrived_as": callee.offered}
    if callee.offered is None and (final is None or final.status < 300):
        seen = said(final) if final is not None else "no answer"
        detail = f"{seen}; the re-INVITE, sent to {where}, did not reach {callee.name}"
        session.noted(name, took, Failure(cause("reinvite-lost"), detail), **facts)
        return False
    if final is None:
        detail = f"it reached {callee.name}, whose 200 did not come back to {caller.name}"
        session.noted(name, took, Failure(cause("reinvite-lost"), detail), **facts)
        return False
    if final.status >= 300:
        failure = of_answer("INVITE", final, authenticated=False)
        session.noted(name, took, failure, status=final.status, **facts)
        return False
    detail = f"{said(final)}, {direction} reached {callee.name} as {callee.offered}"
    session.passed(name, took, detail, again=exchange.retransmissions, **facts)
    return True
