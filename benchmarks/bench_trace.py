"""What a trace costs, in CPU seconds and peak memory, on captures of a known size.

    python -m benchmarks.bench_trace [--times N] [--runs N] [--peers]

`signalling` is 20,000 calls of 13 messages with SDP and ICE candidates; `media` is 2,000 calls of 9
messages and 103 RTP packets. `--times 10` measures captures of 1, 3 and 10 times that size, where the
CPU time of a packet is to stay the same. `--peers` runs tshark and sngrep on the same files, in
turn with labtool, where they are installed. Each runs in a process of its own; the captures are
written to a temporary folder (2.6 GB for `--times 10`).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
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


#: What is asked: memory in MiB at the first size (a quarter of sip-doctor's), and how many times
#: faster than a peer at least and at best (knowledge: tshark -Y sip with six columns, and sngrep).
LIMITS = {"signalling": 428, "media": 56}
ASKED = {"tshark": "asked 1.5, aim 3", "sngrep": "aim 1"}
FIELDS = ("frame.time_epoch", "ip.src", "ip.dst", "sip.Method", "sip.Status-Code", "sip.Call-ID")
ANALYSIS = (
    "import sys; from labtool.trace.analysis import analyse; a = analyse(sys.argv[1:]);"
    "assert a.calls and not a.findings, a.findings[:3]"
)


@dataclass(frozen=True)
class Cost:
    """CPU seconds and peak resident memory (MiB) of a command."""

    cpu: float
    memory: float


def measure(command: list[str]) -> Cost:
    """Raises CalledProcessError where it fails: the figures would be worth nothing."""
    with Path(os.devnull).open("w") as null:
        process = subprocess.Popen(command, stdout=null, stderr=null)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def commands(path: Path, copy: Path, *, peers: bool) -> dict[str, list[str]]:
    """What is measured, by name; labtool first."""
    found = {
        "labtool": [sys.executable, "-c", ANALYSIS, str(path)],
        "labtool trace --json": [sys.executable, "-m", "labtool", "trace", "--json", str(path)],
    }
    if peers and shutil.which("tshark"):
        columns = [part for field in FIELDS for part in ("-e", field)]
        found["tshark"] = ["tshark", "-r", str(path), "-Ysip", "-Tfields", *columns]
    if peers and shutil.which("sngrep"):
        found["sngrep"] = ["sngrep", "-N", "-q", "-I", str(path), "-O", str(copy)]
    return found


def report(name: str, costs: dict[str, list[Cost]], packets: int) -> None:
    """A line for each command: medians, and how much faster labtool is, pair by pair."""
    for command, runs in costs.items():
        cpu = statistics.median(run.cpu for run in runs)
        memory = max(run.memory for run in runs)
        line = (
            f"  {command:22}{cpu:8.2f} s CPU{cpu / packets * 1e6:7.1f} us a packet{memory:7.0f} MiB"
        )
        if command == "labtool trace --json" and name in LIMITS:
            line += f"  (asked {LIMITS[name]})"
        if command in ASKED:
            pairs = zip(costs["labtool"], runs, strict=True)
            ratio = statistics.median(theirs.cpu / ours.cpu for ours, theirs in pairs)
            line += f"  labtool is {ratio:.2f} times as fast ({ASKED[command]})"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--media-calls", type=int, default=2_000)
    parser.add_argument("--times", type=int, default=1, help="up to how many times that size")
    parser.add_argument("--runs", type=int, default=1, help="of each command, in turn")
    parser.add_argument("--peers", action="store_true")
    options = parser.parse_args()
    sizes = [size for size in (1, 3) if size < options.times] + [options.times]
    with tempfile.TemporaryDirectory() as folder:
        path, copy = Path(folder) / "calls.pcap", Path(folder) / "copy.pcap"
        for name, calls, rtp in (
            ("signalling", options.calls, 0),
            ("media", options.media_calls, 103),
        ):
            for times in sizes:
                writer = Writer(path)
                for number in range(calls * times):
                    call(writer, number, ice=not rtp, rtp=rtp)
                writer.file.close()
                size = path.stat().st_size / 1e6
                print(f"{name}: {calls * times} calls, {writer.packets} packets, {size:.0f} MB")
                measured = commands(path, copy, peers=options.peers)
                costs: dict[str, list[Cost]] = {command: [] for command in measured}
                for _ in range(options.runs):
                    for command, argv in measured.items():
                        costs[command].append(measure(argv))
                report(name if times == 1 else "", costs, writer.packets)


if __name__ == "__main__":
    main()
