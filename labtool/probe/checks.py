"""Further checks of a server, each on its own: what it must refuse, and what a call can become.

Each takes the target, one or two accounts of one's own and a Setting, and returns a Result.
`OF_ONE` and `OF_TWO` list them by name.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from labtool.probe.account import Account
from labtool.probe.causes import cause
from labtool.probe.expiry import expiry
from labtool.probe.failure import Failure, of_answer, said
from labtool.probe.large import large
from labtool.probe.leg import Leg
from labtool.probe.login import Unanswerable
from labtool.probe.phonecall import Call, signed_in
from labtool.probe.registration import Registration, check_wrong_password
from labtool.probe.result import Result
from labtool.probe.session import Session, Setting
from labtool.probe.target import Target
from labtool.sip.digest import Password
from labtool.sip.message import Response, response_to

# What a server may say of a user or domain that is not its own (RFC 3261 section 10.3, Flexisip).
_REFUSALS = (401, 403, 404, 407, 604)
_NOBODY = (404, 410, 480, 604)

Aim = Target | str


def _verdict(
    session: Session, account: Account, holds: str, fails: str, callee: Account | None = None
) -> Result:
    """`callee` where there is one; the verdict is about `account`."""
    over = ",".join(dict.fromkeys((account.transport, (callee or account).transport)))
    how = f"{account} over {over}"
    who = str(account) if callee is None else f"{account.user} to {callee.user}"
    return session.result(over, f"{how}: {holds}", f"{how}: {fails}", account=who)


# -- what must be refused ---------------------------------------------------------------------------


def unknown_user(target: Aim, account: Account, setting: Setting) -> Result:
    """That a user whom nobody has created cannot sign in."""
    stranger = replace(account, user=f"nobody-{secrets.token_hex(4)}")
    result = check_wrong_password(target, stranger, setting)
    verdict = result.verdict.replace("a wrong password is", "a user whom nobody has created is")
    return replace(result, check="unknown-user", verdict=verdict, account=str(account))


def foreign_domain(target: Aim, account: Account, setting: Setting) -> Result:
    """That a domain which is not the server's cannot be signed in to."""
    foreign = replace(
        account,
        domain=f"{secrets.token_hex(4)}.invalid",
        secret=Password(secrets.token_hex(12)),
    )
    with Session("foreign-domain", target, setting) as session:
        one = Registration(session, session.agent(account.transport, account.domain), foreign)
        response, seconds = one.ask("foreign domain")
        _must_refuse(session, one, response, seconds, "foreign domain")
    verdict = _verdict(session, foreign, "is refused", "is not plainly refused")
    return replace(verdict, account=str(account))


def _must_refuse(
    session: Session, one: Registration, response: Response, seconds: float, name: str
) -> None:
    if response.status < 300:
        one.registered = True
        session.at_the_end(one.remove)
        detail = f"{said(response)} to {one.account}"
        session.failed(name, seconds, Failure(cause("open-server"), detail))
    if response.status not in _REFUSALS:
        failure = of_answer("REGISTER", response, authenticated=False)
        session.failed(name, seconds, failure, status=response.status)
    session.passed(name, seconds, f"refused: {said(response)}", status=response.status)


def unauthenticated_invite(target: Aim, caller: Account, callee: Account, s: Setting) -> Result:
    """That a call from somebody who has not shown a password is challenged."""
    with Session("unauthenticated-invite", target, s) as session:
        callee_leg = signed_in(session, callee)
        anonymous = Leg(
            agent := session.agent(caller.transport, caller.domain),
            Registration(session, agent, caller),
            {caller.domain.lower()},
        )
        session.at_the_end(anonymous.close)
        call = Call(session, anonymous, callee_leg, "PCMU")
        session.at_the_end(call.tidy)
        exchange = call.invite()
        call.wait(lambda: exchange.done or callee_leg.invite is not None)
        if not exchange.done and callee_leg.invite is None:
            agent.silent(exchange)
        took = exchange.seconds or session.loop.now() - exchange.sent
        final = exchange.final
        if exchange.failure:
            session.failed("INVITE", took, exchange.failure)
        if callee_leg.invite is not None or final is None:
            detail = f"it rang at {callee} without a password"
            session.failed("INVITE", took, Failure(cause("no-challenge"), detail))
        if final.status not in (401, 403, 407):
            detail = f"{said(final)} instead of a challenge"
            session.failed("INVITE", took, Failure(cause("no-challenge"), detail))
        session.passed("INVITE", took, f"refused: {said(final)}", status=final.status)
    return _verdict(
        session, caller, "a call without a password is refused", "is let through", callee
    )


# -- what a call can become ---------------------------------------------------------------------------


def call_nobody(target: Aim, caller: Account, _callee: Account, s: Setting) -> Result:
    """That a call to somebody who is not signed in is answered, with 404 or its like."""
    nobody = replace(caller, user=f"nobody-{secrets.token_hex(4)}")
    with Session("call-nobody", target, s) as session:
        leg = signed_in(session, caller)
        ghost = Leg(leg.agent, Registration(session, leg.agent, nobody), set())
        session.at_the_end(ghost.close)
        call = Call(session, leg, ghost, "PCMU")
        session.at_the_end(call.tidy)
        exchange = call.invite_signed()
        call.wait(lambda: exchange.done)
        took, final = exchange.seconds, exchange.final
        if final is None:
            leg.agent.silent(exchange)
            assert exchange.failure is not None
            session.failed("INVITE", exchange.seconds, exchange.failure)
        if final.status not in _NOBODY:
            failure = of_answer("INVITE", final, authenticated=final.status in (401, 407))
            if final.status < 300:
                detail = f"{said(final)} for {nobody}"
                failure = Failure(cause("answered-elsewhere"), detail)
            session.failed("INVITE", took, failure, status=final.status)
        session.passed("INVITE", took, said(final), status=final.status)
    return _verdict(session, caller, "a call to nobody is answered as such", "calling nobody fails")


def cancel(target: Aim, caller: Account, callee: Account, s: Setting) -> Result:
    """That a caller who gives up while it rings stops the ringing, and is told so (487)."""
    with Session("cancel", target, s) as session:
        call = _ringing(session, caller, callee)
        exchange, started = call.invitation, session.loop.now()
        assert exchange.transaction is not None
        exchange.transaction.cancel()
        call.wait(lambda: exchange.done and call.callee.cancelled)
        took, final = session.loop.now() - started, exchange.final
        if not call.callee.cancelled:
            detail = f"it still rings at {callee}"
            session.failed("CANCEL", took, Failure(cause("call-not-delivered"), detail))
        if final is None:
            detail = f"{callee} stopped ringing, but the caller was never told"
            session.failed("CANCEL", took, Failure(cause("answer-lost"), detail))
        if final.status != 487:
            failure = Failure(cause("unexpected-answer"), f"{said(final)} instead of 487")
            session.failed("CANCEL", took, failure)
        session.passed("CANCEL", took, said(final), status=final.status)
    return _verdict(session, caller, "a call can be cancelled", "cancelling fails", callee)


def busy(target: Aim, caller: Account, callee: Account, s: Setting) -> Result:
    """That a callee's 486 reaches the caller."""
    with Session("busy", target, s) as session:
        call = _ringing(session, caller, callee)
        exchange, started = call.invitation, session.loop.now()
        invite = call.callee.invite
        assert invite is not None
        invite.respond(response_to(invite.request, 486, to_tag=call.callee.tag))
        call.wait(lambda: exchange.done)
        took, final = session.loop.now() - started, exchange.final
        if final is None:
            detail = f"the 486 of {callee} did not reach {caller}"
            session.failed("busy", took, Failure(cause("answer-lost"), detail))
        if final.status not in (486, 600):
            failure = Failure(cause("unexpected-answer"), f"{said(final)} instead of 486")
            session.failed("busy", took, failure)
        session.passed("busy", took, said(final), status=final.status)
    return _verdict(session, caller, "hears that the other is busy", "busy is not told", callee)


def _ringing(session: Session, caller: Account, callee: Account) -> Call:
    called = signed_in(session, callee)
    call = Call(session, signed_in(session, caller), called, "PCMU")
    session.at_the_end(call.tidy)
    call.deliver()
    called.ring()
    return call


def fork(target: Aim, caller: Account, callee: Account, s: Setting) -> Result:
    """That two devices of one user both ring, and that the other stops when one answers."""
    with Session("fork", target, s) as session:
        second = signed_in(session, callee, label="(2nd device)")
        first = signed_in(session, callee)
        call = Call(session, signed_in(session, caller), first, "PCMU")
        second.expected, second.caller = first.expected, first.caller
        session.at_the_end(call.tidy)
        call.deliver()
        started = session.loop.now()
        call.wait(lambda: second.invite is not None)
        took = session.loop.now() - started
        if second.invite is None:
            detail = f"of two devices of {callee} only one rings"
            session.failed("2nd device", took, Failure(cause("call-not-delivered"), detail))
        session.passed("2nd device", took, "it rings too")
        second.ring()
        call.pick_up()
        started = session.loop.now()
        call.wait(lambda: second.cancelled)
        took = session.loop.now() - started
        if not second.cancelled:
            detail = "one device answered, the other still rings"
            session.failed("stop ringing", took, Failure(cause("bye-lost"), detail))
        session.passed("stop ringing", took, "the other device was told")
        call.end("caller")
    return _verdict(
        session, caller, f"all devices of {callee} ring", "ringing two devices fails", callee
    )


def refresh(target: Aim, account: Account, setting: Setting) -> Result:
    """That registering again renews the one contact, and makes no second."""
    with Session("refresh", target, setting) as session:
        agent = session.agent(account.transport, account.domain)
        one = Registration(session, agent, account)
        one.register()
        response, seconds = one.answered("refresh")
        if response.status >= 300:
            failure = of_answer("REGISTER", response, authenticated=True)
            session.failed("refresh", seconds, failure, status=response.status)
        copies = one.copies(response)
        if copies != 1:
            detail = f"{said(response)} with our contact {copies} times"
            session.failed("refresh", seconds, Failure(cause("contact-missing"), detail))
        session.passed("refresh", seconds, f"{said(response)}, still one contact")
    return _verdict(session, account, "a registration can be renewed", "cannot renew")


def sha_256(target: Aim, account: Account, setting: Setting) -> Result:
    """That SHA-256 (RFC 8760) works where the server offers it; that it offers none is no fault."""
    offered = True
    with Session("sha-256", target, setting) as session:
        agent = session.agent(account.transport, account.domain)
        one = Registration(session, agent, account)
        response, seconds = one.ask("challenge")
        if response.status < 300:
            one.registered = True
            session.at_the_end(one.remove)
            detail = "it let us in without asking for the password"
            session.failed("challenge", seconds, Failure(cause("open-server"), detail))
        if response.status in (401, 407):
            with suppress(Unanswerable):
                one.login.take(response)
        offered = any(name.upper() == "SHA-256" for name in one.login.offered)
        if one.login.challenges and not offered:
            detail = f"{said(response)}, {'/'.join(one.login.offered)}: SHA-256 is not offered"
            session.passed("challenge", seconds, detail, algorithms=list(one.login.offered))
        else:
            Registration(session, agent, account, algorithm="SHA-256").register()
    holds = "signs in by SHA-256" if offered else "SHA-256 is not offered, so not tried"
    result = _verdict(session, account, holds, "cannot sign in by SHA-256")
    return replace(result, tested=offered or not result.ok)


OF_ONE: dict[str, Callable[[Aim, Account, Setting], Result]] = {
    "wrong-password": check_wrong_password,
    "unknown-user": unknown_user,
    "foreign-domain": foreign_domain,
    "refresh": refresh,
    "expiry": expiry,
    "sha-256": sha_256,
}
OF_TWO: dict[str, Callable[[Aim, Account, Account, Setting], Result]] = {
    "unauthenticated-invite": unauthenticated_invite,
    "call-nobody": call_nobody,
    "cancel": cancel,
    "busy": busy,
    "fork": fork,
    "large": large,
}
