"""URIs, name-addrs and Vias."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.sip.address import NameAddr
from labtool.sip.errors import ParseError, SipError
from labtool.sip.syntax import check_name_addr
from labtool.sip.uri import OtherUri, SipUri, escape_user, parse_uri, unescape
from labtool.sip.uri_syntax import check_uri, is_ipv6
from labtool.sip.via import Via

_URIS = [
    "sip:lab.example",
    "sips:bob@lab.example:5061;transport=tcp;lr",
    "sip:bob:secret@[2001:db8::1]:5070?Subject=hi&Priority=urgent",
    "sip:user;par=u%40example.net@example.com",
    "sip:1_odd~(a!b)&isn't+it$/crazy?,/;;*@example.com",
    "tel:+1-201-555-0123;phone-context=+1",
    "urn:service:sos",
    "soap.beep://192.0.2.103:3002",
]


@pytest.mark.parametrize("text", _URIS)
def test_a_uri_prints_as_it_was_written(text: str) -> None:
    assert str(parse_uri(text)) == text
    assert parse_uri(str(parse_uri(text))) == parse_uri(text)
    check_uri(text)


def test_the_parts_of_a_sip_uri_are_told_apart() -> None:
    uri = SipUri.parse("sip:b%6fb:pw@[2001:db8::1]:5070;LR;Transport=TCP?Subject=a%20b")
    assert (uri.user, uri.username, uri.password) == ("b%6fb", "bob", "pw")
    assert (uri.host, uri.port, uri.transport) == ("2001:db8::1", 5070, "tcp")
    assert uri.params == {"lr": None, "transport": "TCP"}
    assert uri.headers == (("Subject", "a%20b"),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bob",
        "bob@lab.example",
        "1sip:x",
        "sip:",
        "sip:@lab.example",
        "sip:bob@",
        "sip:bob@[2001:db8::1",
        "sip:bob@[2001:db8::1]x",
        "sip:bob@host:port",
        "sip:bob@host:65536",
        "sip:bob@host:" + "9" * 5000,
        "sip:2001:db8::10",
        "<sip:bob@host>",
        "sip:bob@host>;tag=1",
        "sip:bob@[host]",
        "sip:bob@ho[st",
    ],
)
def test_what_is_no_uri_is_a_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        parse_uri(text)
    with pytest.raises(ParseError):
        check_uri(text)


@pytest.mark.parametrize(
    "text",
    [
        "sip:bo b@host",
        "sip:bob@host ;lr",
        "sip:bob@ho st",
        "sip:bob@host;;lr",
        "sip:bob@host;a=1;A=2",
        "sip:bob@host;a=",
        "sip:bob@-.-",
        "sip:bob@1.2.3",
        "sip:bob@256.1.1.1",
        "sip:b%4@host",
        "sip:b%zz@host",
        "sip:bob@host?x",
        "sip:bob@[::g]",
        "sip:bob@[2001:db8:::10]",
        "sip:bøb@host",
        "http:a b",
        "x:",
    ],
)
def test_the_grammar_refuses_what_the_parser_may_take(text: str) -> None:
    with pytest.raises(ParseError):
        check_uri(text)


def test_an_ipv6_address_may_have_the_colon_of_the_old_grammar_before_ipv4_only() -> None:
    assert is_ipv6("2001:db8::192.0.2.1")
    assert is_ipv6("2001:db8:::192.0.2.1")
    assert not is_ipv6("2001:db8:::1")
    assert not is_ipv6("2001:db8::::192.0.2.1")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_any_text_can_be_a_user_and_comes_back(text: str) -> None:
    user = escape_user(text)
    assert unescape(user) == text
    uri = SipUri.parse(str(SipUri(user=user, host="lab.example")))
    assert uri.username == text
    check_uri(str(uri))


def test_what_is_no_text_cannot_be_a_user() -> None:
    with pytest.raises(SipError):
        escape_user("\ud800")


@given(st.text(max_size=60))
def test_no_text_raises_anything_but_a_parse_error(text: str) -> None:
    for parse in (parse_uri, NameAddr.parse, Via.parse, check_name_addr, check_uri):
        try:
            parse(text)  # type: ignore[operator]
        except ParseError:
            continue


_PIECES = st.sampled_from([*'"\\<>;=,: @?%[]*', "sip:", "a", "tag", "SIP/2.0/UDP ", "::1"])


@given(st.lists(_PIECES, max_size=14))
def test_what_is_parsed_of_any_pieces_is_printed_and_parsed_back(pieces: list[str]) -> None:
    text = "".join(pieces)
    for parse in (parse_uri, NameAddr.parse, Via.parse):
        try:
            value = parse(text)  # type: ignore[operator]
        except ParseError:
            continue
        assert parse(str(value)) == value  # type: ignore[operator]


@given(
    st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=20),
    st.dictionaries(
        st.sampled_from(["tag", "q", "+sip.instance", "ob"]),
        st.sampled_from([None, "1", '"<urn:uuid:1>;,\\""']),
    ),
)
def test_a_name_addr_prints_what_it_was_built_of(
    display: str, params: dict[str, str | None]
) -> None:
    built = NameAddr(display, SipUri("sip", "bob", "lab.example", params={"lr": None}), params)
    assert NameAddr.parse(str(built)) == built


def test_without_brackets_parameters_belong_to_the_header() -> None:
    bare = NameAddr.parse("sip:bob@lab.example;tag=1")
    assert bare.tag == "1"
    assert str(bare.uri) == "sip:bob@lab.example"
    inside = NameAddr.parse("<sip:bob@lab.example;tag=1>")
    assert inside.tag is None


def test_a_parameter_that_is_repeated_keeps_its_first_value() -> None:
    assert NameAddr.parse("<sip:bob@lab.example>;tag=1;TAG=2").tag == "1"


def test_brackets_in_a_quoted_parameter_are_no_brackets() -> None:
    contact = NameAddr.parse('sip:bob@lab.example;+sip.instance="<urn:uuid:1>"')
    assert contact.params == {"+sip.instance": '"<urn:uuid:1>"'}


@pytest.mark.parametrize(
    ("text", "display"),
    [
        ('"a \\"b\\" \\\\" <sip:x@y>', 'a "b" \\'),
        ("Ann Onymous<sip:x@y>", "Ann Onymous"),
        ('"<sip:fake@z>"<sip:x@y>', "<sip:fake@z>"),
        ("<sip:x@y>", ""),
    ],
)
def test_a_display_name_is_unquoted(text: str, display: str) -> None:
    value = NameAddr.parse(text)
    assert value.display == display
    assert str(value.uri) == "sip:x@y"


@pytest.mark.parametrize(
    "text",
    ["", "*", '"Bob <sip:x@y>', "Bob <sip:x@y", "<sip:x@y> x", '"Bob" sip:x@y', '"B" C <sip:x@y>'],
)
def test_what_is_no_name_addr_is_a_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        NameAddr.parse(text)


def test_a_via_is_read_with_the_spaces_the_grammar_allows() -> None:
    via = Via.parse(
        "SIP  / 2.0  / TCP     spindle.example.com  : 5070 ;\t branch  =   z9hG4bK9 ;rport"
    )
    assert via == Via("TCP", "spindle.example.com", 5070, {"branch": "z9hG4bK9", "rport": None})
    assert str(via) == "SIP/2.0/TCP spindle.example.com:5070;branch=z9hG4bK9;rport"
    assert via.wants_rport
    assert via.rport is None


def test_a_via_that_was_filled_in_tells_where_to_answer() -> None:
    via = Via.parse("SIP/2.0/UDP [2001:db8::9]:5060;received=[2001:db8::255];rport=4711")
    assert (via.host, via.port, via.received, via.rport) == (
        "2001:db8::9",
        5060,
        "2001:db8::255",
        4711,
    )
    assert via.with_param("received", "192.0.2.1").received == "192.0.2.1"
    assert via.received == "2001:db8::255"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0 UDP host",
        "UDP host",
        "SIP/2.0/UDP :5060",
        # It could not be written into the answer: once an error inside the transaction layer.
        "SIP/2.0/UDP host;branch=z9hG4bK\0",
        "SIP/2.0/UDP host\r;branch=z9hG4bK",
    ],
)
def test_what_is_no_via_is_a_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        Via.parse(text)


def test_values_are_immutable_and_hashable() -> None:
    via = Via.parse("SIP/2.0/UDP host;branch=1")
    with pytest.raises(AttributeError):
        via.host = "other"
    with pytest.raises(AttributeError):
        del via.host
    assert {via, Via.parse("SIP/2.0/UDP host;branch=1")} == {via}
    assert via.replace(host="other").host == "other"
    assert OtherUri("TEL", "1").equivalent(OtherUri("tel", "1"))
    assert not OtherUri("tel", "1").equivalent(SipUri(host="1"))
