"""Which of several final responses goes back (RFC 3261 section 16.7 step 6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.sandbox.best_response import best


@pytest.mark.parametrize(
    ("statuses", "winner"),
    [
        ([404], 404),
        ([404, 603], 603),
        ([500, 404], 404),
        ([302, 404], 302),
        ([404, 407], 407),
        ([486, 401], 401),
        ([408, 486], 486),
        ([408, 487], 408),
        ([503, 500], 500),
        ([480, 488], 488),
        ([486, 480], 486),
        ([600, 603], 603),
    ],
)
def test_the_response_that_tells_most_wins(statuses: list[int], winner: int) -> None:
    assert statuses[best(statuses)] == winner


@given(st.lists(st.integers(300, 699), min_size=1))
def test_a_6xx_always_wins_and_otherwise_the_lowest_class(statuses: list[int]) -> None:
    chosen = statuses[best(statuses)]
    if any(status >= 600 for status in statuses):
        assert chosen >= 600
    else:
        assert chosen // 100 == min(status // 100 for status in statuses)
