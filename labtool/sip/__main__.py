"""`python -m labtool.sip check FILE...`: what a server should make of each file's message.

One line of JSON a file: `file`, `parse` ("accept" or "reject": whether it is well formed), `status`
(what a server should answer, null for nothing wrong or nothing to answer), `reason`.
FILE "-" is standard input. Exit 0, or 2 where a file cannot be read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from labtool.sip.validation import verdict

USAGE = "usage: python -m labtool.sip check FILE..."


def check(path: str) -> str:
    """The line for one file, each of which holds a datagram; OSError where it cannot be read."""
    found = verdict(sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes())
    return json.dumps(
        {
            "file": path,
            "parse": "accept" if found.accept else "reject",
            "status": found.status,
            "reason": f"drop: {found.reason}" if found.drop else found.reason,
        }
    )


def main(arguments: list[str]) -> int:
    """Run the command; its exit code."""
    if {"-h", "--help"} & set(arguments[:2]):
        print(__doc__)
        return 0
    if len(arguments) < 2 or arguments[0] != "check":
        print(USAGE, file=sys.stderr)
        return 2
    code = 0
    for path in arguments[1:]:
        try:
            print(check(path))
        except OSError as error:
            print(f"{path}: {error.strerror}", file=sys.stderr)
            code = 2
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
