"""Forwarding requests (RFC 3261 section 16): to registered contacts, along routes, to addresses."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labtool.sandbox.contact_correction import correct_answer, correct_request
from labtool.sandbox.fork import Branch, Fork
from labtool.sandbox.registrar import Binding, Registrar, aor_of
from labtool.sandbox.settings import Settings
from labtool.sandbox.topology import Topology, place
from labtool.sip.address import NameAddr
from labtool.sip.errors import ParseError, SipError
from labtool.sip.flow import Address, Flow
from labtool.sip.message import Request, Response, response_to
from labtool.sip.transaction import ServerTransaction, TransactionLayer
from labtool.sip.transport import Transports
from labtool.sip.uri import OtherUri, SipUri, parse_uri

__all__ = ["Proxy", "Unroutable"]

# Requests that begin a dialog, or may: their Record-Route keeps us in it.
_ADDED = 200  # bytes that our Via and Record-Route add, about
_DIALOG = frozenset({"INVITE", "SUBSCRIBE", "REFER", "NOTIFY"})


class Unroutable(Exception):
    """There is nowhere to send the request; it is answered with `status`."""

    def __init__(self, status: int, reason: str | None = None) -> None:
        super().__init__(reason or str(status))
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Way:
    """How to reach a next hop: makes the flow. `fallback` is for when that one fails."""

    first: Callable[[], Flow]
    fallback: Callable[[], Flow] | None = None


@dataclass(frozen=True)
class Target:
    """Where one copy goes: its Request-URI, the way there, and the routes that it carries."""

    uri: str
    way: Way
    routes: tuple[str, ...] = ()
    binding: Binding | None = None


class Proxy:
    """Forwards what is not for the server itself."""

    def __init__(
        self,
        settings: Settings,
        topology: Topology,
        transports: Transports,
        layer: TransactionLayer,
        registrar: Registrar,
        server_header: str,
    ) -> None:
        self._settings = settings
        self._topology = topology
        self._transports = transports
        self._layer = layer
        self._registrar = registrar
        self._server_header = server_header
        self._tls: ssl.SSLContext | None = None
        self._forks: dict[ServerTransaction, Fork] = {}

    # -- requests -----------------------------------------------------------------------------

    def forward(
        self, server: ServerTransaction, request: Request, flow: Flow, credentials: str | None
    ) -> None:
        """Forward a request that may go on, without the `credentials` that were meant for us.
        Raises Unroutable, and ParseError for a route that is none."""
        copy = self._prepared(request, flow)
        if credentials is not None:
            _drop_value(copy, "Proxy-Authorization", credentials)
        targets = self._targets(copy)
        if server.is_invite:
            server.respond(response_to(request, 100, headers=(("Server", self._server_header),)))
        fork = Fork(
            self._layer.loop,
            server,
            self._settings.fork_timeout,
            self._forget,
            self._server_header,
        )
        self._forks[server] = fork
        branches = [fork.add() for _ in targets]
        for target, branch in zip(targets, branches, strict=True):
            outgoing = copy.copy()
            self._address(outgoing, target)
            self._start(fork, branch, outgoing, target, target.way.first, target.way.fallback)

    def forward_ack(self, request: Request, flow: Flow) -> None:
        """The ACK to a 2xx goes its way without a transaction, and is never answered."""
        try:
            copy = self._prepared(request, flow)
            target = self._targets(copy)[0]
            self._address(copy, target)
            out = target.way.first()
        except (Unroutable, SipError, OSError):
            return
        self._layer.send(copy, out, sent_by=self._topology.point_of(out).sent_by)

    def cancel(self, invite: ServerTransaction) -> None:
        """A CANCEL came for this INVITE."""
        fork = self._forks.get(invite)
        if fork is not None:
            fork.cancel()

    @property
    def pending(self) -> int:
        """How many requests wait for their answers."""
        return len(self._forks)

    def _forget(self, fork: Fork) -> None:
        self._forks.pop(fork.server, None)

    # -- the next hop -------------------------------------------------------------------------

    def _prepared(self, request: Request, flow: Flow) -> Request:
        """A copy without what was for us: 16.4, and the Max-Forwards of 16.6 step 3."""
        copy = request.copy()
        headers = copy.headers
        routes = headers.all("Route")
        uri = parse_uri(copy.uri)
        if routes and isinstance(uri, SipUri) and "lr" in uri.params and self._topology.is_us(uri):
            # The caller is a strict router: it has put our Record-Route into the Request-URI.
            copy.uri = str(NameAddr.parse(routes.pop()).uri)
        while routes and self._is_us(routes[0]):
            routes.pop(0)
        headers.remove("Route")
        for route in routes:
            headers.add("Route", route)
        hops = headers.get("Max-Forwards")
        headers.set("Max-Forwards", str(int(hops) - 1) if hops and hops.isdigit() else "69")
        if self._settings.correct_contacts:
            correct_request(copy, flow)
        return copy

    def _is_us(self, route: str) -> bool:
        uri = NameAddr.parse(route).uri
        return isinstance(uri, SipUri) and self._topology.is_us(uri)

    def _targets(self, request: Request) -> list[Target]:
        """At least one target; raises Unroutable."""
        uri = parse_uri(request.uri)
        routes = tuple(request.headers.all("Route"))
        if routes:
            hop = NameAddr.parse(routes[0]).uri
            return [Target(request.uri, self._way_to(hop, request), routes)]
        if not isinstance(uri, SipUri):
            raise Unroutable(416)
        if self._is_address_of_record(uri, request):
            aor = aor_of(uri)
            bindings = self._registrar.lookup(aor) if aor is not None else []
            if not bindings:
                raise Unroutable(404)
            return [self._to_binding(binding, request) for binding in bindings]
        if self._topology.is_us(uri):
            # Flexisip would send it to itself and then see that it had been there before.
            raise Unroutable(482)
        return [Target(request.uri, self._way_to(uri, request))]

    def _is_address_of_record(self, uri: SipUri, request: Request) -> bool:
        """Whether the location service knows where to. In a domain that is an address (or `*`), a
        device's contact looks the same: its port tells it, and that it is used within a dialog."""
        if not self._settings.registrar.serves(uri.host):
            return False
        if uri.port is not None and uri.port not in self._topology.ports:
            return False
        return request.to.tag is None or self._topology.is_us(uri)

    def _binding_at(self, response: Response, remote: Address) -> Binding | None:
        """What whoever answered a request within a dialog has registered: his answer to a re-INVITE
        names his contact anew, and the caller's next request goes there."""
        try:
            aor = aor_of(response.to.uri)
        except ParseError:
            return None
        for binding in self._registrar.lookup(aor) if aor is not None else ():
            if binding.source is not None and binding.source.remote == remote:
                return binding
        return None

    def _to_binding(self, binding: Binding, request: Request) -> Target:
        source = binding.source
        if binding.path:
            way = self._way_to(NameAddr.parse(binding.path[0]).uri, request)
            return Target(binding.contact, way, binding.path, binding)
        if source is not None and source.transport != "udp":
            connection = self._transports.find(source.transport, source.remote)
            if connection is not None:
                return Target(binding.contact, Way(lambda: connection), (), binding)
        if source is not None and source.transport == "udp" and binding.behind_nat:
            return Target(binding.contact, Way(self._udp(source.remote, source.local)), (), binding)
        local = source.local if source is not None and source.transport == "udp" else None
        return Target(binding.contact, self._way_to(binding.uri, request, local), (), binding)

    def _way_to(
        self, uri: SipUri | OtherUri, request: Request, local: Address | None = None
    ) -> Way:
        """Raises Unroutable for what is no SIP URI or has a host name."""
        if not isinstance(uri, SipUri):
            raise Unroutable(416)
        found = place(uri)
        if found is None:
            # What sofia-sip, on which Flexisip stands, says of a name that does not resolve.
            raise Unroutable(503, "DNS Error")
        transport, address = found
        if transport == "udp":
            way = self._udp(address, local)
            if len(request.to_bytes()) + _ADDED <= self._settings.udp_mtu:
                return Way(way)
            # 18.1.1: too large for one datagram. Who doesn't listen on TCP gets it all the same.
            return Way(lambda: self._transports.flow("tcp", address), way)
        if transport == "tcp":
            return Way(lambda: self._transports.flow("tcp", address))
        return Way(
            lambda: self._transports.flow(
                "tls", address, tls=self._client_tls(), server_hostname=uri.host
            )
        )

    def _udp(self, remote: Address, local: Address | None) -> Callable[[], Flow]:
        local = local or self._topology.local_for("udp", remote)
        return lambda: self._transports.flow("udp", remote, local=local)

    def _client_tls(self) -> ssl.SSLContext:
        if self._tls is None:
            ca = self._settings.ca_file
            known = ca if ca and Path(ca).is_file() else None
            self._tls = ssl.create_default_context(cafile=known)
        return self._tls

    # -- sending ------------------------------------------------------------------------------

    @staticmethod
    def _address(request: Request, target: Target) -> None:
        request.uri = target.uri
        request.headers.remove("Route")
        for route in target.routes:
            request.headers.add("Route", route)

    def _start(
        self,
        fork: Fork,
        branch: Branch,
        request: Request,
        target: Target,
        way: Callable[[], Flow],
        fallback: Callable[[], Flow] | None,
    ) -> None:
        def failed(_: Exception) -> None:
            if fallback is not None:
                self._start(fork, branch, request, target, fallback, None)
            else:
                # 21.4.18: the user is known, and there is no valid way to him just now.
                fork.failed(branch, 480)

        def responded(response: Response) -> None:
            if self._settings.correct_contacts and "Contact" in response.headers:
                binding = target.binding or self._binding_at(response, out.remote)
                if binding is not None:
                    correct_answer(response, binding)
            fork.responded(branch, response)

        try:
            out = way()
        except (SipError, OSError) as error:
            self._layer.loop.call_soon(failed, error)
            return
        outgoing = request.copy()
        point = self._topology.point_of(out)
        if request.method in _DIALOG:
            came = self._topology.point_of(fork.server.flow)
            outgoing.headers.insert("Record-Route", came.record_route)
            if came is not point:
                # RFC 5658: each side must find its own way back to us.
                outgoing.headers.insert("Record-Route", point.record_route)
        branch.transaction = self._layer.request(
            outgoing,
            out,
            on_response=responded,
            on_timeout=lambda: fork.failed(branch, 408),
            on_error=failed,
            sent_by=point.sent_by,
        )


def _drop_value(request: Request, name: str, value: str) -> None:
    others = [line for line in request.headers.lines(name) if line != value]
    request.headers.remove(name)
    for line in others:
        request.headers.add(name, line)
