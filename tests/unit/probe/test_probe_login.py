"""Which challenge a request answers."""

from __future__ import annotations

from labtool.probe import Account
from labtool.probe.login import Login
from labtool.sip.digest import Challenge, Password
from labtool.sip.message import Request, Response, response_to

DOMAIN = "sip.example.test"


def request(method: str) -> Request:
    return Request(
        method,
        f"sip:{DOMAIN}",
        [
            ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
            ("From", f"<sip:alice@{DOMAIN}>;tag=1"),
            ("To", f"<sip:alice@{DOMAIN}>"),
            ("Call-ID", "1"),
            ("CSeq", f"1 {method}"),
        ],
    )


def challenge(method: str, status: int) -> Response:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    value = str(Challenge(DOMAIN, f"nonce of {method}"))
    return response_to(request(method), status, headers=[(name, value)])


def test_the_challenge_of_the_registrar_signs_the_next_register_too() -> None:
    login = Login(Account("alice", DOMAIN, Password("wonderland")))
    login.take(challenge("REGISTER", 401))
    for _ in range(2):
        asked = request("REGISTER")
        assert login.sign(asked) is not None
        assert "nonce of REGISTER" in (asked.headers.get("Authorization") or "")


def test_the_challenge_of_the_proxy_does_not_sign_a_register() -> None:
    login = Login(Account("alice", DOMAIN, Password("wonderland")))
    login.take(challenge("INVITE", 407))
    asked = request("REGISTER")
    assert login.sign(asked) is None
    assert not asked.headers.lines("Proxy-Authorization")
    assert login.sign(request("BYE")) is not None


def test_the_challenge_of_the_registrar_does_not_sign_a_call() -> None:
    login = Login(Account("alice", DOMAIN, Password("wonderland")))
    login.take(challenge("REGISTER", 401))
    assert login.sign(request("INVITE")) is None
