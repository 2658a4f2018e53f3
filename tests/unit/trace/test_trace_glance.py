"""The values that file a message."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labtool.sip.message import parse
from labtool.trace import glance as module
from labtool.trace.glance import Glance, glance, is_sip

PLAIN = (
    b"INVITE sip:bob@b.test SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP h:5060;branch=z9hG4bKx;rport\r\n"
    b'From: "A" <sip:alice@a.test;tag=not>;tag=f1\r\n'
    b"To: <sip:bob@b.test>\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"Call-ID: id@h\r\n"
    b"Content-Length: 0\r\n\r\n"
)
EXPECTED = Glance("INVITE", 0, "id@h", 7, "z9hG4bKx", "f1", "")


def test_a_request_is_filed_by_its_values() -> None:
    assert glance(PLAIN) == EXPECTED


def test_a_response_is_filed_under_the_method_that_it_answers() -> None:
    response = PLAIN.replace(b"INVITE sip:bob@b.test SIP/2.0", b"SIP/2.0 180 Ringing")
    response = response.replace(b"To: <sip:bob@b.test>", b"To: <sip:bob@b.test>;tag=t")
    assert glance(response) == Glance("INVITE", 180, "id@h", 7, "z9hG4bKx", "f1", "t")


@pytest.mark.parametrize(
    ("usual", "other"),
    [
        (b"Call-ID: ", b"i:"),
        (b"Call-ID: ", b"CALL-ID : "),
        (b"Via: ", b"v: "),
        (b"From: ", b"f:   "),
        (b"To: ", b"t:\r\n "),
        (b"CSeq: 7 INVITE", b"cseq:  7   INVITE"),
        (b";tag=f1", b" ; TAG = f1"),
        (b";branch=", b";received=1.2.3.4;Branch="),
        (b'"A" <', b'"A;tag=no\\">;tag=no" <'),
    ],
)
def test_every_spelling_is_filed_alike(usual: bytes, other: bytes) -> None:
    assert usual in PLAIN
    assert glance(PLAIN.replace(usual, other)) == EXPECTED


@settings(max_examples=1000)
@given(
    st.sampled_from([b"Via", b"v", b"VIA"]),
    st.sampled_from([b"From", b"f", b"FROM"]),
    st.text('abcXYZ0.-;="<>, @tagbranch', max_size=25),
    st.text('abcXYZ0.-;="<>, @tagbranch', max_size=25),
)
def test_the_quick_eye_never_differs_from_the_parser(
    via: bytes, sender: bytes, one: str, two: str
) -> None:
    data = PLAIN.replace(b"Via", via).replace(b"From", sender)
    data = data.replace(b";rport", one.encode()).replace(b'"A" ', two.encode())
    sliced = module._sliced(data[: data.find(b"\r\n\r\n") + 2].decode())
    if sliced is not None:
        assert sliced == module._parsed(data)


def test_a_body_lends_the_headers_nothing() -> None:
    data = PLAIN.replace(b"Call-ID: id@h\r\n", b"") + b"\r\nCall-ID: body\r\n"
    found = glance(data)
    assert found is not None
    assert found.call_id == ""


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"SIP/2.0",
        b"\x00\x01\x00\x08",
        b"HELLO there\r\n",
        b"sip:a SIP/2.0\r\n",
    ],
)
def test_what_is_no_sip_is_not_taken_for_it(data: bytes) -> None:
    assert not is_sip(data)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    glance(data)
    glance(b"SIP/2.0 200 OK\r\n" + data + b"\r\n\r\n")


@pytest.mark.parametrize("name", ["From", "To", "Record-Route"])
@pytest.mark.parametrize(
    "head",
    [
        "From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nRecord-Route: <sip:p;lr>, <sip:q;lr>",
        "f : <sip:a@h> \r\nTO:<sip:b@h>\r\nrecord-route: <sip:p;lr>\r\nRecord-Route:\t<sip:q;lr>",
        "From: <sip:a@h>\r\n ;tag=1\r\nt: <sip:b@h>\r\nFrom-Elsewhere: x\r\nTo",
        "From: <sip:a@h>\nTo: <sip:b@h>\r\nX: From: y",
    ],
)
def test_single_headers_are_what_the_parser_reads(head: str, name: str) -> None:
    data = f"INVITE sip:b@h SIP/2.0\r\n{head}\r\n\r\nFrom: body".encode()
    assert module.lines(data, name) == parse(data).headers.lines(name)
