"""Fuzz for a while, and say how many inputs there were.

    python -m fuzz [--seconds 60] [--findings DIR]

Needs atheris (`pip install atheris`). Exit code 0: nothing was found; 1: an input that breaks a
promise, a hang or growth was found and is kept in DIR; 2: atheris is missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# An input that takes longer, in seconds, or a process that grows to more, in MB, is a finding.
HANG, GROWTH = 5, 1024

SEEDS = (
    "REGISTER sip:a.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport\r\n"
    'From: "A" <sip:a@a.example>;tag=1\r\nTo: <sip:a@a.example>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n'
    "Max-Forwards: 70\r\nContact: <sip:a@192.0.2.1>;expires=60, *\r\n"
    'Authorization: Digest username="a", realm="a.example", nonce="n", uri="sip:a.example", '
    'response="00", algorithm=SHA-256, qop=auth, nc=00000001, cnonce="c"\r\nContent-Length: 0\r\n\r\n',
    "SIP/2.0 401 Unauthorized\r\nv: SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bK2;received=192.0.2.9\r\n"
    "f: <sip:a@a.example>;tag=1\r\nt: <sip:a@a.example>;tag=2\r\ni: 1\r\nCSeq: 1 REGISTER\r\n"
    'WWW-Authenticate: Digest realm="a", nonce="n", algorithm=MD5, qop="auth,auth-int"\r\nl: 0\r\n\r\n',
    "INVITE sip:b@a.example;transport=tcp?x=y SIP/2.0\r\nVia: SIP/2.0/TLS a.example\r\n"
    "Record-Route: <sip:p.example;lr>\r\nFrom: sip:a@a.example;tag=1\r\nTo: tel:+1-201-555-0123\r\n"
    "Call-ID: 2\r\nCSeq: 1 INVITE\r\nSubject: folded\r\n line\r\nContent-Type: application/sdp\r\n"
    "Content-Length: 126\r\n\r\nv=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\n"
    "t=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n\r\n\r\n\r\n",
    "\x80\x00\x00\x01\x00\x00\x00\xa0\x00\x00\x00\x01sound",
)


def main() -> int:
    """Run libFuzzer in a process of its own, for it never returns."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long (default %(default)s)")
    parser.add_argument(
        "--findings", type=Path, default=ROOT / "build" / "fuzz", help="where inputs are kept"
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options, rest = parser.parse_known_args()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is missing: pip install atheris", file=sys.stderr)
        return 2
    if options.worker:
        return _work(rest)
    options.findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        return _watch(options.seconds, options.findings, Path(folder))


def _work(arguments: list[str]) -> int:
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

    with atheris.instrument_imports(include=["labtool"]):
        from fuzz import target
    atheris.Setup([sys.argv[0], *arguments], target.one_input)
    atheris.Fuzz()
    return 0


def _watch(seconds: int, findings: Path, corpus: Path) -> int:
    for number, seed in enumerate(SEEDS):
        (corpus / f"seed{number}").write_bytes(seed.encode("latin-1"))
    torture = ROOT.parent / "shared" / "data" / "torture"
    for file in sorted(torture.glob("rfc*/*.dat")):
        (corpus / file.name).write_bytes(file.read_bytes())
    command = [sys.executable, "-m", "fuzz", "--worker", f"-max_total_time={seconds}"]
    command += [f"-timeout={HANG}", f"-rss_limit_mb={GROWTH}", "-max_len=8192"]
    command += [f"-artifact_prefix={findings}/", str(corpus)]
    done = subprocess.run(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, errors="replace", check=False
    )
    counted = [int(n) for n in re.findall(r"^Done (\d+) runs", done.stderr, re.MULTILINE)]
    counted += [int(n) for n in re.findall(r"^#(\d+)\b", done.stderr, re.MULTILINE)]
    inputs = max(counted, default=0)
    if done.returncode:
        print(done.stderr[-6000:], file=sys.stderr)
        print(f"{inputs:,} inputs, and one that must not be; it is in {findings}")
        return 1
    covered = re.findall(r"cov: (\d+)", done.stderr)
    print(
        f"{inputs:,} inputs in {seconds} s, {covered[-1] if covered else '?'} branches reached: "
        "no crash, no hang, no growth"
    )
    return 0 if inputs else 1


if __name__ == "__main__":
    sys.exit(main())
