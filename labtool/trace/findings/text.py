"""What is said of a finding."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A row of the tables of texts, with {places} that the evidence fills, or the same filled in."""

    title: str
    cause: str
    cure: str
