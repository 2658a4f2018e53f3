"""Capture files written and read back."""

from __future__ import annotations

import gzip
import io
import shutil
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.sip.flow import Address, Packet
from labtool.trace import pcap
from labtool.trace.errors import CaptureError
from labtool.trace.reading import read, read_packets

ALICE, SERVER = Address("127.0.0.1", 5070), Address("127.0.0.1", 5060)
ALICE6, SERVER6 = Address("2001:db8::1", 5070), Address("2001:db8::2", 5060)
START = 1_700_000_000.123456


def invite(body: bytes = b"", call: str = "one") -> bytes:
    head = (
        "INVITE sip:bob@example.test SIP/2.0\r\n"
        "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKa;rport\r\n"
        "From: <sip:alice@example.test>;tag=1\r\n"
        "To: <sip:bob@example.test>\r\n"
        f"Call-ID: {call}\r\n"
        "CSeq: 1 INVITE\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def rtp(sequence: int) -> bytes:
    return struct.pack(">BBHII", 0x80, 0, sequence, sequence * 160, 77) + bytes(160)


def test_what_is_written_is_read_back_with_its_addresses_times_and_bytes(tmp_path: Path) -> None:
    packets = [
        Packet(START, "udp", ALICE, SERVER, invite(call="a")),
        Packet(START + 1, "udp", ALICE6, SERVER6, invite(call="b")),
        Packet(START + 2, "tcp", ALICE, SERVER, invite(b"x" * 5000, call="c")),
        Packet(START + 3, "tls", SERVER6, ALICE6, invite(call="d")),
    ]
    pcap.write(tmp_path / "a.pcap", packets)
    found = read([tmp_path / "a.pcap"])
    assert [m.call_id for m in found.messages] == ["a", "b", "c", "d"]
    assert [m.data for m in found.messages] == [p.data for p in packets]
    assert [(m.flow.source, m.flow.destination) for m in found.messages] == [
        (p.source, p.destination) for p in packets
    ]
    assert [m.flow.transport for m in found.messages] == ["udp", "udp", "tcp", "tcp"]
    assert found.messages[0].time_ns == 1_700_000_000_123_456_000
    assert found.damage == []


def test_packets_of_a_tap_and_their_file_are_understood_alike(tmp_path: Path) -> None:
    packets = [Packet(START, "udp", ALICE, SERVER, invite())]
    media = Address("127.0.0.1", 4000), Address("127.0.0.1", 4002)
    packets += [Packet(START + 1 + i / 50, "udp", *media, rtp(i)) for i in range(5)]
    pcap.write(tmp_path / "a.pcap", packets)
    filed, tapped = read([tmp_path / "a.pcap"]), read_packets(packets)
    assert [m.data for m in filed.messages] == [m.data for m in tapped.messages]
    assert [list(s.times) for s in filed.streams] == [list(s.times) for s in tapped.streams]
    assert [list(s.sequences) for s in tapped.streams] == [[0, 1, 2, 3, 4]]


def test_a_written_capture_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    pcap.write(tmp_path / "a.pcap", [])
    assert stat.S_IMODE((tmp_path / "a.pcap").stat().st_mode) == 0o600


def test_an_unfinished_capture_is_whole_after_every_packet(tmp_path: Path) -> None:
    writer = pcap.PcapWriter(tmp_path / "a.pcap")
    writer.write(Packet(START, "udp", ALICE, SERVER, invite()))
    assert len(read([tmp_path / "a.pcap"]).messages) == 1
    writer.close()


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_finds_every_checksum_right_and_every_message(tmp_path: Path) -> None:
    packets = [
        Packet(START, "udp", ALICE, SERVER, invite(call="a")),
        Packet(START + 1, "udp", ALICE6, SERVER6, invite(b"odd", call="b")),
        Packet(START + 2, "tcp", ALICE, SERVER, invite(b"x" * 5000, call="c")),
        Packet(START + 3, "tcp", SERVER, ALICE, invite(b"x" * 5000, call="d")),
        Packet(START + 4, "tcp", ALICE6, SERVER6, invite(call="e") + invite(call="f")),
    ]
    frames = pcap.write(tmp_path / "a.pcap", packets)
    checks = [f"-o{name}.check_checksum:TRUE" for name in ("ip", "udp", "tcp")]
    fields = ["sip.Call-ID", "ip.checksum.status", "udp.checksum.status", "tcp.checksum.status"]
    rows = subprocess.run(
        ["tshark", "-r", tmp_path / "a.pcap", *checks, "-Tfields"]
        + [part for field in fields for part in ("-e", field)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert len(rows) == frames
    cells = [row.split("\t") for row in rows]
    assert ",".join(row[0] for row in cells if row[0]) == "a,b,c,d,e,f"
    assert {value for row in cells for value in row[1:]} == {"1", ""}  # 1 is "good"


def test_a_compressed_capture_is_read(tmp_path: Path) -> None:
    pcap.write(tmp_path / "a.pcap", [Packet(START, "udp", ALICE, SERVER, invite())])
    packed = gzip.compress((tmp_path / "a.pcap").read_bytes())
    (tmp_path / "a.pcap.gz").write_bytes(packed)
    assert len(read([tmp_path / "a.pcap.gz"]).messages) == 1


def test_standard_input_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pcap.write(tmp_path / "a.pcap", [Packet(START, "udp", ALICE, SERVER, invite())])

    class Stdin:
        buffer = io.BytesIO((tmp_path / "a.pcap").read_bytes())

    monkeypatch.setattr(sys, "stdin", Stdin())
    found = read(["-"])
    assert found.views == ["standard input"]
    assert len(found.messages) == 1


def pcapng(packet: bytes, *, order: str = "<", resolution: int = 6, link: int = 1) -> bytes:
    """A section, an interface with a time resolution, and one enhanced packet block."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        size = struct.pack(order + "I", len(body) + 12)
        return struct.pack(order + "I", kind) + size + body + size

    section = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    option = struct.pack(order + "HHBxxx", 9, 1, resolution) + struct.pack(order + "HH", 0, 0)
    interface = block(1, struct.pack(order + "HHI", link, 0, 0) + option)
    ticks = int(1_700_000_000 * 10**resolution) + 10**resolution // 2
    head = struct.pack(
        order + "IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet)
    )
    return section + interface + block(6, head + packet)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("resolution", [3, 6, 9])
def test_pcapng_is_read_in_both_byte_orders_and_any_resolution(
    tmp_path: Path, order: str, resolution: int
) -> None:
    pcap.write(tmp_path / "a.pcap", [Packet(START, "udp", ALICE, SERVER, invite())])
    frame = (tmp_path / "a.pcap").read_bytes()[40:]
    (tmp_path / "a.pcapng").write_bytes(pcapng(frame, order=order, resolution=resolution))
    found = read([tmp_path / "a.pcapng"])
    assert [m.data for m in found.messages] == [invite()]
    assert found.messages[0].time_ns == 1_700_000_000_500_000_000


@pytest.mark.parametrize("magic", [b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d"])
def test_pcap_is_read_in_both_byte_orders_and_in_nanoseconds(tmp_path: Path, magic: bytes) -> None:
    pcap.write(tmp_path / "a.pcap", [Packet(START, "udp", ALICE, SERVER, invite())])
    frame = (tmp_path / "a.pcap").read_bytes()[40:]
    order = "<" if magic[0] == 0xD4 else ">"
    head = magic + struct.pack(order + "HHiIII", 2, 4, 0, 0, 65535, 1)
    record = struct.pack(order + "IIII", 1_700_000_000, 7, len(frame), len(frame))
    (tmp_path / "b.pcap").write_bytes(head + record + frame)
    found = read([tmp_path / "b.pcap"])
    assert len(found.messages) == 1
    unit = 1 if magic[2:] == b"\x3c\x4d" else 1000
    assert found.messages[0].time_ns == 1_700_000_000_000_000_000 + 7 * unit


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"GET / HTTP/1.1", "neither a pcap"), (bytes(5000), "neither a pcap")],
)
def test_what_is_no_capture_is_refused_with_a_sentence(
    tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(CaptureError, match=words):
        read([tmp_path / "x"])


def test_a_file_that_is_not_there_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="cannot be read: No such file"):
        read([tmp_path / "x"])


def test_a_truncated_capture_gives_what_it_holds_and_says_where_it_ends(tmp_path: Path) -> None:
    packets = [Packet(START + i, "udp", ALICE, SERVER, invite(call=str(i))) for i in range(3)]
    pcap.write(tmp_path / "a.pcap", packets)
    whole = (tmp_path / "a.pcap").read_bytes()
    (tmp_path / "a.pcap").write_bytes(whole[:-10])
    found = read([tmp_path / "a.pcap"])
    assert [m.call_id for m in found.messages] == ["0", "1"]
    assert "frame 3 is cut off at the end of the file" in str(found.damage[0])


def test_zeros_after_the_packets_are_not_taken_for_packets(tmp_path: Path) -> None:
    pcap.write(tmp_path / "a.pcap", [Packet(START, "udp", ALICE, SERVER, invite())])
    with (tmp_path / "a.pcap").open("ab") as file:
        file.truncate(1 << 30)  # a gigabyte, and no disk
    found = read([tmp_path / "a.pcap"])
    assert len(found.messages) == 1
    assert "bytes are not read" in str(found.damage[0])


@given(st.data())
def test_no_damage_makes_reading_fail(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.pcap"
    packets = [
        Packet(START, "udp", ALICE, SERVER, invite(b"v=0\r\n")),
        Packet(START + 1, "tcp", ALICE6, SERVER6, invite(call="b")),
        Packet(START + 2, "udp", ALICE, SERVER, rtp(1)),
    ]
    pcap.write(path, packets)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = bytearray(pcapng(bytes(content[40:500])))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(4, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(4, len(content))) :]
    path.write_bytes(content)
    found = read([path])
    assert len(found.messages) <= 3
