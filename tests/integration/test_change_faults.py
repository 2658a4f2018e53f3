"""What goes wrong in the middle of a change: the old server serves, or it is said what is left to do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import repository as repositories
from .changing import CONFIGURATION, USERS, Server
from .conftest import BareHost
from .container import Container
from .controller import Controller, wait_for
from .images import Image
from .repository import Repository
from .test_change_release import fails_to_configure, repacked
from .test_faults import is_bare


@pytest.fixture
def host(bare_host: BareHost, any_image: Image) -> Container:
    return bare_host(any_image)


@pytest.fixture
def controller(tmp_path: Path, login_file: Path, host: Container) -> Controller:
    made = Controller(tmp_path, login_file)
    made.knows(host)
    return made


@pytest.fixture
def small_disk(server: Server) -> Iterator[Server]:
    """The server's files on a disk of 64 kB that is nearly full."""
    server.host.shell(
        "cp -a /etc/flexisip /root/kept && mount -t tmpfs -o size=64k,mode=750 tmpfs /etc/flexisip && "
        "cp -a /root/kept/. /etc/flexisip/ && head -c 44k /dev/zero > /etc/flexisip/filler"
    )
    yield server
    server.host.shell("umount /etc/flexisip; rm -rf /root/kept")


def until(child: subprocess.Popen[str], task: str) -> None:
    """Read the child's events until a task of that name begins."""
    assert child.stdout is not None
    for line in child.stdout:
        if f'"{task}"' in line and '"event": "task"' in line:
            return
    raise AssertionError(f"no task {task}")


def follows(controller: Controller, host: Container, former: str) -> None:
    """Docker may give a machine that boots another address: the lab is told, as a person would."""
    hosts = controller.folder / "inventory" / "hosts.yml"
    hosts.write_text(hosts.read_text().replace(former, host.address))
    controller.knows(host)


def test_a_full_disk_leaves_the_old_users_served_and_is_told(small_disk: Server) -> None:
    server = small_disk
    lab, before = server.controller, server.host.read(USERS)
    kept = lab.users_file.read_text()
    (lab.folder / "many.csv").write_text("".join(f"s{number}\n" for number in range(400)))
    failed = lab.run("import-users", "many.csv", "-o", "many-passwords.csv")
    assert failed.returncode == 1, failed.output
    assert "No space left on device" in failed.stderr, failed.stderr
    assert "the former one is in place" in failed.stderr
    assert "The host's disk is full" in failed.stderr
    assert server.host.read(USERS) == before
    assert lab.users_file.read_text() == kept
    assert not (lab.folder / "many-passwords.csv").exists()
    assert server.lets_in()
    left = server.host.run("ls", "-A", "/etc/flexisip").stdout.split()
    assert sorted(left) == ["filler", "flexisip.conf", "users.db.txt"]


def test_a_full_disk_leaves_the_old_configuration_served_and_is_told(small_disk: Server) -> None:
    server = small_disk
    conf = server.host.read(CONFIGURATION)
    server.host.shell("cat /dev/zero > /etc/flexisip/filler2", check=False)
    server.wants("flexisip_log_level: error")
    failed = server.controller.run("deploy")
    server.host.run("rm", "/etc/flexisip/filler2")
    assert failed.returncode == 1, failed.output
    assert "No space left on device" in failed.stderr, failed.stderr
    assert "The host's disk is full" in failed.stderr
    assert server.host.read(CONFIGURATION) == conf
    assert server.lets_in()
    left = server.host.run("ls", "-A", "/etc/flexisip").stdout.split()
    assert sorted(left) == ["filler", "flexisip.conf", "users.db.txt"]


def test_a_backup_that_finds_no_room_leaves_nothing_behind(server: Server) -> None:
    server.host.shell("mount -t tmpfs -o size=4k,mode=700 tmpfs /var/lib/labtool")
    try:
        failed = server.controller.run("backup", "-o", "kept.tar.gz")
        left = server.host.shell("ls -A /var/lib/labtool").stdout
    finally:
        server.host.shell("umount /var/lib/labtool")
    assert failed.returncode == 1, failed.output
    assert "No space left on device" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not (server.controller.folder / "kept.tar.gz").exists()
    assert left == ""


def test_a_former_state_that_is_damaged_is_told_and_nothing_is_changed(server: Server) -> None:
    conf = server.host.read(CONFIGURATION)
    former = "/var/lib/labtool/former.tar.gz"
    server.host.shell(f"cp {former} /root/former; head -c 60 /root/former > {former}")
    refused = server.controller.run("rollback")
    server.host.shell(f"cp /root/former {former}")
    assert refused.returncode == 2, refused.output
    assert "is damaged" in refused.stderr
    assert server.host.read(CONFIGURATION) == conf
    assert server.lets_in()


def test_without_room_for_the_way_back_nothing_is_changed(server: Server) -> None:
    conf = server.host.read(CONFIGURATION)
    server.host.shell("mount -t tmpfs -o size=4k,mode=700 tmpfs /var/lib/labtool")
    try:
        server.wants("flexisip_log_level: error")
        failed = server.controller.run("deploy")
    finally:
        server.host.shell("umount /var/lib/labtool")
    assert failed.returncode == 1, failed.output
    assert "Keep the former state of the server failed" in failed.stderr
    assert "The host's disk is full" in failed.stderr
    assert server.host.read(CONFIGURATION) == conf
    assert server.lets_in()


def test_a_line_that_is_cut_in_the_middle_is_told_and_the_next_deployment_goes_on(
    server: Server,
) -> None:
    server.wants("flexisip_log_level: error")
    child = server.controller.start("deploy", "--json")
    until(child, "Render flexisip.conf")
    server.host.run("ip", "link", "set", "eth0", "down")
    try:
        _, errors = child.communicate(timeout=120)
    finally:
        server.host.run("ip", "link", "set", "eth0", "up")
    assert child.returncode == 3, errors
    assert "Traceback" not in errors
    assert wait_for(server.lets_in)
    again = server.controller.run("deploy")
    assert again.returncode == 0, again.output
    assert "log-level=error" in server.host.read(CONFIGURATION)
    assert server.lets_in()


def test_a_reboot_in_the_middle_ends_with_a_server_and_the_next_deployment_goes_on(
    server: Server,
) -> None:
    address = server.host.address
    server.wants("flexisip_log_level: error")
    child = server.controller.start("deploy", "--json")
    until(child, "Render flexisip.conf")
    server.host.power_off()
    _, errors = child.communicate(timeout=120)
    assert child.returncode == 3, errors
    server.host.power_on()
    follows(server.controller, server.host, address)
    assert wait_for(server.lets_in)
    again = server.controller.run("deploy")
    assert again.returncode == 0, again.output
    assert server.lets_in()


def test_a_clock_that_is_two_hours_behind_is_told_and_the_server_serves(server: Server) -> None:
    # A container has the clock of its machine: what tells the time is made to be wrong.
    server.host.write(
        "/usr/local/bin/date", "#!/bin/sh\nexec /bin/date -d '2 hours ago' \"$@\"\n", mode=0o755
    )
    try:
        done = server.controller.run("deploy")
    finally:
        server.host.run("rm", "/usr/local/bin/date")
    assert done.returncode == 0, done.output
    assert "The host's clock is 2 h 00 min behind this machine's" in done.stderr, done.stderr
    assert "timedatectl set-ntp true" in done.stderr


def test_a_repository_from_the_future_is_refused_as_a_matter_of_clocks(
    host: Container,
    controller: Controller,
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = repositories._date
    ahead = repositories.timedelta(days=1, hours=2)
    monkeypatch.setattr(repositories, "_date", lambda when: plain(when + ahead))
    repository.publish()
    refused = controller.deploy(host, "--repo-url", repository.url())
    assert refused.returncode == 1
    said = refused.last("error")
    assert "not valid yet" in said["error"]
    assert "clock" in str(said["cause"])
    assert is_bare(host)


def test_a_first_installation_that_fails_half_way_is_told_and_mended_by_the_next(
    host: Container, controller: Controller, standin: Path, tmp_path: Path
) -> None:
    broken = repacked(standin, tmp_path, "2.5.3-1", fails_to_configure)
    failed = controller.deploy(host, "--deb", str(broken))
    assert failed.returncode == 1
    said = failed.last("error")
    assert "no room for it" in said["error"], said
    assert "package itself failed" in str(said["cause"])
    done = controller.deploy(host, "--deb", str(standin))
    assert done.returncode == 0, done.output


def test_a_power_cut_while_the_package_is_installed_is_mended_by_the_next_deployment(
    host: Container, controller: Controller, standin: Path, tmp_path: Path
) -> None:
    def slow(tree: Path) -> None:
        script = tree / "DEBIAN" / "postinst"
        script.write_text("#!/bin/sh\ntouch /var/lib/slow; sleep 8; systemctl daemon-reload\n")

    package = repacked(standin, tmp_path, "2.5.3-1", slow)
    address = host.address
    child = controller.start(
        "deploy", "--host", address, "--domain", "sip.example.test",
        "--identity", str(controller.identity), "--deb", str(package), "--json",
    )  # fmt: skip
    assert wait_for(lambda: not host.run("test", "-e", "/var/lib/slow", check=False).returncode)
    host.engine.run("kill", host.name)
    child.communicate(timeout=120)
    assert child.returncode == 3
    host.power_on()
    follows(controller, host, address)
    done = controller.run("deploy", "--json")
    assert done.returncode == 0, done.output
