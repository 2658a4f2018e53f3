"""One thing that is wrong: what, by which evidence, and the exact next command. Holds no secret."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from labtool.probe.failure import printable

# A line of a log is shown up to here; what matters stands at its beginning.
_WIDTH = 220
_MOST_LINES = 8
_HIDDEN = "<hidden>"
_SECRETS = (
    # HA1 hashes and digest responses: MD5 and SHA-256 in hex.
    (re.compile(r"\b(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{32})\b"), _HIDDEN),
    # users.db.txt; the words of a connection string; digest parameters; keys of flexisip.conf.
    (re.compile(r"\b(clrtxt|md5|sha256):[^\s;]+", re.IGNORECASE), rf"\1:{_HIDDEN}"),
    (
        re.compile(
            r"(\b[\w-]*(?:password|passwd|passphrase|secret|token|api-key|response|cnonce|pwd)\b"
            r"\s*[=:]\s*)(\"[^\"]*\"?|'[^']*'?|[^\s,;]+)",
            re.IGNORECASE,
        ),
        rf"\1{_HIDDEN}",
    ),
    (re.compile(r"(connection-string\s*=\s*).*", re.IGNORECASE), rf"\1{_HIDDEN}"),
    (re.compile(r"(://[^\s:/@]*:)[^\s@]+@"), rf"\1{_HIDDEN}@"),
)


@dataclass(frozen=True)
class Finding:
    """A row of the catalogue that holds for this server.

    id: the row's. message: a sentence on what is so here. evidence: lines as they were read. next:
    the command to type now. consequences: ids of other rows that were seen and follow from this.
    """

    id: str
    message: str
    evidence: tuple[str, ...] = ()
    next: str = ""
    consequences: tuple[str, ...] = field(default=())


def found(id: str, message: str, *evidence: str, next: str = "") -> Finding:
    """A finding made safe to show: no secrets, no control characters, no endless lines."""
    lines = [shown(line) for text in evidence for line in text.splitlines() if line.strip()]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"... and {len(lines) - _MOST_LINES} more"]
    # A sentence is ours, and no `password: word` in it is a secret; what it quotes may be one.
    return Finding(id, _hidden(message, _SECRETS[:2], 600), tuple(lines), printable(next, 600))


def shown(text: str, width: int = _WIDTH) -> str:
    """Text of a server or a network, fit for a terminal: one line, and without secrets."""
    return _hidden(text, _SECRETS, width)


def _hidden(text: str, secrets: tuple[tuple[re.Pattern[str], str], ...], width: int) -> str:
    for pattern, instead in secrets:
        text = pattern.sub(instead, text)
    return printable(text.replace("\t", " "), width)
