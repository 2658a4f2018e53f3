"""Who talks with whom, and which exchange a message belongs to: From, To, Call-ID, CSeq."""

from __future__ import annotations

from labtool.sip.address import NameAddr
from labtool.sip.errors import ParseError
from labtool.trace.explain.context import Seen
from labtool.trace.explain.remark import Remark, say

#: Requests that make no dialog (RFC 3261 section 12.1: only INVITE does; RFC 6665 and 3515 add theirs).
_NO_DIALOG = ("REGISTER", "OPTIONS", "MESSAGE", "PUBLISH")


def sender(seen: Seen, value: str) -> list[Remark]:
    """From, with its tag."""
    try:
        one = NameAddr.parse(value)
    except ParseError:
        return [say("unreadable")]
    kind = "from.register" if seen.method == "REGISTER" else "from"
    found = [say(kind, uri=one.uri)]
    if _swapped(seen):
        found.append(say("from.swapped", uri=one.uri))
    if one.tag:
        alone = seen.method in _NO_DIALOG and not seen.message.to_tag
        kind = "from.tag-alone" if alone or seen.method == "REGISTER" else "from.tag"
        found.append(say(kind, tag=one.tag, method=seen.method))
    else:
        found.append(say("tag.none"))
    return found


def recipient(seen: Seen, value: str) -> list[Remark]:
    """To, with its tag: the tag makes the dialog."""
    try:
        one = NameAddr.parse(value)
    except ParseError:
        return [say("unreadable")]
    kind = "to.register" if seen.method == "REGISTER" else "to"
    found = [say(kind, uri=one.uri)]
    status = seen.message.status
    tag = one.tag or ""
    if seen.is_request:
        if tag and seen.method == "ACK":
            found.append(say("to.tag-ack", tag=tag))
        elif tag:
            found.append(say("to.tag-within", tag=tag))
        elif seen.method == "INVITE":
            found.append(say("to.tag-not-yet"))
        return found
    if not tag:
        return [*found, say("to.tag-none")]
    if seen.request is not None and seen.request.to_tag:
        found.append(say("to.tag-within", tag=tag))
    elif seen.method in ("INVITE", "SUBSCRIBE", "REFER") and status < 300:
        kind = "to.tag-early" if status < 200 else "to.tag-dialog"
        early = seen.before(method=seen.method, to_tag=tag, status=180) or seen.before(
            method=seen.method, to_tag=tag, status=183
        )
        if status >= 200 and early is not None:
            kind = "to.tag-confirmed"
        facts = {"tag": tag, "from_tag": seen.message.from_tag}
        found.append(say(kind, **facts, frame=seen.frame(early) if early else ""))
    else:
        found.append(say("to.tag-no-dialog", tag=tag))
    return found


def _swapped(seen: Seen) -> bool:
    """Whether this request comes from who was called: its From has the tag that To had."""
    call = seen.context.call(seen.message.call_id)
    if call is None or not seen.message.to_tag:
        return False
    return any(seen.message.from_tag == callee for _, callee in call.dialogs)


def call_id(seen: Seen) -> list[Remark]:
    """How many messages share it."""
    count = len(seen.others) + 1
    kind = "call-id.register" if seen.method == "REGISTER" else "call-id"
    return [say(kind, count=count)]


def cseq(seen: Seen) -> list[Remark]:
    """The number, and why it is what it is."""
    number = seen.message.cseq
    if not seen.is_request:
        return [say("cseq.response", number=number, method=seen.method)]
    if seen.method == "ACK":
        return [say("cseq.ack", number=number)]
    if seen.method == "CANCEL":
        return [say("cseq.cancel", number=number)]
    refused = next(
        (
            one
            for one in reversed(seen.others)
            if one.status in (401, 407)
            and one.method == seen.method
            and one.cseq == number - 1
            and one.time_ns <= seen.message.time_ns
        ),
        None,
    )
    if refused is not None:
        return [say("cseq.repeated", number=number, frame=seen.frame(refused), earlier=number - 1)]
    return [say("cseq", number=number, method=seen.method)]
