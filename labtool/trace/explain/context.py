"""What the capture knows around a message: who sent it, what it answers, what came before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from labtool.sip.digest import Secret
from labtool.sip.errors import ParseError
from labtool.sip.flow import Address
from labtool.sip.message import Message as Parsed
from labtool.sip.uri import SipUri
from labtool.sip.via import Via
from labtool.trace.analysis import Analysis
from labtool.trace.calls import Call
from labtool.trace.message import Message
from labtool.trace.participants import Name, Place
from labtool.trace.registrations import Registration, challenges
from labtool.trace.transactions import Transaction


class Context:
    """An analysis, indexed by message."""

    def __init__(self, analysis: Analysis, known: Mapping[tuple[str, str], Secret]) -> None:
        self.analysis = analysis
        self.known = known
        self._transactions: dict[int, Transaction] = {}
        self._read_calls: dict[str, list[Message]] = {}  #: by Call-ID
        self._sent: dict[str, Message] = {}  #: requests by branch
        self._registrations: dict[int, Registration] = {}
        self._registered: dict[str, list[Registration]] = {}
        for one in analysis.registrations:
            self._registered.setdefault(one.call_id, []).append(one)
        self._nonces: dict[int, tuple[str, ...]] = {}
        self._received: dict[int, str | None] = {}
        #: ICE's decisions: few, among very many checks.
        self.nominations = [one for one in analysis.capture.stun if one.use_candidate]
        self._calls = {one.call_id: one for one in analysis.calls}

    def seen(self, message: Message) -> Seen:
        """`message` with what is known of it. Raises ParseError for what only resembles one."""
        self.conversation(message.call_id)
        return Seen(self, message, message.parsed(), self._transactions.get(id(message)))

    def name(self, address: Address, view: int) -> Name:
        """What the ladder calls who is at `address` in that view."""
        place = self._place(address, view)
        return self.analysis.names.get(place, str(place))

    def knows(self, address: Address, view: int) -> bool:
        """Whether somebody at `address` took part."""
        return self._place(address, view) in self.analysis.names

    def _place(self, address: Address, view: int) -> Place:
        return self.analysis.merged.place(view, self.analysis.places.of(address))

    def conversation(self, call_id: str) -> list[Message]:
        """Every message with that Call-ID, in order of time."""
        known = self._read_calls.get(call_id)
        if known is None:
            known = self._read_calls[call_id] = self._read(call_id)
        return known

    def _read(self, call_id: str) -> list[Message]:
        number = self.analysis.conversations.number(call_id)
        if number is None:
            return []
        found = self.analysis.conversations[number]
        self._transactions |= {id(m): one for one in found.transactions for m in one.messages}
        self._registrations |= {
            id(transaction): one
            for one in self._registered.get(call_id, [])
            for transaction in one.transactions
        }
        for message in found.messages:
            if message.status == 0 and message.method != "ACK" and message.branch:
                self._sent.setdefault(message.branch, message)
        return found.messages

    def nonces(self, message: Message) -> tuple[str, ...]:
        """Those of the challenges in a 401 or 407; read once, however often it is asked."""
        found = self._nonces.get(id(message))
        if found is None:
            found = tuple(challenge.nonce for challenge in challenges(message))
            self._nonces[id(message)] = found
        return found

    def received(self, message: Message) -> str | None:
        """The address that a response's topmost Via says its request came from."""
        if id(message) not in self._received:
            try:
                self._received[id(message)] = message.parsed().via.received
            except ParseError:
                self._received[id(message)] = None
        return self._received[id(message)]

    def registration(self, transaction: Transaction | None) -> Registration | None:
        """What a REGISTER belongs to."""
        return self._registrations.get(id(transaction))

    def call(self, call_id: str) -> Call | None:
        """The call with that Call-ID."""
        return self._calls.get(call_id)

    def author(self, via: Via, view: int) -> Name:
        """Who wrote a Via: who sent a request under its branch, else who is at its address."""
        sent = self._sent.get(via.branch or "")
        if sent is not None:
            return self.name(sent.flow.source, sent.flow.view)
        address = Address(via.received or via.host, via.rport or via.port or 5060)
        return self.name(address, view) if self.knows(address, view) else via.host


@dataclass(frozen=True)
class Seen:
    """A message, and its place in the capture."""

    context: Context
    message: Message
    parsed: Parsed
    transaction: Transaction | None

    @property
    def view(self) -> int:
        return self.message.flow.view

    @property
    def is_request(self) -> bool:
        return self.message.status == 0

    @property
    def method(self) -> str:
        """Its own, or that of the request it answers."""
        return self.message.method

    @property
    def sender(self) -> Name:
        return self.context.name(self.message.flow.source, self.view)

    @property
    def receiver(self) -> Name:
        return self.context.name(self.message.flow.destination, self.view)

    def frame(self, one: Message) -> str:
        """The number of a message's frame as it is shown: with its file where there are several, and
        of the one that stands for it where more have it.
        """
        shown = self.context.analysis.merged.twins.get(id(one), one)
        return self.at(shown.frame, shown.flow.view)

    def at(self, frame: int, view: int) -> str:
        """The number of a frame, with its file where there are several."""
        name = self.context.analysis.capture.view_name(view)
        return f"{frame} ({name})" if name else str(frame)

    @property
    def author(self) -> Name:
        """Who wrote it, where a server only passes it on: the user in From, or in To of an answer."""
        if isinstance(self.sender, str):
            return self.sender
        try:
            if self.is_request and len(self.vias) > 1:
                return self._user(self.parsed.from_.uri)
            if self.method == "INVITE" and 100 < self.message.status < 300 and self.message.to_tag:
                return self._user(self.parsed.to.uri)
        except ParseError:
            pass
        return self.sender

    def _user(self, uri: object) -> Name:
        return (isinstance(uri, SipUri) and uri.user) or self.sender

    @property
    def request(self) -> Message | None:
        """The request that this response answers, on this hop."""
        return self.transaction.request if self.transaction and not self.is_request else None

    @property
    def vias(self) -> list[Via]:
        """Its Vias, the topmost first; those that can be read."""
        found = []
        for value in self.parsed.headers.all("Via"):
            try:
                found.append(Via.parse(value))
            except ParseError:
                continue
        return found

    @cached_property
    def others(self) -> list[Message]:
        """The other messages with its Call-ID in the same capture."""
        return [
            one
            for one in self.context.conversation(self.message.call_id)
            if one is not self.message and one.flow.view == self.message.flow.view
        ]

    def before(self, **wanted: object) -> Message | None:
        """The last message before it with these attributes: on this hop, else on any."""
        found = [
            one
            for one in self.others
            if one.time_ns <= self.message.time_ns
            and all(getattr(one, name) == value for name, value in wanted.items())
        ]
        here = [one for one in found if one.flow.hop == self.message.flow.hop]
        return (here or found)[-1] if found else None

    def challenge(self, nonce: str) -> Message | None:
        """The 401 or 407 that gave this nonce."""
        for one in self.others:
            asks = one.status in (401, 407) and one.time_ns <= self.message.time_ns
            if asks and nonce in self.context.nonces(one):
                return one
        return None

    def forwarded_from(self) -> Message | None:
        """The same request on the hop before: the second Via holds its branch."""
        vias = self.vias
        if not self.is_request or len(vias) < 2:
            return None
        for one in self.context.conversation(self.message.call_id):
            if (
                one.status == 0
                and one.branch == vias[1].branch
                and one.method == self.method
                and one.cseq == self.message.cseq
            ):
                return one
        return None
