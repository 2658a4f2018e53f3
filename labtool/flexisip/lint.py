"""A flexisip.conf or users.db.txt before a release: would it start, what is wrong, what is right.

report = lint(content, release="2.3.5")
report.starts, report.findings, report.to_dict()
correct = fix(content, release="2.3.5")
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from labtool.errors import RequestError
from labtool.flexisip import conf, conf_lint, users_lint
from labtool.flexisip.findings import Finding, Refusal, Severity
from labtool.flexisip.releases import LATEST, version
from labtool.flexisip.settings import PACKAGED

# A correction may show what stood behind the first mistake; a file is done in a few rounds.
_ROUNDS = 6


class Kind(Enum):
    """Which of Flexisip's two files it is."""

    CONF = "flexisip.conf"
    USERS = "users.db.txt"


@dataclass(frozen=True)
class Report:
    """What a release makes of a file. ``refusal`` is what it says when it does not start on it."""

    kind: Kind
    release: str
    refusal: Refusal | None
    findings: tuple[Finding, ...]

    @property
    def starts(self) -> bool:
        return self.refusal is None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that keep the server from starting, or that leave it open to all."""
        return tuple(
            f for f in self.findings if f.severity in (Severity.REFUSES, Severity.INSECURE)
        )

    def to_dict(self) -> dict[str, object]:
        """For ``--json``: starts, refusal, and findings with line, severity, message and fix.

        Passwords and hashes in a fix are ***.
        """
        return {
            "kind": self.kind.value,
            "release": self.release,
            "starts": self.starts,
            "refusal": None
            if self.refusal is None
            else {"text": self.refusal.text, "returncode": self.refusal.returncode},
            "findings": [
                {
                    "line": f.line,
                    "severity": f.severity.value,
                    "message": f.message,
                    "text": f.text,
                    "fix": f.fix_shown,
                    "key": f.key,
                }
                for f in self.findings
            ],
        }


def kind_of(content: str | bytes, name: str = "") -> Kind:
    """Which file this is, from its content, or from its name where the content does not tell.

    Raises RequestError if neither does.
    """
    text = _bytes(content).decode("utf-8", "replace").lstrip("\ufeff")
    lines = [line.strip() for line in text.splitlines()]
    if any(re.match(r"version\s*[:=]", line, re.IGNORECASE) for line in lines[:5]):
        return Kind.USERS
    if any(re.fullmatch(r"\[[\w:. -]+\]?", line) for line in lines):
        return Kind.CONF
    if any(re.search(r"\b(clrtxt|md5|sha256):\S", line, re.IGNORECASE) for line in lines):
        return Kind.USERS
    if name.endswith((".txt", ".db")):
        return Kind.USERS
    said = [line for line in lines if line and not line.startswith("#")]
    settings = sum(re.match(r"[\w:.-]+\s*=", line) is not None for line in said)
    if name.endswith((".conf", ".cfg", ".ini")) or 2 * settings >= len(said) > 0:
        return Kind.CONF
    raise RequestError(
        "it cannot be told whether this is a flexisip.conf or a users.db.txt; say so with --conf "
        "or --users"
    )


def lint(
    content: str | bytes,
    *,
    kind: Kind | None = None,
    release: str = LATEST,
    name: str = "",
    exists: Callable[[str], bool | None] = lambda _path: None,
    overridden: Collection[str] = (),
    features: Collection[str] = PACKAGED,
    auth_domains: Collection[str] | None = None,
) -> Report:
    """Judge a file. ``exists`` and ``overridden`` are those of ``conf.read``.

    ``auth_domains``, for a users file, is what the configuration beside it says, where one is.

    Raises RequestError for a release that is none, or a file that cannot be told.
    """
    _check_release(release)
    kind = kind or kind_of(content, name)
    data = _bytes(content)
    if kind is Kind.USERS:
        refusal, found = users_lint.examine(
            data, release, path=name or "users.db.txt", auth_domains=auth_domains
        )
    else:
        path = name or "/etc/flexisip/flexisip.conf"
        taken = conf.read(
            data, release, path=path, exists=exists, overridden=overridden, features=features
        )
        found = conf_lint.findings(
            data, release, path=path, exists=exists, overridden=overridden, features=features
        )
        refusal = taken if isinstance(taken, Refusal) else None
    return Report(kind, release, refusal, tuple(found))


def fix(
    content: str | bytes,
    *,
    kind: Kind | None = None,
    release: str = LATEST,
    name: str = "",
    exists: Callable[[str], bool | None] = lambda _path: None,
) -> str:
    """The corrected file. What only a person can decide is left as it is: lint the result."""
    _check_release(release)
    kind = kind or kind_of(content, name)
    data = _bytes(content)
    if kind is Kind.USERS:
        return users_lint.fixed(data, release)
    for _ in range(_ROUNDS):
        found = conf_lint.findings(data, release, exists=exists)
        corrected = conf_lint.corrected(data, found).encode("utf-8", "surrogateescape")
        if corrected == data:
            break
        data = corrected
    return data.decode("utf-8", "surrogateescape")


def exists_here(path: str) -> bool | None:
    """Whether a file that a configuration names is on this machine, for ``exists``.

    Only where the server runs here, too: the configuration of another machine names files of that
    one. None where it cannot be known: the path is relative, or a folder is closed to us.
    """
    file = Path(path)
    try:
        return file.exists() if file.is_absolute() else None
    except (OSError, ValueError):
        return None


def _bytes(content: str | bytes) -> bytes:
    return content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content


def _check_release(release: str) -> None:
    try:
        since = version(release)
    except ValueError as error:
        raise RequestError(str(error)) from None
    if since < (2, 0, 0):
        raise RequestError(f"Flexisip {release} is older than 2.0, which labtool does not know")
