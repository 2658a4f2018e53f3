"""What the tests of the probe share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_server import FakeServer, Relay

from labtool.probe.session import Setting
from labtool.sip.flow import Packet
from labtool.sip.loop import Loop
from labtool.sip.timers import Timers


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def seen() -> list[Packet]:
    return []


@pytest.fixture
def setting(loop: Loop, seen: list[Packet]) -> Setting:
    """Impatient: a step waits 0.5 s, the first repetition comes after 0.08 s."""
    return Setting(timeout=0.5, tap=seen.append, loop=loop, timers=Timers(t1=0.08))


@pytest.fixture
def fake(loop: Loop) -> Iterator[Callable[..., FakeServer]]:
    servers: list[FakeServer] = []

    def make(kind: type[FakeServer] = FakeServer, **how: Any) -> FakeServer:
        server = kind(loop, **how).start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def relay(loop: Loop) -> Iterator[Callable[..., Relay]]:
    made: list[Relay] = []

    def make(**how: Any) -> Relay:
        made.append(Relay(loop, **how))
        return made[-1]

    yield make
    for one in made:
        one.close()
