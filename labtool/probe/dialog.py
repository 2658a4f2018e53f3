"""A dialog (RFC 3261 section 12): who talks to whom, through which proxies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from labtool.sip.address import NameAddr
from labtool.sip.message import Request, Response
from labtool.sip.uri import SipUri


@dataclass(frozen=True)
class Dialog:
    """One side's view. `route` is in the order in which requests pass it."""

    call_id: str
    local: NameAddr
    remote: NameAddr
    target: str
    route: tuple[str, ...]
    contact: str
    cseq: int

    @classmethod
    def of_caller(cls, request: Request, response: Response) -> Dialog:
        """From the INVITE and a 2xx (12.1.2). SipError where no request can be made of it."""
        return _usable(
            cls(
                call_id=request.call_id,
                local=request.from_,
                remote=response.to,
                target=_target(response.contacts, str(request.uri)),
                route=tuple(reversed(response.headers.all("Record-Route"))),
                contact=request.headers.get("Contact") or "",
                cseq=request.cseq[0],
            )
        )

    @classmethod
    def of_callee(cls, request: Request, response: Response, contact: str) -> Dialog:
        """From the INVITE that came and the 2xx that is sent (12.1.1). SipError as above."""
        return _usable(
            cls(
                call_id=request.call_id,
                local=response.to,
                remote=request.from_,
                target=_target(request.contacts, str(request.from_.uri)),
                route=tuple(request.headers.all("Record-Route")),
                contact=contact,
                cseq=0,
            )
        )

    def next(self) -> Dialog:
        """With the sequence number of the next request."""
        return replace(self, cseq=self.cseq + 1)

    def refreshed(self, contacts: list[NameAddr]) -> Dialog:
        """With the target that the other side's INVITE or its 2xx names now (12.2.1.2, 12.2.2)."""
        return replace(self, target=_target(contacts, self.target))

    def request(
        self, method: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> Request:
        """A request within the dialog (12.2.1.1), with this sequence number."""
        uri, route = self.target, self.route
        if route and not _is_loose(route[0]):
            # A strict router wants itself as the Request-URI, and the target last in the list.
            uri, route = _bare(route[0]), (*route[1:], f"<{self.target}>")
        lines = [("Max-Forwards", "70"), *(("Route", value) for value in route)]
        lines += [
            ("From", str(self.local)),
            ("To", str(self.remote)),
            ("Call-ID", self.call_id),
            ("CSeq", f"{self.cseq} {method}"),
            ("Contact", self.contact),
        ]
        return Request(method, uri, [*lines, *headers], body)

    @property
    def next_hop(self) -> SipUri | None:
        """The URI that the next request is sent to (RFC 3261 section 8.1.2)."""
        uri = NameAddr.parse(self.route[0]).uri if self.route else None
        if uri is None:
            uri = NameAddr.parse(f"<{self.target}>").uri
        return uri if isinstance(uri, SipUri) else None


def _usable(dialog: Dialog) -> Dialog:
    dialog.request("ACK")
    _ = dialog.next_hop
    return dialog


def _target(contacts: list[NameAddr], otherwise: str) -> str:
    return str(contacts[0].uri) if contacts else otherwise


def _is_loose(route: str) -> bool:
    uri = NameAddr.parse(route).uri
    return isinstance(uri, SipUri) and "lr" in uri.params


def _bare(route: str) -> str:
    return str(NameAddr.parse(route).uri)
