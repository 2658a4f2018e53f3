"""A name server on loopback with a small zone, and a command that asks it and no other."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import pytest

# resolv.conf(5) names no port, so that it has to be 53: on an address that nobody else listens on.
_ADDRESS = "127.0.53.7"
_IN_PLACE = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'

Zone = Mapping[tuple[str, str], str]


class NameServer:
    """Answers from `zone`, {(name, type): record}; anything else is no name. A context manager.

    `before`: the words before a command by which that, and nothing else here, asks this server.
    """

    def __init__(self, zone: Zone, folder: Path) -> None:
        can = os.geteuid() == 0 and shutil.which("unshare")
        if not can or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
            pytest.skip("needs root and unshare, to give one command another resolv.conf")
        self._zone = {(f"{name}.", kind): record for (name, kind), record in zone.items()}
        file = folder / "resolv.conf"
        file.write_text(f"nameserver {_ADDRESS}\n")
        self.before = ("unshare", "-m", "sh", "-c", _IN_PLACE, "sh", str(file))

    def __enter__(self) -> NameServer:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((_ADDRESS, 53))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        import dns.message
        import dns.rcode
        import dns.rrset

        while True:
            data, peer = self._socket.recvfrom(4096)
            if not data:
                return
            query = dns.message.from_wire(data)
            answer = dns.message.make_response(query)
            question = query.question[0]
            name, kind = str(question.name).lower(), question.rdtype.name
            if (name, kind) in self._zone:
                record = dns.rrset.from_text(question.name, 5, "IN", kind, self._zone[name, kind])
                answer.answer.append(record)
            elif not any(known == name for known, _ in self._zone):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            self._socket.sendto(answer.to_wire(), peer)
