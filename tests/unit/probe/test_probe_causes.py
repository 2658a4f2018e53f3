"""The table of causes is an interface: its numbers are kept, and each of its rows is tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from labtool.probe.causes import CAUSES, Cause, cause

# As published. A number is never given to another cause.
PUBLISHED = {
    "no-answer": 10,
    "refused": 11,
    "unreachable": 12,
    "name-not-resolved": 13,
    "not-sip": 14,
    "connection-closed": 15,
    "banned": 16,
    "local-error": 17,
    "wrong-password": 20,
    "unknown-user": 21,
    "wrong-domain": 22,
    "algorithm-unsupported": 23,
    "no-answer-after-challenge": 24,
    "not-registrar": 25,
    "forbidden": 26,
    "open-server": 27,
    "contact-missing": 28,
    "not-expired": 29,
    "tls-not-spoken": 30,
    "tls-untrusted": 31,
    "tls-expired": 32,
    "tls-name": 33,
    "tls-handshake": 34,
    "loop": 40,
    "server-error": 41,
    "redirected": 42,
    "not-found": 43,
    "busy": 44,
    "unavailable": 45,
    "declined": 46,
    "not-acceptable": 47,
    "bad-request": 48,
    "unexpected-answer": 49,
    "too-large": 50,
    "no-challenge": 51,
    "call-not-delivered": 60,
    "answer-lost": 61,
    "ack-lost": 62,
    "bye-lost": 63,
    "answered-elsewhere": 64,
    "reinvite-lost": 65,
    "no-media": 70,
    "one-way-media": 71,
    "wrong-tone": 72,
    "wrong-codec": 73,
    "lossy-media": 74,
    "hold-ignored": 75,
}


def test_the_exit_codes_are_the_published_ones() -> None:
    assert {row.name: row.exit_code for row in CAUSES.values()} == PUBLISHED


def test_no_two_causes_share_an_exit_code_and_none_is_labtools_own() -> None:
    codes = [row.exit_code for row in CAUSES.values()]
    assert len(set(codes)) == len(codes)
    assert all(10 <= code < 126 for code in codes)


@pytest.mark.parametrize("row", CAUSES.values(), ids=lambda row: row.name)
def test_every_cause_has_a_sentence_and_a_cure(row: Cause) -> None:
    assert row.explanation.endswith(".")
    assert row.cure.endswith(".")
    assert len(row.explanation) > 20
    assert cause(row.name) is row


@pytest.mark.parametrize("name", CAUSES)
def test_every_cause_is_caused_by_some_test(name: str) -> None:
    here = Path(__file__)
    others = [p for p in here.parent.glob("test_*.py") if p != here]
    assert any(f'"{name}"' in path.read_text() for path in others)
