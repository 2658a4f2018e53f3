"""What is wrong with a message, and what a server should answer: a status, or nothing at all.

The rules are those of RFC 3261 sections 8.2, 16.3 and 18 and of the verdicts in RFC 4475 and RFC
5118. What depends on who is asked is in `Server`; `verdict` alone speaks for one that is both
proxy and endpoint, supports no extension and takes any method.
"""

from __future__ import annotations

from labtool.sip.errors import ParseError
from labtool.sip.grammar import split_list
from labtool.sip.headers import SINGLE
from labtool.sip.message import (
    SHORT,
    VERSION,
    Message,
    Request,
    Response,
    content_length,
    parse,
)
from labtool.sip.syntax import check
from labtool.sip.uri import SipUri, parse_uri
from labtool.sip.value import Value, assign
from labtool.sip.via import MAGIC_COOKIE, Via

# IANA's registry of SIP methods.
_METHODS = """ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER
    SUBSCRIBE UPDATE"""
METHODS = frozenset(_METHODS.split())
MANDATORY = ("Via", "From", "To", "Call-ID", "CSeq")  # and Max-Forwards, which RFC 2543 lacks

# Bodies that SIP endpoints commonly take, by IANA's names; multipart/* besides.
_CONTENT_TYPES = """
    application/cpim-pidf+xml application/conference-info+xml application/dialog-info+xml
    application/dtmf application/dtmf-relay application/im-iscomposing+xml application/isup
    application/media_control+xml application/pidf+xml application/pkcs7-mime
    application/pkcs7-signature application/reginfo+xml application/resource-lists+xml
    application/rlmi+xml application/sdp application/simple-message-summary
    application/vnd.gsma.rcs-ft-http+xml application/watcherinfo+xml message/cpim
    message/external-body message/imdn+xml message/sip message/sipfrag text/html text/plain"""
CONTENT_TYPES = frozenset(_CONTENT_TYPES.split())


class Verdict(Value):
    """`accept`: the message is well formed by the grammar. `status`: what a server should answer
    at once, None where nothing is wrong or where nothing may be answered, which is `drop`.
    `headers` belong into the answer (Unsupported, Allow, Accept).
    """

    __slots__ = ("accept", "drop", "headers", "reason", "status")
    accept: bool
    status: int | None
    reason: str
    drop: bool
    headers: tuple[tuple[str, str], ...]

    def __init__(
        self,
        accept: bool,
        status: int | None,
        reason: str,
        drop: bool = False,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        assign(self, "accept", accept)
        assign(self, "status", status)
        assign(self, "reason", reason)
        assign(self, "drop", drop)
        assign(self, "headers", headers)

    @property
    def fine(self) -> bool:
        """Whether the message may be processed."""
        return self.status is None and not self.drop


FINE = Verdict(True, None, "nothing is wrong")


class Server(Value):
    """Who is asked.

    `role`: "endpoint", "proxy", or "any", which is held to the rules of both. `methods`: those it
    takes (405 or 501 for others), None for any. `schemes`: of Request-URIs, lower case (416).
    `extensions`: option tags it supports (420). `content_types`: lower case, None for any (415).
    `auth_schemes`: lower case. `own`: the (host, port) of its own Via values: one of them in a
    request is a loop (482), none of them on top of a response means it is somebody else's.
    """

    __slots__ = (
        "auth_schemes",
        "content_types",
        "extensions",
        "methods",
        "own",
        "role",
        "schemes",
    )
    role: str
    methods: frozenset[str] | None
    schemes: frozenset[str]
    extensions: frozenset[str]
    content_types: frozenset[str] | None
    auth_schemes: frozenset[str]
    own: frozenset[tuple[str, int]]

    def __init__(
        self,
        role: str = "any",
        methods: frozenset[str] | None = None,
        schemes: frozenset[str] = frozenset(("sip", "sips", "tel")),
        extensions: frozenset[str] = frozenset(),
        content_types: frozenset[str] | None = CONTENT_TYPES,
        auth_schemes: frozenset[str] = frozenset(("digest",)),
        own: frozenset[tuple[str, int]] = frozenset(),
    ) -> None:
        assign(self, "role", role)
        assign(self, "methods", methods)
        assign(self, "schemes", schemes)
        assign(self, "extensions", extensions)
        assign(self, "content_types", content_types)
        assign(self, "auth_schemes", auth_schemes)
        assign(self, "own", own)


ANY = Server()


def verdict(message: Message | bytes, server: Server = ANY) -> Verdict:
    """What a server should make of a message, or of the datagram that holds one. Raises nothing."""
    if isinstance(message, bytes):
        try:
            message = parse(message)
        except ParseError as error:
            return Verdict(False, None, str(error), drop=True)
    if isinstance(message, Request):
        found = _request(message, server)
        # An ACK is never answered, and without a Via there is nowhere to answer to.
        if found.status is not None and (message.method == "ACK" or "Via" not in message.headers):
            return found.replace(status=None, drop=True)
        return found
    if isinstance(message, Response):
        return _response(message, server)
    raise TypeError(f"not a message: {type(message).__name__}")


def _request(request: Request, server: Server) -> Verdict:
    if request.version != VERSION:
        return Verdict(False, 505, f"the version is {request.version[:20]}, not {VERSION}")
    try:
        check(request)
    except ParseError as error:
        return Verdict(_miscounted(request), 400, str(error))
    mismatch = _cseq_mismatch(request)
    if mismatch is not None:
        # RFC 4475 section 3.1.2.18: 501 tells more where the method is not known anyway.
        return Verdict(False, 400 if request.method in METHODS else 501, mismatch)
    wrong = _missing_or_repeated(request)
    if wrong is None and request.via.branch == MAGIC_COOKIE:
        wrong = f"the branch is {MAGIC_COOKIE} and nothing else: no transaction (section 8.1.1.7)"
    if wrong is None and request.method == "REGISTER":
        wrong = _registration(request)
    if wrong is not None:
        return Verdict(True, 400, wrong)
    return (
        _method(request, server)
        or _scheme(request, server)
        or _hops(request, server)
        or _loop(request, server)
        or _extensions(request, server)
        or _authorization(request, server)
        or _content(request, server)
        or _acceptable(request, server)
        or FINE
    )


def _response(response: Response, server: Server) -> Verdict:
    def dropped(accept: bool, reason: str) -> Verdict:
        return Verdict(accept, None, reason, drop=True)

    if response.version != VERSION:
        return dropped(False, f"the version is {response.version[:20]}, not {VERSION}")
    if response.status > 699:
        return dropped(False, f"the status is {response.status}, above 699")
    try:
        check(response)
    except ParseError as error:
        return dropped(_miscounted(response), str(error))
    wrong = _missing_or_repeated(response)
    if wrong is not None:
        return dropped(True, wrong)
    vias = [Via.parse(value) for value in response.headers.all("Via")]
    if server.own and (vias[0].host, vias[0].port or 5060) not in server.own:
        return dropped(True, "the topmost Via is not one of ours (section 18.1.2)")
    if server.role == "endpoint" and len(vias) > 1:
        return dropped(True, "more than one Via: it was meant for somebody else (section 8.1.3.3)")
    if len(vias) > 1 and not _is_one_host(vias[1].received or vias[1].host):
        return dropped(True, "its next hop is a broadcast or multicast address")
    return FINE


def _miscounted(message: Request | Response) -> bool:
    """Whether all that is wrong is that a Content-Length counts more than a body that is whole.

    It is an error that section 18.3 has answered with 400 in either case, but RFC 4475 section
    3.1.2.2 calls a length that is larger than the *message* malformed, and RFC 5118 section 4.6
    prints as well formed one that is 17 bytes larger than its body: its bytes were counted wrong,
    none is missing. So the length must fit into the message, and the body be SDP to its last line
    end; a body that is cut within a line is not.
    """
    (defect,) = message.defects if len(message.defects) == 1 else ("",)
    if not defect.endswith(SHORT) or not message.body.endswith(b"\n"):
        return False
    from labtool.sip.sdp import SessionDescription  # needed here alone: not loaded by each start

    whole = message.copy()
    whole.defects = ()
    try:
        described = SessionDescription.parse(message.body)
        length = content_length(message.headers) or 0
    except ParseError:
        return False
    kind = (message.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    size = len(whole.to_bytes())
    counted_wrong = kind == "application/sdp" and bool(described.media) and length <= size
    return counted_wrong and verdict(whole).accept


def _is_one_host(host: str) -> bool:
    """Whether it could be the address of one machine: a response goes to no other (RFC 4475
    section 3.3.10).
    """
    head, _, rest = host.partition(".")
    if rest and not host.strip("0123456789."):
        return head != "0" and len(head) <= 3 and int(head) < 224 if head else False
    return not (":" in host and (host.lower().startswith("ff") or not host.strip("0:")))


def _missing_or_repeated(message: Message) -> str | None:
    counts: dict[str, int] = {}
    for name, _ in message.headers:
        counts[name] = counts.get(name, 0) + 1
    for name in MANDATORY:
        if name not in counts:
            return f"no {name}"
    for name, count in counts.items():
        if count > 1 and name in SINGLE:
            return f"{name} {count} times"
    return None


def _cseq_mismatch(request: Request) -> str | None:
    if "CSeq" not in request.headers:
        return None
    method = request.cseq[1]
    if method == request.method:
        return None
    return f"the method is {request.method[:40]}, and that of CSeq {method[:40]}"


def _registration(request: Request) -> str | None:
    if not isinstance(request.to.uri, SipUri):
        return "the To of a REGISTER is no SIP URI: there is no such address-of-record"
    contacts = request.headers.all("Contact")
    if "*" in contacts:
        # Section 10.3, step 6.
        if len(contacts) > 1:
            return "'*' beside other contacts"
        if (request.headers.get("Expires") or "").lstrip("0") or "Expires" not in request.headers:
            return "'*' as Contact without 'Expires: 0'"
    return None


def _method(request: Request, server: Server) -> Verdict | None:
    if server.methods is None or request.method in server.methods:
        return None
    allow = (("Allow", ", ".join(sorted(server.methods))),)
    status = 405 if request.method in METHODS else 501
    return Verdict(True, status, f"the method {request.method[:40]} is not served", headers=allow)


def _scheme(request: Request, server: Server) -> Verdict | None:
    scheme = parse_uri(request.uri).scheme.lower()
    if scheme in server.schemes:
        return None
    return Verdict(True, 416, f"the scheme of the Request-URI is {scheme[:40]}")


def _hops(request: Request, server: Server) -> Verdict | None:
    value = request.headers.get("Max-Forwards")
    if server.role == "endpoint" or value is None or value.strip("0"):
        return None
    return Verdict(True, 483, "Max-Forwards is 0: it may not be forwarded")


def _loop(request: Request, server: Server) -> Verdict | None:
    if not server.own:
        return None
    for value in request.headers.all("Via"):
        via = Via.parse(value)
        if (via.host, via.port or 5060) in server.own:
            return Verdict(True, 482, f"it has been here before: Via {via.host[:60]}")
    return None


def _extensions(request: Request, server: Server) -> Verdict | None:
    if request.method in ("ACK", "CANCEL"):
        return None  # section 8.2.2.3: Require is ignored there
    names = {"endpoint": ("Require",), "proxy": ("Proxy-Require",)}
    wanted: list[str] = []
    for name in names.get(server.role, ("Proxy-Require", "Require")):
        wanted += request.headers.all(name)
    unknown = [tag for tag in wanted if tag not in server.extensions]
    if not unknown:
        return None
    text = ", ".join(dict.fromkeys(unknown))
    headers = (("Unsupported", text),)
    return Verdict(True, 420, f"extensions that are not supported: {text[:80]}", headers=headers)


def _authorization(request: Request, server: Server) -> Verdict | None:
    if request.method in ("ACK", "CANCEL"):
        return None  # neither can be sent again with other credentials
    for name, status in (("Authorization", 401), ("Proxy-Authorization", 407)):
        values = request.headers.all(name)
        schemes = {value.split(None, 1)[0].lower() for value in values}
        if schemes and not schemes & server.auth_schemes:
            reason = f"{name} of a scheme that is not known: {', '.join(sorted(schemes))[:60]}"
            return Verdict(True, status, reason)
    return None


def _content(request: Request, server: Server) -> Verdict | None:
    if server.role == "proxy" or not request.body or request.method in ("ACK", "CANCEL"):
        return None
    headers = request.headers
    if "handling=optional" in (headers.get("Content-Disposition") or "").lower().replace(" ", ""):
        return None
    encodings = [x for x in headers.all("Content-Encoding") if x.lower() != "identity"]
    if encodings:
        return Verdict(
            True,
            415,
            f"a body that is encoded as {', '.join(encodings)[:60]}",
            headers=(("Accept-Encoding", "identity"),),
        )
    value = headers.get("Content-Type")
    if value is None:
        return Verdict(True, 400, "a body without Content-Type (section 20.15)")
    kind = value.partition(";")[0].strip().lower().replace(" ", "")
    known = server.content_types
    if known is None or kind in known or kind.startswith("multipart/"):
        return None
    accept = (("Accept", ", ".join(sorted(known))),)
    return Verdict(True, 415, f"a body of type {kind[:60]}", headers=accept)


def _acceptable(request: Request, server: Server) -> Verdict | None:
    """An INVITE is answered with SDP: 406 where its sender takes none (section 20.1)."""
    if server.role == "proxy" or request.method != "INVITE" or "Accept" not in request.headers:
        return None
    for value in request.headers.lines("Accept"):
        for part in split_list(value):
            kind = part.partition(";")[0].strip().lower().replace(" ", "")
            if kind in ("application/sdp", "application/*", "*/*"):
                return None
    return Verdict(True, 406, "its Accept leaves out application/sdp, which the answer would be")
