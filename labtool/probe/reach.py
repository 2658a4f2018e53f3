"""Which of a name's several addresses to use: the first behind which something listens.

`localhost` is ::1 and 127.0.0.1 on most machines and a server often listens on one only; a name
with an AAAA record is asked from a machine without IPv6. (RFC 8305's idea, at our size.)
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence

from labtool.sip.flow import Address
from labtool.sip.loop import Loop

# A refusal on a local network takes well under this; a server that is merely far away is not
# ruled out by it, only preferred in the resolver's order.
_UDP_WAIT = 0.1
_TCP_WAIT = 2.0
_KEEP_ALIVE = b"\r\n\r\n"  # RFC 5626 section 3.5.1; servers ignore it


def in_order(loop: Loop, transport: str, addresses: Sequence[Address]) -> list[Address]:
    """`addresses` with those first that may listen; a single one is not looked at."""
    if len(addresses) < 2:
        return list(addresses)
    states = dict.fromkeys(addresses, "unknown")
    socks = [_knock(loop, transport, address, states) for address in addresses]
    wait = _UDP_WAIT if transport == "udp" else _TCP_WAIT

    def decided() -> bool:
        for address in addresses:
            if states[address] != "dead":
                return states[address] == "alive"
        return True

    loop.run_until(decided, wait)
    for sock in socks:
        if sock is not None:
            loop.remove_reader(sock)
            loop.remove_writer(sock)
            sock.close()
    rank = {"alive": 0, "unknown": 1 if transport != "udp" else 0, "dead": 2}
    return sorted(addresses, key=lambda address: rank[states[address]])


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
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        states[address] = "dead" if number else "alive"
        loop.remove_reader(sock)
        loop.remove_writer(sock)

    try:
        number = sock.connect_ex(address.sockaddr())
        if number not in (0, errno.EINPROGRESS):
            raise OSError(number, os.strerror(number))
        if transport == "udp":
            sock.send(_KEEP_ALIVE)
            loop.add_reader(sock, look)
        else:
            loop.add_writer(sock, look)
    except OSError:
        states[address] = "dead"
    return sock
