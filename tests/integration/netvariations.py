"""Calls as they also are: some healthy though they look odd, some ill in another way."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

from labtool import probe

from .netcall import Habits, NetPhone, place_call
from .netfaults import PATIENT, Fault, Seen, Stage, at
from .netlab import SERVER

HEALTHY: Seen = {}


def over(stage: Stage, _: bool, *, caller: str, callee: str, relays: bool = True) -> None:
    server = stage.kamailio(relays=True) if relays else stage.sandbox(tls=True)
    place_call(stage.lab, server, caller=Habits(caller), callee=Habits(callee), seconds=5)


def short(stage: Stage, _: bool) -> None:
    place_call(stage.lab, stage.kamailio(relays=True), seconds=0.7)


def busy(stage: Stage, _: bool) -> None:
    def bob(phone: NetPhone) -> None:
        phone.invited("alice")
        phone.respond(486)
        phone.wait(1)

    place_call(stage.lab, stage.sandbox(), bob=bob, holds=False)


def early_media(stage: Stage, _: bool, *, answers: bool) -> None:
    """Bob's announcement is heard before he answers, or does not."""

    def bob(phone: NetPhone) -> None:
        phone.invited("alice")
        phone.respond(183, described=True)
        phone.talk(3)
        if answers:
            phone._leg.answer("PCMU")
            phone.talk(8)
            phone.wait_ended()
        else:
            phone.respond(480)
            phone.wait(1)

    place_call(stage.lab, stage.kamailio(relays=True), bob=bob, holds=answers)


def held(stage: Stage, _: bool, *, by: str, resumes: bool) -> None:
    """One holds the call after two seconds; hung up while it is held, or resumed."""

    def holder(phone: NetPhone) -> None:
        phone.talk(2)
        phone.hold()
        phone.wait(4)
        if resumes:
            phone.hold("sendrecv")
            phone.talk(3)

    def alice(phone: NetPhone) -> None:
        phone.call("bob")
        holder(phone) if by == "alice" else phone.talk(9 if resumes else 6)
        phone.hang_up()

    def bob(phone: NetPhone) -> None:
        phone.answer("alice")
        holder(phone) if by == "bob" else phone.talk(20)
        phone.wait_ended()

    place_call(stage.lab, stage.kamailio(relays=True), alice=alice, bob=bob)


def one_machine(stage: Stage, _: bool, *, relays: bool) -> None:
    """Two phones behind one NAT, on one machine."""
    server = stage.kamailio(relays=True) if relays else stage.sandbox()
    place_call(stage.lab, server, at=("a", "a"), seconds=5)


def server_checks_itself(stage: Stage, _: bool) -> None:
    def check() -> None:
        with stage.lab.inside("srv"):
            probe.options(SERVER, "udp")

    place_call(stage.lab, stage.kamailio(relays=True), midway=check)


def nothing_gets_out(stage: Stage, _: bool, *, rtcp: bool) -> None:
    """Bob's NAT lets none of his sound out; with `rtcp`, only his reports."""
    server = stage.kamailio(relays=True)
    big = "-m length --length 150:" if rtcp else ""
    stage.rule("natb", f"-I FORWARD -i b -p udp ! --dport 5060 {big} -j DROP")()
    place_call(stage.lab, server, seconds=7)


def answers_lost(stage: Stage, _: bool) -> None:
    """Every 200 of Bob's to the INVITE is lost."""
    text = "-m string --algo bm --to 120 --string 200"
    server = stage.kamailio(relays=True)

    def drop() -> None:
        stage.lab.rule("natb", f"-I FORWARD -i b -p udp --dport 5060 {text} -j DROP")

    habits = Habits(patience=8, waits=False)
    place_call(stage.lab, server, caller=habits, callee=habits, before=drop, holds=False)


def caller_deaf(stage: Stage, _: bool) -> None:
    """Nothing of the server's gets back to Alice once she has registered."""
    server = stage.sandbox()
    drop = stage.rule("nata", "-I FORWARD -o a -j DROP")
    habits = Habits(patience=8, waits=False)
    place_call(stage.lab, server, caller=habits, callee=habits, before=drop, holds=False)


def closed_port(stage: Stage, _: bool) -> None:
    """Nobody listens on the server, and its machine says so."""
    with stage.lab.inside("a"):
        probe.options(SERVER, "udp", timeout_s=3)


def relay_restarted(stage: Stage, _: bool, *, transport: str) -> None:
    """The server and its relay die within the call; the server is there again a second later."""
    server = stage.kamailio(relays=True)

    def restart() -> None:
        stage.relay.stop()
        server.stop()
        time.sleep(1)
        stage.kamailio(name="again")

    habits = Habits(transport, patience=5)
    place_call(
        stage.lab, server, caller=habits, callee=habits, midway=restart, seconds=12, holds=False
    )


def deaf_connection(stage: Stage, _: bool) -> None:
    """Bob registers over TCP; then his NAT forgets the connection."""
    drop = stage.rule("natb", "-I FORWARD -o b -j DROP")
    caller, callee = Habits(patience=PATIENT), Habits("tcp", patience=PATIENT)
    place_call(stage.lab, stage.sandbox(), caller=caller, callee=callee, before=drop, holds=False)


def relay_by_private_address(stage: Stage, _: bool, *, told: bool) -> None:
    """In a cloud: SIP knows the public address, the relay does not unless it is `told`."""
    server = stage.kamailio(relays=True, public=SERVER, relay_public=SERVER if told else "")
    place_call(stage.lab, server, seconds=5)


def muted_from_then_on(stage: Stage, _: bool) -> None:
    """Bob is silent from the third second on, as a phone that sends nothing in silence."""

    def bob(phone: NetPhone) -> None:
        phone.answer("alice")
        phone.talk(3)
        phone.wait(9)
        phone.wait_ended()

    place_call(stage.lab, stage.kamailio(relays=True), bob=bob, seconds=8)


def alice_unregisters_first(stage: Stage, _: bool) -> None:
    """A phone that does not wait for the end of the other: BYE of both at once."""

    def bob(phone: NetPhone) -> None:
        phone.answer("alice")
        phone.talk(3)
        phone.hang_up()

    def alice(phone: NetPhone) -> None:
        phone.call("bob")
        phone.talk(3)
        phone.hang_up()

    place_call(stage.lab, stage.kamailio(relays=True), alice=alice, bob=bob, holds=False)
    time.sleep(0.2)


_CALLS = {
    "TCP on both sides": Fault("", HEALTHY, partial(over, caller="tcp", callee="tcp")),
    "UDP to TCP": Fault("", HEALTHY, partial(over, caller="udp", callee="tcp")),
    "TLS on one side": Fault(
        "", HEALTHY, partial(over, caller="tls", callee="udp", relays=False), "ab"
    ),
    "hung up at once": Fault("", HEALTHY, short),
    "busy": Fault("", HEALTHY, busy),
    "early media": Fault("", HEALTHY, partial(early_media, answers=True)),
    "early media only": Fault("", HEALTHY, partial(early_media, answers=False)),
    "held by the caller": Fault("", HEALTHY, partial(held, by="alice", resumes=True)),
    "held by the callee": Fault("", HEALTHY, partial(held, by="bob", resumes=True)),
    "hung up on hold": Fault("", HEALTHY, partial(held, by="alice", resumes=False)),
    "hung up on the callee's hold": Fault("", HEALTHY, partial(held, by="bob", resumes=False)),
    "one machine, no relay": Fault("", HEALTHY, partial(one_machine, relays=False)),
    "one machine, a relay": Fault("", HEALTHY, partial(one_machine, relays=True)),
    "a server that checks itself": Fault("", HEALTHY, server_checks_itself),
    "silent from the third second on": Fault("", HEALTHY, muted_from_then_on),
    "both hang up": Fault("", HEALTHY, alice_unregisters_first),
    "nothing of the callee's gets out": Fault(
        "one-way-audio", at("a b srv", "one-way-audio"), partial(nothing_gets_out, rtcp=False)
    ),
    "only reports of the callee's get out": Fault(
        "one-way-audio", at("a b srv", "one-way-audio"), partial(nothing_gets_out, rtcp=True)
    ),
    "every answer lost": Fault("ack-missing", at("b", "ack-missing"), answers_lost),
    "a caller whom nothing reaches": Fault("no-response", at("a", "no-response"), caller_deaf, "b"),
    "a restart over UDP": Fault(
        "audio-stopped", at("a b srv", "audio-stopped"), partial(relay_restarted, transport="udp")
    ),
    "a restart over TCP": Fault(
        "audio-stopped", at("a b srv", "audio-stopped"), partial(relay_restarted, transport="tcp")
    ),
    "a connection that leads nowhere": Fault(
        "callee-unreachable", at("a srv", "callee-unreachable"), deaf_connection, waits=True
    ),
    "a closed port": Fault("no-response", at("a srv a+srv", "no-response"), closed_port),
    "a relay that names its private address": Fault(
        "private-address-in-sdp",
        at("a b srv", "private-address-in-sdp"),
        partial(relay_by_private_address, told=False),
        cloud=True,
    ),
    "a relay that names its public address": Fault(
        "", HEALTHY, partial(relay_by_private_address, told=True), cloud=True
    ),
}
VARIATIONS: dict[str, Fault] = {
    name: replace(call, needs=("kamailio", "rtpengine")) for name, call in _CALLS.items()
}
