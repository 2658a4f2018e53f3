"""What labtool trace is asked for and cannot do: one sentence, exit 2."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from click.testing import CliRunner
from trace_scenario import Scenario

from labtool.cli.trace import trace
from labtool.errors import RequestError
from labtool.trace import pcap


@pytest.fixture
def capture(tmp_path: Path) -> str:
    scene = Scenario()
    scene.answered()
    scene.bye()
    pcap.write(tmp_path / "call.pcap", scene.packets)
    return str(tmp_path / "call.pcap")


def _refused(*words: str) -> str:
    with pytest.raises(RequestError) as refusal:
        CliRunner().invoke(trace, words, catch_exceptions=False)
    return str(refusal.value)


def test_a_user_who_is_not_in_it_is_refused(capture: str) -> None:
    assert "No call and no registration of zed" in _refused(capture, "--user", "zed")


def test_two_choices_at_once_are_refused(capture: str) -> None:
    assert "give one of them" in _refused(capture, "--call", "1", "--user", "alice")
    assert "give one of them" in _refused(capture, "--call", "1", "--dialog", "call")


def test_a_file_given_twice_is_refused(capture: str) -> None:
    said = _refused(capture, str(Path(capture).parent / "." / "call.pcap"))
    assert "is given twice" in said


def test_a_compressed_capture_comes_in_by_standard_input(capture: str) -> None:
    packed = gzip.compress(Path(capture).read_bytes())
    result = CliRunner().invoke(trace, ["-"], input=packed, catch_exceptions=False)
    assert "call 1" in result.output
