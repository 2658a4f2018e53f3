"""A user agent for one check: its own sockets, its requests and what came of them.

Scripts above it read from top to bottom: they send, then let the loop run until something is so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labtool import __version__
from labtool.probe.causes import cause
from labtool.probe.failure import Failure, of_bytes, of_error, of_silence, said
from labtool.probe.target import local_host
from labtool.sip.errors import ParseError
from labtool.sip.flow import Address, Flow, Packet
from labtool.sip.loop import Loop
from labtool.sip.message import Request, Response, response_to
from labtool.sip.transaction import ClientTransaction, ServerTransaction, Timers, TransactionLayer
from labtool.sip.transport import Transports

if TYPE_CHECKING:
    import ssl

    Tap = Callable[[Packet], object]

USER_AGENT = f"labtool/{__version__}"
ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS"
# After bytes that are no SIP, how long a real answer may still take (UDP; in seconds).
GRACE = 0.5
ECHO = "it sends back what it is sent: an echo, no SIP server"


@dataclass
class Exchange:
    """A request and what came of it. Times are on the loop's clock."""

    request: Request
    sent: float
    challenged: bool = False
    responses: list[tuple[float, Response]] = field(default_factory=list)
    on_response: Callable[[Response], object] | None = None
    failure: Failure | None = None
    ended: float | None = None
    transaction: ClientTransaction | None = None

    @property
    def final(self) -> Response | None:
        """The final response (for INVITE the first of them), if there is one."""
        return next((r for _, r in self.responses if r.status >= 200), None)

    @property
    def done(self) -> bool:
        return self.failure is not None or self.final is not None

    @property
    def seconds(self) -> float:
        """From sending to the final response or the failure."""
        return (self.ended if self.ended is not None else self.sent) - self.sent

    @property
    def retransmissions(self) -> int:
        return self.transaction.repeated if self.transaction else 0


class UserAgent:
    """One end: `transport` to `remote`, from this machine's own address.

    Raises OSError where there is no way from here to there.
    """

    def __init__(
        self,
        loop: Loop,
        transport: str,
        remote: Address,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        tap: Tap | None = None,
        timers: Timers | None = None,
    ) -> None:
        self.loop = loop
        self.transport = transport
        self.remote = remote
        self.answers = 0
        self.opened: float | None = None  # when the first byte left: the connection stood
        self.on_request: Callable[[ServerTransaction | None, Request], bool] | None = None
        self.tap = tap
        self._tls = tls
        self._server_name = server_name
        self._bad_data = b""  # from the peer, and no SIP
        self._raw = b""  # what a connection brought before its first message
        self._pending: list[Exchange] = []
        self.host = local_host(remote)
        self.transports = Transports(loop, tap=self._seen, on_bad=self._bad)
        self.layer = TransactionLayer(
            loop, self.transports, timers=timers, on_request=self._requested
        )
        self._flow: Flow | None = None

    # -- the way out ----------------------------------------------------------------------------

    @property
    def flow(self) -> Flow:
        """The flow to the server; a connection that is gone is made anew."""
        if self._flow is None or not self._flow.alive:
            self._flow = self.flow_to(self.remote)
        return self._flow

    def flow_to(self, remote: Address) -> Flow:
        """The flow to any address, from the same socket where that can be (UDP)."""
        local = None
        if self.transport == "udp":
            local = self._flow.local if self._flow else None
            if local is None:
                local = self.transports.listen("udp", self.host, 0)
        return self.transports.flow(
            self.transport,
            remote,
            local=local,
            tls=self._tls,
            server_hostname=self._server_name,
        )

    def contact(self, user: str) -> str:
        """A Contact URI that leads to this agent's own socket (RFC 3261 section 8.1.1.8)."""
        suffix = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:{user}@{self.flow.local}{suffix}"

    # -- asking -----------------------------------------------------------------------------------

    def send(
        self, request: Request, *, challenged: bool = False, flow: Flow | None = None
    ) -> Exchange:
        """Send a request; what comes of it shows in the Exchange as the loop runs.

        `challenged`: it carries the first answer to a challenge. `flow` is where to, if it is not
        to the server that this agent was made for.
        """
        flow = flow or self.flow
        request.headers.set("User-Agent", USER_AGENT)
        exchange = Exchange(request, self.loop.now(), challenged)
        self._pending.append(exchange)

        def on_response(response: Response) -> None:
            self.answers += 1
            exchange.responses.append((self.loop.now(), response))
            if response.status >= 200 and exchange.ended is None:
                exchange.ended = self.loop.now()
            if exchange.on_response is not None:
                exchange.on_response(response)

        exchange.transaction = self.layer.request(
            request,
            flow,
            on_response=on_response,
            on_timeout=lambda: self.silent(exchange),
            on_error=lambda error: self._fail(exchange, self._of_error(error)),
        )
        return exchange

    def ask(
        self,
        request: Request,
        timeout: float,
        *,
        challenged: bool = False,
        flow: Flow | None = None,
    ) -> Exchange:
        """Send a request and wait for its final answer, or for what stands in its way."""
        exchange = self.send(request, challenged=challenged, flow=flow)
        if not self.loop.run_until(lambda: exchange.done, timeout):
            self.silent(exchange)
        return exchange

    def close(self) -> None:
        """Close every socket; what was not answered is forgotten."""
        for exchange in self._pending:
            if exchange.transaction:
                exchange.transaction.abandon()
        self.transports.close()

    # -- what goes wrong --------------------------------------------------------------------------

    def _fail(self, exchange: Exchange, failure: Failure) -> None:
        if not exchange.done:
            exchange.failure = failure
            exchange.ended = self.loop.now()
            if exchange.transaction:
                exchange.transaction.abandon()

    @property
    def _heard(self) -> bytes:
        """Bytes from the server that are no SIP. Half a line of SSH or HTTP never becomes a bad
        message, so what a connection brought counts too while no answer came of it."""
        if self._bad_data or self.answers:
            return self._bad_data
        return b"" if self._raw.lstrip().startswith(b"SIP/") else self._raw

    def silent(self, exchange: Exchange) -> None:
        """Nobody waits for its answer any longer: it failed, by silence."""
        failure = of_silence(
            round(self.loop.now() - exchange.sent, 1),
            heard=self._heard,
            connecting=self.transport != "udp" and self.opened is None,
            shaking_hands=self._flow is not None and self._flow.shaking_hands,
            challenged=exchange.challenged,
            answered=self.answers > 0,
            provisional=said(exchange.responses[-1][1]) if exchange.responses else "",
        )
        self._fail(exchange, failure)

    def _of_error(self, error: Exception) -> Failure:
        if self._heard:
            return of_bytes(self._heard)
        return of_error(
            error,
            transport=self.transport,
            open_before=self.opened is not None,
            answered=self.answers > 0,
        )

    def _bad(self, data: bytes, flow: Flow, _error: ParseError) -> None:
        """No SIP came. A connection ends with it; over UDP the real answer may still follow."""
        if flow.remote == self.remote:
            self._bad_data = self._bad_data or data
            if not flow.reliable:
                self.loop.call_later(GRACE, self._give_up, of_bytes(self._bad_data))

    def _give_up(self, failure: Failure) -> None:
        for exchange in self._pending:
            if not exchange.responses:
                self._fail(exchange, failure)

    def _seen(self, packet: Packet) -> None:
        if self.opened is None and packet.destination == self.remote:
            self.opened = self.loop.now()
        if self.transport != "udp" and packet.source == self.remote and not self.answers:
            self._raw = (self._raw + packet.data)[:512]
        if self.tap is not None:
            self.tap(packet)

    def _is_own(self, request: Request) -> bool:
        """Whether it is a request of this agent that came back as it went out: a proxy would have
        put a Via of its own on top."""
        branch = request.via.branch if "Via" in request.headers else None
        return branch is not None and any(
            branch == exchange.request.via.branch for exchange in self._pending
        )

    # -- being asked ------------------------------------------------------------------------------

    def _requested(
        self, transaction: ServerTransaction | None, request: Request, _flow: Flow
    ) -> None:
        if self._is_own(request):
            # Answered, the answer too would come back, and pass for the server's.
            self.loop.call_later(GRACE, self._give_up, Failure(cause("not-sip"), ECHO))
            return
        if self.on_request is not None and self.on_request(transaction, request):
            return
        if transaction is None:
            return
        if request.method == "OPTIONS":
            transaction.respond(response_to(request, 200, headers=[("Allow", ALLOW)]))
        elif request.method == "INVITE":
            transaction.respond(response_to(request, 486))
        elif request.method in ("BYE", "CANCEL", "NOTIFY", "INFO", "UPDATE", "PRACK"):
            transaction.respond(response_to(request, 481))
        elif request.method == "MESSAGE":
            transaction.respond(response_to(request, 200))
        else:
            transaction.respond(response_to(request, 405, headers=[("Allow", ALLOW)]))
