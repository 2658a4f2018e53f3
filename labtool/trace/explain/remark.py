"""What there is to say about a line, before it is said in a language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labtool.trace.phrase import Phrase


@dataclass(frozen=True)
class Remark:
    """A row of the tables of texts, and what fills its places."""

    id: str
    facts: Mapping[str, object] = field(default_factory=dict)


def say(id: str, **facts: object) -> Remark:
    """The remark `id` with its facts as text, or as phrases to be said in the language."""
    return Remark(
        id,
        {name: value if isinstance(value, Phrase) else str(value) for name, value in facts.items()},
    )


def span(nanoseconds: int) -> str:
    """A time as people say it: `0.4 ms`, `5.1 s`."""
    if nanoseconds < 1_000_000_000:
        return f"{nanoseconds / 1e6:.1f} ms"
    return f"{nanoseconds / 1e9:.1f} s"
