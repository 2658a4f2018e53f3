"""The messages of a capture: kept while they are few, made again from columns once they are many.

An object with its strings takes 500 bytes, and millions are to fit on a laptop. In columns a message
takes 48 bytes; its text stays in the capture, and the values that file it go to a temporary file.
"""

from __future__ import annotations

import copy
import heapq
from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, overload

from labtool.trace.flow import Flow
from labtool.trace.message import Kind, Message, Source
from labtool.trace.spool import Spool

#: So many messages of one kind between two show who they are.
ENOUGH = 20
_SIZE_BITS = 24  # a place in a file is its offset and, in the lower bits, how long it is
_SIZE = (1 << _SIZE_BITS) - 1
_COPY = 0xFFFFFFFF  # in the column of repetitions: the same packet, captured twice


class Kept(list[Message]):
    """Messages as they are: of a short capture, and of several views at once."""

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        super().__init__(messages)
        self._by_call: list[list[Message]] = []
        self._copies: set[int] = set()

    def in_order(self) -> None:
        """Sort by time."""
        self.sort(key=lambda message: message.time_ns)

    @property
    def flows(self) -> list[Flow]:
        """Those that carried a message."""
        return list(dict.fromkeys(message.flow for message in self))

    def methods(self) -> set[tuple[Flow, str]]:
        """The methods that were seen on each flow."""
        return {(message.flow, message.method) for message in self}

    def telling(self, ends: Callable[[Flow], object]) -> Iterable[Message]:
        """What shows who takes part, at the ends of a flow: all, or enough of them."""
        return self.without_copies()

    def invites(self) -> Iterator[list[Message]]:
        """The INVITEs outside dialogs, call by call."""
        yield [m for m in self if m.method == "INVITE" and not (m.status or m.to_tag)]

    def call_ids(self) -> list[str]:
        """All, in order of their first message; they are numbered so."""
        found: dict[str, list[Message]] = {}
        for message in self:
            found.setdefault(message.call_id, []).append(message)
        self._by_call = list(found.values())
        return list(found)

    def conversation(self, call: int) -> list[Message]:
        """The messages with one Call-ID."""
        return self._by_call[call]

    def note(self, call: int, messages: list[Message], copies: list[Message]) -> None:
        """Remember which messages of a conversation were captured twice."""
        self._copies.update(map(id, copies))

    def without_copies(self) -> Sequence[Message]:
        """All but what was captured twice."""
        return [m for m in self if id(m) not in self._copies] if self._copies else self


class Columns(Sequence[Message]):
    """Messages in columns, a row each. What is taken out is a new object each time."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self._frames = array("I")
        self._times = array("q")
        self._places = array("Q")  #: where the bytes are; odd: in the spool
        self._texts = array("Q")  #: where in the spool CSeq, branch and tags are
        self._flow = array("I")
        self._kind = array("I")
        self._call = array("I")
        self._repeats = array("I")  #: row of the first sending, from 1
        self._by_call = array("I")  #: rows, call by call
        self._first = array("I")  #: where each call begins in those
        self._shown: Sequence[int] | None = None  #: rows, where not all are
        self.flows: list[Flow] = []
        self._kinds: list[Kind] = []
        self._call_ids: list[str] = []
        self._known: dict[Hashable, int] = {}  #: numbers of flows, kinds and Call-IDs
        self._source: Source = b""
        self._spool = Spool()
        for message in messages:
            self.append(message)

    def append(self, message: Message) -> None:
        """Put a message away. Raises CaptureError where there is no room for it."""
        self._frames.append(message.frame)
        self._times.append(message.time_ns)
        source, start, end = message.place
        if isinstance(source, bytes):  # put together from segments or fragments
            self._places.append(self._put(source[start:end]) << 1 | 1)
        else:
            self._source = source
            self._places.append((start << _SIZE_BITS | end - start) << 1)
        text = f"{message.cseq}\0{message.branch}\0{message.from_tag}\0{message.to_tag}"
        self._texts.append(self._put(text.encode("utf-8", "surrogateescape")))
        known = self._known
        flow, kind, call_id = message.flow, message.kind, message.call_id
        number = known.get(flow)
        self._flow.append(_new(flow, self.flows, known) if number is None else number)
        number = known.get(kind)
        self._kind.append(_new(kind, self._kinds, known) if number is None else number)
        number = known.get(call_id)
        self._call.append(_new(call_id, self._call_ids, known) if number is None else number)

    def _put(self, data: bytes) -> int:
        return self._spool.append(data) << _SIZE_BITS | len(data)

    def in_order(self) -> None:
        """Sort by time, and group by Call-ID. No message can be added afterwards."""
        self._known = {}
        late, top = [], -1 << 63
        for row, time in enumerate(self._times):
            if time < top:
                late.append(row)
            else:
                top = time
        if late:
            self._move(late)
        count, calls = len(self._times), len(self._call_ids)
        self._repeats = array("I", bytes(4 * count))
        self._by_call = array("I", bytes(4 * count))
        ends = self._first = array("I", bytes(4 * (calls + 1)))
        for call in self._call:
            ends[call + 1] += 1
        for call in range(calls):
            ends[call + 1] += ends[call]
        ends = ends[:-1]
        for row, call in enumerate(self._call):
            self._by_call[ends[call]] = row
            ends[call] += 1

    def _move(self, late: list[int]) -> None:
        """Put the rows that came late between the others: usually they are few."""
        times, behind = self._times, set(late)
        others = (row for row in range(len(times)) if row not in behind)
        late.sort(key=lambda row: (times[row], row))
        order = array("I", heapq.merge(others, late, key=lambda row: (times[row], row)))
        for name in ("_frames", "_times", "_places", "_texts", "_flow", "_kind", "_call"):
            column = getattr(self, name)
            setattr(self, name, array(column.typecode, (column[row] for row in order)))
        number: dict[int, int] = {}
        self._call = array("I", (number.setdefault(call, len(number)) for call in self._call))
        self._call_ids = [self._call_ids[call] for call in number]

    def methods(self) -> set[tuple[Flow, str]]:
        """The methods that were seen on each flow."""
        pairs = set(zip(self._flow, self._kind, strict=True))
        return {(self.flows[flow], self._kinds[kind][0]) for flow, kind in pairs}

    def telling(self, ends: Callable[[Flow], object]) -> Iterator[Message]:
        """The first of every flow, and the first few of each kind between two."""
        pairs: dict[object, int] = {}
        pair = [pairs.setdefault(ends(flow), len(pairs)) for flow in self.flows]
        fresh = bytearray(b"\1" * len(self.flows))
        counts: dict[int, int] = {}
        rows = zip(self._flow, self._kind, self._repeats, strict=True)
        for row, (flow, kind, repeats) in enumerate(rows):
            key = pair[flow] << 32 | kind
            count = 0 if repeats else counts.get(key, 0) + 1
            if fresh[flow] or 0 < count <= ENOUGH:
                fresh[flow] = 0
                yield self._whole(row)
            if 0 < count <= ENOUGH:
                counts[key] = count

    def invites(self) -> Iterator[list[Message]]:
        """The INVITEs outside dialogs, call by call."""
        wanted = [method == "INVITE" and not status for method, status, *_ in self._kinds]
        for call in range(len(self._call_ids)):
            rows = [row for row in self._rows(call) if wanted[self._kind[row]]]
            yield [message for message in self._made(rows) if not message.to_tag]

    def call_ids(self) -> list[str]:
        """All, in order of their first message; they are numbered so."""
        return self._call_ids

    def conversation(self, call: int) -> list[Message]:
        """The messages with one Call-ID."""
        return self._made(self._rows(call))

    def note(self, call: int, messages: list[Message], copies: list[Message]) -> None:
        """Remember which of a conversation were sent again, and which captured twice."""
        rows = {id(message): row for message, row in zip(messages, self._rows(call), strict=True)}
        for message in messages:
            if message.repeats is not None:
                self._repeats[rows[id(message)]] = rows[id(message.repeats)] + 1
        for message in copies:
            self._repeats[rows[id(message)]] = _COPY

    def without_copies(self) -> Columns:
        """All but what was captured twice."""
        found = copy.copy(self)
        if _COPY in self._repeats:
            found._shown = array(
                "I", (n for n, first in enumerate(self._repeats) if first != _COPY)
            )
        return found

    def __len__(self) -> int:
        return len(self._times if self._shown is None else self._shown)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        rows: Sequence[int] = range(len(self._times)) if self._shown is None else self._shown
        if isinstance(index, slice):
            return [self._whole(row) for row in rows[index]]
        return self._whole(rows[index])

    def _rows(self, call: int) -> array[int]:
        return self._by_call[self._first[call] : self._first[call + 1]]

    def _whole(self, row: int) -> Message:
        """With what it repeats."""
        first = self._repeats[row]
        if not first or first == _COPY:
            return self._made((row,))[0]
        earlier, message = self._made((first - 1, row))
        message.repeats = earlier
        return message

    def _made(self, rows: Iterable[int]) -> list[Message]:
        spool = self._spool
        found = []
        for row in rows:
            text, place = self._texts[row], self._places[row]
            at = text >> _SIZE_BITS
            words = spool[at : at + (text & _SIZE)].decode("utf-8", "surrogateescape")
            start = place >> _SIZE_BITS + 1
            message = Message.__new__(Message)
            message.frame = self._frames[row]
            message.time_ns = self._times[row]
            message.flow = self.flows[self._flow[row]]
            message.call_id = self._call_ids[self._call[row]]
            kind = self._kinds[self._kind[row]]
            message.method, message.status, message.agent, message.has_sdp, private = kind
            message.private_sdp = private
            cseq, message.branch, message.from_tag, message.to_tag = words.split("\0")
            message.cseq = int(cseq)
            message.place = (
                spool if place & 1 else self._source,
                start,
                start + (place >> 1 & _SIZE),
            )
            message.repeats = None
            found.append(message)
        return found


def _new(value: Hashable, rows: list[Any], known: dict[Hashable, int]) -> int:
    number = known[value] = len(rows)
    rows.append(value)
    return number
