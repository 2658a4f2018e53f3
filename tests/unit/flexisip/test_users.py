"""users.db.txt: read, judged and printed as Flexisip does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flexisip_recordings import RELEASES, cases, truth
from hypothesis import given
from hypothesis import strategies as st

from labtool.flexisip import users
from labtool.flexisip.findings import Refusal
from labtool.flexisip.users import UserEntry

TOKEN = st.text(
    "abcXYZ019-.!%*_+`'~:",
    min_size=1,
    max_size=8,
)
ENTRIES = st.lists(
    st.builds(
        UserEntry,
        name=TOKEN,
        domain=TOKEN,
        passwords=st.dictionaries(st.sampled_from(users.ALGORITHMS), TOKEN, min_size=1, max_size=3),
    ),
    max_size=5,
)


def refusal(content: str, release: str = "2.5.2") -> Refusal:
    judged = users.parse(content, release)
    assert isinstance(judged, Refusal)
    return judged


def test_the_users_file_of_the_report_is_refused_at_its_first_bad_line() -> None:
    judged = refusal("version:1\n\ntest@sip.example.test clrtxt:test;\n")
    assert judged == Refusal("Parsing of Authdb file ended prematurely at char 11", 1, 3)


def test_an_account_has_its_name_domain_and_passwords() -> None:
    [entry] = users.parse("version:1\nal@a.test md5:00 sha256:11 ; id +336\n")
    assert entry == UserEntry("al", "a.test", {"md5": "00", "sha256": "11"}, "id", "+336", 2)


def test_a_domain_alone_is_an_identity_since_2_1() -> None:
    content = "version:1\na.test clrtxt:x ;\n"
    assert users.parse(content, "2.1.0") == [UserEntry("", "a.test", {"clrtxt": "x"}, line=2)]
    assert refusal(content, "2.0.9").line == 2


def test_each_release_says_it_in_its_own_words() -> None:
    assert refusal("version:2\n", "2.3.4") == Refusal(
        "Version '2' is not supported for file users.db.txt", 255, 1
    )
    assert refusal("version:1\nx", "2.3.4").text.endswith("at char 10.")
    assert refusal("", "2.5.2").text == "failed to read from file 'users.db.txt'"


def test_the_line_counts_through_a_folded_comment() -> None:
    assert refusal("version:1\r\n# a\r\n b\r\nbad\r\n").line == 4


def test_a_representation_shows_no_password() -> None:
    assert "secret" not in repr(UserEntry("a", "b", {"clrtxt": "secret"}))


def test_hashes_are_those_of_the_recordings() -> None:
    entry = users.hashed("test", "sip.example.test", "test")
    assert entry.passwords == {
        "md5": "3cd0b18ec007d0f131d3114feca907a9",
        "sha256": "c3f7f486bc4083d3c0bc22662e9e85f3c2074fa7c4d5a1053bac4766180c0981",
    }


@pytest.mark.parametrize("name", ["a b", "a;b", "", "a\n", "é"])
def test_an_entry_that_the_grammar_cannot_hold_is_not_printed(name: str) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        users.render([UserEntry(name or "x", "a.test" if name else "", {"clrtxt": "secret"})])


def test_an_entry_without_a_password_is_not_printed() -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        users.render([UserEntry("a", "a.test", {})])


@given(ENTRIES)
def test_what_is_printed_is_read_back(entries: list[UserEntry]) -> None:
    read = users.parse(users.render(entries))
    assert [(e.name, e.domain, e.passwords) for e in read] == [
        (e.name, e.domain, e.passwords) for e in entries
    ]


@given(st.binary(max_size=60))
def test_no_content_makes_it_crash(content: bytes) -> None:
    for release in RELEASES:
        users.parse(content, release)
        users.parse(b"version:1\n" + content, release)
        for _ in users.scan(b"version:1\n" + content, release):
            pass


@given(st.lists(st.sampled_from(["version:1", "a@b md5:0 ;", "bad", "# c", ""]), max_size=8))
def test_every_line_is_scanned_once(lines: list[str]) -> None:
    content = "version:1\n" + "".join(f"{line}\n" for line in lines)
    numbers = [number for number, _ in users.scan(content.encode())]
    assert numbers == list(range(2, 2 + len(lines)))


def test_every_generated_users_file_gets_the_verdict_of_the_server(shared: Path) -> None:
    for row in truth(shared, "users"):
        judged = users.parse(
            row["content"], row["release"], path="DIR/users.txt", auth_domains=["sip.example.test"]
        )
        started = not isinstance(judged, Refusal)
        assert started == row["starts"], row
        if isinstance(judged, Refusal):
            assert judged.returncode == row["rc"], row
            if row["release"] == "2.5.2":
                assert row["said"][-1].endswith(judged.text), row


@pytest.mark.parametrize("release", RELEASES)
def test_every_variant_gets_the_verdict_of_the_server(shared: Path, release: str) -> None:
    recorded = cases(shared, f"usersdb-variants-{release}.txt")
    if release == "2.5.2":
        recorded += cases(shared, "usersdb-extra-2.5.2.txt")
    assert len(recorded) > 70
    for case in recorded:
        if not case.content and case.label != "empty file   [available-algorithms=MD5]":
            continue
        judged = users.parse(case.content, release, path="RUN/u.txt")
        assert (not isinstance(judged, Refusal)) == case.starts, case
        if isinstance(judged, Refusal) and release == "2.5.2":
            assert judged.returncode == case.returncode, case
            assert judged.text in case.log, case


def test_char_in_the_refusal_is_where_the_first_bad_line_starts() -> None:
    content = "version:1\na@b.test clrtxt:x ;\nb@b.test clrtxt:$ ;\n"
    number = int(re.search(r"\d+", refusal(content).text).group())  # type: ignore[union-attr]
    assert content[number:].startswith("b@b.test")


@pytest.mark.parametrize("space", [" ", "\t", " \r\n ", "a "])
def test_a_long_comment_that_is_refused_takes_no_longer_than_one_that_is_read(space: str) -> None:
    # A run of white space that could be cut up in any way took time without bound.
    refused = users.parse(f"version:1\n#{space * 5000}(\n")
    assert isinstance(refused, Refusal)
    assert users.parse(f"version:1\n#{space * 5000}\n") == []


@pytest.mark.parametrize("release", RELEASES)
def test_an_account_without_a_password_kills_the_server_only_where_its_domain_is_served(
    release: str,
) -> None:
    # Source: the file backend, which takes up the accounts of auth-domains alone, written as there.
    content = "version:1\nbob@other.test SHA256:00 ;\n"
    assert users.refusal(content, release, auth_domains=["sip.example.test"]) is None
    assert users.refusal(content, release, auth_domains=["Other.test"]) is None
    for served in (["other.test"], ["*"], ["a.test", "other.test"]):
        refused = users.refusal(content, release, auth_domains=served)
        assert refused is not None
        assert (refused.text, refused.line) == ("empty password list", 2)
    # Nothing is said of the domains: a server's own name is mostly called so.
    assert users.refusal(content, release) is None
    assert users.refusal("version:1\nbob@sip.b.test SHA256:00 ;\n", release) is not None
