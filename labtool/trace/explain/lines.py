"""A message as lines with remarks: the one way in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from labtool.sip.digest import Secret
from labtool.sip.errors import ParseError
from labtool.sip.sdp import SessionDescription
from labtool.trace.analysis import Analysis
from labtool.trace.explain.context import Context, Seen
from labtool.trace.explain.description import description
from labtool.trace.explain.headers import header
from labtool.trace.explain.remark import Remark, say
from labtool.trace.explain.start import start_line
from labtool.trace.ladder import plain
from labtool.trace.message import Message

Part = Literal["start", "header", "body"]


@dataclass(frozen=True)
class Line:
    """One line of a message, safe to print, and what there is to say about it."""

    text: str
    part: Part
    remarks: tuple[Remark, ...]


class Explainer:
    """Explains the messages of one analysis."""

    def __init__(
        self, analysis: Analysis, known: Mapping[tuple[str, str], Secret] | None = None
    ) -> None:
        """`known` are accounts' hashes by user and realm: then answers to challenges are checked."""
        self._context = Context(analysis, known or {})

    def lines(self, message: Message) -> list[Line]:
        """The lines of `message`, folded ones unfolded; headers under their full names."""
        try:
            seen = self._context.seen(message)
        except ParseError as error:
            rows = message.data.decode("utf-8", "replace").splitlines() or [""]
            first = Line(plain(rows[0]), "start", (say("unparsed", error=error),))
            return [first, *(Line(plain(row), "header", ()) for row in rows[1:])]
        found = [_line(seen.parsed.start_line, "start", start_line(seen))]
        counted: Counter[str] = Counter()
        for name, value in seen.parsed.headers.items():
            remarks = header(seen, name, value, counted[name])
            counted[name] += 1
            found.append(_line(f"{name}: {value}", "header", remarks))
        return found + _body(seen)


def _line(text: str, part: Part, remarks: list[Remark]) -> Line:
    return Line(plain(text), part, tuple(remarks))


def _body(seen: Seen) -> list[Line]:
    body = seen.parsed.body
    if not body:
        return []
    kind = (seen.parsed.headers.get("Content-Type") or "").lower()
    if kind.startswith("application/sdp") or body.startswith(b"v=0"):
        try:
            rows = description(seen, SessionDescription.parse(body))
        except ParseError as error:
            rows = _plain_rows(body)
            rows[0] = (rows[0][0], [say("unparsed", error=error)])
    else:
        rows = _plain_rows(body)
        if kind.startswith("application/dtmf-relay"):
            rows = [(text, _key(text)) for text, _ in rows]
    return [_line(text, "body", remarks) for text, remarks in rows]


def _key(text: str) -> list[Remark]:
    """A line of a key that INFO carries: `Signal=5`, `Duration=160`."""
    name, _, value = text.partition("=")
    kind = {"signal": "dtmf.signal", "duration": "dtmf.duration"}.get(name.strip().lower())
    return [say(kind, value=value.strip())] if kind else []


def _plain_rows(body: bytes) -> list[tuple[str, list[Remark]]]:
    return [(row, []) for row in body.decode("utf-8", "replace").splitlines() or [""]]
