"""Calls through the sandbox: routes, forks, CANCEL, what is answered when nobody is there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sandbox_lab import DOMAIN, Exchange, Lab, Phone

from labtool.sip.message import response_to
from labtool.sip.transaction import ServerTransaction

Make = Callable[..., Lab]


def busy(phone: Phone, status: int = 486) -> Callable[[ServerTransaction], object]:
    return lambda server: server.respond(phone.reply(server, status))


def accepting(phone: Phone) -> Callable[[ServerTransaction], object]:
    def accept(server: ServerTransaction) -> None:
        server.respond(phone.reply(server, 180))
        server.respond(phone.reply(server, 200))

    return accept


def registered(made: Lab, user: str = "bob", transport: str = "udp") -> Phone:
    phone = made.phone(user, transport)
    assert phone.register().status == 200
    return phone


TRANSPORTS = [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp"), ("tcp", "udp")]


@pytest.mark.parametrize(("caller", "callee"), TRANSPORTS)
def test_a_whole_call(caller: str, callee: str, lab: Make) -> None:
    made = lab()
    alice, bob = registered(made, "alice", caller), registered(made, "bob", callee)
    bob.on_invite = accepting(bob)
    call = alice.invite("bob")
    made.wait(lambda: call.final)
    assert call.told == [100, 180, 200]
    came = bob.of("INVITE")[0]
    assert came.headers.get("Max-Forwards") == "69"
    assert "Proxy-Authorization" not in came.headers
    # RFC 5658: a call between two transports passes the proxy by two routes.
    assert len(came.headers.all("Record-Route")) == (1 if caller == callee else 2)
    assert made.sandbox._proxy.pending == 0
    alice.layer.send(alice.within("ACK", call), alice.flow)
    made.wait(lambda: bob.of("ACK"))
    assert bob.of("ACK")[0].headers.all("Route") == []
    bye = alice.ask(alice.within("BYE", call), login=False)
    assert bye.final is not None
    assert bye.final.status == 200
    assert len(bob.of("BYE")) == 1


def test_the_callee_hangs_up_along_the_recorded_route(lab: Make) -> None:
    made = lab()
    alice, bob = registered(made, "alice", "tcp"), registered(made, "bob", "udp")
    bob.on_invite = accepting(bob)
    call = alice.invite("bob")
    made.wait(lambda: call.final)
    came = bob.of("INVITE")[0]
    bye = bob.build("BYE", str(came.contacts[0].uri), to=came.headers.get("From") or "")
    bye.headers.set("Call-ID", came.call_id)
    for route in came.headers.all("Record-Route"):
        bye.headers.add("Route", route)
    final = bob.ask(bye, login=False).final
    assert final is not None
    assert final.status == 200
    assert len(alice.of("BYE")) == 1


def test_an_invite_is_challenged_and_its_ack_is_not(lab: Make) -> None:
    made = lab()
    alice = made.phone("alice")
    first = alice.send(alice.build("INVITE", f"sip:bob@{DOMAIN}"))
    made.wait(lambda: first.final)
    assert first.statuses == [407]
    made.settle()
    assert made.sandbox._layer.counts[0] == 0


def test_a_call_to_somebody_who_is_not_there(lab: Make) -> None:
    made = lab()
    call = made.phone("alice").invite("nobody")
    made.wait(lambda: call.final)
    assert call.statuses[-1] == 404


@pytest.mark.parametrize("status", [486, 488, 302, 603])
def test_a_refusal_comes_back_as_it_is(status: int, lab: Make) -> None:
    made = lab()
    bob = registered(made)
    bob.on_invite = busy(bob, status)
    call = made.phone("alice").invite("bob")
    made.wait(lambda: call.final)
    assert call.told == [100, status]
    assert bob.of("ACK") == []  # its ACK came from the proxy's transaction, not end to end


def test_a_503_of_one_phone_is_not_one_of_the_server(lab: Make) -> None:
    made = lab()
    bob = registered(made)
    bob.on_invite = busy(bob, 503)
    call = made.phone("alice").invite("bob")
    made.wait(lambda: call.final)
    assert call.told == [100, 500]


def test_cancel_reaches_the_ringing_phone_and_487_comes_back(lab: Make) -> None:
    made = lab()
    bob = registered(made)
    call = made.phone("alice").invite("bob")
    made.wait(lambda: 180 in call.statuses)
    call.transaction.cancel()
    made.wait(lambda: call.final)
    assert call.statuses[-1] == 487
    assert len(bob.of("CANCEL")) == 1


def test_a_cancel_for_nothing_is_answered_481(lab: Make) -> None:
    made = lab()
    alice = made.phone("alice")
    final = alice.ask(alice.build("CANCEL", f"sip:bob@{DOMAIN}"), login=False).final
    assert final is not None
    assert final.status == 481


def test_all_devices_ring_and_who_answers_silences_the_others(lab: Make) -> None:
    made = lab()
    desk, mobile = registered(made, "bob"), registered(made, "bob", "tcp")
    call = made.phone("alice").invite("bob")
    made.wait(lambda: call.statuses.count(180) == 2)
    mobile.servers[-1].respond(mobile.reply(mobile.servers[-1], 200))
    made.wait(lambda: call.final and desk.of("CANCEL"))
    assert call.final is not None
    assert call.final.status == 200
    assert "completed elsewhere" in (desk.of("CANCEL")[0].headers.get("Reason") or "")
    assert mobile.of("CANCEL") == []
    made.wait(lambda: made.sandbox._proxy.pending == 0)
    assert call.statuses.count(200) == 1


def test_two_devices_that_answer_at_once_are_both_told_to_the_caller(lab: Make) -> None:
    """RFC 3261 section 16.7 step 5: each 2xx is a dialog that only the caller can end."""
    made = lab()
    desk, mobile = registered(made, "bob"), registered(made, "bob")
    alice = made.phone("alice")
    call = alice.invite("bob")
    made.wait(lambda: call.statuses.count(180) == 2)
    for phone in (desk, mobile):
        phone.servers[-1].respond(phone.reply(phone.servers[-1], 200))
    contacts = {str(phone.contact) for phone in (desk, mobile)}
    made.wait(lambda: contacts == answered_by(call))


def answered_by(call: Exchange) -> set[str]:
    return {str(each.contacts[0].uri) for each in call.responses if each.status == 200}


def test_one_busy_device_does_not_end_the_ringing_of_the_other(lab: Make) -> None:
    made = lab()
    desk, mobile = registered(made, "bob"), registered(made, "bob")
    desk.on_invite = busy(desk)
    call = made.phone("alice").invite("bob")
    made.wait(lambda: 180 in call.statuses)
    made.settle()
    assert call.final is None
    mobile.servers[-1].respond(mobile.reply(mobile.servers[-1], 480))
    made.wait(lambda: call.final)
    assert call.statuses[-1] in (480, 486)


def test_decline_at_one_device_ends_the_call_everywhere(lab: Make) -> None:
    made = lab()
    desk, mobile = registered(made, "bob"), registered(made, "bob")
    call = made.phone("alice").invite("bob")
    made.wait(lambda: call.statuses.count(180) == 2)
    desk.servers[-1].respond(desk.reply(desk.servers[-1], 603))
    made.wait(lambda: call.final)
    assert call.statuses[-1] == 603
    assert len(mobile.of("CANCEL")) == 1


def test_a_device_that_is_gone_is_480_and_does_not_disturb_another(lab: Make) -> None:
    made = lab()
    gone = made.phone("bob")
    gone.register(contact="<sip:bob@127.0.0.1:9>")
    call = made.phone("alice").invite("bob")
    made.wait(lambda: call.final)
    assert call.told == [100, 480]
    bob = registered(made)
    bob.on_invite = accepting(bob)
    second = made.phone("carol").invite("bob")
    made.wait(lambda: second.final)
    assert second.statuses[-1] == 200


def test_a_device_that_never_answers_is_408(lab: Make) -> None:
    made = lab()
    bob = registered(made)
    bob.layer.on_request = lambda *_: None
    bob.transports.events.on_message = lambda *_: None
    call = made.phone("alice").invite("bob")
    made.wait(lambda: call.final, 5)
    assert call.told == [100, 408]


def test_who_rings_too_long_is_given_up(lab: Make) -> None:
    made = lab(router__call_fork_timeout="1")
    bob = registered(made)
    call = made.phone("alice").invite("bob")
    made.wait(lambda: call.final, 5)
    assert call.told == [100, 180, 408]
    assert len(bob.of("CANCEL")) == 1


def test_messages_and_in_dialog_requests_pass(lab: Make) -> None:
    made = lab()
    bob = registered(made)
    alice = made.phone("alice")
    final = alice.ask(alice.build("MESSAGE", f"sip:bob@{DOMAIN}")).final
    assert final is not None
    assert final.status == 200
    assert len(bob.of("MESSAGE")) == 1


def test_options_to_the_server_is_answered_without_a_login(lab: Make) -> None:
    made = lab()
    alice = made.phone("alice")
    for uri in (f"sip:{made.sandbox.address()}", f"sip:{DOMAIN}", "sip:localhost"):
        final = alice.ask(alice.build("OPTIONS", uri), login=False).final
        assert final is not None
        assert final.status == 200
        assert "INVITE" in (final.headers.get("Allow") or "")


def test_options_to_a_user_reaches_the_phone(lab: Make) -> None:
    made = lab()
    bob = registered(made)
    alice = made.phone("alice")
    final = alice.ask(alice.build("OPTIONS", f"sip:bob@{DOMAIN}")).final
    assert final is not None
    assert final.status == 200
    assert len(bob.of("OPTIONS")) == 1


# -- what may not be forwarded --------------------------------------------------------------------


def answered(alice: Phone, method: str, uri: str, *headers: tuple[str, str]) -> Exchange:
    return alice.ask(alice.build(method, uri, *headers))


def test_max_forwards_0_is_483(lab: Make) -> None:
    alice = lab().phone("alice")
    final = answered(alice, "MESSAGE", f"sip:bob@{DOMAIN}", ("Max-Forwards", "0")).final
    assert final is not None
    assert final.status == 483


def test_an_own_address_that_is_no_domain_of_ours_is_a_loop(lab: Make) -> None:
    made = lab()
    alice = made.phone("alice")
    final = answered(alice, "MESSAGE", f"sip:bob@{made.sandbox.address()}").final
    assert final is not None
    assert final.status == 482


def test_a_request_that_has_been_here_is_a_loop(lab: Make) -> None:
    made = lab()
    alice = made.phone("alice")
    request = alice.build("MESSAGE", f"sip:bob@{DOMAIN}")
    request.headers.add("Via", f"SIP/2.0/UDP {made.sandbox.address()};branch=z9hG4bKold")
    exchange = alice.send(request)
    made.settle()
    # Its answer goes back through both hops; what matters is that nothing is forwarded.
    assert exchange.final is None or exchange.final.status == 482
    assert made.sandbox._proxy.pending == 0


def test_a_required_extension_that_is_not_known_is_420(lab: Make) -> None:
    alice = lab().phone("alice")
    final = answered(alice, "MESSAGE", f"sip:bob@{DOMAIN}", ("Proxy-Require", "teleport")).final
    assert final is not None
    assert (final.status, final.headers.get("Unsupported")) == (420, "teleport")


def test_a_name_that_would_have_to_be_resolved_is_503(lab: Make) -> None:
    alice = lab().phone("alice")
    final = answered(alice, "MESSAGE", "sip:bob@elsewhere.invalid").final
    assert final is not None
    assert (final.status, final.reason) == (503, "DNS Error")


def test_a_malformed_request_is_400_and_an_unknown_scheme_416(lab: Make) -> None:
    made = lab()
    alice = made.phone("alice")
    final = answered(alice, "MESSAGE", f"sip:bob@{DOMAIN}", ("Max-Forwards", "many")).final
    assert final is not None
    assert final.status == 400
    other = answered(alice, "MESSAGE", "gopher://elsewhere.example").final
    assert other is not None
    assert other.status == 416


# -- the way to a phone ---------------------------------------------------------------------------


def test_a_phone_behind_a_nat_is_reached_where_it_came_from(lab: Make) -> None:
    made = lab()
    bob = made.phone("bob")
    private = "192.168.77.7:5060"
    request = bob.build("REGISTER", f"sip:{DOMAIN}", ("Contact", f"<sip:bob@{private}>"))

    def send(message: object) -> Exchange:
        sent: Exchange = Exchange.__new__(Exchange)
        sent.request, sent.responses, sent.first, sent.trouble = request, [], None, []
        sent.transaction = bob.layer.request(
            message,  # type: ignore[arg-type]
            bob.flow,
            on_response=sent.responses.append,
            sent_by=private,
        )
        made.wait(lambda: sent.final)
        return sent

    challenge = send(request.copy()).final
    assert challenge is not None
    final = send(bob.authorised(request, challenge)).final
    assert final is not None
    assert final.status == 200
    call = made.phone("alice").invite("bob")
    made.wait(lambda: bob.of("INVITE"))
    assert bob.of("INVITE")[0].uri == f"sip:bob@{private}"
    bob.servers[-1].respond(
        response_to(
            bob.servers[-1].request,
            200,
            headers=[("Contact", f"<sip:bob@{private}>")],
        )
    )
    made.wait(lambda: call.final)
    assert call.final is not None
    assert str(call.final.contacts[0].uri) == f"sip:bob@{bob.flow.local}"


def test_a_phone_on_a_connection_is_reached_there_after_a_reinvite_too(lab: Make) -> None:
    """Its answer to a re-INVITE names its contact anew, as it sees itself."""
    made = lab()
    alice, bob = made.phone("alice"), made.phone("bob", "tcp")
    own = "<sip:bob@127.0.0.1:9;transport=tcp>"
    assert bob.register(contact=own).status == 200

    def accept(server: ServerTransaction) -> None:
        routes = server.request.headers.all("Record-Route")
        headers = [("Contact", own), *(("Record-Route", route) for route in routes)]
        server.respond(response_to(server.request, 200, to_tag="bobs", headers=headers))

    bob.on_invite = accept
    call = alice.invite("bob")
    made.wait(lambda: call.final)
    alice.layer.send(alice.within("ACK", call), alice.flow)
    again = alice.ask(alice.within("INVITE", call, ("Contact", f"<{alice.contact}>")))
    assert again.final is not None
    assert again.final.status == 200
    assert str(again.final.contacts[0].uri) == f"sip:bob@{bob.flow.local};transport=tcp"
    assert len(bob.of("INVITE")) == 2


def test_a_registered_path_is_followed(lab: Make) -> None:
    made = lab()
    edge = made.phone("edge")
    bob = made.phone("bob")
    path = f"<sip:{edge.flow.local};lr>"
    assert bob.register(("Path", path), contact="<sip:bob@192.0.2.9>").status == 200
    made.phone("alice").invite("bob")
    made.wait(lambda: edge.of("INVITE"))
    came = edge.of("INVITE")[0]
    assert came.uri == "sip:bob@192.0.2.9"
    assert came.headers.all("Route") == [path]


def test_a_strict_router_is_understood(lab: Make) -> None:
    made = lab()
    bob = registered(made)
    alice = made.phone("alice")
    request = alice.build("MESSAGE", f"sip:{made.sandbox.address()};lr", to=f"sip:bob@{DOMAIN}")
    request.headers.add("Route", f"<{bob.contact}>")
    final = alice.ask(request).final
    assert final is not None
    assert final.status == 200
    assert bob.of("MESSAGE")[0].uri == bob.contact


def test_a_large_request_tries_tcp_and_falls_back_to_udp(lab: Make) -> None:
    made = lab()
    bob = registered(made)
    alice = made.phone("alice", "tcp")
    request = alice.build("MESSAGE", f"sip:bob@{DOMAIN}", ("Subject", "x" * 2000))
    final = alice.ask(request).final
    assert final is not None
    assert final.status == 200
    assert bob.of("MESSAGE")[0].via.transport == "UDP"


def test_public_name_and_maddr_are_written_into_via_and_record_route(lab: Make) -> None:
    made = lab(global__transports="sip:203.0.113.5:5060;maddr=127.0.0.1")
    bob = registered(made)
    made.phone("alice").invite("bob")
    made.wait(lambda: bob.of("INVITE"))
    port = made.sandbox.address().port
    came = bob.of("INVITE")[0]
    assert (came.via.host, came.via.port) == ("203.0.113.5", port)
    assert came.headers.all("Record-Route") == [f"<sip:203.0.113.5:{port};lr>"]
