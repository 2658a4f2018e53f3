"""REGISTER: sign in, see the registration, take it away again (RFC 3261 section 10).

A probe must not disturb the phones of a user: it has its own Call-ID and instance, adds its own
contact and removes only that one. It never sends `Contact: *`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from labtool.probe.account import Account
from labtool.probe.agent import UserAgent
from labtool.probe.capabilities import seen
from labtool.probe.causes import cause
from labtool.probe.failure import Failure, of_answer, printable, said
from labtool.probe.login import MALFORMED, Login, Unanswerable
from labtool.probe.result import Result
from labtool.probe.session import Session, Setting
from labtool.probe.target import Target
from labtool.sip.address import NameAddr
from labtool.sip.digest import Password
from labtool.sip.errors import ParseError
from labtool.sip.message import Request, Response
from labtool.sip.uri import SipUri

# Short, so that a probe that is killed leaves nothing behind for long; most registrars take it.
EXPIRES = 60


class Registration:
    """One contact of one account, from REGISTER to its removal. Each method adds steps."""

    def __init__(
        self,
        session: Session,
        agent: UserAgent,
        account: Account,
        *,
        label: str = "",
        algorithm: str | None = None,
        expires: int = EXPIRES,
    ) -> None:
        self.session = session
        self.agent = agent
        self.account = account
        self.login = Login(account, algorithm)
        self.label = f" {label}" if label else ""
        self.registered = False
        self._spoilt: Failure | None = None  # the last challenge, where it was malformed
        self.algorithm: str | None = None
        self.granted: int | None = None  # seconds that the server gives our contact
        self.contact = NameAddr.parse(f"<{agent.contact(account.aor.user or '')}>")
        self.instance = f'"<urn:uuid:{_uuid4()}>"'
        self._expires = expires
        self._tag = secrets.token_hex(5)
        self._call_id = secrets.token_hex(12)
        self._cseq = 0

    def register(self) -> None:
        """Steps "challenge" and "REGISTER"; Halt unless the server ends with a 200."""
        response, seconds = self.ask("challenge")
        facts = seen(self.agent, response)
        if response.status < 300:
            self._accepted(f"REGISTER{self.label}", response, seconds)
            return
        if response.status not in (401, 407):
            failure = of_answer("REGISTER", response, authenticated=False)
            self.session.failed(f"challenge{self.label}", seconds, failure, **facts)
        try:
            self.login.take(response)
        except Unanswerable as error:
            self.session.failed(f"challenge{self.label}", seconds, error.failure, **facts)
        offered = list(self.login.offered)
        detail = f"{said(response)}, {'/'.join(offered)}, realm {self.login.realm}"
        self.session.passed(
            f"challenge{self.label}",
            seconds,
            detail,
            **facts,
            algorithms=offered,
            realm=self.login.realm,
        )
        response, seconds = self.answered("REGISTER", challenged=True)
        if response.status >= 300:
            failure = of_answer("REGISTER", response, authenticated=True)
            if response.status in (401, 407) and self.login.stale:
                detail = f"{said(response)}: it calls every nonce stale"
                failure = Failure(cause("unexpected-answer"), detail)
            failure = self._spoilt or failure
            self.session.failed(f"REGISTER{self.label}", seconds, failure, status=response.status)
        self._accepted(f"REGISTER{self.label}", response, seconds)

    def ask(
        self, name: str, *, challenged: bool = False, query: bool = False
    ) -> tuple[Response, float]:
        """One REGISTER, signed where there was a challenge: its final answer, seconds.

        `query` asks for the contacts that there are, and changes none (RFC 3261 section 10.2.3).
        """
        request = self._request(query)
        try:
            credentials = self.login.sign(request)
        except Unanswerable as error:
            self.session.failed(f"{name}{self.label}", 0.0, error.failure)
        self.algorithm = credentials.algorithm if credentials else None
        return self.session.ask(self.agent, request, f"{name}{self.label}", challenged=challenged)

    def answered(
        self, name: str, *, challenged: bool = False, query: bool = False
    ) -> tuple[Response, float]:
        """REGISTER with credentials: the final answer and the seconds that it took.

        `challenged`: they answer a challenge that has just come, so that another one is accepted
        once where it says stale; otherwise the nonce may be old, and another one is fine. A too
        short time (423) is mended once.
        """
        seconds = 0.0
        for _ in range(2):
            response, more = self.ask(name, challenged=challenged, query=query)
            seconds += more
            if response.status not in (401, 407):
                break
            try:
                self.login.take(response)
            except Unanswerable as error:
                if error.failure.cause is MALFORMED:
                    self._spoilt = error.failure
                break
            if challenged and not self.login.stale:
                break
        wanted = response.headers.get("Min-Expires") or ""
        if response.status == 423 and wanted.isdigit() and 0 < self._expires < int(wanted) <= 86400:
            self._expires = int(wanted)
            response, more = self.ask(name)
            seconds += more
        return response, seconds

    def _accepted(self, name: str, response: Response, seconds: float) -> None:
        self.registered = True
        self.session.at_the_end(self.remove)
        contacts = _contacts(response)
        shown = [printable(str(c.uri)) for c in contacts]
        mine = next(iter(self._mine(contacts, response)), None)
        expires = mine.params.get("expires") if mine else None
        expires = expires or response.headers.get("Expires") or str(self._expires)
        self.granted = int(expires) if expires.isdigit() else None
        facts = {
            **seen(self.agent, response),
            "algorithm": self.algorithm,
            "contacts": shown,
            "expires": self.granted,
        }
        if mine is None:
            what = ", ".join(shown) or "none"
            detail = f"{said(response)}, but the contacts are: {what}"
            self.session.failed(name, seconds, Failure(cause("contact-missing"), detail), **facts)
        how = self.algorithm or "no password asked for"
        others = f" and {len(contacts) - 1} other" if len(contacts) > 1 else ""
        detail = f"{said(response)} ({how}), contact {printable(str(mine.uri))}{others}"
        self.session.passed(name, seconds, detail, **facts)

    def remove(self) -> None:
        """Step "de-REGISTER"; nothing where there is nothing to remove."""
        if not self.registered:
            return
        self.registered = False
        self._expires = 0
        name = f"de-REGISTER{self.label}"
        response, seconds = self.answered("de-REGISTER")
        if response.status >= 300:
            failure = of_answer("REGISTER", response, authenticated=True)
            self.session.failed(name, seconds, failure, status=response.status)
        left = _contacts(response)
        if self._mine(left, response):
            detail = f"{said(response)}, but the contact is still there"
            self.session.failed(name, seconds, Failure(cause("unexpected-answer"), detail))
        self.session.passed(name, seconds, said(response), contacts_left=len(left))

    # -- inside -----------------------------------------------------------------------------------

    def _request(self, query: bool) -> Request:
        self._cseq += 1
        aor = self.account.aor
        contact = NameAddr("", self.contact.uri, {"+sip.instance": self.instance})
        change = [
            ("Contact", f"{contact};expires={self._expires}"),
            ("Expires", str(self._expires)),
        ]
        return Request(
            "REGISTER",
            str(self.account.registrar),
            [
                ("Max-Forwards", "70"),
                ("From", f"<{aor}>;tag={self._tag}"),
                ("To", f"<{aor}>"),
                ("Call-ID", self._call_id),
                ("CSeq", f"{self._cseq} REGISTER"),
                *(() if query else change),
                ("Supported", "path"),
            ],
        )

    def _mine(self, contacts: Sequence[NameAddr], response: Response) -> list[NameAddr]:
        """Our contact among those of the answer: by instance, by our own address, or by the one
        that the server sees (a NAT helper may have put that in its place)."""
        own = self.contact.uri
        assert isinstance(own, SipUri)
        places = {(own.host, own.port), _seen_from(response)}
        found = []
        for contact in contacts:
            instance = contact.params.get("+sip.instance")
            uri = contact.uri
            if instance == self.instance or (
                instance is None
                and isinstance(uri, SipUri)
                and uri.username == own.username
                and (uri.host, uri.port) in places
            ):
                found.append(contact)
        return found

    def copies(self, response: Response) -> int:
        """How often our contact is in an answer."""
        return len(self._mine(_contacts(response), response))


def _uuid4() -> str:
    """A random UUID (RFC 9562 section 5.4); the module `uuid` takes longer to import than this
    whole check."""
    digits = secrets.token_hex(16)
    variant = "89ab"[secrets.randbits(2)]
    parts = (digits[:8], digits[8:12], f"4{digits[13:16]}", variant + digits[17:20], digits[20:])
    return "-".join(parts)


def _contacts(response: Response) -> list[NameAddr]:
    found = []
    for value in response.headers.all("Contact"):
        try:
            found.append(NameAddr.parse(value))
        except ParseError:
            continue
    return found


def _seen_from(response: Response) -> tuple[str, int | None]:
    try:
        via = response.via
    except ParseError:
        return ("", None)
    port = via.params.get("rport") or ""
    return (via.received or via.host, int(port) if port.isdigit() else via.port)


def register(
    target: Target | str,
    account: Account,
    setting: Setting | None = None,
    *,
    algorithms: Sequence[str] = (),
    allow_open: bool = False,
) -> Result:
    """Sign `account` in and out again over its transport.

    `algorithms` ("MD5", "SHA-256") asks for each of them in turn; otherwise the strongest that
    server and secret share. A server that asks for no password fails the check, unless
    `allow_open` or the account has no secret.
    """
    used: list[str] = []
    with Session("register", target, setting or Setting()) as session:
        agent = session.agent(account.transport, account.domain)
        for algorithm in algorithms or (None,):
            one = Registration(session, agent, account, label=algorithm or "", algorithm=algorithm)
            one.register()
            one.remove()
            used.append(one.algorithm or "no password")
            if one.algorithm is None and account.secret is not None and not allow_open:
                detail = "it let us in without asking for the password"
                session.failed("password asked", 0.0, Failure(cause("open-server"), detail))
    how = f"{account} over {account.transport}"
    return session.result(
        account.transport,
        f"{how}: registers and de-registers ({', '.join(used)})",
        f"{how}: cannot register",
        account=str(account),
    )


def check_wrong_password(
    target: Target | str, account: Account, setting: Setting | None = None
) -> Result:
    """That the server refuses `account` with a password that is made up here."""
    wrong = Account(
        account.user, account.domain, Password(secrets.token_hex(12)), account.transport
    )
    with Session("wrong-password", target, setting or Setting()) as session:
        agent = session.agent(wrong.transport, wrong.domain)
        one = Registration(session, agent, wrong)
        response, seconds = one.ask("challenge")
        if response.status in (401, 407):
            try:
                one.login.take(response)
            except Unanswerable as error:
                session.failed("challenge", seconds, error.failure)
            session.passed("challenge", seconds, said(response))
            response, seconds = one.answered("wrong password", challenged=True)
        if response.status < 300:
            one.registered = True
            session.at_the_end(one.remove)
            detail = f"{said(response)} to a made-up password"
            session.failed("wrong password", seconds, Failure(cause("open-server"), detail))
        failure = of_answer("REGISTER", response, authenticated=bool(one.login.challenges))
        if failure.cause.name not in ("wrong-password", "unknown-user"):
            session.failed("wrong password", seconds, failure, status=response.status)
        session.passed(
            "wrong password", seconds, f"refused: {said(response)}", status=response.status
        )
    how = f"{account} over {account.transport}"
    return session.result(
        account.transport,
        f"{how}: a wrong password is refused",
        f"{how}: a wrong password is not plainly refused",
        account=str(account),
    )
