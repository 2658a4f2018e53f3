"""Requests that nobody answers."""

from __future__ import annotations

from labtool.trace.findings.finding import Finding, finding
from labtool.trace.transactions import Transaction

#: Sendings; two happen on any network, the third comes 1.5 s after the first (RFC 3261 17.1.1.2).
REPEATED = 3


def no_response(one: Transaction, view: int, call: int) -> Finding:
    """The finding for a transaction without any response; `call` is 0 outside calls."""
    return finding(
        "no-response",
        [message.frame for message in one.messages],
        view=view,
        call=call,
        target=one.server,
        method=one.method,
        times=len(one.messages),
        transport=one.first.flow.transport.upper(),
    )
