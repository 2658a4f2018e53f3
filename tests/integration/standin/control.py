"""The control socket of Flexisip, /tmp/flexisip-proxy-PID, and its flexisip_cli.py: one question."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from labtool.flexisip.releases import version
from labtool.sandbox.server import Sandbox

# Since when REGISTRAR_DUMP lists who is registered; before, some releases list nobody.
LISTS = (2, 5, 0)

CLI = """\
#!/usr/bin/python3
import pathlib, socket, sys

pid = pathlib.Path("/var/run/flexisip-proxy.pid").read_text().strip()
line = socket.socket(socket.AF_UNIX)
line.settimeout(1)
try:
    line.connect("/tmp/flexisip-proxy-" + pid)
    line.send(sys.argv[-1].encode())
    print(line.recv(65535).decode())
except OSError as error:
    print("error: could not connect to the socket:", error, file=sys.stderr)
"""


class Control:
    """Answers on the socket, in the sandbox's own loop."""

    def __init__(self, sandbox: Sandbox, release: str) -> None:
        self._sandbox, self._lists = sandbox, version(release) >= LISTS
        self._path = Path(f"/tmp/flexisip-proxy-{os.getpid()}")
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self._path))
        self._path.chmod(0o750)
        self._socket.listen()
        sandbox.loop.add_reader(self._socket, self._asked)

    def _asked(self) -> None:
        line, _ = self._socket.accept()
        with line:
            line.settimeout(1)
            asked = line.recv(4096).decode(errors="replace").strip()
            line.sendall(self._answer(asked).encode())

    def _answer(self, asked: str) -> str:
        if asked != "REGISTRAR_DUMP":
            return f"Error: unknown command {asked.split(' ')[0]}"
        now = self._sandbox.registrar
        return json.dumps({"aors": sorted(now._bindings) if self._lists else []}, indent="\t")
