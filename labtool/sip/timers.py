"""The timers of RFC 3261 section 17 (table 4) with those of RFC 6026."""

from __future__ import annotations

from labtool.sip.value import Value, assign

__all__ = ["Timers"]


class Timers(Value):
    """The three values from which all others follow, in seconds.

    `t1` is the round trip that is assumed, `t2` the longest pause between two repetitions, `t4` how
    long a message may stay in the network.
    """

    __slots__ = ("t1", "t2", "t4")
    t1: float
    t2: float
    t4: float

    def __init__(self, t1: float = 0.5, t2: float = 4.0, t4: float = 5.0) -> None:
        assign(self, "t1", t1)
        assign(self, "t2", t2)
        assign(self, "t4", t4)

    @property
    def patience(self) -> float:
        """64*T1, 32 s: timers B, F, H, J, L and M, and D, whose minimum over UDP is 32 s too."""
        return 64 * self.t1
