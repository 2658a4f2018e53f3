"""The probe's user agent as one party of a call whose other party is somebody else's phone."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from labtool.probe.account import Account
from labtool.probe.agent import Exchange
from labtool.probe.dialog import Dialog
from labtool.probe.leg import Leg
from labtool.probe.media import PAYLOAD_TYPES
from labtool.probe.phonecall import signed_in
from labtool.probe.session import Session, Setting, Tls
from labtool.sip import sdp
from labtool.sip.digest import Password
from labtool.sip.flow import Address
from labtool.sip.message import Request, Response
from labtool.sip.tone import detect_tone

from .peers import DOMAIN, PASSWORDS, PATIENCE, SandboxProcess

CODEC = "PCMU"


class ProbePhone:
    """Signed in on entering, signed out on leaving. A failed step is an AssertionError."""

    patience = PATIENCE  # seconds that a step may take

    def __init__(self, sandbox: SandboxProcess, user: str, transport: str, hz: float) -> None:
        trust = sandbox.certificate
        tls = Tls(ca_file=str(trust.chain) if trust else None, server_name="localhost")
        target = f"{sandbox.host}:{sandbox.ports[transport]}"
        self.user = user
        self._hz = hz
        self._transport = transport
        self._session = Session("interop", target, Setting(tls=tls))
        self._sends_to: Address
        self._leg: Leg

    def __enter__(self) -> ProbePhone:
        self._session.__enter__()
        try:
            account = Account(self.user, DOMAIN, Password(PASSWORDS[self.user]), self._transport)
            self._leg = signed_in(self._session, account)
        except BaseException as error:
            self._session.__exit__(type(error), error)
            raise AssertionError(self._session.steps) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._session.__exit__(kind, *rest)

    def _wait(self, what: str, so: Callable[[], bool]) -> None:
        assert self._session.loop.run_until(so, self.patience), (
            f"not in {self.patience:g} s: {what}"
        )

    # -- being called -----------------------------------------------------------------------------

    def answer(self, caller: str, *, waits: bool = True) -> None:
        """Wait for the call of a user, ring and pick up; and, unless not, wait for the ACK."""
        leg = self._leg
        leg.expected, leg.caller = "", caller
        self._wait(f"{caller} calls", lambda: leg.invite is not None)
        assert leg.invite is not None
        leg.ring()
        leg.answer(CODEC)
        if waits:
            self._wait("ACK", lambda: leg.acknowledged is not None)
        self._sends_to = sound_of(leg.invite.request)

    # -- calling ----------------------------------------------------------------------------------

    def call(self, callee: str) -> None:
        """Call a user, through the proxy's challenge, until he answers."""
        leg, call_id = self._leg, secrets.token_hex(8)
        exchange = self._invite(callee, call_id, 1)
        self._wait("a challenge", lambda: exchange.done)
        assert exchange.final is not None
        assert exchange.final.status == 407, exchange.final
        leg.login.take(exchange.final)
        signed = self._invite(callee, call_id, 2)

        def heard(response: Response) -> None:
            if 200 <= response.status < 300:
                leg.dialog = leg.dialog or Dialog.of_caller(signed.request, response)
                leg.acknowledge(signed.request)

        signed.on_response = heard
        self._wait(f"{callee} answers", lambda: signed.done)
        assert signed.final is not None, signed.failure
        assert signed.final.status == 200, signed.final
        self._sends_to = sound_of(signed.final)

    def _invite(self, callee: str, call_id: str, number: int) -> Exchange:
        leg, uri = self._leg, f"sip:{callee}@{DOMAIN}"
        request = Request(
            "INVITE",
            uri,
            [
                ("Max-Forwards", "70"),
                ("From", f"<{leg.account.aor}>;tag={leg.tag}"),
                ("To", f"<{uri}>"),
                ("Call-ID", call_id),
                ("CSeq", f"{number} INVITE"),
                ("Contact", leg.contact),
                ("Content-Type", "application/sdp"),
            ],
            leg.description({CODEC: PAYLOAD_TYPES[CODEC]}),
        )
        leg.login.sign(request)
        return leg.agent.send(request)

    # -- the call ---------------------------------------------------------------------------------

    def talk(self, seconds: float) -> None:
        """Send the tone for that long, and listen."""
        audio = self._leg.audio
        audio.send(self._sends_to, CODEC, self._hz)
        self._session.loop.run_until(lambda: False, seconds)
        audio.stop()

    def hang_up(self) -> int:
        """BYE; the status of its answer."""
        exchange, _ = self._leg.hang_up(5.0)
        assert exchange.final is not None, exchange.failure
        return exchange.final.status

    def wait_ended(self) -> None:
        self._wait("BYE", lambda: self._leg.ended is not None)

    def heard(self) -> float | None:
        return detect_tone(self._leg.audio.samples)


def sound_of(message: Request | Response) -> Address:
    section = sdp.SessionDescription.parse(message.body).media[0]
    return Address(section.connection or "", section.port)
