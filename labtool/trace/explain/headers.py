"""A header line: what it means here, where that can be said, else what it is for."""

from __future__ import annotations

from collections.abc import Callable

from labtool.trace.explain import authentication, dialog, routing
from labtool.trace.explain.context import Seen
from labtool.trace.explain.remark import Remark, say
from labtool.trace.explain.sources import SOURCES
from labtool.trace.phrase import Phrase

_VALUES: dict[str, Callable[[Seen, str], list[Remark]]] = {
    "From": dialog.sender,
    "To": dialog.recipient,
    "Contact": routing.contact,
    "Max-Forwards": routing.max_forwards,
}
_ROUTES = ("Route", "Record-Route", "Path", "Service-Route")
_CHALLENGES = ("WWW-Authenticate", "Proxy-Authenticate")
_CREDENTIALS = ("Authorization", "Proxy-Authorization")


def header(seen: Seen, name: str, value: str, index: int) -> list[Remark]:
    """The remarks on one line; `index` counts the lines of that name from the top."""
    if name == "Via":
        return routing.via(seen, value, index)
    if name in _VALUES:
        return _VALUES[name](seen, value)
    if name == "Call-ID":
        return dialog.call_id(seen)
    if name == "CSeq":
        return dialog.cseq(seen)
    if name in _ROUTES:
        return routing.routed(seen, value, name)
    if name in _CHALLENGES and value[:7].lower() == "digest ":
        return authentication.challenge(seen, value, name)
    if name in _CREDENTIALS and value[:7].lower() == "digest ":
        return authentication.credentials(seen, value)
    kind = f"header.{name}"
    if name == "Expires":
        kind = "expires.granted" if not seen.is_request else "expires.asked"
        if value.strip() == "0" and seen.method == "REGISTER":
            kind = "expires.zero"
    elif name == "Content-Length":
        stream = seen.message.flow.transport in ("tcp", "tls")
        kind = "content-length.stream" if stream else "content-length.datagram"
        if value.strip() == "0":
            kind = "content-length.none"
    elif name == "Content-Type" and value.lower().startswith("application/sdp"):
        kind = "content-type.sdp"
    elif name in ("User-Agent", "Server"):
        return (
            [say("agent", sender=seen.sender, value=value)]
            if _first_hand(seen, name)
            else [say("agent.forwarded", value=value)]
        )
    if kind not in SOURCES:
        return [say("header.private" if name.upper().startswith("X-") else "header.other")]
    return [say(kind, value=value, sender=seen.sender, receiver=seen.receiver)]


def _first_hand(seen: Seen, name: str) -> bool:
    """Whether who sent the packet also wrote the message: a request with a single Via."""
    if seen.is_request:
        return len(seen.vias) < 2
    if isinstance(seen.sender, Phrase) and name == "User-Agent":
        return False  # a server names itself in Server
    names = seen.context.analysis.names
    place = seen.context.analysis.places.of(seen.message.flow.source)
    call = seen.context.call(seen.message.call_id)
    return call is None or not names or not any(leg.caller == place for leg in call.legs)
