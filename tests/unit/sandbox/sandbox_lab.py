"""A sandbox with phones, all on one loop in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from labtool.sandbox.server import Sandbox
from labtool.sip.digest import Ha1, Password, answer, challenges, ha1
from labtool.sip.flow import Address, Flow
from labtool.sip.headers import Headers
from labtool.sip.loop import Loop
from labtool.sip.message import Message, Request, Response, response_to
from labtool.sip.timers import Timers
from labtool.sip.transaction import ClientTransaction, ServerTransaction, TransactionLayer
from labtool.sip.transport import Transports

DOMAIN = "sip.example.test"
PASSWORDS = {"alice": "wonderland", "bob": "builder", "carol": "singer"}
PATIENCE = 3.0


def conf(users: Path, **settings: str) -> str:
    """A flexisip.conf; `settings` are `section__key`, with `auth`, `reg`, `dos` for the modules."""
    sections: dict[str, dict[str, str]] = {
        "global": {"transports": "sip:127.0.0.1:5060", "aliases": f"localhost {DOMAIN}"},
        "module::DoSProtection": {"enabled": "false"},
        "module::Registrar": {"reg-domains": DOMAIN},
        "module::Authentication": {
            "enabled": "true",
            "auth-domains": DOMAIN,
            "file-path": str(users),
            "available-algorithms": "MD5 SHA-256",
        },
    }
    names = {"auth": "Authentication", "reg": "Registrar", "dos": "DoSProtection"}
    for name, value in settings.items():
        section, _, key = name.partition("__")
        if section in names:
            section = f"module::{names[section]}"
        elif section == "router":
            section = "module::Router"
        sections.setdefault(section, {})[key.replace("_", "-")] = value
    lines = []
    for section, keys in sections.items():
        lines += [f"[{section}]", *(f"{key}={value}" for key, value in keys.items() if value)]
    return "\n".join(lines) + "\n"


def users_file(**passwords: str) -> str:
    rows = ["version:1\n"]
    for user, password in passwords.items():
        md5, sha = (ha1(user, DOMAIN, password, name) for name in ("MD5", "SHA-256"))
        rows.append(f"{user}@{DOMAIN} md5:{md5} sha256:{sha} ;\n")
    return "".join(rows)


class Lab:
    """A folder with both files, the loop, and the sandbox that is started from them."""

    def __init__(self, folder: Path, loop: Loop, **settings: str) -> None:
        self.users = folder / "users.db.txt"
        self.users.write_text(users_file(**PASSWORDS), encoding="utf-8")
        self.conf = folder / "flexisip.conf"
        self.conf.write_text(conf(self.users, **settings), encoding="utf-8")
        self.loop = loop
        self.logged: list[tuple[str, str]] = []
        self.sandbox: Sandbox
        self._phones: list[Phone] = []

    def start(self, **options: Any) -> Sandbox:
        options.setdefault("port", 0)
        release = options.pop("release", "2.5.2")
        self.sandbox = Sandbox.from_file(
            self.conf,
            release=release,
            loop=self.loop,
            timers=Timers(t1=0.02),
            log=lambda level, text: self.logged.append((level, text)),
            **options,
        )
        self.sandbox.start()
        return self.sandbox

    def phone(self, user: str = "alice", transport: str = "udp", **how: Any) -> Phone:
        phone = Phone(self, user, transport, **how)
        self._phones.append(phone)
        return phone

    def wait(self, predicate: Callable[[], object], seconds: float = PATIENCE) -> None:
        assert self.loop.run_until(lambda: bool(predicate()), seconds), "nothing happened in time"

    def settle(self) -> None:
        """Let everything that is on its way arrive."""
        self.loop.run_until(lambda: False, 0.03)

    def stop(self) -> None:
        for phone in self._phones:
            phone.transports.close()
        if hasattr(self, "sandbox"):
            self.sandbox.stop()
        mistakes = [text for level, text in self.logged if level == "error" and "Trace" in text]
        assert not mistakes, mistakes[0]


class Phone:
    """A user agent: answers challenges, notes what comes, and answers it by `on_invite`."""

    def __init__(
        self, lab: Lab, user: str, transport: str, *, host: str = "127.0.0.1", **flow: Any
    ) -> None:
        self.lab = lab
        self.user = user
        self.transport = transport
        self.aor = f"sip:{user}@{DOMAIN}"
        self.transports = Transports(lab.loop)
        self.layer = TransactionLayer(
            lab.loop, self.transports, timers=Timers(t1=0.02), on_request=self._came
        )
        self.requests: list[Request] = []
        self.servers: list[ServerTransaction] = []
        self.on_invite: Callable[[ServerTransaction], object] = lambda server: server.respond(
            self.reply(server, 180)
        )
        if transport == "udp":
            self.transports.listen("udp", host, 0)
        self.flow: Flow = self.transports.flow(transport, lab.sandbox.address(transport), **flow)
        self.secret: Password | Ha1 = Password(PASSWORDS.get(user, "nothing"))
        self.cseq = 0

    @property
    def contact(self) -> str:
        tail = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:{self.user}@{self.flow.local}{tail}"

    # -- asking -------------------------------------------------------------------------------

    def build(self, method: str, uri: str, *headers: tuple[str, str], **parts: str) -> Request:
        self.cseq += 1
        to = parts.get("to", uri if method != "REGISTER" else self.aor)
        made = Headers(
            [
                ("Max-Forwards", "70"),
                ("From", parts.get("from_", f"<{self.aor}>;tag=from{self.user}")),
                ("To", to if "<" in to else f"<{to}>"),
                ("Call-ID", parts.get("call_id", f"call-{self.user}-{id(self)}")),
                ("CSeq", f"{self.cseq} {method}"),
            ]
        )
        for name, value in headers:
            made.set(name, value)
        return Request(method, uri, made)

    def send(self, request: Request) -> Exchange:
        return Exchange(self, request)

    def ask(
        self, request: Request, *, login: bool = True, algorithm: str | None = None
    ) -> Exchange:
        """Send, answer one challenge, and wait for the end. `exchange.first` is the challenge."""
        first = self.send(request)
        self.lab.wait(lambda: first.final is not None or first.trouble)
        if not login or first.final is None or first.final.status not in (401, 407):
            return first
        again = self.authorised(request, first.final, algorithm)
        second = self.send(again)
        second.first = first.final
        self.lab.wait(lambda: second.final is not None or second.trouble)
        return second

    def authorised(
        self, request: Request, asked: Response, algorithm: str | None = None
    ) -> Request:
        name = "Authorization" if asked.status == 401 else "Proxy-Authorization"
        found = challenges(
            asked.headers.lines("WWW-Authenticate" if asked.status == 401 else "Proxy-Authenticate")
        )
        if algorithm is not None:
            found = [challenge for challenge in found if challenge.algorithm == algorithm]
        credentials = answer(
            found,
            method=request.method,
            uri=request.uri,
            username=self.user,
            secret=self.secret,
        )
        again = request.copy()
        again.headers.remove("Via")
        again.headers.set(name, str(credentials))
        self.cseq += 1
        again.headers.set("CSeq", f"{self.cseq} {request.method}")
        return again

    def register(
        self, *headers: tuple[str, str], contact: str | None = None, **how: Any
    ) -> Response:
        made = [("Contact", contact or f"<{self.contact}>"), ("Expires", "600"), *headers]
        final = self.ask(self.build("REGISTER", f"sip:{DOMAIN}", *made), **how).final
        assert final is not None
        return final

    def invite(self, to: str, *headers: tuple[str, str]) -> Exchange:
        """Begin a call as far as the sandbox lets it go; the challenge is answered already."""
        uri = to if to.startswith("sip") else f"sip:{to}@{DOMAIN}"
        made = [("Contact", f"<{self.contact}>"), *headers]
        request = self.build("INVITE", uri, *made)
        first = self.send(request)
        self.lab.wait(lambda: first.final)
        assert first.final is not None
        assert first.final.status == 407, first.final
        return self.send(self.authorised(request, first.final))

    def within(self, method: str, call: Exchange, *headers: tuple[str, str]) -> Request:
        """A request of the caller in the dialog that a 2xx made."""
        accepted = call.final
        assert accepted is not None
        request = self.build(
            method,
            str(accepted.contacts[0].uri),
            *headers,
            to=accepted.headers.get("To") or "",
            call_id=call.request.call_id,
        )
        for route in reversed(accepted.headers.all("Record-Route")):
            request.headers.add("Route", route)
        if method == "ACK":
            request.headers.set("CSeq", f"{call.request.cseq[0]} ACK")
        return request

    # -- answering ----------------------------------------------------------------------------

    def reply(self, server: ServerTransaction, status: int) -> Response:
        response = response_to(server.request, status, to_tag=f"tag-{id(self)}")
        for value in server.request.headers.all("Record-Route"):
            response.headers.add("Record-Route", value)
        response.headers.add("Contact", f"<{self.contact}>")
        return response

    def _came(self, server: ServerTransaction | None, request: Request, flow: Flow) -> None:
        self.requests.append(request)
        if server is None:
            return
        self.servers.append(server)
        if request.method == "INVITE":
            self.on_invite(server)
        elif request.method == "CANCEL":
            server.respond(response_to(request, 200))
            invite = self.layer.invite_of(request)
            if invite is not None:
                invite.respond(self.reply(invite, 487))
        else:
            server.respond(self.reply(server, 200))

    def of(self, method: str) -> list[Request]:
        return [request for request in self.requests if request.method == method]


class Exchange:
    """A request and what came of it."""

    def __init__(self, phone: Phone, request: Request) -> None:
        self.request = request
        self.responses: list[Response] = []
        self.first: Response | None = None
        self.trouble: list[Any] = []
        self.transaction: ClientTransaction = phone.layer.request(
            request,
            phone.flow,
            on_response=self.responses.append,
            on_timeout=lambda: self.trouble.append("timeout"),
            on_error=self.trouble.append,
        )

    @property
    def final(self) -> Response | None:
        return next((response for response in self.responses if response.status >= 200), None)

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.responses]

    @property
    def told(self) -> list[int]:
        """Each status once: on a busy machine a repeated INVITE brings the last answer again."""
        return list(dict.fromkeys(self.statuses))


def address_of(message: Message) -> Address:
    uri: Any = message.contacts[0].uri
    return Address(uri.host, uri.port or 5060)
