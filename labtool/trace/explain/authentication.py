"""Challenge and response: digest authentication (RFC 7616, RFC 8760, RFC 3261 section 22)."""

from __future__ import annotations

from labtool.sip.digest import Challenge, Credentials, verify
from labtool.sip.errors import ParseError, SipError
from labtool.trace.explain.context import Seen
from labtool.trace.explain.remark import Remark, say
from labtool.trace.message import Message


def challenge(seen: Seen, value: str, name: str) -> list[Remark]:
    """What a server asks."""
    try:
        one = Challenge.parse(value)
    except ParseError:
        return [say("unreadable")]
    kind = "challenge.proxy" if name == "Proxy-Authenticate" else "challenge.server"
    found = [
        say(kind, sender=seen.sender, realm=one.realm),
        say("challenge.nonce"),
        say("challenge.algorithm", algorithm=one.algorithm),
    ]
    found.append(
        say("challenge.qop", qop=", ".join(one.qop)) if one.qop else say("challenge.qop-none")
    )
    if one.algorithm.upper().startswith("MD5"):
        found.append(say("challenge.md5"))
    if one.stale:
        found.append(say("challenge.stale"))
    return found


def credentials(seen: Seen, value: str) -> list[Remark]:
    """How a client answers: to which challenge, made of what, and with what success."""
    try:
        one = Credentials.parse(value)
    except ParseError:
        return [say("unreadable")]
    asked = seen.challenge(one.nonce)
    if asked is not None:
        found = [
            say("credentials", frame=seen.frame(asked), username=one.username, realm=one.realm)
        ]
    else:
        found = [say("credentials.unasked", username=one.username, realm=one.realm)]
    uri = {"method": seen.method, "uri": one.uri, "algorithm": one.algorithm}
    if seen.method == "ACK":
        return [*found, say("credentials.ack")]
    if one.qop:
        found.append(say("credentials.made-qop", nc=one.nc_text or "", **uri))
    else:
        found.append(say("credentials.made", **uri))
    found.append(say("credentials.secret"))
    found += _checked(seen, one)
    final = _verdict(seen)
    if final is not None:
        facts = {"frame": final.frame, "label": final.label}
        if final.status in (401, 403, 407):
            found.append(say("credentials.refused", **facts))
        else:
            found.append(say("credentials.accepted", **facts))
    return found


def _checked(seen: Seen, one: Credentials) -> list[Remark]:
    """Whether the answer is the one that the account's own hash makes, where that is known."""
    secret = seen.context.known.get((one.username, one.realm))
    try:
        hashed = secret.ha1(one.username, one.realm, one.algorithm) if secret else None
    except SipError:
        return []
    if hashed is None:
        return []
    right = verify(one, method=seen.method, ha1=hashed, body=seen.parsed.body)
    return [say("credentials.right" if right else "credentials.wrong", username=one.username)]


def _verdict(seen: Seen) -> Message | None:
    """The first response that shows what the server thought of it; 100 shows nothing."""
    if seen.transaction is None:
        return None
    return next((one for one in seen.transaction.responses if one.status > 100), None)
