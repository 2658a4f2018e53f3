"""Calls: every leg and dialog of one, from the INVITE to the BYE (RFC 3261 sections 12 to 15)."""

from __future__ import annotations

import sys
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from labtool.sip.address import NameAddr
from labtool.sip.errors import ParseError
from labtool.trace.glance import lines
from labtool.trace.message import Message
from labtool.trace.participants import Place, Places
from labtool.trace.transactions import Transaction, ends

if TYPE_CHECKING:
    from labtool.trace.conversations import Conversations

_CHALLENGES = (401, 407)
_SETUP_NS = 60_000_000_000  # a call rings no longer, where the capture does not say
_MAX_FORKS = 20


@dataclass(eq=False, slots=True)
class Leg:
    """What one pair of participants said about a call, in one view: one hop of its way."""

    caller: Place  #: who sent the INVITE
    callee: Place
    view: int
    transactions: list[Transaction] = field(default_factory=list)

    @property
    def invites(self) -> list[Transaction]:
        """The INVITEs, re-INVITEs too."""
        return [one for one in self.transactions if one.method == "INVITE"]

    @property
    def answer(self) -> Message | None:
        """The first 2xx to an INVITE."""
        found = (m for one in self.invites for m in one.responses if 200 <= m.status < 300)
        return min(found, key=lambda message: message.time_ns, default=None)

    @property
    def bye(self) -> Message | None:
        """The first BYE."""
        byes = (one.request for one in self.transactions if one.method == "BYE")
        return next((request for request in byes if request is not None), None)

    @property
    def hosts(self) -> tuple[str, str]:
        """Of both ends."""
        return self.caller.host, self.callee.host

    @property
    def transports(self) -> list[str]:
        """Transports that its messages used, the first first."""
        return list(dict.fromkeys(one.first.flow.transport for one in self.transactions))

    def messages(self) -> list[Message]:
        """All, in order of time."""
        found = [message for one in self.transactions for message in one.messages]
        return sorted(found, key=lambda message: message.time_ns)


class Front(NamedTuple):
    """Who placed a call to whom, on the hop on which it was seen first."""

    caller: Place
    callee: Place
    view: int


@dataclass(eq=False, slots=True)
class Call:
    """One attempt to talk: one Call-ID, over however many hops, forks and views.

    `caller` and `callee` are the URIs of From and To as written. `outcome` is "answered",
    "cancelled", "declined", "busy", "failed" or "open" (no final response in the capture). Of a long
    capture its legs and messages are read when they are asked for, and soon forgotten again.
    """

    number: int
    call_id: str
    caller: str
    callee: str
    _conversations: Conversations = field(repr=False)
    _index: int = field(repr=False)
    outcome: str = "open"
    status: int = 0  #: the final response that the caller saw
    started_ns: int = 0
    ringing_ns: int = 0
    answered_ns: int = 0
    ended_ns: int = 0  #: the BYE, or the final response of a call that was not answered
    ended_by: str = ""  #: "caller" or "callee", where a BYE was seen
    related: list[Call] = field(default_factory=list)  #: its other legs through a B2BUA

    @property
    def legs(self) -> list[Leg]:
        """Its hops, that of the first INVITE first."""
        return self._conversations[self._index].legs

    @property
    def transactions(self) -> list[Transaction]:
        """All, in order of time."""
        return self._conversations[self._index].transactions

    @property
    def dialogs(self) -> list[tuple[str, str]]:
        """Tags of the caller and of each callee that made a dialog with it (early ones too)."""
        found: dict[tuple[str, str], None] = {}
        for one in self.transactions:
            if one.method == "INVITE" and one.first.to_tag == "":
                for message in one.responses:
                    if 100 < message.status < 300 and message.to_tag:
                        found.setdefault((message.from_tag, message.to_tag))
        return list(found)

    @property
    def first_leg(self) -> Leg:
        """The hop on which the call was seen first."""
        return self.legs[0]

    def messages(self) -> list[Message]:
        """All, in order of time."""
        found = [message for one in self.transactions for message in one.messages]
        return sorted(found, key=lambda message: message.time_ns)


def legs(transactions: list[Transaction], places: Places) -> list[Leg]:
    """The hops of a call, if these transactions of one Call-ID are one."""
    if not any(one.method in ("INVITE", "BYE") for one in transactions):
        return []
    found: dict[tuple[frozenset[Place], int], Leg] = {}
    # An INVITE decides who is the caller; what only follows it (ACK, BYE) comes after.
    for one in sorted(transactions, key=lambda one: one.method != "INVITE"):
        client, server = ends(one, places)
        key = (frozenset((client, server)), one.first.flow.view)
        leg = found.get(key)
        if leg is None:
            leg = found[key] = Leg(client, server, one.first.flow.view)
        leg.transactions.append(one)
    return list(found.values())


def call_of(number: int, conversations: Conversations, index: int) -> Call | None:
    """The call that a conversation is, if it is one."""
    conversation = conversations[index]
    if not conversation.legs:
        return None
    group = conversation.transactions
    first = group[0].first
    invites = [one for one in group if one.method == "INVITE"]
    caller, callee = map(sys.intern, _parties(invites[0].first if invites else first))
    call = Call(number, first.call_id, caller, callee, conversations, index)
    call.started_ns = first.time_ns
    _outcome(call, conversation.legs[0], group)
    return call


def _parties(message: Message) -> tuple[str, str]:
    try:
        caller, callee = (lines(message.data, name)[:1] or [""] for name in ("From", "To"))
        return str(NameAddr.parse(caller[0]).uri), str(NameAddr.parse(callee[0]).uri)
    except ParseError:
        return "", ""


def _outcome(call: Call, leg: Leg, group: list[Transaction]) -> None:
    invites = [one for one in group if one.method == "INVITE"]
    finals: list[Message] = []
    for one in leg.invites:
        for message in one.responses:
            if 100 < message.status < 200 and not call.ringing_ns:
                call.ringing_ns = message.time_ns
            if message.status >= 200:
                finals.append(message)
    answered = next((m for m in finals if m.status < 300), None)
    bye = min(
        (one.first for one in group if one.method == "BYE"),
        key=lambda message: message.time_ns,
        default=None,
    )
    if bye is not None:
        call.ended_ns = bye.time_ns
        tags = {one.first.from_tag for one in invites}
        call.ended_by = "" if not tags else "caller" if bye.from_tag in tags else "callee"
    if answered is not None:
        call.outcome, call.status = "answered", answered.status
        call.answered_ns = answered.time_ns
        return
    if not invites:
        call.outcome = "answered" if bye is not None else "open"
        return
    last = finals[-1] if finals else None
    if last is None:
        return
    pending = leg.invites[-1]
    if last.status in _CHALLENGES and pending.final is None:
        return  # challenged, tried again, and nothing came back in this capture
    call.status = last.status
    call.ended_ns = call.ended_ns or last.time_ns
    cancelled = any(one.cancel is not None for one in invites)
    if cancelled and last.status == 487:
        call.outcome = "cancelled"
    elif last.status in (486, 600):
        call.outcome = "busy"
    elif last.status == 603:
        call.outcome = "declined"
    else:
        call.outcome = "failed"


def relate(calls: list[Call], fronts: list[Front]) -> None:
    """Join calls that a B2BUA bridged: it gets one INVITE and, before it answers, sends another
    whose From or To user is the same.
    """
    # Only who both is called and calls is one; it would cost much to look each call up.
    between = {(f.caller, f.view) for f in fronts} & {(f.callee, f.view) for f in fronts}
    sent: dict[tuple[Place, int, str, str], list[Call]] = {}
    for call, front in zip(calls, fronts, strict=True):
        if (front.caller, front.view) not in between:
            continue
        for side, uri in (("from", call.caller), ("to", call.callee)):
            sent.setdefault((front.caller, front.view, side, _user(uri)), []).append(call)
    for call, front in zip(calls, fronts, strict=True):
        if (front.callee, front.view) not in between:
            continue
        until = call.answered_ns or call.ended_ns or call.started_ns + _SETUP_NS
        for side, uri in (("from", call.caller), ("to", call.callee)):
            others = sent.get((front.callee, front.view, side, _user(uri)), [])
            at = bisect_left(others, call.started_ns, key=lambda other: other.started_ns)
            for other in others[at : at + _MAX_FORKS]:
                if other is call or other.started_ns > until:
                    continue
                if other not in call.related:
                    call.related.append(other)
                    other.related.append(call)


def _user(uri: str) -> str:
    return uri.partition(":")[2].partition("@")[0]
