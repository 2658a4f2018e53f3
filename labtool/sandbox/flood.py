"""A limit on packets from one source, in the spirit of Flexisip's DoSProtection.

Flexisip has iptables reject what comes too fast; the sandbox, which needs no rights, only does not
listen to it. Measured as Flexisip measures: packets of a source over one `time-period`.
"""

from __future__ import annotations

from collections.abc import Callable

from labtool.sandbox.settings import FloodLimit, listed
from labtool.sip.flow import Address

__all__ = ["FloodGuard"]

# Above this many sources the oldest count is forgotten, so that a flood from invented addresses
# fills no memory and costs no more time.
_MAX_SOURCES = 4096


class FloodGuard:
    """Counts packets by source address and port. `now` is a clock in seconds. Loopback is never
    limited unless `limit_loopback`."""

    def __init__(
        self, limit: FloodLimit, now: Callable[[], float], *, limit_loopback: bool = False
    ) -> None:
        self._limit = limit
        self._now = now
        self._limit_loopback = limit_loopback
        self._counts: dict[Address, tuple[float, int]] = {}
        self._banned: dict[Address, float] = {}
        self.bans = 0

    def admits(self, source: Address) -> bool:
        """Count one packet; False if it is not to be listened to."""
        limit = self._limit
        if not limit.enabled or (source.is_loopback and not self._limit_loopback):
            return True
        now = self._now()
        until = self._banned.get(source)
        if until is not None:
            if now < until:
                return False
            del self._banned[source]
        start, count = self._counts.get(source, (now, 0))
        if now - start >= limit.period:
            del self._counts[source]  # it goes to the end: the oldest count stays the first
            start, count = now, 0
        if not count and len(self._counts) >= _MAX_SOURCES:
            del self._counts[next(iter(self._counts))]
        count += 1
        self._counts[source] = (start, count)
        if count <= limit.rate * limit.period or listed(source.host, limit.white_list):
            return True
        if len(self._banned) >= _MAX_SOURCES:
            self._banned.pop(next(iter(self._banned)))
        self._banned[source] = now + limit.ban
        del self._counts[source]
        self.bans += 1
        return False
