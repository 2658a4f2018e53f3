"""One SIP message as it was seen on one hop."""

from __future__ import annotations

import re
import sys
from typing import Protocol

from labtool.sip.errors import ParseError
from labtool.sip.message import Message as Parsed
from labtool.sip.message import Request, Response, parse
from labtool.trace.flow import Flow
from labtool.trace.glance import Glance
from labtool.trace.hosts import is_private


class Source(Protocol):
    """What bytes are sliced from: bytes, or a file."""

    def __getitem__(self, part: slice, /) -> bytes: ...


_CONNECTION = re.compile(rb"\nc=IN IP[46] ([^\s/]+)")


def _agent(data: bytes) -> str:
    at = data.find(b"\nUser-Agent: ") + 13
    return sys.intern(data[at : data.find(b"\r", at)].decode("utf-8", "replace")) if at > 12 else ""


def carries_sdp(data: bytes) -> bool:
    """Whether the body of these bytes is a session description, or holds one as a part."""
    at = data.find(b"\r\n\r\n") + 4
    return at > 3 and (data.startswith(b"v=0", at) or data.find(b"\nv=0\r\n", at) > 0)


#: What very many messages have in common: method, status, agent, has_sdp and private_sdp.
Kind = tuple[str, int, str, bool, bool]


class Message:
    """Where and when it was seen, the values that file it, and its bytes on demand."""

    __slots__ = (
        "agent",
        "branch",
        "call_id",
        "cseq",
        "flow",
        "frame",
        "from_tag",
        "has_sdp",
        "method",
        "place",
        "private_sdp",
        "repeats",
        "status",
        "time_ns",
        "to_tag",
    )

    def __init__(
        self,
        frame: int,
        time_ns: int,
        flow: Flow,
        glance: Glance,
        buffer: Source,
        start: int,
        body: bytes,
    ) -> None:
        """`body` is what `buffer` has from `start` on."""
        self.frame = frame
        self.time_ns = time_ns
        self.flow = flow
        self.method = glance.method
        self.status = glance.status
        self.call_id = glance.call_id
        self.cseq = glance.cseq
        self.branch = glance.branch
        self.from_tag = glance.from_tag
        self.to_tag = glance.to_tag
        #: Where its bytes are, from and up to which.
        self.place = buffer, start, start + len(body)
        #: Whether it carries a session description, and one that names a private address.
        self.has_sdp = carries_sdp(body)
        self.private_sdp = self.has_sdp and any(
            is_private(host.decode("ascii", "replace")) for host in _CONNECTION.findall(body)
        )
        #: What the sender of a request calls itself in User-Agent.
        self.agent = "" if self.status else _agent(body)
        #: The first sending of the same message on the same hop, when this is a retransmission.
        self.repeats: Message | None = None

    @property
    def kind(self) -> Kind:
        """The values that are kept once for all messages that have them."""
        return self.method, self.status, self.agent, self.has_sdp, self.private_sdp

    @property
    def is_request(self) -> bool:
        return self.status == 0

    @property
    def data(self) -> bytes:
        """The bytes, as captured."""
        source, start, end = self.place
        return source[start:end]

    @property
    def size(self) -> int:
        """Captured bytes."""
        return self.place[2] - self.place[1]

    @property
    def is_whole(self) -> bool:
        """Whether its headers were captured to their end."""
        return b"\r\n\r\n" in self.data

    def parsed(self) -> Parsed:
        """The whole message by labtool.sip. Raises ParseError for what only resembles one."""
        return parse(self.data)

    @property
    def label(self) -> str:
        """What a ladder writes on the arrow: `INVITE`, or `401 Unauthorized`."""
        if self.status == 0:
            return self.method
        first = self.data[:200].split(b"\r\n", 1)[0].decode("utf-8", "replace")
        return first.partition(" ")[2].strip()

    def __repr__(self) -> str:
        return f"<{self.frame} {self.label} {self.flow}>"


__all__ = ["Message", "ParseError", "Request", "Response"]
