"""Other releases: upgrade, the way back, backup and restore. The tests stand in a teacher's order."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .changing import CONFIGURATION, USERS, Server
from .container import Container, KeyPair
from .controller import Controller, passwords
from .engine import Engine
from .images import Image
from .repository import Repository


def repacked(deb: Path, folder: Path, version: str, edit: Callable[[Path], None]) -> Path:
    """The package under another version, with something changed in it."""
    tree = folder / f"tree-{version}"
    shutil.rmtree(tree, ignore_errors=True)
    subprocess.run(["dpkg-deb", "-R", str(deb), str(tree)], check=True)
    control = tree / "DEBIAN" / "control"
    lines = control.read_text().splitlines(keepends=True)
    control.write_text(
        "".join(f"Version: {version}\n" if x.startswith("Version:") else x for x in lines)
    )
    edit(tree)
    made = folder / f"bc-flexisip_{version}_amd64.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(made)],
        check=True,
        capture_output=True,
    )
    return made


def fails_to_configure(tree: Path) -> None:
    (tree / "DEBIAN" / "postinst").write_text("#!/bin/sh\necho no room for it >&2\nexit 1\n")


def starts_and_does_not_serve(tree: Path) -> None:
    (tree / "opt/belledonne-communications/bin/flexisip").write_text(
        '#!/bin/sh\ncase "$*" in\n'
        "*--daemon*) sleep 1000 & echo $! > /var/run/flexisip-proxy.pid ;;\n"
        "*) exec sleep 1000 ;;\nesac\n"
    )


@pytest.fixture(scope="module")
def older(
    engine: Engine,
    image: Image,
    login: KeyPair,
    login_file: Path,
    older_standin: Path,
    _served: Repository,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, Repository]]:
    """A server of 2.3.4 from a repository, on each image."""
    yield from of_2_3_4(engine, image, login, login_file, older_standin, _served, tmp_path_factory)


def of_2_3_4(
    engine: Engine,
    image: Image,
    login: KeyPair,
    login_file: Path,
    older_standin: Path,
    _served: Repository,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, Repository]]:
    """Deploys a server of 2.3.4 from the repository, and removes it at the end."""
    _served.debs = [older_standin]
    _served.reset()
    host = Container(engine, image, login)
    try:
        controller = Controller(tmp_path_factory.mktemp("controller"), login_file)
        controller.knows(host)
        url = _served.url("ubuntu" if "ubuntu" in image.name else "debian")
        first = controller.deploy(host, "--repo-url", url)
        assert first.returncode == 0, first.output + host.journal(lines=40)
        yield Server(host, controller, passwords(first)["alice"]), _served
    finally:
        host.remove()


def installed(server: Server) -> str:
    return server.host.run(
        "dpkg-query", "-W", "-f=${db:Status-Status} ${Version}", "bc-flexisip"
    ).stdout


def test_a_repository_that_apt_has_not_read_yet_is_read_by_a_deployment_once(
    older: tuple[Server, Repository],
) -> None:
    server, _ = older
    policy = "apt-cache policy bc-flexisip"
    server.host.shell("rm -f /var/lib/apt/lists/*snapshots*")
    assert "snapshots" not in server.host.shell(policy).stdout
    outcomes = []
    for _ in range(2):
        done = server.controller.run("deploy", "--json")
        assert done.last("deployed")["changed"] == 0, done.output
        assert "snapshots" in server.host.shell(policy).stdout
        events = [json.loads(line) for line in done.stdout.splitlines()]
        outcomes += [
            event["outcome"]
            for event in events
            if event["event"] == "result" and event["name"] == "Have apt read the repository"
        ]
    assert outcomes == ["ok", "skipped"]


def test_a_look_tells_packages_and_settings_and_changes_nothing(
    older: tuple[Server, Repository], standin: Path, older_standin: Path
) -> None:
    server, repository = older
    repository.publish(debs=[older_standin, standin])
    lists = "ls -l --time-style=full-iso /var/lib/apt/lists /var/lib/labtool | sha256sum"
    before = server.host.shell(lists).stdout
    looked = server.controller.run("upgrade", "--check")
    assert looked.returncode == 0, looked.output
    assert "bc-flexisip 2.3.4-0labtoolstandin1 to 2.5.2-0labtoolstandin1" in looked.stdout
    assert "Inst bc-flexisip [2.3.4-0labtoolstandin1] (2.5.2-0labtoolstandin1" in looked.stdout
    assert "sdp-port-range-min is called sdp-port-range in 2.5.2" in looked.stdout, looked.stdout
    assert "the server would be restarted: it forgets who is registered" in looked.stdout
    assert "Flexisip 2.3.4 does not tell" in looked.stdout
    assert server.host.shell(lists).stdout == before
    assert installed(server) == "installed 2.3.4-0labtoolstandin1"


def test_on_an_older_release_too_no_phone_is_dropped_by_a_new_user(
    older: tuple[Server, Repository],
) -> None:
    server, _ = older
    with server.phone() as phone:
        added = server.controller.run("add-user", "dora")
        assert added.returncode == 0, added.output
        assert phone.is_registered()


def test_a_version_that_is_not_there_is_told_with_those_that_are(
    older: tuple[Server, Repository],
) -> None:
    refused = older[0].controller.run("upgrade", "--to", "2.9")
    assert refused.returncode == 2
    assert "It has: 2.5.2-0labtoolstandin1, 2.3.4-0labtoolstandin1" in refused.stderr


def test_a_package_that_fails_half_way_is_taken_back_and_the_old_server_serves(
    older: tuple[Server, Repository], standin: Path, older_standin: Path, tmp_path: Path
) -> None:
    server, repository = older
    broken = repacked(standin, tmp_path, "2.5.3-1", fails_to_configure)
    repository.publish(debs=[older_standin, standin, broken])
    conf = server.host.read(CONFIGURATION)
    failed = server.controller.run("upgrade", "--to", "2.5.3")
    assert failed.returncode == 1, failed.output
    assert "no room for it" in failed.stderr, failed.stderr
    assert "was put back and is served (package 2.3.4-0labtoolstandin1" in failed.stderr
    assert installed(server) == "installed 2.3.4-0labtoolstandin1"
    assert server.host.read(CONFIGURATION) == conf
    assert server.lets_in()
    assert server.host.run("dpkg", "--audit").stdout == ""


def test_a_release_that_does_not_pass_is_taken_back_and_proved_again(
    older: tuple[Server, Repository], standin: Path, older_standin: Path, tmp_path: Path
) -> None:
    server, repository = older
    silent = repacked(standin, tmp_path, "2.5.4-1", starts_and_does_not_serve)
    repository.publish(debs=[older_standin, standin, silent])
    conf = server.host.read(CONFIGURATION)
    failed = server.controller.run("upgrade", "--to", "2.5.4-1")
    assert failed.returncode == 1, failed.output
    assert "2.5.4-1 does not pass" in failed.stderr
    assert "package 2.3.4-0labtoolstandin1" in failed.stderr
    assert "proved again: users sign in as before" in failed.stderr
    assert installed(server) == "installed 2.3.4-0labtoolstandin1"
    assert server.host.read(CONFIGURATION) == conf
    assert server.lets_in()


def test_an_upgrade_is_proved_and_a_rollback_brings_the_former_release_back(
    older: tuple[Server, Repository], standin: Path
) -> None:
    server, repository = older
    conf = server.host.read(CONFIGURATION)
    # The repository forgets old versions; the way back does not need it.
    repository.publish(debs=[standin])
    done = server.controller.run("upgrade")
    assert done.returncode == 0, done.output
    assert "serves 2.5.2-0labtoolstandin1, proved" in done.stdout
    assert installed(server) == "installed 2.5.2-0labtoolstandin1"
    assert "sdp-port-range=10000-20000" in server.host.read(CONFIGURATION)
    assert server.lets_in()
    assert server.controller.run("deploy", "--json").last("deployed")["changed"] == 0
    again = server.controller.run("upgrade")
    assert "nothing to upgrade" in again.stdout

    with server.phone():
        back = server.controller.run("rollback")
    assert back.returncode == 0, back.output
    assert "becomes 2.3.4-0labtoolstandin1, so the server is restarted" in back.stderr
    assert "forgets the one registration" in back.stderr
    assert installed(server) == "installed 2.3.4-0labtoolstandin1"
    assert server.host.read(CONFIGURATION) == conf
    assert server.lets_in()
    forth = server.controller.run("rollback")
    assert forth.returncode == 0, forth.output
    assert installed(server) == "installed 2.5.2-0labtoolstandin1"
    assert server.lets_in()


def test_a_rollback_takes_the_labs_files_back_too(older: tuple[Server, Repository]) -> None:
    server, _ = older
    lab = server.controller
    assert lab.run("add-user", "carol").returncode == 0
    with lab.lab_file.open("a") as file:
        file.write("flexisip_log_level: error\n")
    assert lab.run("deploy").returncode == 0
    back = lab.run("rollback")
    assert back.returncode == 0, back.output
    assert "lab.yml and users.yml are those of that time, too" in back.stdout
    assert "flexisip_log_level: error" not in lab.lab_file.read_text()
    assert "carol" in lab.users_file.read_text()
    assert lab.run("deploy", "--json").last("deployed")["changed"] == 0


def test_a_backup_is_restored_with_its_users_and_its_lab(older: tuple[Server, Repository]) -> None:
    server, _ = older
    lab = server.controller
    conf, users = server.host.read(CONFIGURATION), server.host.read(USERS)
    kept = lab.run("backup", "-o", "kept.tar.gz")
    assert kept.returncode == 0, kept.output
    assert oct((lab.folder / "kept.tar.gz").stat().st_mode & 0o777) == "0o600"
    assert lab.run("backup", "-o", "kept.tar.gz").returncode == 2
    assert not server.host.shell("ls /var/lib/labtool | grep backup", check=False).stdout
    assert lab.run("remove-user", "carol").returncode == 0
    with lab.lab_file.open("a") as file:
        file.write("flexisip_log_level: error\n")
    assert lab.run("deploy").returncode == 0
    restored = lab.run("restore", "kept.tar.gz")
    assert restored.returncode == 0, restored.output
    assert server.host.read(CONFIGURATION) == conf
    assert server.host.read(USERS) == users
    assert "carol" in lab.users_file.read_text()
    assert lab.run("deploy", "--json").last("deployed")["changed"] == 0


def test_what_is_no_backup_is_told(older: tuple[Server, Repository]) -> None:
    lab = older[0].controller
    (lab.folder / "not.tar.gz").write_bytes(b"hello")
    refused = lab.run("restore", "not.tar.gz")
    assert refused.returncode == 2
    assert "is not a backup of labtool's: it is no .tar.gz" in refused.stderr
