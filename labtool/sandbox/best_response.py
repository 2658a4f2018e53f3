"""Which of several final responses goes back (RFC 3261 section 16.7, step 6)."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["best"]

# What tells the caller something that he can act on; the RFC's five, and Flexisip's three more.
_TELLING = (401, 407, 415, 420, 484, 488, 603, 606)
# Of no use beside any other answer of their class.
_SILENT = (408, 487, 503)


def best(statuses: Sequence[int]) -> int:
    """The index of the response to forward, of at least one, none of them a 2xx."""

    def rank(index: int) -> tuple[int, int, int, int]:
        status = statuses[index]
        family = 0 if status >= 600 else status // 100
        telling = 0 if status in _TELLING else 1
        return (family, telling, 1 if status in _SILENT else 0, index)

    return min(range(len(statuses)), key=rank)
