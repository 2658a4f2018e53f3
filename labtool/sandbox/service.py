"""What is done with each request: judged, authenticated, then registered or forwarded."""

from __future__ import annotations

from labtool import __version__
from labtool.sandbox.authentication import Answer, Authenticator, Passed
from labtool.sandbox.contact_correction import is_behind_nat
from labtool.sandbox.journal import Journal
from labtool.sandbox.proxy import Proxy, Unroutable
from labtool.sandbox.registrar import Registrar, Source, aor_of
from labtool.sandbox.settings import Settings
from labtool.sandbox.topology import Topology
from labtool.sip.errors import SipError
from labtool.sip.flow import Flow
from labtool.sip.message import Request, response_to
from labtool.sip.transaction import ServerTransaction, TransactionLayer
from labtool.sip.uri import OtherUri, SipUri, parse_uri
from labtool.sip.validation import Server as Judge
from labtool.sip.validation import verdict

__all__ = ["SERVER", "Service"]

SERVER = f"labtool-sandbox/{__version__}"
_ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, MESSAGE, INFO, PRACK, UPDATE, REFER, NOTIFY"
_EXTENSIONS = frozenset({"path", "outbound", "gruu"})


class Service:
    """The order in which Flexisip's modules see a request. `serve` may raise SandboxRefusal, where
    a login makes the users file be read again and it is broken."""

    def __init__(
        self,
        settings: Settings,
        topology: Topology,
        layer: TransactionLayer,
        authenticator: Authenticator,
        registrar: Registrar,
        proxy: Proxy,
        journal: Journal,
    ) -> None:
        self._settings = settings
        self._topology = topology
        self._layer = layer
        self._authenticator = authenticator
        self._registrar = registrar
        self._proxy = proxy
        self._journal = journal
        self._judge = Judge(
            role="proxy", extensions=_EXTENSIONS, own=topology.own_vias, content_types=None
        )

    def serve(self, server: ServerTransaction | None, request: Request, flow: Flow) -> None:
        """One request; None for an ACK that acknowledges a 2xx."""
        if server is None:
            if verdict(request, self._judge).fine:
                self._proxy.forward_ack(request, flow)
            return
        try:
            self._serve(server, request, flow)
        except Unroutable as unroutable:
            self._answer(server, unroutable.status, unroutable.reason, why="no way to go")
        except SipError as error:
            self._answer(server, 400, None, why=str(error))

    def _serve(self, server: ServerTransaction, request: Request, flow: Flow) -> None:
        passed: Passed | None = None
        judged_as = request
        if request.method == "REGISTER" and _plainly_sound(request):
            # 8.2: who is asking comes before what he asks. Half of a registrar's requests bear no
            # credentials, and those of the rest need not be read twice.
            passed = self._authenticate(server, request, flow)
            if passed is None:
                return
            judged_as = request.copy()
            judged_as.headers.remove("Authorization")
        judged = verdict(judged_as, self._judge)
        if judged.drop:
            server.terminate()
            return
        if judged.status is not None:
            self._answer(server, judged.status, None, judged.headers, judged.reason)
            return
        if request.method == "CANCEL":
            self._cancel(server, request)
            return
        if request.method == "OPTIONS" and self._is_the_server(parse_uri(request.uri)):
            self._answer(server, 200, None, (("Allow", _ALLOW),))
            return
        passed = passed or self._authenticate(server, request, flow)
        if passed is None:
            return
        if request.method == "REGISTER":
            to = request.to.uri
            if isinstance(to, SipUri) and self._settings.registrar.serves(to.host):
                self._register(server, to, flow, passed.user.aor if passed.user else None)
                return
        self._proxy.forward(server, request, flow, passed.credentials)

    def _authenticate(
        self, server: ServerTransaction, request: Request, flow: Flow
    ) -> Passed | None:
        """None where the request was answered."""
        passed = self._authenticator.judge(request, flow)
        if isinstance(passed, Answer):
            self._answer(server, passed.status, passed.reason, passed.headers, passed.why)
            return None
        return passed

    def _is_the_server(self, uri: SipUri | OtherUri) -> bool:
        if not isinstance(uri, SipUri) or uri.user is not None:
            return False
        return self._topology.is_us(uri) or self._settings.registrar.serves(uri.host)

    def _register(
        self, server: ServerTransaction, to: SipUri, flow: Flow, user: str | None
    ) -> None:
        aor = aor_of(to)
        if aor is None:
            self._answer(server, 404, None, why="the To of a REGISTER names no user")
            return
        if user is not None and user != aor:
            # 10.3 step 4: to have a password is not to be allowed to move others' calls.
            self._answer(server, 403, "Forbidden", why=f"{user} may not register {aor}")
            return
        request, via = server.request, server.via
        source = Source.of(flow) if len(request.headers.all("Via")) == 1 else None
        correct = self._settings.correct_contacts

        def behind_nat(contact: SipUri) -> bool:
            return correct and is_behind_nat(contact, via, flow)

        result = self._registrar.register(aor, request, source, behind_nat)
        self._answer(server, result.status, result.reason, result.headers)
        for contact in result.added:
            self._journal.write("registered", aor=aor, contact=contact, source=str(flow.remote))
        for contact in result.removed:
            self._journal.write("unregistered", aor=aor, contact=contact)

    def _cancel(self, server: ServerTransaction, request: Request) -> None:
        invite = self._layer.invite_of(request)
        if invite is None:
            self._answer(server, 481, None, why="there is no such INVITE")
            return
        self._answer(server, 200, None)
        self._proxy.cancel(invite)

    def _answer(
        self,
        server: ServerTransaction,
        status: int,
        reason: str | None,
        headers: tuple[tuple[str, str], ...] = (),
        why: str = "",
    ) -> None:
        response = response_to(
            server.request, status, reason, headers=(("Server", SERVER), *headers)
        )
        if self._journal.on:
            self._journal.answer(server.request, server.flow, status, response.reason, why)
        server.respond(response)


def _plainly_sound(request: Request) -> bool:
    """Whether a REGISTER is well enough formed to be answered 401 or 403; what else may be wrong
    with it is for `verdict` to say. Raises ParseError."""
    headers = request.headers
    return (
        not request.defects
        and request.version == "SIP/2.0"
        and request.cseq[1] == "REGISTER"
        and bool(headers.get("Call-ID") and headers.get("To"))
        and headers.get("Max-Forwards") != "0"
    )
