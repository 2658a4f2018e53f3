"""What goes wrong on the way, and what the user then reads. Each on a bare machine of its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from labtool import probe
from labtool.sip.digest import Password

from .conftest import BareHost
from .container import Container, KeyPair
from .controller import DOMAIN, Controller, passwords, wait_for
from .engine import Engine
from .images import Image
from .nat import Forwarder
from .repository import Repository, SigningKey

SOURCE = "/etc/apt/sources.list.d/bc-flexisip.list"
KEYRING = "/etc/apt/keyrings/bc-flexisip.asc"


@pytest.fixture
def host(bare_host: BareHost, any_image: Image) -> Container:
    return bare_host(any_image)


@pytest.fixture
def controller(tmp_path: Path, login_file: Path, host: Container) -> Controller:
    made = Controller(tmp_path, login_file)
    made.knows(host)
    return made


def is_bare(host: Container) -> bool:
    """Nothing of a deployment is on the host."""
    return (
        host.run("test", "-e", SOURCE, check=False).returncode != 0
        and host.run("test", "-e", KEYRING, check=False).returncode != 0
        and host.run("dpkg-query", "-W", "bc-flexisip", check=False).returncode != 0
    )


def test_a_key_that_is_not_the_recorded_one_is_refused_before_any_change(
    host: Container, controller: Controller, repository: Repository, other_key: SigningKey
) -> None:
    url = repository.url()
    controller.run("init", "--domain", DOMAIN)
    with controller.lab_file.open("a") as lab:
        lab.write(f"flexisip_repository_key_fingerprint: '{other_key.fingerprint}'\n")
    refused = controller.deploy(host, "--repo-url", url)
    assert refused.returncode == 1
    error = refused.last("error")["error"]
    assert "key is another one" in error
    assert repository.key.fingerprint in error
    assert other_key.fingerprint in error
    assert is_bare(host)


def test_a_repository_signed_by_another_key_than_it_offers_is_refused_and_taken_away(
    host: Container, controller: Controller, repository: Repository, other_key: SigningKey
) -> None:
    repository.offer_key(other_key)
    refused = controller.deploy(host, "--repo-url", repository.url())
    assert refused.returncode == 1
    said = refused.last("error")
    assert "signed by another key" in str(said["cause"]), said
    assert is_bare(host)
    # apt on the host works as before.
    assert host.run("apt-get", "-q", "update", check=False).returncode == 0
    # The users that were made for it are gone with it: nobody has seen their passwords.
    assert not controller.users_file.exists()


def test_a_page_in_place_of_the_key_is_told(
    host: Container, controller: Controller, repository: Repository
) -> None:
    repository.offer_key(b"<html>Please sign in to the hotel's network</html>")
    refused = controller.deploy(host, "--repo-url", repository.url())
    assert refused.returncode == 1
    assert "not an OpenPGP key" in refused.last("error")["error"]
    assert is_bare(host)


def test_a_suite_that_was_dropped_is_told_with_the_two_ways_out(
    host: Container, controller: Controller, repository: Repository
) -> None:
    repository.withdraw(host.shell(". /etc/os-release; echo $VERSION_CODENAME").stdout.strip())
    refused = controller.deploy(host, "--repo-url", repository.url())
    assert refused.returncode == 1
    error = refused.last("error")["error"]
    assert "404" in error
    assert "--repo-url" in error
    assert "--deb" in error
    assert is_bare(host)
    # The next deployment does not begin with what has just failed.
    assert repository.url() not in controller.lab_file.read_text()


def test_a_host_that_is_down_is_unreachable_and_nothing_is_written(
    host: Container, controller: Controller, repository: Repository
) -> None:
    host.power_off()
    gone = controller.deploy(host, "--repo-url", repository.url())
    assert gone.returncode == 3
    assert not (controller.folder / "inventory").exists()


def test_a_package_at_hand_needs_no_repository(
    host: Container, controller: Controller, standin: Path, repository: Repository
) -> None:
    done = controller.deploy(host, "--deb", str(standin))
    assert done.returncode == 0, done.output
    assert host.run("test", "-e", SOURCE, check=False).returncode != 0
    assert controller.run("deploy", "--json").last("deployed")["changed"] == 0
    assert repository.asked_for("InRelease") == 0


def test_a_password_login_needs_no_sshpass_and_leaves_no_trace(
    host: Container, controller: Controller, standin: Path
) -> None:
    host.allow_password_login("root", "Initial-Pass-7")
    secret = controller.folder / "ssh-password"
    secret.write_text("Initial-Pass-7\n")
    wrong = controller.folder / "wrong"
    wrong.write_text("not-it\n")
    common = ["--host", host.address, "--domain", DOMAIN, "--deb", str(standin), "--json"]
    refused = controller.run("deploy", *common, "--ssh-password-file", "wrong")
    assert refused.returncode == 3
    assert "password is wrong" in refused.last("error")["error"]
    done = controller.run("deploy", *common, "--ssh-password-file", "ssh-password")
    assert done.returncode == 0, done.output
    added = controller.run("add-user", "carol", "--ssh-password-file", "ssh-password")
    assert added.returncode == 0, added.output
    assert controller.run("verify", "--ssh-password-file", "ssh-password").returncode == 0
    assert not any("Initial-Pass-7" in command for command in controller.commands)
    for file in controller.folder.rglob("*"):
        if file.is_file() and file != secret:
            assert "Initial-Pass-7" not in file.read_text(errors="replace"), file


def test_a_user_who_may_use_sudo_is_enough(
    host: Container, controller: Controller, standin: Path
) -> None:
    host.add_user("student")
    done = controller.deploy(host, "--user", "student", "--deb", str(standin))
    assert done.returncode == 0, done.output
    assert controller.run("add-user", "carol").returncode == 0
    assert controller.run("verify").returncode == 0


def test_a_user_who_may_not_use_sudo_is_told(
    host: Container, controller: Controller, standin: Path
) -> None:
    host.add_user("student", sudo=False)
    refused = controller.deploy(host, "--user", "student", "--deb", str(standin))
    assert refused.returncode == 1
    assert "sudo" in refused.last("error")["error"]
    assert "become-password" in str(refused.last("error")["cure"])


def test_an_unknown_host_key_is_asked_about_and_a_changed_one_refused(
    host: Container, controller: Controller, standin: Path
) -> None:
    controller.known_hosts.write_text("")
    unknown = controller.deploy(host, "--deb", str(standin))
    assert unknown.returncode == 3
    assert "--accept-host-key" in unknown.last("error")["error"]
    controller.known_hosts.write_text(f"{host.address} {KeyPair.generate().public}\n")
    changed = controller.deploy(host, "--deb", str(standin), "--accept-host-key")
    assert changed.returncode == 3
    assert "CHANGED" in changed.last("error")["error"]
    controller.known_hosts.write_text("")
    accepted = controller.deploy(host, "--deb", str(standin), "--accept-host-key")
    assert accepted.returncode == 0, accepted.output
    assert host.host_key.split()[1] in controller.known_hosts.read_text()


def test_a_port_that_somebody_else_has_is_told_with_the_name(
    host: Container, controller: Controller, standin: Path
) -> None:
    host.shell(
        "systemd-run --unit=other python3 -c "
        '"import socket, time; s = socket.socket(); s.bind((\\"\\", 5060)); s.listen(); time.sleep(999)"'
    )
    assert wait_for(lambda: ":5060" in host.run("ss", "-lnt").stdout)
    refused = controller.deploy(host, "--deb", str(standin))
    assert refused.returncode == 1
    error = refused.last("error")["error"]
    assert "Port 5060 is taken" in error
    assert "python3" in error
    assert is_bare(host)


def test_two_operators_at_once_do_not_get_in_each_others_way(
    host: Container, controller: Controller, standin: Path
) -> None:
    controller.run("init", "--domain", DOMAIN)
    first = controller.start(
        "deploy", "--host", host.address, "--identity", str(controller.identity),
        "--deb", str(standin), "--json",
    )  # fmt: skip
    lock = controller.folder / "inventory" / ".labtool" / "lock"
    assert wait_for(lambda: lock.exists() and lock.read_text())
    second = controller.run("add-user", "carol")
    assert second.returncode == 4
    assert f"process {first.pid}" in second.stderr
    first.communicate(timeout=120)
    assert first.returncode == 0
    assert controller.run("add-user", "carol").returncode == 0


def test_an_interrupted_deployment_goes_on_when_it_is_run_again(
    host: Container, controller: Controller, standin: Path
) -> None:
    controller.run("init", "--domain", DOMAIN)
    arguments = ["deploy", "--host", host.address, "--identity", str(controller.identity)]
    arguments += ["--deb", str(standin), "--json"]
    child = controller.start(*arguments)
    assert child.stdout is not None
    for line in child.stdout:
        if '"Install the package"' in line and '"event": "task"' in line:
            break
    time.sleep(1)
    os.killpg(child.pid, signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert "Traceback" not in errors
    done = controller.run("deploy", "--json")
    assert done.returncode == 0, done.output
    assert set(passwords(done)) == {"alice", "bob"}


def test_a_killed_deployment_leaves_no_lock(
    host: Container, controller: Controller, standin: Path
) -> None:
    controller.run("init", "--domain", DOMAIN)
    arguments = ["deploy", "--host", host.address, "--identity", str(controller.identity)]
    child = controller.start(*arguments, "--deb", str(standin), "--json")
    assert child.stdout is not None
    for line in child.stdout:
        if '"event": "task"' in line:
            break
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=60)
    done = controller.run("deploy", "--json")
    assert done.returncode == 0, done.output


@pytest.fixture
def public(engine: Engine, host: Container) -> Iterator[str]:
    """An address by which the host is reached and that is not its own, as in a cloud."""
    address = engine.gateway()
    forwarder = Forwarder(address, host.address)
    yield address
    forwarder.close()


def test_behind_a_clouds_nat_the_public_address_is_announced_and_the_private_one_bound(
    host: Container, controller: Controller, standin: Path, public: str
) -> None:
    done = controller.run(
        "deploy", "--host", public, "--port", "2222", "--domain", DOMAIN,
        "--identity", str(controller.identity), "--deb", str(standin),
        "--accept-host-key", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.output
    assert done.last("deployed")["address"] == f"{public}:5060"
    conf = host.read("/etc/flexisip/flexisip.conf")
    assert f"transports=sip:{public}:5060;maddr={host.address}\n" in conf
    aliases = next(line for line in conf.splitlines() if line.startswith("aliases="))
    assert {DOMAIN, public, host.address} <= set(aliases.removeprefix("aliases=").split())
    assert "force-public-ip-for-sdp-masquerading=true" in conf
    secret = Password(passwords(done)["alice"])
    assert probe.register(public, "udp", "alice", DOMAIN, secret).ok
    hosts = yaml.safe_load((controller.folder / "inventory" / "hosts.yml").read_text())
    assert hosts["flexisip"]["hosts"][public]["ansible_port"] == 2222
    assert controller.run("verify").returncode == 0
