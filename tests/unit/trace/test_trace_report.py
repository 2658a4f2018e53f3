"""The analysis as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from labtool.sip.flow import Address, Packet
from labtool.trace.analysis import analyse, analyse_packets
from labtool.trace.report import report, written


def test_a_whole_call_becomes_one_json_object(shared: Path) -> None:
    found = json.loads(
        json.dumps(report(analyse([shared / "data/calls/07d_nat_udp_loss_to_B-b.pcap"])))
    )
    assert set(found) == {
        *("capture", "messages", "registrations", "calls", "streams", "encrypted", "intent"),
        "findings",
    }
    assert found["capture"]["frames"] == [973]
    assert len(found["messages"]) == 13
    assert [one["outcome"] for one in found["registrations"]] == ["registered", "unregistered"]
    (call,) = found["calls"]
    assert (call["outcome"], call["status"], call["ended_by"]) == ("answered", 200, "caller")
    assert call["started"] <= call["ringing"] <= call["answered"] < call["ended"]
    assert sorted((one["packets"], one["lost"]) for one in found["streams"]) == [
        (428, 74),
        (503, 0),
    ]
    (loss,) = found["findings"]
    assert loss["id"] == "packet-loss"
    assert set(loss) >= {"id", "severity", "frames", "cause", "cure"}


def test_tls_is_listed_as_encrypted(shared: Path) -> None:
    found = report(analyse([shared / "data/calls/10_nat_tls_both-a.pcap"]))
    assert found["messages"] == []
    (connection,) = found["encrypted"]
    assert connection["server"] == "198.51.100.10:5061"
    assert connection["records"] > 10
    assert len(found["streams"]) == 2


def test_bytes_that_are_no_text_still_make_json() -> None:
    data = (
        b"OPTIONS sip:\xff SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK\xfe\r\nFrom: <sip:a@b>;tag=\xfd\r\n"
        b"To: <sip:a@b>\r\nCall-ID: \xff\xfe\r\nCSeq: 1 OPTIONS\r\n\r\n"
    )
    packet = Packet(1.0, "udp", Address("192.0.2.1", 5060), Address("192.0.2.2", 5060), data)
    text = json.dumps(report(analyse_packets([packet])), ensure_ascii=False)
    assert json.loads(text.encode())["messages"][0]["call_id"] == "??"


def test_json_that_is_written_piece_by_piece_is_the_same_object(shared: Path) -> None:
    for name in ("07d_nat_udp_loss_to_B-b", "10_nat_tls_both-a"):
        found = analyse([shared / f"data/calls/{name}.pcap"])
        assert "".join(written(found)) == json.dumps(report(found), ensure_ascii=False)
    assert json.loads("".join(written(analyse_packets([]))))["messages"] == []
