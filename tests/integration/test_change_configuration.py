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
    with server.phone() as phone:
        looked = server.controller.run("deploy", "--check", "--json")
        assert looked.last("deployed")["restart"]["registrations"] == 1, looked.output
        assert "the server would be restarted: it forgets the one registration" in str(
            looked.last("note")["text"]
        )
        assert phone.is_registered()
        assert server.process() == before
        changed = server.controller.run("deploy")
        assert changed.returncode == 0, changed.output
        assert "the server is restarted: it forgets the one registration" in changed.stderr
        assert server.process() != before
        assert not phone.is_registered()
    # The proof signs in and out again: nobody is left to lose.
    back = server.controller.run("rollback", "--json")
    assert back.returncode == 0, back.output
    assert back.last("restart")["registrations"] == 0


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


def test_a_difference_shows_that_a_secret_setting_changes_and_never_its_value(
    server: Server,
) -> None:
    lab = server.controller
    lab.commands.clear()
    said = ""
    for value in ("First-secret-9", "Second-secret-9"):
        server.wants(f"flexisip_settings: {{module::Registrar: {{redis-auth-password: {value}}}}}")
        for more in (["--check", "-vvv"], ["--check", "--json"], ["-v"]):
            done = lab.run("deploy", "--diff", *more)
            assert done.returncode == 0, done.output
            assert "redis-auth-password=*** (another value)" in done.output
            said += done.output
        assert f"redis-auth-password={value}" in server.host.read(CONFIGURATION)
    assert "-redis-auth-password=***\n" in said.replace("    ", "")
    logs = list((lab.folder / "inventory" / ".labtool" / "log").iterdir())
    assert any("redis-auth-password=***" in log.read_text() for log in logs)
    assert {log.stat().st_mode & 0o777 for log in logs} == {0o600}
    said += "".join(log.read_text() for log in logs) + "".join(lab.commands)
    assert "secret-9" not in said


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


def test_a_users_file_that_was_changed_by_hand_is_told_and_can_be_taken_into_the_lab(
    server: Server,
) -> None:
    server.host.shell(f"echo 'mallory@{DOMAIN} clrtxt:Pw-6-m ;' >> {USERS}")
    looked = server.controller.run("deploy", "--check")
    assert "has been changed by hand. It has users that the lab lacks: mallory." in looked.stderr
    assert "mallory" in server.host.read(USERS)
    mended = server.controller.run("deploy")
    assert mended.returncode == 0, mended.output
    assert "had been changed by hand. It has users that the lab lacks: mallory." in mended.stderr
    assert "mallory" not in server.host.read(USERS)
    way = mended.stderr.partition("labtool import-users ")[2].split("\n")[0].split()
    taken = server.controller.run("import-users", *way)
    assert taken.returncode == 0, taken.output
    assert server.lets_in("mallory", "Pw-6-m")
    assert server.lets_in()
    assert "Pw-6-m" not in server.controller.users_file.read_text()


def test_a_configuration_that_was_changed_by_hand_is_told_before_it_is_replaced(
    server: Server,
) -> None:
    conf = server.host.read(CONFIGURATION)
    server.host.shell(f"sed -i s/^log-level=.*/log-level=debug/ {CONFIGURATION}")
    looked = server.controller.run("deploy", "--check")
    assert "flexisip.conf is not what labtool wrote last" in looked.stderr
    mended = server.controller.run("deploy")
    assert mended.returncode == 0, mended.output
    assert "flexisip.conf is not what labtool wrote last" in mended.stderr
    assert server.host.read(CONFIGURATION) == conf
    # A change of the lab itself is not called one by hand.
    server.wants("flexisip_log_level: error")
    assert "not what labtool wrote" not in server.controller.run("deploy", "--check").output


def test_a_rollback_gives_the_lab_the_users_that_the_server_has(server: Server) -> None:
    lab = server.controller
    # lab.yml is edited before the user is added, and deployed after it.
    server.wants("flexisip_log_level: warning")
    assert lab.run("add-user", "gil").returncode == 0
    assert lab.run("deploy").returncode == 0
    assert lab.run("rollback").returncode == 0
    assert "gil" in lab.users_file.read_text()
    assert "gil@" in server.host.read(USERS)
    assert "flexisip_log_level: warning" not in lab.lab_file.read_text()
    assert lab.run("deploy", "--json").last("deployed")["changed"] == 0


def test_a_server_that_died_of_its_users_file_is_brought_back(server: Server) -> None:
    good = server.host.read(USERS)
    server.host.write(USERS, "version:1\nbroken\n", mode=0o640)
    server.host.shell("systemctl restart flexisip-proxy", check=False)
    assert wait_for(lambda: not server.lets_in())
    mended = server.controller.run("deploy")
    assert mended.returncode == 0, mended.output
    assert server.host.read(USERS) == good
    assert server.lets_in()
