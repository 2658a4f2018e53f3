"""Small servers on the probe's own loop, each with one fault to show."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from labtool.sip.digest import Challenge, Credentials, ha1, verify
from labtool.sip.flow import Address, Flow
from labtool.sip.loop import Loop
from labtool.sip.message import Message, Request, Response, response_to
from labtool.sip.sdp import SessionDescription
from labtool.sip.transaction import ServerTransaction, TransactionLayer
from labtool.sip.transport import Transports
from labtool.sip.uri import SipUri

DOMAIN = "sip.example.test"
PASSWORDS = {"alice": "wonderland", "bob": "builder"}

Answerer = Callable[["FakeServer", ServerTransaction, Request], Response | None]


@dataclass
class FakeServer:
    """A registrar with digest. `answer` may be replaced: it returns the response, or None for
    silence. Everything that came is in `requests`."""

    loop: Loop
    transport: str = "udp"
    also: str | None = None  # a second transport, on the same port
    host: str = "127.0.0.1"
    algorithms: tuple[str, ...] = ("MD5",)
    tls: Any = None
    answer: Answerer = field(default=lambda server, _t, request: server.usual(request))
    requests: list[Request] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)
    bindings: dict[str, dict[str, str]] = field(default_factory=dict)
    nonces: dict[str, int] = field(default_factory=dict)
    ways: dict[str, Flow] = field(default_factory=dict)  # contact "host:port" -> where it came from

    def start(self) -> FakeServer:
        self.transports = Transports(self.loop)
        self.layer = TransactionLayer(self.loop, self.transports, on_request=self._requested)
        self.address = self.transports.listen(self.transport, self.host, 0, tls=self.tls)
        if self.also:
            self.transports.listen(self.also, self.host, self.address.port)
        return self

    @property
    def target(self) -> str:
        return str(self.address)

    def _requested(
        self, transaction: ServerTransaction | None, request: Request, flow: Flow
    ) -> None:
        self.requests.append(request)
        self.flows.append(flow)
        if transaction is not None:
            response = self.answer(self, transaction, request)
            if response is not None:
                transaction.respond(response)

    def stop(self) -> None:
        self.transports.close()

    # -- what a right server does -----------------------------------------------------------------

    def usual(self, request: Request) -> Response | None:
        if request.method == "OPTIONS":
            return response_to(request, 200, headers=[("Server", "fake/1")])
        if request.method == "REGISTER":
            if request.to.uri.host != DOMAIN:
                return response_to(request, 403, "Domain forbidden")
            return self.challenge(request) or self.registered(request)
        return response_to(request, 405)

    def challenge(self, request: Request, *, stale: bool = False) -> Response | None:
        """The 401 that is due, or None where the request is signed as it should be."""
        proxy = request.method != "REGISTER"
        signed = request.headers.get("Proxy-Authorization" if proxy else "Authorization")
        if signed and not stale:
            credentials = Credentials.parse(signed)
            if credentials.nonce in self.nonces:
                password = PASSWORDS.get(credentials.username, secrets.token_hex(8))
                right = verify(
                    credentials,
                    method=request.method,
                    ha1=ha1(credentials.username, DOMAIN, password, credentials.algorithm),
                )
                fresh = (credentials.nc or 0) > self.nonces[credentials.nonce]
                self.nonces[credentials.nonce] = credentials.nc or 0
                if not right:
                    return response_to(request, 403)
                if fresh:
                    return None
        nonce = secrets.token_hex(8)
        self.nonces[nonce] = 0
        name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        headers = [
            (name, str(Challenge(DOMAIN, nonce, algorithm, stale=stale)))
            for algorithm in self.algorithms
        ]
        return response_to(request, 407 if proxy else 401, headers=headers)

    def registered(self, request: Request) -> Response:
        user = request.to.uri.user or ""
        mine = self.bindings.setdefault(user, {})
        for value in request.headers.all("Contact"):
            assert value != "*", "the probe must never send Contact: *"
            uri, _, rest = value.partition(">")
            place = SipUri.parse(uri[1:])
            self.ways[f"{place.host}:{place.port}"] = self.flows[-1]
            if "expires=0" in rest:
                mine.pop(uri + ">", None)
            else:
                mine[uri + ">"] = rest
        contacts = [("Contact", uri + rest) for uri, rest in mine.items()]
        return response_to(request, 200, "Registration successful", headers=contacts)


Rewrite = Callable[[bytes, str], bytes]


@dataclass
class FakeProxy(FakeServer):
    """A proxy that stays in the path. The faults: `drop` (methods that are not forwarded),
    `deaf` (statuses that are not passed back), `record_route` (the address to name there),
    `rewrite` (what becomes of SDP on its way to "callee" or "caller"), `change` (the same for
    whole messages)."""

    drop: tuple[str, ...] = ()
    deaf: tuple[int, ...] = ()
    record_route: str | None = None
    device: int = 0  # which of a user's contacts rings
    rewrite: Rewrite = field(default=lambda body, _to: body)
    change: Callable[[Message, str], None] = field(default=lambda message, _to: None)
    clients: dict[str, Any] = field(default_factory=dict)

    def start(self) -> FakeProxy:
        super().start()
        self.answer = lambda _server, transaction, request: self._proxied(transaction, request)
        self.layer.on_request = self._any
        return self

    def _any(self, transaction: ServerTransaction | None, request: Request, flow: Flow) -> None:
        if transaction is None and request.method == "ACK":
            self.requests.append(request)
            self._forward(None, request)
        else:
            self._requested(transaction, request, flow)

    def _proxied(self, transaction: ServerTransaction, request: Request) -> Response | None:
        if request.method in ("REGISTER", "OPTIONS"):
            return self.usual(request)
        if request.method == "CANCEL":
            client = self.clients.get(request.call_id)
            if client:
                client.cancel()
            return response_to(request, 200)
        if request.to.tag is None:
            challenge = self.challenge(request)
            if challenge:
                return challenge
            contacts = list(self.bindings.get(SipUri.parse(request.uri).user or "", {}))
            if not contacts:
                return response_to(request, 404)
            transaction.respond(response_to(request, 100))
            self._forward(transaction, request, contacts[self.device][1:-1])
        else:
            self._forward(transaction, request)
        return None

    def _forward(
        self, transaction: ServerTransaction | None, request: Request, uri: str | None = None
    ) -> None:
        if request.method in self.drop:
            return
        ahead = request.copy()
        ahead.headers.remove("Route")
        ahead.uri = uri or ahead.uri
        place = SipUri.parse(ahead.uri)
        if uri:
            route = self.record_route or str(self.address)
            ahead.headers.insert("Record-Route", f"<sip:{route};lr>")
        if ahead.body:
            ahead.body = self.rewrite(ahead.body, "callee")
        self.change(ahead, "callee")
        flow = self.ways.get(f"{place.host}:{place.port}")
        if flow is None:
            return
        if transaction is None:
            self.layer.send(ahead, flow)
            return

        def back(response: Response) -> None:
            if response.status == 100 or response.status in self.deaf:
                return
            again = response.copy()
            again.headers.remove_first("Via")
            if again.body:
                again.body = self.rewrite(again.body, "caller")
            self.change(again, "caller")
            transaction.respond(again)

        self.clients[request.call_id] = self.layer.request(ahead, flow, on_response=back)


class Relay:
    """A media relay: what comes from one side goes to the other through `change`."""

    def __init__(
        self, loop: Loop, change: Callable[[bytes, str], bytes | None] = lambda data, _to: data
    ) -> None:
        self.loop = loop
        self.change = change
        self.socks: dict[str, socket.socket] = {}
        self.peers: dict[str, Address] = {}
        for side in ("caller", "callee"):
            sock = self.socks[side] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.bind(("127.0.0.1", 0))
            loop.add_reader(sock, lambda s=side: self._readable(s))

    def rewrite(self, body: bytes, to: str) -> bytes:
        """For FakeProxy.rewrite: `to` gets the relay's address in place of the other's."""
        description = SessionDescription.parse(body)
        section = description.media[0]
        other = "caller" if to == "callee" else "callee"
        self.peers[other] = Address(section.connection or "", section.port)
        mine = self.socks[to].getsockname()[1]
        return body.replace(f"m=audio {section.port} ".encode(), f"m=audio {mine} ".encode())

    def _readable(self, side: str) -> None:
        other = "caller" if side == "callee" else "callee"
        while True:
            try:
                data = self.socks[side].recv(2048)
            except OSError:
                return
            changed = self.change(data, other)
            if changed is not None and other in self.peers:
                self.socks[other].sendto(changed, self.peers[other].sockaddr())

    def close(self) -> None:
        for sock in self.socks.values():
            self.loop.remove_reader(sock)
            sock.close()
