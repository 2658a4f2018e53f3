"""Every fault that a finding names, caused by real programs in a Lab, and its healthy twin.

A cause is a function of a Stage and of whether the fault shall be there: the twin is the same set-up
without it.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from labtool import probe
from labtool.sip.digest import Password

from .netcall import Habits, place_call
from .netlab import CLOUD, SERVER, Lab
from .netserver import NetKamailio, Relay
from .peers import (
    ALICE_HZ,
    BOB_HZ,
    DOMAIN,
    PASSWORDS,
    Baresip,
    Certificate,
    Linphone,
    Process,
    SandboxProcess,
)

Seen = dict[str, list[str]]
#: What it takes to be patient with a server that waits 32 s (64 * T1, RFC 3261 section 17.1.1.2).
PATIENT = 36.0


@dataclass
class Stage:
    """A Lab whose machines are captured, and a folder for what runs there."""

    lab: Lab
    folder: Path
    relay: Relay = field(init=False)  #: beside the Kamailio that was started last
    _open: ExitStack = field(default_factory=ExitStack)

    def sandbox(self, **options: Any) -> SandboxProcess:
        with self.lab.inside("srv"):
            host = self.lab.address("srv")
            started = SandboxProcess(self.folder / "sandbox", host=host, **options)
        started.host = SERVER  # as clients know it
        return self._open.enter_context(started)

    def kamailio(self, machine: str = "srv", name: str = "first", **options: Any) -> NetKamailio:
        host, folder = self.lab.address(machine), self.folder / f"kamailio-{machine}-{name}"
        with self.lab.inside(machine):
            known_as = options.pop("relay_public", "")
            if options.get("relays"):
                self.relay = self._open.enter_context(Relay(folder / "relay", host, known_as))
            return self._open.enter_context(NetKamailio(folder, host, **options))

    def baresip(self, server: SandboxProcess, name: str, **options: Any) -> Baresip:
        """Bob's phone at `b`, which picks up."""
        with self.lab.inside("b"):
            host = self.lab.address("b")
            folder = self.folder / name
            started = Baresip(
                folder, "bob", server, "udp", BOB_HZ, answers=True, host=host, **options
            )
        return self._open.enter_context(started)

    def linphone(
        self, machine: str, user: str, server: SandboxProcess, hz: float, **options: Any
    ) -> Linphone:
        """A phone with ICE."""
        with self.lab.inside(machine):
            host, folder = self.lab.address(machine), self.folder / f"linphone-{user}"
            started = Linphone(folder, user, server, "udp", hz, host=host, ice=True, **options)
        return self._open.enter_context(started)

    def sipp(self, machine: str, *options: str) -> Process:
        with self.lab.inside(machine):
            command = ["sipp", "-i", self.lab.address(machine), "-m", "1", "-nostdin", *options]
            return self._open.enter_context(Process(self.folder / f"sipp-{machine}", command))

    def run(self, machine: str, *command: str, text: str = "") -> None:
        """A program that ends by itself, whatever it says."""
        with self.lab.inside(machine):
            subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)

    def rule(self, machine: str, rule: str) -> Callable[[], None]:
        return partial(self.lab.rule, machine, rule)

    def close(self) -> None:
        self._open.close()


def at(machines: str, *findings: str) -> Seen:
    """These findings at each of the machines."""
    return {one: list(findings) for one in machines.split()}


Cause = Callable[[Stage, bool], None]


@dataclass(frozen=True)
class Fault:
    """`seen` are the findings by machine, and by machines together (`a+srv`); not named: none."""

    finding: str
    seen: Seen
    cause: Cause
    public: str = ""
    cloud: bool = False
    needs: tuple[str, ...] = ()
    waits: bool = False  #: for half a minute

    def views(self) -> dict[str, list[str]]:
        """What is to be found at each machine, and by all together."""
        return {one: self.seen.get(one, []) for one in ("a", "b", "srv")} | self.seen


@contextmanager
def staged(fault: Fault, folder: Path) -> Iterator[Stage]:
    with Lab(fault.public, cloud=fault.cloud) as lab:
        stage = Stage(lab, folder)
        try:
            yield stage
        finally:
            stage.close()


def captured(fault: Fault, folder: Path, *, wrong: bool) -> dict[str, Path]:
    """The captures at a, b and srv of the fault, or of its twin."""
    with staged(fault, folder) as stage, stage.lab.captured(folder, ("a", "b", "srv")) as paths:
        fault.cause(stage, wrong)
    return paths


# -- signing in -----------------------------------------------------------------------------------


def _register(user: str, password: str, domain: str = DOMAIN) -> None:
    probe.register(SERVER, "udp", user, domain, Password(password))


def wrong_password(stage: Stage, wrong: bool) -> None:
    stage.sandbox()
    with stage.lab.inside("b"):
        _register("bob", "not this" if wrong else PASSWORDS["bob"])


def another_domain(stage: Stage, wrong: bool) -> None:
    stage.sandbox()
    with stage.lab.inside("b"):
        _register("bob", PASSWORDS["bob"], "other.example.test" if wrong else DOMAIN)


_REGISTER = """<send retrans="500"><![CDATA[
REGISTER sip:DOMAIN SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]
Max-Forwards: 70
From: <sip:bob@DOMAIN>;tag=[call_number]
To: <sip:bob@DOMAIN>
Call-ID: [call_id]
CSeq: [cseq] REGISTER
Contact: <sip:bob@[local_ip]:[local_port]>
Expires: 60
AUTHORIZATION
Content-Length: 0

]]></send>
<recv response="STATUS" auth="true"/>
"""


def stubborn(stage: Stage, wrong: bool) -> None:
    """A client and a server that try the same password again and again."""
    stage.kamailio(insists=True)
    answer = f"[authentication username=bob password={'x' if wrong else PASSWORDS['bob']}]"
    steps = [("", "401"), *[(answer, "401")] * 3] if wrong else [("", "401"), (answer, "200")]
    text = "".join(
        _REGISTER.replace("AUTHORIZATION\n", f"{credentials}\n" if credentials else "").replace(
            "STATUS", status
        )
        for credentials, status in steps
    ).replace("DOMAIN", DOMAIN)
    file = stage.folder / "register.xml"
    file.write_text(f'<?xml version="1.0"?><scenario name="register">{text}</scenario>')
    stage.sipp("b", "-sf", str(file), SERVER).process.wait(20)


def nobody_there(stage: Stage, wrong: bool) -> None:
    """A server that is not there, behind a firewall that says nothing."""
    if wrong:
        stage.rule("srv", "-A INPUT -j DROP")()
    stage.sandbox()
    with stage.lab.inside("a"):
        probe.options(SERVER, "udp", timeout_s=5)


def unknown_issuer(stage: Stage, wrong: bool) -> None:
    """TLS 1.2, whose alerts are not encrypted."""
    server = stage.sandbox(tls=True)
    assert server.certificate is not None
    trusted = server.certificate
    if wrong:
        (stage.folder / "other").mkdir()
        trusted = Certificate(stage.folder / "other")
    options = ["-tls1_2", "-verify_return_error", "-CAfile", str(trusted.chain)]
    stage.run("a", "openssl", "s_client", "-connect", f"{SERVER}:5061", *options, text="Q\n")


def scanner(stage: Stage, wrong: bool) -> None:
    stage.sandbox()
    if wrong:
        stage.run("a", "svmap", SERVER)
    else:
        stage.run("a", "sipsak", "-s", f"sip:{SERVER}")


# -- calls that do not come about -----------------------------------------------------------------


def not_registered(stage: Stage, wrong: bool) -> None:
    place_call(stage.lab, stage.sandbox(), registers=not wrong, holds=not wrong, seconds=2)


def mapping_lost(stage: Stage, wrong: bool) -> None:
    """Bob's NAT lets nothing in any more when he is called."""
    habits = Habits(patience=PATIENT) if wrong else Habits()
    before = stage.rule("natb", "-I FORWARD -o b -j DROP") if wrong else lambda: None
    place_call(
        stage.lab,
        stage.sandbox() if wrong else stage.kamailio(relays=True),
        caller=habits,
        callee=habits,
        before=before,
        holds=not wrong,
    )


def contact_as_it_is(stage: Stage, wrong: bool) -> None:
    """A server that takes the private Contact of a phone behind a NAT for true."""
    habits = Habits(patience=PATIENT) if wrong else Habits()
    lines = ("[module::NatHelper]", f"enabled={str(not wrong).lower()}")
    server = stage.sandbox(lines=lines)
    place_call(stage.lab, server, caller=habits, callee=habits, holds=not wrong, seconds=1)


def no_common_codec(stage: Stage, wrong: bool) -> None:
    server = stage.sandbox(algorithms="MD5")
    stage.baresip(server, "baresip", codec="pcma" if wrong else "pcmu")
    place_call(stage.lab, server, registers=False, holds=not wrong, seconds=3)


_OVERLOADED = """<recv request="INVITE"></recv>
<send retrans="500"><![CDATA[
SIP/2.0 503 Service Unavailable
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
<recv request="ACK"></recv>"""


def overloaded(stage: Stage, wrong: bool) -> None:
    """A server that takes no calls."""
    file = stage.folder / "overloaded.xml"
    file.write_text(f'<?xml version="1.0"?><scenario name="overloaded">{_OVERLOADED}</scenario>')
    answers = ("-sf", str(file)) if wrong else ("-sn", "uas")
    stage.sipp("srv", *answers, "-p", "5060")
    caller = stage.sipp("a", "-sn", "uac", "-s", "bob", "-d", "500", SERVER)
    caller.process.wait(20)


def circle(stage: Stage, wrong: bool, *, counts: bool) -> None:
    """Two proxies of which each takes the other for the one who knows."""
    there = stage.lab.address("b")
    stage.kamailio(sends_on=f"sip:{there}:5060", counts=counts)
    if wrong:
        if not counts:  # the packet grows with every round, until the network takes it no more
            stage.rule("srv", "-A INPUT -p udp -m length --length 6000: -j DROP")()
        stage.kamailio("b", sends_on=f"sip:{SERVER}:5060", counts=counts)
    else:
        stage.sipp("b", "-sn", "uas", "-p", "5060")
    caller = stage.sipp("a", "-sn", "uac", "-s", "bob", "-d", "500", SERVER)
    if counts or not wrong:
        caller.process.wait(20)
    else:
        time.sleep(1.5)


def too_big(stage: Stage, wrong: bool) -> None:
    """An INVITE above udp-mtu, for a phone with a firewall before it that takes no TCP."""
    stage.rule("net", "-A FORWARD -o b -p tcp -j DROP")()
    server = stage.sandbox(global_lines=() if wrong else ("udp-mtu=65535",))
    place_call(stage.lab, server, caller=Habits(more=1600), seconds=3)


# -- in the call ----------------------------------------------------------------------------------


def acks_lost(stage: Stage, wrong: bool) -> None:
    server = stage.kamailio(relays=True)
    if wrong:
        stage.rule("nata", "-I FORWARD -p udp -m string --algo bm --to 60 --string ACK -j DROP")()
    place_call(stage.lab, server, callee=Habits(waits=False), seconds=6)


def private_transport(stage: Stage, wrong: bool) -> None:
    """A server in a cloud, which knows its private address only."""
    transports = f"sip:{CLOUD}:5060" if wrong else f"sip:{SERVER}:5060;maddr={CLOUD}"
    server = stage.sandbox(transports=transports)
    callee = Habits(patience=8, waits=False)
    place_call(stage.lab, server, callee=callee, holds=not wrong)


def route_not_recorded(stage: Stage, wrong: bool) -> None:
    server = stage.kamailio(relays=True, records=not wrong)
    callee = Habits(patience=8, waits=False)
    place_call(stage.lab, server, callee=callee, holds=not wrong)


def alg(stage: Stage, wrong: bool) -> None:
    """The SIP helper of Linux's own NAT."""
    if wrong:
        stage.rule("nata", "-t raw -A PREROUTING -i a -p udp --dport 5060 -j CT --helper sip")()
    stage.sandbox()
    with stage.lab.inside("a"):
        _register("alice", PASSWORDS["alice"])


def phone_restarted(stage: Stage, wrong: bool) -> None:
    """Bob's phone dies within the call, and is there again."""
    server = stage.sandbox(algorithms="MD5")
    first = stage.baresip(server, "first", port=5070)

    def restart() -> None:
        first.process.kill()
        first.process.wait(5)
        stage.baresip(server, "second", port=5070)

    midway = restart if wrong else lambda: None
    place_call(stage.lab, server, registers=False, midway=midway, seconds=11 if wrong else 3)


# -- sound ----------------------------------------------------------------------------------------


def silent_call(stage: Stage, wrong: bool) -> None:
    """The report's: one over TCP, the other over UDP, each behind a NAT. The twin has a relay."""
    server = stage.sandbox() if wrong else stage.kamailio(relays=True)
    place_call(stage.lab, server, caller=Habits("tcp"))


def _behind_relay(stage: Stage, rule: tuple[str, str] | None, seconds: float = 6) -> None:
    server = stage.kamailio(relays=True)
    if rule is not None:
        stage.rule(*rule)()
    place_call(stage.lab, server, seconds=seconds)


def nothing_gets_in(stage: Stage, wrong: bool, *, to: str) -> None:
    """A NAT that lets sound out and none in."""
    rule = (f"nat{to}", f"-I FORWARD -o {to} -p udp ! --sport 5060 -j DROP")
    _behind_relay(stage, rule if wrong else None)


def muted(stage: Stage, wrong: bool) -> None:
    server = stage.kamailio(relays=True)
    place_call(stage.lab, server, callee=Habits(speaks=not wrong), seconds=6)


def phone_gone(stage: Stage, wrong: bool) -> None:
    """Bob's phone dies within the call: its ports are closed, and its machine says so."""
    server = stage.sandbox(algorithms="MD5")
    phone = stage.baresip(server, "baresip")
    midway = phone.process.kill if wrong else lambda: None
    place_call(stage.lab, server, registers=False, midway=midway, seconds=9 if wrong else 3)


def beside_the_port(stage: Stage, wrong: bool) -> None:
    habits = Habits(port_off=10 if wrong else 0)
    place_call(stage.lab, stage.sandbox(), caller=habits)


def no_way(stage: Stage, wrong: bool) -> None:
    """Two Linphones with ICE, and a firewall between them that lets none of their sound through."""
    if wrong:
        stage.rule("net", "-I FORWARD -i a -o b -j DROP")()
        stage.rule("net", "-I FORWARD -i b -o a -j DROP")()
    server = stage.sandbox(global_lines=("udp-mtu=65535",))
    bob = stage.linphone("b", "bob", server, BOB_HZ, answers=True)
    alice = stage.linphone("a", "alice", server, ALICE_HZ)
    alice.call("bob")
    alice.wait_talking()
    time.sleep(6)
    alice.hang_up()
    alice.wait_ended()
    bob.wait_ended()


def lossy(stage: Stage, wrong: bool, *, to: str) -> None:
    drop = "-m statistic --mode nth --every 7 --packet 3 -j DROP"
    rule = (f"nat{to}", f"-I FORWARD -o {to} -p udp ! --sport 5060 -m length --length 200 {drop}")
    _behind_relay(stage, rule if wrong else None)


FAULTS: dict[str, Fault] = {
    "a wrong password": Fault("wrong-password", at("b srv", "wrong-password"), wrong_password),
    "a server that asks again and again": Fault(
        "authentication-loop",
        at("b srv", "authentication-loop"),
        stubborn,
        needs=("kamailio", "sipp"),
    ),
    "another domain": Fault(
        "registration-refused",
        at("b srv", "registration-refused"),
        another_domain,
    ),
    "nobody registered": Fault(
        "callee-unknown", at("a srv", "callee-unknown"), not_registered, "ab"
    ),
    "a NAT that has forgotten": Fault(
        "callee-unreachable",
        at("a srv", "callee-unreachable"),
        mapping_lost,
        needs=("kamailio", "rtpengine"),
        waits=True,
    ),
    "a firewall before the server": Fault("no-response", at("a srv", "no-response"), nobody_there),
    "no common codec": Fault(
        "codec-refused",
        at("a b srv", "codec-refused"),
        no_common_codec,
        "ab",
        needs=("baresip",),
    ),
    "a server that takes no calls": Fault(
        "call-refused", at("a srv", "call-refused"), overloaded, needs=("sipp",)
    ),
    "two proxies in a circle": Fault(
        "loop",
        at("a b srv", "loop"),
        partial(circle, counts=True),
        "ab",
        needs=("kamailio", "sipp"),
    ),
    "two proxies that do not count": Fault(
        "request-loop",
        at("b srv", "request-loop"),
        partial(circle, counts=False),
        "ab",
        needs=("kamailio", "sipp"),
    ),
    "the first INVITE over TCP": Fault(
        "invite-too-big-for-udp",
        at("a", "slow-setup") | at("srv a+srv", "invite-too-big-for-udp"),
        too_big,
        "ab",
    ),
    "a private Contact": Fault(
        "nat-contact",
        at("a", "callee-unreachable") | at("srv a+srv", "nat-contact"),
        contact_as_it_is,
        "a",
        waits=True,
    ),
    "every ACK lost": Fault(
        "ack-missing",
        at("a b srv", "ack-missing"),
        acks_lost,
        needs=("kamailio", "rtpengine"),
    ),
    "a server that knows its private address only": Fault(
        "private-record-route",
        at("a srv", "ack-missing", "private-record-route")
        | at("b", "ack-missing")
        | at("a+b+srv", "private-record-route"),
        private_transport,
        "ab",
        cloud=True,
    ),
    "a server that does not record its route": Fault(
        "missing-record-route",
        at("a", "ack-missing", "missing-record-route")
        | at("b srv", "ack-missing")
        | at("a+b+srv", "missing-record-route"),
        route_not_recorded,
        needs=("kamailio", "rtpengine"),
    ),
    "the SIP helper of a NAT": Fault("sip-alg", at("a+srv", "sip-alg"), alg),
    "a phone that was restarted": Fault(
        "call-forgotten",
        at("a b", "audio-stopped", "call-forgotten") | at("srv", "call-forgotten"),
        phone_restarted,
        "ab",
        needs=("baresip",),
    ),
    "the silent call of the report": Fault(
        "private-address-in-sdp",
        at("a b srv a+b+srv", "private-address-in-sdp"),
        silent_call,
        needs=("kamailio", "rtpengine"),
    ),
    "nothing gets in to the callee": Fault(
        "one-way-audio",
        at("a b srv a+b+srv", "one-way-audio"),
        partial(nothing_gets_in, to="b"),
        needs=("kamailio", "rtpengine"),
    ),
    "nothing gets in to the caller": Fault(
        "one-way-audio",
        at("a b srv a+b+srv", "one-way-audio"),
        partial(nothing_gets_in, to="a"),
        needs=("kamailio", "rtpengine"),
    ),
    "a phone without a microphone": Fault(
        "one-way-audio",
        at("a b srv a+b+srv", "one-way-audio"),
        muted,
        needs=("kamailio", "rtpengine"),
    ),
    "a phone that dies": Fault(
        "audio-stopped",
        at("a b", "audio-stopped"),
        phone_gone,
        "ab",
        needs=("baresip",),
    ),
    "no way for ICE": Fault(
        "ice-failed", at("a b a+b+srv", "ice-failed"), no_way, "ab", needs=("linphonec",)
    ),
    "sound beside the port": Fault("wrong-port", at("a b", "wrong-port"), beside_the_port, "ab"),
    "loss on the way to the callee": Fault(
        "packet-loss",
        at("a b srv a+b+srv", "packet-loss"),
        partial(lossy, to="b"),
        needs=("kamailio", "rtpengine"),
    ),
    "loss on the way to the caller": Fault(
        "packet-loss",
        at("a b srv a+b+srv", "packet-loss"),
        partial(lossy, to="a"),
        needs=("kamailio", "rtpengine"),
    ),
    "an unknown issuer": Fault("tls-alert", at("a srv", "tls-alert"), unknown_issuer),
    "svmap": Fault("scanner", at("a srv", "scanner"), scanner, needs=("svmap", "sipsak")),
}
