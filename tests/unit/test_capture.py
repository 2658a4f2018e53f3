"""Capturing: what is run, what is kept of it, and that it ends with us."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labtool import capture
from labtool.errors import LabtoolError, RequestError
from labtool.pipe import Process
from labtool.sip.flow import Address, Packet
from labtool.trace import pcap
from labtool.trace.analysis import analyse
from labtool.trace.live import Live

ALICE, SERVER = Address("203.0.113.21", 5060), Address("198.51.100.10", 5060)
OPTIONS = (
    b"OPTIONS sip:lab.test SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
    b"From: <sip:alice@lab.test>;tag=1\r\nTo: <sip:lab.test>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n"
    b"Content-Length: 0\r\n\r\n"
)
#: Gives its capture and goes on until it is told to end; then a frame that was still waiting.
TCPDUMP = """#!/bin/sh
echo $$ > "{folder}/pid"
echo "$@" > "{folder}/arguments"
trap 'cat "{folder}/late"; echo "7 packets dropped by kernel" >&2; exit 0' TERM
cat "{folder}/early"
while :; do sleep 0.05; done
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tcpdump in it that stands in front of any other."""
    pcap.write(tmp_path / "all", [Packet(1e9 + n, "udp", ALICE, SERVER, OPTIONS) for n in range(3)])
    data = (tmp_path / "all").read_bytes()
    size = (len(data) - 24) // 3
    (tmp_path / "early").write_bytes(data[: 24 + 2 * size - 5])  # within a record
    (tmp_path / "late").write_bytes(data[24 + 2 * size - 5 :])
    program = tmp_path / "bin" / "tcpdump"
    program.parent.mkdir()
    program.write_text(TCPDUMP.format(folder=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path


def is_running(machine: Path) -> bool:
    pid = int((machine / "pid").read_text())
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def ends_within(machine: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_running(machine) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(machine)


def test_a_capture_that_is_stopped_has_every_frame_whole_and_leaves_no_process(
    machine: Path,
) -> None:
    seen = []
    done = capture.record(
        Process(capture.script()),
        machine / "out.pcap",
        "this machine",
        Live(),
        seen.append,
        until=capture.Until(duration_s=0.4),
    )
    assert (done.frames, done.messages, done.dropped, done.end) == (3, 3, 7, "duration")
    assert len(seen) == 3
    assert (machine / "out.pcap").read_bytes() == (machine / "all").read_bytes()
    assert stat.S_IMODE((machine / "out.pcap").stat().st_mode) == 0o600
    assert not analyse([machine / "out.pcap"]).capture.damage
    assert ends_within(machine, 1)


def test_ctrl_c_ends_a_capture_with_its_file_whole(machine: Path) -> None:
    told = 0

    def interrupted() -> None:
        nonlocal told
        told += 1
        if told == 5:
            raise KeyboardInterrupt

    done = capture.record(
        Process(capture.script()), machine / "out.pcap", "x", Live(), lambda m: None, interrupted
    )
    assert (done.frames, done.end) == (3, "interrupt")


def test_an_interrupt_that_was_noted_ends_a_capture_too(machine: Path) -> None:
    looks = iter([False, False, False, True])
    done = capture.record(
        Process(capture.script()),
        machine / "out.pcap",
        "x",
        Live(),
        lambda m: None,
        interrupted=lambda: next(looks, True),
    )
    assert done.end == "interrupt"
    assert not analyse([machine / "out.pcap"]).capture.damage


def test_what_captures_dies_with_the_one_who_asked_for_it(machine: Path) -> None:
    code = (
        "import time\nfrom labtool import capture\nfrom labtool.pipe import Process\n"
        "pipe = Process(capture.script())\nprint(len(pipe.read(5) or b''), flush=True)\n"
        "time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    assert is_running(machine)
    child.kill()
    child.wait()
    child.stdout.close()
    assert ends_within(machine, 2)


def test_ssh_is_left_out_where_it_is_the_way_in() -> None:
    script = capture.script("none", "eth0").replace("tcpdump --", "echo --").splitlines()
    line = next(one for one in script if one.startswith("echo")).removesuffix("</dev/null 3<&- &")
    for port, filtered in (("22", True), ("", False)):
        said = subprocess.run(
            ["/bin/sh", "-c", line, "labtool", port], capture_output=True, text=True, check=True
        ).stdout
        assert ("not tcp port 22" in said) == filtered
        assert "-i eth0" in said
        assert "udp[8] & 0xc0 = 0x80" in said


@pytest.mark.parametrize("name", ["", "eth0; id", "-w x", "a b", "$(id)"])
def test_a_name_that_is_no_interface_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="no name of an interface"):
        capture.script(interface=name)


@pytest.mark.parametrize(
    ("said", "code", "sentence"),
    [
        ("labtool: no tcpdump", 127, "apt-get install -y tcpdump"),
        ("tcpdump: eth9: No such device exists", 1, "no such interface on lab; see: ip link"),
        ("tcpdump: any: You don't have permission to perform this capture", 1, "takes root"),
        ("sudo: a password is required", 1, "sudo on lab asks for a password"),
    ],
)
def test_why_there_is_no_capture_is_one_sentence(
    tmp_path: Path, said: str, code: int, sentence: str
) -> None:
    pipe = Process(f'echo "{said}" >&2; exit {code}')
    with pytest.raises(LabtoolError, match=sentence):
        capture.record(pipe, tmp_path / "out.pcap", "lab", Live(), lambda message: None)
    assert not (tmp_path / "out.pcap").exists()


def test_a_capture_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "old.pcap").write_bytes(b"x")
    with pytest.raises(RequestError, match="exists already"):
        capture.unused(tmp_path / "old.pcap")
    assert capture.unused(tmp_path / "new.pcap") == tmp_path / "new.pcap"
