"""Everything that a finding may be judged from."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property

from labtool.sip.flow import Address
from labtool.trace.calls import Call, Leg
from labtool.trace.media import Negotiation, Stream, negotiation
from labtool.trace.participants import Name, Place, Places
from labtool.trace.reading import Capture
from labtool.trace.registrations import Registration
from labtool.trace.rtcp import Block, Report


@dataclass
class Scene:
    """A capture understood. `vantages` is the host that each view was taken at, None if unknown;
    `neighbours` the two that it was taken at or between (`labtool.trace.vantage`).
    """

    capture: Capture
    places: Places
    registrations: list[Registration]
    calls: list[Call]
    streams: list[Stream]
    names: dict[Place, Name]
    vantages: list[str | None]
    neighbours: list[tuple[str, ...]]
    _negotiations: dict[int, Negotiation] = field(default_factory=dict)

    def portions(self, size: int) -> Iterator[Scene]:
        """The same with some calls at a time, so that what was found of others can be forgotten."""
        by_call: dict[int, list[Stream]] = {}
        for stream in self.streams:
            if stream.call is not None:
                by_call.setdefault(stream.call.number, []).append(stream)
        _ = self.deaf_ports, self.closed_ports, self.reports, self.received  # once, for all
        for start in range(0, len(self.calls), size):
            part = copy(self)
            part.calls = self.calls[start : start + size]
            part.streams = [s for call in part.calls for s in by_call.get(call.number, ())]
            part._negotiations = {}
            yield part

    @cached_property
    def deaf_ports(self) -> dict[tuple[int, str, Address], list[tuple[int, int]]]:
        """Connection attempts that nothing answered, by view, source host and target: the frame and
        time of each SYN.
        """
        found: dict[tuple[int, str, Address], list[tuple[int, int]]] = {}
        connections = self.capture.connections
        for flow, stream in connections.items():
            if not stream.syns or stream.size:
                continue
            answer = connections.get(flow.back) if flow.back else None
            if answer is None or not (answer.syns or answer.rst):
                key = (flow.view, flow.source.host, flow.destination)
                found.setdefault(key, []).extend(stream.syns)
        return found

    @cached_property
    def closed_ports(self) -> dict[tuple[int, Address, Address], list[int]]:
        """See `closed_ports`."""
        return closed_ports(self.capture)

    @cached_property
    def reports(self) -> dict[tuple[int, Address], list[Report]]:
        """RTCP reports by view and destination."""
        found: dict[tuple[int, Address], list[Report]] = {}
        for report in self.capture.reports:
            found.setdefault((report.flow.view, report.flow.destination), []).append(report)
        return found

    @cached_property
    def received(self) -> dict[tuple[int, int], list[Block]]:
        """What receivers report of a stream, by view and SSRC, in order of time."""
        found: dict[tuple[int, int], list[Block]] = {}
        for report in self.capture.reports:
            for block in report.blocks:
                found.setdefault((report.flow.view, block.ssrc), []).append(block)
        return found

    def negotiation(self, leg: Leg) -> Negotiation:
        """The offers and answers of a leg."""
        found = self._negotiations.get(id(leg))
        if found is None:
            found = self._negotiations[id(leg)] = negotiation(leg)
        return found

    def name(self, place: Place) -> Name:
        """What to call a participant."""
        return self.names.get(place, str(place))

    def servers(self, call: Call) -> set[Place]:
        """Who passed the INVITE on: callee of one leg and caller of another."""
        legs = [leg for leg in call.legs if leg.invites]
        return {leg.callee for leg in legs} & {leg.caller for leg in legs}


def closed_ports(capture: Capture) -> dict[tuple[int, Address, Address], list[int]]:
    """What a machine said of its own port by ICMP, by view, sender and target: the frames. Not of
    ports that SIP came from: a service that is started anew is away for a moment.
    """
    found: dict[tuple[int, Address, Address], list[int]] = {}
    for error in capture.icmp:
        if error.is_port_unreachable and error.sender == error.destination.host:
            key = (error.view, error.source, error.destination)
            found.setdefault(key, []).append(error.frame)
    if found:
        spoke = {(flow.view, flow.source) for flow in capture.messages.flows}
        found = {key: rows for key, rows in found.items() if (key[0], key[2]) not in spoke}
    return found
