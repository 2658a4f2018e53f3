"""What a server should make of a message."""

from __future__ import annotations

import re

import pytest
import sip_messages as messages
from hypothesis import given
from hypothesis import strategies as st

from labtool.sip.message import Message, Request, parse, response_to
from labtool.sip.validation import ANY, METHODS, Server, verdict


@pytest.mark.parametrize("data", [messages.CALL, messages.request(), messages.response()])
def test_sound_messages_are_fine(data: bytes) -> None:
    found = verdict(data)
    assert found.fine, found
    assert found.accept
    assert found.status is None


_REFUSED = {
    "two spaces in the request line": messages.request().replace(b" sip:bob", b"  sip:bob", 1),
    "a blank behind the request line": messages.request().replace(b"2.0\r\n", b"2.0 \r\n", 1),
    "a Request-URI in brackets": messages.request(uri="<sip:bob@lab.example>"),
    "a blank in the Request-URI": messages.request(uri="sip:bob@lab.example; lr"),
    "no scheme in the Request-URI": messages.request(uri="bob@lab.example"),
    "headers in the Request-URI": messages.request(uri="sip:bob@lab.example?Subject=x"),
    "IPv6 without brackets": messages.request(uri="sip:2001:db8::10"),
    "a line that is no header": messages.request("no colon here"),
    "a name that is no token": messages.request("Sub ject: x"),
    "bytes that are not UTF-8": messages.request("Subject: \udcff"),
    "bare line feeds": messages.request().replace(b"\r\n", b"\n"),
    "a body that is cut short": messages.request("Content-Length: 5") + b"abc",
    "a negative Content-Length": messages.request("Content-Length: -1"),
    "Content-Length in words": messages.request("Content-Length: ten"),
    "an empty parameter of Via": messages.request(top="Via: SIP/2.0/UDP h;;branch=z9hG4bK1"),
    "an empty value of Via": messages.request(top="Via: SIP/2.0/UDP h;branch=z9hG4bK1,"),
    "a Via without a host": messages.request(top="Via: SIP/2.0/UDP ;branch=z9hG4bK1"),
    "rport that is no port": messages.request(top="Via: SIP/2.0/UDP h;branch=z9hG4bK1;rport=99999"),
    "an open quote in From": messages.request(from_='From: "Ann <sip:a@b>;tag=1'),
    "a comma in a bare display name": messages.request(from_="From: A, B <sip:a@b>;tag=1"),
    "a blank within the brackets": messages.request(to="To: < sip:a@b>"),
    "a parameter twice": messages.request(from_="From: <sip:a@b>;tag=1;tag=2"),
    "a tag that is no token": messages.request(from_="From: <sip:a@b>;tag=(1)"),
    "a bare control character": messages.request(to='To: "a\x07b" <sip:a@b>'),
    "a Contact that needs brackets": messages.request("Contact: sip:a@b?Subject=x"),
    "an empty Contact": messages.request("Contact: <sip:a@b>,, <sip:c@d>"),
    "expires of a Contact too large": messages.request("Contact: <sip:a@b>;expires=4294967296"),
    "q above 1": messages.request("Contact: <sip:a@b>;q=1.001"),
    "a Route without brackets": messages.request("Route: sip:a@b;lr"),
    "Max-Forwards above 255": messages.request().replace(b": 70", b": 256"),
    "Expires too large": messages.request("Expires: 4294967296"),
    "CSeq of 2**31": messages.request().replace(b"CSeq: 7", b"CSeq: 2147483648"),
    "CSeq without a method": messages.request().replace(b"CSeq: 7 OPTIONS", b"CSeq: 7"),
    "CSeq of another method": messages.request().replace(b"CSeq: 7 OPTIONS", b"CSeq: 7 BYE"),
    "a Call-ID with a blank": messages.request().replace(b"Call-ID: 81", b"Call-ID: 8 1"),
    "a date that is not GMT": messages.request("Date: Fri, 01 Jan 2010 16:00:00 CET"),
    "a date that is none": messages.request("Date: tomorrow"),
    "a Warning of four digits": messages.request('Warning: 1399 lab "text"'),
    "a Content-Type without a slash": messages.request("Content-Type: sdp"),
    "an empty Require": messages.request("Require: a,,b"),
    "an Authorization without values": messages.request("Authorization: Digest realm"),
    "a control character in a header of any name": messages.request("X-Odd: a\x01b"),
    "a NUL in a header": messages.request("Subject: a\0b"),
    "a blank of another script": messages.request().replace(b"CSeq: 7 ", "CSeq: 7\u00a0".encode()),
    "digits of another script": messages.request("Expires: \u0661"),
    "a display name that needs quotes": messages.request(from_="From: J\u00f6rg <sip:a@b>;tag=1"),
    "a host with a hyphen at its end": messages.request(uri="sip:bob@lab-.example"),
    "a telephone number with half an escape": messages.request(uri="tel:+1%2"),
    "a Content-Type's parameter without value": messages.request("c: text/plain;charset"),
    "a comment that does not end": messages.request("Retry-After: 5 (x"),
    "something behind a comment": messages.request("Retry-After: 5 (x) y"),
    "a Timestamp in words": messages.request("Timestamp: now"),
    "a MIME-Version in words": messages.request("MIME-Version: one"),
    "a Priority of two words": messages.request("Priority: very urgent"),
    "an RSeq that is no number": messages.request("RSeq: x"),
    "an RAck of two words": messages.request("RAck: 1 INVITE"),
    "an In-Reply-To with a blank": messages.request("In-Reply-To: a b"),
    "a Replaces of no call": messages.request("Replaces: ;to-tag=1"),
    "an authorization that is empty": messages.request("Authorization:"),
}


@pytest.mark.parametrize("name", _REFUSED)
def test_what_the_grammar_forbids_is_answered_with_400(name: str) -> None:
    found = verdict(_REFUSED[name])
    assert (found.accept, found.status) == (False, 400), found


_ANSWERED = {
    "Content-Length twice": (messages.request("l: 0", "l: 0"), 400),
    "To twice": (messages.request("t: <sip:a@b>"), 400),
    "no Call-ID": (messages.request().replace(b"Call-ID", b"X-Call-ID"), 400),
    "no From": (messages.request().replace(b"From", b"X-From"), 400),
    "a branch without an identifier": (
        messages.request(top="Via: SIP/2.0/UDP h;branch=z9hG4bK"),
        400,
    ),
    "a REGISTER for a telephone number": (
        messages.request(method="REGISTER", to="To: <tel:+123>"),
        400,
    ),
    "a star beside another contact": (
        messages.request("m: *", "m: <sip:a@b>", "Expires: 0", method="REGISTER"),
        400,
    ),
    "a star that does not expire": (
        messages.request("m: *", "Expires: 10", method="REGISTER"),
        400,
    ),
    "a star without Expires": (messages.request("m: *", method="REGISTER"), 400),
    "an unknown scheme": (messages.request(uri="soap.beep://192.0.2.103:3002"), 416),
    "no hops left": (messages.request().replace(b": 70", b": 0"), 483),
    "an unknown extension": (messages.request("Require: x1, x2"), 420),
    "an unknown extension for proxies": (messages.request("Proxy-Require: x1, x2"), 420),
    "an unknown body": (messages.request("Content-Type: text/x-odd", body=b"x"), 415),
    "an encoded body": (
        messages.request("Content-Type: text/plain", "e: gzip", body=b"x"),
        415,
    ),
    "a body of no type": (messages.request(body=b"x"), 400),
    "an INVITE that takes no SDP": (messages.request("Accept: text/plain", method="INVITE"), 406),
    "an unknown authorization": (messages.request("Authorization: Odd x=y"), 401),
    "an unknown authorization for proxies": (
        messages.request("Proxy-Authorization: Odd x=y"),
        407,
    ),
}


@pytest.mark.parametrize("name", _ANSWERED)
def test_what_is_well_formed_and_yet_wrong_gets_its_status(name: str) -> None:
    data, status = _ANSWERED[name]
    found = verdict(data)
    assert (found.accept, found.status) == (True, status), found


_TAKEN = {
    "a star that takes all away": messages.request("m: *", "Expires: 0", method="REGISTER"),
    "RFC 2543's Via, From and no Max-Forwards": messages.wire(
        "INVITE sip:b@lab.example SIP/2.0",
        "Via: SIP/2.0/UDP gw.example",
        "From: <sip:+13035551111@gw.example;user=phone>",
        "To: sip:+16505552222@lab.example;user=phone",
        "Call-ID: 1717@gw.example",
        "CSeq: 56 INVITE",
    ),
    "an unknown method": messages.request(method="!odd-%Method'~"),
    "a handled body that is optional": messages.request(
        "Content-Type: text/x-odd", "Content-Disposition: render; handling=optional", body=b"x"
    ),
    "a multipart body": messages.request("c: multipart/mixed;boundary=x", body=b"x"),
    "Accept with a range": messages.request("Accept: application/*;q=0.3", method="INVITE"),
    "zeros before a number": messages.request().replace(b": 70", b": 0000000000000000070"),
    "a datagram without its empty line": messages.request()[:-2],
    "a backslash before a control character": messages.request(to='To: "a\\\x07b" <sip:a@b>'),
    "quoted text of another script": messages.request(
        from_='From: "J\u00f6rg" <sip:a@b>;x="\u4f60";tag=1', method="OPTIONS"
    ),
    "comments within a comment": messages.request("Retry-After: 5 (a;b \\) (c)) ;duration=9"),
    "a comment of another script": messages.request("Retry-After: 5 (\u4f60)"),
    "a tab behind the scheme": messages.request('Authorization: Digest\tusername="a"'),
    "a host that begins with a digit": messages.request(uri="sip:bob@3com.1.example."),
    "what phones write into Alert-Info": messages.request("Alert-Info: info=alert-autoanswer"),
    "Timestamp, RAck, RSeq and their like": messages.request(
        *("Timestamp: 54.2 0.1", "RAck: 1 2 INVITE", "RSeq: 9", "MIME-Version: 1.0"),
        *("Priority: emergency", "In-Reply-To: a@b, c", "Replaces: a@b;to-tag=1;from-tag=2"),
    ),
}


@pytest.mark.parametrize("name", _TAKEN)
def test_what_is_odd_and_yet_right_is_fine(name: str) -> None:
    assert verdict(_TAKEN[name]).fine, verdict(_TAKEN[name])


_SDP = b"v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"


def described(length: int, body: bytes = _SDP, kind: str = "application/sdp") -> bytes:
    return messages.request(f"c: {kind}", f"l: {length}", method="INVITE") + body


@pytest.mark.parametrize(
    ("data", "accept"),
    [
        (described(len(_SDP) + 17), True),
        (described(9999), False),
        (described(len(_SDP), _SDP[:-9]), False),
        (described(len(_SDP), _SDP[:-2]), False),
        (described(len(_SDP), b""), False),
        (described(len(_SDP) + 1, kind="text/plain"), False),
        (described(len(_SDP) + 1).replace(b"CSeq: 7 INVITE", b"CSeq: 7 BYE"), False),
    ],
)
def test_a_length_that_was_counted_wrong_is_400_but_not_malformed(
    data: bytes, accept: bool
) -> None:
    found = verdict(data)
    assert (found.accept, found.status) == (accept, 400), found


def test_another_version_is_answered_with_505() -> None:
    found = verdict(messages.request().replace(b" SIP/2.0", b" SIP/7.0", 1))
    assert (found.accept, found.status) == (False, 505)


def test_an_unknown_method_that_cseq_contradicts_is_501() -> None:
    data = messages.request(method="NEWMETHOD").replace(b"CSeq: 7 NEWMETHOD", b"CSeq: 7 INVITE")
    found = verdict(data)
    assert (found.accept, found.status) == (False, 501)


@pytest.mark.parametrize("name", [*_REFUSED, *_ANSWERED])
def test_an_ack_is_never_answered(name: str) -> None:
    data = _REFUSED.get(name) or _ANSWERED[name][0]
    found = verdict(re.sub(b"OPTIONS|INVITE|REGISTER", b"ACK", data))
    assert found.status is None


def test_a_request_without_via_is_dropped() -> None:
    found = verdict(messages.request().replace(b"Via", b"X-Via"))
    assert (found.drop, found.status) == (True, None)


@pytest.mark.parametrize(
    "data",
    [
        b"rubbish",
        b"SIP/2.0 4294967301 too much\r\n\r\n",
        messages.response(status="999 Odd"),
        messages.response(status="200 \udcff"),
        messages.response().replace(b"SIP/2.0 200", b"SIP/3.0 200"),
        messages.response("Retry-After: 949302838503028349304023988"),
        messages.response("Call-ID: other"),
        messages.response().replace(b"CSeq", b"X-CSeq"),
        messages.response(top=f"{messages.TOP}\r\nVia: SIP/2.0/UDP 255.255.255.255"),
        messages.response(top=f"{messages.TOP}, SIP/2.0/UDP h;received=224.0.1.75"),
        messages.response(top=f"{messages.TOP}, SIP/2.0/UDP [ff02::1]"),
    ],
)
def test_a_response_that_is_wrong_is_dropped(data: bytes) -> None:
    found = verdict(data)
    assert (found.drop, found.status, found.fine) == (True, None, False)


def test_an_endpoint_drops_a_response_that_is_for_somebody_else() -> None:
    two = messages.response(top=f"{messages.TOP}, SIP/2.0/UDP other.example")
    assert verdict(two).fine
    assert verdict(two, Server(role="endpoint")).drop
    own = frozenset({("phone.lab.example", 5062)})
    assert verdict(messages.response(), Server(own=own)).fine
    assert verdict(messages.response(), Server(own=frozenset({("x", 5062)}))).drop


def test_a_request_that_has_been_here_before_is_a_loop() -> None:
    own = Server(own=frozenset({("edge.lab.example", 5061)}))
    assert verdict(messages.FOLDED.replace(b"?Subject=hi%20you", b""), own).status == 482
    assert verdict(messages.CALL, own).fine


def test_a_method_that_is_not_served_is_405_and_an_unknown_one_501() -> None:
    server = Server(methods=frozenset({"INVITE", "ACK"}))
    found = verdict(messages.request(), server)
    assert found.status == 405
    assert found.headers == (("Allow", "ACK, INVITE"),)
    assert verdict(messages.request(method="NEWMETHOD"), server).status == 501
    assert verdict(messages.CALL, server).fine
    assert {"INVITE", "REGISTER"} <= METHODS


def test_a_role_is_held_to_its_own_rules() -> None:
    hops = messages.request().replace(b": 70", b": 0")
    assert verdict(hops, Server(role="endpoint")).fine
    assert verdict(hops, Server(role="proxy")).status == 483
    require = messages.request("Require: x1")
    assert verdict(require, Server(role="proxy")).fine
    found = verdict(require, Server(role="endpoint"))
    assert (found.status, found.headers) == (420, (("Unsupported", "x1"),))
    assert verdict(require, Server(extensions=frozenset({"x1"}))).fine
    assert verdict(messages.request("c: x/y", body=b"x"), Server(role="proxy")).fine
    assert verdict(messages.request(uri="im:ann@b"), Server(schemes=frozenset({"im"}))).fine


def test_our_own_responses_are_fine() -> None:
    request = parse(messages.CALL)
    assert isinstance(request, Request)
    for status in (100, 180, 200, 401, 486, 603):
        assert verdict(response_to(request, status)).fine


@given(
    st.sampled_from([*messages.ALL, *_REFUSED.values(), *_TAKEN.values()]),
    st.lists(
        st.tuples(
            st.integers(0, 600),
            st.integers(0, 9),
            st.sampled_from(
                [
                    b"",
                    b"\r\n",
                    b",",
                    b";",
                    b'"',
                    b"<",
                    b">",
                    b"\\",
                    b"\0",
                    b"0" * 5000,
                    b":",
                    b"[",
                    b"%",
                ]
            )
            | st.binary(max_size=4),
        ),
        max_size=4,
    ),
)
def test_no_message_raises_anything(data: bytes, cuts: list[tuple[int, int, bytes]]) -> None:
    for at, size, put in cuts:
        data = data[:at] + put + data[at + size :]
    found = verdict(data, ANY)
    assert found.reason
    assert found.status is None or 400 <= found.status < 600
    if found.fine:  # then its parts can be relied on
        message = parse(data)
        assert isinstance(message, Message)
        _ = (message.via, message.from_, message.to, message.cseq, message.call_id)
        _ = message.contacts
        assert verdict(message.to_bytes()).fine
