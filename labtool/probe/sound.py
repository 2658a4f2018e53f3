"""Sound in a call: a tone each way, and a step for each direction on what came of it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from labtool.probe.causes import cause
from labtool.probe.failure import Failure, printable
from labtool.probe.leg import Leg
from labtool.probe.media import Direction, describe
from labtool.sip import sdp
from labtool.sip.errors import ParseError, SipError
from labtool.sip.flow import Address

if TYPE_CHECKING:
    from labtool.probe.phonecall import Call

# Two tones that are neither each other's harmonics nor those of telephone networks and keypads.
# A packet of 20 ms holds whole cycles of both, so that a lost one does not break the tone.
CALLER_HZ = 550.0
CALLEE_HZ = 1050.0
# What is still on the way when the last packet was sent, in seconds.
TAIL_S = 0.15


class Sound:
    """The tones of a call, in one or more spells."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.caller, self.callee = call.caller, call.callee
        self.places: dict[Leg, Address] = {}

    def begin(self) -> None:
        """Both sides send where the other's SDP says; Halt where it says nothing usable."""
        call, caller, callee = self.call, self.caller, self.callee
        for leg in (caller, callee):
            section = self._told(leg)
            self.places[leg] = where = Address(section.connection or "", section.port)
            leg.audio.control.start(Address(where.host, section.rtcp_port))
        direct = (
            self.places[caller] == callee.audio.local and self.places[callee] == caller.audio.local
        )
        call.path = "direct" if direct else "relayed"
        caller.audio.peer, callee.audio.peer = callee.audio.local, caller.audio.local
        caller.audio.send(self.places[caller], call.codec, CALLER_HZ)
        callee.audio.send(self.places[callee], call.codec, CALLEE_HZ)

    def stop(self) -> None:
        """Both sides are silent, and what was on the way has arrived."""
        for leg in (self.caller, self.callee):
            leg.audio.stop()
            leg.audio.control.report()
        self.call.wait(lambda: False, TAIL_S)

    def both_ways(self, seconds: float, when: str = "") -> bool:
        """A tone each way for `seconds`: a step for each direction. True where both hold.

        `when` ends the names of the steps.
        """
        call, caller, callee = self.call, self.caller, self.callee
        for leg in (caller, callee):
            leg.audio.fresh()
        self.begin()
        call.wait(lambda: False, seconds)
        self.stop()
        directions = [
            Direction(f"{one.name} to {other.name}", call.codec, hz, one.audio, other.audio)
            for one, other, hz in ((caller, callee, CALLER_HZ), (callee, caller, CALLEE_HZ))
        ]
        silent = not any(direction.heard for direction in directions)
        held = True
        for direction, leg in zip(directions, (caller, callee), strict=True):
            where = self.places[leg]
            facts = {**direction.facts(), "path": call.path, "sent_to": str(where)}
            failure = direction.failure(facts)
            name = f"sound {direction.name}{when}"
            if failure is None:
                how = "direct" if call.path == "direct" else f"relayed by {where}"
                call.session.passed(name, seconds, f"{describe(facts)}, {how}", **facts)
                continue
            held = False
            if silent:
                failure = Failure(cause("no-media"), failure.detail)
            kind = " (a private address)" if _is_private(where) else ""
            detail = f"{failure.detail}; sent to {where}{kind}"
            call.session.noted(name, seconds, Failure(failure.cause, detail), **facts)
        return held

    def end(self) -> None:
        """The last reports of RTCP."""
        for leg in (self.caller, self.callee):
            leg.audio.control.leave()

    def _told(self, leg: Leg) -> sdp.Media:
        """The section in which the other side's SDP says where `leg` shall send its sound."""
        try:
            section = sdp.SessionDescription.parse(leg.described).media[0]
            if section.port == 0:
                raise ParseError("the sound was refused (port 0)")
            Address(section.connection or "", section.port).sockaddr()
        except (SipError, IndexError) as error:
            detail = f"the SDP that reached {leg.name} names no place for sound: {error}"
            failure = Failure(cause("not-acceptable"), printable(detail))
            self.call.session.failed(f"sound to {leg.name}", 0.0, failure)
        return section


def _is_private(address: Address) -> bool:
    ip = ip_address(address.host.partition("%")[0])
    return ip.is_private and not ip.is_loopback
