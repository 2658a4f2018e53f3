"""The client transactions of RFC 3261 section 17.1, with the Accepted state of RFC 6026."""

from __future__ import annotations

from labtool.sip.headers import Headers
from labtool.sip.message import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from labtool.sip.flow import Flow
    from labtool.sip.loop import Timer
    from labtool.sip.message import Response
    from labtool.sip.transaction import TransactionLayer

__all__ = ["ClientTransaction"]


class ClientTransaction:
    """One request that was sent, repeated over UDP until it is answered.

    `state` goes from calling (INVITE) or trying to proceeding, completed or accepted, and
    terminated. `request` is what was sent, with its Via.
    """

    __slots__ = (
        "_ack",
        "_cancel",
        "_data",
        "_give_up",
        "_interval",
        "_layer",
        "_on_error",
        "_on_response",
        "_on_timeout",
        "_repeat",
        "branch",
        "flow",
        "key",
        "repeated",
        "request",
        "state",
    )

    def __init__(
        self,
        layer: TransactionLayer,
        key: tuple[str, str],
        request: Request,
        flow: Flow,
        on_response: Callable[[Response], object],
        on_timeout: Callable[[], object],
        on_error: Callable[[Exception], object],
    ) -> None:
        self._layer = layer
        self.key = key
        self.branch = key[0]
        self.request = request
        self.flow = flow
        self._on_response = on_response
        self._on_timeout = on_timeout
        self._on_error = on_error
        self._data = request.to_bytes()
        self._ack: bytes | None = None
        self._cancel: str | None = None  # the Reason to give, "" for none; wanted but not sent
        self.repeated = 0
        self.state = "calling" if request.method == "INVITE" else "trying"
        self._interval = layer.timers.t1
        self._give_up: Timer | None = None
        self._repeat: Timer | None = None

    def start(self) -> None:
        """Send it for the first time."""
        loop = self._layer.loop
        self._give_up = loop.call_later(self._layer.timers.patience, self._timeout)  # B, F
        if not self.flow.reliable:
            self._repeat = loop.call_later(self._interval, self._again)  # A, E
        self.flow.send(self._data)

    @property
    def is_invite(self) -> bool:
        return self.request.method == "INVITE"

    @property
    def pending(self) -> bool:
        """True while a final response may still come."""
        return self.state in ("calling", "trying", "proceeding")

    # -- from the transaction user ----------------------------------------------------------------

    def cancel(self, reason: str | None = None) -> None:
        """Ask the other side to give up an INVITE (RFC 3261 section 9.1).

        The CANCEL waits for the first provisional response, since before it the other side may
        know nothing of the INVITE. Nothing happens once the INVITE is answered. The answer to the
        INVITE (487, or a 2xx that was faster) still comes to `on_response`; if none does within
        64*T1, `on_timeout` is called. `reason` is the value of a Reason header (RFC 3326).
        """
        if not self.is_invite or not self.pending or self._cancel is not None:
            return
        self._cancel = reason or ""
        if self.state == "proceeding":
            self._send_cancel()

    def abandon(self) -> None:
        """Forget it at once and call nobody any more."""
        self._terminate()

    # -- from the network -------------------------------------------------------------------------

    def received(self, response: Response) -> None:
        """A response whose branch and method are ours."""
        status = response.status
        if self.is_invite:
            self._received_invite(response, status)
        elif self.pending:
            if status < 200:
                self.state = "proceeding"
                self._interval = self._layer.timers.t2
                self._on_response(response)
                return
            self._finish("completed", self._layer.timers.t4)  # K
            self._on_response(response)

    def _received_invite(self, response: Response, status: int) -> None:
        if self.pending:
            if status < 200:
                if self.state == "calling":
                    self.state = "proceeding"
                    self._stop_timers()
                    if self._cancel is not None:
                        self._send_cancel()
                self._on_response(response)
            elif status < 300:
                patience = self._layer.timers.patience
                self._stop_timers()
                self.state = "accepted"
                self._give_up = self._layer.loop.call_later(patience, self._terminate)  # M
                self._on_response(response)
            else:
                self._ack = self._acknowledge(response)
                self.flow.send(self._ack)
                self._finish("completed", self._layer.timers.patience)  # D
                self._on_response(response)
        elif self.state == "completed" and status >= 300 and self._ack is not None:
            self.flow.send(self._ack)
        elif self.state == "accepted" and 200 <= status < 300:
            self._on_response(response)

    def failed(self, reason: Exception) -> None:
        """The transport says that the request, or its ACK, cannot be delivered."""
        waiting = self.pending
        self._terminate()
        if waiting:
            self._on_error(reason)

    # -- inside -----------------------------------------------------------------------------------

    def _again(self) -> None:
        if not self.pending:
            return
        self._interval *= 2
        if not self.is_invite:
            self._interval = min(self._interval, self._layer.timers.t2)
        self._repeat = self._layer.loop.call_later(self._interval, self._again)
        self.repeated += 1
        self.flow.send(self._data)

    def _timeout(self) -> None:
        self._terminate()
        self._on_timeout()

    def _finish(self, state: str, linger: float) -> None:
        self._stop_timers()
        self.state = state
        if self.flow.reliable:
            self._terminate()
        else:
            self._give_up = self._layer.loop.call_later(linger, self._terminate)

    def _stop_timers(self) -> None:
        for timer in (self._give_up, self._repeat):
            if timer is not None:
                timer.cancel()
        self._give_up = self._repeat = None

    def _terminate(self) -> None:
        self._stop_timers()
        self.state = "terminated"
        self._layer._forget_client(self)

    def _send_cancel(self) -> None:
        headers = self._of_the_same_kind("CANCEL")
        headers.add("To", self.request.headers.get("To") or "")
        if self._cancel:
            headers.add("Reason", self._cancel)
        self._layer._cancelling(self, Request("CANCEL", self.request.uri, headers))
        # 9.1: without a final response within 64*T1, the INVITE is taken as cancelled.
        self._give_up = self._layer.loop.call_later(self._layer.timers.patience, self._timeout)

    def _acknowledge(self, response: Response) -> bytes:
        """RFC 3261 17.1.1.3; the same branch, and the To (with its tag) of the response."""
        headers = self._of_the_same_kind("ACK")
        headers.add("To", response.headers.get("To") or "")
        return Request("ACK", self.request.uri, headers).to_bytes()

    def _of_the_same_kind(self, method: str) -> Headers:
        mine, headers = self.request.headers, Headers()
        headers.add("Via", mine.all("Via")[0])
        for route in mine.all("Route"):
            headers.add("Route", route)
        headers.add("Max-Forwards", "70")
        headers.add("From", mine.get("From") or "")
        headers.add("Call-ID", mine.get("Call-ID") or "")
        headers.add("CSeq", f"{self.request.cseq[0]} {method}")
        return headers

    def __repr__(self) -> str:
        return f"<client transaction {self.request.method} {self.state}>"
