"""For each finding a capture that shows it, made by causing the fault; and its healthy twin has none.

The faults are in `netfaults`. They run side by side, as many as LABTOOL_TEST_STAGES says (10), so that
the 32 s that SIP waits for an answer are waited for once.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from labtool.trace.analysis import Analysis, analyse
from labtool.trace.findings.finding import CATALOGUE, Finding

from . import netlab, netserver, peers
from .conftest import not_here
from .engine import Unavailable, install
from .netcall import Habits, place_call
from .netfaults import FAULTS, Fault, captured, staged
from .netvariations import VARIATIONS

CALLS = FAULTS | VARIATIONS
#: What is not a program of `peers`, by what it takes.
OTHERS = {"svmap": {"sipvicious": "svmap"}, "rtpengine": netserver.RELAY}
#: What the frames of a finding may be: how messages begin, or what else it is.
EVIDENCE: dict[str, set[str]] = {
    "wrong-password": {"REGISTER", "401", "403"},
    "authentication-loop": {"REGISTER", "401"},
    "registration-refused": {"REGISTER", "403"},
    "callee-unknown": {"INVITE", "404"},
    "callee-unreachable": {"INVITE", "408"},
    "no-response": {"OPTIONS", "INVITE", "ICMP"},
    "codec-refused": {"INVITE", "488"},
    "call-refused": {"INVITE", "503"},
    "loop": {"INVITE", "483"},
    "request-loop": {"INVITE"},
    "slow-setup": {"INVITE", "100", "180"},
    "invite-too-big-for-udp": {"SYN", "INVITE"},
    "nat-contact": {"REGISTER", "401", "200", "INVITE", "408"},
    "ack-missing": {"200", "407", "ACK", "BYE"},
    "private-record-route": {"INVITE", "200", "ACK", "BYE"},
    "missing-record-route": {"200", "ACK", "BYE"},
    "sip-alg": {"REGISTER", "401", "200"},
    "call-forgotten": {"BYE", "481"},
    "private-address-in-sdp": {"INVITE", "200", "RTP"},
    "one-way-audio": {"RTP", "RTCP"},
    "audio-stopped": {"RTP", "ICMP", "BYE", "481"},
    "wrong-port": {"INVITE", "200", "RTP"},
    "ice-failed": {"INVITE", "200", "STUN"},
    "packet-loss": {"RTP", "RTCP"},
    "tls-alert": {"TLS"},
    "scanner": {"OPTIONS"},
}


@pytest.fixture(scope="module")
def _net() -> None:
    try:
        netlab.need()
    except Unavailable as why:
        not_here(why)
    netlab.sweep()


def _need(fault: Fault) -> None:
    for program in fault.needs:
        if program in OTHERS:
            install(OTHERS[program])
        else:
            peers.need(program)


Caused = Callable[[str, bool], dict[str, Path]]


@pytest.fixture(scope="module")
def caused(
    _net: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Caused]:
    """The captures of a fault or its twin; all that are asked for in this run are begun at once."""
    folder = tmp_path_factory.mktemp("faults")
    asked = [
        (item.callspec.params["name"], item.callspec.params.get("wrong", True))
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and hasattr(item, "callspec")
    ]
    running: dict[tuple[str, bool], Future[dict[str, Path]]] = {}
    with ThreadPoolExecutor(int(os.environ.get("LABTOOL_TEST_STAGES", "10"))) as pool:
        # The longest first: they only wait.
        asked.sort(key=lambda one: not (CALLS[one[0]].waits and one[1]))
        for number, (name, wrong) in enumerate(asked):
            try:
                _need(CALLS[name])
            except Unavailable as why:
                running[name, wrong] = Future()
                running[name, wrong].set_exception(why)
                continue
            running[name, wrong] = pool.submit(
                captured, CALLS[name], folder / str(number), wrong=wrong
            )

        def result(name: str, wrong: bool) -> dict[str, Path]:
            try:
                return running[name, wrong].result()
            except Unavailable as why:
                not_here(why)

        yield result


def _shown(analysis: Analysis, found: Finding) -> dict[int, set[str]]:
    """What each frame of a finding is."""
    capture, view = analysis.capture, found.view
    shown: dict[int, set[str]] = {frame: set() for frame in found.frames}

    def note(frame: int, what: str) -> None:
        if frame in shown:
            shown[frame].add(what)

    for message in capture.messages:
        if message.flow.view == view:
            note(message.frame, message.label.split()[0])
    for stream in capture.streams:
        if stream.flow.view == view:
            for frame in shown.keys() & set(stream.frames):
                note(frame, "RTP")
    for what, seen in (("RTCP", capture.reports), ("STUN", capture.stun)):
        for one in seen:
            if one.flow.view == view:
                note(one.frame, what)
    for error in capture.icmp:
        if error.view == view:
            note(error.frame, "ICMP")
    for flow, connection in capture.connections.items():
        if flow.view == view:
            for frame, _ in connection.syns:
                note(frame, "SYN")
            for frame, _, _ in connection.alerts:
                note(frame, "TLS")
    return shown


def _explained(analysis: Analysis) -> str:
    return "\n".join(
        f"{one.id} {one.frames}: {one.title}. {one.cause}" for one in analysis.findings
    )


@pytest.mark.parametrize("wrong", [True, False], ids=["fault", "twin"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_wherever_it_shows_and_its_twin_is_healthy(
    caused: Caused, name: str, wrong: bool
) -> None:
    _is_seen(FAULTS[name] if wrong else replace(FAULTS[name], seen={}), caused(name, wrong))


@pytest.mark.parametrize("name", VARIATIONS)
def test_an_odd_call_is_taken_for_what_it_is(caused: Caused, name: str) -> None:
    _is_seen(VARIATIONS[name], caused(name, True))


def _is_seen(fault: Fault, paths: dict[str, Path]) -> None:
    """Each view has its findings and no other, with frames that show them."""
    for views, expected in fault.views().items():
        analysis = analyse([paths[view] for view in views.split("+")])
        told = f"{views}:\n{_explained(analysis)}"
        found = sorted(one.id for one in analysis.findings)
        assert found == sorted(expected), told
        assert not analysis.capture.damage, told
        for one in analysis.findings:
            assert one.frames, told
            for frame, kinds in _shown(analysis, one).items():
                assert kinds & EVIDENCE[one.id], (told, frame, kinds)
    assert any(path.stat().st_size > 1000 for path in paths.values())


def test_no_finding_is_without_a_capture_that_shows_it() -> None:
    assert sorted({one for f in FAULTS.values() for ids in f.seen.values() for one in ids}) == (
        sorted(CATALOGUE)
    )
    assert sorted(EVIDENCE) == sorted(CATALOGUE)


@pytest.mark.usefixtures("_net")
def test_the_silent_call_of_the_report_by_labtools_own_commands(tmp_path: Path) -> None:
    """`labtool capture --local` on the server, `labtool trace --json` on what it wrote."""
    file = tmp_path / "server.pcap"
    labtool = [sys.executable, "-m", "labtool"]
    with staged(FAULTS["the silent call of the report"], tmp_path) as stage:
        with stage.lab.inside("srv"):
            capture = subprocess.Popen(
                [*labtool, "capture", "--local", "--until-call-ends", "--json", "-o", str(file)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        try:
            peers.wait_for("the capture runs", lambda: file.exists() and file.stat().st_size)
            time.sleep(0.5)
            place_call(stage.lab, stage.sandbox(), caller=Habits("tcp"), seconds=3)
            said, why = capture.communicate(timeout=20)
        finally:
            capture.kill()
    assert capture.returncode == 0, why
    assert json.loads(said.splitlines()[-1])["end"] == "call"
    traced = subprocess.run(
        [*labtool, "trace", "--json", str(file)], capture_output=True, text=True, timeout=60
    )
    assert traced.returncode == 1, traced.stderr
    told = json.loads(traced.stdout)
    (call,) = told["calls"]
    assert sorted(one for leg in call["legs"] for one in leg["transports"]) == ["tcp", "udp"]
    (found,) = told["findings"]
    assert (found["id"], found["severity"]) == ("private-address-in-sdp", "error")
    labels = {m["frame"]: m["label"] for m in told["messages"]}
    assert {labels[frame].split()[0] for frame in found["frames"]} <= {"INVITE", "200"}
    assert "over tcp and the other over udp is not the cause" in found["cause"]
    assert "MediaRelay" in found["cure"]


@pytest.mark.usefixtures("_net")
def test_labtool_capture_loses_nothing_of_a_burst(tmp_path: Path) -> None:
    """A hundred packets at once, ten times: what a busy server's kernel hands over."""
    file = tmp_path / "burst.pcap"
    command = [sys.executable, "-m", "labtool", "capture", "--local", "--duration", "4"]
    with netlab.Lab("ab") as lab, ExitStack() as stack:
        with lab.inside("b"):
            listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            listener.bind((lab.address("b"), 9000))
            capture = subprocess.Popen(
                [*command, "--json", "-o", str(file)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        with lab.inside("a"):
            sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        try:
            peers.wait_for("the capture runs", lambda: file.exists() and file.stat().st_size)
            for _ in range(10):
                for _ in range(100):
                    sender.sendto(bytes(172), (lab.address("b"), 9000))
                time.sleep(0.1)
            said, why = capture.communicate(timeout=20)
        finally:
            capture.kill()
    assert capture.returncode == 0, why
    last = json.loads(said.splitlines()[-1])
    assert (last["dropped"], last["frames"] >= 1000) == (0, True), last
