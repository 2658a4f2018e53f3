"""Many accounts at once: one file, one play, one wait."""

from __future__ import annotations

import csv
import re
import signal
import time

import pytest

from labtool import accounts

from .changing import CONFIGURATION, USERS, Server
from .controller import DOMAIN, wait_for


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


def test_a_sudo_that_asks_for_a_password_gets_it_wherever_the_server_is_changed(
    server: Server,
) -> None:
    lab, hosts = server.controller, server.controller.folder / "inventory" / "hosts.yml"
    server.host.add_user("asked", password="Sudo-pass-9", sudo=False)
    server.host.write("/etc/sudoers.d/asked", "asked ALL=(ALL) ALL\n", mode=0o440)
    former = hosts.read_text()
    asked = r"\1ansible_user: asked\n\1ansible_become: true"
    hosts.write_text(re.sub(r"^( *)ansible_user: root$", asked, former, flags=re.MULTILINE))
    assert hosts.read_text() != former
    try:
        for command in (
            ["add-user", "ned"],
            ["backup", "-o", "asked.tar.gz"],
            ["rollback"],
            ["restore", "asked.tar.gz"],
            ["remove-user", "ned"],
            ["import", server.host.address, "--user", "asked", "--identity", str(lab.identity),
             "-i", "taken"],
        ):  # fmt: skip
            done = lab.typed("Sudo-pass-9", *command, "--ask-become-password")
            assert done.returncode == 0, (command, done.output)
        for answer, why in (("wrong", "sudo refuses the password of asked"), (None, "become-pass")):
            for command in (["backup", "-o", "never.tar.gz"], ["rollback"]):
                if answer is None:
                    refused = lab.run(*command)
                else:
                    refused = lab.typed(answer, *command, "--ask-become-password")
                assert refused.returncode == 3, refused.output
                assert why in refused.stderr
    finally:
        hosts.write_text(former)
    assert not (lab.folder / "never.tar.gz").exists()
    assert not any("Sudo-pass-9" in command for command in lab.commands)
    for file in lab.folder.rglob("*"):
        assert not file.is_file() or b"Sudo-pass-9" not in file.read_bytes(), file


def spoilt(server: Server, name: str, text: str) -> None:
    """Something on the host replaces the users file once this user is in it, as a cron job might."""
    server.host.write("/root/spoilt", text, mode=0o640)
    server.host.shell(
        f"nohup sh -c 'until grep -q ^{name}@ {USERS}; do sleep 0.05; done; "
        f"cp /root/spoilt {USERS}.x; mv {USERS}.x {USERS}' >/dev/null 2>&1 &"
    )


@pytest.mark.parametrize("dies", [True, False])
def test_a_change_after_which_others_cannot_sign_in_is_put_back_and_proved_again(
    server: Server, dies: bool
) -> None:
    lab, before = server.controller, server.host.read(USERS)
    kept = lab.users_file.read_text()
    assert server.lets_in()
    # A file of which the server dies at the next login, or one that has nobody but the new user.
    (lab.folder / "olga").write_text("Pw-8-o\n")
    other = accounts.account("olga", DOMAIN, "Pw-8-o")[0].hashes["md5"]
    spoilt(server, "olga", "broken\n" if dies else f"version:1\n\nolga@{DOMAIN} md5:{other} ;\n")
    failed = lab.run("add-user", "olga", "--json")
    assert failed.returncode == 1, failed.output
    said = failed.last("added")
    assert (said["put_back"], said["passes_again"], said["ok"]) == (True, True, False), said
    assert "before this change and not after it" in said["told"][0]
    assert ("The server answered" if dies else "alice and bob could sign in") in said["told"][0]
    assert "proved again: users sign in as before. users.yml is what it was." in said["told"][0]
    assert "shown this once" not in failed.output
    assert len(failed.tasks[: failed.tasks.index("Keep the present state of the server")]) <= 6
    assert server.host.read(USERS) == before
    assert lab.users_file.read_text() == kept
    assert server.lets_in()
    assert wait_for(lambda: not server.lets_in("olga", "Pw-8-o"))
    # And what spoilt it is gone: the same command works.
    again = lab.run("add-user", "olga")
    assert again.returncode == 0, again.output
    assert lab.run("remove-user", "olga").returncode == 0


def test_a_list_of_users_that_was_put_back_leaves_no_passwords(server: Server) -> None:
    lab, before = server.controller, server.host.read(USERS)
    (lab.folder / "list.csv").write_text("pia\nquin\n")
    spoilt(server, "pia", "broken\n")
    failed = lab.run("import-users", "list.csv", "-o", "void.csv")
    assert failed.returncode == 1, failed.output
    assert "users sign in as before. users.yml is what it was." in failed.stderr
    assert not (lab.folder / "void.csv").exists()
    assert server.host.read(USERS) == before
    assert server.lets_in()


def test_a_proof_that_could_not_be_had_before_either_puts_nothing_back(server: Server) -> None:
    # The lab's phones are told an address on which nobody answers.
    server.wants("flexisip_public_address: 127.9.9.9")
    failed = server.controller.run("add-user", "rob")
    assert failed.returncode == 1, failed.output
    assert "nothing was put back: from here, nobody could sign in before it either" in failed.stderr
    assert "rob@" in server.host.read(USERS)
    assert "rob" in server.controller.users_file.read_text()
    server.wants("")
    assert server.controller.run("remove-user", "rob").returncode == 0


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


def test_a_password_with_spaces_and_letters_outside_ascii_signs_in(server: Server) -> None:
    lab, password = server.controller, "pässwort mit raum, und mehr"
    (lab.folder / "secret").write_text(password + "\n", encoding="utf-8")
    added = lab.run("add-user", "lisa", "--password-file", "secret")
    assert added.returncode == 0, added.output
    assert "lisa signs in" in added.stdout
    assert server.lets_in("lisa", password)
    assert not server.lets_in("lisa", password.replace("ä", "a"))
    assert "raum" not in server.host.read(USERS) + lab.users_file.read_text()


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


def test_a_user_added_where_the_server_does_not_run_is_told_at_once(server: Server) -> None:
    server.host.run("systemctl", "stop", "flexisip-proxy")
    try:
        added = server.controller.run("add-user", "zoe", "--json")
    finally:
        server.host.run("systemctl", "start", "flexisip-proxy")
    assert added.returncode == 1, added.output
    assert "Flexisip does not run on" in added.output
    assert "labtool deploy starts it" in added.output
    refused = [event for event in added.events if event["event"] == "probe"]
    assert sum(event["seconds"] for event in refused) < 3, refused
    assert "zoe@" in server.host.read(USERS)
