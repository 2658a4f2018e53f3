"""Calls by the dozen: INVITE with its challenge, 200, ACK, a pause, BYE; both ends are here.

No sound is sent: what is measured is the server's signalling.
"""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass
from functools import partial

from labtool.probe.agent import ALLOW, USER_AGENT
from labtool.probe.dialog import Dialog
from labtool.probe.load_phones import Phone, Phones
from labtool.probe.load_registrations import Registrations, said
from labtool.probe.load_statistics import Tally
from labtool.sip import sdp
from labtool.sip.digest import answer, challenges
from labtool.sip.errors import SipError
from labtool.sip.flow import Address, Flow
from labtool.sip.message import Request, Response, response_to
from labtool.sip.transaction import ClientTransaction, ServerTransaction, TransactionLayer

_HEADERS = {
    401: ("WWW-Authenticate", "Authorization"),
    407: ("Proxy-Authenticate", "Proxy-Authorization"),
}


@dataclass(eq=False)
class _Call:
    """A call and what is known of it. `sent` counts the INVITEs; `acked`: the callee has the ACK."""

    call_id: str
    caller: Phone
    callee: Phone
    began: float
    sent: int = 0
    repeated: int = 0
    arrived: bool = False
    acked: bool = False
    over: bool = False
    answered: Response | None = None
    dialog: Dialog | None = None
    transaction: ClientTransaction | None = None


class Calls:
    """User 2n calls user 2n+1, who answers at once; `hold` seconds later the caller hangs up."""

    def __init__(
        self, phones: Phones, registrations: Registrations, hold: float, timeout: float
    ) -> None:
        self.phones = phones
        self.hold = hold
        self.timeout = timeout
        self.tally: Tally | None = None
        self._loop = phones.loop
        self._layer = TransactionLayer(
            phones.loop,
            phones.transports,
            on_request=self._requested,
            on_stray_response=lambda response, flow: registrations.answered(response),
        )
        self._calls: dict[str, _Call] = {}
        users = phones.all
        self._pairs = deque(zip(users[0::2], users[1::2], strict=False))

    @property
    def in_flight(self) -> int:
        return len(self._calls)

    @property
    def ready(self) -> bool:
        """A pair can have several calls at once."""
        return True

    def begin(self) -> None:
        """Begin the call of the pair whose turn it is."""
        caller, callee = self._pairs[0]
        self._pairs.rotate(-1)
        call = _Call(secrets.token_hex(12), caller, callee, self._loop.now())
        self._calls[call.call_id] = call
        self._loop.call_later(self.timeout, self._overdue, call)
        self._invite(call, None)

    def hang_up(self) -> None:
        """End every call: now, or as soon as it is answered."""
        self.hold = 0.0
        for call in tuple(self._calls.values()):
            self._hang_up(call)

    def sweep(self) -> None:
        """Nothing: the transaction layer has timers of its own."""

    # -- the caller -------------------------------------------------------------------------------

    def _invite(self, call: _Call, signed: tuple[str, str] | None) -> None:
        caller, uri = call.caller, call.callee.aor
        call.sent += 1
        caller.cseq += 1
        headers = [
            ("Max-Forwards", "70"),
            ("From", f"<{caller.aor}>;tag={caller.tag}"),
            ("To", f"<{uri}>"),
            ("Call-ID", call.call_id),
            ("CSeq", f"{caller.cseq} INVITE"),
            ("Contact", caller.contact),
            ("Allow", ALLOW),
            ("User-Agent", USER_AGENT),
            ("Content-Type", "application/sdp"),
        ]
        if signed is not None:
            headers.append(signed)
        request = Request("INVITE", uri, headers, _silence(caller.flow))
        call.transaction = self._layer.request(
            request,
            caller.flow,
            on_response=partial(self._answered, call, request),
            on_timeout=partial(self._end, call, "no answer to the INVITE"),
            on_error=lambda error: self._end(call, f"{error}"),
        )

    def _answered(self, call: _Call, invite: Request, response: Response) -> None:
        status = response.status
        if 200 <= status < 300:
            self._established(call, invite, response)
        elif status in _HEADERS and call.sent == 1:
            self._count(call)
            self._sign(call, response)
        elif status >= 300:
            self._end(call, said(response))

    def _sign(self, call: _Call, response: Response) -> None:
        asked_in, answer_in = _HEADERS[response.status]
        offered = challenges(response.headers.lines(asked_in))
        secret = call.caller.secret(offered)
        try:
            if secret is None:
                raise SipError("no password for it")
            credentials = answer(
                offered,
                method="INVITE",
                uri=call.callee.aor,
                username=call.caller.account.user,
                secret=secret,
            )
        except SipError as error:
            self._end(call, str(error))
            return
        self._invite(call, (answer_in, str(credentials)))

    def _established(self, call: _Call, invite: Request, response: Response) -> None:
        first = call.dialog is None
        try:
            dialog = call.dialog = call.dialog or Dialog.of_caller(invite, response)
            self._layer.send(dialog.request("ACK"), self._way(call, dialog))
        except (OSError, SipError) as error:
            self._end(call, f"the 200 makes no dialog: {error}")
            return
        if first and not call.over:
            if self.tally is not None:
                self.tally.measured(self._loop.now() - call.began)
            self._loop.call_later(self.hold, self._hang_up, call)

    def _hang_up(self, call: _Call) -> None:
        if call.over or call.dialog is None:
            return
        call.dialog = call.dialog.next()
        call.caller.cseq += 1
        self._count(call)
        call.transaction = self._layer.request(
            call.dialog.request("BYE"),
            self._way(call, call.dialog),
            on_response=partial(self._hung_up, call),
            on_timeout=partial(self._end, call, "no answer to the BYE"),
            on_error=lambda error: self._end(call, f"{error}"),
        )

    def _hung_up(self, call: _Call, response: Response) -> None:
        if response.status < 200:
            return
        if response.status >= 300:
            self._end(call, f"BYE: {said(response)}")
        elif not call.arrived:
            self._end(call, "answered by another device")
        elif not call.acked:
            self._end(call, "the ACK did not arrive")
        else:
            self._end(call, None)

    def _way(self, call: _Call, dialog: Dialog) -> Flow:
        """To the server where it recorded its route, otherwise straight to the contact."""
        hop, flow = dialog.next_hop, call.caller.flow
        if dialog.route or hop is None or flow.reliable:
            return flow
        try:
            remote = Address(hop.host.strip("[]"), hop.port or 5060)
            return self.phones.transports.flow("udp", remote, local=flow.local)
        except SipError:
            return flow

    def _overdue(self, call: _Call) -> None:
        """The call should be over. `timeout` is for its signalling, beside the pause."""
        if call.over:
            return
        if call.dialog is not None and self._loop.now() < call.began + self.timeout + self.hold:
            self._loop.call_later(self.hold, self._overdue, call)
            return
        if call.transaction is not None and call.transaction.pending:
            call.transaction.cancel()
        self._end(call, f"not over in {self.timeout:g} s")

    def _count(self, call: _Call) -> None:
        """Take the repetitions of the transaction that is done."""
        if call.transaction is not None:
            call.repeated += call.transaction.repeated

    def _end(self, call: _Call, failure: str | None) -> None:
        if call.over:
            return
        call.over = True
        self._count(call)
        del self._calls[call.call_id]
        if self.tally is not None:
            self.tally.retransmissions += call.repeated
            if failure is None:
                self.tally.success()
            else:
                self.tally.failure(failure)

    # -- the callee -------------------------------------------------------------------------------

    def _requested(
        self, transaction: ServerTransaction | None, request: Request, flow: Flow
    ) -> None:
        call = self._calls.get(request.headers.get("Call-ID") or "")
        if transaction is None:
            if call is not None:
                call.acked = True
        elif request.method == "INVITE":
            self._called(transaction, request, call)
        elif request.method in ("BYE", "CANCEL", "OPTIONS"):
            transaction.respond(response_to(request, 200))
        else:
            transaction.respond(response_to(request, 405, headers=[("Allow", ALLOW)]))

    def _called(self, transaction: ServerTransaction, request: Request, call: _Call | None) -> None:
        if call is None:
            transaction.respond(response_to(request, 481))
            return
        call.arrived = True
        headers = [("Record-Route", value) for value in request.headers.all("Record-Route")]
        headers += [
            ("Contact", call.callee.contact),
            ("Allow", ALLOW),
            ("Content-Type", "application/sdp"),
        ]
        call.answered = response_to(
            request,
            200,
            to_tag=secrets.token_hex(5),
            headers=headers,
            body=_silence(call.callee.flow),
        )
        self._accept(transaction, call, self._layer.timers.t1)

    def _accept(self, transaction: ServerTransaction, call: _Call, pause: float) -> None:
        """200, and again until its ACK comes (RFC 3261 section 13.3.1.4)."""
        if call.acked or call.over or call.answered is None:
            return
        if pause > self._layer.timers.t1:
            call.repeated += 1
        transaction.respond(call.answered)
        longer = min(2 * pause, self._layer.timers.t2)
        self._loop.call_later(pause, self._accept, transaction, call, longer)


def _silence(flow: Flow) -> bytes:
    """An offer or answer of a sound that nobody sends."""
    section = sdp.audio(9, {0: "PCMU/8000"}, direction="inactive")
    return sdp.session(flow.local.host, [section], session_id=secrets.randbits(31)).to_bytes()
