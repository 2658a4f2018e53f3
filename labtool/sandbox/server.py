"""The sandbox: a registrar and proxy that reads Flexisip's files and behaves as Flexisip does."""

from __future__ import annotations

import errno
import os
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import IO

from labtool import __version__
from labtool.flexisip import conf as flexisip_conf
from labtool.flexisip.findings import Refusal
from labtool.flexisip.releases import LATEST, version
from labtool.flexisip.startup import REWORDED
from labtool.flexisip.values import Conf
from labtool.sandbox.accounts import Accounts
from labtool.sandbox.authentication import Answer, Authenticator
from labtool.sandbox.contact_correction import is_behind_nat
from labtool.sandbox.flood import FloodGuard
from labtool.sandbox.journal import Journal
from labtool.sandbox.listening import Point, cannot_enable, plan, server_context, with_port
from labtool.sandbox.nonces import Nonces
from labtool.sandbox.proxy import Proxy, Unroutable
from labtool.sandbox.refusal import SandboxRefusal
from labtool.sandbox.registrar import Registrar, Source, aor_of
from labtool.sandbox.settings import Settings
from labtool.sandbox.topology import Topology
from labtool.sip.errors import ParseError, SipError
from labtool.sip.flow import Address, Flow, Limits, Packet
from labtool.sip.loop import Loop, Timer
from labtool.sip.message import Request, response_to
from labtool.sip.transaction import ServerTransaction, Timers, TransactionLayer
from labtool.sip.transport import Transports
from labtool.sip.uri import OtherUri, SipUri, parse_uri
from labtool.sip.validation import Server as Judge
from labtool.sip.validation import verdict

__all__ = ["SERVER", "Sandbox", "SandboxRefusal"]

SERVER = f"labtool-sandbox/{__version__}"
_ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, MESSAGE, INFO, PRACK, UPDATE, REFER, NOTIFY"
_PURGE = 10.0  # seconds between two looks for registrations that have expired
_EXTENSIONS = frozenset({"path", "outbound", "gruu"})

Log = Callable[[str, str], object]


def _silence(level: str, text: str) -> None:
    """Nobody reads the log."""


class Sandbox:
    """One server on one loop.

    `config` is a configuration that the release starts on (`labtool.flexisip.conf.read`);
    `Sandbox.from_file` judges a file. `port` replaces the port of every `sip:` transport (0: any
    free one; `sips:` gets the next). `tap(packet)` sees all traffic. `json_log` is a path or an
    open text file. `log(level, text)` gets Flexisip's levels: error, warning, message.
    `limit_loopback` makes the flood limit count loopback too. After the users file broke at run
    time, `fatal` holds why; `on_fatal` is called then, with everything closed already.
    """

    def __init__(
        self,
        config: Conf,
        *,
        loop: Loop | None = None,
        tap: Callable[[Packet], object] | None = None,
        json_log: str | Path | IO[str] | None = None,
        log: Log = _silence,
        port: int | None = None,
        allow_public: bool = False,
        limit_loopback: bool = False,
        timers: Timers | None = None,
        on_fatal: Callable[[SandboxRefusal], object] | None = None,
    ) -> None:
        self.config = config
        self.settings = Settings.of(config)
        self.loop = loop or Loop()
        self.fatal: SandboxRefusal | None = None
        self.points: list[Point] = []
        self._own_loop = loop is None
        self._tap = tap
        self._log = log
        self._port = port
        self._allow_public = allow_public
        self._on_fatal = on_fatal
        self._timers = timers
        self._running = False
        self._maintenance: Timer | None = None
        self._tls_watch: list[tuple[ssl.SSLContext, Point, float]] = []
        self._last_tls_look = 0.0
        now = self.loop.now
        self.registrar = Registrar(self.settings.registrar, now)
        self._accounts = Accounts(self.settings.authentication, self.settings.release, now)
        nonces = Nonces(self.settings.authentication.nonce_expires, now)
        self._authenticator = Authenticator(self.settings.authentication, self._accounts, nonces)
        self._flood = FloodGuard(self.settings.flood, now, limit_loopback=limit_loopback)
        self._journal = Journal(json_log)

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        *,
        release: str = LATEST,
        override: dict[str, str] | None = None,
        **options: object,
    ) -> Sandbox:
        """The same from a flexisip.conf, refused as `release` refuses it. `override` replaces
        settings (`section/key`: value), as `--set` and `-t` do. Raises SandboxRefusal."""
        return cls(read_conf(path, release, override), **options)  # type: ignore[arg-type]

    @property
    def addresses(self) -> list[tuple[str, Address]]:
        """(transport, address) of every socket that listens."""
        return [(point.transport, point.bind) for point in self.points]

    def address(self, transport: str = "udp") -> Address:
        """The first address for a transport. Raises LookupError where there is none."""
        for name, address in self.addresses:
            if name == transport:
                return address
        raise LookupError(f"the sandbox does not listen on {transport}")

    # -- beginning and end --------------------------------------------------------------------

    def start(self) -> None:
        """Read the users, then listen. Raises SandboxRefusal, with nothing left open."""
        for warning in self.settings.warnings:
            self._log("warning", warning)
        if self.settings.authentication.enabled:
            self._accounts.load()
        planned = plan(self.settings, allow_public=self._allow_public, port=self._port)
        limits = Limits(idle_timeout=self.settings.idle_timeout, max_body=131_072)
        self._transports = Transports(
            self.loop, tap=self._tap, on_bad=self._bad, on_closed=self._closed, limits=limits
        )
        self._transports.events.admit = self._admit
        self._layer = TransactionLayer(
            self.loop, self._transports, timers=self._timers, on_request=self._request
        )
        try:
            self.points = self._open(planned)
        except BaseException:
            self._transports.close()
            raise
        self._topology = Topology(self.points, self.settings.aliases)
        self._judge = Judge(
            role="proxy", extensions=_EXTENSIONS, own=self._topology.own_vias, content_types=None
        )
        self._proxy = Proxy(
            self.settings, self._topology, self._transports, self._layer, self.registrar, SERVER
        )
        self._running = True
        self._maintenance = self.loop.call_later(_PURGE, self._maintain)
        for point in self.points:
            self._journal.write("listening", transport=point.transport, address=str(point.bind))

    def _open(self, planned: list[Point]) -> list[Point]:
        opened: list[Point] = []
        shared: dict[tuple[str, str], int] = {}  # one free port for the sockets of one transport
        for point in planned:
            context = None
            if point.certificate is not None:
                context, warning = server_context(point.certificate, self.settings)
                self._tls_watch.append((context, point, _changed(point)))
                if warning:
                    self._log("warning", f"{point.uri}: {warning}")
            number = point.bind.port or shared.get((point.uri, point.bind.host), 0)
            try:
                address = self._listen(point, number, context)
            except OSError as error:
                reason = os.strerror(error.errno or errno.EINVAL)
                raise cannot_enable(self.settings.release, point.uri, reason) from error
            shared[point.uri, point.bind.host] = address.port
            opened.append(with_port(point, address))
        return opened

    def _listen(self, point: Point, port: int, context: ssl.SSLContext | None) -> Address:
        if point.bind.port == 0 and port == 0 and point.transport == "udp":
            port = _free_port(point.bind.host)
        return self._transports.listen(point.transport, point.bind.host, port, tls=context)

    def run(self) -> int:
        """Serve until SIGTERM, SIGINT, `stop()` or a broken users file; returns the exit status.
        For the main thread of a process, after `start()`."""
        woken, waker = socket.socketpair()
        woken.setblocking(False)
        waker.setblocking(False)
        previous = {
            number: signal.signal(number, lambda *_: self.loop.stop())
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        # Without it, a signal that arrives while the loop waits would be seen at the next packet.
        old_waker = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        self.loop.add_reader(woken, lambda: woken.recv(64))
        try:
            if self._running:
                self.loop.run_forever()
        finally:
            self.loop.remove_reader(woken)
            signal.set_wakeup_fd(old_waker)
            for number, handler in previous.items():
                signal.signal(number, handler)
            woken.close()
            waker.close()
            self.stop()
        return self.fatal.returncode if self.fatal is not None else 0

    def stop(self) -> None:
        """Close everything; may be called twice."""
        if self._running:
            self._running = False
            if self._maintenance is not None:
                self._maintenance.cancel()
            self._transports.close()
            self._journal.write("stopped")
            if self._own_loop:
                self.loop.stop()
        self._journal.close()

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _die(self, refusal: SandboxRefusal) -> None:
        """The users file broke while the server ran. Recorded: 2.5.2 aborts (134 to a shell),
        2.3.4 exits; the request that brought it to light is never answered."""
        reworded = version(self.settings.release) >= REWORDED
        self.fatal = SandboxRefusal(refusal.text, 134 if reworded else 255, refusal.line)
        self._log("error", f"fatal: {refusal.text}: the users file broke, the server ends")
        self._journal.write("fatal", text=refusal.text, line=refusal.line)
        self.stop()
        if self._on_fatal is not None:
            self._on_fatal(self.fatal)

    def _maintain(self) -> None:
        for aor, binding in self.registrar.purge():
            self._journal.write("expired", aor=aor, contact=binding.contact)
        now = self.loop.now()
        if now - self._last_tls_look >= (self.settings.certificate_check or 60.0):
            self._last_tls_look = now
            self._tls_watch = [self._renewed(*watched) for watched in self._tls_watch]
        self._maintenance = self.loop.call_later(_PURGE, self._maintain)

    def _renewed(
        self, context: ssl.SSLContext, point: Point, seen: float
    ) -> tuple[ssl.SSLContext, Point, float]:
        """A certificate that was renewed serves the next connection, without a restart."""
        changed = _changed(point)
        if changed != seen and point.certificate is not None:
            try:
                context.load_cert_chain(point.certificate.chain, point.certificate.key)
                self._log("message", f"{point.uri}: read {point.certificate.chain} again")
            except (OSError, ValueError) as error:
                self._log("warning", f"{point.uri}: {point.certificate.chain}: {error}")
        return context, point, changed

    # -- requests -----------------------------------------------------------------------------

    def _admit(self, source: Address) -> bool:
        bans = self._flood.bans
        admitted = self._flood.admits(source)
        if self._flood.bans != bans:
            self._log("warning", f"{source} sends too fast and is not heard for a while")
            self._journal.write("ban", source=str(source))
        return admitted

    def _request(self, server: ServerTransaction | None, request: Request, flow: Flow) -> None:
        if not self._running:
            return
        if server is None:
            if verdict(request, self._judge).fine:
                self._proxy.forward_ack(request, flow)
            return
        try:
            self._serve(server, request, flow)
        except Unroutable as unroutable:
            self._answer(server, unroutable.status, unroutable.reason, why="no way to go")
        except SandboxRefusal as refusal:
            self._die(refusal)
        except SipError as error:
            self._answer(server, 400, None, why=str(error))

    def _serve(self, server: ServerTransaction, request: Request, flow: Flow) -> None:
        if self._challenged_at_sight(server, request, flow):
            return
        judged = verdict(request, self._judge)
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
        passed = self._authenticator.judge(request, flow)
        if isinstance(passed, Answer):
            self._answer(server, passed.status, passed.reason, passed.headers, passed.why)
            return
        if request.method == "REGISTER":
            to = request.to.uri
            if isinstance(to, SipUri) and self.settings.registrar.serves(to.host):
                self._register(server, to, flow, passed.user.aor if passed.user else None)
                return
        self._proxy.forward(server, request, flow, passed.credentials)

    def _challenged_at_sight(self, server: ServerTransaction, request: Request, flow: Flow) -> bool:
        """A REGISTER without credentials is answered before it is looked at closely, in the order
        of RFC 3261 section 8.2: half of a registrar's requests are such, and the second of each
        pair is judged in full."""
        headers = request.headers
        if request.method != "REGISTER" or request.defects or headers.get("Authorization"):
            return False
        if request.version != "SIP/2.0" or request.cseq[1] != "REGISTER" or not request.call_id:
            return False
        if headers.get("Max-Forwards") == "0" or headers.get("To") is None:
            return False
        passed = self._authenticator.judge(request, flow)
        if isinstance(passed, Answer) and passed.status in (401, 403):
            self._answer(server, passed.status, passed.reason, passed.headers, passed.why)
            return True
        return False

    def _is_the_server(self, uri: SipUri | OtherUri) -> bool:
        if not isinstance(uri, SipUri) or uri.user is not None:
            return False
        return self._topology.is_us(uri) or self.settings.registrar.serves(uri.host)

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
        correct = self.settings.correct_contacts

        def behind_nat(contact: SipUri) -> bool:
            return correct and is_behind_nat(contact, via, flow)

        result = self.registrar.register(aor, request, source, behind_nat)
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

    # -- what the network says besides ----------------------------------------------------------

    def _bad(self, data: bytes, flow: Flow, error: ParseError) -> None:
        if self._journal.on:
            self._journal.write(
                "bad",
                source=str(flow.remote),
                transport=flow.transport,
                size=len(data),
                why=str(error),
            )

    def _closed(self, flow: Flow, reason: Exception | None) -> None:
        if self._journal.on:
            self._journal.write(
                "closed", peer=str(flow.remote), transport=flow.transport, why=str(reason or "")
            )


def read_conf(
    path: str | Path, release: str = LATEST, override: dict[str, str] | None = None
) -> Conf:
    """A flexisip.conf as `release` takes it. Raises SandboxRefusal in its words."""
    override = override or {}
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        raise SandboxRefusal(f"cannot read {path}: {reason}", 255) from error
    found = flexisip_conf.read(
        content,
        release,
        path=str(path),
        exists=lambda name: Path(name).exists(),
        overridden=tuple(override),
    )
    if isinstance(found, Refusal):
        raise SandboxRefusal(found.text, found.returncode, found.line)
    values = dict(found.values)
    for name, value in override.items():
        section, _, key = name.partition("/")
        if (section, key) not in values:
            raise SandboxRefusal(f"there is no setting {name} in Flexisip {release}", 255)
        values[section, key] = value
    return Conf(found.release, values, found.items, found.file)


def _free_port(host: str) -> int:
    """A port that is free for TCP now, so that UDP and TCP can have the same one."""
    bind = Address(host, 0)
    with socket.socket(bind.family, socket.SOCK_STREAM) as sock:
        sock.bind(bind.sockaddr())
        return int(sock.getsockname()[1])


def _changed(point: Point) -> float:
    """When a point's certificate was last written; 0 for none."""
    try:
        return os.stat(point.certificate.chain).st_mtime if point.certificate else 0.0  # noqa: PTH116
    except OSError:
        return 0.0
