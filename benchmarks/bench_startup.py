"""`labtool --help` against `python3 -c pass`: the figure is the ratio, at most 8."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.paired import paired, ratio, report

LIMIT = 8.0


def main() -> int:
    """Prints the ratio; 1 where it is over the limit."""
    labtool = str(Path(sys.executable).parent / "labtool")

    def ours() -> None:
        subprocess.run([labtool, "--help"], stdout=subprocess.DEVNULL, check=True)

    def theirs() -> None:
        subprocess.run([sys.executable, "-c", "pass"], check=True)

    mine, bare = paired(ours, theirs, 15, warm_up=2)
    report("labtool --help", mine)
    report("python3 -c pass", bare)
    found = ratio(mine, bare)
    print(f"{'ratio':<34} {found:.1f} (at most {LIMIT:.0f})")
    return found > LIMIT


if __name__ == "__main__":
    sys.exit(main())
