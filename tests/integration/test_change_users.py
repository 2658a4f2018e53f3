"""Many accounts at once: one file, one play, one wait."""

from __future__ import annotations

import csv
import signal
import time

from .changing import CONFIGURATION, USERS, Server
from .controller import wait_for


def test_a_hundred_users_are_one_play_and_one_wait_and_no_restart(server: Server) -> None:
    lab = server.controller
    (lab.folder / "class.csv").write_text(
        "name,password\n" + "".join(f"student{number}\n" for number in range(99)) + "erin,Pw-9-e\n"
    )
    before = server.process()
    with server.phone() as phone:
        done = lab.run("import-users", "class.csv", "-o", "passwords.csv", "--json")
        assert done.returncode == 0, done.output
        assert phone.is_registered()
    assert sum(event["event"] == "play" for event in done.events) == 1
    assert len(done.tasks) <= 5, done.tasks
    assert server.process() == before
    assert oct((lab.folder / "passwords.csv").stat().st_mode & 0o777) == "0o600"
    made = dict(csv.reader((lab.folder / "passwords.csv").read_text().splitlines()))
    assert len(made) == 99
    assert server.lets_in("student57", made["student57"])
    assert server.lets_in("erin", "Pw-9-e")
    assert not any(one in done.output for one in made.values())


def test_no_phone_is_dropped_while_others_come_and_go(server: Server) -> None:
    before = server.process()
    with server.phone() as phone:
        for command in (["add-user", "ivy"], ["set-password", "ivy"], ["remove-user", "ivy"]):
            done = server.controller.run(*command)
            assert done.returncode == 0, done.output
            assert phone.is_registered(), command
    assert server.process() == before


def test_the_wait_is_as_long_as_the_server_says_and_an_interrupt_loses_no_password(
    server: Server,
) -> None:
    conf = server.host.read(CONFIGURATION)
    server.host.shell(
        f"sed -i s/^cache-expire=.*/cache-expire=60/ {CONFIGURATION}; systemctl restart flexisip-proxy"
    )
    try:
        assert wait_for(server.lets_in)
        child = server.controller.start("add-user", "kim")
        assert child.stderr is not None
        for line in child.stderr:
            if "reads its users again 60 s after the last time" in line:
                break
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        said, errors = child.communicate(timeout=60)
    finally:
        server.host.write(CONFIGURATION, conf, mode=0o640)
        server.host.shell("systemctl restart flexisip-proxy")
    assert child.returncode == 130, errors
    password = said.partition("shown this once: ")[2].strip()
    assert wait_for(lambda: server.lets_in("kim", password))
    assert server.controller.run("remove-user", "kim").returncode == 0


def test_a_server_that_reads_other_accounts_is_not_given_a_user_in_vain(server: Server) -> None:
    conf = server.host.read(CONFIGURATION)
    server.host.shell(f"sed -i s#^file-path=.*#file-path=/etc/flexisip/others# {CONFIGURATION}")
    try:
        refused = server.controller.run("add-user", "lea")
    finally:
        server.host.write(CONFIGURATION, conf, mode=0o640)
    assert refused.returncode == 2, refused.output
    assert "reads its accounts from /etc/flexisip/others" in refused.stderr
    assert "lea" not in server.controller.users_file.read_text()


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
