"""The probe: does SIP work here, shown by real SIP, and if not, why.

    result = probe.options("192.0.2.1", "udp")
    result = probe.register("192.0.2.1", "tcp", "alice", "sip.example.test", Password("..."))
    result = probe.call("192.0.2.1", caller=Account(...), callee=Account(...), seconds=2.0)
    result.ok, result.exit_code, result.verdict, result.to_dict(); probe.lines(result)

Nothing here prints or exits. A check that fails is a Result with a cause; only a request that makes
no sense (a malformed target, a CA file that is none) raises RequestError. All of it runs on one
`labtool.sip.loop.Loop`, in the caller's thread; a server in the same process may share it (`loop`).
Causes and exit codes are in `causes`, the JSON form is described in `result`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from labtool.errors import RequestError
from labtool.probe.account import Account
from labtool.probe.causes import CAUSES, Cause
from labtool.probe.result import Result, Step, lines
from labtool.probe.target import TRANSPORTS, Target, transports

if TYPE_CHECKING:
    from labtool.probe.session import Setting, Tls
    from labtool.sip.digest import Secret
    from labtool.sip.flow import Packet
    from labtool.sip.loop import Loop

    Tap = Callable[[Packet], object]

__all__ = [
    "CAUSES",
    "TRANSPORTS",
    "Account",
    "Cause",
    "Result",
    "Step",
    "Target",
    "call",
    "check",
    "check_wrong_password",
    "lines",
    "options",
    "register",
    "transports",
]

TIMEOUT_S = 4.0


def _setting(timeout_s: float, tap: Tap | None, tls: Tls | None, loop: Loop | None) -> Setting:
    from labtool.probe.session import Setting, Tls

    return Setting(timeout=timeout_s, tap=tap, tls=tls or Tls(), loop=loop)


def options(
    target: Target | str,
    transport: str = "udp",
    *,
    timeout_s: float = TIMEOUT_S,
    tap: Tap | None = None,
    tls: Tls | None = None,
    loop: Loop | None = None,
) -> Result:
    """OPTIONS to the server itself: it holds where a working SIP server answers.

    `timeout_s` is for each step, in seconds; `tap` sees every packet; `tls` says how to judge the
    certificate.
    """
    from labtool.probe import capabilities

    return capabilities.options(target, transport, _setting(timeout_s, tap, tls, loop))


def register(
    target: Target | str,
    transport: str,
    user: str,
    domain: str,
    secret: Secret | None = None,
    *,
    algorithms: Sequence[str] = (),
    allow_open: bool = False,
    timeout_s: float = TIMEOUT_S,
    tap: Tap | None = None,
    tls: Tls | None = None,
    loop: Loop | None = None,
) -> Result:
    """REGISTER with digest, and de-register that one contact again.

    `secret` is a `labtool.sip.digest` Password or Ha1. `algorithms` ("MD5", "SHA-256"): each of
    them in turn, failing where one is not offered; by default the strongest that both have. A
    server that does not ask for the password fails the check (open-server) unless `allow_open`.
    """
    from labtool.probe import registration

    return registration.register(
        target,
        Account(user, domain, secret, transport),
        _setting(timeout_s, tap, tls, loop),
        algorithms=algorithms,
        allow_open=allow_open,
    )


def check_wrong_password(
    target: Target | str,
    transport: str,
    user: str,
    domain: str,
    *,
    timeout_s: float = TIMEOUT_S,
    tap: Tap | None = None,
    tls: Tls | None = None,
    loop: Loop | None = None,
) -> Result:
    """That a made-up password for this user is refused."""
    from labtool.probe import registration

    return registration.check_wrong_password(
        target, Account(user, domain, None, transport), _setting(timeout_s, tap, tls, loop)
    )


def call(
    target: Target | str,
    *,
    caller: Account,
    callee: Account,
    seconds: float = 2.0,
    codec: str = "PCMU",
    hangup: str = "caller",
    hold: bool = False,
    timeout_s: float = TIMEOUT_S,
    tap: Tap | None = None,
    tls: Tls | None = None,
    loop: Loop | None = None,
) -> Result:
    """Both register, `caller` calls `callee`, `seconds` of a tone each way, one hangs up.

    `codec` is offered first ("PCMU" or "PCMA"); `hangup` is "caller" or "callee". `hold`: in
    between the caller holds the call and resumes it.
    """
    from labtool.probe import phonecall

    return phonecall.call(
        target,
        caller,
        callee,
        _setting(timeout_s, tap, tls, loop),
        seconds=seconds,
        codec=codec,
        hangup=hangup,
        hold=hold,
    )


def check(
    name: str,
    target: Target | str,
    *,
    caller: Account,
    callee: Account | None = None,
    timeout_s: float = TIMEOUT_S,
    tap: Tap | None = None,
    tls: Tls | None = None,
    loop: Loop | None = None,
) -> Result:
    """One of `labtool.probe.checks` by its name. Those of `OF_TWO` need a `callee`.

    Raises RequestError for a name that is none, and where the callee is missing.
    """
    from labtool.probe.checks import OF_ONE, OF_TWO

    setting = _setting(timeout_s, tap, tls, loop)
    if name in OF_ONE:
        return OF_ONE[name](target, caller, setting)
    if name not in OF_TWO:
        raise RequestError(f"{name!r} is no check; there are: {', '.join((*OF_ONE, *OF_TWO))}")
    if callee is None:
        raise RequestError(f"the check {name!r} needs a second account, to be called")
    return OF_TWO[name](target, caller, callee, setting)
