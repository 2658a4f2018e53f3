"""The server transactions of RFC 3261 section 17.2, with the Accepted state of RFC 6026."""

from __future__ import annotations

from labtool.sip.message import response_to

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labtool.sip.flow import Flow
    from labtool.sip.loop import Timer
    from labtool.sip.message import Request, Response
    from labtool.sip.transaction import TransactionLayer
    from labtool.sip.via import Via

__all__ = ["ServerTransaction"]

# RFC 3261 17.2.1: "100 (Trying) unless it knows that the TU will generate a response in 200 ms".
_TRYING_AFTER = 0.2


class ServerTransaction:
    """One request that came, and what is answered to it.

    `state` goes from trying (or proceeding, for INVITE) to completed, accepted, confirmed and
    terminated. `flow` is where the request came from, `via` its top Via with what was added to it.
    """

    __slots__ = (
        "_interval",
        "_last",
        "_layer",
        "_out",
        "_repeat",
        "_timer",
        "flow",
        "key",
        "request",
        "state",
        "via",
    )

    def __init__(
        self,
        layer: TransactionLayer,
        key: object,
        request: Request,
        flow: Flow,
        via: Via,
        out: Flow,
    ) -> None:
        self._layer = layer
        self.key = key
        self.request = request
        self.flow = flow
        self.via = via
        self._out = out
        self._last: bytes | None = None
        self._timer: Timer | None = None
        self._repeat: Timer | None = None
        self._interval = layer.timers.t1
        if request.method == "INVITE":
            self.state = "proceeding"
            self._timer = layer.loop.call_later(_TRYING_AFTER, self._trying)
        else:
            self.state = "trying"

    @property
    def is_invite(self) -> bool:
        return self.request.method == "INVITE"

    @property
    def answered(self) -> bool:
        """True once a final response was given."""
        return self.state not in ("trying", "proceeding")

    # -- from the transaction user ----------------------------------------------------------------

    def respond(self, response: Response) -> None:
        """Send a response. What the state does not allow any more (a provisional after a final
        one, a second final one but for 2xx to INVITE) is quietly not sent, as 17.2 has it."""
        status = response.status
        if self.state == "accepted":
            if 200 <= status < 300:
                self._send(response.to_bytes())
            return
        if self.answered:
            return
        data = response.to_bytes()
        self._cancel_timers()
        if status < 200:
            self.state = "proceeding"
            self._last = data
            self._send(data)
        elif not self.is_invite:
            self._layer._absorb(self, data)
            self._send(data)
        elif status < 300:
            self.state = "accepted"
            self._last = None
            self._send(data)
            self._timer = self._later(self._layer.timers.patience)  # L
        else:
            self.state = "completed"
            self._last = data
            self._send(data)
            self._timer = self._later(self._layer.timers.patience)  # H
            if not self._out.reliable:
                self._repeat = self._layer.loop.call_later(self._interval, self._again)  # G

    def _trying(self) -> None:
        if self.state == "proceeding" and self._last is None:
            self._last = response_to(self.request, 100).to_bytes()
            self._send(self._last)

    # -- from the network -------------------------------------------------------------------------

    def retransmitted(self) -> None:
        """The request came again: say again what was said last."""
        if self._last is not None and self.state in ("proceeding", "completed"):
            self._send(self._last)

    def acknowledged(self) -> None:
        """An ACK came to a final response that was no 2xx."""
        if self.state == "completed":
            self._cancel_timers()
            self.state = "confirmed"
            self._last = None
            if self._out.reliable:
                self.terminate()
            else:
                self._timer = self._later(self._layer.timers.t4)  # I

    # -- inside -----------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        if not self._out.alive:
            self._out = self._layer._way_back(self.via, self.flow)
        self._out.send(data)

    def _again(self) -> None:
        if self.state == "completed" and self._last is not None:
            self._interval = min(self._interval * 2, self._layer.timers.t2)
            self._repeat = self._layer.loop.call_later(self._interval, self._again)
            self._send(self._last)

    def _later(self, delay: float) -> Timer:
        return self._layer.loop.call_later(delay, self.terminate)

    def _cancel_timers(self) -> None:
        for timer in (self._timer, self._repeat):
            if timer is not None:
                timer.cancel()
        self._timer = self._repeat = None

    def terminate(self) -> None:
        """Forget it; what comes for it now is new."""
        self._cancel_timers()
        self.state = "terminated"
        self._layer._forget_server(self)

    def __repr__(self) -> str:
        return f"<server transaction {self.request.method} {self.state}>"
