"""Whatever a server sends, a check ends in a Result."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from fake_server import FakeProxy, FakeServer

from labtool.probe import Account, Result, lines
from labtool.probe.capabilities import options
from labtool.probe.phonecall import call
from labtool.probe.registration import register
from labtool.probe.session import Setting
from labtool.sip.digest import Password
from labtool.sip.loop import Loop
from labtool.sip.message import Message, Request, Response
from labtool.sip.timers import Timers

DOMAIN = "sip.example.test"
ALICE = Account("alice", DOMAIN, Password("wonderland"))
BOB = Account("bob", DOMAIN, Password("builder"))
RUBBISH = ["", "<", "<<<>>>", '"', ";;;", "sip:", "<sip:@>", "\x00\x1b[1m", "ü" * 90, "-1", "*"]

Fake = Callable[..., Any]


@pytest.fixture
def hasty(loop: Loop) -> Setting:
    return Setting(timeout=0.05, loop=loop, timers=Timers(t1=0.02))


def garbled(data: bytes, dice: random.Random) -> bytes:
    """One line of it becomes something else; the lines that find the transaction stay."""
    rows = data.split(b"\r\n")
    free = [n for n, row in enumerate(rows) if n and not row.startswith((b"Via", b"CSeq"))]
    n = dice.choice(free)
    name, _, value = rows[n].partition(b":")
    kind = dice.randrange(4)
    if kind == 0:
        rows[n] = name + b": " + dice.choice(RUBBISH).encode()
    elif kind == 1:
        at = dice.randrange(len(value) + 1)
        rows[n] = name + b":" + value[:at] + dice.randbytes(3) + value[at + 1 :]
    elif kind == 2:
        rows[n] = name + b":" + value[: dice.randrange(len(value) + 1)]
    else:
        del rows[n]
    return b"\r\n".join(rows)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_garbled_answer_is_a_result_and_no_crash(
    fake: Fake, hasty: Setting, transport: str
) -> None:
    dice = random.Random(7)

    def answer(server: FakeServer, _transaction: Any, request: Request) -> Response | None:
        response = server.usual(request)
        assert response is not None
        server.flows[-1].send(garbled(response.to_bytes(), dice))
        return None

    server = fake(transport=transport, answer=answer)
    account = Account("alice", DOMAIN, Password("wonderland"), transport)
    for _ in range(25):
        for result in (
            options(server.target, transport, hasty),
            register(server.target, account, hasty),
        ):
            assert isinstance(result, Result)
            assert all(line.isprintable() for line in lines(result))


HEADERS = ["From", "To", "Contact", "Record-Route", "Content-Type", "Call-ID", "Max-Forwards"]


@pytest.mark.parametrize("to", ["caller", "callee"])
@pytest.mark.parametrize("header", HEADERS)
def test_a_call_through_a_server_that_garbles_a_header_ends_in_a_result(
    fake: Fake, hasty: Setting, header: str, to: str
) -> None:
    rubbish = [word for word in RUBBISH if "\x00" not in word]

    for word in rubbish[:3]:

        def change(message: Message, side: str, word: str = word) -> None:
            if side == to and message.cseq[1] == "INVITE":
                message.headers.set(header, word)

        server = fake(FakeProxy, change=change)
        result = call(server.target, ALICE, BOB, hasty, seconds=0.02)
        assert isinstance(result, Result)
        assert all(line.isprintable() for line in lines(result))


@pytest.mark.parametrize("to", ["caller", "callee"])
def test_a_call_through_a_server_that_garbles_the_sdp_ends_in_a_result(
    fake: Fake, hasty: Setting, to: str
) -> None:
    dice = random.Random(3)

    def rewrite(body: bytes, side: str) -> bytes:
        if side != to:
            return body
        at = dice.randrange(len(body))
        return body[:at] + dice.randbytes(2) + body[at + dice.randrange(25) :]

    server = fake(FakeProxy, rewrite=rewrite)
    for _ in range(12):
        result = call(server.target, ALICE, BOB, hasty, seconds=0.02)
        assert isinstance(result, Result)
        assert all(line.isprintable() for line in lines(result))
