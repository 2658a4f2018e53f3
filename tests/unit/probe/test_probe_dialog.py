from __future__ import annotations

import pytest

from labtool.probe.dialog import Dialog
from labtool.sip.errors import ParseError
from labtool.sip.message import Request, Response, response_to

INVITE = Request(
    "INVITE",
    "sip:bob@example.test",
    [
        ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx"),
        ("From", "<sip:alice@example.test>;tag=a"),
        ("To", "<sip:bob@example.test>"),
        ("Call-ID", "call"),
        ("CSeq", "7 INVITE"),
        ("Contact", "<sip:alice@192.0.2.1:5060>"),
        ("Record-Route", "<sip:outer.example.test;lr>, <sip:inner.example.test;lr>"),
    ],
)


def answer(*routes: str, contact: str | None = "<sip:bob@192.0.2.2:5070>") -> Response:
    headers = [("Record-Route", route) for route in routes]
    if contact:
        headers.append(("Contact", contact))
    return response_to(INVITE, 200, to_tag="b", headers=headers)


def test_the_caller_goes_through_the_proxies_from_its_own_side() -> None:
    dialog = Dialog.of_caller(INVITE, answer("<sip:far.example.test;lr>", "<sip:near.test;lr>"))
    ack = dialog.request("ACK")
    assert ack.uri == "sip:bob@192.0.2.2:5070"
    assert ack.headers.all("Route") == ["<sip:near.test;lr>", "<sip:far.example.test;lr>"]
    assert ack.cseq == (7, "ACK")
    assert (ack.from_.tag, ack.to.tag) == ("a", "b")
    assert str(dialog.next_hop) == "sip:near.test;lr"
    assert dialog.next().request("BYE").cseq == (8, "BYE")


def test_the_callee_goes_through_the_proxies_as_they_stand_in_the_invite() -> None:
    dialog = Dialog.of_callee(INVITE, answer(), "<sip:bob@192.0.2.2:5070>")
    bye = dialog.next().request("BYE")
    assert bye.uri == "sip:alice@192.0.2.1:5060"
    assert bye.headers.all("Route") == [
        "<sip:outer.example.test;lr>",
        "<sip:inner.example.test;lr>",
    ]
    assert (bye.from_.tag, bye.to.tag) == ("b", "a")


def test_a_strict_router_gets_itself_as_the_request_uri() -> None:
    """RFC 3261 section 12.2.1.1."""
    dialog = Dialog.of_caller(INVITE, answer("<sip:loose.test;lr>", "<sip:strict.test>"))
    bye = dialog.request("BYE")
    assert bye.uri == "sip:strict.test"
    assert bye.headers.all("Route") == ["<sip:loose.test;lr>", "<sip:bob@192.0.2.2:5070>"]
    assert str(dialog.next_hop) == "sip:strict.test"


def test_without_a_route_it_goes_to_the_contact() -> None:
    dialog = Dialog.of_caller(INVITE, answer())
    assert dialog.request("BYE").headers.all("Route") == []
    assert str(dialog.next_hop) == "sip:bob@192.0.2.2:5070"


def test_without_a_contact_it_goes_to_the_address_that_was_called() -> None:
    assert Dialog.of_caller(INVITE, answer(contact=None)).target == "sip:bob@example.test"


def test_an_answer_without_a_to_makes_no_dialog() -> None:
    broken = answer()
    broken.headers.remove("To")
    with pytest.raises(ParseError):
        Dialog.of_caller(INVITE, broken)
