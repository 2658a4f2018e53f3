"""TCP put back in order, and the SIP messages in it (RFC 9293; RFC 3261 section 18.3).

A capture may begin in mid-connection, miss segments, hold them twice or out of order. What is
contiguous is framed; where bytes are missing for good, framing starts again at the next segment
that begins with a SIP start line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from labtool.trace.glance import is_sip
from labtool.trace.turn import frame_size

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*:\s*(\d{1,9})[ \t]*\r\n", re.I)
_MAX_PENDING = 1 << 20  # bytes held for a segment that is missing
#: How long a segment is waited for. By then its sender has repeated it (RFC 6298: after a second, and
#: after two more), so that it is the capture that lacks it.
_PATIENCE_NS = 4_000_000_000
_MAX_HELD = 512  # segments held for it; SIP never has so many under way
_MAX_MESSAGE = 1 << 20
_MAX_LINE = 4096


#: A message, and the frame and time (ns) of the segment that completed it.
Found = tuple[int, int, bytes]


class Stream:
    """One direction of a connection: segments in, whole SIP messages out."""

    __slots__ = (
        "_buffer",
        "_next",
        "_pending",
        "_pending_size",
        "_searched",
        "_synced",
        "_wanted",
        "alerts",
        "began",
        "fin",
        "inner",
        "kind",
        "lost",
        "missing",
        "rst",
        "segments",
        "size",
        "syns",
        "tls",
        "tls_records",
        "tls_tail",
    )

    def __init__(self) -> None:
        self.kind = ""  #: "sip", "tls", "turn" or "other", once bytes have shown it
        self.began = (0, 0)  #: (frame, time_ns) of the first segment with payload
        self.syns: list[tuple[int, int]] = []  #: (frame, time_ns) of each SYN
        self.fin = 0  #: frame of the first FIN
        self.rst = 0  #: frame of the first RST
        self.size = 0  #: bytes of payload
        self.segments = 0  #: segments with payload
        self.lost = 0  #: times that framing had to start again for missing bytes
        self.missing = 0  #: bytes that were missing then
        self.alerts: list[tuple[int, int, int]] = []  #: TLS alerts: (frame, level, description)
        self.tls_records = 0
        self.tls_tail = b""
        #: What opens TLS records, and the stream of what was in them; None without a key log.
        self.tls: Callable[[bytes], bytes] | None = None
        self.inner: Stream | None = None
        self._next = -1
        #: What came too early, by sequence number: (frame, time_ns, bytes).
        self._pending: dict[int, tuple[int, int, bytes]] = {}
        self._pending_size = 0
        self._buffer = bytearray()
        self._searched = 0  #: bytes of it in which the headers do not end
        self._wanted = 0  #: bytes of it that the message has, once that is known
        self._synced = False

    @property
    def held(self) -> int:
        """Bytes in memory: behind a gap, or of a message that is not whole yet."""
        return self._pending_size + len(self._buffer)

    def give_up(self) -> Iterator[Found]:
        """Let go of what is held, with the messages behind the gaps."""
        yield from self.flush()
        self._reset(self._next, synced=False)

    def control(self, frame: int, time_ns: int, sequence: int, flags: int) -> None:
        """Take note of SYN, FIN and RST."""
        if flags & SYN:
            if self._next != (sequence + 1) & 0xFFFFFFFF:
                # A new connection on the same ports: nothing of the old one fits any more.
                self._reset((sequence + 1) & 0xFFFFFFFF, synced=True)
            self.syns.append((frame, time_ns))
        if flags & FIN and not self.fin:
            self.fin = frame
        if flags & RST and not self.rst:
            self.rst = frame

    def feed(self, frame: int, time_ns: int, sequence: int, data: bytes) -> Iterator[Found]:
        """Take a segment's payload; give the SIP messages that it completes."""
        self.segments += 1
        self.size += len(data)
        if self._pending and time_ns - next(iter(self._pending.values()))[1] > _PATIENCE_NS:
            yield from self.flush()
        if self._next < 0:
            self._next = sequence
        ahead = (sequence - self._next) & 0xFFFFFFFF
        if ahead >= 0x80000000:  # begins before what is known: a retransmission, perhaps longer
            data = data[0x100000000 - ahead :]
            if not data:
                return
            ahead = 0
        if ahead:
            self._hold(sequence, frame, time_ns, data)
            if self._pending_size > _MAX_PENDING or len(self._pending) > _MAX_HELD:
                yield from self.flush()
            return
        yield from self._advance(frame, time_ns, data)
        while self._pending:
            held = self._pending.pop(self._next, None)
            if held is not None:
                self._pending_size -= len(held[2])
            else:
                held = self._overlapping()
                if held is None:
                    return
            # What was held is whole only now.
            yield from self._advance(frame, time_ns, held[2])

    def flush(self) -> Iterator[Found]:
        """Give up on what is missing: go on behind the gap, with what is held as it came."""
        while self._pending:
            sequence = min(self._pending, key=lambda s: (s - self._next) & 0xFFFFFFFF)
            self.missing += (sequence - self._next) & 0xFFFFFFFF
            self._reset(sequence, synced=False)
            self.lost += 1
            while (held := self._pending.pop(self._next, None)) is not None:
                self._pending_size -= len(held[2])
                yield from self._advance(*held)

    def _advance(self, frame: int, time_ns: int, data: bytes) -> Iterator[Found]:
        self._next = (self._next + len(data)) & 0xFFFFFFFF
        for message in self._take(frame, data):
            yield frame, time_ns, message

    def _hold(self, sequence: int, frame: int, time_ns: int, data: bytes) -> None:
        held = len(self._pending[sequence][2]) if sequence in self._pending else 0
        if held < len(data):
            self._pending_size += len(data) - held
            self._pending[sequence] = (frame, time_ns, data)

    def _overlapping(self) -> tuple[int, int, bytes] | None:
        """A held segment that begins before the next byte and ends behind it."""
        for sequence, (frame, time_ns, data) in list(self._pending.items()):
            behind = (self._next - sequence) & 0xFFFFFFFF
            if behind < 0x80000000:
                del self._pending[sequence]
                self._pending_size -= len(data)
                if behind < len(data):
                    return frame, time_ns, data[behind:]
        return None

    def _reset(self, sequence: int, *, synced: bool) -> None:
        self._next = sequence
        self._buffer.clear()
        self._searched = self._wanted = 0
        self.tls_tail = b""
        self._synced = synced

    def _take(self, frame: int, data: bytes) -> Iterator[bytes]:
        if self.kind == "tls":
            yield from self._records(frame, data)
            return
        if self.kind in ("", "turn") and not self._buffer and _is_stun(data):
            self.kind, self._synced = "turn", True
        if not self._synced:
            # In the middle of something: only a segment that begins with a start line is a place
            # to begin at.
            if not is_sip(data.lstrip(b"\r\n")):
                if not self.kind and data.strip(b"\r\n\0"):
                    self.kind = "tls" if _is_tls(data) else "other"
                    if self.kind == "tls":
                        yield from self._records(frame, data)
                return
            self._synced = True
        self._buffer += data
        yield from self._carried() if self.kind == "turn" else self._messages(frame)

    def _carried(self) -> Iterator[bytes]:
        """STUN messages and ChannelData (RFC 8656)."""
        buffer = self._buffer
        while (size := frame_size(buffer)) > 0 and len(buffer) >= size:
            message = bytes(buffer[:size])
            del buffer[:size]
            yield message
        if not size:
            buffer.clear()
            self._synced = False

    def _messages(self, frame: int) -> Iterator[bytes]:
        buffer = self._buffer
        # What came before is not looked at again: a message may come byte by byte.
        while buffer and len(buffer) >= self._wanted:
            if buffer[0] in b"\r\n":
                del buffer[: len(buffer) - len(buffer.lstrip(b"\r\n"))]
                continue
            head = bytes(buffer[:_MAX_LINE])
            if not is_sip(head):
                if (
                    b"\n" not in head
                    and len(head) < _MAX_LINE
                    and head.isascii()
                    and head[0] > 0x20
                ):
                    return  # the rest of the start line may be on its way
                yield from self._lose(frame, head)
                return
            self.kind = "sip"
            end = buffer.find(b"\r\n\r\n", self._searched)
            if end < 0:
                self._searched = max(len(buffer) - 3, 0)
                if len(buffer) > _MAX_MESSAGE:
                    yield from self._lose(frame, head)
                return
            match = _LENGTH.search(buffer, 0, end + 4)
            size = end + 4 + (int(match[1]) if match else 0)
            if size > _MAX_MESSAGE:
                yield from self._lose(frame, head)
                return
            self._searched, self._wanted = end, size
            if len(buffer) < size:
                return
            message = bytes(buffer[:size])
            del buffer[:size]
            self._searched = self._wanted = 0
            yield message

    def _lose(self, frame: int, head: bytes) -> Iterator[bytes]:
        """What is in the buffer is no SIP: drop it, and wait for a place to begin again."""
        data = bytes(self._buffer)
        self._buffer.clear()
        self._searched = self._wanted = 0
        self._synced = False
        if not self.kind:
            self.kind = "tls" if _is_tls(head) else "other"
            if self.kind == "tls":
                yield from self._records(frame, data)

    @property
    def is_opened(self) -> bool:
        """Whether SIP was found in its TLS records."""
        return self.inner is not None and self.inner.kind == "sip"

    def _records(self, frame: int, data: bytes) -> Iterator[bytes]:
        """Count TLS records (RFC 8446 section 5.1), read the alerts that are not encrypted, and give
        the messages in what can be decrypted.
        """
        data = self.tls_tail + data
        at = 0
        while at + 5 <= len(data):
            size = data[at + 3] << 8 | data[at + 4]
            if not 0x14 <= data[at] <= 0x18 or data[at + 1] != 3 or size > 18432:
                self.tls_tail = b""
                return
            if at + 5 + size > len(data):
                break
            self.tls_records += 1
            if data[at] == 0x15 and size == 2:
                self.alerts.append((frame, data[at + 5], data[at + 6]))
            if self.tls is not None and (plain := self.tls(data[at : at + 5 + size])):
                self.inner = self.inner or Stream()
                at_byte = self.inner.size & 0xFFFFFFFF
                for _, _, message in self.inner.feed(frame, 0, at_byte, plain):
                    yield message
            at += 5 + size
        self.tls_tail = data[at:]


def _is_stun(data: bytes) -> bool:
    """Whether it begins with a STUN message: TURN over TCP (RFC 8656 section 2.1)."""
    return data[:1] < b"\4" and frame_size(data) > 0


def _is_tls(data: bytes) -> bool:
    """Whether it begins like a TLS record (RFC 8446 section 5.1)."""
    return 0x14 <= data[0] <= 0x17 and data[1:2] == b"\x03"
