"""The location service and what REGISTER does to it (RFC 3261 section 10.3, RFC 3327, RFC 5626)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labtool.sandbox.settings import Registrar as Settings
from labtool.sip.address import NameAddr
from labtool.sip.errors import ParseError
from labtool.sip.flow import Address, Flow
from labtool.sip.grammar import is_digits
from labtool.sip.message import Request
from labtool.sip.uri import OtherUri, SipUri, parse_uri

__all__ = ["Binding", "Registrar", "Result", "Source"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a REGISTER came from: enough to find the way back, without keeping a connection."""

    transport: str
    remote: Address
    local: Address

    @classmethod
    def of(cls, flow: Flow) -> Source:
        return cls(flow.transport, flow.remote, flow.local)


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact of one user. `expires_at` is on the registrar's clock, in seconds.

    `source` is set when the client speaks to us directly; with proxies in between, `path` leads
    back through them. `behind_nat`: the address in the contact is the client's own idea of itself,
    and is not where it can be reached.
    """

    contact: str
    uri: SipUri
    unique: str
    q: float
    expires_at: float
    call_id: str
    cseq: int
    params: tuple[tuple[str, str | None], ...]
    path: tuple[str, ...]
    source: Source | None
    behind_nat: bool

    def header(self, now: float) -> str:
        """The Contact that a 200 to REGISTER shows, with what is left of its time."""
        left = max(0, round(self.expires_at - now))
        tail = "".join(
            f";{name}" if value is None else f";{name}={value}"
            for name, value in self.params
            if name != "expires"
        )
        return f"<{self.contact}>{tail};expires={left}"


@dataclass(frozen=True, slots=True)
class Result:
    """What a REGISTER is answered with. `added` and `removed` are contacts, for the log."""

    status: int
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class _Refused(Exception):
    def __init__(self, result: Result) -> None:
        super().__init__(result.reason)
        self.result = result


class Registrar:
    """The bindings of every address-of-record (`user@domain`), in memory, as Flexisip's `internal`
    database has them. `now` is a clock in seconds."""

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now
        self._bindings: dict[str, list[Binding]] = {}

    def lookup(self, aor: str) -> list[Binding]:
        """The live bindings of a user, those with the highest q first, then the newest."""
        return sorted(self._live(aor), key=lambda binding: (-binding.q, -binding.expires_at))

    def _live(self, aor: str) -> list[Binding]:
        """In the order in which they were made."""
        found = self._bindings.get(aor)
        if not found:
            return []
        now = self._now()
        live = [binding for binding in found if binding.expires_at > now]
        if len(live) != len(found):
            self._store(aor, live)
        return live

    def purge(self) -> list[tuple[str, Binding]]:
        """Forget what has expired; returns it with its address-of-record."""
        now = self._now()
        gone: list[tuple[str, Binding]] = []
        for aor, found in list(self._bindings.items()):
            live = [binding for binding in found if binding.expires_at > now]
            if len(live) != len(found):
                gone += [(aor, binding) for binding in found if binding.expires_at <= now]
                self._store(aor, live)
        return gone

    @property
    def counts(self) -> tuple[int, int]:
        """How many addresses-of-record are registered, and with how many contacts."""
        return len(self._bindings), sum(map(len, self._bindings.values()))

    def register(
        self,
        aor: str,
        request: Request,
        source: Source | None,
        behind_nat: Callable[[SipUri], bool] = lambda _: False,
    ) -> Result:
        """Do what an authorised REGISTER asks for: all of it, or nothing."""
        try:
            return self._register(aor, request, source, behind_nat)
        except _Refused as refused:
            return refused.result
        except ParseError as error:
            return Result(400, f"Bad request: {error}"[:80].replace("\r", " ").replace("\n", " "))

    def _register(
        self,
        aor: str,
        request: Request,
        source: Source | None,
        behind_nat: Callable[[SipUri], bool],
    ) -> Result:
        values = request.headers.all("Contact")
        call_id, (cseq, _) = request.call_id, request.cseq
        now = self._now()
        old = self._live(aor)
        if "*" in values:
            if len(values) > 1 or request.headers.get("Expires") != "0":
                raise _Refused(Result(400, "Invalid contact"))
            if not self._settings.takes_star:
                raise _Refused(Result(400, "Invalid contact"))
            for binding in old:
                _check_order(binding, call_id, cseq)
            self._store(aor, [])
            return self._success(aor, request, removed=tuple(b.contact for b in old))
        if len(values) > self._settings.max_contacts_at_once:
            raise _Refused(Result(403, "Too many contacts in REGISTER"))
        added: list[str] = []
        removed: list[str] = []
        new = list(old)
        for value in values:
            contact = NameAddr.parse(value)
            uri = contact.uri
            if not isinstance(uri, SipUri):
                raise _Refused(Result(400, "Invalid contact"))
            expires = self._expires(contact, request)
            unique = self._unique(contact)
            for binding in [b for b in new if _same(b, uri, unique)]:
                _check_order(binding, call_id, cseq)
                new.remove(binding)
                if not expires:
                    removed.append(binding.contact)
            if expires:
                added.append(str(uri))
                new.append(
                    Binding(
                        contact=str(uri),
                        uri=uri,
                        unique=unique,
                        q=_quality(contact.params.get("q")),
                        expires_at=now + expires,
                        call_id=call_id,
                        cseq=cseq,
                        params=tuple(contact.params.items()),
                        path=tuple(request.headers.all("Path")),
                        source=source,
                        behind_nat=source is not None and behind_nat(uri),
                    )
                )
        # Over the limit, who was there first goes first.
        self._store(aor, new[-self._settings.max_contacts :])
        return self._success(aor, request, tuple(added), tuple(removed))

    def _success(
        self,
        aor: str,
        request: Request,
        added: tuple[str, ...] = (),
        removed: tuple[str, ...] = (),
    ) -> Result:
        now = self._now()
        headers = [("Contact", binding.header(now)) for binding in self._bindings.get(aor, ())]
        headers += [("Path", value) for value in request.headers.all("Path")]
        headers.append(("Supported", "path, outbound"))
        if self._settings.service_route:
            headers.append(("Service-Route", self._settings.service_route))
        return Result(200, "Registration successful", tuple(headers), added, removed)

    def _store(self, aor: str, bindings: list[Binding]) -> None:
        if bindings:
            self._bindings[aor] = bindings
        else:
            self._bindings.pop(aor, None)

    def _expires(self, contact: NameAddr, request: Request) -> int:
        """Seconds; 0 removes. 10.3 step 6: the contact's own, the header's, or the default."""
        settings = self._settings
        text = contact.params.get("expires")
        if text is None:
            text = request.headers.get("Expires")
        # 20.19: what is no number counts as 3600.
        seconds = settings.default_expires if text is None else 3600
        if text is not None and is_digits(text):
            seconds = min(int(text[:10]), 2**32 - 1)
        if seconds == 0:
            return 0
        if settings.force_expires:
            return settings.force_expires
        if seconds < settings.min_expires:
            headers = (("Min-Expires", str(settings.min_expires)),)
            raise _Refused(Result(423, None, headers))
        return min(seconds, settings.max_expires)

    def _unique(self, contact: NameAddr) -> str:
        """What makes two contacts the same device (RFC 5626 section 6), "" for none."""
        for name in self._settings.unique_id_parameters:
            uri = contact.uri
            value = contact.params.get(name.lower())
            if value is None and isinstance(uri, SipUri):
                value = uri.params.get(name.lower())
            if value:
                return f"{name}={value};{contact.params.get('reg-id') or ''}"
        return ""


def _same(binding: Binding, uri: SipUri, unique: str) -> bool:
    if unique or binding.unique:
        return unique == binding.unique
    if binding.uri == uri:
        return True
    return binding.uri.equivalent(uri)


def _check_order(binding: Binding, call_id: str, cseq: int) -> None:
    """10.3 step 7: an older request that was overtaken must change nothing."""
    if binding.call_id == call_id and cseq <= binding.cseq:
        raise _Refused(Result(400, "Replayed CSeq"))


def _quality(text: str | None) -> float:
    """A q value of 0 to 1; what is none counts as 1."""
    whole, _, rest = (text or "").partition(".")
    if not is_digits(whole + rest) or len(whole + rest) > 9:
        return 1.0
    return min(float(f"{whole or 0}.{rest or 0}"), 1.0)


def aor_of(text: str | SipUri | OtherUri) -> str | None:
    """`user@domain` of a SIP URI, user unescaped; None where it has no user or is no SIP URI."""
    uri = parse_uri(text) if isinstance(text, str) else text
    if not isinstance(uri, SipUri) or uri.user is None:
        return None
    return f"{uri.username}@{uri.host}"
