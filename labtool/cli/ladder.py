"""A ladder on this terminal: its width, its colours, its character set."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from labtool.trace.ladder import Ladder, Line

_WIDEST = 120
_COLOURS = {
    "request": "cyan",
    "provisional": "yellow",
    "success": "green",
    "redirect": "yellow",
    "challenge": "yellow",
    "failure": "red",
    "media": "magenta",
}


def show(drawing: Ladder) -> None:
    """Print it, as wide as the terminal is."""
    from labtool.trace import ladder

    width = min(shutil.get_terminal_size((100, 24)).columns, _WIDEST)
    unicode = "utf" in (sys.stdout.encoding or "").lower()
    for line in ladder.draw(drawing, width=width, unicode=unicode):
        _print(line)


def grow(drawing: Ladder, head: list[str]) -> list[str]:
    """Print the arrows of a ladder that goes on. `head` are the names that stand above; they are
    printed again where they have changed. Returns what stands there now.
    """
    from labtool.trace import ladder

    width = min(shutil.get_terminal_size((100, 24)).columns, _WIDEST)
    unicode = "utf" in (sys.stdout.encoding or "").lower()
    lines = ladder.draw(drawing, width=width, unicode=unicode)
    names = [line.text for line in lines if line.kind == "head"]
    for line in lines:
        if line.kind != "head" or names != head:
            _print(line)
    sys.stdout.flush()
    return names


def _print(line: Line) -> None:
    click.echo(click.style(line.text, fg=_COLOURS.get(line.kind)))
