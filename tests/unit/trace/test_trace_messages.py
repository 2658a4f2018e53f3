"""Messages that are put away, and found again as they were."""

from __future__ import annotations

import errno
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from trace_scenario import ALICE, BOB, SERVER, Scenario

from labtool.trace import analysis as analysing
from labtool.trace import conversations, pcap, reading
from labtool.trace.analysis import Analysis, analyse
from labtool.trace.errors import CaptureError
from labtool.trace.explain.lines import Explainer
from labtool.trace.messages import Columns
from labtool.trace.report import written


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put messages away from the sixth on, and forget every conversation but the last."""
    monkeypatch.setattr(reading, "KEPT", 5)
    monkeypatch.setattr(conversations, "_RECENT", 1)
    monkeypatch.setattr(analysing, "_PORTION", 2)


def _recorded(folder: Path) -> Path:
    """Calls with what is hard to keep: repetitions, copies, TCP, and times that go back."""
    s = Scenario()
    for number in range(4):
        call = f"call {number} \xe9"
        s.sip(ALICE, SERVER, "INVITE sip:bob@lab.test", call=call)
        s.packets.append(s.packets[-1])
        s.now += 0.5
        s.sip(ALICE, SERVER, "INVITE sip:bob@lab.test", call=call)
        s.sip(SERVER, BOB, "INVITE sip:bob@lab.test", call=call, vias=2, transport="tcp")
        s.sip(BOB, SERVER, "SIP/2.0 404 Not Found", call=call, tags=("a", "b"), transport="tcp")
        s.sip(SERVER, ALICE, "SIP/2.0 404 Not Found", call=call, tags=("a", "b"))
        s.sip(ALICE, SERVER, "ACK sip:bob@lab.test", call=call, tags=("a", "b"), cseq="1 ACK")
        s.sip(ALICE, SERVER, "REGISTER sip:lab.test", call=f"reg{number}", cseq="7 REGISTER")
        s.sip(SERVER, ALICE, "SIP/2.0 403 No", call=f"reg{number}", cseq="7 REGISTER")
    path = folder / "calls.pcap"
    with pcap.PcapWriter(path) as writer:
        for packet in s.packets:
            writer.write(packet)
    data = path.read_bytes()
    cut = _offset(data, 9)
    path.write_bytes(data[:24] + data[cut:] + data[24:cut])  # the first frames come last
    return path


def _offset(data: bytes, frames: int) -> int:
    at = 24
    for _ in range(frames):
        at += 16 + int.from_bytes(data[at + 8 : at + 12], "little")
    return at


def _json(found: Analysis) -> str:
    return "".join(written(found))


def test_messages_that_are_put_away_are_understood_as_before(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = _recorded(tmp_path)
    kept = analyse([path])
    request.getfixturevalue("few")
    away = analyse([path])
    assert isinstance(away.capture.messages, Columns)
    assert len(kept.messages) == len(away.messages) == 32
    assert sum(one.repeats is not None for one in away.messages) == 4
    assert [one.data for one in kept.messages] == [one.data for one in away.messages]
    assert len(away.findings) == 8
    assert _json(kept) == _json(away)


@pytest.mark.usefixtures("few")
def test_messages_that_are_put_away_are_explained(tmp_path: Path) -> None:
    found = analyse([_recorded(tmp_path)])
    explainer = Explainer(found)
    ack = next(m for m in found.calls[2].messages() if m.method == "ACK")
    texts = [remark.id for line in explainer.lines(ack) for remark in line.remarks]
    assert any("ack" in text for text in texts)


def test_every_recording_is_understood_the_same_from_columns(
    shared: Path, request: pytest.FixtureRequest
) -> None:
    paths = sorted((shared / "data").rglob("*.pcap*"))
    if not paths:
        pytest.skip("there are no recordings here")
    kept = [_json(analyse([path])) for path in paths[::4]]
    request.getfixturevalue("few")
    assert [_json(analyse([path])) for path in paths[::4]] == kept


def test_a_message_in_columns_takes_less_than_a_hundred_bytes(tmp_path: Path) -> None:
    path = _recorded(tmp_path)
    messages = [m for m in analyse([path]).messages if m.flow.transport == "tcp"] * 5000
    tracemalloc.start()
    try:
        columns = Columns(messages)
        columns.in_order()
        assert columns[-1].data == messages[-1].data  # what waited to be written is written
        assert tracemalloc.get_traced_memory()[0] < 100 * len(messages)
    finally:
        tracemalloc.stop()
    assert len(columns) == len(messages) == 40_000


def test_no_room_for_what_is_put_away_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: None
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = _recorded(tmp_path)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(CaptureError, match="No space left on device; set TMPDIR"):
        analyse([path])
