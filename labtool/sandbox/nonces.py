"""Nonces that need no memory until they are used (RFC 7616 sections 3.3 and 5.4).

A nonce is its time of issue with a keyed hash, so that a flood of challenges costs nothing. Only
those that were used are remembered, for their count must grow; the memory is bounded.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum

__all__ = ["NonceState", "Nonces"]

_CAPACITY = 8_192


class NonceState(Enum):
    """What a nonce that came back is worth. STALE: the password may be right all the same."""

    GOOD = "good"
    STALE = "stale"


class Nonces:
    """Issues and judges nonces. `now` is a clock in seconds that never goes back."""

    def __init__(self, lifetime: float, now: Callable[[], float]) -> None:
        self._lifetime = lifetime
        self._now = now
        self._key = os.urandom(16)
        self._start = now()
        self._serial = 0
        self._used: OrderedDict[str, int] = OrderedDict()
        # Whatever was issued before this and is not remembered may have been used and forgotten.
        self._forgotten = -1

    def issue(self) -> str:
        """A nonce that was never issued before."""
        self._serial += 1
        milliseconds = int((self._now() - self._start) * 1000)
        head = f"{milliseconds:010x}{self._serial:08x}"
        return head + self._mac(head)

    def judge(self, nonce: str, count: int | None) -> NonceState:
        """Whether credentials with that nonce, and with that count (None: no qop), are fresh. If
        so, the same nonce and count will not be again."""
        head, mac = nonce[:18], nonce[18:]
        if len(nonce) != 34 or mac != self._mac(head):
            return NonceState.STALE
        issued = int(head[:10], 16)
        age = (self._now() - self._start) - issued / 1000
        if age > self._lifetime:
            return NonceState.STALE
        last = self._used.get(nonce)
        if last is None:
            if issued <= self._forgotten:
                return NonceState.STALE
            if len(self._used) >= _CAPACITY:
                oldest, _ = self._used.popitem(last=False)
                self._forgotten = max(self._forgotten, int(oldest[:10], 16))
        elif count is not None and count <= last:
            return NonceState.STALE
        self._used[nonce] = count if count is not None else 0
        return NonceState.GOOD

    def _mac(self, head: str) -> str:
        return hashlib.blake2b(
            head.encode("utf-8", "replace"), key=self._key, digest_size=8
        ).hexdigest()
