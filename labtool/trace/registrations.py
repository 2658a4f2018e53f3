"""Registrations: who asked to be reachable where, and what the registrar said (RFC 3261 10)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labtool.sip.digest import Challenge, Credentials
from labtool.sip.errors import ParseError
from labtool.sip.message import Message as Parsed
from labtool.trace.message import Message
from labtool.trace.participants import Place, Places
from labtool.trace.transactions import Transaction, ends

if TYPE_CHECKING:
    from labtool.trace.conversations import Conversations


@dataclass(eq=False, slots=True)
class Registration:
    """One REGISTER and its repetition with credentials, on one hop.

    `outcome` is "registered", "unregistered" (it removed its bindings), "queried" (it only asked),
    "refused", "challenged" (asked for a password, and gave none) or "open" (no final response).
    """

    user: str  #: the address-of-record, as written in To
    client: Place
    registrar: Place
    started_ns: int
    _conversations: Conversations = field(repr=False)
    _index: int = field(repr=False)
    _which: list[int] = field(repr=False)  #: of the conversation's transactions
    outcome: str = "open"
    status: int = 0
    reason: str = ""
    contacts: tuple[str, ...] = ()
    expires: int | None = None  #: seconds granted
    algorithms: tuple[str, ...] = ()  #: that the registrar offered
    algorithm: str = ""  #: that the client answered with
    seen_as: str = ""  #: the address in `received`/`rport` of the response, where it differs

    @property
    def call_id(self) -> str:
        """Of its first message."""
        return self._conversations.call_id(self._index)

    @property
    def transactions(self) -> list[Transaction]:
        """In order of time; read when they are asked for."""
        found = self._conversations[self._index].transactions
        return [found[place] for place in self._which]

    @property
    def with_credentials(self) -> list[Transaction]:
        """The transactions whose request answered a challenge."""
        return [one for one in self.transactions if credentials(one.request)]

    def messages(self) -> list[Message]:
        """All, in order of time."""
        return [message for one in self.transactions for message in one.messages]


def registrations(conversations: Conversations, index: int, places: Places) -> list[Registration]:
    """The registrations in a conversation, in order of time.

    A REGISTER with credentials belongs to the challenged one before it with the same Call-ID.
    """
    open_by: dict[tuple[Place, Place, int], Registration] = {}
    found: list[Registration] = []
    for place, one in enumerate(conversations[index].transactions):
        if one.method != "REGISTER":
            continue
        first = one.first
        client, registrar = ends(one, places)
        key = (client, registrar, first.flow.view)
        earlier = open_by.get(key)
        if earlier is None or earlier.outcome != "challenged":
            earlier = open_by[key] = Registration(
                *(_user(first), client, registrar, first.time_ns, conversations, index, [])
            )
            found.append(earlier)
        earlier._which.append(place)
        _judge(earlier, one)
    return found


def _judge(registration: Registration, one: Transaction) -> None:
    final = one.final
    answered = credentials(one.request)
    if answered:
        registration.algorithm = answered[0].algorithm
    if final is None:
        registration.outcome = "open"
        return
    registration.status = final.status
    registration.reason = final.label.partition(" ")[2]
    if final.status in (401, 407):
        registration.outcome = "challenged"
        registration.algorithms = tuple(c.algorithm for c in challenges(final)) or (
            registration.algorithms
        )
        return
    if final.status >= 300:
        registration.outcome = "refused"
        return
    try:
        response = final.parsed()
        contacts = response.contacts
    except ParseError:
        registration.outcome = "registered"
        return
    registration.contacts = tuple(str(contact.uri) for contact in contacts)
    registration.expires = _expires(response)
    registration.seen_as = _seen_as(response)
    asked = _asked_contacts(one.request)
    if asked == "none":
        registration.outcome = "queried"
    elif asked == "remove" or not contacts:
        registration.outcome = "unregistered"
    else:
        registration.outcome = "registered"


def _asked_contacts(request: Message | None) -> str:
    """What the request wanted with its bindings: "none", "remove" or "add"."""
    if request is None:
        return "add"
    try:
        parsed = request.parsed()
        contacts = parsed.headers.all("Contact")
        general = parsed.headers.get("Expires")
        if not contacts:
            return "none"
        own = [contact.params.get("expires") for contact in parsed.contacts]
    except ParseError:
        return "add"
    wanted = [value if value is not None else general for value in own]
    return "remove" if contacts == ["*"] or all(value == "0" for value in wanted) else "add"


def _expires(response: Parsed) -> int | None:
    """The longest time granted to a contact, in seconds."""
    general = response.headers.get("Expires")
    values = [contact.params.get("expires") or general for contact in response.contacts]
    numbers = [int(v) for v in values if v and v.isascii() and v.isdecimal() and len(v) < 11]
    return max(numbers, default=None)


def _seen_as(response: Parsed) -> str:
    """`host:port` that the registrar saw, where it is not what the client wrote in its Via."""
    try:
        via = response.via
    except ParseError:
        return ""
    host, port = via.received or via.host, via.rport or via.port
    if (host, port) == (via.host, via.port):
        return ""
    return f"{host}:{port}" if port else host


def credentials(message: Message | None) -> list[Credentials]:
    """The digest answers that a request carries."""
    return [
        found
        for text in _values(message, ("Authorization", "Proxy-Authorization"))
        if (found := _parsed_credentials(text)) is not None
    ]


def challenges(message: Message) -> list[Challenge]:
    """The digest challenges that a response carries."""
    found = []
    for text in _values(message, ("WWW-Authenticate", "Proxy-Authenticate")):
        try:
            found.append(Challenge.parse(text))
        except ParseError:
            continue
    return found


def _values(message: Message | None, names: tuple[str, ...]) -> list[str]:
    if message is None:
        return []
    try:
        headers = message.parsed().headers
    except ParseError:
        return []
    return [value for name in names for value in headers.all(name)]


def _parsed_credentials(text: str) -> Credentials | None:
    try:
        return Credentials.parse(text)
    except ParseError:
        return None


def _user(message: Message) -> str:
    try:
        return str(message.parsed().to.uri)
    except ParseError:
        return ""
