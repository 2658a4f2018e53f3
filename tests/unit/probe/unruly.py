"""A way to a server on which datagrams are lost, doubled, late and out of order."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable

from labtool.sip.loop import Loop

LOOPBACK = "127.0.0.1"


class Unruly:
    """Between its `target` and the server at `port`, both of loopback, over UDP.

    `loss` and `doubled` are shares of the datagrams, `late` the longest delay in seconds: one that
    was sent later may arrive first. The server sees one address of ours for each client.
    """

    def __init__(
        self, loop: Loop, port: int, *, loss: float, doubled: float, late: float, seed: int = 1
    ) -> None:
        self._loop, self._server = loop, (LOOPBACK, port)
        self._loss, self._doubled, self._late = loss, doubled, late
        self._dice = random.Random(seed)
        self._inner: dict[tuple[str, int], socket.socket] = {}
        self._outer = self._open(self._from_client)
        self.lost = self.sent = 0

    @property
    def target(self) -> str:
        return "{}:{}".format(*self._outer.getsockname())

    def _open(self, take: Callable[[bytes, tuple[str, int]], None]) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((LOOPBACK, 0))
        self._loop.add_reader(sock, lambda: take(*sock.recvfrom(65536)))
        return sock

    def _from_client(self, data: bytes, client: tuple[str, int]) -> None:
        inner = self._inner.get(client)
        if inner is None:
            inner = self._inner[client] = self._open(
                lambda data, _: self._pass(data, self._outer, client)
            )
        self._pass(data, inner, self._server)

    def _pass(self, data: bytes, sock: socket.socket, to: tuple[str, int]) -> None:
        for _ in range(2 if self._dice.random() < self._doubled else 1):
            if self._dice.random() < self._loss:
                self.lost += 1
                continue
            self.sent += 1
            delay = self._dice.random() * self._late
            self._loop.call_later(delay, self._send, data, sock, to)

    @staticmethod
    def _send(data: bytes, sock: socket.socket, to: tuple[str, int]) -> None:
        if sock.fileno() >= 0:
            sock.sendto(data, to)

    def close(self) -> None:
        for sock in (self._outer, *self._inner.values()):
            self._loop.remove_reader(sock)
            sock.close()
