"""100,000 accounts: `labtool lint` of users.db.txt, and rendering it; CPU seconds and memory.

Each is a process of its own. Rendering is what the role does with the accounts once Ansible has read
them: sorted, through the template, and checked by the server's grammar. The limits: 2 s and 200 MB.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ACCOUNTS = 100_000
LIMIT_S, LIMIT_MB = 2.0, 200.0

RENDER = """
import sys
from labtool import expectation, rendering
# Hashes are opaque to whoever renders them, so a number of the right length will do.
accounts = {
    f"user{i}": {"domain": "sip.example.test", "md5": f"{i:032x}", "sha256": f"{i:064x}"}
    for i in range(int(sys.argv[1]))
}
entries = rendering.entries(accounts)
text = expectation.render("users.db.txt.j2", {"flexisip_users_entries": entries})
open(sys.argv[2], "w").write(rendering.users_file(text, "2.5.2"))
"""


def main() -> int:
    """Prints both; 1 where one is over a limit."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "users.db.txt"
        rendered = measured([sys.executable, "-c", RENDER, str(ACCOUNTS), str(file)])
        linted = measured([sys.executable, "-m", "labtool", "lint", str(file)])
    over = False
    for name, (seconds, megabytes) in (("render", rendered), ("lint", linted)):
        over |= seconds > LIMIT_S or megabytes > LIMIT_MB
        print(f"{name} {ACCOUNTS} accounts: {seconds:.2f} CPU s, {megabytes:.0f} MB")
    print(f"limits: {LIMIT_S:.0f} CPU s, {LIMIT_MB:.0f} MB: {'over' if over else 'held'}")
    return 1 if over else 0


def measured(command: Sequence[str]) -> tuple[float, float]:
    """CPU seconds and greatest resident megabytes of a process, start-up included."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
