"""Digest authentication against the RFCs' vectors and against itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.sip.digest import (
    ALGORITHMS,
    Challenge,
    Credentials,
    Ha1,
    Password,
    answer,
    challenges,
    ha1,
    verify,
)
from labtool.sip.errors import ParseError, SipError

# RFC 2617 section 3.5, RFC 7616 sections 3.9.1 and 3.9.2 (the last as erratum 4897 corrects it).
_RFC7616 = (
    "Mufasa",
    "http-auth@example.org",
    "Circle of Life",
    "/dir/index.html",
    "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
)
_VECTORS = [
    (*_RFC7616, "MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    (
        *_RFC7616,
        "SHA-256",
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    ),
    (
        "Mufasa",
        "testrealm@host.com",
        "Circle Of Life",
        "/dir/index.html",
        "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "0a4f113b",
        "MD5",
        "6629fae49393a05397450978507c4ef1",
    ),
    (
        "Jäsøn Doe",
        "api@example.org",
        "Secret, or not?",
        "/doe.json",
        "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        "SHA-512-256",
        "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5",
    ),
]


@pytest.mark.parametrize("vector", _VECTORS)
def test_the_vectors_of_the_rfcs_hold(vector: tuple[str, ...]) -> None:
    username, realm, password, uri, nonce, cnonce, algorithm, response = vector
    credentials = answer(
        [Challenge(realm, nonce, algorithm)],
        method="GET",
        uri=uri,
        username=username,
        secret=Password(password),
        cnonce=cnonce,
    )
    assert credentials.response == response
    stored = ha1(username, realm, password, algorithm)
    assert verify(credentials, method="GET", ha1=stored)
    assert not verify(credentials, method="PUT", ha1=stored)


def test_the_recorded_vectors_hold(shared: Path) -> None:
    for vector in json.loads((shared / "data/torture/digest-vectors.json").read_text()):
        credentials = answer(
            [Challenge(vector["realm"], vector["nonce"], vector["alg"], (vector["qop"],))],
            method=vector["method"],
            uri=vector["uri"],
            username=vector["user"],
            secret=Password(vector["password"]),
            cnonce=vector["cnonce"],
            nc=int(vector["nc"], 16),
        )
        assert credentials.response == vector["response"], vector["src"]


_TEXT = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=12)


@given(
    _TEXT,
    _TEXT,
    _TEXT,
    st.sampled_from([*ALGORITHMS, "MD5-sess", "SHA-256-sess", "sha-512-256-SESS"]),
    st.sampled_from([(), ("auth",), ("auth-int",), ("auth-int", "auth")]),
    st.binary(max_size=8),
    st.integers(1, 0xFFFFFFFF),
)
def test_what_is_answered_is_verified_over_the_wire(
    username: str,
    realm: str,
    password: str,
    algorithm: str,
    qop: tuple[str, ...],
    body: bytes,
    nc: int,
) -> None:
    offered = Challenge.parse(str(Challenge(realm, "n0nce", algorithm, qop, 'opaque, "x"')))
    assert (offered.realm, offered.qop, offered.algorithm) == (realm, qop, algorithm)
    sent = answer(
        [offered],
        method="REGISTER",
        uri="sip:lab.example",
        username=username,
        secret=Password(password),
        body=body,
        nc=nc,
    )
    got = Credentials.parse(str(sent))
    assert got == sent
    stored = ha1(username, realm, password, algorithm)
    assert verify(got, method="REGISTER", ha1=stored, body=body)
    wrong = ha1(username, realm, password + "x", algorithm)
    assert not verify(got, method="REGISTER", ha1=wrong, body=body)
    if got.qop == "auth-int":
        assert not verify(got, method="REGISTER", ha1=stored, body=body + b"x")
    if got.nc is not None:
        assert not verify(got.replace(nc_text="00000000"), method="REGISTER", ha1=stored, body=body)


def _offers(*algorithms: str) -> list[Challenge]:
    return [Challenge("lab", f"n-{name}", name) for name in algorithms]


@pytest.mark.parametrize(
    ("offered", "secret", "taken"),
    [
        (("MD5", "SHA-256"), Password("x"), "SHA-256"),
        (("SHA-512-256", "MD5", "SHA-256"), Password("x"), "SHA-512-256"),
        (("SHA-256", "MD5"), Ha1({"MD5": "0" * 32}), "MD5"),
        (("md5", "sha-256"), Ha1({"md5": "0" * 32, "sha-256": "0" * 64}), "sha-256"),
        (("MD5", "SHA-999"), Password("x"), "MD5"),
    ],
)
def test_the_strongest_challenge_that_the_secret_allows_is_answered(
    offered: tuple[str, ...], secret: Password | Ha1, taken: str
) -> None:
    credentials = answer(
        _offers(*offered), method="REGISTER", uri="sip:lab", username="ann", secret=secret
    )
    assert credentials.algorithm == taken
    assert credentials.nonce == f"n-{taken}"


def test_what_the_secret_does_not_allow_is_refused() -> None:
    for offered in (_offers("SHA-256"), _offers("SHA-999"), [Challenge("r", "n", qop=("x",))], []):
        with pytest.raises(SipError):
            answer(
                offered,
                method="REGISTER",
                uri="sip:lab",
                username="ann",
                secret=Ha1({"MD5": "0" * 32}),
            )


def test_challenges_that_cannot_be_read_are_passed_over() -> None:
    values = [
        "Basic realm=x",
        'Digest realm="x"',
        'Digest realm="a", nonce="b", algorithm=AKAv1-MD5',
        'Digest realm="a", nonce="b", stale=TRUE',
    ]
    assert challenges(values) == [Challenge("a", "b", qop=(), stale=True)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Basic eA==",
        "Digest",
        'Digest username="a"',
        "Digest username",
        'Digest username="a", realm="r", nonce="n", uri="u", response="r", nc=xyz',
        'Digest username="a", realm="r", nonce="n", uri="u", response="r", nc=000000001',
        "Digest username*=latin1''a, realm=r, nonce=n, uri=u, response=r",
    ],
)
def test_broken_credentials_are_a_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        Credentials.parse(text)


def test_an_extended_username_is_decoded() -> None:
    text = "Digest username*=UTF-8''J%C3%A4s%C3%B8n, realm=r, nonce=n, uri=u, response=r"
    assert Credentials.parse(text).username == "Jäsøn"


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_text_raises_anything_but_a_parse_error(text: str, algorithm: str) -> None:
    for kind in (Challenge, Credentials):
        for prefix in ("", "Digest "):
            try:
                kind.parse(prefix + text)
            except ParseError:
                continue
    forged = Credentials("a", "r", "n", "u", text, algorithm, text, 1, text)
    assert not verify(forged, method="INVITE", ha1="0" * 32)


def test_a_missing_cnonce_or_an_unknown_qop_is_simply_not_right() -> None:
    sound = Credentials("a", "r", "n", "u", "x", qop="auth", nc=1, cnonce="c")
    for broken in (
        sound.replace(cnonce=None),
        sound.replace(qop="what"),
        sound.replace(nc_text=None),
    ):
        assert not verify(broken, method="INVITE", ha1="0" * 32)


def test_secrets_are_not_shown() -> None:
    for secret in (Password("hunter2"), Ha1({"MD5": "hunter2"})):
        assert "hunter2" not in f"{secret!r} {secret} {[secret]}"
    with pytest.raises(SipError):
        Ha1({"ROT13": "x"})


def test_a_header_cannot_be_broken_out_of() -> None:
    with pytest.raises(SipError):
        str(Challenge("a\r\nX: y", "n"))
    with pytest.raises(SipError):
        str(Challenge("a", "n", "MD5, realm=b"))
