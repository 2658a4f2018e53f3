"""That a registration ends when its time has run out (RFC 3261 section 10.3)."""

from __future__ import annotations

from dataclasses import replace

from labtool.probe.account import Account
from labtool.probe.causes import cause
from labtool.probe.failure import Failure, of_answer, said
from labtool.probe.registration import Registration
from labtool.probe.result import Result
from labtool.probe.session import Session, Setting
from labtool.probe.target import Target

# What is asked for, in seconds. Servers have a least of their own (Flexisip's min-expires is 60):
# they say so by 423 and Min-Expires, or grant more than was asked.
ASKED_S = 2
# A registrar counts whole seconds, and the answer was on the way.
_MARGIN_S = 1.0


def expiry(target: Target | str, account: Account, setting: Setting) -> Result:
    """Register for a short time, and see the contact gone after it.

    Where the server grants more than `setting.patience` seconds the end is not waited for: the
    check neither holds nor fails, it is not tested.
    """
    story, tested = "", True
    with Session("expiry", target, setting) as session:
        agent = session.agent(account.transport, account.domain)
        one = Registration(session, agent, account, expires=ASKED_S)
        one.register()
        granted = one.granted if one.granted is not None else ASKED_S
        facts = {"asked": ASKED_S, "granted": granted}
        if granted > setting.patience:
            detail = (
                f"{ASKED_S} s were asked for, {granted} s are the server's least: not waited for"
            )
            session.passed("expiry", 0.0, detail, waited=False, **facts)
            tested = False
            story = f"its least time is {granted} s; that it ends then was not waited for"
        else:
            _look(session, one, "before the end", still=True)
            session.loop.run_until(lambda: False, granted + _MARGIN_S)
            _look(session, one, "after the end", still=False, waited=True, **facts)
            one.registered = False
            story = f"a registration of {granted} s ends in time"
    how = f"{account} over {account.transport}"
    result = session.result(
        account.transport,
        f"{how}: {story}",
        f"{how}: a registration does not end as it should",
        account=str(account),
    )
    return replace(result, tested=tested or not result.ok)


def _look(session: Session, one: Registration, name: str, *, still: bool, **facts: int) -> None:
    """A step: whether our contact is registered, which must be as `still` says; else Halt."""
    response, seconds = one.answered(name, query=True)
    if response.status >= 300:
        failure = of_answer("REGISTER", response, authenticated=True)
        session.failed(name, seconds, failure, status=response.status)
    there = one.copies(response) > 0
    if there and not still:
        detail = f"{said(response)}: our contact is still there"
        session.failed(name, seconds, Failure(cause("not-expired"), detail), **facts)
    if still and not there:
        detail = f"{said(response)}: our contact, just registered, is not listed"
        session.failed(name, seconds, Failure(cause("contact-missing"), detail), **facts)
    shown = "our contact is listed" if there else "our contact is gone"
    session.passed(name, seconds, f"{said(response)}: {shown}", **facts)
