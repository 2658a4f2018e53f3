"""The users file, as Flexisip keeps it: read at the start, and again only when a login comes
`cache-expire` seconds after the last time. Neither its date nor a signal does it.

Recorded from 2.5.2 and 2.3.4: a file that is broken or gone at that moment ends the server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from labtool.flexisip import users
from labtool.flexisip.findings import Refusal
from labtool.flexisip.releases import version
from labtool.flexisip.startup import REWORDED
from labtool.flexisip.users import UserEntry
from labtool.sandbox.refusal import SandboxRefusal
from labtool.sandbox.settings import Authentication
from labtool.sip.digest import ha1

__all__ = ["Accounts"]

# The file's names of what a challenge calls MD5 and SHA-256.
_STORED = {"MD5": "md5", "SHA-256": "sha256"}


class Accounts:
    """Who may sign in. `now` is a clock in seconds."""

    def __init__(self, settings: Authentication, release: str, now: Callable[[], float]) -> None:
        self._settings = settings
        self._release = release
        self._now = now
        self._entries: Mapping[tuple[str, str], UserEntry] = {}
        self._ha1: dict[tuple[str, str, str, str], str] = {}
        self._last_read = 0.0

    def load(self) -> None:
        """Read the file. Raises SandboxRefusal in Flexisip's words."""
        path = self._settings.users_path
        try:
            content = Path(path).read_bytes()
        except OSError:
            if version(self._release) >= REWORDED:
                raise SandboxRefusal(f"failed to open file '{path}'", 1) from None
            raise SandboxRefusal(f"Failed to open authdb file {path}", 255) from None
        found = users.parse(content, self._release, path=path, auth_domains=self._settings.domains)
        if isinstance(found, Refusal):
            raise SandboxRefusal(found.text, found.returncode, found.line)
        # Of two lines for one user the last wins; a domain that is not served is passed over.
        self._entries = {
            (entry.name, entry.domain): entry
            for entry in found
            if self._settings.serves(entry.domain)
        }
        self._ha1.clear()
        self._last_read = self._now()

    def refresh(self) -> bool:
        """What a login does first; True if the file was read again. Raises SandboxRefusal."""
        if self._now() - self._last_read < self._settings.cache_expire:
            return False
        self.load()
        return True

    def ha1(self, name: str, domain: str, username: str, realm: str, algorithm: str) -> str | None:
        """The HA1 to check a response with; None for an unknown user or a hash that isn't there.

        `name` and `domain` are those of the identity (From), `username` is the digest's, which
        must be the entry's user-id where it has one, and its name otherwise.
        """
        key = (name, domain, realm, algorithm)
        found = self._ha1.get(key)
        entry = self._entries.get((name, domain)) if name else None
        if entry is None or username != (entry.user_id or entry.name):
            return None
        if found is None:
            clear = entry.passwords.get("clrtxt")
            if clear is not None:
                found = ha1(username, realm, clear, algorithm)
            else:
                found = entry.passwords.get(_STORED.get(algorithm, ""))
            if found is None:
                return None
            self._ha1[key] = found
        return found

    def __len__(self) -> int:
        return len(self._entries)
