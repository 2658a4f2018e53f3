"""What the sandbox bears: authenticated REGISTER/s from SIPp, and memory.

    python -m benchmarks.bench_sandbox.py [--seconds 10] [--rates 1000,2500,4000] [--minutes 0]

A rate is clean when nothing was repeated and nothing failed. Beside it stands what one registration
costs the sandbox in CPU time, which other work on the machine does not change much. `--minutes`
goes on at the highest clean rate and shows whether memory stays flat.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks.sipp import Sipp, shown
from tests.integration.peers import DOMAIN, SandboxProcess

USERS = {f"user{number}": f"secret{number}" for number in range(1000)}
TARGET, AIM, MEMORY = 2500, 4000, 40.0


def cpu(process: SandboxProcess) -> float:
    """CPU seconds so far."""
    fields = Path(f"/proc/{process.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rates", default="1000,2000,2500,3000,3500,4000,4500")
    parser.add_argument("--minutes", type=float, default=0.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.seconds, options.rates, options.minutes)


def measure(folder: Path, seconds: float, rates: str, minutes: float) -> None:
    sipp = Sipp(folder / "sipp", DOMAIN, USERS)
    with SandboxProcess(
        folder / "sandbox", passwords=USERS, algorithms="MD5", log=False
    ) as sandbox:
        port = sandbox.ports["udp"]
        print(f"sandbox, idle: {sandbox.memory():.1f} MB")
        sipp.round(port, 250, len(USERS) / 250)
        memory = sandbox.memory()
        print(f"with {len(USERS):,} registered users: {memory:.1f} MB (at most {MEMORY:.0f})")
        best = 0.0
        for rate in map(float, rates.split(",")):
            for _ in range(2):
                before = cpu(sandbox)
                made = sipp.round(port, rate, seconds)
                cost = (cpu(sandbox) - before) / max(made.succeeded, 1)
                print(
                    f"{shown(made)}; sandbox {cost * 1e6:,.0f} us each, "
                    f"{1 / max(cost, 1e-9):,.0f}/s a core, {sandbox.memory():.1f} MB",
                    flush=True,
                )
                if made.clean:
                    break
            if not made.clean:
                break
            best = rate
        print(f"highest clean rate tried: {best:,.0f}/s (target {TARGET:,}, aim {AIM:,})")
        for minute in range(int(minutes)):
            sipp.round(port, best or 500, 60)
            print(f"after {minute + 1} min at {best or 500:,.0f}/s: {sandbox.memory():.1f} MB")


if __name__ == "__main__":
    main()
