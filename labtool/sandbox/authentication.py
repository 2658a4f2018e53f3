"""Who may: Flexisip's module Authentication (recorded from 2.5.2), decided for one request."""

from __future__ import annotations

import os
from dataclasses import dataclass

from labtool.sandbox.accounts import Accounts
from labtool.sandbox.nonces import Nonces, NonceState
from labtool.sandbox.settings import Authentication, listed
from labtool.sip.address import NameAddr
from labtool.sip.digest import Challenge, Credentials, verify
from labtool.sip.errors import ParseError
from labtool.sip.flow import Flow
from labtool.sip.message import Request
from labtool.sip.uri import SipUri, unescape

__all__ = ["Answer", "Authenticator", "Identity", "Passed"]

# 17.1.1.3, 9.1 and 22.1: the first two cannot be challenged; Flexisip lets BYE through as well.
UNCHALLENGED = frozenset({"ACK", "CANCEL", "BYE"})


@dataclass(frozen=True)
class Identity:
    """Who a request says it is from: user (unescaped) and domain."""

    user: str
    domain: str

    @property
    def aor(self) -> str:
        return f"{self.user}@{self.domain}"


@dataclass(frozen=True)
class Passed:
    """The request may go on. `user` is None where nobody had to prove who he is. `credentials` is
    the header value that was used up here and needs not travel on."""

    user: Identity | None = None
    credentials: str | None = None


@dataclass(frozen=True)
class Answer:
    """The request is answered with this. `why` is for the log."""

    status: int
    reason: str | None
    headers: tuple[tuple[str, str], ...]
    why: str


class Authenticator:
    """Judges requests. May raise SandboxRefusal, when the users file has to be read again and
    cannot be: Flexisip ends there, and so must the caller."""

    def __init__(self, settings: Authentication, accounts: Accounts, nonces: Nonces) -> None:
        self._settings = settings
        self._accounts = accounts
        self._nonces = nonces
        self._opaque = os.urandom(4).hex()

    def judge(self, request: Request, flow: Flow) -> Passed | Answer:
        settings = self._settings
        if not settings.enabled or request.method in UNCHALLENGED:
            return Passed()
        try:
            uri = identity_uri(request)
        except ParseError as error:
            return Answer(400, None, (), str(error))
        domain = uri.host
        if not settings.serves(domain):
            return Answer(403, "Domain forbidden", (), f"{domain} is not among auth-domains")
        if settings.trusted_hosts and listed(flow.remote.host, settings.trusted_hosts):
            return Passed()
        identity = Identity(unescape(uri.user or ""), domain)
        realm = self._realm(uri)
        name = "Authorization" if request.method == "REGISTER" else "Proxy-Authorization"
        found = self._credentials(request, name, realm)
        if found is None:
            return self._challenge(request, realm, stale=False, why="no credentials")
        value, credentials = found
        self._accounts.refresh()
        algorithm = credentials.algorithm.upper()
        if algorithm not in settings.algorithms:
            return self._challenge(request, realm, stale=False, why=f"algorithm {algorithm}")
        if settings.qop and credentials.qop not in (None, "auth"):
            return self._challenge(request, realm, stale=False, why=f"qop {credentials.qop}")
        stored = self._accounts.ha1(identity.user, domain, credentials.username, realm, algorithm)
        if stored is None:
            return self._refuse(request, realm, "unknown user, or no password of this algorithm")
        if not verify(credentials, method=request.method, ha1=stored, body=request.body):
            return self._refuse(request, realm, "wrong password")
        # Only who knows the password is told that his nonce is stale (RFC 7616 section 3.3).
        if self._nonces.judge(credentials.nonce, credentials.nc) is NonceState.STALE:
            return self._challenge(request, realm, stale=True, why="stale nonce")
        return Passed(identity, value)

    def _realm(self, uri: SipUri) -> str:
        settings = self._settings
        if settings.realm_regex is not None:
            match = settings.realm_regex.search(str(uri))
            if match:
                return match.group(1) if match.groups() else match.group()
        return settings.realm or uri.host

    @staticmethod
    def _credentials(request: Request, name: str, realm: str) -> tuple[str, Credentials] | None:
        for value in request.headers.lines(name):
            try:
                credentials = Credentials.parse(value)
            except ParseError:
                continue
            if credentials.realm == realm:
                return value, credentials
        return None

    def _challenge(self, request: Request, realm: str, *, stale: bool, why: str) -> Answer:
        """One header an algorithm, in the order of available-algorithms."""
        register = request.method == "REGISTER"
        name = "WWW-Authenticate" if register else "Proxy-Authenticate"
        nonce = self._nonces.issue()
        settings = self._settings
        headers = tuple(
            (name, str(Challenge(realm, nonce, algorithm, settings.qop, self._opaque, stale)))
            for algorithm in settings.algorithms
        )
        return Answer(401 if register else 407, None, headers, why)

    def _refuse(self, request: Request, realm: str, why: str) -> Answer:
        if self._settings.no_403:
            return self._challenge(request, realm, stale=False, why=why)
        return Answer(403, "Forbidden", (), why)


def identity_uri(request: Request) -> SipUri:
    """P-Preferred-Identity where there is one (RFC 3325), From otherwise. Raises ParseError."""
    preferred = request.headers.get("P-Preferred-Identity")
    uri = (NameAddr.parse(preferred) if preferred else request.from_).uri
    if not isinstance(uri, SipUri):
        raise ParseError("the identity is no SIP URI")
    return uri
