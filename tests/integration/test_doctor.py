"""The doctor on real machines: a healthy one, and each failure caused, seen, and undone again.

One machine serves all of them, in any order: each failure is a block that ends by putting back what
it changed, and the machine is healthy again before the next.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .container import Container, KeyPair
from .controller import DOMAIN, Controller, passwords, wait_for
from .engine import Engine
from .images import Image
from .nat import Forwarder

CONF = "/etc/flexisip/flexisip.conf"
USERS = "/etc/flexisip/users.db.txt"
DROP_IN = "/etc/systemd/system/flexisip-proxy.service.d/labtool.conf"
SERVICE = "flexisip-proxy"
LOG = "/var/opt/belledonne-communications/log/flexisip/flexisip-proxy.log"


@dataclass
class Patient:
    """A deployed server that is healthy, and ways to make it ill."""

    host: Container
    controller: Controller
    passwords: dict[str, str]
    engine: Engine

    def examined(self, *arguments: str) -> dict[str, Any]:
        """`labtool doctor --json`; nothing it says may hold a secret."""
        code, stdout, stderr = self.doctor("--json", *arguments)
        assert stdout.startswith("{"), stderr
        said: dict[str, Any] = json.loads(stdout)
        assert code == said["exit_code"]
        return said

    def doctor(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        child = self.controller.start("doctor", *arguments)
        stdout, stderr = child.communicate(timeout=60)
        for secret in self.secrets:
            assert secret not in stdout + stderr
        return child.returncode, stdout, stderr

    @property
    def secrets(self) -> list[str]:
        text = self.controller.users_file.read_text()
        hashes = [word.strip("'\"") for word in text.split() if len(word.strip("'\"")) in (32, 64)]
        assert hashes
        return [*self.passwords.values(), *hashes]

    def ids(self, *arguments: str) -> list[str]:
        """The findings' ids."""
        return [one["id"] for one in self.examined(*arguments)["findings"]]

    def starts(self) -> None:
        self.host.shell(f"systemctl reset-failed {SERVICE}; systemctl restart {SERVICE}")
        assert wait_for(lambda: ":5060" in self.host.run("ss", "-lnt").stdout)

    @contextlib.contextmanager
    def changed(self, *edits: str, restart: bool = True) -> Iterator[None]:
        """sed's commands on flexisip.conf, and a restart that may fail; put back at the end."""
        self.host.run("cp", "-p", CONF, "/root/conf.kept")
        self.host.shell("".join(f"sed -i {_quoted(edit)} {CONF}; " for edit in edits) or "true")
        try:
            with self.restarted(restart):
                yield
        finally:
            self.host.run("cp", "-p", "/root/conf.kept", CONF)
            self.starts()

    @contextlib.contextmanager
    def restarted(self, restart: bool = True) -> Iterator[None]:
        if restart:
            self.host.shell(f"systemctl restart {SERVICE}", check=False)
            time.sleep(0.5)
        yield

    @contextlib.contextmanager
    def kept(self, path: str) -> Iterator[None]:
        """A file that is as it was, with its times, at the end."""
        self.host.run("cp", "-p", path, "/root/file.kept")
        try:
            yield
        finally:
            self.host.run("cp", "-p", "/root/file.kept", path)

    @contextlib.contextmanager
    def host_file(self, file: Path) -> Iterator[str]:
        """A file of this machine on the host."""
        path = f"/root/{file.name}"
        self.engine.run("cp", str(file), f"{self.host.name}:{path}")
        try:
            yield path
        finally:
            self.host.run("rm", path)

    @contextlib.contextmanager
    def filtered(self, *rules: str) -> Iterator[None]:
        """Packets dropped in the machine's own network, by rules that it cannot see itself."""
        if os.geteuid() != 0 or not (shutil.which("nsenter") and shutil.which("iptables")):
            pytest.skip("needs root, nsenter and iptables on this machine")
        pid = self.engine.run("inspect", "--format", "{{.State.Pid}}", self.host.name).strip()

        def run(verb: str, rule: str) -> None:
            command = ["nsenter", "-t", pid, "-n", "iptables", verb, "INPUT", *rule.split()]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"iptables cannot be used here: {done.stderr.strip()}")

        for rule in rules:
            run("-I", rule)
        try:
            yield
        finally:
            for rule in rules:
                run("-D", rule)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


@pytest.fixture(scope="module")
def patient(
    engine: Engine,
    images: dict[str, Image],
    login: KeyPair,
    login_file: Path,
    standin: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Patient]:
    host = Container(engine, next(iter(images.values())), login)
    try:
        controller = Controller(tmp_path_factory.mktemp("doctor"), login_file)
        controller.knows(host)
        done = controller.deploy(host, "--deb", str(standin))
        assert done.returncode == 0, done.output + host.journal(lines=40)
        yield Patient(host, controller, passwords(done), engine)
    finally:
        host.remove()


def test_a_healthy_server_has_no_finding(patient: Patient) -> None:
    said = patient.examined()
    assert said["findings"] == []
    assert said["ok"] is True
    assert said["state"] == "serving"
    assert {port["state"] for port in said["ports"]} == {"open"}
    assert len(said["logins"]) == 4
    assert said["checked"] > 40


def test_a_healthy_server_that_no_lab_knows_has_no_finding(patient: Patient) -> None:
    said = patient.examined(*_elsewhere(patient))
    assert said["findings"] == [], said
    assert said["domain"] == DOMAIN


# (what is expected, sed's commands on flexisip.conf, whether the server is restarted on it)
CONFIGURATIONS: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("conf-refused", (r"s/^\[global\]/[global]\ndebug=true/",), True),
    ("conf-refused", (r"s/^\[global\]/[global]\ndebug=true/",), False),
    ("conf-refused", (r"s/^cache-expire=.*/cache-expire=5\ncache-expire=6/",), True),
    ("conf-broken", (r"s/^\[module::Registrar\]/&\nmax-expires 60/",), True),
    (
        "open-server",
        (r"/^\[module::Authentication\]/,/^cache-expire/ s/^enabled=true/enabled=false/",),
        True,
    ),
    ("open-server", ("d",), True),
    ("conf-broken", (r"/^#/d", r"/^$/d", r"1s/^/\xEF\xBB\xBF/"), True),
    ("slow-users", ("s/^cache-expire=.*/cache-expire=1800/",), True),
    ("slow-users", ("/^cache-expire=/d",), True),
    ("slow-call", ("s/^udp-mtu=.*/udp-mtu=1460/",), True),
    ("slow-call", ("/^udp-mtu=/d",), True),
    ("alias-missing", ("s/^aliases=.*/aliases=localhost/",), True),
    ("wrong-domain", ("s/^auth-domains=.*/auth-domains=other.example.test/",), True),
    ("wrong-domain", ("s/^reg-domains=.*/reg-domains=other.example.test/",), True),
    ("cannot-bind", ("s/^transports=.*/transports=sip:192.0.2.10:5060/",), True),
    ("not-listening", ("s/^transports=.*/transports=sip:*:5060;transport=udp/",), True),
    ("no-sound", (r"/^\[module::MediaRelay\]/,$ s/^enabled=true/enabled=false/",), True),
    ("conf-not-loaded", ("$ s/$/\\n# a note/",), False),
    ("drift", ("s/^log-level=.*/log-level=warning/",), True),
    ("conf-broken", ("$ s/$/\\n[module::Authorization]\\nenabled=true/",), True),
    ("conf-refused", ("s/^db-implementation=file/db-implementation=odbc/",), True),
)


@pytest.mark.parametrize(("expected", "edits", "restart"), CONFIGURATIONS)
def test_a_wrong_configuration_is_the_one_finding(
    patient: Patient, expected: str, edits: tuple[str, ...], restart: bool
) -> None:
    with patient.changed(*edits, restart=restart):
        said = patient.examined()
    assert [one["id"] for one in said["findings"]] == [expected], said["findings"]
    finding = said["findings"][0]
    assert finding["evidence"]
    assert finding["next"].startswith(("labtool ", "ssh ")), finding["next"]
    assert said["exit_code"] == 1


def test_a_stopped_server_is_not_running(patient: Patient) -> None:
    patient.host.run("systemctl", "stop", SERVICE)
    try:
        said = patient.examined()
    finally:
        patient.starts()
    assert [one["id"] for one in said["findings"]] == ["not-running"], said["findings"]
    assert said["state"] == "not running"
    assert "port-closed" in said["findings"][0]["consequences"]
    assert f"systemctl restart {SERVICE}" in said["findings"][0]["next"]


def test_a_server_that_is_not_started_again_or_at_boot_is_told(patient: Patient) -> None:
    with patient.kept(DROP_IN):
        patient.host.shell(f"sed -i /^Restart/d {DROP_IN}; systemctl daemon-reload")
        assert patient.ids() == ["no-restart"]
    patient.host.shell(f"systemctl daemon-reload; systemctl disable {SERVICE}")
    try:
        assert patient.ids() == ["not-enabled"]
    finally:
        patient.host.run("systemctl", "enable", SERVICE)


def test_a_users_file_broken_by_hand_is_found_before_the_server_dies_of_it(
    patient: Patient,
) -> None:
    with patient.kept(USERS):
        patient.host.shell(f"echo 'carol@{DOMAIN} clrtxt:Geheim-9;' >> {USERS}")
        code, said, _ = patient.doctor()
        assert code == 1
        assert "users-refused" in said
        assert "dies at the next login" in " ".join(said.split())
        assert "Parsing of Authdb file ended prematurely at char" in said
        assert "Geheim" not in said
        # The examination itself signs nobody in, for that would be the login it dies at.
        assert patient.examined()["logins"] == []
        assert patient.host.run("systemctl", "is-active", SERVICE).stdout.strip() == "active"
    assert patient.ids() == []


def test_a_users_file_that_is_gone_is_told(patient: Patient) -> None:
    with patient.kept(USERS):
        patient.host.run("rm", USERS)
        said = patient.examined()
    assert [one["id"] for one in said["findings"]] == ["users-refused"], said["findings"]


def test_accounts_other_than_the_labs_are_told_by_name(patient: Patient) -> None:
    with patient.kept(USERS):
        patient.host.shell(f"sed -i 's/^bob@/eve@/' {USERS}")
        time.sleep(6)
        said = patient.examined()
    assert [one["id"] for one in said["findings"]] == ["users-differ"], said["findings"]
    lines = said["findings"][0]["evidence"]
    assert lines == ["only in the lab: bob", "only on the server: eve"]
    assert "login-refused" in said["findings"][0]["consequences"]
    time.sleep(6)


def test_an_account_without_a_hash_that_the_server_offers_is_told(
    patient: Patient,
) -> None:
    with (
        patient.kept(USERS),
        patient.changed("s/^available-algorithms=.*/available-algorithms=MD5/"),
    ):
        patient.host.shell(f"sed -i 's/ md5:[0-9a-f]*//' {USERS}")
        ids = patient.ids(*_elsewhere(patient))
    assert ids == ["algorithm"]


def test_an_account_that_can_never_sign_in_is_told(patient: Patient) -> None:
    with patient.kept(USERS):
        patient.host.shell(f"echo 'Carol%41@{DOMAIN} md5:{'0a' * 16} ;' >> {USERS}")
        said = patient.examined(*_elsewhere(patient))
    assert [one["id"] for one in said["findings"]] == ["users-broken"], said["findings"]


def test_a_server_that_is_restarted_again_and_again_is_told(patient: Patient) -> None:
    def restarts() -> int:
        return int(
            patient.host.run("systemctl", "show", SERVICE, "-p", "NRestarts", "--value").stdout
        )

    with patient.kept(DROP_IN):
        patient.host.shell(f"sed -i 's/^RestartSec=.*/RestartSec=0/' {DROP_IN}")
        patient.host.shell(f"systemctl daemon-reload; systemctl restart {SERVICE}")
        for count in (1, 2, 3):
            patient.host.run("systemctl", "kill", "-s", "KILL", SERVICE)
            assert wait_for(lambda count=count: restarts() >= count)  # type: ignore[misc]
        assert wait_for(lambda: ":5060" in patient.host.run("ss", "-lnt").stdout)
        said = patient.examined()
    patient.host.run("systemctl", "daemon-reload")
    patient.starts()
    assert [one["id"] for one in said["findings"]] == ["crashing"], said["findings"]


def test_a_system_that_it_was_never_packaged_for_is_told(patient: Patient) -> None:
    with patient.kept("/etc/os-release"):
        patient.host.write(
            "/etc/os-release", 'ID=ubuntu\nVERSION_ID="20.04"\nVERSION_CODENAME=focal\n'
        )
        said = patient.examined()
    assert [one["id"] for one in said["findings"]] == ["package-other-system"], said["findings"]


def _elsewhere(patient: Patient) -> tuple[str, ...]:
    """The host without a lab: only what the server itself says counts."""
    return (
        "-i", str(patient.controller.folder / "elsewhere"),
        "--host", f"root@{patient.host.address}", "--identity", str(patient.controller.identity),
    )  # fmt: skip


@contextlib.contextmanager
def occupied(patient: Patient, kind: str, port: int) -> Iterator[None]:
    """Another program on a port of the machine."""
    code = (
        "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_"
        f"{kind}); s.setsockopt(1, 2, 1); s.bind(('', {port})); "
        + ("s.listen(); " if kind == "STREAM" else "")
        + "time.sleep(999)"
    )
    patient.host.run("systemd-run", "--unit=occupant", "python3", "-c", code)
    flag = "-lnt" if kind == "STREAM" else "-lnu"
    try:
        assert wait_for(lambda: f":{port} " in patient.host.run("ss", flag).stdout)
        yield
    finally:
        patient.host.run("systemctl", "stop", "occupant", check=False)


def test_a_port_that_another_program_has_is_told_with_its_name(patient: Patient) -> None:
    patient.host.run("systemctl", "stop", SERVICE)
    try:
        with occupied(patient, "STREAM", 5060):
            patient.host.shell(f"systemctl start {SERVICE}", check=False)
            said = patient.examined()
    finally:
        patient.starts()
    assert [one["id"] for one in said["findings"]] == ["port-taken"], said["findings"]
    assert "python3" in said["findings"][0]["message"]


def test_a_stun_port_that_another_program_has_is_told(patient: Patient) -> None:
    with (
        occupied(patient, "DGRAM", 3478),
        patient.changed(r"/^\[stun-server\]/,/^\[m/ s/^enabled=false/enabled=true/"),
    ):
        said = patient.examined(*_elsewhere(patient))
    assert [one["id"] for one in said["findings"]] == ["stun-port-taken"], said["findings"]


def test_a_server_that_hangs_is_not_answering(patient: Patient) -> None:
    patient.host.run("systemctl", "kill", "-s", "STOP", SERVICE)
    try:
        said = patient.examined()
    finally:
        patient.host.run("systemctl", "kill", "-s", "CONT", SERVICE)
        patient.starts()
    assert [one["id"] for one in said["findings"]] == ["not-answering"], said["findings"]
    assert said["state"] == "reachable, but no SIP answer comes"


def test_packets_dropped_on_the_way_are_the_security_group(patient: Patient) -> None:
    with patient.filtered("-p udp --dport 5060 -j DROP", "-p tcp --dport 5060 -j DROP"):
        said = patient.examined()
    assert [one["id"] for one in said["findings"]] == ["security-group"], said["findings"]
    assert said["state"] == "running, but not reachable from here"
    assert "UDP 5060, TCP 5060" in said["findings"][0]["next"]


def test_one_transport_dropped_on_the_way_leaves_the_other(patient: Patient) -> None:
    with patient.filtered("-p udp --dport 5060 -j DROP"):
        said = patient.examined()
    assert [one["id"] for one in said["findings"]] == ["security-group"], said["findings"]
    assert said["state"] == "reachable in part"
    assert "UDP 5060" in said["findings"][0]["next"]
    assert "TCP" not in said["findings"][0]["next"]


def test_the_hosts_own_firewall_is_told_with_its_rule(patient: Patient) -> None:
    rule = "-A INPUT -p udp -m udp --dport 5060 -j DROP"
    # The machine has no iptables of its own: this one tells what the kernel does.
    path = "/usr/local/sbin/iptables"
    patient.host.write(path, f"#!/bin/sh\necho '-P INPUT ACCEPT'\necho '{rule}'\n", mode=0o755)
    try:
        with patient.filtered("-p udp --dport 5060 -j DROP"):
            said = patient.examined()
    finally:
        patient.host.run("rm", path)
    assert [one["id"] for one in said["findings"]] == ["host-firewall"], said["findings"]
    assert rule in said["findings"][0]["evidence"]


def test_bans_of_the_flood_protection_are_told(patient: Patient) -> None:
    path = "/usr/local/sbin/iptables"
    ban = (
        "-A FLEXISIP -s 198.51.100.7/32 -p udp -m multiport --sports 34353 "
        "-j REJECT --reject-with icmp-port-unreachable"
    )
    patient.host.write(path, f"#!/bin/sh\necho '{ban}'\n", mode=0o755)
    try:
        said = patient.examined()
    finally:
        patient.host.run("rm", path)
    assert [one["id"] for one in said["findings"]] == ["banned"], said["findings"]


def test_a_full_disk_is_told(patient: Patient) -> None:
    folder = LOG.rpartition("/")[0]
    patient.host.shell(
        f"systemctl stop {SERVICE}; mount -t tmpfs -o size=256k tmpfs {folder}; "
        f"head -c 300000 /dev/zero > {folder}/big 2>/dev/null; systemctl start {SERVICE}",
        check=False,
    )
    try:
        ids = patient.ids()
    finally:
        patient.host.shell(f"systemctl stop {SERVICE}; umount {folder}")
        patient.starts()
    assert ids == ["disk-full"]


LINES = (
    (
        "redis-down",
        "flexisip-error- Session[0x56333b538850]::onConnect - Could not connect to redis: "
        "Connection refused",
    ),
    ("open-files", "flexisip-error- tport_accept - accept: Too many open files"),
    ("database", "flexisip-error- SociAuthDB - soci error: Can't connect to MySQL server"),
    ("log-errors", "flexisip-error- Something::odd - that nobody has seen before"),
)


@pytest.mark.parametrize(("expected", "line"), LINES)
def test_what_the_log_says_is_told_in_plain_words(
    patient: Patient, expected: str, line: str
) -> None:
    with patient.kept(LOG):
        stamp = patient.host.run("date", "+%F %T").stdout.strip()
        patient.host.shell(f"echo {_quoted(f'{stamp}:001 {line}')} >> {LOG}")
        said = patient.examined()
    assert [one["id"] for one in said["findings"]] == [expected], said["findings"]
    assert line in said["findings"][0]["evidence"][0]


def test_noise_and_what_was_before_the_start_are_no_finding(patient: Patient) -> None:
    noise = (
        "flexisip-warning- DomainRegistrationManager::load - Cannot open domain registration "
        "configuration file '/etc/flexisip/domain-registrations.conf'",
        "flexisip-error- IptablesExecutor::runIptables - '/sbin/iptables -w -F FLEXISIP 2>&1' "
        "failed with output: iptables: No chain/target/match by that name.",
    )
    with patient.kept(LOG):
        stamp = patient.host.run("date", "+%F %T").stdout.strip()
        lines = ["2020-01-01 00:00:00:000 flexisip-error- Old::one - long ago"]
        lines += [f"{stamp}:001 {line}" for line in noise]
        patient.host.shell("".join(f"echo {_quoted(line)} >> {LOG}; " for line in lines))
        assert patient.ids() == []


def test_a_source_that_is_not_right_is_told(patient: Patient) -> None:
    path = "/etc/apt/sources.list.d/bc-flexisip.list"
    line = (
        "deb [arch=amd64 signed-by=/etc/apt/keyrings/none.asc] "
        "http://mirror.example.org/linphone/ubuntu bionic beta"
    )
    patient.host.write(path, line + "\n")
    try:
        said = patient.examined()
    finally:
        patient.host.run("rm", path)
    assert [one["id"] for one in said["findings"]] == ["repository"], said["findings"]
    message = said["findings"][0]["message"]
    for part in ("/etc/apt/keyrings/none.asc is missing", "suite bionic", "component stable"):
        assert part in message


TLS = (
    ("tls-expired", DOMAIN, -10, True),
    ("tls-name", "other.example.test", 300, True),
    ("tls-self-signed", DOMAIN, 300, False),
)


@pytest.mark.parametrize(("expected", "name", "days", "issued"), TLS)
def test_a_certificate_that_phones_refuse_is_told(
    patient: Patient, expected: str, name: str, days: int, issued: bool
) -> None:
    certificate, key = _certificate(name, days, issued)
    patient.host.write("/etc/flexisip/a.crt", certificate)
    patient.host.write("/etc/flexisip/a.key", key, mode=0o600)
    edit = (
        "s/^transports=.*/& sips:*:5061\\ntls-certificates-file=\\/etc\\/flexisip\\/a.crt\\n"
        "tls-certificates-private-key=\\/etc\\/flexisip\\/a.key/"
    )
    with patient.changed(edit):
        said = patient.examined(*_elsewhere(patient))
    assert [one["id"] for one in said["findings"]] == [expected], said["findings"]
    assert name in " ".join(said["findings"][0]["evidence"])


def test_a_certificate_that_is_not_there_is_told(patient: Patient) -> None:
    edit = (
        "s/^transports=.*/& sips:*:5061\\ntls-certificates-file=\\/etc\\/flexisip\\/none.crt\\n"
        "tls-certificates-private-key=\\/etc\\/flexisip\\/none.key/"
    )
    with patient.changed(edit):
        said = patient.examined(*_elsewhere(patient))
    assert [one["id"] for one in said["findings"]] == ["tls-files"], said["findings"]


def test_a_key_that_does_not_fit_the_certificate_is_told(patient: Patient) -> None:
    if patient.host.run("which", "openssl", check=False).returncode:
        pytest.skip("the machine has no openssl to compare them by")
    patient.host.write("/etc/flexisip/a.crt", _certificate(DOMAIN, 300, True)[0])
    patient.host.write("/etc/flexisip/a.key", _certificate(DOMAIN, 300, True)[1], mode=0o600)
    edit = (
        "s/^transports=.*/& sips:*:5061\\ntls-certificates-file=\\/etc\\/flexisip\\/a.crt\\n"
        "tls-certificates-private-key=\\/etc\\/flexisip\\/a.key/"
    )
    with patient.changed(edit):
        said = patient.examined(*_elsewhere(patient))
    assert [one["id"] for one in said["findings"]] == ["tls-files"], said["findings"]
    assert "does not belong" in said["findings"][0]["message"]


def _certificate(name: str, days: int, issued: bool) -> tuple[str, str]:
    """A certificate and its key in PEM form; `issued` by another than itself."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test CA")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer if issued else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=100))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


def test_behind_a_clouds_nat_the_private_address_in_calls_is_told(
    patient: Patient, engine: Engine
) -> None:
    public = engine.gateway()
    forwarder = Forwarder(public, patient.host.address)
    home = patient.controller.folder / "nat"
    lab = home / "group_vars" / "flexisip"
    lab.mkdir(parents=True)
    shutil.copy(patient.controller.users_file, lab / "users.yml")
    shutil.copy(patient.controller.lab_file, lab / "lab.yml")
    (home / "hosts.yml").write_text(
        f"flexisip:\n  hosts:\n    {public}:\n      ansible_user: root\n      ansible_port: 2222\n"
        f"      ansible_ssh_private_key_file: {patient.controller.identity}\n"
    )
    try:
        said = patient.examined("-i", str(home), "--accept-host-key")
    finally:
        forwarder.close()
    ids = [one["id"] for one in said["findings"]]
    assert ids == ["alias-missing", "no-sound", "call-drops"], said["findings"]


def test_a_call_between_two_users_is_placed_on_request(patient: Patient) -> None:
    said = patient.examined("--call")
    assert said["findings"] == [], said["findings"]
    assert not {"callee-missing", "call-failed"} & set(said["not_checked"])


# --- from outside, as a phone meets it; no lab --------------------------------------------------


def _outside(patient: Patient, *arguments: str) -> dict[str, Any]:
    nothing = str(patient.controller.folder / "elsewhere")
    return patient.examined("-i", nothing, *arguments)


def test_from_outside_a_right_password_is_no_finding(patient: Patient) -> None:
    password = patient.controller.folder / "password"
    password.write_text(patient.passwords["alice"] + "\n")
    said = _outside(
        patient, patient.host.address, "--user", "alice", "--domain", DOMAIN,
        "--password-file", str(password),
    )  # fmt: skip
    assert said["findings"] == [], said["findings"]
    assert said["state"] == "serving"
    assert "slow-users" in said["not_checked"]


@pytest.mark.parametrize(
    ("expected", "user", "domain"),
    [("login-refused", "alice", DOMAIN), ("wrong-domain", "alice", "")],
)
def test_from_outside_a_refused_login_is_told_by_its_cause(
    patient: Patient, expected: str, user: str, domain: str
) -> None:
    password = patient.controller.folder / "wrong"
    password.write_text("Not-The-Password-7\n")
    said = _outside(
        patient, patient.host.address, "--user", user, "--password-file", str(password),
        "--domain", domain or patient.host.address,
    )  # fmt: skip
    assert [one["id"] for one in said["findings"]] == [expected], said["findings"]
    assert said["state"] == "reachable, but refusing"
    assert "Not-The-Password" not in json.dumps(said)


def test_from_outside_closed_filtered_and_foreign_ports_are_told_apart(patient: Patient) -> None:
    address = patient.host.address
    closed = _outside(patient, f"{address}:5099")
    assert [one["id"] for one in closed["findings"]] == ["port-closed"], closed["findings"]
    assert closed["exit_code"] == 1
    foreign = _outside(patient, f"{address}:22", "--transport", "tcp")
    assert [one["id"] for one in foreign["findings"]] == ["not-sip"], foreign["findings"]
    with patient.filtered("-p tcp --dport 5060 -j DROP"):
        filtered = _outside(patient, address)
    assert [one["id"] for one in filtered["findings"]] == ["security-group"], filtered["findings"]
    states = {port["transport"]: port["state"] for port in filtered["ports"]}
    assert states == {"udp": "open", "tcp": "filtered"}


def test_from_outside_a_name_without_an_address_is_told(patient: Patient) -> None:
    said = _outside(patient, "nowhere.invalid")
    assert [one["id"] for one in said["findings"]] == ["name-unknown"], said["findings"]
    assert said["exit_code"] == 3


def test_a_host_without_ssh_is_exit_3_with_what_can_be_seen_from_outside(patient: Patient) -> None:
    with patient.filtered("-p tcp --dport 22 -j REJECT --reject-with tcp-reset"):
        said = patient.examined()
    assert said["exit_code"] == 3
    assert "no SSH server listens" in said["unreachable"]
    assert said["state"] == "serving"
    assert said["findings"] == []
    patient.host.run("systemctl", "stop", SERVICE)
    try:
        with patient.filtered("-p tcp --dport 22 -j REJECT --reject-with tcp-reset"):
            said = patient.examined()
    finally:
        patient.starts()
    assert said["exit_code"] == 3
    assert [one["id"] for one in said["findings"]] == ["port-closed"]


def test_a_machine_that_answers_nothing_is_unreachable(patient: Patient) -> None:
    with patient.filtered("-i eth0 -j DROP"):
        said = patient.examined()
    assert said["exit_code"] == 3
    assert [one["id"] for one in said["findings"]] == ["host-unreachable"], said["findings"]
    assert "does not answer" in said["unreachable"]


# --- last, because it takes the package away ---------------------------------------------------


def test_a_package_that_is_half_there_or_gone_is_told(patient: Patient, standin: Path) -> None:
    with patient.host_file(standin) as path:
        patient.host.shell(f"dpkg --unpack {path}")
        assert patient.ids() == ["package-broken"]
        patient.host.shell("dpkg --configure -a --force-confold")
        patient.starts()
    patient.host.shell(f"systemctl stop {SERVICE}; dpkg --purge bc-flexisip")
    said = patient.examined()
    assert [one["id"] for one in said["findings"]] == ["package-missing"], said["findings"]
    assert said["state"] == "not installed"
