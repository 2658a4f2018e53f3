"""A difference is shown without what signs in, and a secret that changes is still a change."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.masking import masked, masked_diff


def changed(before: str, after: str) -> list[str]:
    """The lines of a difference, as it is shown."""
    shown = difflib.unified_diff(*(text.splitlines() for text in masked(before, after)), n=0)
    return [line for line in shown if line[:1] in "+-" and line[:3] not in ("+++", "---")]


@pytest.mark.parametrize(
    "key",
    [
        "redis-auth-password",
        "soci-connection-string",
        "https-proxy-password",
        "flexiapi-api-key",
        "flexiapi-token",
        "firebase-projects-api-keys",
        "windowsphone-application-secret",
        "#redis-auth-password",
    ],
)
def test_a_secret_that_changes_is_shown_as_a_change_without_its_values(key: str) -> None:
    assert changed(f"[a]\n{key}=old-9\n", f"[a]\n{key}=new-9\n") == [
        f"-{key}=***",
        f"+{key}=*** (another value)",
    ]


def test_secrets_of_two_sections_that_change_places_are_two_changes() -> None:
    before = "[a]\nredis-auth-password=x-9\n[b]\nredis-auth-password=y-9\n"
    after = "[a]\nredis-auth-password=y-9\n[b]\nredis-auth-password=x-9\n"
    assert len(changed(before, after)) == 4


def test_a_secret_that_stays_is_no_change_and_other_settings_are_shown_whole() -> None:
    before = "[a]\nredis-auth-password=x-9\nport=1\n"
    assert changed(before, before.replace("port=1", "port=2")) == ["-port=1", "+port=2"]
    assert "x-9" not in "".join(masked(before, before))


@given(st.text(), st.text())
def test_a_text_without_secrets_is_shown_as_it_is(before: str, after: str) -> None:
    if "=" not in before + after and ":" not in before + after:
        assert masked(before, after) == (before, after)


def test_what_ansible_gives_as_a_difference_keeps_its_form() -> None:
    one = {"before_header": "f", "before": "", "after": "redis-auth-password=x-9\n"}
    shown = masked_diff([one, {"prepared": "p"}, {"before": {"mode": "1"}, "after": {"mode": "2"}}])
    assert shown[0] == {**one, "after": "redis-auth-password=*** (another value)\n"}
    assert shown[1:] == [{"prepared": "p"}, {"before": {"mode": "1"}, "after": {"mode": "2"}}]
