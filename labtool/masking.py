"""The two sides of a difference, without what signs in. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labtool.flexisip.findings import masked_line

_OTHER = " (another value)"


def masked(before: str, after: str) -> tuple[str, str]:
    """Both texts of a flexisip.conf with *** for each secret; one that changes is still a change."""
    had = {(section, line) for section, line in _lines(before)}
    return (
        "".join(masked_line(line) for _, line in _lines(before)),
        "".join(
            shown if shown == line or (section, line) in had else _marked(shown)
            for section, line in _lines(after)
            for shown in [masked_line(line)]
        ),
    )


def masked_diff(diff: Any) -> Any:
    """What Ansible gives as the difference that a task made (one, or a list), masked."""
    if isinstance(diff, list):
        return [masked_diff(one) for one in diff]
    if not isinstance(diff, dict):
        return diff
    sides = [diff.get("before"), diff.get("after")]
    if not all(isinstance(side, (str, type(None))) for side in sides):
        return diff
    before, after = masked(*(side or "" for side in sides))
    return {
        **diff,
        **{key: text for key, text in (("before", before), ("after", after)) if key in diff},
    }


def _marked(line: str) -> str:
    text = line.rstrip("\r\n")
    return text + _OTHER + line[len(text) :]


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Each line with its end, and the section that it is in."""
    section = ""
    for line in text.splitlines(keepends=True):
        if line.startswith("["):
            section = line.strip()
        yield section, line
