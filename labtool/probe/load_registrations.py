"""Registrations by the thousand: REGISTER, challenge, REGISTER, 200, each with its own timers.

The transactions are kept here, not in `labtool.sip.transaction`: without a Request, two timers and
a closure for each there is time for three times as many. Timer E and the end of it all (Timer F,
cut short) are queues, since whatever waits equally long is due in the order in which it was sent.
"""

from __future__ import annotations

import secrets
from collections import deque

from labtool.probe.failure import printable
from labtool.probe.load_phones import Phone, Phones
from labtool.probe.load_statistics import Tally
from labtool.sip.digest import answer, challenges
from labtool.sip.errors import SipError
from labtool.sip.flow import Flow
from labtool.sip.message import Message, Request, Response, response_to
from labtool.sip.via import MAGIC_COOKIE

EXPIRES = 300  # seconds; what a load that is killed leaves behind ends soon
_T1, _T2 = 0.5, 4.0  # RFC 3261, table 4
_HEADERS = {
    401: ("WWW-Authenticate", "Authorization"),
    407: ("Proxy-Authenticate", "Proxy-Authorization"),
}


class _Registration:
    __slots__ = ("attempts", "began", "data", "expires", "flow", "phone", "sent")

    def __init__(self, phone: Phone, expires: int) -> None:
        self.phone = phone
        self.expires = expires
        self.attempts = 0
        self.began = self.sent = 0.0
        self.data = b""
        self.flow: Flow


class Registrations:
    """`begin` sends one on its way; `tally` counts what becomes of it. `timeout` is in seconds.

    A user waits for the end of one registration before the next (RFC 3261 section 10.2.4).
    """

    def __init__(self, phones: Phones, timeout: float) -> None:
        self.phones = phones
        self.timeout = timeout
        self.tally: Tally | None = None
        self._now = phones.loop.now
        self._pending: dict[str, _Registration] = {}
        self._free = deque(phones.all)
        self._prefix = f"{MAGIC_COOKIE}-{secrets.token_hex(6)}-"
        self._number = 0
        # By the pause before the next repetition: (due, branch), the soonest first.
        self._queues: list[tuple[float, deque[tuple[float, str]]]] = []
        pause = _T1
        while pause < _T2:
            self._queues.append((pause, deque()))
            pause *= 2
        self._queues.append((_T2, deque()))
        phones.transports.events.on_message = self.received
        phones.transports.events.on_closed = self._closed

    @property
    def in_flight(self) -> int:
        return len(self._pending)

    @property
    def ready(self) -> bool:
        """Whether there is a user who is not waiting for an answer."""
        return bool(self._free)

    def begin(self) -> None:
        """Register the user whose turn it is."""
        self._begin(self._free.popleft(), EXPIRES)

    def remove(self, phone: Phone) -> None:
        """Take the contact of a user away, unless he is waiting for an answer."""
        if phone in self._free:
            self._free.remove(phone)
            self._begin(phone, 0)

    def _begin(self, phone: Phone, expires: int) -> None:
        registration = _Registration(phone, expires)
        registration.began = self._now()
        self._send(registration, None)

    def _send(self, registration: _Registration, authorization: tuple[str, str] | None) -> None:
        self._number += 1
        branch = f"{self._prefix}{self._number}"
        phone = registration.phone
        try:
            registration.flow = phone.flow
            registration.data = phone.register(branch, registration.expires, authorization)
        except (OSError, SipError) as error:
            self._end(registration, printable(str(error)))
            return
        registration.attempts += 1
        registration.sent = now = self._now()
        self._pending[branch] = registration
        self._queues[0][1].append((now + _T1, branch))
        registration.flow.send(registration.data)

    def received(self, message: Message, flow: Flow) -> None:
        """Whatever came from the server."""
        if isinstance(message, Response):
            self.answered(message)
        elif isinstance(message, Request) and message.method != "ACK":
            # A server may ask (OPTIONS) whether a contact is alive.
            status = 200 if message.method == "OPTIONS" else 405
            try:
                flow.send(response_to(message, status).to_bytes())
            except SipError:
                return

    def answered(self, response: Response) -> None:
        """A response; nothing happens where it is to nobody here."""
        status = response.status
        if status < 200:
            return
        # The branch is the last of the Via that was sent, and begins as nobody else's does: there
        # is no need to take all of the Via apart.
        _, own, rest = (response.headers.get("Via") or "").partition(self._prefix)
        registration = self._pending.pop(own + rest.partition(";")[0], None)
        if registration is None:
            return
        if status < 300:
            registration.phone.registered = registration.expires > 0
            if self.tally is not None:
                self.tally.measured(self._now() - registration.began)
            self._end(registration, None)
        elif status in _HEADERS and registration.attempts < 3:
            self._sign(registration, response)
        else:
            self._end(registration, said(response))

    def _sign(self, registration: _Registration, response: Response) -> None:
        asked_in, answer_in = _HEADERS[response.status]
        offered = challenges(response.headers.lines(asked_in))
        phone = registration.phone
        again = registration.attempts > 1
        if again and not any(one.stale for one in offered):
            self._end(registration, said(response))
            return
        secret = phone.secret(offered)
        if secret is None:
            self._end(registration, "no password for it")
            return
        try:
            signed = answer(
                offered,
                method="REGISTER",
                uri=str(phone.account.registrar),
                username=phone.account.user,
                secret=secret,
            )
        except SipError as error:
            self._end(registration, printable(str(error)))
            return
        self._send(registration, (answer_in, str(signed)))

    def _end(self, registration: _Registration, failure: str | None) -> None:
        if self.tally is not None:
            if failure is None:
                self.tally.success()
            else:
                self.tally.failure(failure)
        self._free.append(registration.phone)

    def _closed(self, flow: Flow, reason: Exception | None) -> None:
        """A connection ended, or an ICMP error came."""
        lost = [branch for branch, one in self._pending.items() if one.flow == flow]
        cause = getattr(reason, "strerror", None) or str(reason or "connection closed")
        for branch in lost:
            self._end(self._pending.pop(branch), printable(cause))

    def sweep(self) -> None:
        """Repeat and give up what is due; to be called every few milliseconds."""
        now, pending = self._now(), self._pending
        for level, (_, queue) in enumerate(self._queues):
            while queue and queue[0][0] <= now:
                branch = queue.popleft()[1]
                registration = pending.get(branch)
                if registration is None:
                    continue
                if now - registration.sent >= self.timeout:
                    del pending[branch]
                    self._end(registration, f"no answer in {self.timeout:g} s")
                    continue
                if not registration.flow.reliable:
                    if self.tally is not None:
                        self.tally.retransmissions += 1
                    registration.flow.send(registration.data)
                pause, following = self._queues[min(level + 1, len(self._queues) - 1)]
                left = registration.sent + self.timeout - now
                following.append((now + min(pause, max(left, 0.01)), branch))


def said(response: Response) -> str:
    """A failure by its status line."""
    return printable(f"{response.status} {response.reason}".strip(), 80)
