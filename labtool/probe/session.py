"""One check under way: its loop, its agents, the steps so far, and how it ends.

A script calls `passed` and `failed` as it goes; `failed` ends it by raising Halt.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from labtool.errors import RequestError
from labtool.probe.agent import Exchange, UserAgent
from labtool.probe.causes import Cause, cause
from labtool.probe.failure import Failure, of_error, printable
from labtool.probe.location import locate
from labtool.probe.reach import REASONS, in_order
from labtool.probe.result import Result, Step
from labtool.probe.target import NameNotResolved, Target
from labtool.sip.flow import Address
from labtool.sip.loop import Loop
from labtool.sip.message import Request, Response
from labtool.sip.transaction import Timers

if TYPE_CHECKING:
    import ssl

    from labtool.sip.flow import Packet

# How long a person waits for one step, in seconds. Three retransmissions fit in.
TIMEOUT = 4.0
CLOSED = "connection-closed"
# Tidying up after a failure must not double the wait.
CLEANUP_TIMEOUT = 1.0


class Halt(Exception):
    """The check ends here; the last step says why."""


@dataclass(frozen=True)
class Tls:
    """How to judge the server's certificate.

    `ca_file`: PEM file of the issuers to trust instead of the system's. `verify` False takes any
    certificate. `server_name`: the name it must be for; None means the target's host name, or the
    account's domain where the target is an address.
    """

    ca_file: str | None = None
    verify: bool = True
    server_name: str | None = None

    def context(self) -> ssl.SSLContext:
        """Raises RequestError where `ca_file` cannot be read."""
        import ssl

        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            # Python 3.13 refuses what telephones and servers take: a lab's own issuer that wrote no
            # key identifiers (RFC 5280, 4.2.1.1) into its certificates.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        except (OSError, ValueError) as error:
            raise RequestError(f"{self.ca_file} holds no certificates (PEM): {error}") from None
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True)
class Setting:
    """What all checks of one run share. `timeout` is for one step, in seconds.

    `loop`: run on this one (a server in the same process may share it). `tap` sees every packet.
    `timers` are those of RFC 3261. `patience`: how long the check of expiry may wait for a
    registration to end, in seconds. `nameserver` is asked in place of the system's resolver.
    """

    timeout: float = TIMEOUT
    tap: Callable[[Packet], object] | None = None
    tls: Tls = Tls()
    loop: Loop | None = None
    timers: Timers | None = None
    patience: float = 5.0
    nameserver: Address | None = None


class Session:
    """Used as a context manager: on leaving, everything is de-registered and closed."""

    def __init__(self, check: str, target: Target | str, setting: Setting) -> None:
        self.check = check
        self.target = Target.parse(target) if isinstance(target, str) else target
        self.setting = setting
        self.timeout = setting.timeout
        self.loop = setting.loop or Loop()
        self.started = self.loop.now()
        self.steps: list[Step] = []
        self.cause: Cause | None = None
        self._again = 0  # repeated requests since the last step
        self._agents: list[UserAgent] = []
        self._connected: set[UserAgent] = set()
        self._addresses: dict[str, tuple[Address, ...]] = {}
        self._undo: list[Callable[[], object]] = []

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        if self.cause is not None or (kind is not None and kind is not Halt):
            self.timeout = min(self.timeout, CLEANUP_TIMEOUT)
        try:
            # An interrupted call or registration is ended too: it would outlive this process.
            if kind in (None, Halt, KeyboardInterrupt):
                for undo in reversed(self._undo):
                    with suppress(Halt):
                        undo()
        finally:
            for agent in self._agents:
                agent.close()
            if self.setting.loop is None:
                self.loop.close()
        return kind is Halt

    def at_the_end(self, undo: Callable[[], object]) -> None:
        """Call this on leaving, the last one first."""
        self._undo.append(undo)

    # -- steps ------------------------------------------------------------------------------------

    def passed(
        self, name: str, seconds: float, detail: str = "", *, again: int = 0, **facts: Any
    ) -> None:
        """A step went well; `again` is how often requests beside those of `ask` were repeated."""
        again, self._again = again + self._again, 0
        self.steps.append(Step(name, True, seconds, detail, None, again, facts))

    def noted(
        self, name: str, seconds: float, failure: Failure, *, again: int = 0, **facts: Any
    ) -> None:
        """A step failed, but there is more to see. The first failure is the verdict's cause."""
        again, self._again = again + self._again, 0
        self.steps.append(Step(name, False, seconds, failure.detail, failure.cause, again, facts))
        self.cause = self.cause or failure.cause

    def failed(
        self, name: str, seconds: float, failure: Failure, *, again: int = 0, **facts: Any
    ) -> NoReturn:
        """A step failed and nothing can come after it."""
        self.noted(name, seconds, failure, again=again, **facts)
        raise Halt

    def result(self, transport: str, holds: str, fails: str, *, account: str = "") -> Result:
        """The verdict: `holds`, or `fails` with what the first failing step saw."""
        broken = next((step for step in self.steps if not step.ok), None)
        verdict = holds if broken is None else f"{fails}: {broken.detail}"
        took = self.loop.now() - self.started
        return Result(
            self.check,
            str(self.target),
            transport,
            tuple(self.steps),
            verdict,
            took,
            self.cause,
            account,
        )

    # -- agents -----------------------------------------------------------------------------------

    def agent(
        self, transport: str, domain: str | None = None, *, tls: Tls | None = None
    ) -> UserAgent:
        """A user agent that can reach the target over `transport`, or Halt.

        `tls` judges the certificate otherwise than the setting does.
        """
        started = self.loop.now()
        error: OSError | None = None
        for remote in self._resolved(transport):
            try:
                agent = self._agent(transport, remote, domain, tls or self.setting.tls)
            except OSError as problem:
                error = error or problem
                continue
            self._agents.append(agent)
            return agent
        reason = error or OSError("no address")
        failure = of_error(reason, transport=transport, open_before=False, answered=False)
        return self.failed("connect", self.loop.now() - started, failure)

    def _agent(self, transport: str, remote: Address, domain: str | None, judged: Tls) -> UserAgent:
        tls, name = None, None
        if transport == "tls":
            tls, name = judged.context(), self.server_name(domain)
        return UserAgent(
            self.loop,
            transport,
            remote,
            tls=tls,
            server_name=name,
            tap=self.setting.tap,
            timers=self.setting.timers,
        )

    def server_name(self, domain: str | None) -> str:
        """The name that the certificate must be for (RFC 5922 section 4)."""
        host = self.target.host
        numeric = ":" in host or host.replace(".", "").isdigit()
        return self.setting.tls.server_name or (domain if numeric and domain else host)

    def _resolved(self, transport: str) -> tuple[Address, ...]:
        if transport not in self._addresses:
            started = self.loop.now()
            try:
                located = locate(self.target, transport, self.setting.nameserver)
            except NameNotResolved as error:
                self.failed(
                    "resolve",
                    self.loop.now() - started,
                    Failure(cause("name-not-resolved"), str(error)),
                )
            found = located.addresses
            if located.how or (not self._addresses and found[0].host != self.target.host):
                shown = [str(one) if located.how else one.host for one in found]
                detail = ", ".join(shown) + (f" ({printable(located.how)})" if located.how else "")
                took = self.loop.now() - started
                self.passed("resolve", took, detail, addresses=shown, dns=located.how)
            started = self.loop.now()
            states = in_order(self.loop, transport, found)
            self._addresses[transport] = tuple(states)
            best = next(iter(states))
            if located.how and best != found[0]:
                passed = [f"{one} ({REASONS[states[one]]})" for one in found[: found.index(best)]]
                detail = f"{best}, for these are passed over: {', '.join(passed)}"
                self.passed("server", self.loop.now() - started, detail, remote=str(best))
        return self._addresses[transport]

    # -- exchanges --------------------------------------------------------------------------------

    def ask(
        self, agent: UserAgent, request: Request, name: str, *, challenged: bool = False
    ) -> tuple[Response, float]:
        """Send a request; its final response and how long that took in seconds, or Halt.

        The first exchange over a connection also gives the step "connect". A connection that the
        server has closed since its last answer is made anew, once.
        """
        exchange = agent.ask(request, self.timeout, challenged=challenged)
        if agent.answers and exchange.failure and exchange.failure.cause.name == CLOSED:
            request.headers.remove_first("Via")
            exchange = agent.ask(request, self.timeout, challenged=challenged)
        seconds = self.took(agent, exchange)
        self._again += exchange.retransmissions
        if exchange.failure:
            self.failed(name, seconds, exchange.failure)
        final = exchange.final
        assert final is not None
        return final, seconds

    def took(self, agent: UserAgent, exchange: Exchange) -> float:
        """How long the exchange took without the connection, which becomes a step of its own."""
        if agent.transport == "udp" or agent in self._connected:
            return exchange.seconds
        if agent.opened is None:
            if exchange.failure:
                self.failed("connect", exchange.seconds, exchange.failure)
            return exchange.seconds
        self._connected.add(agent)
        opening = max(0.0, agent.opened - exchange.sent)
        detail, facts = agent.transport, dict[str, Any]()
        if agent.transport == "tls":
            detail, facts = _tls_seen(agent)
        self.passed("connect", opening, detail, remote=str(agent.remote), **facts)
        return exchange.seconds - opening


def _tls_seen(agent: UserAgent) -> tuple[str, dict[str, Any]]:
    sock = getattr(agent.flow, "tls", None)
    if sock is None:
        return "tls", {}
    version, cipher, certificate = sock.version(), sock.cipher(), sock.getpeercert() or {}
    expires = str(certificate.get("notAfter", ""))
    facts = {"tls": version, "cipher": cipher[0] if cipher else None, "expires": expires or None}
    detail = str(version)
    if expires:
        detail += f", certificate good until {printable(expires)}"
    return detail, facts
