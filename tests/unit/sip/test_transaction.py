"""The four transaction machines on a clock that the test moves (RFC 3261 section 17, RFC 6026)."""

from __future__ import annotations

from typing import Any

import pytest

from labtool.sip.flow import Address, Events, Flow
from labtool.sip.loop import Loop, ManualClock
from labtool.sip.message import Request, Response, parse, response_to
from labtool.sip.transaction import ServerTransaction, TransactionLayer

HERE, THERE = Address("192.0.2.1", 5060), Address("192.0.2.2", 40000)


class Line(Flow):
    """A flow that only notes what is sent on it, with the time."""

    def __init__(self, loop: Loop, transport: str, remote: Address = THERE) -> None:
        self.transport, self.local, self.remote = transport, HERE, remote
        self.sent: list[tuple[float, Any]] = []
        self._loop = loop
        self._start = loop.now()
        self.up = True

    @property
    def alive(self) -> bool:
        return self.up

    def send(self, data: bytes) -> None:
        self.sent.append((self._loop.now() - self._start, parse(data)))

    @property
    def times(self) -> list[float]:
        return [round(when, 3) for when, _ in self.sent]

    @property
    def methods(self) -> list[str]:
        return [message.method for _, message in self.sent]

    @property
    def statuses(self) -> list[int]:
        return [message.status for _, message in self.sent]


class Stub:
    """Stands for the sockets: gives out lines."""

    def __init__(self, loop: Loop) -> None:
        self.events = Events(lambda *_: None)
        self.loop = loop
        self.made: list[Line] = []

    def flow(self, transport: str, remote: Address, **_: object) -> Line:
        self.made.append(Line(self.loop, transport, remote))
        return self.made[-1]


class Bench:
    """A transaction layer with both its ends in hand."""

    def __init__(self, transport: str) -> None:
        self.loop = Loop(clock=ManualClock())
        self.stub = Stub(self.loop)
        self.layer = TransactionLayer(self.loop, self.stub)  # type: ignore[arg-type]
        self.line = Line(self.loop, transport)
        self.said: list[Any] = []
        self.served: list[tuple[ServerTransaction | None, Request]] = []
        self.layer.on_request = lambda server, request, _flow: self.served.append((server, request))

    def ask(self, method: str) -> Any:
        return self.layer.request(
            message(method),
            self.line,
            on_response=lambda response: self.said.append(response.status),
            on_timeout=lambda: self.said.append("timeout"),
            on_error=lambda error: self.said.append(error),
        )

    def hear(self, message: Request | Response) -> None:
        parsed = parse(message.to_bytes())
        self.layer.received(parsed, self.line)

    def answer(self, status: int, *, tag: str = "callee") -> None:
        """An answer to the first request that was sent."""
        self.hear(response_to(self.line.sent[0][1], status, to_tag=tag))


def message(method: str, *, via: str = "", to_tag: str = "", call_id: str = "c1") -> Request:
    headers = [
        ("Max-Forwards", "70"),
        ("From", "<sip:a@lab.example>;tag=caller"),
        ("To", "<sip:b@lab.example>" + (f";tag={to_tag}" if to_tag else "")),
        ("Call-ID", call_id),
        ("CSeq", f"1 {method}"),
    ]
    if via:
        headers.insert(0, ("Via", via))
    return Request(method, "sip:b@lab.example", headers)


VIA = "SIP/2.0/UDP 192.0.2.2:40000;branch=z9hG4bKx;rport"


# -- client, not INVITE (17.1.2) ------------------------------------------------------------------


def test_over_udp_a_request_is_repeated_by_timer_e_until_timer_f() -> None:
    bench = Bench("udp")
    bench.ask("OPTIONS")
    bench.loop.advance(40)
    assert bench.line.times == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert bench.said == ["timeout"]
    assert bench.layer.counts == (0, 0, 0)


def test_over_tcp_nothing_is_repeated() -> None:
    bench = Bench("tcp")
    bench.ask("OPTIONS")
    bench.loop.advance(40)
    assert bench.line.times == [0]
    assert bench.said == ["timeout"]


def test_a_provisional_response_slows_the_repetition_to_t2() -> None:
    bench = Bench("udp")
    bench.ask("OPTIONS")
    bench.answer(100)
    bench.loop.advance(13)
    assert bench.line.times == [0, 0.5, 4.5, 8.5, 12.5]
    assert bench.said == [100]


def test_the_final_response_is_told_once_and_its_repetitions_are_absorbed_for_t4() -> None:
    bench = Bench("udp")
    strays: list[Response] = []
    bench.layer.on_stray_response = lambda response, _flow: strays.append(response)
    bench.ask("OPTIONS")
    bench.answer(200)
    bench.answer(200)
    bench.loop.advance(4.9)
    bench.answer(200)
    assert (bench.said, strays) == ([200], [])
    bench.loop.advance(0.2)
    bench.answer(200)
    assert len(strays) == 1
    assert bench.line.times == [0]


def test_a_response_with_another_method_is_not_ours() -> None:
    bench = Bench("udp")
    bench.ask("OPTIONS")
    other = response_to(bench.line.sent[0][1], 200)
    other.headers.set("CSeq", "1 INFO")
    bench.hear(other)
    assert bench.said == []


def test_the_via_has_the_flows_address_a_fresh_branch_and_rport() -> None:
    bench = Bench("udp")
    branches = {bench.ask("OPTIONS").branch for _ in range(50)}
    via = bench.line.sent[0][1].via
    assert (via.transport, via.host, via.port, via.wants_rport) == ("UDP", "192.0.2.1", 5060, True)
    assert len(branches) == 50
    assert all(branch.startswith("z9hG4bK") for branch in branches)


# -- client, INVITE (17.1.1) ----------------------------------------------------------------------


def test_an_invite_is_repeated_by_timer_a_until_timer_b() -> None:
    bench = Bench("udp")
    bench.ask("INVITE")
    bench.loop.advance(40)
    assert bench.line.times == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert bench.said == ["timeout"]


def test_ringing_stops_the_repetition_and_may_last() -> None:
    bench = Bench("udp")
    bench.ask("INVITE")
    bench.answer(180)
    bench.loop.advance(170)
    bench.answer(200)
    assert bench.said == [180, 200]
    assert bench.line.times == [0]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_refused_invite_is_acknowledged_in_the_same_transaction(transport: str) -> None:
    bench = Bench(transport)
    bench.ask("INVITE")
    bench.answer(486)
    invite, ack = (sent for _, sent in bench.line.sent)
    assert ack.method == "ACK"
    assert ack.uri == invite.uri
    assert ack.headers.all("Via") == invite.headers.all("Via")
    assert ack.cseq == (1, "ACK")
    assert ack.to.tag == "callee"
    assert bench.said == [486]


def test_a_repeated_refusal_is_acknowledged_again_and_told_once() -> None:
    bench = Bench("udp")
    bench.ask("INVITE")
    bench.answer(486)
    bench.answer(486)
    bench.loop.advance(31)
    bench.answer(486)
    assert bench.line.methods == ["INVITE", "ACK", "ACK", "ACK"]
    assert bench.said == [486]
    bench.loop.advance(2)
    assert bench.layer.counts == (0, 0, 0)


def test_every_2xx_of_a_forked_invite_is_told_and_none_acknowledged() -> None:
    bench = Bench("udp")
    bench.ask("INVITE")
    for tag in ("one", "two", "one"):
        bench.answer(200, tag=tag)
    assert bench.said == [200, 200, 200]
    assert bench.line.methods == ["INVITE"]
    bench.loop.advance(32.1)
    bench.answer(200)
    assert bench.said == [200, 200, 200]


def test_cancel_waits_for_a_provisional_response() -> None:
    bench = Bench("udp")
    transaction = bench.ask("INVITE")
    transaction.cancel("SIP;cause=200")
    assert bench.line.methods == ["INVITE"]
    bench.answer(100)
    invite, cancel = (sent for _, sent in bench.line.sent)
    assert cancel.method == "CANCEL"
    assert cancel.uri == invite.uri
    assert cancel.headers.all("Via") == invite.headers.all("Via")
    assert cancel.to.tag is None
    assert cancel.cseq == (1, "CANCEL")
    assert cancel.headers.get("Reason") == "SIP;cause=200"
    bench.hear(response_to(cancel, 200))
    bench.answer(487)
    assert bench.said == [100, 487]
    assert bench.line.methods == ["INVITE", "CANCEL", "ACK"]


def test_cancel_is_not_sent_for_an_answered_invite_nor_twice() -> None:
    bench = Bench("udp")
    transaction = bench.ask("INVITE")
    bench.answer(180)
    transaction.cancel()
    transaction.cancel()
    bench.answer(200)
    transaction.cancel()
    assert bench.line.methods == ["INVITE", "CANCEL"]


def test_a_cancelled_invite_that_nobody_answers_ends_after_64_t1() -> None:
    bench = Bench("udp")
    transaction = bench.ask("INVITE")
    bench.answer(180)
    transaction.cancel()
    bench.loop.advance(33)
    assert bench.said == [180, "timeout"]
    assert bench.layer.counts == (0, 0, 0)


def test_a_transport_error_ends_what_waits_on_that_flow_only() -> None:
    bench = Bench("udp")
    bench.ask("OPTIONS")
    other = Line(bench.loop, "udp", Address("192.0.2.3", 5060))
    bench.layer.request(message("OPTIONS"), other, on_response=lambda _: None)
    error = ConnectionRefusedError(111, "Connection refused")
    closed = bench.stub.events.on_closed
    assert closed is not None
    closed(bench.line, error)
    assert bench.said == [error]
    assert bench.layer.counts[0] == 1


def test_a_connection_that_its_peer_closes_is_an_error_too() -> None:
    bench = Bench("tcp")
    bench.ask("OPTIONS")
    closed = bench.stub.events.on_closed
    assert closed is not None
    closed(bench.line, None)
    assert isinstance(bench.said[0], ConnectionResetError)


# -- server, not INVITE (17.2.2) ------------------------------------------------------------------


def test_a_repeated_request_is_served_once_and_answered_again() -> None:
    bench = Bench("udp")
    for _ in range(2):
        bench.hear(message("OPTIONS", via=VIA))
    assert len(bench.served) == 1
    assert bench.line.sent == []
    server = bench.served[0][0]
    assert server is not None
    server.respond(response_to(server.request, 200, to_tag="t"))
    bench.hear(message("OPTIONS", via=VIA))
    bench.loop.advance(31)
    bench.hear(message("OPTIONS", via=VIA))
    assert bench.line.statuses == [200, 200, 200]
    assert len({sent.to.tag for _, sent in bench.line.sent}) == 1
    assert len(bench.served) == 1


def test_after_timer_j_the_same_request_is_new() -> None:
    bench = Bench("udp")
    for _ in range(2):
        bench.hear(message("OPTIONS", via=VIA))
        server = bench.served[-1][0]
        assert server is not None
        server.respond(response_to(server.request, 200))
        bench.loop.advance(34)
        assert bench.layer.counts == (0, 0, 0)
    assert len(bench.served) == 2


def test_answers_that_are_kept_for_repetitions_are_bounded() -> None:
    bench = Bench("udp")
    bench.layer._max_absorbed = 10
    for number in range(50):
        bench.hear(message("OPTIONS", via=VIA.replace("bKx", f"bKx{number}")))
        server = bench.served[-1][0]
        assert server is not None
        server.respond(response_to(server.request, 200))
    assert bench.layer.counts == (0, 0, 10)


def test_a_second_final_response_is_not_sent() -> None:
    bench = Bench("udp")
    bench.hear(message("OPTIONS", via=VIA))
    server = bench.served[0][0]
    assert server is not None
    for status in (100, 200, 404, 180):
        server.respond(response_to(server.request, status))
    assert bench.line.statuses == [100, 200]


# -- server, INVITE (17.2.1) ----------------------------------------------------------------------


def invited(transport: str = "udp") -> tuple[Bench, ServerTransaction]:
    bench = Bench(transport)
    bench.hear(message("INVITE", via=VIA))
    server = bench.served[0][0]
    assert server is not None
    return bench, server


def test_who_says_nothing_for_200_ms_has_100_said_for_him() -> None:
    bench, _ = invited()
    bench.loop.advance(0.19)
    assert bench.line.sent == []
    bench.loop.advance(0.02)
    assert bench.line.statuses == [100]


def test_who_speaks_in_time_does_not() -> None:
    bench, server = invited()
    server.respond(response_to(server.request, 180))
    bench.loop.advance(5)
    bench.hear(message("INVITE", via=VIA))
    assert bench.line.statuses == [180, 180]


def test_a_refusal_is_repeated_by_timer_g_until_the_ack() -> None:
    bench, server = invited()
    server.respond(response_to(server.request, 486, to_tag="t"))
    bench.loop.advance(4)
    assert bench.line.times == [0, 0.5, 1.5, 3.5]
    bench.hear(message("ACK", via=VIA, to_tag="t"))
    bench.loop.advance(4)
    bench.hear(message("INVITE", via=VIA))
    assert len(bench.line.sent) == 4
    assert len(bench.served) == 1
    bench.loop.advance(2)
    assert bench.layer.counts == (0, 0, 0)


def test_a_refusal_that_is_never_acknowledged_ends_by_timer_h() -> None:
    bench, server = invited()
    server.respond(response_to(server.request, 486))
    bench.loop.advance(33)
    assert bench.line.times == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert bench.layer.counts == (0, 0, 0)


def test_over_tcp_a_refusal_is_said_once() -> None:
    bench, server = invited("tcp")
    server.respond(response_to(server.request, 486))
    bench.loop.advance(10)
    assert bench.line.times == [0]
    bench.hear(message("ACK", via=VIA))
    assert bench.layer.counts == (0, 0, 0)


def test_after_a_2xx_repeated_invites_are_absorbed_and_the_user_may_repeat_it() -> None:
    bench, server = invited()
    accepted = response_to(server.request, 200, to_tag="t")
    server.respond(accepted)
    bench.hear(message("INVITE", via=VIA))
    server.respond(accepted)
    server.respond(response_to(server.request, 486))
    bench.loop.advance(31)
    bench.hear(message("INVITE", via=VIA))
    assert bench.line.statuses == [200, 200]
    assert len(bench.served) == 1
    bench.loop.advance(2)
    assert bench.layer.counts == (0, 0, 0)


def test_the_ack_of_a_2xx_goes_to_the_user() -> None:
    bench, server = invited()
    server.respond(response_to(server.request, 200, to_tag="t"))
    bench.hear(message("ACK", via=VIA.replace("bKx", "bKy"), to_tag="t"))
    assert bench.served[1][0] is None
    assert bench.served[1][1].method == "ACK"


def test_a_cancel_finds_its_invite() -> None:
    bench, server = invited()
    bench.hear(message("CANCEL", via=VIA))
    transaction, cancel = bench.served[1]
    assert transaction is not None
    assert bench.layer.invite_of(cancel) is server
    other = message("CANCEL", via=VIA.replace("bKx", "bKother"))
    assert bench.layer.invite_of(other) is None


def test_peers_of_rfc_2543_are_told_apart_without_a_branch() -> None:
    bench = Bench("udp")
    via = "SIP/2.0/UDP 192.0.2.2:40000"
    bench.hear(message("INVITE", via=via))
    bench.hear(message("INVITE", via=via))
    bench.hear(message("INVITE", via=via, call_id="c2"))
    assert len(bench.served) == 2


# -- Via (18.2, RFC 3581) -------------------------------------------------------------------------


def test_received_and_rport_are_filled_in() -> None:
    bench = Bench("udp")
    bench.hear(message("OPTIONS", via="SIP/2.0/UDP 10.0.0.9:5060;rport;branch=z9hG4bKn"))
    via = bench.served[0][1].via
    assert (via.received, via.rport, via.host) == ("192.0.2.2", 40000, "10.0.0.9")
    server = bench.served[0][0]
    assert server is not None
    server.respond(response_to(server.request, 200))
    assert bench.line.statuses == [200]


def test_without_rport_the_answer_goes_to_the_port_in_the_via() -> None:
    bench = Bench("udp")
    bench.hear(message("OPTIONS", via="SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKn"))
    server = bench.served[0][0]
    assert server is not None
    server.respond(response_to(server.request, 200))
    assert bench.line.sent == []
    assert bench.stub.made[0].remote == Address("192.0.2.2", 5070)


def test_maddr_in_a_via_does_not_send_the_answer_to_a_third_party() -> None:
    bench = Bench("udp")
    bench.hear(
        message("OPTIONS", via="SIP/2.0/UDP 192.0.2.2:40000;maddr=198.51.100.7;branch=z9hG4bKn")
    )
    server = bench.served[0][0]
    assert server is not None
    server.respond(response_to(server.request, 200))
    assert bench.line.statuses == [200]


def test_the_answer_on_a_lost_connection_opens_another_one() -> None:
    bench = Bench("tcp")
    bench.hear(message("INVITE", via="SIP/2.0/TCP 192.0.2.2:5080;branch=z9hG4bKn"))
    server = bench.served[0][0]
    assert server is not None
    bench.line.up = False
    server.respond(response_to(server.request, 200))
    assert bench.stub.made[0].remote == Address("192.0.2.2", 5080)
    assert bench.stub.made[0].statuses == [200]


def test_a_request_without_via_is_dropped() -> None:
    bench = Bench("udp")
    bench.hear(message("OPTIONS"))
    assert bench.served == []


def test_a_flood_of_unacknowledged_refusals_keeps_nobody_out() -> None:
    bench = Bench("udp")
    bench.layer._max_servers = 3
    for number in range(20):
        bench.hear(message("INVITE", via=VIA.replace("bKx", f"bKx{number}")))
        server = bench.served[-1][0]
        assert server is not None
        server.respond(response_to(server.request, 407))
    assert len(bench.served) == 20
    assert bench.layer.counts[1] == 3


def test_requests_beyond_the_limit_are_not_served() -> None:
    bench = Bench("udp")
    bench.layer._max_servers = 3
    for number in range(5):
        bench.hear(message("INVITE", via=VIA.replace("bKx", f"bKx{number}")))
    assert len(bench.served) == 3
    assert bench.layer.refused == 2
