"""Where the later requests of a dialog will go (RFC 3261 section 12.1)."""

from __future__ import annotations

from labtool.sip.address import NameAddr
from labtool.sip.errors import ParseError
from labtool.sip.grammar import split_list
from labtool.sip.uri import SipUri
from labtool.trace.glance import lines
from labtool.trace.message import Message


def record_routes(message: Message) -> list[SipUri]:
    """The SIP URIs of its Record-Route, in order; none where one cannot be read."""
    try:
        rows = lines(message.data, "Record-Route")
        uris = [NameAddr.parse(value).uri for row in rows for value in split_list(row)]
    except ParseError:
        return []
    return [uri for uri in uris if isinstance(uri, SipUri)]


def recorded(message: Message) -> list[str]:
    """Hosts of its Record-Route, in order."""
    return [uri.host for uri in record_routes(message)]


def next_host(message: Message) -> str | None:
    """The host to which the receiver of this INVITE, or answer to one, will send what follows: the
    nearest route, else the Contact. A request has the nearest route first, a response last.
    """
    routes = recorded(message)
    if routes:
        return routes[0] if message.status == 0 else routes[-1]
    try:
        contacts = message.parsed().contacts
    except ParseError:
        return None
    return getattr(contacts[0].uri, "host", None) if contacts else None
