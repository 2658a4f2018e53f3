"""The ladder: who sent what to whom, drawn as lines of text.

Pure drawing. What is drawn are the values below; `labtool.trace.story` makes them from packets.
The lines carry their kind, so that whoever prints them can colour them.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "request",
    "provisional",
    "success",
    "redirect",
    "challenge",
    "failure",
    "media",
    "encrypted",
    "note",
    "head",
]

_TIME = 9  # "1234.567 "
_NARROWEST = 16  # columns closer than this leave no room for a method or a status


@dataclass(frozen=True)
class Participant:
    """A column: its name, and under it where it is (an address, or nothing)."""

    name: str
    place: str = ""


@dataclass(frozen=True)
class Arrow:
    """One line: at `time` (seconds after the start) from column `source` to column `target`.

    `both` draws a head at either end. A note has no arrow; it stands from `source` to `target`.
    `key` is the arrow's own name in a drawing whose arrows can be followed.
    """

    time: float
    source: int
    target: int
    label: str
    kind: Kind
    frame: int = 0
    both: bool = False
    key: str = ""


@dataclass(frozen=True)
class Ladder:
    """A drawing that has not been given its size yet."""

    participants: tuple[Participant, ...]
    arrows: tuple[Arrow, ...]


@dataclass(frozen=True)
class Line:
    """One line of the drawing, and what it shows."""

    text: str
    kind: Kind

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class _Pen:
    rail: str
    line: str
    media: str
    right: str
    left: str
    loop: str
    more: str


_UNICODE = _Pen("│", "─", "═", "►", "◄", "↻", "…")
_ASCII = _Pen("|", "-", "=", ">", "<", "@", "~")


def draw(ladder: Ladder, *, width: int = 80, unicode: bool = True) -> list[Line]:
    """The lines of `ladder`, none wider than `width` columns of a terminal (at least 40).

    `unicode=False` draws in ASCII, whatever the names and labels hold. Where the columns would
    stand too close, every arrow becomes a line of its own instead ("0.003 alice -> server: 401").
    """
    width = max(width, 40)
    pen = _UNICODE if unicode else _ASCII
    count = len(ladder.participants)
    if not count:
        return []
    cells = [
        [plain(p.name, unicode) for p in ladder.participants],
        [plain(p.place, unicode) for p in ladder.participants],
    ]
    # Half a name hangs over at either side; the arrows get what is left.
    margin = min(max(columns_of(row[i]) for row in cells for i in (0, -1)) // 2 + 1, 12)
    gap = (width - _TIME - 2 * margin) // max(count - 1, 1)
    if gap < _NARROWEST and count > 1:
        return _listed(ladder, width, unicode, pen)
    gap = min(gap, 50)  # wider than this the eye loses the line
    rails = [_TIME + margin + gap * i for i in range(count)]
    room = min(gap, 2 * margin) - 1 if count > 1 else width - _TIME
    lines = [
        Line(_spread([_cut_with(cell, room, pen) for cell in row], rails), "head")
        for row in cells
        if any(row)
    ]
    lines.extend(_row(arrow, rails, width, unicode, pen) for arrow in ladder.arrows)
    return lines


def text(ladder: Ladder, *, width: int = 80, unicode: bool = True) -> str:
    """`draw` as one string, a line each."""
    return "\n".join(line.text for line in draw(ladder, width=width, unicode=unicode))


def listed(ladder: Ladder, *, unicode: bool = True) -> list[Line]:
    """Each arrow as a line of its own, whole: for a file, or a program that reads along."""
    return _listed(ladder, 1_000_000, unicode, _UNICODE if unicode else _ASCII)


def _row(arrow: Arrow, rails: list[int], width: int, unicode: bool, pen: _Pen) -> Line:
    label = plain(arrow.label, unicode)
    start = f"{arrow.time:8.3f} "
    low, high = sorted((arrow.source, arrow.target))
    if arrow.kind == "note" or low == high:
        mark = "" if arrow.kind == "note" else pen.loop + " "
        return Line(start + _remark(mark + label, low, rails, width, pen)[_TIME:], arrow.kind)
    line = pen.media if arrow.kind == "media" else pen.line
    room = rails[high] - rails[low] - 1
    to_right = arrow.target > arrow.source
    head = pen.left if arrow.both or not to_right else line
    tail = pen.right if arrow.both or to_right else line
    label = _cut_with(f" {label} ", room - 4, pen)
    fill = room - 2 - columns_of(label)
    before = max(fill // 2, 1)
    body = head + line * before + label + line * (fill - before) + tail
    row = _at(rails[: low + 1], pen.rail) + body
    row = row + "".join(
        " " * (rail - rails[high + i] - 1 if i >= 0 else 0) + pen.rail
        for i, rail in enumerate(rails[high:], start=-1)
    )
    return Line(start + row[_TIME:], arrow.kind)


def _remark(words: str, at: int, rails: list[int], width: int, pen: _Pen) -> str:
    """Words beside rail `at`: right of it, or left of it where there is more room for them."""
    right = width - rails[at] - 2
    if columns_of(words) <= right or rails[at] - _TIME < right:
        row = _at(rails[: at + 1], pen.rail) + " " + _cut_with(words, right, pen)
    else:
        words = _cut_with(words, rails[at] - _TIME - 1, pen)
        start = rails[at] - 1 - columns_of(words)
        row = _at([rail for rail in rails[:at] if rail < start - 1], pen.rail)
        row += " " * (start - len(row)) + words + " " + pen.rail
    for rail in rails[at + 1 :]:
        if rail > columns_of(row) + 1:
            row += " " * (rail - columns_of(row)) + pen.rail
    return row


def _listed(ladder: Ladder, width: int, unicode: bool, pen: _Pen) -> list[Line]:
    names = [plain(p.name, unicode) for p in ladder.participants]
    lines = []
    for arrow in ladder.arrows:
        join = "<->" if arrow.both else "->"
        who = f"{names[arrow.source]} {join} {names[arrow.target]}: "
        row = (
            f"{arrow.time:8.3f} {who if arrow.kind != 'note' else ''}{plain(arrow.label, unicode)}"
        )
        lines.append(Line(_cut_with(row, width, pen), arrow.kind))
    return lines


def _at(rails: list[int], mark: str) -> str:
    row = ""
    for rail in rails:
        row += " " * (rail - len(row)) + mark
    return row


def _spread(cells: list[str], rails: list[int]) -> str:
    row = ""
    for cell, rail in zip(cells, rails, strict=True):
        row += " " * (rail - columns_of(cell) // 2 - columns_of(row)) + cell
    return row.rstrip()


def plain(value: str, unicode: bool = True) -> str:
    """Text that is safe in a terminal: what came off the network must not move the cursor."""
    shown = value
    if not value.isprintable():
        shown = "".join(c if c.isprintable() else "?" for c in value)
    return shown if unicode else shown.encode("ascii", "replace").decode()


def columns_of(value: str) -> int:
    """Columns that `value` takes in a terminal: Chinese characters take two (UAX 11)."""
    if value.isascii():
        return len(value)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in value
    )


def cut(value: str, room: int) -> str:
    """`value` in at most `room` columns, with an ellipsis where it is longer."""
    return _cut_with(value, room, _UNICODE)


def _cut_with(value: str, room: int, pen: _Pen) -> str:
    if columns_of(value) <= room:
        return value
    kept = ""
    for c in value:
        if columns_of(kept) + columns_of(c) + 1 > room:
            break
        kept += c
    return kept + pen.more
