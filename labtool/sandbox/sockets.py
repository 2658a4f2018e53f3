"""The sockets of the sandbox: opened as planned, their certificates renewed when they change."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable

from labtool.sandbox.listening import Point, cannot_enable, server_context, with_port
from labtool.sandbox.settings import Settings
from labtool.sip.flow import Address
from labtool.sip.transport import Transports
from labtool.sip.uri import SipUri

__all__ = ["Listeners"]


class Listeners:
    """Listens at points. `points` are those that it does, with their true ports."""

    def __init__(
        self, settings: Settings, transports: Transports, log: Callable[[str, str], object]
    ) -> None:
        self._settings = settings
        self._transports = transports
        self._log = log
        self._watched: list[tuple[ssl.SSLContext, Point, float]] = []

    def open(self, planned: list[Point]) -> list[Point]:
        """The points with the ports that they got. Raises SandboxRefusal as Flexisip would."""
        opened: list[Point] = []
        shared: dict[tuple[str, str], int] = {}  # one free port for the sockets of one transport
        for point in planned:
            context = None
            if point.certificate is not None:
                context, warning = server_context(point.certificate, self._settings)
                self._watched.append((context, point, _changed(point)))
                if warning:
                    self._log("warning", f"{point.uri}: {warning}")
            number = point.bind.port or shared.get((point.uri, point.bind.host), 0)
            try:
                address = self._listen(point, number, context)
            except OSError as error:
                reason = os.strerror(error.errno or errno.EINVAL)
                if (
                    number and number != SipUri.parse(point.uri).port
                ):  # another than the file's, or its default
                    reason += f" (port {number})"
                raise cannot_enable(self._settings.release, point.uri, reason) from error
            shared[point.uri, point.bind.host] = address.port
            opened.append(with_port(point, address))
        return opened

    def _listen(self, point: Point, port: int, context: ssl.SSLContext | None) -> Address:
        if point.bind.port == 0 and port == 0 and point.transport == "udp":
            port = _free_port(point.bind.host)
        return self._transports.listen(point.transport, point.bind.host, port, tls=context)

    def renew(self) -> None:
        """A certificate that has changed serves the next connection, without a restart."""
        self._watched = [self._renewed(*watched) for watched in self._watched]

    def _renewed(
        self, context: ssl.SSLContext, point: Point, seen: float
    ) -> tuple[ssl.SSLContext, Point, float]:
        changed = _changed(point)
        if changed != seen and point.certificate is not None:
            try:
                context.load_cert_chain(point.certificate.chain, point.certificate.key)
                self._log("message", f"{point.uri}: read {point.certificate.chain} again")
            except (OSError, ValueError) as error:
                self._log("warning", f"{point.uri}: {point.certificate.chain}: {error}")
        return context, point, changed


def _free_port(host: str) -> int:
    """A port that is free for TCP now, so that UDP and TCP can have the same one."""
    bind = Address(host, 0)
    with socket.socket(bind.family, socket.SOCK_STREAM) as sock:
        sock.bind(bind.sockaddr())
        return int(sock.getsockname()[1])


def _changed(point: Point) -> float:
    """When a point's certificate was last written; 0 for none."""
    try:
        return os.stat(point.certificate.chain).st_mtime if point.certificate else 0.0  # noqa: PTH116
    except OSError:
        return 0.0
