"""The transaction layer (RFC 3261 section 17, RFC 6026): requests to their answers and back.

The four machines are in `client_transaction.py` and `server_transaction.py`; here is how a message
finds its transaction, and what is added to and read from Via on the way (RFC 3581).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from itertools import islice

from labtool.sip.client_transaction import ClientTransaction
from labtool.sip.errors import ParseError
from labtool.sip.flow import Address
from labtool.sip.message import Request, Response
from labtool.sip.server_transaction import ServerTransaction
from labtool.sip.timers import Timers
from labtool.sip.via import MAGIC_COOKIE, Via

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from labtool.sip.flow import Flow
    from labtool.sip.loop import Loop, Timer
    from labtool.sip.message import Message
    from labtool.sip.transport import Transports

    OnRequest: TypeAlias = Callable[["ServerTransaction | None", Request, Flow], object]

__all__ = ["ClientTransaction", "ServerTransaction", "Timers", "TransactionLayer", "new_branch"]


def new_branch() -> str:
    """A branch parameter that no other request has (RFC 3261 section 8.1.1.7)."""
    return MAGIC_COOKIE + os.urandom(10).hex()


def _nothing(*_: object) -> None:
    """Nobody is interested."""


class TransactionLayer:
    """Takes over `on_message` of `transports`.

    `on_request(transaction, request, flow)`: a request came for the first time; the transaction is
    None for an ACK that belongs to a 2xx (or to nothing). By then its top Via has `received` and
    `rport` as RFC 3581 wants them. `on_stray_response(response, flow)`: nobody asked for it.
    """

    def __init__(
        self,
        loop: Loop,
        transports: Transports,
        *,
        timers: Timers | None = None,
        on_request: OnRequest = _nothing,
        on_stray_response: Callable[[Response, Flow], object] = _nothing,
        max_servers: int = 10_000,
        max_absorbed: int = 6_000,
    ) -> None:
        self.loop = loop
        self.transports = transports
        self.timers = timers or Timers()
        self.on_request = on_request
        self.on_stray_response = on_stray_response
        self.refused = 0  # requests that found too many others before them
        self._max_servers = max_servers
        self._max_absorbed = max_absorbed
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._servers: dict[object, ServerTransaction] = {}
        # Answered non-INVITE transactions (Timer J) are most of a registrar's memory. All wait
        # equally long, so a queue of the bare answers does, with one timer for all of them.
        self._absorbed: OrderedDict[object, tuple[float, bytes, Flow]] = OrderedDict()
        self._sweep: Timer | None = None
        transports.events.on_message = self.received
        self._closed_before = transports.events.on_closed
        transports.events.on_closed = self._flow_closed

    # -- sending ------------------------------------------------------------------------------

    def request(
        self,
        req: Request,
        flow: Flow,
        *,
        on_response: Callable[[Response], object],
        on_timeout: Callable[[], object] = _nothing,
        on_error: Callable[[Exception], object] = _nothing,
        branch: str | None = None,
        sent_by: str | None = None,
    ) -> ClientTransaction:
        """Send a request, with a Via put on top of those it has, and see it through.

        `on_response(response)` gets every provisional response and the final one; for INVITE every
        2xx, repeated ones too, since each needs its ACK from the caller. An ACK to any other final
        response is sent here. `on_timeout()`: nothing final came in 64*T1. `on_error(exception)`:
        the transport failed. `branch` and `sent_by` ("host" or "host:port") replace the usual ones.
        """
        branch = branch or new_branch()
        req.headers.insert("Via", self._via(flow, branch, sent_by))
        key = (branch, req.method)
        client = ClientTransaction(self, key, req, flow, on_response, on_timeout, on_error)
        self._clients[key] = client
        client.start()
        return client

    def send(
        self, req: Request, flow: Flow, *, branch: str | None = None, sent_by: str | None = None
    ) -> None:
        """Send a request that has no transaction: the ACK to a 2xx."""
        req.headers.insert("Via", self._via(flow, branch or new_branch(), sent_by))
        flow.send(req.to_bytes())

    def _via(self, flow: Flow, branch: str, sent_by: str | None) -> str:
        if sent_by is None:
            sent_by = str(flow.local)
        return f"SIP/2.0/{flow.transport.upper()} {sent_by};rport;branch={branch}"

    def _cancelling(self, invite: ClientTransaction, cancel: Request) -> None:
        key = (invite.branch, "CANCEL")
        client = ClientTransaction(self, key, cancel, invite.flow, _nothing, _nothing, _nothing)
        self._clients[key] = client
        client.start()

    # -- receiving ----------------------------------------------------------------------------

    def received(self, message: Message, flow: Flow) -> None:
        """A message from the network (what `Transports.on_message` calls)."""
        if isinstance(message, Request):
            self._received_request(message, flow)
        elif isinstance(message, Response):
            self._received_response(message, flow)

    def _received_response(self, response: Response, flow: Flow) -> None:
        try:
            branch = response.via.branch or ""
            method = response.cseq[1]
        except ParseError:
            return  # without a Via and a CSeq it is nobody's (18.1.2)
        client = self._clients.get((branch, method))
        if client is None:
            self.on_stray_response(response, flow)
        else:
            client.received(response)

    def _received_request(self, request: Request, flow: Flow) -> None:
        try:
            via = request.via
        except ParseError:
            return  # there is no way back to an answer (8.2.6.2)
        key = self._server_key(request, via, request.method)
        absorbed = self._absorbed.get(key)
        if absorbed is not None:
            absorbed[2].send(absorbed[1])
            return
        server = self._servers.get(key)
        if server is not None:
            if request.method != "ACK":
                server.retransmitted()
            elif server.state == "accepted":
                self.on_request(None, request, flow)
            else:
                server.acknowledged()
            return
        marked = self._mark_via(request, via, flow)
        if request.method == "ACK":
            self.on_request(None, request, flow)
            return
        if len(self._servers) >= self._max_servers and not self._make_room():
            self.refused += 1
            return
        out = self._way_back(via, flow)
        server = self._servers[key] = ServerTransaction(self, key, request, flow, marked, out)
        self.on_request(server, request, flow)

    def _make_room(self) -> bool:
        """Forget an answered INVITE whose ACK is missing, so that a flood of them keeps nobody
        out; False where all of the oldest still wait for their answer."""
        for server in islice(self._servers.values(), 100):
            if server.answered:
                server.terminate()
                return True
        return False

    def invite_of(self, cancel: Request) -> ServerTransaction | None:
        """The INVITE that a CANCEL is for (RFC 3261 section 9.2), if it is still here."""
        return self._servers.get(self._server_key(cancel, cancel.via, "INVITE"))

    @staticmethod
    def _server_key(request: Request, via: Via, method: str) -> object:
        """RFC 3261 section 17.2.3; below it, the rule for peers older than that."""
        method = "INVITE" if method == "ACK" else method
        branch = via.branch
        if branch is not None and branch.startswith(MAGIC_COOKIE):
            return (branch, via.host, via.port, method)
        headers = request.headers
        try:
            number, tag = request.cseq[0], request.from_.tag
        except ParseError:
            number, tag = 0, None
        return (request.uri, tag, headers.get("Call-ID"), number, via.host, via.port, method)

    @staticmethod
    def _mark_via(request: Request, via: Via, flow: Flow) -> Via:
        """RFC 3261 section 18.2.1 and RFC 3581 section 4: what the sender can't know of itself."""
        remote = flow.remote
        if not via.wants_rport and via.host == remote.host:
            return via
        params = {**via.params, "received": remote.host}
        if via.wants_rport:
            params["rport"] = str(remote.port)
        via = Via(via.transport, via.host, via.port, params, via.version)
        request.headers.replace_first("Via", str(via))
        return via

    def _way_back(self, via: Via, flow: Flow) -> Flow:
        """RFC 3261 section 18.2.2. `maddr` is not followed: anyone may write it into a Via, and
        so have answers sent to whom he likes."""
        if flow.reliable:
            if flow.alive or flow.secure:
                return flow
        elif via.wants_rport or (via.port or 5060) == flow.remote.port:
            return flow
        port = via.port or 5060
        local = None if flow.reliable else flow.local
        return self.transports.flow(flow.transport, Address(flow.remote.host, port), local=local)

    # -- the end of things --------------------------------------------------------------------

    def _flow_closed(self, flow: Flow, reason: Exception | None) -> None:
        error = reason or ConnectionResetError("the peer closed the connection")
        for client in [c for c in self._clients.values() if c.flow == flow]:
            client.failed(error)
        if self._closed_before is not None:
            self._closed_before(flow, reason)

    def _forget_client(self, client: ClientTransaction) -> None:
        if self._clients.get(client.key) is client:
            del self._clients[client.key]

    def _forget_server(self, server: ServerTransaction) -> None:
        if self._servers.get(server.key) is server:
            del self._servers[server.key]

    def _absorb(self, server: ServerTransaction, data: bytes) -> None:
        """A non-INVITE request was answered: keep the answer for Timer J, drop the rest."""
        server.state = "completed"
        self._servers.pop(server.key, None)
        if server._out.reliable:
            return  # Timer J is 0
        absorbed = self._absorbed
        absorbed[server.key] = (self.loop.now() + self.timers.patience, data, server._out)
        if len(absorbed) > self._max_absorbed:
            absorbed.popitem(last=False)
        if self._sweep is None:
            self._sweep = self.loop.call_later(self.timers.patience, self._forget_absorbed)

    def _forget_absorbed(self) -> None:
        self._sweep = None
        absorbed, now = self._absorbed, self.loop.now()
        while absorbed:
            key = next(iter(absorbed))
            if absorbed[key][0] > now:
                wait = max(absorbed[key][0] - now, self.timers.patience / 32)
                self._sweep = self.loop.call_later(wait, self._forget_absorbed)
                return
            del absorbed[key]

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many client, unanswered or lingering server, and answered transactions there are."""
        return len(self._clients), len(self._servers), len(self._absorbed)
