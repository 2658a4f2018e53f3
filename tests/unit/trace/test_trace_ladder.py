"""The ladder as text."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from labtool.trace.ladder import Arrow, Ladder, Participant, draw, text

CALL = Ladder(
    (Participant("alice", "10.0.0.1"), Participant("server", "10.0.0.9"), Participant("bob")),
    (
        Arrow(0.0, 0, 1, "INVITE", "request", 1),
        Arrow(0.0014, 1, 2, "INVITE", "request", 2),
        Arrow(0.25, 2, 1, "200 OK", "success", 3),
        Arrow(1.5, 0, 2, "RTP PCMU", "media", 4),
    ),
)


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def test_a_call_is_drawn_with_its_names_times_and_arrows() -> None:
    assert text(CALL, width=60).split("\n") == [
        "            alice              server                bob",
        "          10.0.0.1            10.0.0.9",
        "   0.000      │───── INVITE ─────►│                   │",
        "   0.001      │                   │───── INVITE ─────►│",
        "   0.250      │                   │◄──── 200 OK ──────│",
        "   1.500      │══════════════ RTP PCMU ══════════════►│",
    ]


def test_ascii_stays_ascii_whatever_the_names_hold() -> None:
    ladder = Ladder(
        (Participant("李雷"), Participant("b")), (Arrow(0, 0, 1, "MESSAGE 你好", "request"),)
    )
    drawn = text(ladder, unicode=False)
    assert drawn.isascii()
    assert ">|" in drawn


def test_chinese_names_do_not_push_the_columns_apart() -> None:
    wide = Ladder(
        (Participant("李雷"), Participant("b")), (Arrow(0, 0, 1, "MESSAGE 你好", "request"),)
    )
    narrow = Ladder(
        (Participant("lile"), Participant("b")), (Arrow(0, 0, 1, "MESSAGE abcd", "request"),)
    )
    for left, right in zip(draw(wide, width=70), draw(narrow, width=70), strict=True):
        assert columns(left.text) == columns(right.text)


def test_a_long_label_is_cut_and_the_arrow_stays_an_arrow() -> None:
    ladder = Ladder(CALL.participants, (Arrow(0, 0, 1, "4" * 200, "failure"),))
    line = draw(ladder, width=80)[-1].text
    assert "…" in line
    assert "►│" in line


def test_what_came_off_the_network_cannot_move_the_cursor() -> None:
    ladder = Ladder(
        (Participant("\x1b[2J"), Participant("b")), (Arrow(0, 0, 1, "\x1b[31m\r", "note"),)
    )
    assert all(c.isprintable() or c == "\n" for c in text(ladder))


def test_many_participants_become_a_list_where_columns_would_not_fit() -> None:
    many = tuple(Participant(f"host{i}") for i in range(9))
    lines = draw(Ladder(many, (Arrow(0.5, 0, 8, "BYE", "request"),)), width=60)
    assert [line.text for line in lines] == ["   0.500 host0 -> host8: BYE"]


@given(
    st.integers(40, 200),
    st.booleans(),
    st.lists(st.text(max_size=30), min_size=1, max_size=8),
    st.data(),
)
def test_no_line_is_wider_than_the_terminal(
    width: int, unicode: bool, names: list[str], data: st.DataObject
) -> None:
    column = st.integers(0, len(names) - 1)
    kinds = st.sampled_from(["request", "success", "media", "note"])
    arrows = st.builds(
        Arrow, st.floats(0, 9999), column, column, st.text(max_size=80), kinds, both=st.booleans()
    )
    drawn = tuple(data.draw(st.lists(arrows, max_size=5)))
    lines = draw(Ladder(tuple(map(Participant, names)), drawn), width=width, unicode=unicode)
    assert all(columns(line.text) <= width for line in lines)
    assert all(line.text.isascii() for line in lines) or unicode
