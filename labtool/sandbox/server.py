"""The sandbox: a registrar and proxy that reads Flexisip's files and behaves as Flexisip does."""

from __future__ import annotations

import signal
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO

from labtool.flexisip.releases import LATEST, version
from labtool.flexisip.startup import REWORDED
from labtool.flexisip.values import Conf
from labtool.sandbox.accounts import Accounts
from labtool.sandbox.authentication import Authenticator
from labtool.sandbox.configuration import read_conf
from labtool.sandbox.flood import FloodGuard
from labtool.sandbox.journal import Journal
from labtool.sandbox.listening import Point, plan
from labtool.sandbox.nonces import Nonces
from labtool.sandbox.proxy import Proxy
from labtool.sandbox.refusal import SandboxRefusal
from labtool.sandbox.registrar import Registrar
from labtool.sandbox.service import SERVER, Service
from labtool.sandbox.settings import Settings
from labtool.sandbox.sockets import Listeners
from labtool.sandbox.topology import Topology
from labtool.sip.errors import ParseError
from labtool.sip.flow import Address, Flow, Limits, Packet
from labtool.sip.loop import Loop, Timer
from labtool.sip.message import Message, Request
from labtool.sip.transaction import ServerTransaction, Timers, TransactionLayer
from labtool.sip.transport import Transports

__all__ = ["SERVER", "Sandbox", "SandboxRefusal", "read_conf"]

_PURGE = 10.0  # seconds between two looks for registrations that have expired

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
        self._running = self._serving = False
        self._maintenance: Timer | None = None
        self._last_tls_look = 0.0
        now = self.loop.now
        self.registrar = Registrar(self.settings.registrar, now)
        self._accounts = Accounts(self.settings.authentication, self.settings.release, now)
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
        conf = read_conf(path, release, override)
        made = cls(conf, **options)  # type: ignore[arg-type]
        if not conf.items:
            made._log(
                "warning",
                f"no section of flexisip.conf was found in {path}: it runs on defaults, open to all",
            )
        return made

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
        self._transports.events.on_message = self._received
        self._listeners = Listeners(self.settings, self._transports, self._log)
        try:
            self.points = self._listeners.open(planned)
        except BaseException:
            self._transports.close()
            raise
        self._service = self._built()
        self._running = True
        self._maintenance = self.loop.call_later(_PURGE, self._maintain)
        for point in self.points:
            self._journal.write("listening", transport=point.transport, address=str(point.bind))

    def _built(self) -> Service:
        settings, layer = self.settings, self._layer
        topology = Topology(self.points, settings.aliases)
        self._proxy = Proxy(settings, topology, self._transports, layer, self.registrar, SERVER)
        nonces = Nonces(settings.authentication.nonce_expires, self.loop.now)
        authenticator = Authenticator(settings.authentication, self._accounts, nonces)
        return Service(
            settings, topology, layer, authenticator, self.registrar, self._proxy, self._journal
        )

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
                self._serving = True
                self.loop.run_forever()
        finally:
            self._serving = False
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
            if self._own_loop or self._serving:
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
            self._listeners.renew()
        self._maintenance = self.loop.call_later(_PURGE, self._maintain)

    # -- requests -----------------------------------------------------------------------------

    def _admit(self, source: Address) -> bool:
        bans = self._flood.bans
        admitted = self._flood.admits(source)
        if self._flood.bans != bans:
            self._log("warning", f"{source} sends too fast and is not heard for a while")
            self._journal.write("ban", source=str(source))
        return admitted

    def _received(self, message: Message, flow: Flow) -> None:
        try:
            self._layer.received(message, flow)
        except Exception:
            # A mistake of the sandbox's own over one message must not end everybody's calls.
            self._log("error", f"a message from {flow.remote}: {traceback.format_exc()}")
            self._journal.write(
                "error", source=str(flow.remote), why=traceback.format_exc(limit=-2)
            )

    def _request(self, server: ServerTransaction | None, request: Request, flow: Flow) -> None:
        if not self._running:
            return
        try:
            self._service.serve(server, request, flow)
        except SandboxRefusal as refusal:
            self._die(refusal)

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
