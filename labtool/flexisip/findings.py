"""What is said of a file: a finding, how grave it is, and a refusal in the server's words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

# What signs in: a password or hash of users.db.txt, the value of such a setting of flexisip.conf,
# also of one that is misspelt (pasword) or made a comment.
_SECRETS = re.compile(
    r"(?P<kept>\b(?:clrtxt|md5|sha-?\d+)\s*[:=]\s*)[^\s;]+"
    r"|(?P<setting>^[^=]*(?:pas|secret|connection|api-key|api-token)[^=]*="
    r"|^#\s*[^\s=:]*(?:pas|secret|connection|api-key|api-token)[^\s=:]*[\s:]+).+",
    re.IGNORECASE,
)


class Severity(Enum):
    """How grave a finding is, gravest first. The value is what people and programs read."""

    REFUSES = "refuses to start"
    INSECURE = "starts but insecure"
    BROKEN = "starts but does not work"
    IGNORED = "ignored silently"
    DEPRECATED = "deprecated"
    ADVICE = "advice"


@dataclass(frozen=True)
class Finding:
    """One thing to know about a line.

    line: counted from 1; None where the file as a whole is meant (a setting that is missing).
    message: one or two sentences for a person: what is wrong and what would be right.
    text: what the server itself prints, word for word, or "" where it says nothing.
    fix: the corrected line; "" deletes the line; None where only a person can decide.
    key: ``section/key``, or "" for a line that holds none.
    """

    line: int | None
    severity: Severity
    message: str
    text: str = ""
    fix: str | None = None
    key: str = ""

    @property
    def fix_shown(self) -> str | None:
        """The corrected line for a terminal or a log, with *** in place of what signs in."""
        if self.fix is None:
            return None
        return masked_line(self.fix)


@dataclass(frozen=True)
class Refusal:
    """The server does not start: its own last words, its exit status, the line to blame.

    returncode is negative where the process dies of a signal (-6: SIGABRT), as subprocess says it.
    """

    text: str
    returncode: int
    line: int | None = None


def masked_line(line: str) -> str:
    """A line of flexisip.conf or users.db.txt with *** in place of what signs in."""
    return _SECRETS.sub(lambda m: (m["kept"] or m["setting"]) + "***", line)


def is_secret(key: str) -> bool:
    """Whether the value of this setting of flexisip.conf signs in somewhere."""
    return _SECRETS.match(f"{key}=x") is not None
