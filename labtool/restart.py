"""A restart of a server, and what it costs: the registrations of an internal database.

Pure: from what the host said of itself (labtool.state).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from labtool import rendering
from labtool.flexisip import releases
from labtool.state import HostState

# REGISTRAR_DUMP came with 2.1; before 2.5 some releases list nobody, whoever is registered.
_LISTS_ALL = (2, 5, 0)


@dataclass(frozen=True)
class Restart:
    """A restart that is about to come.

    `registrations` is how many addresses-of-record are registered; None where that cannot be known.
    `at_least`: there may be more. `kept`: they are in Redis, which a restart does not touch.
    """

    why: str
    registrations: int | None
    at_least: bool = False
    kept: bool = False
    release: str = ""

    def sentence(self, *, would: bool = False) -> str:
        """For a person, before it happens; `would` where nothing is changed (--check)."""
        begins = f"{self.why}, so the server {'would be' if would else 'is'} restarted"
        calls = "Calls that go on keep their sound, unless the server relays it."
        if self.kept:
            return f"{begins}. Its registrations are in Redis, and stay. {calls}"
        if self.registrations == 0 and not self.at_least:
            return f"{begins}. Nobody is registered, so nobody notices."
        if self.registrations is None:
            known = f"how many that are, Flexisip {self.release} does not tell"
            what = f"it forgets who is registered (its database is internal; {known})"
        elif self.registrations == 1 and not self.at_least:
            what = "it forgets the one registration that it has (its database is internal)"
        else:
            many = f"{'at least ' if self.at_least else ''}{self.registrations}"
            what = f"it forgets who is registered, {many} users (its database is internal)"
        return f"{begins}: {what}, and phones register again by themselves within minutes. {calls}"

    def to_dict(self) -> dict[str, Any]:
        """For --json. `registrations` is null where it cannot be known, or where they are kept."""
        return {
            "event": "restart",
            "why": self.why,
            "registrations": None if self.kept else self.registrations,
            "at_least": self.at_least,
            "forgotten": not self.kept,
        }


def restart(state: HostState, why: str) -> Restart:
    """The restart of a server that runs, as its host described itself."""
    release = rendering.release(state.package)
    found = re.fullmatch(r"(\d{1,9})(\+?)", state.registered)
    count = int(found.group(1)) if found else None
    if count == 0 and releases.version(release) < _LISTS_ALL:
        count = None
    return Restart(why, count, bool(found and found.group(2)), state.registrar == "redis", release)
