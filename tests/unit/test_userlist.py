"""Lists of users: what is taken, and what is told of what is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labtool import userlist
from labtool.errors import RequestError
from labtool.flexisip import users
from labtool.flexisip.users import ha1

DOMAIN = "sip.example.test"


def read(text: str, taken: tuple[str, ...] = ()) -> userlist.Listed:
    return userlist.read(text, DOMAIN, where="list", taken=taken)


def test_a_password_is_made_where_none_is_given() -> None:
    listed = read("carol\ndave,Correct-Horse-9\n")
    assert [account.name for account in listed.accounts] == ["carol", "dave"]
    assert list(listed.generated) == ["carol"]
    carol, dave = listed.accounts
    assert carol.hashes["md5"] == ha1("carol", DOMAIN, listed.generated["carol"], "md5")
    assert dave.hashes["sha256"] == ha1("dave", DOMAIN, "Correct-Horse-9", "sha256")


@pytest.mark.parametrize(
    "text",
    [
        "name,password\ncarol,pw-1\n",
        "\ufeffcarol,pw-1\r\n",
        "# the class of 2026\n\n carol , pw-1 \n",
        f"carol@{DOMAIN},pw-1\n",
        "Username;Password\ncarol;pw-1",
        '"carol","pw-1"\n',
    ],
)
def test_what_a_spreadsheet_writes_is_taken(text: str) -> None:
    (carol,) = read(text).accounts
    assert (carol.name, carol.hashes["md5"]) == ("carol", ha1("carol", DOMAIN, "pw-1", "md5"))


def test_a_users_file_is_taken_with_its_hashes_and_without_its_clear_text() -> None:
    md5 = ha1("dave", DOMAIN, "pw", "md5")
    text = f"version:1\ncarol@{DOMAIN} clrtxt:pw-1 ;\ndave@{DOMAIN} md5:{md5} ;\n"
    carol, dave = read(text).accounts
    assert carol.hashes["sha256"] == ha1("carol", DOMAIN, "pw-1", "sha256")
    assert dave.hashes == {"md5": md5}
    assert read(text).generated == {}


def test_every_wrong_line_is_told_by_number_and_no_password_is_shown() -> None:
    text = "carol,pw-1\nd ave\ncarol,pw-2\nerin,se\acret\nfay,a,b\nalice\n"
    with pytest.raises(RequestError) as refused:
        read(text, taken=("alice",))
    said = str(refused.value)
    assert said.startswith("list: nothing was taken. line 2: ")
    for part in (
        "line 3: carol stands in line 1 already",
        "line 4: the password has a control character",
        "line 5: more than a name and a password",
        "line 6: the lab has the user alice",
    ):
        assert part in said, said
    assert "se\acret" not in said
    assert "pw-" not in said


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "lists no user"),
        ("# nobody\n", "lists no user"),
        ("version:1\nbroken\n", "line 2: Flexisip would refuse the file here"),
        ("version:1\ncarol@other.test md5:x ;\n", "line 2: carol is of the domain other.test"),
        (f"version:1\ncarol@{DOMAIN} md5:x ;\n", "md5 of carol is not 32 hexadecimal digits"),
        (f"version:1\ncarol@{DOMAIN} clrtxt:x ;joe\n", "signs in under another name"),
    ],
)
def test_a_list_that_cannot_be_taken_is_told(text: str, part: str) -> None:
    with pytest.raises(RequestError, match=r"^list") as refused:
        read(text)
    assert part in str(refused.value)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_no_list_makes_it_crash_and_what_it_takes_the_server_takes(text: str) -> None:
    try:
        listed = read(text)
    except RequestError:
        return
    entries = [users.UserEntry(one.name, one.domain, one.hashes) for one in listed.accounts]
    assert isinstance(users.parse(users.render(entries)), list)
