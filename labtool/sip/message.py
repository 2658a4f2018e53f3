"""SIP messages: parse, build, print (RFC 3261 section 7).

Parsing splits the start line and the headers and nothing more; a value is typed when it is asked
for. It is tolerant: what the grammar forbids and yet has one plain sense is taken, and noted in
`Message.defects`. Judging is `labtool.sip.validation`.
"""

from __future__ import annotations

import os

from labtool.sip.address import NameAddr
from labtool.sip.errors import ParseError, SipError
from labtool.sip.grammar import TOKEN, is_digits, is_token, small_int
from labtool.sip.headers import _CANONICAL, Headers
from labtool.sip.lines import irregular_end, unfold
from labtool.sip.reasons import REASONS
from labtool.sip.via import Via

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "REASONS",
    "VERSION",
    "Headers",
    "Message",
    "Request",
    "Response",
    "content_length",
    "parse",
    "parse_head",
    "response_to",
]

VERSION = "SIP/2.0"
SHORT = "short of its Content-Length"  # the end of that one defect


class Message:
    """What a request and a response have in common.

    The typed properties raise ParseError where the header is missing or malformed. `defects` says
    what the parser had to overlook; it is empty in a message that was built.
    """

    __slots__ = ("body", "defects", "headers", "version")
    headers: Headers
    body: bytes
    version: str
    defects: tuple[str, ...]

    @property
    def start_line(self) -> str:
        """The request line or status line, without its line end."""
        raise NotImplementedError

    @property
    def call_id(self) -> str:
        return self._required("Call-ID")

    @property
    def cseq(self) -> tuple[int, str]:
        """The sequence number and the method."""
        text = self._required("CSeq")
        words = text.split()
        if len(words) != 2:
            raise ParseError(f"not a CSeq: {text[:80]!r}")
        return small_int(words[0], 0xFFFFFFFF, "the number of CSeq"), words[1]

    @property
    def via(self) -> Via:
        """The topmost Via."""
        return Via.parse(self._required("Via"))

    @property
    def from_(self) -> NameAddr:
        return NameAddr.parse(self._required("From"))

    @property
    def to(self) -> NameAddr:
        return NameAddr.parse(self._required("To"))

    @property
    def contacts(self) -> list[NameAddr]:
        """Every Contact; empty for none, and for the `*` of a REGISTER."""
        return [NameAddr.parse(value) for value in self.headers.all("Contact") if value != "*"]

    def _required(self, name: str) -> str:
        value = self.headers.get(name)
        if value is None:
            raise ParseError(f"no {name}")
        return value

    def to_bytes(self) -> bytes:
        """The message as it goes on the wire; Content-Length is always that of the body."""
        lines = [self.start_line]
        length = str(len(self.body))
        counted = False
        for name, value in self.headers.items():
            if name == "Content-Length":
                if counted:
                    continue
                counted, value = True, length
            lines.append(f"{name}: {value}")
        if not counted:
            lines.append(f"Content-Length: {length}")
        lines.append("\r\n")
        try:
            return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body
        except UnicodeEncodeError as error:
            raise SipError("the message holds what UTF-8 cannot express") from error

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self) or not isinstance(other, Message):
            return NotImplemented
        return (self.start_line, self.headers, self.body) == (
            other.start_line,
            other.headers,
            other.body,
        )

    __hash__ = None  # type: ignore[assignment]  # it is mutable

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.start_line!r}>"


class Request(Message):
    """A request; `uri` is the Request-URI as text. SipError where it cannot be a request line."""

    __slots__ = ("method", "uri")
    method: str
    uri: str

    def __init__(
        self,
        method: str,
        uri: str,
        headers: Headers | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        if not is_token(method):
            raise SipError(f"not a method: {method!r}")
        if not uri or any(character <= " " or character == "\x7f" for character in uri):
            raise SipError(f"not a Request-URI: {uri!r}")
        self.method = method
        self.uri = uri
        self.version = VERSION
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body
        self.defects = ()

    @property
    def start_line(self) -> str:
        return f"{self.method} {self.uri} {self.version}"

    def copy(self) -> Request:
        """Another one, whose headers can be changed on their own."""
        return _request(
            self.method, self.uri, self.version, self.headers.copy(), self.body, self.defects
        )


class Response(Message):
    """A response; `reason` None takes the usual phrase. SipError where it is no status line."""

    __slots__ = ("reason", "status")
    status: int
    reason: str

    def __init__(
        self,
        status: int,
        reason: str | None = None,
        headers: Headers | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        if not 100 <= status <= 699:
            raise SipError(f"not a status: {status!r}")
        if reason is None:
            reason = REASONS.get(status, "")
        if "\r" in reason or "\n" in reason or "\0" in reason:
            raise SipError(f"CR, LF or NUL in a reason phrase: {reason!r}")
        self.status = status
        self.reason = reason
        self.version = VERSION
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body
        self.defects = ()

    @property
    def start_line(self) -> str:
        return f"{self.version} {self.status} {self.reason}"

    def copy(self) -> Response:
        """Another one, whose headers can be changed on their own."""
        return _response(
            self.status, self.reason, self.version, self.headers.copy(), self.body, self.defects
        )


def response_to(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """The response to a request by RFC 3261 section 8.2.6.

    Via, From, To, Call-ID and CSeq are copied (Timestamp too, in a 100). A To without a tag gets
    `to_tag`, or a fresh one where none is given; a 100 gets none unless it is given.
    """
    copied = ["Via", "From", "To", "Call-ID", "CSeq"]
    if status == 100:
        copied.append("Timestamp")
    lines = [line for line in request.headers if line[0] in copied]
    if to_tag is None and status != 100:
        to_tag = os.urandom(6).hex()
    if to_tag is not None:
        if not is_token(to_tag):
            raise SipError(f"not a tag: {to_tag!r}")
        lines = [
            (name, f"{value};tag={to_tag}" if name == "To" and not _has_tag(value) else value)
            for name, value in lines
        ]
    response = Response(status, reason, Headers._of(lines), body)
    for name, value in headers:
        response.headers.add(name, value)
    return response


def _has_tag(value: str) -> bool:
    try:
        return NameAddr.parse(value).tag is not None
    except ParseError:
        return ";tag=" in value.lower()


def parse(data: bytes) -> Request | Response:
    """The one message of a datagram: leading line ends are skipped, the body is cut to its
    Content-Length. ParseError where it is no SIP message; nothing else is ever raised.
    """
    if data[:1] in (b"\r", b"\n"):
        data = data.lstrip(b"\r\n")  # section 7.5
    end = data.find(b"\r\n\r\n")
    if end < 0 or data.count(b"\n", 0, end) != data.count(b"\r", 0, end):
        head, body, defects = irregular_end(data, end)
        return _with_length(parse_head(head, defects), body)
    return _with_length(parse_head(data[:end]), data[end + 4 :])


def parse_head(head: bytes, defects: list[str] | None = None) -> Request | Response:
    """Start line and headers, without the empty line that ends them; the body is left empty."""
    if defects is None:
        defects = []
    text = head.decode("utf-8", "surrogateescape")
    if text.count("\r\n") != text.count("\n") or text.count("\r") != text.count("\n"):
        defects.append("a line does not end in CRLF")
        text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").replace("\n", "\r\n")
        if "\r\n\r\n" in text:
            raise ParseError("an empty line within the headers")
    if "\r\n " in text or "\r\n\t" in text:
        text = unfold(text)
    rows = text.split("\r\n")
    lines: list[tuple[str, str]] = []
    known = _CANONICAL.get
    for row in rows[1:]:
        raw, colon, value = row.partition(":")
        name = known(raw)
        if name is None:
            stripped = raw.rstrip(" \t")
            name = known(stripped.lower(), stripped)
            if not colon or not stripped or stripped.strip(TOKEN):
                defects.append(f"not a header line: {row[:60]!r}")
                continue
        elif not colon:
            defects.append(f"not a header line: {row[:60]!r}")
            continue
        lines.append((name, value.strip(" \t")))
    return _start(rows[0], Headers._of(lines), defects)


def _start(line: str, headers: Headers, defects: list[str]) -> Request | Response:
    words = line.split(" ")
    if len(words) == 3 and words[2] == VERSION and words[0] and words[1]:
        return _request(words[0], words[1], VERSION, headers, b"", tuple(defects))
    if line[:4].upper() == "SIP/":
        version, _, rest = line.partition(" ")
        code, space, reason = rest.partition(" ")
        if len(code) != 3 or not is_digits(code) or code[0] == "0":
            raise ParseError(f"not a status line: {line[:80]!r}")
        if not space:
            defects.append("no space after the status code")
        return _response(int(code), reason, version.upper(), headers, b"", tuple(defects))
    words = line.split()
    if len(words) < 3 or words[-1][:4].upper() != "SIP/" or "/" in words[0]:
        raise ParseError(f"not a SIP start line: {line[:80]!r}")
    uri = " ".join(words[1:-1])
    version = words[-1].upper()
    if line != f"{words[0]} {uri} {words[-1]}":
        defects.append("the request line has more than one space between its parts, or others")
    return _request(words[0], uri, version, headers, b"", tuple(defects))


def _request(
    method: str,
    uri: str,
    version: str,
    headers: Headers,
    body: bytes,
    defects: tuple[str, ...],
) -> Request:
    """A request as it was read: what a builder may not say, a peer may have said."""
    request = Request.__new__(Request)
    request.method = method
    request.uri = uri
    request.version = version
    request.headers = headers
    request.body = body
    request.defects = defects
    return request


def _response(
    status: int,
    reason: str,
    version: str,
    headers: Headers,
    body: bytes,
    defects: tuple[str, ...],
) -> Response:
    response = Response.__new__(Response)
    response.status = status
    response.reason = reason
    response.version = version
    response.headers = headers
    response.body = body
    response.defects = defects
    return response


def content_length(headers: Headers) -> int | None:
    """The announced length of the body in bytes; None where it is absent.

    ParseError where it is not a number, or where several differ.
    """
    value = headers.get("Content-Length")
    if value is None:
        return None
    values = set(headers.lines("Content-Length"))
    if len(values) > 1:
        raise ParseError(f"several values of Content-Length: {', '.join(sorted(values))[:60]}")
    return small_int(value, 0xFFFFFFFF, "Content-Length")


def _with_length(message: Request | Response, rest: bytes) -> Request | Response:
    try:
        length = content_length(message.headers)
    except ParseError:
        length = None  # validation will see it; a datagram's own end serves
    if length is None:
        message.body = rest
    else:
        message.body = rest[:length]
        if length > len(rest):
            missing = length - len(rest)
            message.defects += (f"the body is {missing} bytes {SHORT}",)
    return message
