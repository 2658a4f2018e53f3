"""Parsing, building and printing messages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sip_messages as messages
from hypothesis import given
from hypothesis import strategies as st

from labtool.sip.errors import ParseError, SipError
from labtool.sip.headers import COMPACT, LISTS, SINGLE
from labtool.sip.message import Headers, Request, Response, parse, response_to
from labtool.sip.uri import OtherUri, SipUri


@pytest.mark.parametrize("data", messages.ALL)
def test_what_is_printed_is_parsed_back(data: bytes) -> None:
    message = parse(data)
    again = parse(message.to_bytes())
    if "Content-Length" not in message.headers:  # printing adds it
        again.headers.remove("Content-Length")
    assert again == message
    assert again.defects == ()


def test_folded_and_compact_headers_are_one_line_under_their_full_names() -> None:
    message = parse(messages.FOLDED)
    assert isinstance(message, Request)
    assert message.headers.get("FROM") == '"Folded \\\\ name" <sip:%61nn@lab.example> ;tag=zz'
    assert message.from_.display == "Folded \\ name"
    assert message.from_.tag == "zz"
    assert message.cseq == (12, "INVITE")
    assert message.headers.get("Subject") == ""
    assert message.headers.get("x-odd") == ';;,,";'
    assert [name for name, _ in message.headers][:2] == ["Via", "From"]


def test_values_that_share_a_line_are_told_apart() -> None:
    message = parse(messages.FOLDED)
    assert len(message.headers.all("Via")) == 2
    assert (message.via.transport, message.via.host, message.via.port) == (
        "TLS",
        "edge.lab.example",
        5061,
    )
    assert parse(messages.CALL).headers.all("route")[1] == "<sip:[2001:db8::5]:5070;lr>"


def test_uris_of_any_scheme_are_kept() -> None:
    uri = parse(messages.FOLDED).to.uri
    assert isinstance(uri, OtherUri)
    assert str(uri) == "tel:+358-555-1234567"


def test_a_binary_body_is_kept_byte_for_byte() -> None:
    assert parse(messages.BINARY).body == bytes(range(256))


def test_bytes_that_are_not_utf8_survive_a_round_trip() -> None:
    assert b"X-Raw: \xff\x80\r\n" in parse(messages.UNICODE).to_bytes()


def test_octets_behind_the_body_of_a_datagram_are_left_out() -> None:
    assert parse(messages.request("Content-Length: 3") + b"abcdef").body == b"abc"


def test_a_body_without_content_length_reaches_to_the_end_of_the_datagram() -> None:
    assert parse(messages.request() + b"abc").body == b"abc"


def test_a_body_cut_short_is_given_and_noted() -> None:
    message = parse(messages.request("Content-Length: 9") + b"abc")
    assert message.body == b"abc"
    assert message.defects == ("the body is 6 bytes short of its Content-Length",)


def test_line_ends_before_the_start_line_are_skipped() -> None:
    assert parse(b"\r\n\r\n" + messages.CALL) == parse(messages.CALL)


@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_odd_line_ends_are_understood_and_noted(end: bytes) -> None:
    message = parse(messages.CALL.replace(b"\r\n", end))
    assert message.headers == parse(messages.CALL).headers
    assert message.defects


def test_no_lone_line_end_survives_within_a_value() -> None:
    message = parse(messages.request("X-One: a\rX-Two: b", "X-Three: c\nX-Four: d"))
    assert message.headers.get("X-Two") == "b"
    assert message.headers.get("X-Four") == "d"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"SIP/2.0 20 OK\r\n\r\n",
        b"SIP/2.0 2000 OK\r\n\r\n",
        "SIP/2.0 ²00 OK\r\n\r\n".encode(),
        b"INVITE SIP/2.0\r\n\r\n",
    ],
)
def test_what_is_no_message_is_a_parse_error(data: bytes) -> None:
    with pytest.raises(ParseError):
        parse(data)


@pytest.mark.parametrize("name", ["call_id", "cseq", "via", "from_", "to"])
def test_a_missing_header_is_a_parse_error_when_it_is_asked_for(name: str) -> None:
    message = parse(messages.wire("OPTIONS sip:a SIP/2.0", "X: y"))
    with pytest.raises(ParseError):
        getattr(message, name)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_parse_error(data: bytes) -> None:
    _read_everything(data)


@given(
    st.sampled_from(messages.ALL),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 12), st.binary(max_size=6)), max_size=4),
)
def test_no_damage_raises_anything_but_a_parse_error(
    data: bytes, cuts: list[tuple[int, int, bytes]]
) -> None:
    for at, size, put in cuts:
        data = data[:at] + put + data[at + size :]
    _read_everything(data)


def _read_everything(data: bytes) -> None:
    try:
        message = parse(data)
    except ParseError:
        return
    for name in ("call_id", "cseq", "via", "from_", "to", "contacts"):
        try:
            getattr(message, name)
        except ParseError:
            continue
    for name in ("Via", "Route", "Accept", "X-Odd"):
        message.headers.all(name)
        message.headers.get(name)
    again = parse(message.to_bytes())
    # The same headers come back whatever came: nothing a peer sends turns into another header.
    assert [x for x in again.headers if x[0] != "Content-Length"] == [
        x for x in message.headers if x[0] != "Content-Length"
    ]
    assert again.body == message.body
    if isinstance(message, Request):
        assert isinstance(again, Request)
        assert (again.method, again.uri) == (message.method, message.uri)


_INJECTIONS = ["a\r\nX: y", "a\nX: y", "a\rX: y", "a\0"]


@pytest.mark.parametrize("text", _INJECTIONS)
def test_a_value_cannot_become_another_header(text: str) -> None:
    headers = Headers()
    for put in (headers.add, headers.set, headers.insert):
        with pytest.raises(SipError):
            put("Subject", text)
        with pytest.raises(SipError):
            put(text, "value")
    with pytest.raises(SipError):
        Headers([("Subject", text)])
    with pytest.raises(SipError):
        Request("OPTIONS", f"sip:{text}")
    with pytest.raises(SipError):
        Request(text, "sip:a")
    with pytest.raises(SipError):
        Response(200, text)
    assert len(headers) == 0


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=20))
def test_building_gives_the_headers_that_were_asked_for_or_refuses(
    name: str, value: str, reason: str
) -> None:
    try:
        built = Response(200, reason, [("Call-ID", "1"), (name, value)], b"body")
        data = built.to_bytes()
    except SipError:
        return
    again = parse(data)
    assert len(again.headers) == (2 if "Content-Length" in built.headers else 3)
    assert again.body == b"body"
    assert again.headers.get("Call-ID") == "1"


def test_a_request_line_cannot_hold_a_second_word() -> None:
    with pytest.raises(SipError):
        Request("OPTIONS", "sip:a SIP/2.0")
    with pytest.raises(SipError):
        Request("OPT IONS", "sip:a")


def test_content_length_is_always_that_of_the_body() -> None:
    request = Request("MESSAGE", "sip:a", [("l", "99"), ("Content-Length", "1")], b"four")
    assert request.to_bytes() == b"MESSAGE sip:a SIP/2.0\r\nContent-Length: 4\r\n\r\nfour"


def test_names_are_printed_in_their_usual_case() -> None:
    headers = Headers([("via", "x"), ("CALL-ID", "1"), ("cseq", "1 A"), ("www-authenticate", "D")])
    headers.add("x-Own-Name", "kept")
    names = [name for name, _ in headers]
    assert names == ["Via", "Call-ID", "CSeq", "WWW-Authenticate", "x-Own-Name"]


@pytest.mark.parametrize(("short", "name"), COMPACT.items())
def test_a_compact_form_is_its_full_name(short: str, name: str) -> None:
    assert parse(messages.request(f"{short}: value")).headers.lines(name)[-1] == "value"


def test_no_header_is_both_a_list_and_single() -> None:
    assert not LISTS & SINGLE


def test_headers_are_changed_in_place() -> None:
    headers = Headers([("Via", "a, b"), ("To", "x"), ("Via", "c"), ("Subject", "s, t")])
    headers.insert("Via", "new")
    headers.insert("Record-Route", "<sip:r;lr>")
    assert [name for name, _ in headers][:3] == ["Record-Route", "Via", "Via"]
    assert headers.all("Via") == ["new", "a", "b", "c"]
    assert headers.remove_first("via") == "new"
    assert headers.remove_first("via") == "a"
    assert headers.all("v") == ["b", "c"]
    assert headers.get("Subject") == "s, t"
    headers.set("Via", "only")
    assert headers.all("Via") == ["only"]
    headers.remove("VIA")
    assert "Via" not in headers
    assert headers.remove_first("Via") is None
    assert headers.get("Via", "none") == "none"


def test_the_first_value_is_replaced_and_the_others_of_its_line_stay() -> None:
    headers = Headers([("To", "x"), ("Via", "a, b"), ("Via", "c")])
    headers.replace_first("v", "new")
    assert list(headers) == [("To", "x"), ("Via", "new"), ("Via", "b"), ("Via", "c")]
    headers.replace_first("To", "y, z")
    headers.replace_first("Route", "<sip:r;lr>")
    assert list(headers)[:2] == [("Route", "<sip:r;lr>"), ("To", "y, z")]
    with pytest.raises(SipError, match="CR, LF or NUL"):
        headers.replace_first("Via", "a\r\nEvil: yes")


def test_a_copy_does_not_share_its_headers() -> None:
    message = parse(messages.CALL)
    copy = message.copy()
    copy.headers.remove("Via")
    assert "Via" in message.headers
    assert copy != message


def test_a_response_holds_what_matches_it_to_its_request() -> None:
    request = parse(messages.FOLDED)
    assert isinstance(request, Request)
    response = response_to(request, 404, to_tag="t9", headers=[("Server", "lab")])
    assert response.reason == "Not Found"
    assert response.headers.all("Via") == request.headers.all("Via")
    assert response.headers.get("From") == request.headers.get("From")
    assert (response.call_id, response.cseq) == (request.call_id, request.cseq)
    assert response.to.tag == "t9"
    assert response.headers.get("Server") == "lab"


def test_a_final_response_always_has_a_to_tag_and_a_100_has_none() -> None:
    request = parse(messages.request("Timestamp: 54"))
    assert isinstance(request, Request)
    assert response_to(request, 200).to.tag
    trying = response_to(request, 100)
    assert trying.to.tag is None
    assert trying.headers.get("Timestamp") == "54"


def test_the_to_tag_of_a_dialog_is_left_alone() -> None:
    request = parse(messages.request(to="To: <sip:b@lab.example>;tag=mine"))
    assert isinstance(request, Request)
    response = response_to(request, 200, to_tag="other")
    assert response.headers.get("To") == "<sip:b@lab.example>;tag=mine"


def test_even_a_request_with_a_broken_to_can_be_answered() -> None:
    request = parse(messages.request(to='To: "Bob <sip:b@lab.example>'))
    assert isinstance(request, Request)
    assert response_to(request, 400).headers.get("To", "").startswith('"Bob <sip:b@lab.example>')


def test_a_sip_uri_compares_by_rfc_3261_section_19_1_4() -> None:
    def same(one: str, other: str) -> bool:
        return SipUri.parse(one).equivalent(SipUri.parse(other))

    assert same("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp")
    assert same("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5")
    assert same("sip:b@x.com;a=1?Subject=p&Priority=u", "sip:b@x.com?priority=u&subject=p")
    assert not same("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP")
    assert not same("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060")
    assert not same("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp")
    assert not same("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off")
    assert not same("sip:carol@chicago.com", "sips:carol@chicago.com")


def test_importing_the_message_layer_brings_in_nothing_slow(project: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(project)!r}); import labtool.sip.message; "
        "print(*sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    slow = {"re", "typing", "dataclasses", "enum", "asyncio", "socket", "hashlib", "inspect"}
    assert not slow & set(run.stdout.split())
