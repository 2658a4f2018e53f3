"""Messages out of a stream (RFC 3261 section 18.3), and the keep-alives between them."""

from __future__ import annotations

from labtool.sip.errors import ParseError
from labtool.sip.message import Message, Request, Response, content_length, parse_head
from labtool.sip.value import Value, assign


class KeepAlive(Value):
    """Line ends between messages (RFC 5626 section 3.5.1): a client's ping is a double CRLF and
    is answered with one CRLF, the pong.
    """

    __slots__ = ("is_ping",)
    is_ping: bool

    def __init__(self, is_ping: bool) -> None:
        assign(self, "is_ping", is_ping)

    def __str__(self) -> str:
        return "ping" if self.is_ping else "pong"


PING_BYTES = b"\r\n\r\n"
PONG_BYTES = b"\r\n"
PING = KeepAlive(True)
PONG = KeepAlive(False)


class StreamFramer:
    """Takes bytes as they come; gives messages and keep-alives as they are complete.

    A stream whose framing is lost cannot go on: messages that came before are still given, and
    `feed` raises ParseError from then on (`broken` holds it). A message whose Content-Length is
    unusable is the last to be given, with an empty body, so that it can be answered.
    """

    def __init__(self, *, max_head: int = 65_536, max_body: int = 1_048_576) -> None:
        """The limits are bytes of start line and headers, and of a body."""
        self.max_head = max_head
        self.max_body = max_body
        self.broken: ParseError | None = None
        self._buffer = bytearray()
        self._searched = 0  # no end of headers before this
        self._message: Request | Response | None = None  # waits for its body
        self._length = 0
        self._half_ping = False

    @property
    def pending(self) -> int:
        """Bytes held of a message that is not complete: what a time-out may watch."""
        return len(self._buffer) + (1 if self._message is not None else 0)

    def feed(self, data: bytes) -> list[Message | KeepAlive]:
        """What is complete with these bytes, in order. ParseError where the stream is lost."""
        if self.broken is not None:
            raise self.broken
        self._buffer += data
        out: list[Message | KeepAlive] = []
        try:
            while True:
                item = self._next()
                if item is None:
                    break
                out.append(item)
                if self.broken is not None:
                    break
        except ParseError as error:
            self._break(error)
            if not out:
                raise
        return out

    def eof(self) -> None:
        """The peer has closed: ParseError where that cuts a message."""
        if self.broken is None and self.pending and bytes(self._buffer).strip(b"\r\n"):
            raise ParseError("the stream ends within a message")
        if self._message is not None:
            raise ParseError("the stream ends within a body")

    def _next(self) -> Message | KeepAlive | None:
        if self._message is None:
            line_end = self._line_end()
            if line_end is not None:
                return line_end
            if not self._buffer or self._buffer[0] in b"\r\n":
                return None
            if not self._take_head():
                return None
        message = self._message
        if message is None or len(self._buffer) < self._length:
            return None
        message.body = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        self._message = None
        return message

    def _line_end(self) -> KeepAlive | None:
        buffer = self._buffer
        if buffer.startswith(PING_BYTES):
            del buffer[:4]
            self._half_ping = False
            return PING
        if buffer.startswith(PONG_BYTES):
            if 2 < len(buffer) < 4 and PING_BYTES.startswith(buffer):
                return None
            del buffer[:2]
            # A ping may come in two segments; its first half was taken for a pong.
            was_half, self._half_ping = self._half_ping, False
            if was_half:
                return PING
            self._half_ping = not buffer
            return PONG
        if buffer[:1] == b"\n" or (buffer[:1] == b"\r" and len(buffer) > 1):
            raise ParseError("a line end that is not CRLF between messages")
        return None

    def _take_head(self) -> bool:
        buffer = self._buffer
        self._half_ping = False
        end = buffer.find(PING_BYTES, self._searched)
        if end < 0:
            if len(buffer) > self.max_head:
                raise ParseError(f"headers of more than {self.max_head} bytes")
            self._searched = max(0, len(buffer) - 3)
            return False
        self._searched = 0
        if end > self.max_head:
            raise ParseError(f"headers of more than {self.max_head} bytes")
        message = parse_head(bytes(buffer[:end]))
        del buffer[: end + 4]
        self._message = message
        try:
            length = content_length(message.headers)
        except ParseError as error:
            self._break(error)
            length = 0
        if length is None:
            # Section 18.3 asks for it on a stream. Taken as 0: if there is a body after all, its
            # first line is no start line and ends the stream.
            message.defects += ("no Content-Length on a stream",)
            length = 0
        if length > self.max_body:
            self._break(ParseError(f"a body of more than {self.max_body} bytes"))
            length = 0
        self._length = length
        return True

    def _break(self, error: ParseError) -> None:
        self.broken = error
        self._buffer.clear()
