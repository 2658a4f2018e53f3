"""What a person gives, refused in one sentence before anything is done with it."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.accounts import account
from labtool.errors import RequestError
from labtool.flexisip import names, passwords, users

BAD_USERS = ["", "a;b", "a b", "a\nb", "a@b.test", "é", "a%20b", "a:b", "`", "{{ 7*7 }}", "a" * 65]
BAD_DOMAINS = ["", "a\nb", "{{ 7*7 }}", "a b", "-a.test", "a..b", ".a", "a.", "a_b", "é.test"]
BAD_DOMAINS += ["1.2.3", "999.1.1.1", "a" * 64 + ".test", "a.test:5060"]
BAD_HOSTS = ["", "my host", "-oProxyCommand=x", "a\nb", "a;b", "1.2.3.4:22", "[::1]", "999.1.1.1"]
BAD_HOSTS += ["a..b", "{{ x }}", "fe80::1%eth0", "a/b"]


def sentence(check: object, text: str) -> str:
    assert callable(check)
    with pytest.raises(RequestError) as caught:
        check(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("text", BAD_USERS)
def test_a_bad_user_name_is_refused(text: str) -> None:
    assert "user name" in sentence(names.check_user, text)


@pytest.mark.parametrize("text", BAD_DOMAINS)
def test_a_bad_domain_is_refused(text: str) -> None:
    assert "domain" in sentence(names.check_domain, text)


@pytest.mark.parametrize("text", BAD_HOSTS)
def test_a_bad_host_is_refused(text: str) -> None:
    assert "host" in sentence(names.check_host, text)


def test_an_upper_case_domain_is_explained() -> None:
    said = sentence(names.check_domain, "SIP.example.test")
    assert "write sip.example.test" in said
    assert "403 Domain forbidden" in said


def test_where_the_bad_character_stands_is_said() -> None:
    assert "a semicolon as its character 2" in sentence(names.check_user, "a;b")


@pytest.mark.parametrize("text", ["alice", "+33612345678", "j.do-e_1", "a!*'~"])
def test_a_good_user_name_is_one_that_the_users_file_holds(text: str) -> None:
    assert names.check_user(text) == text
    assert users.is_line(f"{text}@a.test clrtxt:x ;\n")


@pytest.mark.parametrize(
    "text", ["sip.example.test", "localhost", "192.0.2.1", "xn--e1afmkfd.test"]
)
def test_a_good_domain_is_taken_as_it_is(text: str) -> None:
    assert names.check_domain(text) == text


@pytest.mark.parametrize("text", ["sip.example.test", "Host_1", "192.0.2.10", "2001:db8::1"])
def test_a_good_host_is_taken_as_it_is(text: str) -> None:
    assert names.check_host(text) == text


@given(st.text(max_size=30))
def test_a_name_that_passes_cannot_break_a_line(text: str) -> None:
    try:
        names.check_user(text)
    except RequestError:
        return
    assert users.is_line(f"{text}@a.test clrtxt:x ;\n")


def test_a_generated_password_passes_everywhere_and_never_comes_twice() -> None:
    made = {passwords.generate() for _ in range(200)}
    assert len(made) == 200
    for password in made:
        assert passwords.check(password) == password
        assert not set(password) & set("0Oo1lI2Z5S8B")
        assert users.is_line(f"a@a.test clrtxt:{password} ;\n")


def test_a_password_below_70_bits_is_not_made() -> None:
    assert len(passwords.generate(13)) == 13
    with pytest.raises(ValueError, match="70 bits"):
        passwords.generate(12)


@pytest.mark.parametrize(
    ("password", "kind"),
    [
        ("sekret\n", "a line break"),
        ("sekret\t1", "a tab"),
        ("sekret\x07", "a control character"),
        ("sekret\x9f", "a control character"),
        ("sekret\u202e", "a character outside ASCII"),
        ("sekret\udc80", "a character outside ASCII"),
        ("sekret ", "ends with a space"),
        ("", "empty"),
        ("s" * 129, "129 characters"),
    ],
)
def test_a_bad_password_is_told_by_its_kind_and_not_shown(password: str, kind: str) -> None:
    said = sentence(passwords.check, password)
    assert kind in said
    assert "sekret" not in said


@pytest.mark.parametrize("password", ["a b", "a,b;c", "pässwort mit raum", "密码", "a@b:c#(d)"])
def test_any_password_that_can_be_seen_is_taken_and_its_utf_8_is_hashed(password: str) -> None:
    made, _ = account("carol", "a.test", password)
    right = hashlib.md5(f"carol:a.test:{password}".encode()).hexdigest()
    assert made.hashes["md5"] == right
    entry = users.UserEntry(made.name, made.domain, dict(made.hashes))
    assert users.is_line(users.line_of(entry))
    assert password not in users.line_of(entry)
