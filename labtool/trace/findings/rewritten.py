"""A message that is not the same at both ends of its way: something between rewrote it.

A NAT changes addresses of packets, never what is in them. A router with a SIP ALG does, and it is
seen only where both ends of one hop were captured.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from labtool.trace.findings.finding import Finding, finding
from labtool.trace.findings.scene import Scene
from labtool.trace.merge import Merged
from labtool.trace.message import Message
from labtool.trace.phrase import Phrase, joined, phrase

_SHOWN = 3


def rewriting_findings(scene: Scene, merged: Merged) -> Iterator[Finding]:
    """One for each two views between which messages were changed."""
    found: dict[tuple[int, int], list[tuple[Message, Message]]] = {}
    for message in scene.capture.messages:
        twin = merged.twins.get(id(message))
        if twin is None or message.flow.transport == "tls":
            continue
        if message.data != twin.data and not _is_cut(message, twin):
            sent, got = sorted((twin, message), key=lambda one: _arrives(scene, one))
            found.setdefault((sent.flow.view, got.flow.view), []).append((sent, got))
    # Both directions between the same two places are one box at work.
    told: set[frozenset[int]] = set()
    for (here, there), pairs in found.items():
        if frozenset((here, there)) in told:
            continue
        told.add(frozenset((here, there)))
        both = pairs + [(a, b) for a, b in found.get((there, here), [])]
        sent, got = both[0]
        call = next((c.number for c in scene.calls if c.call_id == sent.call_id), 0)
        yield finding(
            "sip-alg",
            [a.frame if a.flow.view == here else b.frame for a, b in both],
            view=here,
            call=call,
            times=len(both),
            label=sent.label,
            changes=joined("rows", _changes(sent, got)),
        )


def _arrives(scene: Scene, message: Message) -> bool:
    """Whether it was captured where it arrived."""
    return scene.vantages[message.flow.view] == message.flow.destination.host


def _is_cut(one: Message, other: Message) -> bool:
    """A snap length cut one of them short."""
    return one.data.startswith(other.data) or other.data.startswith(one.data)


def _changes(sent: Message, got: Message) -> list[Phrase]:
    before, after = (one.data.decode("utf-8", "replace").split("\r\n") for one in (sent, got))
    pairs: list[tuple[str | None, str | None]]
    if len(before) == len(after):
        pairs = [(a, b) for a, b in zip_longest(before, after) if a != b]
    else:
        gone = [line for line in before if line not in after]
        new = [line for line in after if line not in before]
        pairs = list(zip_longest(gone, new, fillvalue=None))
    shown = [
        phrase("became", before=_or_nothing(a), after=_or_nothing(b))
        for a, b in pairs
        if not (a or "").startswith(("Content-Length", "l:"))
    ]
    more = [phrase("more-lines", count=len(shown) - _SHOWN)] if len(shown) > _SHOWN else []
    return shown[:_SHOWN] + more


def _or_nothing(line: str | None) -> object:
    return phrase("nothing") if line is None else line
