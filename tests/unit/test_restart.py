"""What a restart costs, from what the host said of itself."""

from __future__ import annotations

import pytest

from labtool import state
from labtool.restart import restart


def host(*lines: str) -> state.HostState:
    text = "\n".join(["id debian", "uid 0", "unit_ActiveState active", *lines])
    return state.parse(text)


@pytest.mark.parametrize(
    ("lines", "count", "said"),
    [
        (["package installed 2.5.2-1", "registered 12"], 12, "who is registered, 12 users"),
        (["package installed 2.5.2-1", "registered 1"], 1, "the one registration"),
        (["package installed 2.5.2-1", "registered 800+"], 800, "at least 800 users"),
        (["package installed 2.5.2-1", "registered 0"], 0, "Nobody is registered"),
        (["package installed 2.5.2-1"], None, "Flexisip 2.5.2 does not tell"),
        # Before 2.5 an empty list is not nobody.
        (["package installed 2.3.4-1", "registered 0"], None, "Flexisip 2.3.4 does not tell"),
        (["package installed 2.3.4-1", "registered 3"], 3, "3 users"),
        (["package installed 2.5.2-1", "registered x"], None, "does not tell"),
    ],
)
def test_what_a_restart_costs_is_counted_or_said_to_be_unknown(
    lines: list[str], count: int | None, said: str
) -> None:
    coming = restart(host(*lines), "The configuration changes")
    assert coming.registrations == coming.to_dict()["registrations"] == count
    assert said in coming.sentence()
    assert "so the server is restarted" in coming.sentence()
    assert "would be restarted" in coming.sentence(would=True)


def test_registrations_in_redis_are_not_lost() -> None:
    coming = restart(host("package installed 2.5.2-1", "registered 9", "registrar redis"), "So")
    assert "in Redis, and stay" in coming.sentence()
    assert coming.to_dict()["forgotten"] is False
