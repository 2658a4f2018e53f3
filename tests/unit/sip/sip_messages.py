"""Odd and ordinary messages of our own, for the tests of this folder."""

from __future__ import annotations


def wire(*rows: str, body: bytes = b"") -> bytes:
    """The rows as a message, each ended by CRLF, and the body."""
    return "\r\n".join((*rows, "", "")).encode("utf-8", "surrogateescape") + body


TOP = "Via: SIP/2.0/UDP phone.lab.example:5062;branch=z9hG4bK.7f1;rport"
FROM = 'From: "Ann \\"A\\" Onymous" <sip:ann@lab.example>;tag=a1'
TO = "To: <sip:bob@lab.example>"
CALL_ID = "Call-ID: 81-f2@phone.lab.example"


def request(
    *more: str,
    method: str = "OPTIONS",
    uri: str = "sip:bob@lab.example",
    top: str = TOP,
    from_: str = FROM,
    to: str = TO,
    body: bytes = b"",
) -> bytes:
    """A sound request, changed and added to as the test needs."""
    rows = (f"{method} {uri} SIP/2.0", top, from_, to, CALL_ID, f"CSeq: 7 {method}")
    rows += ("Max-Forwards: 70", *more)
    if body:
        rows += (f"Content-Length: {len(body)}",)
    return wire(*rows, body=body)


def response(*more: str, status: str = "200 OK", top: str = TOP) -> bytes:
    """A sound response to an OPTIONS."""
    rows = (f"SIP/2.0 {status}", top, FROM, f"{TO};tag=b2", CALL_ID, "CSeq: 7 OPTIONS")
    return wire(*rows, *more)


CALL = request(
    'Contact: <sip:ann@198.51.100.4:5062;transport=tcp>;+sip.instance="<urn:uuid:1>"',
    "Route: <sip:edge.lab.example;lr>, <sip:[2001:db8::5]:5070;lr>",
    "Content-Type: application/sdp",
    method="INVITE",
    body=b"v=0\r\no=- 1 1 IN IP4 198.51.100.4\r\ns=-\r\nt=0 0\r\n",
)
FOLDED = wire(
    "INVITE sips:bob;x=1@lab.example:5061;lr?Subject=hi%20you SIP/2.0",
    "v:SIP / 2.0 / TLS",
    "\tedge.lab.example : 5061 ;",
    "  branch = z9hG4bK99, SIP/2.0/UDP [2001:db8::7];branch=z9hG4bK98",
    'f : "Folded',
    '  \\\\ name" <sip:%61nn@lab.example>',
    " ;tag=zz",
    "t:<tel:+358-555-1234567>",
    "i: x",
    "CSEQ: 0012",
    " INVITE",
    "s:",
    'X-Odd: ;;,,";',
    "l:0",
)
BINARY = request("Content-Type: application/octet-stream", method="MESSAGE", body=bytes(range(256)))
UNICODE = request("Subject: Grüße, 你好", "X-Raw: \udcff\udc80")
ALL = (CALL, FOLDED, BINARY, UNICODE, request(), response(), response(status="180 "))
