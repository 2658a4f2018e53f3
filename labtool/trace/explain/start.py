"""The first line: what is asked, or what is answered (RFC 3261 sections 7.1 and 7.2)."""

from __future__ import annotations

from labtool.sip.message import Request
from labtool.trace.explain.context import Seen
from labtool.trace.explain.description import change
from labtool.trace.explain.remark import Remark, say, span
from labtool.trace.explain.sources import SOURCES
from labtool.trace.message import Message


def start_line(seen: Seen) -> list[Remark]:
    """What the first line means here."""
    return [*(_request(seen) if seen.is_request else _response(seen)), *_again(seen)]


def _again(seen: Seen) -> list[Remark]:
    first = seen.message.repeats
    if first is None:
        return []
    after = span(seen.message.time_ns - first.time_ns)
    kind = "again.request" if seen.is_request else "again.response"
    return [say(kind, frame=seen.frame(first), after=after, receiver=seen.receiver)]


def _request(seen: Seen) -> list[Remark]:
    uri = seen.parsed.uri if isinstance(seen.parsed, Request) else ""
    facts = {"sender": seen.author, "receiver": seen.receiver, "uri": uri}
    if seen.method == "ACK":
        return _ack(seen)
    kind = f"method.{seen.method}"
    if seen.method == "INVITE" and seen.message.to_tag:
        kind = f"method.re-INVITE{change(seen)}"
    if seen.method == "REGISTER" and _removes(seen):
        kind = "method.REGISTER-remove"
    if kind not in SOURCES or kind == "method.other":
        return [say("method.other", method=seen.method, **facts)]
    found = [say(kind, **facts)]
    before = seen.forwarded_from()
    if before is not None:
        found.append(say("request.forwarded", sender=seen.sender, frame=seen.frame(before)))
        if before.parsed().start_line != seen.parsed.start_line:
            found.append(say("request.retargeted", sender=seen.sender, uri=uri))
    elif seen.author != seen.sender:
        found.append(say("request.passed-on", sender=seen.sender, author=seen.author))
    elif (refused := _challenged(seen)) is not None:
        found.append(say("request.with-answer", frame=seen.frame(refused)))
    if seen.method == "CANCEL" and (invite := seen.before(method="INVITE", status=0)):
        found.append(say("cancel.which", frame=seen.frame(invite)))
    return found


def _ack(seen: Seen) -> list[Remark]:
    """An ACK to a failure belongs to the hop and ends there; one to a 2xx goes from end to end."""
    answer = None
    for one in seen.others:
        if (
            one.status >= 200
            and one.method == "INVITE"
            and one.cseq == seen.message.cseq
            and one.time_ns <= seen.message.time_ns
            and (answer is None or one.flow.hop == seen.message.flow.hop)
        ):
            answer = one
    facts = {"sender": seen.author, "receiver": seen.receiver}
    if answer is None:
        return [say("method.ACK", **facts)]
    if answer.status < 300:
        asked = next(
            (one for one in seen.others if one.cseq == answer.cseq and not one.status), None
        )
        again = asked is not None and asked.method == "INVITE" and asked.to_tag
        kind = "ack.success-again" if again else "ack.success"
        confirms = say(kind, frame=seen.frame(answer), label=answer.label, **facts)
        return [confirms, say("ack.end-to-end")]
    facts["sender"] = seen.sender
    return [say("ack.failure", frame=seen.frame(answer), label=answer.label, **facts)]


def _challenged(seen: Seen) -> Message | None:
    if "Authorization" in seen.parsed.headers or "Proxy-Authorization" in seen.parsed.headers:
        return next(
            (
                one
                for one in reversed(seen.others)
                if one.status in (401, 407)
                and one.method == seen.method
                and one.cseq == seen.message.cseq - 1
                and one.time_ns <= seen.message.time_ns
            ),
            None,
        )
    return None


def _removes(seen: Seen) -> bool:
    headers = seen.parsed.headers
    contacts = headers.all("Contact")
    return bool(contacts) and all(
        text == "*" or ";expires=0" in f"{text.lower()};" or headers.get("Expires") == "0"
        for text in contacts
    )


def _response(seen: Seen) -> list[Remark]:
    status = seen.message.status
    facts = {"sender": seen.sender, "receiver": seen.receiver, "method": seen.method}
    kind = f"status.{status}"
    if status == 200:
        kind = f"status.200-{seen.method}"
        registration = seen.context.registration(seen.transaction)
        if seen.method == "REGISTER" and registration is not None:
            kind = {
                "unregistered": "status.200-removed",
                "queried": "status.200-queried",
            }.get(registration.outcome, kind)
        if seen.method == "INVITE" and seen.request is not None and seen.request.to_tag:
            kind = "status.200-re-INVITE"
    if kind not in SOURCES:
        kind = f"status.{min(status // 100, 6)}xx"
    if status == 403 and seen.request is not None:
        headers = seen.request.parsed().headers
        if "Authorization" in headers or "Proxy-Authorization" in headers:
            kind = "status.403-password"
    found = [say(kind, status=status, **facts)]
    if seen.request is not None:
        after = span(seen.message.time_ns - seen.request.time_ns)
        found.append(
            say("response.to", frame=seen.frame(seen.request), after=after, method=seen.method)
        )
    return found
