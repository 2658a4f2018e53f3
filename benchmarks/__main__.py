"""Every figure that the README and the issues name: `make bench`, or some by name.

python -m benchmarks                 all
python -m benchmarks startup deploy  these
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Run each script by itself, so that none weighs on another. Returns how many failed."""
    known = {file.stem.removeprefix("bench_"): file for file in sorted(HERE.glob("bench_*.py"))}
    wanted = sys.argv[1:] or list(known)
    failed = 0
    for name in wanted:
        if name not in known:
            print(f"There is no benchmark {name}; there are: {', '.join(known)}", file=sys.stderr)
            return 2
        print(f"== {name}", flush=True)
        failed += (
            subprocess.run(
                [sys.executable, "-m", f"benchmarks.bench_{name}"], check=False
            ).returncode
            != 0
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
