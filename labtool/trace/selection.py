"""Which part of an analysis was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from labtool.trace.analysis import Analysis
from labtool.trace.calls import Call
from labtool.trace.findings.finding import Finding
from labtool.trace.media import Stream
from labtool.trace.message import Message
from labtool.trace.registrations import Registration


def user_of(uri: str) -> str:
    """`alice` of `sip:alice@lab.example`."""
    return uri.partition(":")[2].partition("@")[0]


def registrations(
    analysis: Analysis, calls: Sequence[Call] | None, user: str | None
) -> list[Registration]:
    """Those of `user`; all where nothing was asked for, none where only calls were. What several
    views saw is there once.
    """
    if calls is not None and user is None:
        return []
    twins = analysis.merged.twins
    seen: set[int] = set()
    found = []
    for one in analysis.registrations:
        its = {id(twins.get(id(message), message)) for message in one.messages()}
        if user in (None, user_of(one.user)) and not its & seen:
            found.append(one)
        seen |= its
    return found


def messages(
    analysis: Analysis, calls: Sequence[Call] | None, user: str | None = None
) -> Sequence[Message]:
    """The messages of these calls, with those that a B2BUA made of them, and of the user's
    registrations, in order of time. `calls` None: everything. What several views saw is there as
    often.
    """
    if calls is None:
        return analysis.messages
    chosen = {id(one) for call in calls for one in (call, *call.related)}
    found = [m for one in analysis.calls if id(one) in chosen for m in one.messages()]
    if user is not None:
        its = [one for one in analysis.registrations if user_of(one.user) == user]
        found += [m for one in its for m in one.messages()]
    return sorted(found, key=lambda message: message.time_ns)


def streams(analysis: Analysis, calls: Sequence[Call] | None) -> list[Stream]:
    """The RTP streams of these calls; of everything for None."""
    if calls is None:
        return analysis.streams
    chosen = {id(one) for call in calls for one in (call, *call.related)}
    return [stream for stream in analysis.streams if id(stream.call) in chosen]


def without_findings(analysis: Analysis) -> str:
    """The word of `page_texts` for a capture in which nothing was found."""
    if analysis.messages:
        return "healthy"
    if analysis.capture.bad:
        return "unread"
    tls = any(one.kind == "tls" for one in analysis.capture.connections.values())
    return "encrypted_only" if tls else "empty"


def findings(
    analysis: Analysis, calls: Sequence[Call] | None, user: str | None = None
) -> list[Finding]:
    """What is wrong with these calls and with the user's registrations, the worst first."""
    if calls is None:
        return analysis.findings
    numbers = {call.number for call in calls}
    frames = {
        (message.flow.view, message.frame)
        for one in analysis.registrations
        if user is not None and user_of(one.user) == user
        for message in one.messages()
    }
    return [
        one
        for one in analysis.findings
        if one.call in numbers or (not one.call and frames & {(one.view, f) for f in one.frames})
    ]
