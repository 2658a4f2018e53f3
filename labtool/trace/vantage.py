"""Where a capture was taken: whose packets it can have seen.

What does not arrive can only be missed at the place where it should have arrived. A finding about
missing packets is made for the machine that a view was taken at, and for no other.
"""

from __future__ import annotations

from collections.abc import Iterable

from labtool.trace.flow import Flow

#: What senders start with: Linux and macOS 64, Windows 128, network gear 255; 32 is old.
_INITIAL_TTLS = (32, 64, 128, 255)


def vantage(flows: Iterable[Flow]) -> str | None:
    """The host that the capture was taken at, None where the packets don't show it.

    It is the host that every flow begins or ends at. Where two are (a capture of one conversation),
    it is the one whose packets have passed no router, if the other's have.
    """
    flows = _outer(flows)
    common = _common(flows)
    if len(common) == 1:
        return common.pop()
    near = _near(flows, common)
    return near.pop() if len(near) == 1 and len(common) == 2 else None


def neighbours(flows: Iterable[Flow]) -> tuple[str, ...]:
    """The two hosts that a capture was taken at or between, where every packet is theirs and none
    has passed a router: at which of them it was cannot be told, and need not be. What they send each
    other over that network is seen, and what is not seen does not arrive.
    """
    flows = _outer(flows)
    near = _near(flows, _common(flows))
    return tuple(sorted(near)) if len(near) == 2 else ()


def _outer(flows: Iterable[Flow]) -> list[Flow]:
    """TURN's packets go to its server."""
    return [flow.outer or flow for flow in flows]


def _common(flows: list[Flow]) -> set[str]:
    """The hosts that every flow begins or ends at."""
    if not flows:
        return set()
    common = {flows[0].source.host, flows[0].destination.host}
    for flow in flows:
        common &= {flow.source.host, flow.destination.host}
    return common


def _near(flows: list[Flow], hosts: set[str]) -> set[str]:
    """Those of `hosts` whose packets have passed no router."""
    return {
        host
        for host in hosts
        if all(flow.ttl in _INITIAL_TTLS for flow in flows if flow.source.host == host)
        and any(flow.source.host == host for flow in flows)
    }
