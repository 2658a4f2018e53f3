"""What may be shown on a terminal of words that somebody else wrote: a host, a file, a server."""

from __future__ import annotations

import re

_MOVES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """The text without what would move the cursor, change colours or ring; lines and tabs stay.

    A byte that was no character when it was read (``surrogateescape``) is shown as U+FFFD.
    """
    shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return _MOVES.sub("", shown.replace("\r\n", "\n"))
