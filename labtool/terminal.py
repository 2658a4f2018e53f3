"""What may be shown on a terminal of words that somebody else wrote: a host, a file, a server."""

from __future__ import annotations

import re

_MOVES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """The text without what would move the cursor, change colours or ring; lines and tabs stay."""
    return _MOVES.sub("", text.replace("\r\n", "\n"))
