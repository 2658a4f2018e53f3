"""Answering digest challenges for one account (RFC 7616, RFC 8760 through `labtool.sip.digest`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labtool.probe.account import Account
from labtool.probe.causes import cause
from labtool.probe.failure import Failure, printable
from labtool.sip.digest import Challenge, Credentials, answer
from labtool.sip.errors import ParseError, SipError
from labtool.sip.message import Request, Response

# Which header answers which status (RFC 3261 sections 22.2 and 22.3).
_HEADERS = {
    401: ("WWW-Authenticate", "Authorization"),
    407: ("Proxy-Authenticate", "Proxy-Authorization"),
}


MALFORMED = replace(
    cause("unexpected-answer"),
    explanation="The server asks for a password in a header that is malformed, so that none can be "
    "sent (RFC 7616 section 3.3).",
    cure="See the header in a trace (--capture FILE): the server, or something on the way, spoils it.",
)


class Unanswerable(Exception):
    """A challenge that this account cannot answer; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


class Login:
    """An account and the last challenge it was given. `algorithm` allows only that one."""

    def __init__(self, account: Account, algorithm: str | None = None) -> None:
        self.account = account
        self.algorithm = algorithm
        self.challenges: Sequence[Challenge] = ()
        self._answer_in = ""
        self._of_registrar = False
        self._count = 0

    @property
    def offered(self) -> tuple[str, ...]:
        """The algorithms of the last challenge, in its order."""
        return tuple(printable(c.algorithm, 30) for c in self.challenges)

    @property
    def realm(self) -> str:
        return printable(self.challenges[0].realm) if self.challenges else ""

    @property
    def stale(self) -> bool:
        """Whether the last challenge says that only the nonce was too old."""
        return any(c.stale for c in self.challenges)

    def take(self, response: Response) -> None:
        """Keep the challenges of a 401 or 407. Raises Unanswerable where none is in it."""
        asked_in, self._answer_in = _HEADERS[response.status]
        found = []
        schemes, malformed = [], None
        for value in response.headers.all(asked_in):
            try:
                found.append(Challenge.parse(value))
            except ParseError as error:
                scheme = printable(value.partition(" ")[0], 20)
                schemes.append(scheme)
                if scheme.lower() == "digest":
                    malformed = (
                        f"{response.status} with a malformed challenge: {printable(str(error))}"
                    )
        self._count = 0
        self._of_registrar = _registers(response)
        self.challenges = found
        if not found and malformed:
            raise Unanswerable(Failure(MALFORMED, malformed))
        if not found:
            what = f"only {', '.join(schemes)}" if schemes else f"no {asked_in}"
            detail = f"{response.status} with {what}, so no password can be sent"
            name = "algorithm-unsupported" if schemes else "unexpected-answer"
            raise Unanswerable(Failure(cause(name), detail))

    def sign(self, request: Request) -> Credentials | None:
        """Put the answer to the kept challenge on `request`; None where there is no challenge yet,
        or where it is of the proxy and the request is for the registrar, or the reverse: some
        registrars refuse an answer to the proxy's challenge instead of asking anew.

        Raises Unanswerable where the account has no secret for any algorithm that is offered.
        """
        if not self.challenges or self._of_registrar != (request.method == "REGISTER"):
            return None
        account, wanted = self.account, self.algorithm
        if account.secret is None:
            raise Unanswerable(
                Failure(cause("wrong-password"), "the server asks for a password; none was given")
            )
        usable = [
            c for c in self.challenges if wanted is None or c.algorithm.upper() == wanted.upper()
        ]
        self._count += 1
        try:
            credentials = answer(
                usable,
                method=request.method,
                uri=request.uri,
                username=account.user,
                secret=account.secret,
                body=request.body,
                nc=self._count,
            )
        except SipError:
            offered = ", ".join(self.offered)
            have = wanted or "the account's hashes"
            raise Unanswerable(
                Failure(cause("algorithm-unsupported"), f"the server offers {offered}; not {have}")
            ) from None
        request.headers.set(self._answer_in, str(credentials))
        return credentials


def _registers(response: Response) -> bool:
    try:
        return response.cseq[1] == "REGISTER"
    except ParseError:
        return False
