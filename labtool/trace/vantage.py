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
    flows = [flow.outer or flow for flow in flows]  # TURN's packets go to its server
    if not flows:
        return None
    common = {flows[0].source.host, flows[0].destination.host}
    for flow in flows:
        common &= {flow.source.host, flow.destination.host}
    if len(common) == 1:
        return common.pop()
    if len(common) != 2:
        return None
    near = {
        host
        for host in common
        if all(flow.ttl in _INITIAL_TTLS for flow in flows if flow.source.host == host)
        and any(flow.source.host == host for flow in flows)
    }
    return near.pop() if len(near) == 1 else None
