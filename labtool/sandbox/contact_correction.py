"""Clients behind a NAT: what they call themselves, and where they are (Flexisip's NatHelper,
`nat-traversal-strategy=contact-correction`)."""

from __future__ import annotations

from labtool.sandbox.registrar import Binding
from labtool.sip.address import NameAddr
from labtool.sip.errors import ParseError
from labtool.sip.flow import Address, Flow
from labtool.sip.message import Message, Request, Response
from labtool.sip.uri import SipUri
from labtool.sip.via import Via

__all__ = ["correct_answer", "correct_request", "is_behind_nat"]


def is_behind_nat(uri: SipUri, via: Via, flow: Flow) -> bool:
    """Whether a contact is its sender's own idea of its address (that of its Via), and differs from
    where its packets come from."""
    port = uri.port or (5061 if flow.secure else 5060)
    own = (uri.host, port) == (via.host, via.port or (5061 if flow.secure else 5060))
    return own and (uri.host, port) != (flow.remote.host, flow.remote.port)


def correct_request(request: Request, flow: Flow) -> None:
    """Give the Contact of a neighbour behind a NAT its true address, so that requests within the
    dialog reach it."""
    if len(request.headers.all("Via")) != 1:
        return  # it came through another proxy, whose Record-Route leads back
    contact = _contact(request)
    if contact is None or not isinstance(contact.uri, SipUri):
        return
    if is_behind_nat(contact.uri, request.via, flow):
        _set(request, contact, contact.uri, flow.remote)


def correct_answer(response: Response, binding: Binding) -> None:
    """The same for the Contact in what a registered client answers."""
    source = binding.source
    if source is None or not (binding.behind_nat or source.transport != "udp"):
        return
    contact = _contact(response)
    if contact is None or not isinstance(contact.uri, SipUri):
        return
    uri = contact.uri
    if (uri.host, uri.port) == (binding.uri.host, binding.uri.port):
        _set(response, contact, uri, source.remote)


def _contact(message: Message) -> NameAddr | None:
    values = message.headers.all("Contact")
    if len(values) != 1:
        return None
    try:
        return NameAddr.parse(values[0])
    except ParseError:
        return None


def _set(message: Message, contact: NameAddr, uri: SipUri, true: Address) -> None:
    if (uri.host, uri.port) != (true.host, true.port):
        corrected = uri.replace(host=true.host, port=true.port)
        message.headers.set("Contact", str(contact.replace(uri=corrected)))
