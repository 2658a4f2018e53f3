"""labtool trace --explain at the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from trace_scenario import ALICE, SERVER, Scenario

from labtool.cli.trace import trace
from labtool.sip.flow import Packet


@pytest.fixture
def capture(tmp_path: Path) -> str:
    """A call, and beside it a request whose user and display name are hostile."""
    s = Scenario()
    s.answered()
    s.bye()
    s.sip(
        *(ALICE, SERVER, "INVITE sip:x@lab.test"),
        call="other",
        cseq="1 INVITE",
        tags=("\x1b]0;owned\x07", ""),
    )
    s.sip(SERVER, ALICE, "SIP/2.0 404 \x1b[2JGone", call="other", tags=("c", "d"))
    path = tmp_path / "call.pcap"
    s.file(path)
    return str(path)


def _run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(trace, words, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def test_explain_says_what_each_line_means(capture: str) -> None:
    said = _run(capture, "--call", "1", "--explain")
    assert "frame 1  INVITE  udp  203.0.113.21:5060 → 198.51.100.10:5060" in said
    assert "alice asks for a call to sip:bob@lab.test. [RFC 3261 13]" in said
    assert "m=audio 4000 RTP/AVP 8" in said
    assert "sip:x@lab.test" not in said


def test_explain_speaks_chinese(capture: str) -> None:
    said = _run(capture, "--call", "1", "--explain", "--lang", "zh")
    assert "alice 请求呼叫 sip:bob@lab.test。" in said


def test_what_came_off_the_network_moves_no_cursor(capture: str) -> None:
    assert "\x1b" not in _run(capture, "--explain")
    assert "\x1b" not in _run(capture)


def test_a_user_is_shown_with_what_is_wrong_with_its_registration(tmp_path: Path) -> None:
    s = Scenario()
    s.answered()
    s.bye()
    asked = ("1 REGISTER", "2 REGISTER", "3 REGISTER")
    for cseq in asked:
        s.sip(ALICE, SERVER, "REGISTER sip:lab.test", cseq=cseq, call="r")
        s.sip(SERVER, ALICE, "SIP/2.0 403 Forbidden", cseq=cseq, call="r", tags=("a", "x"))
    path = tmp_path / "refused.pcap"
    s.file(path)
    assert "[registration-refused]" in _run(str(path), "--user", "bob", code=1)
    assert "[registration-refused]" not in _run(str(path), "--user", "alice", code=1)


def test_of_several_files_every_frame_is_named_with_its_file(tmp_path: Path) -> None:
    """And a message that both have is named by the one that is shown."""
    s = Scenario()
    s.answered()
    s.bye()
    s.file(tmp_path / "near.pcap")
    s.packets.insert(0, Packet(s.packets[0].time, "udp", SERVER, ALICE, bytes(20)))
    s.file(tmp_path / "far.pcap")
    files = (str(tmp_path / "near.pcap"), str(tmp_path / "far.pcap"))
    said = " ".join(_run(*files, "--explain").split())
    frames = re.findall(r"frame \d+( \([a-z]+\.pcap\))?", said)
    assert len(frames) > 10
    assert all(frames)
    assert "It answers the INVITE of frame 1 (near.pcap)" in said
    assert "far.pcap" not in said.replace(files[1], "")
