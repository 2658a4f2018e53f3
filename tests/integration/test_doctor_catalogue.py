"""Every row of the doctor's catalogue is caused by a test, or stands here with the reason why not.

Needs no container. A test's own mark is held to what it saw by the fixture `patient`.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from labtool.doctor.catalogue import BY_ID

from . import test_doctor, test_doctor_network, test_doctor_outside

# Rows that are never a finding, or that a container cannot have.
NOT_CAUSED = {
    "noise": "the lines of a healthy server: test_noise_and_what_was_before_the_start_...",
    "sip-alg": "is asked for, not found: the router stands at a phone's end",
    "push": "is asked for, not found: it needs an app of one's own at Apple's and Google's",
}
# Rows that are seen by a line in the log that the stand-in cannot come to write: it has no database,
# and no fault that is known. The lines are the real server's (see the sources in the catalogue).
RECORDED = {"database", "log-errors"}


def marked(module: ModuleType) -> Iterator[tuple[str, str]]:
    """(row, test) of every mark."""
    for name, test in vars(module).items():
        if not name.startswith("test_"):
            continue
        for mark in getattr(test, "pytestmark", []):
            if mark.name == "causes":
                yield from ((id, name) for id in mark.args)
            elif mark.name == "parametrize":
                for row in mark.args[1]:
                    for inner in getattr(row, "marks", ()):
                        yield from ((id, name) for id in inner.args if inner.name == "causes")


CAUSED: dict[str, set[str]] = {}
for _module in (test_doctor, test_doctor_network, test_doctor_outside):
    for _id, _test in marked(_module):
        CAUSED.setdefault(_id, set()).add(_test)


def test_every_row_is_caused_by_a_test_or_has_a_reason_why_not() -> None:
    assert set(BY_ID) - set(CAUSED) - set(NOT_CAUSED) == set()


def test_no_reason_stands_for_a_row_that_is_caused() -> None:
    assert set(CAUSED) & set(NOT_CAUSED) == set()
    assert set(CAUSED) | set(NOT_CAUSED) <= set(BY_ID)


def test_only_lines_of_the_log_that_nothing_here_can_write_are_written_by_the_test() -> None:
    written = "test_what_the_log_says_is_told_in_plain_words"
    assert {id for id, tests in CAUSED.items() if tests == {written}} == RECORDED
