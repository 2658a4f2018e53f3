"""The two files as the templates print them, under Ansible's settings of Jinja2."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.flexisip import users
from labtool.flexisip.intent import Intent, render, settings_for
from labtool.flexisip.users import UserEntry, hashed


def template(project: Path, name: str) -> jinja2.Template:
    # The defaults of Ansible's template module, 2.16.
    environment = jinja2.Environment(
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=False,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    return environment.from_string((project / "templates" / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("release", ["2.0.0", "2.3.4", "2.5.2", "2.7.0"])
def test_the_configuration_is_what_the_intent_renders(project: Path, release: str) -> None:
    intent = Intent(
        "sip.example.test",
        public_address="203.0.113.5",
        private_address="10.0.0.4",
        extra={"module::Registrar": {"service-route": "", "max-expires": "600"}},
    )
    sections = settings_for(intent, release)
    printed = template(project, "flexisip.conf.j2").render(
        flexisip_sections=[section.to_dict() for section in sections]
    )
    assert printed == render(sections)
    assert printed.startswith("# This file is managed by labtool")
    assert printed.endswith("\n")
    assert "\r" not in printed


def test_a_lab_without_users_has_a_file_that_is_accepted(project: Path) -> None:
    assert users.parse(template(project, "users.db.txt.j2").render(flexisip_users_entries=[])) == []


@given(
    accounts=st.dictionaries(
        st.text("abz019-._+!*'~", min_size=1, max_size=8), st.text(max_size=20), max_size=4
    )
)
def test_the_users_file_is_accepted_whatever_the_passwords(
    project: Path, accounts: dict[str, str]
) -> None:
    entries = [hashed(name, "a.test", password) for name, password in accounts.items()]
    printed = template(project, "users.db.txt.j2").render(
        flexisip_users_entries=[
            {
                "name": entry.name,
                "domain": entry.domain,
                "passwords": [
                    {"algorithm": kind, "value": value} for kind, value in entry.passwords.items()
                ],
            }
            for entry in entries
        ]
    )
    read = users.parse(printed)
    assert [
        UserEntry(e.name, e.domain, e.passwords) for e in read if isinstance(e, UserEntry)
    ] == entries
