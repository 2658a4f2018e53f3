"""The way there and the way back: Via, Route, Record-Route, Contact, Max-Forwards."""

from __future__ import annotations

from labtool.sip.address import NameAddr
from labtool.sip.errors import ParseError
from labtool.sip.flow import Address
from labtool.sip.grammar import split_list
from labtool.sip.uri import SipUri
from labtool.sip.via import MAGIC_COOKIE, Via
from labtool.trace.explain.context import Seen
from labtool.trace.explain.remark import Remark, say
from labtool.trace.hosts import is_private
from labtool.trace.participants import Name


def via(seen: Seen, value: str, line: int) -> list[Remark]:
    """A line of Via; `line` counts them from the top."""
    found: list[Remark] = []
    above = sum(len(split_list(one)) for one in seen.parsed.headers.lines("Via")[:line])
    for index, text in enumerate(split_list(value), above):
        try:
            one = Via.parse(text)
        except ParseError:
            found.append(say("unreadable"))
            continue
        found += _whose(seen, one, index)
        if index == 0:
            found += _branch(seen, one)
        found += _nat(seen, one, index)
    return found


def _whose(seen: Seen, one: Via, index: int) -> list[Remark]:
    who = seen.context.author(one, seen.view)
    facts = {"who": who, "sender": seen.sender, "receiver": seen.receiver}
    count = len(seen.parsed.headers.all("Via"))
    if not seen.is_request:
        if index:
            return [say("via.response-below", **facts)]
        found = [say("via.response-top", **facts)]
        return [*found, say("via.response-more", count=count)] if count > 1 else found
    if index:
        return [say("via.request-below", **facts)]
    if count == 1:
        return [say("via.request-only", **facts)]
    before = seen.forwarded_from()
    if before is None:
        return [say("via.request-top", count=count, **facts)]
    earlier = len(before.parsed().headers.all("Via"))
    return [say("via.grew", count=count, earlier=earlier, frame=seen.frame(before), **facts)]


def _branch(seen: Seen, one: Via) -> list[Remark]:
    branch = one.branch
    if not branch or not branch.startswith(MAGIC_COOKIE):
        return [say("branch.old")]
    if not seen.is_request:
        request = seen.request
        return [say("branch.response", frame=seen.frame(request))] if request is not None else []
    if seen.method in ("ACK", "CANCEL"):
        invite = seen.before(method="INVITE", status=0, branch=branch)
        if invite is not None:
            kind = "branch.ack-same" if seen.method == "ACK" else "branch.cancel"
            return [say(kind, frame=seen.frame(invite))]
        return [say("branch.ack-new")] if seen.method == "ACK" else []
    return [say("branch.request", branch=branch)]


#: Methods whose Contact leaves the target of the dialog as it is.
_NO_REFRESH = ("ACK", "BYE", "CANCEL", "INFO", "MESSAGE", "OPTIONS", "PRACK", "PUBLISH")


def _nat(seen: Seen, one: Via, index: int) -> list[Remark]:
    """What received and rport say (RFC 3581), or the packet itself where they are not there yet."""
    written = str(Address(one.host, one.port or 5060))
    who = seen.context.author(one, seen.view)
    if one.received or one.rport:
        by = Address(one.received or one.host, one.rport or one.port or 5060)
        if str(by) == written:
            kind = "nat.none" if one.received else "nat.none-rport"
            return [say(kind, who=who, written=written)]
        kind = "nat.port" if by.host == one.host else "nat.address"
        return [say(kind, who=who, written=written, seen=by)]
    if not seen.is_request or index:
        return []
    found = [say("rport.asked", receiver=seen.receiver)] if one.wants_rport else []
    source = seen.message.flow.source
    if source.host != one.host and is_private(one.host):
        found.append(say("nat.packet", who=who, written=written, seen=source))
    return found


def routed(seen: Seen, value: str, name: str) -> list[Remark]:
    """A line of Route, Record-Route, Path or Service-Route."""
    found = []
    for text in split_list(value):
        try:
            uri = NameAddr.parse(text).uri
        except ParseError:
            found.append(say("unreadable"))
            continue
        host = getattr(uri, "host", "")
        address = Address(host, getattr(uri, "port", None) or 5060)
        who: Name = str(uri)
        if seen.context.knows(address, seen.view):
            who = seen.context.name(address, seen.view)
        kind = {"Route": "route", "Record-Route": "record-route", "Path": "path"}.get(
            name, "service-route"
        )
        if kind == "record-route" and not seen.is_request:
            dialog = bool(seen.message.to_tag)
            kind = "record-route.response" if dialog else "record-route.trying"
        elif kind == "record-route" and seen.message.to_tag:
            kind = "record-route.again"
        found.append(say(kind, who=who, host=host))
        if kind.startswith("record-route") and is_private(host) and _from_outside(seen, host):
            found.append(say("record-route.private", host=host))
        if isinstance(uri, SipUri) and kind in ("route", "record-route") and "lr" not in uri.params:
            found.append(say("route.strict"))
    return found


def _from_outside(seen: Seen, host: str) -> bool:
    flow = seen.message.flow
    return flow.source.host != host and not is_private(flow.source.host)


def contact(seen: Seen, value: str) -> list[Remark]:
    """A line of Contact."""
    found: list[Remark] = []
    general = seen.parsed.headers.get("Expires")
    for text in split_list(value):
        if text.strip() == "*":
            found.append(say("contact.star"))
            continue
        try:
            one = NameAddr.parse(text)
        except ParseError:
            found.append(say("unreadable"))
            continue
        found += _contact(seen, one, general)
    return found


def _contact(seen: Seen, one: NameAddr, general: str | None) -> list[Remark]:
    uri = one.uri
    host = uri.host if isinstance(uri, SipUri) else ""
    facts = {"uri": uri, "sender": seen.sender, "receiver": seen.receiver}
    expires = one.params.get("expires") or general
    if seen.method == "REGISTER":
        if not seen.is_request:
            kind = "contact.bound" if expires else "contact.bound-open"
            found = [say(kind, expires=expires or "", uri=uri)]
        elif expires == "0":
            found = [say("contact.remove", uri=uri)]
        elif expires:
            found = [say("contact.register", expires=expires, uri=uri)]
        else:
            found = [say("contact.register-open", uri=uri)]
    elif 300 <= seen.message.status < 400:
        found = [say("contact.redirect", **facts)]
    elif seen.method in _NO_REFRESH or seen.message.status >= 400:
        found = [say("contact.idle", **facts)]
    else:
        found = [say("contact.target", **facts)]
    if isinstance(uri, SipUri) and "gr" in uri.params:
        found.append(say("contact.gruu"))
    if "+sip.instance" in one.params:
        found.append(say("contact.instance"))
    source = seen.message.flow.source.host
    if seen.is_request and isinstance(uri, SipUri):
        learned = _learned(seen, host)
        if learned and host != source:
            found.append(say("contact.learned", host=host, frame=learned))
        elif is_private(host) and host != source and not is_private(source):
            found.append(say("contact.private", host=host, source=source))
    return found


def _learned(seen: Seen, host: str) -> str:
    """The frame of an earlier response that told the sender this address of its own."""
    for message in reversed(seen.others):
        earlier = message.status and message.time_ns < seen.message.time_ns
        if earlier and seen.context.received(message) == host:
            return seen.frame(message)
    return ""


def max_forwards(seen: Seen, value: str) -> list[Remark]:
    """Its value; how many servers it passed, where that can be seen."""
    if value.strip() == "0":
        return [say("max-forwards.none", receiver=seen.receiver)]
    before = seen.forwarded_from()
    if before is not None:
        earlier = before.parsed().headers.get("Max-Forwards") or "?"
        return [say("max-forwards.less", left=value, earlier=earlier, sender=seen.sender)]
    return [say("max-forwards", left=value)]
