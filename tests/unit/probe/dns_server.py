"""A DNS server on loopback that answers from a zone given as text."""

from __future__ import annotations

import socket
import threading
from collections import Counter

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from labtool.sip.flow import Address


class DnsServer:
    """`zone` is {(name, type): [record, ...]}; a name that is not there is NXDOMAIN.

    `mute` answers nothing, `broken` answers SERVFAIL. `asked` counts the questions.
    """

    def __init__(
        self, zone: dict[tuple[str, str], list[str]], *, mute: bool = False, broken: bool = False
    ) -> None:
        self.zone = zone
        self.mute = mute
        self.broken = broken
        self.asked: Counter[tuple[str, str]] = Counter()
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> Address:
        return Address.of(self._sock.getsockname())

    def stop(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"stop", self._sock.getsockname())
        self._thread.join(5)
        self._sock.close()

    def _serve(self) -> None:
        while True:
            data, peer = self._sock.recvfrom(4096)
            if data == b"stop":
                return
            query = dns.message.from_wire(data)
            question = query.question[0]
            name = question.name.to_text(omit_final_dot=True)
            kind = dns.rdatatype.to_text(question.rdtype)
            self.asked[(name, kind)] += 1
            if self.mute:
                continue
            response = dns.message.make_response(query)
            response.flags |= dns.flags.AA | dns.flags.RA
            if self.broken:
                response.set_rcode(dns.rcode.SERVFAIL)
            elif (name, kind) in self.zone:
                found = dns.rrset.from_text(
                    question.name, 300, "IN", kind, *self.zone[(name, kind)]
                )
                response.answer.append(found)
            elif not any(one == name or one.endswith(f".{name}") for one, _ in self.zone):
                response.set_rcode(dns.rcode.NXDOMAIN)
            self._sock.sendto(response.to_wire(), peer)
