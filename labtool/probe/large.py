"""That an INVITE of more than 1,300 bytes arrives.

RFC 3261 section 18.1.1 would have it go by TCP, and phones with video and ICE send it over UDP all
the same, in fragments that some firewalls drop: so a caller on UDP tries both.
"""

from __future__ import annotations

from dataclasses import replace

from labtool.probe.account import Account
from labtool.probe.capabilities import options
from labtool.probe.phonecall import Call, signed_in
from labtool.probe.result import Result
from labtool.probe.session import Session, Setting
from labtool.probe.target import Target

_PADDING = "".join(f"a=x-labtool-padding:{'.' * 60}\r\n" for _ in range(12))


def large(target: Target | str, caller: Account, callee: Account, setting: Setting) -> Result:
    """A call with a long offer; for a caller on UDP also by TCP, where the server has that.

    The verdict is that of the caller's own transport, and says what TCP did.
    """
    result = _call(target, caller, callee, setting)
    if caller.transport != "udp":
        return result
    if not options(target, "tcp", setting).ok:
        return replace(result, verdict=f"{result.verdict}; there is no TCP to send it by")
    other = _call(target, replace(caller, transport="tcp"), callee, setting)
    steps = [replace(step, name=f"{step.name} (by TCP)") for step in other.steps]
    told = "by TCP it arrives too" if result.ok else "by TCP it arrives"
    return replace(
        result,
        steps=(*result.steps, *steps),
        verdict=f"{result.verdict}; {told if other.ok else f'by TCP: {other.verdict}'}",
        seconds=result.seconds + other.seconds,
        cause=result.cause or other.cause,
    )


def _call(target: Target | str, caller: Account, callee: Account, setting: Setting) -> Result:
    with Session("large", target, setting) as session:
        called = signed_in(session, callee)
        call = Call(session, signed_in(session, caller), called, "PCMU")
        session.at_the_end(call.tidy)
        call.padding = _PADDING
        call.deliver()
        called.ring()
        call.pick_up()
        call.end("caller")
    over = ",".join(dict.fromkeys((caller.transport, callee.transport)))
    how = f"{caller} over {over}"
    return session.result(
        over,
        f"{how}: a large INVITE arrives",
        f"{how}: a large INVITE fails",
        account=f"{caller.user} to {callee.user}",
    )
