"""The main job: from a bare machine to a server that is proved, and accounts that come and go.

One machine of each image, deployed once from the signed repository; the tests stand in the order
in which a teacher would do these things. With LABTOOL_TEST_REAL_REPOSITORY=1 the package is the real
one, from the repository that is the default (it needs the internet; the public CI has it).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from labtool import probe
from labtool.sip.digest import Password

from .container import Container, KeyPair
from .controller import DOMAIN, Controller, Ran, passwords
from .engine import Engine
from .images import Image
from .repository import Repository

REAL = bool(os.environ.get("LABTOOL_TEST_REAL_REPOSITORY"))
CONFIGURATION = "/etc/flexisip/flexisip.conf"
USERS = "/etc/flexisip/users.db.txt"
# Everything that a deployment may change, with the hash of each file. Python keeps bytecode beside
# what it imports, and Ansible its own folder in the login's home: neither is a change.
FINGERPRINT = (
    "dpkg -l | sha256sum; find /etc /var/lib/dpkg/info /opt /root -xdev -type f "
    "-not -path '/root/.ansible/*' -not -path '*/__pycache__/*' -exec sha256sum {} + 2>/dev/null | sort"
)


@dataclass
class Story:
    """A machine, the controller, and what each deployment said."""

    host: Container
    controller: Controller
    repository: Repository
    image: Image
    first: Ran
    passwords: dict[str, str]
    ran: list[Ran] = field(default_factory=list)

    def run(self, *arguments: str) -> Ran:
        self.ran.append(self.controller.run(*arguments))
        return self.ran[-1]

    def server(self) -> str:
        """Which process serves: it changes when the service is restarted."""
        return self.host.run("systemctl", "show", "flexisip-proxy", "-p", "MainPID").stdout

    def registers(self, user: str, password: str, transport: str = "udp") -> probe.Result:
        return probe.register(self.host.address, transport, user, DOMAIN, Password(password))


@pytest.fixture(scope="module")
def story(
    engine: Engine,
    image: Image,
    login: KeyPair,
    login_file: Path,
    _served: Repository,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Story]:
    _served.reset()
    host = Container(engine, image, login)
    try:
        controller = Controller(tmp_path_factory.mktemp("controller"), login_file)
        controller.knows(host)
        _choose_interpreter(controller, host, image)
        url = _served.url("ubuntu" if "ubuntu" in image.name else "debian")
        chosen = [] if REAL else ["--repo-url", url]
        before = host.shell(FINGERPRINT).stdout
        looked = controller.deploy(host, *chosen, "--check", "--diff")
        unchanged = before == host.shell(FINGERPRINT).stdout
        first = controller.deploy(host, *chosen)
        assert first.returncode == 0, first.output + host.journal(lines=40)
        told = Story(host, controller, _served, image, first, passwords(first), [looked])
        told.checked_unchanged = unchanged  # type: ignore[attr-defined]
        yield told
    finally:
        host.remove()


def _choose_interpreter(controller: Controller, host: Container, image: Image) -> None:
    """Ubuntu 18.04's Python is 3.6: where the image carries one, Ansible's modules run on it."""
    if host.run("test", "-x", "/usr/local/bin/python3.6", check=False).returncode != 0:
        return
    hosts = controller.folder / "inventory" / "hosts.yml"
    hosts.parent.mkdir(parents=True)
    interpreter = {"ansible_python_interpreter": "/usr/local/bin/python3.6"}
    entry = {"flexisip": {"hosts": {host.address: interpreter}}}
    hosts.write_text("---\n" + yaml.safe_dump(entry))


def test_a_look_says_what_would_change_and_changes_nothing(story: Story) -> None:
    looked = story.ran[0]
    assert looked.returncode == 0, looked.output
    assert story.checked_unchanged  # type: ignore[attr-defined]
    said = looked.last("deployed")
    assert said["changed"] >= 5
    diffs = [event["diff"] for event in looked.events if event.get("diff")]
    assert f"reg-domains={DOMAIN}" in json.dumps(diffs)


def test_the_first_deployment_is_proved_over_every_transport_as_two_users(story: Story) -> None:
    proofs = [event for event in story.first.events if event["event"] == "probe"]
    assert [(one["check"], one["transport"], one["ok"]) for one in proofs] == [
        ("options", "udp", True),
        ("register", "udp", True),
        ("register", "udp", True),
        ("options", "tcp", True),
        ("register", "tcp", True),
        ("register", "tcp", True),
    ]
    assert set(story.passwords) == {"alice", "bob"}


def test_the_doctor_finds_nothing_right_after_it(story: Story) -> None:
    child = story.controller.run("doctor", "--json")
    said = json.loads(child.stdout)
    assert said["findings"] == [], child.output
    assert (said["state"], child.returncode) == ("serving", 0)


def test_the_shown_passwords_sign_in(story: Story) -> None:
    for user, password in story.passwords.items():
        assert story.registers(user, password).ok
        assert not story.registers(user, password + "x").ok


def test_the_repository_is_the_distributions_own_suite_and_signed(story: Story) -> None:
    source = story.host.read("/etc/apt/sources.list.d/bc-flexisip.list")
    codename = story.host.shell(". /etc/os-release; echo $VERSION_CODENAME").stdout.strip()
    suite = "bionic" if "ubuntu1804" in story.image.name else codename
    assert "signed-by=/etc/apt/keyrings/bc-flexisip.asc]" in source
    assert f" {suite} stable" in source


def test_the_key_that_was_seen_first_is_recorded(story: Story) -> None:
    recorded = yaml.safe_load(story.controller.lab_file.read_text())
    key = recorded["flexisip_repository_key_fingerprint"]
    if REAL:
        assert re.fullmatch(r"[0-9A-F,]{40,}", key)
    else:
        assert key == story.repository.key.fingerprint


def test_a_second_deployment_changes_nothing_and_says_so(story: Story) -> None:
    serving = story.server()
    again = story.run("deploy", "--json")
    assert again.returncode == 0, again.output
    said = again.last("deployed")
    assert (said["changed"], said["changed_tasks"]) == (0, [])
    assert len(again.tasks) < 20, again.tasks
    assert story.server() == serving
    assert "changed=0" in story.run("deploy").stdout


def test_plain_ansible_playbook_does_the_same(story: Story) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "-i",
            "inventory",
            str(root / "playbooks" / "deploy.yml"),
        ],
        cwd=story.controller.folder,
        env=story.controller.environment
        | {
            "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
            "ANSIBLE_SSH_COMMON_ARGS": f"-o UserKnownHostsFile={story.controller.known_hosts}",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout
    assert "Prove it by registrations" in done.stdout


def test_a_new_user_can_register_without_a_restart(story: Story) -> None:
    serving = story.server()
    added = story.run("add-user", "carol", "--json")
    assert added.returncode == 0, added.output
    assert len(added.tasks) <= 5, added.tasks
    plays = [event for event in added.events if event["event"] == "play"]
    assert len(plays) == 1
    password = added.stderr.rsplit(": ", 1)[1].strip()
    assert story.registers("carol", password, "tcp").ok
    assert story.server() == serving


def test_the_same_user_twice_is_told(story: Story) -> None:
    again = story.run("add-user", "carol")
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_a_password_can_be_set(story: Story) -> None:
    file = story.controller.folder / "pw"
    file.write_text("Correct-Horse-9\n")
    changed = story.run("set-password", "carol", "--password-file", "pw")
    assert changed.returncode == 0, changed.output
    assert story.registers("carol", "Correct-Horse-9").ok


def test_a_removed_user_is_refused_and_the_others_stay(story: Story) -> None:
    serving = story.server()
    removed = story.run("remove-user", "carol")
    assert removed.returncode == 0, removed.output
    assert story.registers("carol", "Correct-Horse-9").cause is not None
    assert story.registers("alice", story.passwords["alice"]).ok
    assert story.server() == serving
    listed = json.loads(story.run("list-users", "--json").stdout)
    assert [user["name"] for user in listed["users"]] == ["alice", "bob"]


def test_the_testinfra_suite_holds(story: Story) -> None:
    verified = story.run("verify", "--json")
    assert verified.returncode == 0, verified.output
    found = json.loads(verified.stdout)
    assert found["ok"]
    assert len(found["checks"]) >= 14


def test_verify_names_what_was_changed_by_hand(story: Story) -> None:
    conf = story.host.read(CONFIGURATION)
    story.host.shell(f"sed -i s/cache-expire=5/cache-expire=7/ {CONFIGURATION}; chmod 644 {USERS}")
    verified = story.run("verify", "--json")
    assert verified.returncode == 1
    failed = {check["name"] for check in json.loads(verified.stdout)["checks"] if not check["ok"]}
    assert "the file is what the lab renders (configuration)" in failed
    assert "the file belongs to root and is closed to others (users)" in failed
    mended = story.run("deploy", "--json").last("deployed")
    assert set(mended["changed_tasks"]) >= {"Render flexisip.conf", "Render users.db.txt"}
    assert story.host.read(CONFIGURATION) == conf


def test_a_setting_that_flexisip_does_not_know_is_refused_before_anything_is_sent(
    story: Story,
) -> None:
    serving, before = story.server(), story.controller.lab_file.read_text()
    try:
        with story.controller.lab_file.open("a") as lab:
            lab.write("flexisip_settings: {global: {debug: true}}\n")
        refused = story.run("deploy")
    finally:
        story.controller.lab_file.write_text(before)
    assert refused.returncode == 1
    assert "log-level" in refused.stderr, refused.stderr
    assert story.server() == serving
    assert story.registers("alice", story.passwords["alice"]).ok


def test_a_configuration_that_the_server_refuses_is_put_back_and_the_old_one_serves(
    story: Story,
) -> None:
    before, conf = story.controller.lab_file.read_text(), story.host.read(CONFIGURATION)
    try:
        with story.controller.lab_file.open("a") as lab:
            # Its dry run listens elsewhere, so this shows only when the service starts.
            lab.write('flexisip_settings: {global: {transports: "sip:203.0.113.9:5060"}}\n')
        refused = story.run("deploy")
    finally:
        story.controller.lab_file.write_text(before)
    assert refused.returncode == 1
    assert "Cannot assign requested address" in refused.stderr, refused.stderr
    assert "put back" in refused.stderr
    assert story.host.read(CONFIGURATION) == conf
    assert story.registers("alice", story.passwords["alice"]).ok
    assert story.run("verify").returncode == 0


def test_a_server_that_exits_comes_back_by_itself(story: Story) -> None:
    from .controller import wait_for

    serving = story.server()
    story.host.shell("kill -9 $(systemctl show flexisip-proxy -p MainPID --value)", check=False)
    assert wait_for(
        lambda: (
            story.server() not in (serving, "MainPID=0\n")
            and story.registers("alice", story.passwords["alice"]).ok
        )
    )


def test_no_secret_is_anywhere_but_in_the_files_that_are_for_it(story: Story) -> None:
    users = yaml.safe_load(story.controller.users_file.read_text())["flexisip_users_accounts"]
    hashes = [value for one in users.values() for key, value in one.items() if key != "domain"]
    secrets = [*hashes, *story.passwords.values(), "Correct-Horse-9"]
    assert len(secrets) == 7

    def leaks(text: str) -> list[str]:
        return [secret for secret in secrets if secret in text]

    assert not leaks("\n".join(story.controller.commands))
    assert not leaks(story.first.stdout)
    assert not any(leaks(ran.stdout + ran.stderr) for ran in story.ran)
    for file in story.controller.folder.rglob("*"):
        if file.is_file() and file.name not in ("users.yml", "pw"):
            assert not leaks(file.read_text(errors="replace")), file
    assert oct(story.controller.users_file.stat().st_mode & 0o777) == "0o600"
    for log in (story.controller.folder / "inventory" / ".labtool" / "log").iterdir():
        assert oct(log.stat().st_mode & 0o777) == "0o600"
    patterns = "\n".join(secrets) + "\n"
    story.host.write("/run/patterns", patterns, mode=0o600)
    found = story.host.shell(
        "grep -rlFf /run/patterns /etc /var /root /tmp /home /opt --exclude-dir=proc 2>/dev/null",
        check=False,
    ).stdout.split()
    assert found == [USERS]
    assert story.host.run("stat", "-c", "%a %U:%G", USERS).stdout.strip() == "640 root:root"
    story.host.run("rm", "/run/patterns")


def test_the_interpreter_is_the_one_that_was_chosen(story: Story) -> None:
    if "ubuntu1804" not in story.image.name:
        pytest.skip("only the image that stands for Ubuntu 18.04 carries a Python 3.6")
    hosts = yaml.safe_load((story.controller.folder / "inventory" / "hosts.yml").read_text())
    entry = hosts["flexisip"]["hosts"][story.host.address]
    if "ansible_python_interpreter" not in entry:
        pytest.skip("this machine has no Python 3.6 to put into the image")
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible"),
            "-i",
            "inventory",
            "flexisip",
            "-m",
            "ansible.builtin.setup",
            "-a",
            "gather_subset=!all,python",
        ],
        cwd=story.controller.folder,
        env=os.environ
        | {"ANSIBLE_SSH_COMMON_ARGS": f"-o UserKnownHostsFile={story.controller.known_hosts}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert '"major": 3' in done.stdout, done.stdout + done.stderr
    assert '"minor": 6' in done.stdout
