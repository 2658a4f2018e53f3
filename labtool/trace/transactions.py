"""Messages put into transactions, hop by hop (RFC 3261 section 17), and retransmissions known.

A transaction is what one hop saw of it: the same request forwarded by a proxy has another branch
and is another transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

from labtool.sip.flow import Address
from labtool.trace.message import Message
from labtool.trace.participants import Place, Places

#: The same bytes on the same hop within this time are one packet captured twice (two interfaces,
#: a mirrored port), not a retransmission: those wait 500 ms, never less than a round trip.
SAME_PACKET_NS = 5_000_000


class Transaction:
    """A request on one hop, and what answered it.

    `messages` has everything in order of time, retransmissions too; `requests` and `responses` the
    first sending of each different message.
    """

    __slots__ = ("ack", "cancel", "messages", "method", "request", "responses")

    def __init__(self, method: str) -> None:
        self.method = method
        self.request: Message | None = None
        self.responses: list[Message] = []
        self.messages: list[Message] = []
        self.ack: Message | None = None  #: the ACK to a final response that is no 2xx
        self.cancel: Transaction | None = None

    @property
    def final(self) -> Message | None:
        """The first final response that was seen."""
        return next((m for m in self.responses if m.status >= 200), None)

    @property
    def client(self) -> Address:
        """Who sent the request, on this hop."""
        first = self.messages[0]
        return first.flow.source if first.status == 0 else first.flow.destination

    @property
    def server(self) -> Address:
        """Who got the request, on this hop."""
        first = self.messages[0]
        return first.flow.destination if first.status == 0 else first.flow.source

    @property
    def first(self) -> Message:
        """Its first message; a response where the capture lacks the request."""
        return self.messages[0]

    @property
    def last_ns(self) -> int:
        return self.messages[-1].time_ns

    def sendings(self) -> dict[int, list[Message]]:
        """Each time that a message was sent on this hop, by the id of its first sending."""
        found: dict[int, list[Message]] = {}
        for message in self.messages:
            found.setdefault(id(message.repeats or message), []).append(message)
        return found

    def __repr__(self) -> str:
        statuses = [m.status for m in self.responses]
        return f"<Transaction {self.method} {self.client} > {self.server} {statuses}>"


def ends(one: Transaction, places: Places) -> tuple[Place, Place]:
    """The participants that are client and server of a transaction."""
    source, destination = places.ends(one.first.flow)
    return (source, destination) if one.first.status == 0 else (destination, source)


def transactions(messages: Iterable[Message]) -> tuple[list[Transaction], list[Message]]:
    """Transactions among messages with one Call-ID, in order of their first message; and messages
    that were captured twice.

    Sets `Message.repeats`. A CANCEL is linked to the INVITE that it cancels.
    """
    copies: list[Message] = []
    found: dict[tuple[str, int, str, int, int], Transaction] = {}
    again: dict[int, int] = {}  # when a message was sent last, by the id of its first sending
    answers: dict[tuple[int, int, str], Message] = {}  # the first of each kind to a request
    for message in messages:
        flow = message.flow
        method = message.method
        client = flow.side if message.status == 0 else 1 - flow.side
        # An ACK to a failure is part of the INVITE's transaction and has its branch; the ACK to a
        # 2xx has a branch of its own (section 13.2.2.4).
        family = "INVITE" if method == "ACK" else method
        key = (message.branch, message.cseq, family, flow.hop, client)
        transaction = found.get(key)
        if transaction is None:
            transaction = found[key] = Transaction(method)
        answer = (id(transaction), message.status, message.to_tag)
        earlier = answers.get(answer) if message.status else _earlier(transaction, message)
        if earlier is not None:
            same = message.data == earlier.data
            last_ns = again.get(id(earlier), earlier.time_ns)
            if same and message.time_ns - last_ns < SAME_PACKET_NS:
                copies.append(message)
                continue
            again[id(earlier)] = message.time_ns
            # The same place and other bytes: a broken client, but no retransmission. A proxy may
            # write a response anew.
            if same or message.status:
                message.repeats = earlier
        transaction.messages.append(message)
        if message.repeats is not None:
            continue
        if message.status:
            transaction.responses.append(message)
            answers[answer] = message
        elif method == "ACK" and transaction.method != "ACK":
            transaction.ack = message
        elif transaction.request is None:
            transaction.request = message
    for key, transaction in found.items():
        if transaction.method == "CANCEL":
            invite = found.get((key[0], key[1], "INVITE", key[3], key[4]))
            if invite is not None:
                invite.cancel = transaction
    return list(found.values()), copies


def _earlier(transaction: Transaction, message: Message) -> Message | None:
    """The first sending of what looks like the same request."""
    for request in (transaction.request, transaction.ack):
        if request is not None and request.method == message.method:
            return request
    return None
