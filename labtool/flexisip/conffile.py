"""flexisip.conf as Flexisip's own reader sees it: lines, sections, keys, nothing judged yet.

The rules are those of its ``lpconfig`` reader, quirks included, because a file is only understood
if the quirks are: what looks like a setting may be none. Agrees with every recorded configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from labtool.flexisip.releases import LATEST, Version, version

# fgets() with a buffer of so many bytes cuts longer lines in pieces, each read as a line of its own.
# Source: the reader's MAX_LEN, and the changelog of 2.4.0, which made it ten times as large.
_BUFFER_BYTES = 20480
_OLD_BUFFER_BYTES = 2048
_BUFFER_GREW: Version = (2, 4, 0)

# Begun at the first white space of a run only, which a long run would else be tried from anywhere.
_INLINE_COMMENT = re.compile(r"(?<!\s)\s+(?:#|;\s|//).*$")
_WORD = re.compile(r"[^ \t\n\r\v\f]+")


@dataclass(frozen=True)
class Item:
    """``key=value`` of a section, as written. ``value`` has lost the spaces around it."""

    section: str
    key: str
    value: str
    line: int


@dataclass(frozen=True)
class Oddity:
    """A line that the reader passes over although it looks as if it meant something."""

    kind: str
    line: int
    text: str


@dataclass(frozen=True)
class ConfFile:
    """items: in the file's order; oddities: the lines that were passed over."""

    items: tuple[Item, ...] = ()
    oddities: tuple[Oddity, ...] = ()
    lines: tuple[str, ...] = field(default=(), repr=False)


def decode(content: str | bytes) -> str:
    """Text whose characters stand one for one for the bytes that the server compares."""
    if isinstance(content, bytes):
        return content.decode("utf-8", "surrogateescape")
    return content


def without_comment(value: str) -> str:
    """A value without what looks like a comment behind it, which to the reader is none."""
    return _INLINE_COMMENT.sub("", value)


def read(content: str | bytes, release: str = LATEST) -> ConfFile:
    """Split a file into items and oddities. Never fails: the reader itself refuses nothing.

    ``release`` says how long a line may be. Lines are counted as an editor counts them.
    """
    text = decode(content)
    lines = text.split("\n")
    ended = lines[-1] == ""
    if ended:
        lines.pop()
    longest = (_BUFFER_BYTES if version(release) >= _BUFFER_GREW else _OLD_BUFFER_BYTES) - 1
    items: list[Item] = []
    oddities: list[Oddity] = []
    section: str | None = None
    # A section that comes back in another case is the same section, by the name it had first.
    spelled: dict[str, str] = {}
    for number, raw, has_newline in _pieces(lines, ended, longest, oddities):
        line = raw.split("\0", 1)[0]
        if line is not raw and len(line) != len(raw):
            has_newline = False
        stripped = line.lstrip(" ")
        if stripped.startswith("#"):
            continue
        if stripped.startswith("["):
            inside, bracket, rest = stripped[1:].partition("]")
            word = _WORD.search(inside)
            if not bracket:
                oddities.append(Oddity("open-section", number, raw))
            elif word is None:
                oddities.append(Oddity("empty-section", number, raw))
            else:
                section = spelled.setdefault(word.group().lower(), word.group())
                if rest.strip() and rest.strip()[0] not in "#;":
                    oddities.append(Oddity("after-section", number, raw))
            continue
        left, equals, right = line.partition("=")
        key = _WORD.search(left)
        if not equals or key is None:
            if line.strip():
                kind = "bom" if line.startswith("\ufeff") else "no-equals"
                oddities.append(Oddity(kind, number, raw))
            continue
        if has_newline and not right:
            oddities.append(Oddity("empty-value", number, raw))
            continue
        if has_newline:
            # The reader strips spaces from the end, but never the first character.
            right = right[0] + right[1:].rstrip(" ")
        if section is None:
            oddities.append(Oddity("no-section", number, raw))
            continue
        items.append(Item(section, key.group(), right.lstrip(" "), number))
    return ConfFile(tuple(items), tuple(oddities), tuple(lines))


def _pieces(
    lines: list[str], ended: bool, longest: int, oddities: list[Oddity]
) -> Iterator[tuple[int, str, bool]]:
    """What the reader takes for a line, each with its number and whether a line break ends it."""
    for number, raw in enumerate(lines, 1):
        has_newline = number < len(lines) or ended
        if len(raw) < longest // 4:
            yield number, raw, has_newline
            continue
        data = raw.encode("utf-8", "surrogateescape") + b"\n" * has_newline
        if len(data) > longest:
            oddities.append(Oddity("long-line", number, raw[:60]))
        for start in range(0, len(data), longest):
            piece = decode(data[start : start + longest])
            yield number, piece.removesuffix("\n"), piece.endswith("\n")
