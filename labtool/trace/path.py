"""Whether sound passes through a server or TURN, judged by who announced the addresses it uses.

A phone announces its own address, and a server that only passes the description on repeats it. An
address that no phone announced was put there by the server: that is a relay (RFC 4566 section 5.7
says only where sound is to go, not whose machine that is). Where phones and server share a host,
nothing else tells them apart.

A TURN server relays for a client that asked it to (RFC 8656): what it carries shows that, else the
address that it was seen to give, or one that a phone announced as a relay of its own. (A SIP server
that relays may announce itself as such a candidate too: that stays the server's.)
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Literal

from labtool.sip.flow import Address
from labtool.trace.announced import Announcement
from labtool.trace.calls import Call
from labtool.trace.flow import Flow
from labtool.trace.hosts import written
from labtool.trace.participants import Place, Places
from labtool.trace.routes import record_routes

Way = Literal["direct", "relayed", "turn", ""]

_SIP_PORT = 5060


class Relay:
    """The servers of one call, and what they announced as their own."""

    def __init__(
        self, call: Call, places: Places, allocated: Container[Address] = frozenset()
    ) -> None:
        """`allocated` are the addresses that TURN servers were seen to give."""
        self._places = places
        self._allocated = allocated
        legs = [leg for leg in call.legs if leg.invites]
        #: Seen on both sides: callee of one leg, caller of another.
        self._passing = {leg.callee for leg in legs} & {leg.caller for leg in legs}
        self.servers = self._passing | set(_recorded(call))
        self._hosts = {place.host for place in self.servers}

    def path(self, flow: Flow, said: Mapping[Address, list[Announcement]]) -> Way:
        """The way of a stream; `said` is all that the call's descriptions said of its ends."""
        ends = (flow.destination, flow.source)
        if flow.outer is not None:
            return "turn"
        if any(end not in self._allocated and self.is_end(end, said[end]) for end in ends):
            return "relayed"
        if any(end in self._allocated or _is_relay(end, said[end]) for end in ends):
            return "turn"
        return "direct"

    def is_end(self, address: Address, said: Iterable[Announcement]) -> bool:
        """Whether `address` is a server's; `said` is all that the call's descriptions said of it."""
        said = list(said)
        announcers = {self._places.of(one.owner) for one in said}
        if announcers - self.servers:
            return False  # a phone's own
        if address.host in self._hosts:
            return True
        # Neither a phone's nor on the server's host: a relay on another machine, if the server was
        # seen to receive something else.
        return any(
            one.address == address and self._places.of(one.owner) in self._passing for one in said
        )


def _is_relay(address: Address, said: Iterable[Announcement]) -> bool:
    """Whether it was announced as a relayed candidate (RFC 8839 section 5.1)."""
    return any(
        candidate.type == "relay" and Address(written(candidate.host), candidate.port) == address
        for one in said
        for candidate in one.media.candidates
    )


def _recorded(call: Call) -> Iterable[Place]:
    """The ends of answered legs that recorded their route."""
    for leg in call.legs:
        if leg.answer is None:
            continue
        routes = record_routes(leg.answer)
        for place in (leg.caller, leg.callee):
            for uri in routes:
                if place.host == uri.host and place.port in (0, uri.port or _SIP_PORT):
                    yield place
