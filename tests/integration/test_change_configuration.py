"""A change of a server that serves: announced, kept, proved, and put back where the proof fails."""

from __future__ import annotations

from .changing import CONFIGURATION, USERS, Server
from .controller import DOMAIN, wait_for


def test_a_change_that_restarts_says_what_that_costs_and_one_that_changes_nothing_does_not(
    server: Server,
) -> None:
    assert "restarted" not in server.controller.run("deploy").output
    server.wants("flexisip_log_level: error")
    before = server.process()
    changed = server.controller.run("deploy")
    assert changed.returncode == 0, changed.output
    assert "the server is restarted: it forgets who is registered" in changed.stderr
    assert server.process() != before


def test_a_configuration_that_starts_but_lets_nobody_in_is_put_back_and_proved_again(
    server: Server,
) -> None:
    conf = server.host.read(CONFIGURATION)
    server.wants("flexisip_settings: {module::Authentication: {auth-domains: other.example.test}}")
    refused = server.controller.run("deploy")
    assert refused.returncode == 1, refused.output
    assert "The new state does not pass" in refused.stderr
    assert "was put back and is served (flexisip.conf, restart)" in refused.stderr
    assert "proved again: users sign in as before" in refused.stderr
    assert server.host.read(CONFIGURATION) == conf
    assert server.lets_in()


def test_what_served_before_is_kept_for_root_alone_and_nothing_else_is_left(server: Server) -> None:
    kept = server.host.shell("stat -c '%a %U %n' /var/lib/labtool /var/lib/labtool/former.tar.gz")
    assert kept.stdout.splitlines() == [
        "700 root /var/lib/labtool",
        "600 root /var/lib/labtool/former.tar.gz",
    ]
    assert not server.host.shell("ls -A /etc/flexisip | grep -v -x -e flexisip.conf -e users.db.txt",
                                 check=False).stdout  # fmt: skip


def test_a_users_file_that_was_broken_by_hand_is_found_before_the_server_dies_of_it(
    server: Server,
) -> None:
    before = server.process()
    server.host.shell(f"echo 'mallory@{DOMAIN} clrtxt:x;' >> {USERS}")
    added = server.controller.run("add-user", "carol")
    assert added.returncode == 0, added.output
    assert "had been broken by hand" in added.stderr
    assert "ended prematurely" in added.stderr
    assert server.process() == before
    assert server.controller.run("remove-user", "carol").returncode == 0


def test_a_users_file_that_was_changed_by_hand_is_told_with_the_users_that_it_had(
    server: Server,
) -> None:
    server.host.shell(f"echo 'mallory@{DOMAIN} clrtxt:x ;' >> {USERS}")
    mended = server.controller.run("deploy")
    assert mended.returncode == 0, mended.output
    assert "had been changed by hand. It had users that the lab lacks: mallory." in mended.stderr
    assert "mallory" not in server.host.read(USERS)


def test_a_server_that_died_of_its_users_file_is_brought_back(server: Server) -> None:
    good = server.host.read(USERS)
    server.host.write(USERS, "version:1\nbroken\n", mode=0o640)
    server.host.shell("systemctl restart flexisip-proxy", check=False)
    assert wait_for(lambda: not server.lets_in())
    mended = server.controller.run("deploy")
    assert mended.returncode == 0, mended.output
    assert server.host.read(USERS) == good
    assert server.lets_in()
