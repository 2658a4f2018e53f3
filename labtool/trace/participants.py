"""Who took part: the machines of a capture, and the names that people know them by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from labtool.sip.errors import ParseError
from labtool.sip.flow import Address
from labtool.sip.uri import SipUri
from labtool.trace.flow import Flow
from labtool.trace.message import Message
from labtool.trace.messages import ENOUGH, Columns, Kept
from labtool.trace.phrase import Phrase, phrase

#: A user's name, what a caller of this room gave, or a phrase: "server".
Name = str | Phrase

_OF_USERS = ("REGISTER", "INVITE")


class Place(NamedTuple):
    """A participant: one machine, or one port of a machine that talks to itself."""

    host: str
    port: int = 0  #: 0: every port of the host

    def __str__(self) -> str:
        return str(Address(self.host, self.port)) if self.port else self.host


class Places:
    """Says which participant an address belongs to.

    A host is one participant, whatever its ports. Where a host signs in at itself or calls itself
    (everything on loopback, or a proxy and its clients on one machine), or a call comes from it and
    goes to another port of it (two phones behind one NAT), each SIP port is one, and an ephemeral
    TCP port belongs to the port that the sender's own Via names.
    """

    def __init__(self, messages: Kept | Columns) -> None:
        self._split = _alone(messages)
        for invites in messages.invites():
            self._split |= _shared(invites)
        self._owner: dict[Address, Address] = {}
        self._ends: dict[Flow, tuple[Place, Place]] = {}
        if self._split:
            self._find_owners(messages)

    def _find_owners(self, messages: Iterable[Message]) -> None:
        for message in messages:
            flow = message.flow
            if flow.transport == "udp" or message.status or flow.source.host not in self._split:
                continue
            if flow.source in self._owner:
                continue
            try:
                via = message.parsed().via
            except ParseError:
                continue
            if via.host == flow.source.host and via.port:
                self._owner[flow.source] = Address(via.host, via.port)

    def adopt(self, media: Address, owner: Address) -> None:
        """A media port, by the SIP port whose session description announced it."""
        if media.host in self._split and media.host == owner.host:
            self._owner.setdefault(media, self._owner.get(owner, owner))
            self._ends.clear()

    def of(self, address: Address) -> Place:
        """The participant that `address` belongs to."""
        if address.host not in self._split:
            return Place(address.host)
        address = self._owner.get(address, address)
        return Place(address.host, address.port)

    def ends(self, flow: Flow) -> tuple[Place, Place]:
        """The participants at the source and the destination of a flow."""
        found = self._ends.get(flow)
        if found is None:
            found = self._ends[flow] = (self.of(flow.source), self.of(flow.destination))
        return found


def _alone(messages: Kept | Columns) -> set[str]:
    """Hosts that send SIP to themselves. A server that asks itself whether it is well (OPTIONS) while
    it talks to others is none.
    """
    own = {flow for flow in messages.flows if flow.source.host == flow.destination.host}
    if not own:
        return set()
    flows = [flow for flow in messages.flows if flow not in own]
    others = {end.host for flow in flows for end in (flow.source, flow.destination)}
    return {
        flow.source.host
        for flow, method in messages.methods()
        if flow in own and (method in _OF_USERS or flow.source.host not in others)
    }


def _shared(messages: list[Message]) -> set[str]:
    """Hosts that several phones share: a server got an INVITE from one port and sent it to another.
    `messages` are INVITEs outside dialogs.

    Over TCP a machine calls from a port that it does not listen on; its Via tells which it does.
    """
    came: dict[tuple[str, int, str, str], set[int]] = {}
    went: dict[tuple[str, int, str, str], set[int]] = {}
    for message in messages:
        flow = message.flow
        source, target = flow.source, flow.destination
        port = source.port
        if flow.transport != "udp":
            try:
                port = message.parsed().via.port or port
            except ParseError:
                continue
        key = (message.call_id, flow.view)
        came.setdefault((*key, source.host, target.host), set()).update((source.port, port))
        went.setdefault((*key, target.host, source.host), set()).add(target.port)
    return {key[2] for key, ports in came.items() if key in went and not ports & went[key]}


def names(
    messages: Iterable[Message], places: Places, given: Mapping[Address, str] | None = None
) -> dict[Place, Name]:
    """What to call each participant: as `given`, else the user who is there, else "server".

    A user is who sends a request that nobody has forwarded yet (one Via), or who answers a request
    that it did not pass on. A participant of several users is a server.
    """
    chosen: dict[Place, Name] = {
        places.of(address): name for address, name in (given or {}).items()
    }
    users: dict[Place, set[str]] = {}
    servers: set[Place] = set()
    order: dict[Place, None] = {}
    looked: dict[tuple[Place, Place, str, int], int] = {}
    for message in messages:
        source, target = places.ends(message.flow)
        order[source] = order[target] = None
        if message.repeats is not None or message.status not in (0, 180, 183, 200):
            continue
        key = (source, target, message.method, message.status)
        count = looked[key] = looked.get(key, 0) + 1
        if count > ENOUGH:
            continue
        try:
            parsed = message.parsed()
            vias = len(parsed.headers.all("Via"))
            speaker = parsed.from_.uri if message.status == 0 else parsed.to.uri
        except ParseError:
            continue
        user = speaker.user if isinstance(speaker, SipUri) else ""
        if message.method == "REGISTER":
            servers.add(target if message.status == 0 else source)
        if message.status == 0:
            if vias > 1:
                servers.add(source)
            elif user and message.method not in ("ACK", "CANCEL"):
                users.setdefault(source, set()).add(user)
        elif message.method == "INVITE" and user:
            users.setdefault(source, set()).add(user)
            if vias > 1:
                servers.add(target)
    for place, known in users.items():
        if place not in servers and len(known) == 1:
            chosen.setdefault(place, next(iter(known)))
    for place in order:
        if place in servers:
            alone = phrase("server") if len(servers) == 1 else phrase("server_at", host=place.host)
            chosen.setdefault(place, alone)
        chosen.setdefault(place, phrase("server") if len(users.get(place, ())) > 1 else str(place))
    return chosen
