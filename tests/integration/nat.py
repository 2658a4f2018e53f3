"""A 1:1 NAT in small, as clouds have one: an address that is not the host's own and leads to it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable


class Forwarder:
    """What comes to `address` goes to the host: SSH on 2222, SIP on 5060 (UDP and TCP)."""

    def __init__(self, address: str, host: str) -> None:
        self._host = host
        self._open: list[socket.socket] = []
        for port, to in ((2222, 22), (5060, 5060)):
            listener = socket.create_server((address, port))
            self._open.append(listener)
            self._spawn(self._accept, listener, to)
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((address, 5060))
        self._open.append(self._udp)
        self._spawn(self._datagrams)

    def close(self) -> None:
        """Give the ports back, so that another may have them at once."""
        for one in self._open:
            # A thread waits in it, and holds the socket until that wakes.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _spawn(self, run: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=run, args=arguments, daemon=True).start()

    def _accept(self, listener: socket.socket, port: int) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection((self._host, port), 10)
            except OSError:
                return
            self._spawn(self._pump, near, far)
            self._spawn(self._pump, far, near)

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                sink.sendall(block)
            sink.shutdown(socket.SHUT_WR)

    def _datagrams(self) -> None:
        inside: dict[object, socket.socket] = {}
        while True:
            try:
                data, peer = self._udp.recvfrom(65536)
            except OSError:
                return
            if not data:
                continue
            if peer not in inside:
                inside[peer] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                inside[peer].connect((self._host, 5060))
                self._spawn(self._back, inside[peer], peer)
            inside[peer].send(data)

    def _back(self, inside: socket.socket, peer: tuple[str, int]) -> None:
        while True:
            try:
                self._udp.sendto(inside.recv(65536), peer)
            except OSError:
                return
