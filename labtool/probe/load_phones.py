"""The many users of a load, in one process: their sockets, addresses and secrets."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from labtool.probe.account import Account
from labtool.probe.agent import USER_AGENT
from labtool.probe.target import local_host
from labtool.sip.digest import Challenge, Ha1, Password, base_algorithm, ha1
from labtool.sip.errors import SipError
from labtool.sip.flow import Address, Flow
from labtool.sip.loop import Loop
from labtool.sip.message import Request
from labtool.sip.transport import Transports

if TYPE_CHECKING:
    import ssl

    from labtool.sip.digest import Secret

# One UDP socket a user, so that a server that counts packets by source sees users; above this
# many they share: each socket costs 64 kB.
_MAX_SOCKETS = 256
_MARK = "@@labtool@@"


class Phone:
    """One user: where he is, and his REGISTER in pieces, ready to be put together."""

    def __init__(self, account: Account, open_flow: Callable[[], Flow]) -> None:
        self.account = account
        self._open = open_flow
        self._flow: Flow | None = None
        self.cseq = 0
        self.registered = False
        self.aor = str(account.aor)
        self.tag = secrets.token_hex(5)
        self._secrets: dict[str, Secret] = {}
        self._pieces: list[str] = []
        self._contact = ""

    @property
    def flow(self) -> Flow:
        """To the server; a connection that is gone is made anew."""
        if self._flow is None or not self._flow.alive:
            self._flow = self._open()
            self._contact = self._own_contact(self._flow)
            self._pieces = self._register().to_bytes().decode().split(_MARK)
        return self._flow

    @property
    def contact(self) -> str:
        """Where the server reaches this phone (RFC 3261 section 8.1.1.8)."""
        _ = self.flow
        return self._contact

    def _own_contact(self, flow: Flow) -> str:
        suffix = "" if flow.transport == "udp" else f";transport={flow.transport}"
        return f"<sip:{self.account.aor.user}@{flow.local}{suffix}>"

    def register(self, branch: str, expires: int, authorization: tuple[str, str] | None) -> bytes:
        """The bytes of the next REGISTER. `expires` in seconds; 0 takes the contact away."""
        _ = self.flow
        self.cseq += 1
        via, cseq, expiry, rest = self._pieces
        extra = ""
        if authorization is not None:
            if not authorization[1].isprintable():
                raise SipError("the challenge has control characters")
            extra = f"\r\n{authorization[0]}: {authorization[1]}"
        filled = f"{via}{branch}{cseq}{self.cseq}{expiry}{expires}{extra}{rest}"
        return filled.encode()

    def _register(self) -> Request:
        """Built, and so checked, by the message layer; only tokens and numbers are put in later."""
        flow = self._flow
        assert flow is not None
        return Request(
            "REGISTER",
            str(self.account.registrar),
            [
                ("Via", f"SIP/2.0/{flow.transport.upper()} {flow.local};rport;branch={_MARK}"),
                ("Max-Forwards", "70"),
                ("From", f"<{self.aor}>;tag={self.tag}"),
                ("To", f"<{self.aor}>"),
                ("Call-ID", secrets.token_hex(12)),
                ("CSeq", f"{_MARK} REGISTER"),
                ("Contact", self._contact),
                ("User-Agent", USER_AGENT),
                ("Expires", _MARK),
            ],
        )

    def secret(self, offered: Sequence[Challenge]) -> Secret | None:
        """What to sign with: a password is hashed once a realm, not once a request."""
        given = self.account.secret
        if not isinstance(given, Password) or not offered:
            return given
        realm = offered[0].realm
        if realm not in self._secrets:
            user, text = self.account.user, given.text
            names = {base_algorithm(one.algorithm) for one in offered if one.realm == realm}
            hashes = {name: ha1(user, realm, text, name) for name in names}
            self._secrets[realm] = Ha1(hashes) if hashes else given
        return self._secrets[realm]


class Phones:
    """All of them on one loop. `remote` is the server. Raises OSError where no way leads there."""

    def __init__(
        self,
        loop: Loop,
        accounts: Sequence[Account],
        transport: str,
        remote: Address,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> None:
        self.loop = loop
        self.transport = transport
        self.remote = remote
        self.transports = Transports(loop)
        self._tls = tls
        self._server_name = server_name
        host = local_host(remote)
        self._local = Address(host, 0)
        sockets: list[Address] = []
        if transport == "udp":
            for _ in range(min(len(accounts), _MAX_SOCKETS)):
                sockets.append(self.transports.listen("udp", host, 0))
        self.all = [
            Phone(account, self._opening(sockets[number % len(sockets)] if sockets else None))
            for number, account in enumerate(accounts)
        ]

    def _opening(self, local: Address | None) -> Callable[[], Flow]:
        def open_flow() -> Flow:
            # A connection of one's own: a local port that none has yet fits none that there is.
            return self.transports.flow(
                self.transport,
                self.remote,
                local=local or self._local,
                tls=self._tls,
                server_hostname=self._server_name,
            )

        return open_flow

    def close(self) -> None:
        self.transports.close()
