"""How fast messages are parsed, typed, judged and printed, on one core.

    python benchmarks/bench_sip.py [SECONDS]

Its own mix: what a lab's server sees. Each figure is the best of five rounds, as the least
disturbed one is nearest to what the code costs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from labtool.sip.address import NameAddr
from labtool.sip.digest import Credentials
from labtool.sip.framing import StreamFramer
from labtool.sip.message import Message, parse, response_to
from labtool.sip.sdp import SessionDescription
from labtool.sip.validation import verdict

_SDP = "\r\n".join(
    (
        "v=0",
        "o=alice 3874 1 IN IP4 198.51.100.7",
        "s=Talk",
        "c=IN IP4 198.51.100.7",
        "t=0 0",
        "a=ice-pwd:1c4e3a5f8d9b7c6e2f0a1b3c",
        "a=ice-ufrag:7f3a91c2",
        "a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics",
        "m=audio 7078 RTP/AVPF 96 0 8 101",
        "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 useinbandfec=1",
        "a=rtpmap:101 telephone-event/8000",
        "a=candidate:1 1 UDP 2130706303 198.51.100.7 7078 typ host",
        "a=candidate:2 1 UDP 1694498687 203.0.113.9 40112 typ srflx raddr 198.51.100.7 rport 7078",
        "",
    )
)


def _mix(number: int) -> list[bytes]:
    """The messages of one registration and one call, with values that differ by number."""
    user, peer = f"user{number}", f"user{number + 1}"
    dialog = (
        f'From: "User {number}" <sip:{user}@lab.example>;tag=a{number:06x}\r\n'
        f"Call-ID: {number:08x}-7d1b@198.51.100.{number % 250}\r\n"
    )
    top = f"Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK.{number:08x};rport\r\n"
    relayed = (
        "Via: SIP/2.0/TCP 203.0.113.2:5060;branch=z9hG4bK.p1.77;received=203.0.113.2\r\n" + top
    )
    agent = "User-Agent: Linphone-Desktop/5.2.4 (lab) linphone-core/5.3.47\r\n"
    contact = (
        f"Contact: <sip:{user}@198.51.100.7:5060;transport=udp>"
        f';+sip.instance="<urn:uuid:00000000-0000-4000-8000-{number:012x}>"\r\n'
    )
    digest = (
        f'Authorization: Digest realm="lab.example", nonce="n{number:028x}", '
        f'algorithm=SHA-256, opaque="+GNywA==", username="{user}", uri="sip:lab.example", '
        f'response="{number:064x}", cnonce="{number:016x}", nc=00000001, qop=auth\r\n'
    )
    body = _SDP.encode()
    typed = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n"
    empty = "Content-Length: 0\r\n\r\n"
    texts = [
        f"REGISTER sip:lab.example SIP/2.0\r\n{top}{dialog}To: <sip:{user}@lab.example>\r\n"
        f"CSeq: 20 REGISTER\r\nMax-Forwards: 70\r\n{contact}Expires: 3600\r\n"
        f"Supported: replaces, outbound, gruu, path\r\n{agent}{empty}",
        f"SIP/2.0 401 Unauthorized\r\n{top}{dialog}To: <sip:{user}@lab.example>;tag=s{number}\r\n"
        f'CSeq: 20 REGISTER\r\nWWW-Authenticate: Digest realm="lab.example", nonce="n{number:028x}"'
        f', algorithm=SHA-256, qop="auth"\r\nServer: lab\r\n{empty}',
        f"REGISTER sip:lab.example SIP/2.0\r\n{top}{dialog}To: <sip:{user}@lab.example>\r\n"
        f"CSeq: 21 REGISTER\r\nMax-Forwards: 70\r\n{contact}Expires: 3600\r\n{digest}{agent}"
        f"{empty}",
        f"SIP/2.0 200 OK\r\n{top}{dialog}To: <sip:{user}@lab.example>;tag=s{number}\r\n"
        f"CSeq: 21 REGISTER\r\n{contact[:-2]};expires=3600\r\nServer: lab\r\n{empty}",
        f"INVITE sip:{peer}@lab.example SIP/2.0\r\n{relayed}{dialog}"
        f"To: <sip:{peer}@lab.example>\r\nCSeq: 20 INVITE\r\nMax-Forwards: 69\r\n"
        f"Record-Route: <sip:203.0.113.2;lr>\r\n{contact}"
        f"Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, INFO, PRACK, UPDATE\r\n"
        f"Supported: replaces, outbound, gruu\r\n{agent}{typed}{_SDP}",
        f"SIP/2.0 180 Ringing\r\n{relayed}{dialog}To: <sip:{peer}@lab.example>;tag=b{number}\r\n"
        f"CSeq: 20 INVITE\r\nRecord-Route: <sip:203.0.113.2;lr>\r\n{contact}{agent}{empty}",
        f"SIP/2.0 200 OK\r\n{relayed}{dialog}To: <sip:{peer}@lab.example>;tag=b{number}\r\n"
        f"CSeq: 20 INVITE\r\nRecord-Route: <sip:203.0.113.2;lr>\r\n{contact}{agent}{typed}{_SDP}",
        f"ACK sip:{peer}@198.51.100.9:5060 SIP/2.0\r\n{top}{dialog}"
        f"To: <sip:{peer}@lab.example>;tag=b{number}\r\nCSeq: 20 ACK\r\nMax-Forwards: 70\r\n"
        f"Contact: <sip:{user}@198.51.100.7:5060>\r\nRoute: <sip:203.0.113.2;lr>\r\n{empty}",
        f"BYE sip:{peer}@198.51.100.9:5060 SIP/2.0\r\n{top}{dialog}"
        f"To: <sip:{peer}@lab.example>;tag=b{number}\r\nCSeq: 21 BYE\r\nMax-Forwards: 70\r\n"
        f"Contact: <sip:{user}@198.51.100.7:5060>\r\nRoute: <sip:203.0.113.2;lr>\r\n{empty}",
    ]
    return [text.encode() for text in texts]


def _typed(data: bytes) -> None:
    message = parse(data)
    _ = message.via, message.from_, message.to, message.cseq, message.call_id
    value = message.headers.get("Contact")
    if value is not None:
        NameAddr.parse(value)


def _rate(work: Callable[[bytes], object], items: list[bytes], seconds: float) -> float:
    best = 0.0
    for _ in range(5):
        done, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < seconds / 5:
            for item in items:
                work(item)
            done += len(items)
        best = max(best, done / spent)
    return best


def _stream(data: bytes) -> None:
    framer = StreamFramer()
    for at in range(0, len(data), 1460):
        framer.feed(data[at : at + 1460])


def main() -> None:
    """Print each figure on a line of its own."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    # More users than the parsers remember, so that each value is parsed anew; then a few again.
    messages = [data for number in range(3000) for data in _mix(number)]
    few = messages[:900]
    size = sum(map(len, messages)) / len(messages)
    print(f"{len(messages)} messages of {size:.0f} bytes on average, best of five rounds")

    def figure(name: str, rate: float, unit: str = "messages/s", aim: str = "") -> None:
        print(f"{name:<58} {rate:>10,.0f} {unit}{aim}")

    figure("parse: start line and headers", _rate(parse, messages, seconds), aim="  (aim 50,000)")
    figure(
        "parse, and type Via, From, To, CSeq, Contact, Call-ID",
        _rate(_typed, messages, seconds),
        aim="  (aim 20,000)",
    )
    figure("the same of 100 users again and again", _rate(_typed, few, seconds))
    stream = b"".join(messages)
    figure(
        "out of a stream in segments of 1,460 bytes",
        _rate(_stream, [stream], seconds) * len(messages),
    )
    figure("judge (validation.verdict), parsing included", _rate(verdict, messages, seconds))
    parsed: list[Message] = [parse(data) for data in messages]
    printing = dict(zip(messages, parsed, strict=True))
    figure("print", _rate(lambda data: printing[data].to_bytes(), messages, seconds))
    requests = [data for data in messages if not data.startswith(b"SIP/")]
    figure(
        "parse a request and print its response",
        _rate(lambda data: response_to(parse(data), 200).to_bytes(), requests, seconds),  # type: ignore[arg-type]
    )
    bodies = [_SDP.encode()]
    figure("parse SDP", _rate(SessionDescription.parse, bodies, seconds), "bodies/s")
    answers = [data for data in messages if b"Authorization: Digest" in data]
    figure(
        "parse a request and its digest credentials",
        _rate(
            lambda data: Credentials.parse(parse(data).headers.get("Authorization") or ""),
            answers,
            seconds,
        ),
    )


if __name__ == "__main__":
    main()
