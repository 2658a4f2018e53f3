"""A whole call between two accounts of one's own, with sound that is checked for its content.

What a phone would do is done as a phone would: the caller's INVITE goes to the server, requests
within the dialog go where Record-Route sends them, sound goes where the SDP says.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from labtool.errors import RequestError
from labtool.probe.account import Account
from labtool.probe.agent import ALLOW, Exchange
from labtool.probe.causes import cause
from labtool.probe.dialog import Dialog
from labtool.probe.failure import Failure, of_answer, printable, said
from labtool.probe.hold import hold_and_resume
from labtool.probe.leg import Leg
from labtool.probe.login import Unanswerable
from labtool.probe.media import PAYLOAD_TYPES
from labtool.probe.registration import Registration
from labtool.probe.result import Result
from labtool.probe.session import Session, Setting
from labtool.probe.sound import Sound
from labtool.probe.target import Target
from labtool.sip import sdp
from labtool.sip.errors import ParseError, SipError
from labtool.sip.message import Request, Response


def call(
    target: Target | str,
    caller: Account,
    callee: Account,
    setting: Setting | None = None,
    *,
    seconds: float = 2.0,
    codec: str = "PCMU",
    hangup: str = "caller",
    hold: bool = False,
) -> Result:
    """Both register, `caller` calls `callee`, `seconds` of sound each way, BYE, de-register.

    `hold`: in between the caller holds the call, which must fall silent, and resumes it.
    """
    if codec not in PAYLOAD_TYPES:
        raise RequestError(f"{codec!r} is no codec of the probe; it has PCMU and PCMA")
    if hangup not in ("caller", "callee"):
        raise RequestError(f"{hangup!r} cannot hang up; caller or callee can")
    over = ",".join(dict.fromkeys((caller.transport, callee.transport)))
    how = f"{caller} calls {callee} over {over}"
    story = ""
    with Session("call", target, setting or Setting()) as session:
        called = signed_in(session, callee)
        call = Call(session, signed_in(session, caller), called, codec)
        session.at_the_end(call.tidy)
        call.establish()
        sound = Sound(call)
        sound.both_ways(seconds)
        if hold:
            hold_and_resume(call, sound, min(seconds, 1.0))
        sound.end()
        call.end(hangup)
        story = f"{call.codec}, {call.path}" + (", held and resumed" if hold else "")
    return session.result(
        over,
        f"{how}: sound both ways ({story})",
        f"{how}: fails",
        account=f"{caller.user} to {callee.user}",
    )


def signed_in(session: Session, account: Account, label: str = "") -> Leg:
    """A party that has registered, or Halt. `label` tells two devices of one user apart."""
    agent = session.agent(account.transport, account.domain)
    label = f"{account.user} {label}".strip()
    registration = Registration(session, agent, account, label=label)
    registration.register()
    names = {session.target.host.lower(), account.domain.lower(), agent.remote.host}
    leg = Leg(agent, registration, names)
    session.at_the_end(leg.close)
    return leg


class Call:
    """The script of a call, after both are registered. Each part adds its steps."""

    def __init__(self, session: Session, caller: Leg, callee: Leg, codec: str) -> None:
        self.session = session
        self.loop = session.loop
        self.caller = caller
        self.callee = callee
        self.codec = codec
        self.path = "no sound"  # then direct or relayed
        self.padding = ""  # lines that make the offer longer
        self.call_id = secrets.token_hex(12)
        self._offered = [codec, *(name for name in PAYLOAD_TYPES if name != codec)]
        self._cseq = 0
        self._invite: Exchange | None = None
        self._acked_to = ""
        self._unusable = ""  # what is wrong with the 2xx
        self._turned_down: set[str | None] = set()  # the tags of other devices that answered too
        callee.expected, callee.caller = self.call_id, caller.name

    # -- INVITE to ACK ----------------------------------------------------------------------------

    def establish(self) -> None:
        """Steps "INVITE challenge", "INVITE", "ringing", "answer" and "ACK"; Halt on a failure."""
        exchange = self.deliver()
        self.callee.ring()
        self.wait(lambda: _has(exchange, 180) or exchange.done, 1.0)
        rung = next((at for at, r in exchange.responses if r.status == 180), None)
        if rung is not None:
            assert self.callee.invited is not None
            self.session.passed("ringing", rung - self.callee.invited, "180 Ringing")
        self.pick_up()

    @property
    def invitation(self) -> Exchange:
        """The last INVITE that was sent."""
        assert self._invite is not None
        return self._invite

    def invite(self) -> Exchange:
        """Send an INVITE, signed where there was a challenge."""
        request = self._invitation()
        try:
            signed = self.caller.login.sign(request) is not None
        except Unanswerable as error:
            self.session.failed("INVITE", 0.0, error.failure)
        self._invite = self.caller.agent.send(request, challenged=signed)
        self._invite.on_response = self._heard
        return self._invite

    def invite_signed(self) -> Exchange:
        """Send an INVITE, and where it is challenged (a step of its own) another one, signed."""
        session, login, callee = self.session, self.caller.login, self.callee
        login.challenges = ()
        for _ in range(3):
            exchange = self.invite()
            signed = exchange.challenged
            self.wait(lambda: callee.invite is not None or self.invitation.done)
            final = exchange.final
            if final is None or final.status not in (401, 407) or not self._again(final, signed):
                break
            detail = f"{said(final)}, {'/'.join(login.offered)}"
            session.passed(
                "INVITE challenge",
                exchange.seconds,
                detail,
                again=exchange.retransmissions,
                status=final.status,
                algorithms=list(login.offered),
            )
        return exchange

    def deliver(self) -> Exchange:
        """Bring the INVITE to the callee: steps "INVITE challenge" and "INVITE", or Halt."""
        session, callee = self.session, self.callee
        exchange = self.invite_signed()
        signed = exchange.challenged
        if callee.invite is None:
            self._not_delivered(exchange, signed)
        assert callee.invite is not None
        assert callee.invited is not None
        detail = f"reached {callee.name} over {callee.agent.transport}"
        if not signed:
            detail += ", no password asked for"
        session.passed(
            "INVITE",
            callee.invited - exchange.sent,
            detail,
            again=exchange.retransmissions,
            challenged=signed,
            bytes=len(exchange.request.to_bytes()),
        )
        return exchange

    def _again(self, final: Response, signed: bool) -> bool:
        """Whether a 401 or 407 is worth another INVITE: the first, or one that says stale."""
        try:
            self.caller.login.take(final)
        except Unanswerable as error:
            self.session.failed("INVITE challenge", 0.0, error.failure)
        return not signed or self.caller.login.stale

    def _not_delivered(self, exchange: Exchange, signed: bool) -> None:
        session, callee, final = self.session, self.callee, exchange.final
        if not exchange.done and not exchange.responses:
            self.caller.agent.silent(exchange)
        took = exchange.seconds or self.loop.now() - exchange.sent
        again = exchange.retransmissions
        if exchange.failure:
            session.failed("INVITE", took, exchange.failure, again=again)
        if final is None:
            last = exchange.responses[-1][1]
            detail = f"{said(last)} came, but the INVITE did not reach {callee.name}"
            session.failed("INVITE", took, Failure(cause("call-not-delivered"), detail))
        if final.status < 300:
            detail = f"{said(final)}, though {callee.name} here was not asked"
            session.failed("INVITE", took, Failure(cause("answered-elsewhere"), detail))
        if final.status in (408, 480):
            detail = f"{said(final)}, and the INVITE did not reach {callee.name}"
            session.failed("INVITE", took, Failure(cause("call-not-delivered"), detail))
        # Whoever could register has the right password: only another challenge doubts it again.
        doubted = signed and final.status in (401, 407)
        failure = of_answer("INVITE", final, authenticated=doubted)
        session.failed("INVITE", took, failure, again=again, status=final.status)

    def pick_up(self) -> None:
        """The callee answers: steps "answer" and "ACK"; Halt where the answer is lost."""
        session, callee, exchange = self.session, self.callee, self.invitation
        try:
            assert callee.invite is not None
            offer = sdp.SessionDescription.parse(callee.invite.request.body)
            common = sdp.common_payloads(offer.media[0], [f"{n}/8000" for n in self._offered])
            self.codec = next(name for name in self._offered if PAYLOAD_TYPES[name] in common)
        except (ParseError, IndexError, StopIteration) as error:
            what = printable(str(error)) or "no sound that we have"
            detail = f"the offer that reached {callee.name} cannot be used: {what}"
            session.failed("answer", 0.0, Failure(cause("not-acceptable"), detail))
        started = self.loop.now()
        try:
            callee.answer(self.codec)
        except SipError as error:
            detail = f"the INVITE that reached {callee.name} makes no dialog: {error}"
            session.failed("answer", 0.0, Failure(cause("bad-request"), printable(detail)))
        self.wait(lambda: exchange.done)
        final, took = exchange.final, self.loop.now() - started
        if final is None:
            detail = f"the 200 of {callee.name} did not reach {self.caller.name}"
            failure = exchange.failure or Failure(cause("answer-lost"), detail)
            session.failed("answer", took, failure)
        if final.status >= 300:
            failure = of_answer("INVITE", final, authenticated=False)
            session.failed("answer", took, failure, status=final.status)
        if self.caller.dialog is None:
            detail = f"{said(final)} makes no dialog: {self._unusable}"
            session.failed("answer", took, Failure(cause("unexpected-answer"), detail))
        if self._is_anothers(final):
            detail = f"{said(final)} came from another device than ours"
            session.failed("answer", took, Failure(cause("answered-elsewhere"), detail))
        session.passed("answer", took, f"{said(final)}, {self.codec}", codec=self.codec)
        acked = self.loop.now()
        self.wait(lambda: callee.acknowledged is not None)
        took = self.loop.now() - acked
        if callee.acknowledged is None:
            detail = f"sent to {self._acked_to}, it did not reach {callee.name}"
            session.noted("ACK", took, Failure(cause("ack-lost"), detail), sent_to=self._acked_to)
        else:
            session.passed("ACK", took, f"by way of {self._acked_to}", sent_to=self._acked_to)

    def _heard(self, response: Response) -> None:
        """Every 2xx is acknowledged, the repeated ones too (RFC 3261 section 13.2.2.4)."""
        if not 200 <= response.status < 300 or self._invite is None:
            return
        if self.caller.dialog is None:
            try:
                self.caller.dialog = Dialog.of_caller(self._invite.request, response)
            except SipError as error:
                self._unusable = printable(str(error))
                return
            self.caller.described = response.body
        tag = response.to.tag
        if tag == self.caller.dialog.remote.tag:
            self._acked_to = self.caller.acknowledge(self._invite.request)
            return
        with suppress(SipError):
            self.caller.turn_down(self._invite.request, response, again=tag in self._turned_down)
            self._turned_down.add(tag)

    def _is_anothers(self, response: Response) -> bool:
        """Whether a 2xx has another tag than our callee gave (behind a B2BUA tags do differ)."""
        assert self.callee.invite is not None
        same_call = self.callee.invite.request.headers.get("Call-ID") == self.call_id
        return same_call and response.to.tag != self.callee.tag

    def _invitation(self) -> Request:
        self._cseq += 1
        caller, callee = self.caller, self.callee
        body = caller.description({name: PAYLOAD_TYPES[name] for name in self._offered})
        body += self.padding.encode()
        return Request(
            "INVITE",
            str(callee.account.aor),
            [
                ("Max-Forwards", "70"),
                ("From", f"<{caller.account.aor}>;tag={caller.tag}"),
                ("To", f"<{callee.account.aor}>"),
                ("Call-ID", self.call_id),
                ("CSeq", f"{self._cseq} INVITE"),
                ("Contact", caller.contact),
                ("Allow", ALLOW),
                ("Content-Type", "application/sdp"),
            ],
            body,
        )

    # -- the end ----------------------------------------------------------------------------------

    def end(self, hangup: str) -> None:
        """Step "BYE"."""
        session = self.session
        one, other = self.caller, self.callee
        if hangup == "callee":
            one, other = other, one
        started = self.loop.now()
        exchange, where = one.hang_up(session.timeout)
        took = self.loop.now() - started
        facts: dict[str, Any] = {"by": one.name, "sent_to": where}
        if other.ended is None:
            final = exchange.final
            seen = said(final) if final is not None else "no answer"
            detail = f"{seen}; sent by {one.name} to {where}, it did not reach {other.name}"
            session.failed("BYE", took, Failure(cause("bye-lost"), detail), **facts)
        if exchange.final is None:
            detail = f"it reached {other.name}, whose 200 did not come back to {one.name}"
            session.failed("BYE", took, Failure(cause("bye-lost"), detail), **facts)
        if exchange.final.status >= 300:
            failure = of_answer("BYE", exchange.final, authenticated=False)
            session.failed("BYE", took, failure, **facts)
        detail = f"{said(exchange.final)}, {one.name} hung up"
        session.passed("BYE", took, detail, again=exchange.retransmissions, **facts)

    def tidy(self) -> None:
        """After a failure: leave no call behind."""
        invite = self._invite
        if invite is not None and not invite.done and invite.transaction is not None:
            invite.transaction.cancel()
            self.wait(lambda: invite.done)
        for leg in (self.caller, self.callee):
            if leg.dialog is not None and self.caller.ended is None and self.callee.ended is None:
                leg.hang_up(self.session.timeout)

    def wait(self, until: Callable[[], bool], at_most: float | None = None) -> bool:
        """Run the loop until that is so; False where it is not in time (seconds)."""
        return self.loop.run_until(until, self.session.timeout if at_most is None else at_most)


def _has(exchange: Exchange, status: int) -> bool:
    return any(response.status == status for _, response in exchange.responses)
