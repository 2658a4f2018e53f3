"""An upgrade or a change of users that is cut off: what serves then, and the two ways on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .changing import CONFIGURATION, USERS, Server
from .container import KeyPair
from .controller import wait_for
from .engine import Engine
from .images import Image
from .repository import Repository, SigningKey
from .test_change_faults import until
from .test_change_release import installed, of_2_3_4, repacked

OLD = "installed 2.3.4-0labtoolstandin1"


@pytest.fixture(scope="module")
def upgradable(
    engine: Engine,
    any_image: Image,
    login: KeyPair,
    login_file: Path,
    older_standin: Path,
    standin: Path,
    _served: Repository,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, Repository]]:
    """A server of 2.3.4, and a 2.5.5 in its repository that takes long to install."""

    def slow(tree: Path) -> None:
        script = tree / "DEBIAN" / "postinst"
        script.write_text("#!/bin/sh\ntouch /var/lib/slow; sleep 6; systemctl daemon-reload\n")

    made = repacked(standin, tmp_path_factory.mktemp("slow"), "2.5.5-1", slow)
    for one in of_2_3_4(
        engine, any_image, login, login_file, older_standin, _served, tmp_path_factory
    ):
        _served.publish(debs=[older_standin, made])
        yield one


@pytest.mark.parametrize("how", ["Ctrl-C", "kill -9", "the line"])
def test_an_upgrade_that_is_cut_off_leaves_the_old_server_running_and_can_be_taken_back(
    upgradable: tuple[Server, Repository], how: str
) -> None:
    server, _ = upgradable
    conf = server.host.read(CONFIGURATION)
    server.host.run("rm", "-f", "/var/lib/slow")
    child = server.controller.start("upgrade", "--to", "2.5.5-1", "--json")
    until(child, "Install the package")
    assert wait_for(
        lambda: server.host.run("test", "-e", "/var/lib/slow", check=False).returncode == 0, 90
    )
    if how == "the line":
        server.host.run("ip", "link", "set", "eth0", "down")
    else:
        os.killpg(child.pid, signal.SIGINT if how == "Ctrl-C" else signal.SIGKILL)
    try:
        _, errors = child.communicate(timeout=180)
    finally:
        server.host.run("ip", "link", "set", "eth0", "up")
        # With the link went the way to the distribution's own packages.
        way = ["default", "via", server.host.engine.gateway()]
        server.host.run("ip", "route", "replace", *way)
    assert child.returncode == {"Ctrl-C": 130, "kill -9": -9, "the line": 3}[how], errors
    assert "Traceback" not in errors
    if how == "Ctrl-C":
        assert "nothing was proved. “Install the package” was under way" in errors
    assert wait_for(server.lets_in)
    back = server.controller.run("rollback")
    assert back.returncode == 0, back.output
    assert installed(server) == OLD
    assert server.host.read(CONFIGURATION) == conf
    assert server.lets_in()
    assert server.host.run("dpkg", "--audit").stdout == ""
    assert server.controller.run("deploy", "--json").last("deployed")["changed"] == 0


def test_half_an_installation_is_told_and_is_not_what_a_rollback_goes_back_to(
    upgradable: tuple[Server, Repository],
) -> None:
    server, _ = upgradable
    kept = "tar -xzOf /var/lib/labtool/former.tar.gz manifest"
    before = server.host.shell(kept).stdout
    # What a power cut leaves, once the installation that it cut has been forgotten.
    status = "/var/lib/dpkg/status"
    server.host.shell(
        f"sed -i '/^Package: bc-flexisip$/,/^$/ s/^Status: .*/Status: install ok half-configured/' {status}"
    )
    told = server.controller.run("upgrade", "--to", "2.5.5-1")
    assert told.returncode == 2
    assert "was cut off" in told.stderr
    assert "labtool deploy finishes it" in told.stderr
    server.wants("flexisip_log_level: error")
    finished = server.controller.run("deploy")
    server.controller.lab_file.write_text(server.lab)
    assert finished.returncode == 0, finished.output
    assert installed(server) == OLD
    assert server.host.shell(kept).stdout == before
    assert server.lets_in()


def test_a_change_of_users_that_is_cut_off_is_whole_or_not_at_all(
    upgradable: tuple[Server, Repository],
) -> None:
    server, _ = upgradable
    child = server.controller.start("add-user", "nora", "--json")
    until(child, "Render users.db.txt")
    os.killpg(child.pid, signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert server.host.read(USERS).endswith(";\n")
    assert server.lets_in()
    assert server.controller.run("deploy").returncode == 0
    here = "nora" in server.controller.users_file.read_text()
    assert ("nora@" in server.host.read(USERS)) == here


def test_a_repository_with_another_key_is_refused_by_an_upgrade_too(
    upgradable: tuple[Server, Repository], other_key: SigningKey
) -> None:
    server, repository = upgradable
    repository.publish(signed_by=other_key)
    refused = server.controller.run("upgrade", "--to", "2.5.5-1")
    repository.publish()
    assert refused.returncode == 1, refused.output
    assert "cannot ask its repository" in refused.stderr, refused.stderr
    assert "NO_PUBKEY" in refused.stderr
    assert installed(server) == OLD
    assert server.lets_in()


def test_without_the_former_package_an_upgrade_is_refused_and_a_rollback_says_what_is_left(
    upgradable: tuple[Server, Repository], standin: Path
) -> None:
    server, repository = upgradable
    repository.publish(debs=[standin])
    server.host.shell(
        "rm -rf /var/lib/labtool/packages /var/cache/apt/archives/*.deb /var/cache/labtool;"
        "apt-get -q update"
    )
    former = server.host.run("sha256sum", "/var/lib/labtool/former.tar.gz").stdout
    refused = server.controller.run("upgrade")
    assert refused.returncode == 1
    assert server.host.run("sha256sum", "/var/lib/labtool/former.tar.gz").stdout == former
    assert "could not be taken back. Nothing was changed." in refused.stderr, refused.stderr
    assert "--without-way-back" in refused.stderr
    assert installed(server) == OLD
    assert server.lets_in()
    done = server.controller.run("upgrade", "--without-way-back")
    assert done.returncode == 0, done.output
    back = server.controller.run("rollback")
    assert back.returncode == 1, back.output
    assert "the package of 2.3.4-0labtoolstandin1 was not kept" in back.stderr
    assert "everything was left as it was" in back.stderr
    assert installed(server) == "installed 2.5.2-0labtoolstandin1"
    assert server.lets_in()
