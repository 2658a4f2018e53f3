"""Several captures of one call as one: clocks aligned by the messages that they share, and each
message, machine and stream known again in every view.

A message on its way is the same on one hop wherever that hop is captured: its top Via has the same
branch (RFC 3261 section 8.1.1.7), while a NAT between may have changed its addresses.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from labtool.sip.errors import ParseError
from labtool.trace.media import Stream
from labtool.trace.message import Message
from labtool.trace.participants import Place, Places
from labtool.trace.reading import Capture

#: Less than this is what two capturing programs differ by on one clock.
_SAME_CLOCK_NS = 1_000_000
#: Half of the time before a message is sent again (T1, RFC 3261 section 17.1.1.1).
_TWIN_NS = 250_000_000

_Key = tuple[object, ...]
_Seen = tuple[int, Place]  # a place in a view


def align(capture: Capture) -> list[int]:
    """Set the clock of each view to that of the view which shares most with the others.

    Returns what was added to the times of each view, in nanoseconds; 0 where a view shares nothing.
    As with NTP, the way there and the way back are taken to last equally long.
    """
    count = len(capture.views)
    added = [0] * count
    if count < 2:
        return added
    hops = [_first(capture.messages, view, _hop_key) for view in range(count)]
    totals = [sum(len(one.keys() & other.keys()) for other in hops) - len(one) for one in hops]
    reference = totals.index(max(totals))
    known = {reference}
    for seen_by in (hops, []):
        # What no hop connects, the two ends of a call may.
        seen = seen_by or [_first(capture.messages, view, _end_key) for view in range(count)]
        while len(known) < count:
            ways = [
                (len(seen[i].keys() & seen[j].keys()), i, j)
                for i in known
                for j in range(count)
                if j not in known
            ]
            shared, i, j = max(ways)
            if not shared:
                break
            added[j] = added[i] - _offset(seen[i], seen[j])
            known.add(j)
        if len(known) == count:
            break
    added = [one if abs(one) >= _SAME_CLOCK_NS else 0 for one in added]
    if any(added):
        _shift(capture, added)
    return added


def _first(
    messages: Iterable[Message], view: int, key_of: Callable[[Message], _Key | None]
) -> dict[_Key, Message]:
    found: dict[_Key, Message] = {}
    for message in messages:
        if message.flow.view == view and (key := key_of(message)) is not None:
            found.setdefault(key, message)
    return found


def _hop_key(message: Message) -> _Key | None:
    if not message.branch:
        return None
    kind = (message.call_id, message.cseq, message.method, message.status)
    return (*kind, message.branch, message.to_tag)


def _end_key(message: Message) -> _Key | None:
    """The same on every hop: the last Via is its sender's. 100 Trying is of one hop only."""
    if message.status == 100:
        return None
    try:
        vias = message.parsed().headers.all("Via")
    except ParseError:
        return None
    kind = (message.call_id, message.cseq, message.method, message.status)
    return (*kind, vias[-1].partition("branch=")[2], message.to_tag) if vias else None


def _offset(here: dict[_Key, Message], there: dict[_Key, Message]) -> int:
    """How far the clock there is ahead of the one here, in nanoseconds."""
    from statistics import median  # much to import for who has one view

    ways: dict[int, tuple[list[int], list[int]]] = {}
    for key in here.keys() & there.keys():
        one = here[key]
        pair = ways.setdefault(one.flow.hop, ([], []))
        pair[one.flow.side].append(there[key].time_ns - one.time_ns)
    both = [pair for pair in ways.values() if pair[0] and pair[1]]
    if not both:
        return round(median(value for pair in ways.values() for value in (*pair[0], *pair[1])))
    # Towards there the journey adds to the difference, and takes from it on the way back.
    longer = [max(pair, key=median) for pair in both]
    shorter = [min(pair, key=median) for pair in both]
    there_ns = min(value for values in longer for value in values)
    back_ns = max(value for values in shorter for value in values)
    return (there_ns + back_ns) // 2


def _shift(capture: Capture, added: list[int]) -> None:
    for message in capture.messages:
        message.time_ns += added[message.flow.view]
    capture.messages.in_order()
    for rtp in capture.streams:
        by = added[rtp.flow.view]
        if by:
            rtp.times = array("q", (time + by for time in rtp.times))
    capture.reports = [replace(r, time_ns=r.time_ns + added[r.flow.view]) for r in capture.reports]
    capture.stun = [replace(s, time_ns=s.time_ns + added[s.flow.view]) for s in capture.stun]
    capture.icmp = [replace(e, time_ns=e.time_ns + added[e.view]) for e in capture.icmp]
    for flow, stream in capture.connections.items():
        by = added[flow.view]
        stream.began = (stream.began[0], stream.began[1] + by)
        stream.syns = [(frame, time + by) for frame, time in stream.syns]
    times = [message.time_ns for message in capture.messages]
    times += [time for rtp in capture.streams for time in (rtp.times[0], rtp.times[-1])]
    capture.first_ns, capture.last_ns = min(times), max(times)


@dataclass
class Merged:
    """What the views have in common. With one view: nothing, and everything stands for itself."""

    added: list[int] = field(default_factory=list)  #: nanoseconds, to the times of each view
    #: Messages that another view has too, by id: the one that stands for both.
    twins: dict[int, Message] = field(default_factory=dict)
    _same: dict[_Seen, _Seen] = field(default_factory=dict)
    _own: dict[_Seen, Place] = field(default_factory=dict)
    _vantages: list[str | None] = field(default_factory=list)

    def place(self, view: int, place: Place) -> Place:
        """The machine that is at `place` in that view, by the address that it has itself."""
        root = self._root((view, place))
        return self._own.get(root, root[1])

    def addresses(self, place: Place) -> list[Place]:
        """Every address under which a machine was seen, its own first."""
        found = [seen[1] for seen in self._same if self._own[self._root(seen)] == place]
        return list(dict.fromkeys([place, *found]))

    def ends(self, stream: Stream, places: Places) -> tuple[Place, Place]:
        """The machines that a stream goes from and to."""
        source, target = places.ends(stream.rtp.flow)
        view = stream.rtp.flow.view
        return self.place(view, source), self.place(view, target)

    def streams(self, streams: Iterable[Stream], places: Places) -> list[list[Stream]]:
        """Streams grouped: the same SSRC between the same machines, one of each view."""
        groups: dict[_Key, list[list[Stream]]] = {}
        # The longest first: a relay that has not heard from a client yet sends some elsewhere.
        for stream in sorted(streams, key=lambda one: -len(one.rtp)):
            standing = groups.setdefault((stream.rtp.ssrc, *self.ends(stream, places)), [])
            view = stream.rtp.flow.view
            for group in standing:
                if all(one.rtp.flow.view != view for one in group):
                    group.append(stream)
                    break
            else:
                standing.append([stream])
        found = [group for standing in groups.values() for group in standing]
        return sorted(found, key=lambda group: group[0].rtp.times[0])

    def _root(self, one: _Seen) -> _Seen:
        if one not in self._same:
            # Met in this view as a mere address: another view may know whose it is.
            for other in self._same:
                if other[1] == one[1]:
                    return self._root(other)
            return one
        while self._same[one] != one:
            one = self._same[one]
        return one

    def _join(self, one: _Seen, other: _Seen) -> None:
        for seen in (one, other):
            self._same.setdefault(seen, seen)
        first, second = self._root(one), self._root(other)
        if first != second:
            self._same[second] = first

    def _settle(self) -> None:
        """A machine's own address is the one under which its own view has it."""
        for seen in self._same:
            root = self._root(seen)
            if root not in self._own or self._vantages[seen[0]] == seen[1].host:
                self._own[root] = seen[1]


def merge(capture: Capture, places: Places, vantages: list[str | None], added: list[int]) -> Merged:
    """Find in every view what another has too. Copies must be known already (`transactions`)."""
    merged = Merged(added, _vantages=vantages)
    if len(capture.views) < 2:
        return merged
    standing: dict[_Key, list[tuple[Message, set[int]]]] = {}
    for message in capture.messages:
        key, view = _hop_key(message), message.flow.view
        if key is None:
            continue
        for twin, views in standing.setdefault(key, []):
            if view not in views and message.time_ns - twin.time_ns < _TWIN_NS:
                views.add(view)
                merged.twins[id(message)] = twin
                ends = zip(places.ends(twin.flow), places.ends(message.flow), strict=True)
                for its, mine in ends:
                    merged._join((twin.flow.view, its), (view, mine))
                break
        else:
            standing[key].append((message, {view}))
    merged._settle()
    return merged
