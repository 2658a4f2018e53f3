"""Requests that nobody answers."""

from __future__ import annotations

from collections.abc import Iterable

from labtool.sip.flow import Address
from labtool.trace.findings.finding import Finding, finding
from labtool.trace.findings.scene import Scene
from labtool.trace.message import Message
from labtool.trace.phrase import phrase
from labtool.trace.transactions import Transaction

#: Sendings; two happen on any network, the third comes 1.5 s after the first (RFC 3261 17.1.1.2).
REPEATED = 3


def is_unanswered(one: Transaction) -> bool:
    """Whether it was sent again and again without any response.

    A request that the snap length cut may be another one every time, and its answers may be lost to
    the same cut.
    """
    return (
        one.method != "ACK"
        and not one.responses
        and len(one.messages) > REPEATED
        and all(message.is_whole for message in one.messages)
    )


def closed(scene: Scene, one: Transaction) -> list[int]:
    """The frames in which the machine says that nobody listens at the port of a request."""
    if one.responses or one.method == "ACK":
        return []
    return scene.closed_ports.get((one.first.flow.view, one.client, one.server), [])


def answers_are_missing(client: Address, messages: Iterable[Message]) -> bool:
    """Whether `client` goes on as only one does that was answered, though no answer was captured:
    the capture has one direction only. `messages` are those of its call.
    """
    messages = list(messages)
    if any(m.status and m.flow.destination.host == client.host for m in messages):
        return False
    return any(m.to_tag and not m.status and m.flow.source.host == client.host for m in messages)


def no_response(
    scene: Scene, one: Transaction, view: int, call: int, silent: str = "nothing-at-all"
) -> Finding:
    """The finding for a transaction without any response; `call` is 0 outside calls, `silent` the
    phrase that tells what that means.
    """
    said = closed(scene, one)
    return finding(
        "no-response",
        [message.frame for message in one.messages] + said[:5],
        view=view,
        call=call,
        target=one.server,
        method=one.method,
        times=len(one.messages),
        transport=one.first.flow.transport.upper(),
        seen=phrase("said-closed", count=len(said)) if said else phrase(silent),
    )
