"""The lab's former files are those of the server's former state, whatever was edited in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from labtool import former, inventory
from labtool.inventory import Account, Host, Lab

HOST = Host("192.0.2.7", "192.0.2.7")


@pytest.fixture
def mine(lab: Path) -> Lab:
    return inventory.read(lab)


def users(lab: Lab, *names: str) -> None:
    made = tuple(Account(name, "sip.example.test", {"md5": "a" * 32}) for name in names)
    inventory.write_accounts(lab, made)


def options(lab: Lab, text: str) -> None:
    file = inventory.lab_file(lab.path)
    file.write_text(file.read_text().partition("# edited")[0] + f"# edited {text}\n")


def now(lab: Lab) -> tuple[str, list[str]]:
    edited = inventory.lab_file(lab.path).read_text().partition("# edited ")[2].strip()
    return edited, [one.name for one in inventory.read(lab.path).accounts]


def deploy(lab: Lab, *, passes: bool = True) -> None:
    former.saved(lab, HOST)
    if passes:
        former.keep(lab, HOST)


def test_a_rollback_goes_to_the_users_of_the_last_change_though_lab_yml_was_edited_before_them(
    mine: Lab,
) -> None:
    users(mine, "alice")
    options(mine, "1")
    deploy(mine)
    options(mine, "2")
    users(mine, "alice", "bob")
    former.saved(mine, HOST)
    former.keep(mine, HOST, users_only=True)
    deploy(mine)
    assert former.put_back_lab(mine, HOST)
    assert now(mine) == ("1", ["alice", "bob"])
    # And once more, which takes it back.
    assert former.put_back_lab(mine, HOST)
    assert now(mine) == ("2", ["alice", "bob"])


def test_a_deployment_that_did_not_pass_is_what_a_rollback_takes_back(mine: Lab) -> None:
    for text in ("1", "2"):
        options(mine, text)
        deploy(mine)
    options(mine, "3")
    deploy(mine, passes=False)
    assert former.put_back_lab(mine, HOST)
    assert now(mine)[0] == "2"


def test_where_nothing_was_kept_here_the_lab_stays(mine: Lab) -> None:
    options(mine, "1")
    assert not former.put_back_lab(mine, HOST)
    former.saved(mine, HOST)
    former.keep(mine, HOST, users_only=True)
    former.saved(mine, HOST)
    assert not former.put_back_lab(mine, HOST)
    assert now(mine)[0] == "1"


def test_what_was_deployed_is_known_by_its_options_and_a_lab_of_other_options_is_not(
    mine: Lab,
) -> None:
    assert former.lab_served(mine, HOST) is None
    users(mine, "alice")
    former.keep(mine, HOST)
    options(mine, "later")
    users(mine, "alice", "bob")
    served = former.lab_served(mine, HOST)
    assert served is not None
    assert [one.name for one in served.accounts] == ["alice"]
    file = mine.path / ".labtool" / "served" / HOST.name / "lab.yml"
    file.write_text("flexisip_of_another_labtool: 1\n")
    assert former.lab_served(mine, HOST) is None
