"""A request on its way to one contact or several: the response context of RFC 3261 section 16.7."""

from __future__ import annotations

from collections.abc import Callable

from labtool.sandbox.best_response import best
from labtool.sip.loop import Loop, Timer
from labtool.sip.message import Request, Response, response_to
from labtool.sip.transaction import ClientTransaction, ServerTransaction

__all__ = ["Branch", "Fork"]

_ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'  # RFC 3326 section 3.1


class Branch:
    """One copy of the request, to one target, with how it ended."""

    __slots__ = ("response", "status", "transaction")

    def __init__(self) -> None:
        self.transaction: ClientTransaction | None = None
        self.status: int | None = None
        self.response: Response | None = None


class Fork:
    """Gathers what the branches answer and gives the caller what he shall know of it.

    Provisional responses (but 100) and every 2xx go back at once; the first 2xx, and a 6xx, cancels
    the other branches; else, when all have ended, the best response goes back. `on_end(fork)` is
    called once, when nothing more is expected.
    """

    def __init__(
        self,
        loop: Loop,
        server: ServerTransaction,
        timeout: float,
        on_end: Callable[[Fork], object],
        server_header: str,
    ) -> None:
        self.server = server
        self._loop = loop
        self._on_end = on_end
        self._server_header = server_header
        self._branches: list[Branch] = []
        self._cancelled = False
        self._timed_out = False
        self._ended = False
        self._timer: Timer | None = None
        if server.is_invite:
            self._timer = loop.call_later(timeout, self._patience_ends)  # timer C

    @property
    def request(self) -> Request:
        return self.server.request

    def add(self) -> Branch:
        """A branch more; all are added before the first is sent."""
        branch = Branch()
        self._branches.append(branch)
        return branch

    # -- what the branches say ----------------------------------------------------------------

    def responded(self, branch: Branch, response: Response) -> None:
        status = response.status
        if status == 100:
            return
        if len(response.headers.all("Via")) < 2:
            return  # nobody is left to forward it to; 16.7 step 3
        response.headers.remove_first("Via")
        if status < 200:
            if not self._cancelled:
                self.server.respond(response)
        elif status < 300:
            branch.status = status
            self.server.respond(response)
            self._cancel_others(branch, _ELSEWHERE)
            self._look()
        elif branch.status is None:
            branch.status, branch.response = status, response
            if status >= 600:
                self._cancel_others(branch, None)
            self._look()

    def failed(self, branch: Branch, status: int) -> None:
        """No response came (408), or the target cannot be reached (480)."""
        if branch.status is None:
            branch.status = status
            self._look()

    # -- the end ------------------------------------------------------------------------------

    def cancel(self) -> None:
        """The caller gives up."""
        self._cancelled = True
        self._cancel_others(None, None)

    def _patience_ends(self) -> None:
        self._timed_out = True
        self._cancel_others(None, None)
        for branch in self._branches:
            if branch.transaction is not None and branch.transaction.state == "calling":
                branch.transaction.abandon()
                self.failed(branch, 408)

    def _cancel_others(self, winner: Branch | None, reason: str | None) -> None:
        for branch in self._branches:
            if branch is not winner and branch.status is None and branch.transaction is not None:
                branch.transaction.cancel(reason)

    def _look(self) -> None:
        """Once every branch has ended, answer, if a 2xx has not done it already."""
        statuses = [branch.status for branch in self._branches]
        known = [status for status in statuses if status is not None]
        if self._ended or len(known) < len(statuses):
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        if not self.server.answered:
            self.server.respond(self._final(known))
        self._on_end(self)

    def _final(self, statuses: list[int]) -> Response:
        if self._cancelled and max(statuses) < 600:
            chosen: tuple[int, Response | None] = (487, None)
        elif self._timed_out and set(statuses) <= {408, 487}:
            chosen = (408, None)
        else:
            branch = self._branches[best(statuses)]
            chosen = (branch.status or 500, branch.response)
        status, response = chosen
        if response is not None and status in (401, 407):
            self._gather_challenges(response)
        if response is not None and status != 503:
            return response
        # 16.7 step 6: a 503 of one target says nothing about this server.
        status = 500 if status == 503 else status
        return response_to(self.request, status, headers=(("Server", self._server_header),))

    def _gather_challenges(self, response: Response) -> None:
        """16.7 step 7: the caller must be able to answer all who asked."""
        for branch in self._branches:
            other = branch.response
            if other is None or other is response or branch.status not in (401, 407):
                continue
            for name in ("WWW-Authenticate", "Proxy-Authenticate"):
                for value in other.headers.lines(name):
                    response.headers.add(name, value)
