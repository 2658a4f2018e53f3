"""A SIP account as the probe uses it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labtool.sip.uri import SipUri, escape_user

if TYPE_CHECKING:
    from labtool.sip.digest import Secret


@dataclass(frozen=True)
class Account:
    """Who signs in, and over which transport. `secret` None: a server that asks for none."""

    user: str
    domain: str
    secret: Secret | None = field(default=None, repr=False)
    transport: str = "udp"

    @property
    def aor(self) -> SipUri:
        """The address-of-record, sip:user@domain."""
        return SipUri(user=escape_user(self.user), host=self.domain.strip("[]"))

    @property
    def registrar(self) -> SipUri:
        """The Request-URI of a REGISTER: the domain alone (RFC 3261 section 10.2)."""
        return SipUri(host=self.domain.strip("[]"))

    def __str__(self) -> str:
        return f"{self.user}@{self.domain}"
