"""Small servers on the probe's own loop, each with one fault to show."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from labtool.probe.session import Setting
from labtool.sip.digest import Challenge, Credentials, ha1, verify
from labtool.sip.flow import Address, Flow, Packet
from labtool.sip.loop import Loop
from labtool.sip.message import Request, Response, response_to
from labtool.sip.timers import Timers
from labtool.sip.transaction import ServerTransaction, TransactionLayer
from labtool.sip.transport import Transports

DOMAIN = "sip.example.test"
PASSWORDS = {"alice": "wonderland", "bob": "builder"}

Answerer = Callable[["FakeServer", ServerTransaction, Request], Response | None]


@dataclass
class FakeServer:
    """A registrar with digest. `answer` may be replaced: it returns the response, or None for
    silence. Everything that came is in `requests`."""

    loop: Loop
    transport: str = "udp"
    host: str = "127.0.0.1"
    algorithms: tuple[str, ...] = ("MD5",)
    tls: Any = None
    answer: Answerer = field(default=lambda server, _t, request: server.usual(request))
    requests: list[Request] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)
    bindings: dict[str, dict[str, str]] = field(default_factory=dict)
    nonces: dict[str, int] = field(default_factory=dict)

    def start(self) -> FakeServer:
        self.transports = Transports(self.loop)
        self.layer = TransactionLayer(self.loop, self.transports, on_request=self._requested)
        self.address = self.transports.listen(self.transport, self.host, 0, tls=self.tls)
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
        signed = request.headers.get("Authorization")
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
        headers = [
            ("WWW-Authenticate", str(Challenge(DOMAIN, nonce, algorithm, stale=stale)))
            for algorithm in self.algorithms
        ]
        return response_to(request, 401, headers=headers)

    def registered(self, request: Request) -> Response:
        user = request.to.uri.user or ""
        mine = self.bindings.setdefault(user, {})
        for value in request.headers.all("Contact"):
            assert value != "*", "the probe must never send Contact: *"
            uri, _, rest = value.partition(">")
            if "expires=0" in rest:
                mine.pop(uri + ">", None)
            else:
                mine[uri + ">"] = rest
        contacts = [("Contact", uri + rest) for uri, rest in mine.items()]
        return response_to(request, 200, "Registration successful", headers=contacts)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def seen() -> list[Packet]:
    return []


@pytest.fixture
def setting(loop: Loop, seen: list[Packet]) -> Setting:
    """Impatient: a step waits 0.6 s, the first repetition comes after 0.1 s."""
    return Setting(timeout=0.6, tap=seen.append, loop=loop, timers=Timers(t1=0.1))


@pytest.fixture
def fake(loop: Loop) -> Iterator[Callable[..., FakeServer]]:
    servers: list[FakeServer] = []

    def make(**how: Any) -> FakeServer:
        server = FakeServer(loop, **how).start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def address() -> type[Address]:
    return Address
