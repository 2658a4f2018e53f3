"""What is fuzzed: one input, taken through all that a message from the network meets.

Only the errors that a reader promises may come out: ParseError and SipError. Anything else ends the
run, and libFuzzer keeps the input. What was parsed and is printed must be parsed again.
"""

from __future__ import annotations

import contextlib

from labtool.sip.address import NameAddr
from labtool.sip.digest import Challenge, Credentials
from labtool.sip.errors import ParseError, SipError
from labtool.sip.flow import Address, Events, Flow
from labtool.sip.framing import StreamFramer
from labtool.sip.headers import LISTS
from labtool.sip.loop import Loop, ManualClock
from labtool.sip.message import Message, Request, parse, response_to
from labtool.sip.rtcp import Report
from labtool.sip.rtp import RtpPacket, StreamStats
from labtool.sip.sdp import SessionDescription
from labtool.sip.transaction import ServerTransaction, TransactionLayer
from labtool.sip.uri import parse_uri
from labtool.sip.validation import Server, verdict
from labtool.sip.via import Via

_JUDGES = (Server(), Server(role="proxy"))
_VALUES = (NameAddr.parse, Via.parse, Challenge.parse, Credentials.parse, parse_uri)


class _Sink(Flow):
    """A way that leads nowhere."""

    transport = "tcp"
    local = Address("127.0.0.1", 5060)
    remote = Address("127.0.0.1", 5062)

    @property
    def alive(self) -> bool:
        return True

    def send(self, data: bytes) -> None:
        assert isinstance(data, bytes)

    def close(self, reason: Exception | None = None) -> None:
        """Nothing to close."""


class _Transports:
    """As much of `Transports` as the transaction layer takes hold of."""

    def __init__(self) -> None:
        self.events = Events(lambda message, flow: None)

    def flow(self, *_: object, **__: object) -> Flow:
        return _Sink()

    def find(self, *_: object) -> Flow | None:
        return None


def _answer(server: ServerTransaction | None, request: Request, _: Flow) -> None:
    if server is not None:
        with contextlib.suppress(SipError):
            server.respond(response_to(request, 404))


def message(data: bytes) -> None:
    """One datagram, judged, typed, answered and printed. What is fine can be relied on: its parts
    are there, and it is fine once printed."""
    fine = [verdict(data, judge).fine for judge in _JUDGES]
    try:
        found = parse(data)
    except ParseError:
        return
    _typed(found)
    if fine[0]:
        _ = found.via, found.from_, found.to, found.cseq, found.call_id, found.contacts
        assert verdict(found.to_bytes()).fine
    loop = Loop(clock=ManualClock())
    try:
        layer = TransactionLayer(loop, _Transports(), on_request=_answer)  # type: ignore[arg-type]
        layer.received(found, _Sink())
        layer.received(found, _Sink())
        loop.advance(40.0)
    finally:
        loop.close()
    again = parse(data)
    with contextlib.suppress(SipError):
        printed = again.to_bytes()
        assert parse(printed).to_bytes() == printed
    if found.body:
        with contextlib.suppress(ParseError):
            shown = SessionDescription.parse(found.body).to_bytes()
            assert SessionDescription.parse(shown).to_bytes() == shown


def _typed(found: Message) -> None:
    for read in ("via", "from_", "to", "cseq", "call_id", "contacts"):
        with contextlib.suppress(ParseError):
            getattr(found, read)
    for name, value in list(found.headers.items()):
        if name in LISTS:
            found.headers.all(name)
        for parser in _VALUES:
            try:
                parsed = parser(value)
            except ParseError:
                continue
            with contextlib.suppress(SipError):  # what may be read need not be written
                str(parsed)


def stream(data: bytes) -> None:
    """The same as a stream, in pieces: it is framed alike however it is cut."""
    whole, pieces = _framed([data]), _framed([data[at : at + 7] for at in range(0, len(data), 7)])
    assert whole == pieces, (whole, pieces)


def _framed(parts: list[bytes]) -> list[bytes]:
    """The messages, and whether the stream was lost. (Half a keep-alive is one of another kind.)"""
    framer, out = StreamFramer(), list[bytes]()
    with contextlib.suppress(ParseError):
        for part in parts:
            for one in framer.feed(part):
                if isinstance(one, Message):
                    with contextlib.suppress(SipError):
                        out.append(one.to_bytes())
    return [*out, b"lost"] if framer.broken is not None else out


def rtp(data: bytes) -> None:
    """A datagram on a port for sound or its reports."""
    stats = StreamStats()
    for number in (0.0, 0.02):
        with contextlib.suppress(ParseError):
            stats.add(RtpPacket.parse(data), number)
    _ = stats.lost, stats.jitter
    with contextlib.suppress(ParseError):
        Report.parse(data)


def one_input(data: bytes) -> None:
    """What libFuzzer calls."""
    message(data)
    stream(data)
    rtp(data)
