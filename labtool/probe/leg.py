"""One party of a call: an account that is signed in, its sound, and its side of the dialog."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress
from dataclasses import replace
from functools import partial

from labtool.probe.agent import ALLOW, Exchange, UserAgent
from labtool.probe.dialog import Dialog
from labtool.probe.login import Unanswerable
from labtool.probe.media import PAYLOAD_TYPES, AudioPort
from labtool.probe.registration import Registration
from labtool.probe.target import DEFAULT_PORTS
from labtool.sip import sdp
from labtool.sip.errors import SipError
from labtool.sip.flow import Address, Flow
from labtool.sip.message import Request, Response, response_to
from labtool.sip.transaction import ServerTransaction


class Leg:
    """A party. What the other side does to it shows in its attributes, as the loop runs."""

    def __init__(self, agent: UserAgent, registration: Registration, names: set[str]) -> None:
        self.agent = agent
        self.account = registration.account
        self.login = registration.login
        self.contact = f"<{registration.contact.uri}>"
        self.audio = AudioPort(agent.loop, agent.host, agent.tap)
        self.tag = secrets.token_hex(5)
        self.dialog: Dialog | None = None
        self.expected: str | None = None  # the Call-ID of the call that may come
        self.caller: str | None = None  # the user who may call, should a B2BUA change the Call-ID
        self.invite: ServerTransaction | None = None
        self.invited: float | None = None  # these are times on the loop's clock
        self.acknowledged: float | None = None
        self.offered: str | None = None  # the direction of the other side's last offer
        self.described = b""  # the other side's SDP, the last that held
        self.ended: float | None = None
        self.cancelled = False
        self._acks: set[int] = set()  # the sequence numbers that an ACK came for
        self._codec = ""
        self._session_id = secrets.randbits(31)
        self._version = 0
        self._names = names  # host names that stand for the server itself
        agent.on_request = self._requested

    @property
    def name(self) -> str:
        return self.account.user

    def close(self) -> None:
        self.audio.close()

    # -- being asked ------------------------------------------------------------------------------

    def _requested(self, transaction: ServerTransaction | None, request: Request) -> bool:
        """True for what belongs to the call."""
        method, now = request.method, self.agent.loop.now()
        call_id = request.headers.get("Call-ID")
        if method == "INVITE" and transaction is not None and not _has_tag(request):
            return self._called(transaction, request, now)
        ours = self.dialog.call_id if self.dialog else None
        if self.invite is not None:
            ours = self.invite.request.headers.get("Call-ID")
        if ours is None or call_id != ours:
            return False
        if method == "ACK":
            self.acknowledged = self.acknowledged or now
            with suppress(SipError):
                self._acks.add(request.cseq[0])
        elif transaction is None:
            return False
        elif method == "BYE":
            self.ended = self.ended or now
            transaction.respond(response_to(request, 200))
        elif method == "CANCEL":
            self.cancelled = True
            transaction.respond(response_to(request, 200))
            if self.invite is not None:
                self.invite.respond(response_to(self.invite.request, 487, to_tag=self.tag))
        elif method == "INVITE":
            self._reoffered(transaction, request)
        else:
            return False
        return True

    def _called(self, transaction: ServerTransaction, request: Request, now: float) -> bool:
        try:
            by = getattr(request.from_.uri, "username", None)
        except SipError:
            by = None
        if self.expected is None or (
            request.headers.get("Call-ID") != self.expected and by != self.caller
        ):
            return False
        if self.invite is not None:  # the same call by a second way (RFC 3261 section 8.2.2.2)
            transaction.respond(response_to(request, 482, to_tag=self.tag))
            return True
        self.invite, self.invited = transaction, now
        return True

    # -- answering --------------------------------------------------------------------------------

    def ring(self) -> None:
        """180 to the INVITE that came."""
        assert self.invite is not None
        self.invite.respond(self._response(180, self.invite.request, b""))

    def answer(self, codec: str) -> None:
        """200 to the INVITE that came."""
        invite = self.invite
        assert invite is not None
        offered = sdp.SessionDescription.parse(invite.request.body)
        direction = sdp.answered_direction(offered.media[0].direction)
        self._codec, self.offered = codec, offered.media[0].direction
        self.described = invite.request.body
        body = self.description({codec: PAYLOAD_TYPES[codec]}, direction)
        response = self._response(200, invite.request, body)
        self.dialog = Dialog.of_callee(invite.request, response, self.contact)
        self._insist(invite, response)

    def _reoffered(self, transaction: ServerTransaction, request: Request) -> None:
        """A re-INVITE: answer, and send no sound where the offer wants none (RFC 3264 5.1)."""
        try:
            direction = sdp.SessionDescription.parse(request.body).media[0].direction
            contacts = request.contacts
        except (SipError, IndexError):
            transaction.respond(response_to(request, 488, to_tag=self.tag))
            return
        if self.dialog is None or not self._codec:
            transaction.respond(response_to(request, 491, to_tag=self.tag))
            return
        self.offered, self.described = direction, request.body
        self.dialog = self.dialog.refreshed(contacts)
        answered = sdp.answered_direction(direction)
        if answered in ("recvonly", "inactive"):
            self.audio.stop()
        body = self.description({self._codec: PAYLOAD_TYPES[self._codec]}, answered)
        self._insist(transaction, self._response(200, request, body))

    def _insist(self, transaction: ServerTransaction, response: Response) -> None:
        """Repeat a 2xx to an INVITE until its ACK arrives (RFC 3261 section 13.3.1.4)."""
        timers, cseq = self.agent.layer.timers, transaction.request.cseq[0]

        def again(interval: float) -> None:
            if cseq not in self._acks and self.ended is None:
                transaction.respond(response)
                self.agent.loop.call_later(interval, again, min(2 * interval, timers.t2))

        again(timers.t1)

    def _response(self, status: int, request: Request, body: bytes) -> Response:
        headers = [("Record-Route", value) for value in request.headers.all("Record-Route")]
        headers += [("Contact", self.contact), ("Allow", ALLOW)]
        if body:
            headers.append(("Content-Type", "application/sdp"))
        return response_to(request, status, to_tag=self.tag, headers=headers, body=body)

    def description(self, codecs: dict[str, int], direction: str = "sendrecv") -> bytes:
        """An offer or answer with these codecs, at this party's own sound port."""
        port = self.audio.local
        section = sdp.audio(
            port.port,
            {number: f"{name}/8000" for name, number in codecs.items()},
            direction=direction,
        )
        self._version += 1  # RFC 3264 section 8
        made = sdp.session(port.host, [section], session_id=self._session_id, version=self._version)
        return made.to_bytes()

    # -- asking within the dialog -----------------------------------------------------------------

    def acknowledge(self, invite: Request) -> str:
        """The ACK to a 2xx, with the credentials of its INVITE (13.2.2.4). Where it was sent."""
        assert self.dialog is not None
        request = replace(self.dialog, cseq=invite.cseq[0]).request("ACK")
        for header in ("Authorization", "Proxy-Authorization"):
            for value in invite.headers.lines(header):
                request.headers.add(header, value)
        flow, where = self.way()
        self.agent.layer.send(request, flow)
        return where

    def turn_down(self, invite: Request, response: Response, *, again: bool) -> None:
        """The answer of another device to the same INVITE: a dialog of its own, acknowledged and
        ended at once (13.2.2.4), for its user would hear nobody. `again`: that was done before,
        and only the ACK is repeated. SipError where the answer makes no dialog."""
        kept, self.dialog = self.dialog, Dialog.of_caller(invite, response)
        try:
            self.acknowledge(invite)
            if not again:
                request = self.dialog.next().request("BYE")
                with suppress(Unanswerable):
                    self.login.sign(request)
                self.agent.send(request, flow=self.way()[0])
        finally:
            self.dialog = kept

    def hang_up(self, timeout: float) -> tuple[Exchange, str]:
        """BYE, signed if the server asks for that. What came of it, and where it was sent."""
        self.ended = self.agent.loop.now()
        return self._ask("BYE", timeout)

    def reoffer(self, codec: str, direction: str, timeout: float) -> tuple[Exchange, str]:
        """re-INVITE with another direction of sound (RFC 3264 section 8.4), as `hang_up`."""
        return self._ask("INVITE", timeout, (codec, direction))

    def _ask(
        self, method: str, timeout: float, offer: tuple[str, str] | None = None
    ) -> tuple[Exchange, str]:
        flow, where = self.way()
        exchange = self._send(method, timeout, flow, offer)
        if exchange.final is not None and exchange.final.status in (401, 407):
            with suppress(Unanswerable):
                self.login.take(exchange.final)
                exchange = self._send(method, timeout, flow, offer, signed=True)
        return exchange, where

    def _send(
        self,
        method: str,
        timeout: float,
        flow: Flow,
        offer: tuple[str, str] | None,
        *,
        signed: bool = False,
    ) -> Exchange:
        assert self.dialog is not None
        self.dialog = self.dialog.next()
        headers, body = [], b""
        if offer is not None:
            codec, direction = offer
            body = self.description({codec: PAYLOAD_TYPES[codec]}, direction)
            headers = [("Allow", ALLOW), ("Content-Type", "application/sdp")]
        request = self.dialog.request(method, headers, body)
        if signed:
            self.login.sign(request)
        exchange = self.agent.send(request, flow=flow)
        if offer is not None:
            exchange.on_response = partial(self._agreed, request)
        if not self.agent.loop.run_until(lambda: exchange.done, timeout):
            self.agent.silent(exchange)
        return exchange

    def _agreed(self, request: Request, response: Response) -> None:
        """Each 2xx to a re-INVITE is acknowledged, the repeated ones too."""
        if 200 <= response.status < 300 and self.dialog is not None:
            with suppress(SipError):
                self.dialog = self.dialog.refreshed(response.contacts)
            self.described = response.body
            self.acknowledge(request)

    def way(self) -> tuple[Flow, str]:
        """Where the dialog's next request goes, as a phone would send it (RFC 3261 section 8.1.2):
        to the first route. A name of the server itself needs no DNS, and a name that has no address
        here is taken for the server too: a lab often has no DNS for its domain.
        """
        assert self.dialog is not None
        uri, agent = self.dialog.next_hop, self.agent
        if uri is None:
            return agent.flow, str(agent.remote)
        port = uri.port or DEFAULT_PORTS[agent.transport]
        host = uri.host.lower()
        if host in self._names:
            remote = Address(agent.remote.host, port)
        else:
            try:
                remote = Address.of(socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4])
            except (OSError, UnicodeError):
                remote = agent.remote
        if remote == agent.remote:
            return agent.flow, str(remote)
        try:
            return agent.flow_to(remote), str(remote)
        except (OSError, SipError):
            return agent.flow, str(agent.remote)


def _has_tag(request: Request) -> bool:
    try:
        return request.to.tag is not None
    except SipError:
        return False
