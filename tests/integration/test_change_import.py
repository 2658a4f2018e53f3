"""A server that somebody set up by hand becomes a lab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from labtool import probe
from labtool.sip.digest import Password

from .changing import CONFIGURATION, USERS
from .container import Container, KeyPair
from .controller import DOMAIN, Controller
from .engine import Engine
from .images import Image

CONF = f"""\
# written in 2021
[global]
aliases={DOMAIN} pbx.example.test
[stun-server]
enabled=false
[module::Registrar]
enabled=true
reg-domains={DOMAIN}
max-contacts-by-aor=3
[module::Authentication]
enabled=true
auth-domains={DOMAIN}
db-implementation=file
file-path=/etc/flexisip/passwords
cache-expire=3
"""

# What a report of 2020 printed, with a secret of a database that is not used.
REPORT = f"""\
[global]
debug=true
aliases={DOMAIN}
[stun-server]
enabled=false
[module::Registrar]
enabled=true
reg-domains={DOMAIN}
redis-auth-password=Pw-4-r
[module::Authentication]
enabled=true
auth-domains={DOMAIN}
datasource={USERS}
db-implementation=file
"""


@pytest.fixture(scope="module")
def by_hand(engine: Engine, image: Image, login: KeyPair, standin: Path) -> Iterator[Container]:
    host = Container(engine, image, login)
    try:
        engine.run("cp", str(standin), f"{host.name}:/root/flexisip.deb")
        host.run("dpkg", "-i", "--force-depends", "/root/flexisip.deb")
        host.write(CONFIGURATION, CONF, mode=0o640)
        accounts = f"version:1\nalice@{DOMAIN} clrtxt:Pw-1-a ;\nbob@{DOMAIN} clrtxt:Pw-2-b ;\n"
        host.write("/etc/flexisip/passwords", accounts, mode=0o640)
        host.run("systemctl", "enable", "--now", "flexisip-proxy")
        yield host
    finally:
        host.remove()


@pytest.fixture
def controller(tmp_path: Path, login_file: Path, by_hand: Container) -> Controller:
    made = Controller(tmp_path, login_file)
    made.knows(by_hand)
    return made


def lets_in(host: Container, user: str, password: str) -> bool:
    return probe.register(host.address, "udp", user, DOMAIN, Password(password)).ok


def test_a_server_that_another_set_up_is_not_wiped_by_a_deployment(
    by_hand: Container, controller: Controller, standin: Path
) -> None:
    before = by_hand.shell("find /etc /var/lib -xdev -type f -exec sha256sum {} + | sort").stdout
    arguments = ["deploy", "--host", by_hand.address, "--identity", str(controller.identity)]
    arguments += ["--domain", "other.example.test", "--deb", str(standin)]
    for more in (["--check"], []):
        refused = controller.run(*arguments, *more)
        assert refused.returncode == 1, refused.output
        assert f"alice@{DOMAIN}, bob@{DOMAIN}. Nothing was changed." in refused.stderr
        assert f"labtool import {by_hand.address} -i taken-over" in refused.stderr
        assert "Pw-" not in refused.output
    after = by_hand.shell("find /etc /var/lib -xdev -type f -exec sha256sum {} + | sort").stdout
    assert after == before
    assert lets_in(by_hand, "alice", "Pw-1-a")
    assert controller.run(*arguments, "--check", "--replace").returncode == 0


def test_a_server_set_up_by_hand_is_looked_at_taken_over_and_then_kept_by_labtool(
    by_hand: Container, controller: Controller, standin: Path
) -> None:
    assert lets_in(by_hand, "alice", "Pw-1-a")
    before = by_hand.shell("find /etc /var/lib -xdev -type f -exec sha256sum {} + | sort").stdout
    arguments = ["import", by_hand.address, "--identity", str(controller.identity)]
    taken = controller.run(*arguments, "--deb", str(standin))
    assert taken.returncode == 0, taken.output
    after = by_hand.shell("find /etc /var/lib -xdev -type f -exec sha256sum {} + | sort").stdout
    assert after == before
    assert "Kept as it is: [module::Registrar] max-contacts-by-aor=3" in taken.stdout
    assert "file-path: /etc/flexisip/passwords becomes /etc/flexisip/users.db.txt" in taken.stdout
    assert "2 passwords in clear text became hashes" in taken.stdout
    lab = controller.folder / "inventory"
    kept = lab / ".labtool" / "imported" / by_hand.address
    assert (kept / "flexisip.conf").read_text() == CONF
    assert oct((kept / "users.db.txt").stat().st_mode & 0o777) == "0o600"
    for file in (controller.lab_file, controller.users_file):
        assert "Pw-1-a" not in file.read_text()
    options = yaml.safe_load(controller.lab_file.read_text())
    assert options["flexisip_cache_expire"] == 3

    looked = controller.run("deploy", "--check", "--diff")
    assert looked.returncode == 0, looked.output
    told = {
        line.split("] ", 1)[1].split(":")[0]
        for line in taken.stdout.splitlines()
        if " becomes " in line
    }
    changed = {
        line.strip()[1:].split("=")[0]
        for line in looked.output.splitlines()
        if line.strip()[:1] in "+-" and "=" in line and "#" not in line
    }
    written = {line.split("=")[0] for line in CONF.splitlines() if "=" in line}
    assert {"udp-mtu", "packet-rate-limit"} <= changed & told
    # What is written at another place is a line less and a line more; the rest was told.
    assert changed - told - written <= {
        "log-level", "transports", "available-algorithms", "sdp-port-range", "Restart", "RestartSec",
        "ExecStartPost", "enabled", "ban-time",
    }, changed - told - written  # fmt: skip

    deployed = controller.run("deploy")
    assert deployed.returncode == 0, deployed.output
    assert lets_in(by_hand, "alice", "Pw-1-a")
    assert lets_in(by_hand, "bob", "Pw-2-b")
    assert controller.run("deploy", "--json").last("deployed")["changed"] == 0
    assert "max-contacts-by-aor=3" in by_hand.read(CONFIGURATION)
    assert by_hand.read("/etc/flexisip/passwords").startswith("version:1\nalice")
    assert "clrtxt" not in by_hand.read(USERS)
    assert controller.run("verify").returncode == 0


def test_a_lab_is_not_overwritten_and_clear_text_is_refused_honestly(
    by_hand: Container, controller: Controller
) -> None:
    arguments = ["import", by_hand.address, "--identity", str(controller.identity)]
    refused = controller.run(*arguments, "--keep-clear-text")
    assert refused.returncode == 2
    assert "keeps no password in clear text" in refused.stderr
    assert not (controller.folder / "inventory").exists()
    controller.run("init", "--domain", DOMAIN)
    again = controller.run(*arguments)
    assert again.returncode == 2
    assert "holds a lab already" in again.stderr


def test_the_servers_of_2020_that_do_not_start_are_taken_over_and_made_to(
    by_hand: Container, controller: Controller, standin: Path
) -> None:
    by_hand.shell(
        "systemctl stop flexisip-proxy; rm -rf /etc/systemd/system/flexisip-proxy.service.d"
    )
    by_hand.write(CONFIGURATION, REPORT, mode=0o640)
    by_hand.write(USERS, f"version:1\ntest@{DOMAIN} clrtxt:Pw-3-t;\n", mode=0o640)
    arguments = ["import", by_hand.address, "--identity", str(controller.identity)]
    taken = controller.run(*arguments, "--deb", str(standin))
    assert taken.returncode == 0, taken.output
    assert "line 2: debug is gone since Flexisip 2.0" in taken.stdout
    assert "read as test@sip.example.test clrtxt:*** ;" in taken.stdout
    assert "redis-auth-password=***" in taken.stdout
    assert "Pw-" not in taken.output
    assert oct(controller.lab_file.stat().st_mode & 0o777) == "0o600"
    assert "Pw-4-r" in controller.lab_file.read_text()
    deployed = controller.run("deploy")
    assert deployed.returncode == 0, deployed.output
    assert lets_in(by_hand, "test", "Pw-3-t")
