"""Many accounts at once: one file, one play, one wait."""

from __future__ import annotations

import csv

from .changing import USERS, Server


def test_a_hundred_users_are_one_play_and_one_wait_and_no_restart(server: Server) -> None:
    lab = server.controller
    (lab.folder / "class.csv").write_text(
        "name,password\n" + "".join(f"student{number}\n" for number in range(99)) + "erin,Pw-9-e\n"
    )
    before = server.process()
    done = lab.run("import-users", "class.csv", "-o", "passwords.csv", "--json")
    assert done.returncode == 0, done.output
    assert sum(event["event"] == "play" for event in done.events) == 1
    assert len(done.tasks) <= 5, done.tasks
    assert server.process() == before
    assert oct((lab.folder / "passwords.csv").stat().st_mode & 0o777) == "0o600"
    made = dict(csv.reader((lab.folder / "passwords.csv").read_text().splitlines()))
    assert len(made) == 99
    assert server.lets_in("student57", made["student57"])
    assert server.lets_in("erin", "Pw-9-e")
    assert not any(one in done.output for one in made.values())


def test_one_wrong_line_and_none_is_taken(server: Server) -> None:
    lab, before = server.controller, server.host.read(USERS)
    (lab.folder / "list.csv").write_text("frank\ngr ace\nalice\n")
    refused = lab.run("import-users", "list.csv", "-o", "none.csv")
    assert refused.returncode == 2
    assert "line 2: the user name" in refused.stderr, refused.stderr
    assert "line 3: the lab has the user alice already" in refused.stderr
    assert not (lab.folder / "none.csv").exists()
    assert server.host.read(USERS) == before


def test_a_file_of_passwords_is_never_overwritten_and_gone_if_the_change_fails(
    server: Server,
) -> None:
    lab = server.controller
    (lab.folder / "list.csv").write_text("grace\n")
    (lab.folder / "mine.csv").write_text("precious\n")
    refused = lab.run("import-users", "list.csv", "-o", "mine.csv")
    assert refused.returncode == 2
    assert (lab.folder / "mine.csv").read_text() == "precious\n"
    known = lab.known_hosts.read_text()
    lab.known_hosts.write_text("")
    try:
        unreachable = lab.run("import-users", "list.csv", "-o", "new.csv")
    finally:
        lab.known_hosts.write_text(known)
    assert unreachable.returncode == 3
    assert not (lab.folder / "new.csv").exists()
    assert "grace" not in lab.users_file.read_text()
