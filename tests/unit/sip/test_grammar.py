"""The small rules that several headers share, and what is remembered of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labtool.sip.grammar import end_of_quoted, split_outside
from labtool.sip.message import Request
from labtool.sip.syntax import _REMEMBERED, _SOUND, check
from labtool.sip.value import remembering


def _by_character(text: str, separator: str) -> list[str]:
    """The rule, one character at a time: what is quoted or in brackets is passed over whole."""
    parts, start, at = [], 0, 0
    while 0 <= at < len(text):
        if text[at] == '"':
            at = end_of_quoted(text, at)
        elif text[at] == "<":
            at = text.find(">", at) + 1 or -1
        else:
            if text[at] == separator:
                parts.append(text[start:at])
                start = at + 1
            at += 1
    return [*parts, text[start:]]


@given(st.text(alphabet='"<>,;\\a ', max_size=24), st.sampled_from(",;"))
def test_a_list_is_split_outside_quotes_and_brackets_only(text: str, separator: str) -> None:
    assert split_outside(text, separator) == _by_character(text, separator)


def test_a_parser_that_remembers_reads_a_text_once_and_a_long_one_each_time() -> None:
    read: list[str] = []

    @remembering(2)
    def parse(text: str) -> int:
        read.append(text)
        return len(text)

    assert [parse(text) for text in ("a", "bb", "a", "bb")] == [1, 2, 1, 2]
    assert read == ["a", "bb"]
    parse("ccc")
    parse("a")  # the oldest of three was forgotten
    assert read == ["a", "bb", "ccc", "a"]
    for _ in range(2):
        parse("x" * 10_000)
    assert read[-2:] == ["x" * 10_000] * 2


def test_what_was_found_sound_fills_no_memory() -> None:
    for number in range(2 * _REMEMBERED):
        check(Request("OPTIONS", "sip:a", [("To", f"<sip:user{number}@lab.example>")]))
        check(Request("OPTIONS", "sip:a", [("Contact", f"<sip:{'x' * 300}{number}@lab.example>")]))
    assert len(_SOUND) <= _REMEMBERED
    assert all(len(value) <= 256 for _, value in _SOUND)
