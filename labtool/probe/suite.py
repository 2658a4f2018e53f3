"""Several checks of one server, in the order in which their outcomes make sense."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from labtool.errors import RequestError
from labtool.probe.account import Account
from labtool.probe.result import Result
from labtool.probe.session import Setting
from labtool.probe.target import Target

# Every check: its name, how many accounts it needs, and what must hold.
CHECKS: dict[str, tuple[int, str]] = {
    "options": (0, "a SIP server answers"),
    "tls": (0, "its certificate: name, expiry and chain; TLS only"),
    "register": (1, "an account signs in and out again"),
    "sha-256": (1, "signing in by SHA-256, where it is offered"),
    "refresh": (1, "registering again renews the one contact"),
    "expiry": (1, "a registration ends in time (see --expiry-wait)"),
    "call": (2, "a call with sound both ways, held and resumed"),
    "large": (2, "an INVITE of more than 1,300 bytes arrives"),
    "fork": (2, "two devices of one user ring, one answers"),
    "busy": (2, "a 486 reaches the caller"),
    "cancel": (2, "a caller can give up while it rings"),
    "call-nobody": (2, "a call to nobody is answered with 404 or its like"),
    "unauthenticated-invite": (2, "a call without a password is challenged (407)"),
    "foreign-domain": (1, "a domain that is not the server's is refused"),
    "unknown-user": (1, "a user whom nobody has created is refused"),
    "wrong-password": (1, "a made-up password is refused"),
}

# Below this, nothing that speaks SIP was reached.
_REACHED = 20


@dataclass(frozen=True)
class Plan:
    """What to check. A check without a second account runs over each of `transports`; one with
    two has its caller on the first and its callee on the last.

    `algorithms` are for "register" (none: the strongest); the rest, from `seconds` on, for "call".
    """

    target: Target
    transports: tuple[str, ...]
    checks: tuple[str, ...]
    caller: Account | None = None
    callee: Account | None = None
    domain: str | None = None
    algorithms: tuple[str, ...] = ()
    seconds: float = 2.0
    codec: str = "PCMU"
    hangup: str = "caller"
    hold: bool = True


def accounts_needed(checks: tuple[str, ...]) -> int:
    """How many accounts the checks of these names need. Raises RequestError for an unknown one."""
    for name in checks:
        if name not in CHECKS:
            raise RequestError(f"{name!r} is no check; there are: {', '.join(CHECKS)}")
    return max((CHECKS[name][0] for name in checks), default=0)


def run(plan: Plan, setting: Setting) -> Iterator[Result]:
    """Each result as it comes.

    Where "options" is among the checks, it goes first, and a transport on which nothing speaks SIP
    is left out of the rest.
    """
    if accounts_needed(plan.checks) > sum(one is not None for one in (plan.caller, plan.callee)):
        raise RequestError("These checks need an account that signs in (two, where one is called).")
    live = list(plan.transports)
    for name in plan.checks:
        if name == "tls":
            if "tls" in live or "tls" not in plan.transports:
                yield _certificate(plan, setting)
        elif CHECKS[name][0] == 2:
            if live:
                yield _of_two(name, plan, live, setting)
        else:
            for transport in tuple(live):
                result = _of_one(name, plan, transport, setting)
                if name == "options" and 0 < result.exit_code < _REACHED:
                    live.remove(transport)
                yield result


def _certificate(plan: Plan, setting: Setting) -> Result:
    from labtool.probe.certificate import tls

    return tls(plan.target.over("tls"), _domain(plan), setting)


def _domain(plan: Plan) -> str | None:
    """What a certificate must be for where the target is an address."""
    return plan.domain or (plan.caller.domain if plan.caller else None)


def _of_one(name: str, plan: Plan, transport: str, setting: Setting) -> Result:
    from labtool.probe import capabilities, registration

    aim = plan.target.over(transport)
    if name == "options":
        return capabilities.options(aim, transport, setting, domain=_domain(plan))
    assert plan.caller is not None
    account = replace(plan.caller, transport=transport)
    if name == "register":
        return registration.register(aim, account, setting, algorithms=plan.algorithms)
    from labtool.probe.checks import OF_ONE

    return OF_ONE[name](aim, account, setting)


def _of_two(name: str, plan: Plan, live: list[str], setting: Setting) -> Result:
    assert plan.caller is not None
    assert plan.callee is not None
    caller = replace(plan.caller, transport=live[0])
    callee = replace(plan.callee, transport=live[-1])
    aim = plan.target if live[0] != live[-1] else plan.target.over(live[0])
    if name == "call":
        from labtool.probe import phonecall

        return phonecall.call(
            aim,
            caller,
            callee,
            setting,
            seconds=plan.seconds,
            codec=plan.codec,
            hangup=plan.hangup,
            hold=plan.hold,
        )
    from labtool.probe.checks import OF_TWO

    two: Callable[..., Result] = OF_TWO[name]
    return two(aim, caller, callee, setting)
