"""Which of a name's several addresses to use: the first behind which a server answers.

`localhost` is ::1 and 127.0.0.1 on most machines and a server often listens on one only; a name
with an AAAA record is asked from a machine without IPv6 (RFC 8305's idea, at our size); of the
servers that SRV names, one may be down, silent, or say 503 (RFC 3263 section 4.3).
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
from collections.abc import Sequence

from labtool.sip.flow import Address
from labtool.sip.loop import Loop
from labtool.sip.message import Request

# An answer takes well under this; a server that is silent for longer is not ruled out by it, only
# asked after those that answered.
_UDP_WAIT = 0.5
_TCP_WAIT = 2.0
REASONS = {
    "alive": "it answers",
    "unknown": "it is silent",
    "busy": "it says 503 Service Unavailable",
    "dead": "nothing listens there, or there is no way to it",
}
_RANK = {state: rank for rank, state in enumerate(REASONS)}


def in_order(loop: Loop, transport: str, addresses: Sequence[Address]) -> dict[Address, str]:
    """`addresses`, those first where a server answers, with what each does (REASONS). A single one
    is not looked at."""
    if len(addresses) < 2:
        return dict.fromkeys(addresses, "unknown")
    states = dict.fromkeys(addresses, "unknown")
    socks = [_knock(loop, transport, address, states) for address in addresses]
    wait = _UDP_WAIT if transport == "udp" else _TCP_WAIT

    def decided() -> bool:
        for address in addresses:
            if states[address] in ("alive", "unknown"):
                return states[address] == "alive"
        return True

    loop.run_until(decided, wait)
    for sock in socks:
        if sock is not None:
            loop.remove_reader(sock)
            loop.remove_writer(sock)
            sock.close()
    return dict(sorted(states.items(), key=lambda item: _RANK[item[1]]))


def _knock(
    loop: Loop, transport: str, address: Address, states: dict[Address, str]
) -> socket.socket | None:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    try:
        sock = socket.socket(address.family, kind)
    except OSError:
        states[address] = "dead"
        return None
    sock.setblocking(False)

    def look() -> None:
        try:
            if transport == "udp":
                states[address] = "busy" if b" 503 " in sock.recv(65536)[:12] else "alive"
            else:
                number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                states[address] = "dead" if number else "alive"
        except OSError:
            states[address] = "dead"
        loop.remove_reader(sock)
        loop.remove_writer(sock)

    try:
        number = sock.connect_ex(address.sockaddr())
        if number not in (0, errno.EINPROGRESS):
            raise OSError(number, os.strerror(number))
        if transport == "udp":
            sock.send(_question(Address.of(sock.getsockname()), address))
            loop.add_reader(sock, look)
        else:
            loop.add_writer(sock, look)
    except OSError:
        states[address] = "dead"
    return sock


def _question(local: Address, remote: Address) -> bytes:
    """An OPTIONS that goes no further than to the server itself: Max-Forwards is 0."""
    request = Request(
        "OPTIONS",
        f"sip:{remote}",
        [
            ("Via", f"SIP/2.0/UDP {local};rport;branch=z9hG4bK{secrets.token_hex(8)}"),
            ("Max-Forwards", "0"),
            ("From", f"<sip:probe@{remote}>;tag={secrets.token_hex(5)}"),
            ("To", f"<sip:{remote}>"),
            ("Call-ID", secrets.token_hex(12)),
            ("CSeq", "1 OPTIONS"),
        ],
    )
    return request.to_bytes()
