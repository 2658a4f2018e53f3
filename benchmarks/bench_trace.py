"""What a trace costs, in CPU seconds and peak memory, on captures of a known size.

    python benchmarks/bench_trace.py [--calls N] [--media-calls N] [--peers]

`signalling` is N calls (20,000) of 13 messages with SDP and ICE candidates; `media` is N calls
(2,000) of 9 messages and 103 RTP packets. `--peers` runs tshark and sngrep on the same files, where
they are installed. Each runs in a process of its own; the captures are written to a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

START = 1_700_000_000_000_000
ALICE, SERVER, BOB = "203.0.113.21", "198.51.100.10", "203.0.113.104"


class Writer:
    """Ethernet frames in a pcap, without checksums: nobody is timed on those."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb", buffering=1 << 20)
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        self.packets = 0

    def udp(
        self, micros: int, source: tuple[str, int], target: tuple[str, int], body: bytes
    ) -> None:
        length = len(body)
        frame = (
            b"\x02\0\0\0\0\1\x02\0\0\0\0\2\x08\0"
            + struct.pack(">BBHHHBBH", 0x45, 0, 28 + length, 0, 0x4000, 64, 17, 0)
            + bytes(map(int, source[0].split(".")))
            + bytes(map(int, target[0].split(".")))
            + struct.pack(">HHHH", source[1], target[1], 8 + length, 0)
            + body
        )
        seconds, rest = divmod(micros, 1_000_000)
        self.file.write(struct.pack("<IIII", seconds, rest, len(frame), len(frame)) + frame)
        self.packets += 1


def sdp(host: str, port: int, *, ice: bool) -> str:
    lines = ["v=0", f"o=a 3409 285 IN IP4 {host}", "s=Talk", f"c=IN IP4 {host}", "t=0 0"]
    lines += [f"m=audio {port} RTP/AVP 8 96 101", "a=rtpmap:96 opus/48000/2"]
    lines += ["a=rtpmap:101 telephone-event/8000"]
    if ice:
        lines += ["a=ice-ufrag:abcd", "a=ice-pwd:0123456789abcdef01234567"]
        for n, kind in enumerate(("host", "host", "srflx")):
            for component in (1, 2):
                lines.append(
                    f"a=candidate:{n} {component} UDP 2130706431 {host} {port + component - 1} typ {kind}"
                )
    return "\r\n".join(lines) + "\r\n"


def call(writer: Writer, number: int, *, ice: bool, rtp: int) -> None:
    """One call through a proxy, as it is seen at the proxy."""
    at = START + number * 7_000
    a, s, b = (ALICE, 5060 + number % 1000), (SERVER, 5060), (BOB, 7000 + number % 1000)
    ports = 10000 + 2 * number % 20000, 30000 + 2 * number % 20000
    offer, answer = sdp(ALICE, ports[0], ice=ice), sdp(BOB, ports[1], ice=ice)

    def message(
        start: str, method: str, tag: bool, hops: int, body: str = "", cseq: int = 21
    ) -> bytes:
        lines = [start]
        if hops > 1:
            lines.append(f"Via: SIP/2.0/UDP {SERVER}:5060;branch=z9hG4bK.p{number}{method};rport")
        lines += [
            f"Via: SIP/2.0/UDP {ALICE}:{a[1]};branch=z9hG4bK.{number}{method}{cseq};rport",
            f"Record-Route: <sip:{SERVER}:5060;lr>",
            f"From: <sip:user{number % 500}@sip.example.test>;tag=f{number}",
            f"To: <sip:bob{number % 500}@sip.example.test>" + (f";tag=t{number}" if tag else ""),
            f"CSeq: {cseq} {method}",
            f"Call-ID: call-{number}-abcdefgh",
            "Max-Forwards: 70",
            "Supported: replaces, outbound, gruu",
            "Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, SUBSCRIBE, INFO",
            f"Contact: <sip:user{number % 500}@{ALICE}:{a[1]}>",
            "User-Agent: bench",
        ]
        if body:
            lines.append("Content-Type: application/sdp")
        lines.append(f"Content-Length: {len(body)}")
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    uri = f"sip:bob{number % 500}@sip.example.test"
    steps = [
        (a, s, message(f"INVITE {uri} SIP/2.0", "INVITE", False, 1, offer)),
        (s, a, message("SIP/2.0 100 Trying", "INVITE", False, 1)),
        (s, b, message(f"INVITE {uri} SIP/2.0", "INVITE", False, 2, offer)),
        (b, s, message("SIP/2.0 180 Ringing", "INVITE", True, 2)),
        (s, a, message("SIP/2.0 180 Ringing", "INVITE", True, 1)),
        (b, s, message("SIP/2.0 200 Ok", "INVITE", True, 2, answer)),
        (s, a, message("SIP/2.0 200 Ok", "INVITE", True, 1, answer)),
        (a, s, message(f"ACK {uri} SIP/2.0", "ACK", True, 1)),
        (s, b, message(f"ACK {uri} SIP/2.0", "ACK", True, 2)),
        (a, s, message(f"BYE {uri} SIP/2.0", "BYE", True, 1, cseq=22)),
        (s, b, message(f"BYE {uri} SIP/2.0", "BYE", True, 2, cseq=22)),
        (b, s, message("SIP/2.0 200 Ok", "BYE", True, 2, cseq=22)),
        (s, a, message("SIP/2.0 200 Ok", "BYE", True, 1, cseq=22)),
    ]
    if rtp:
        steps = [steps[i] for i in (0, 1, 2, 3, 5, 6, 7, 8, 9)]
    for i, (source, target, body) in enumerate(steps):
        if rtp and i == len(steps) - 1:
            for n in range(rtp):
                there = n % 2 == 0
                head = struct.pack(">BBHII", 0x80, 8, n // 2, n // 2 * 160, number * 2 + there)
                ends = ((ALICE, ports[0]), (BOB, ports[1]))
                writer.udp(
                    at + i * 100 + n * 10_000, *(ends if there else ends[::-1]), head + bytes(160)
                )
        writer.udp(
            at + i * 100 + (rtp * 10_000 if i == len(steps) - 1 else 0), source, target, body
        )


def measure(name: str, command: list[str]) -> None:
    """CPU seconds and peak resident memory of a command."""
    with Path(os.devnull).open("w") as null:
        process = subprocess.Popen(command, stdout=null, stderr=null)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = usage.ru_utime + usage.ru_stime
    memory = usage.ru_maxrss / 1024
    failed = f"  exit {os.waitstatus_to_exitcode(status)}" if status else ""
    print(f"  {name:34} {seconds:7.2f} s CPU {memory:8.0f} MiB{failed}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--media-calls", type=int, default=2_000)
    parser.add_argument("--peers", action="store_true")
    options = parser.parse_args()
    fields = (
        "frame.time_epoch",
        "ip.src",
        "ip.dst",
        "sip.Method",
        "sip.Status-Code",
        "sip.Call-ID",
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, calls, rtp in (
            ("signalling", options.calls, 0),
            ("media", options.media_calls, 103),
        ):
            path = Path(folder) / f"{name}.pcap"
            writer = Writer(path)
            for number in range(calls):
                call(writer, number, ice=not rtp, rtp=rtp)
            writer.file.close()
            size = path.stat().st_size / 1e6
            print(f"{name}: {calls} calls, {writer.packets} packets, {size:.0f} MB", flush=True)
            code = (
                "import sys; from labtool.trace.analysis import analyse; a = analyse(sys.argv[1:]);"
                "assert a.calls and not a.findings, a.findings[:3]"
            )
            measure("labtool, everything with findings", [sys.executable, "-c", code, str(path)])
            if options.peers and shutil.which("tshark"):
                columns = [part for field in fields for part in ("-e", field)]
                measure(
                    "tshark -Y sip -T fields, 6 columns",
                    ["tshark", "-r", str(path), "-Ysip", "-Tfields", *columns],
                )
                measure("tshark -z rtp,streams", ["tshark", "-r", str(path), "-q", "-zrtp,streams"])
            if options.peers and shutil.which("sngrep"):
                copy = str(Path(folder) / "copy.pcap")
                measure("sngrep -N -q -O", ["sngrep", "-N", "-q", "-I", str(path), "-O", copy])


if __name__ == "__main__":
    main()
