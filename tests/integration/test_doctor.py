"""The doctor on a real machine: a healthy one, and each failure of the host caused and seen.

What is on the way to it is in test_doctor_network, what a phone meets in test_doctor_outside.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .certificates import Issuer
from .controller import DOMAIN, wait_for
from .patient import (
    CONF,
    DROP_IN,
    LOG,
    SERVICE,
    USERS,
    WITH_TLS,
    Patient,
    caused,
    causes,
    need,
    quoted,
    words,
)
from .repository import Repository, SigningKey


def test_a_healthy_server_has_no_finding(patient: Patient) -> None:
    said = patient.examined()
    assert said["findings"] == []
    assert said["ok"] is True
    assert said["state"] == "serving"
    assert {port["state"] for port in said["ports"]} == {"open"}
    assert len(said["logins"]) == 4
    assert said["checked"] > 40


def test_a_healthy_server_that_no_lab_knows_has_no_finding(patient: Patient) -> None:
    said = patient.examined(*patient.elsewhere)
    assert said["findings"] == [], said
    assert said["domain"] == DOMAIN


# --- flexisip.conf -----------------------------------------------------------------------------

# (the finding, sed's commands on flexisip.conf, whether the server is restarted on it)
CONFIGURATIONS: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("conf-refused", (r"s/^\[global\]/[global]\ndebug=true/",), True),
    ("conf-refused", (r"s/^\[global\]/[global]\ndebug=true/",), False),
    ("conf-refused", (r"s/^cache-expire=.*/cache-expire=5\ncache-expire=6/",), True),
    ("conf-refused", ("s/^db-implementation=file/db-implementation=odbc/",), True),
    ("conf-refused", (r"s/^transports=.*/& sip:*:5061;transport=tls/",), True),
    ("conf-refused", (r"s/$/\r/",), True),
    ("conf-broken", (r"s/^\[module::Registrar\]/&\nmax-expires 60/",), True),
    ("conf-broken", (r"/^#/d", r"/^$/d", r"1s/^/\xEF\xBB\xBF/"), True),
    ("conf-broken", ("$ s/$/\\n[module::Authorization]\\nenabled=true/",), True),
    (
        "open-server",
        (r"/^\[module::Authentication\]/,/^cache-expire/ s/^enabled=true/enabled=false/",),
        True,
    ),
    ("open-server", ("d",), True),
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
    # Where Redis should be on this very machine, that it is not can be seen.
    ("redis-down", ("s/^db-implementation=internal/db-implementation=redis/",), True),
)


@pytest.mark.parametrize(("expected", "edits", "restart"), caused(CONFIGURATIONS))
def test_a_wrong_configuration_is_the_one_finding(
    patient: Patient, expected: str, edits: tuple[str, ...], restart: bool
) -> None:
    with patient.changed(*edits, restart=restart):
        said = patient.finds(expected)
    finding = said["findings"][0]
    assert finding["evidence"]
    assert finding["next"].startswith(("labtool ", "ssh ")), finding["next"]
    assert said["exit_code"] == 1


@causes("conf-missing")
def test_a_configuration_that_is_gone_is_told(patient: Patient) -> None:
    with patient.kept(CONF):
        patient.host.shell(f"rm {CONF}; systemctl restart {SERVICE}", check=False)
        said = patient.finds("conf-missing")
    patient.starts()
    assert said["findings"][0]["next"] == "labtool deploy"


# --- the service -------------------------------------------------------------------------------


@causes("not-running")
def test_a_stopped_server_is_not_running(patient: Patient) -> None:
    with patient.stopped():
        said = patient.finds("not-running")
    assert said["state"] == "not running"
    assert "port-closed" in said["findings"][0]["consequences"]
    assert f"systemctl restart {SERVICE}" in said["findings"][0]["next"]


def test_the_next_command_of_a_stopped_server_starts_it_when_it_is_pasted(
    patient: Patient,
) -> None:
    need("openssh-client", "ssh")
    with patient.stopped():
        command = patient.finds("not-running")["findings"][0]["next"]
        done = subprocess.run(
            command,
            shell=True,
            env=patient.controller.environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert patient.host.run("systemctl", "is-active", SERVICE).stdout.strip() == "active"


@causes("not-running")
def test_a_masked_unit_is_unmasked_by_the_next_command(patient: Patient) -> None:
    patient.host.shell(
        f"systemctl stop {SERVICE}; mv {DROP_IN} /root/drop-in; systemctl mask --runtime {SERVICE}"
    )
    try:
        said = patient.examined()
    finally:
        patient.host.shell(f"systemctl unmask --runtime {SERVICE}; mv /root/drop-in {DROP_IN}")
        patient.host.run("systemctl", "daemon-reload")
        patient.starts()
    assert "unmask" in patient.is_found("not-running", said)["findings"][0]["next"]


@causes("no-restart", "not-enabled")
def test_a_server_that_is_not_started_again_or_at_boot_is_told(patient: Patient) -> None:
    with patient.kept(DROP_IN):
        patient.host.shell(f"sed -i /^Restart/d {DROP_IN}; systemctl daemon-reload")
        patient.finds("no-restart")
    patient.host.shell(f"systemctl daemon-reload; systemctl disable {SERVICE}")
    try:
        patient.finds("not-enabled")
    finally:
        patient.host.run("systemctl", "enable", SERVICE)


@causes("crashing")
def test_a_server_that_is_restarted_again_and_again_is_told(patient: Patient) -> None:
    count = f"systemctl show {SERVICE} -p NRestarts --value"
    with patient.drop_in("RestartSec=0"):
        patient.host.shell(
            f"for n in 1 2 3; do systemctl kill -s KILL {SERVICE}; "
            f"until test $({count}) -ge $n; do sleep 0.05; done; done; "
            "until ss -lnt | grep -q ':5060 '; do sleep 0.05; done",
            timeout_s=30,
        )
        patient.finds("crashing")


# --- the users file ----------------------------------------------------------------------------


@causes("users-refused")
def test_a_users_file_broken_by_hand_is_found_before_the_server_dies_of_it(
    patient: Patient,
) -> None:
    with patient.kept(USERS):
        patient.host.shell(f"echo 'carol@{DOMAIN} clrtxt:Geheim-9;' >> {USERS}")
        code, said, _ = patient.doctor()
        assert code == 1
        assert "dies at the next login" in words(said)
        assert "Parsing of Authdb file ended prematurely at char" in said
        assert "Geheim" not in said
        # The examination itself signs nobody in, for that would be the login it dies at.
        assert patient.finds("users-refused")["logins"] == []
        assert patient.host.run("systemctl", "is-active", SERVICE).stdout.strip() == "active"
    assert patient.examined()["findings"] == []


@causes("users-refused")
def test_a_users_file_that_is_gone_is_told(patient: Patient) -> None:
    with patient.kept(USERS):
        patient.host.run("rm", USERS)
        patient.finds("users-refused")


@causes("users-differ")
def test_accounts_other_than_the_labs_are_told_by_name(patient: Patient) -> None:
    with patient.kept(USERS):
        patient.host.shell(f"sed -i 's/^bob@/eve@/' {USERS}")
        patient.starts()
        said = patient.finds("users-differ")
    patient.starts()
    lines = said["findings"][0]["evidence"]
    assert lines == ["only in the lab: bob", "only on the server: eve"]
    assert "login-refused" in said["findings"][0]["consequences"]


@causes("algorithm")
def test_an_account_without_a_hash_that_the_server_offers_is_told(patient: Patient) -> None:
    with (
        patient.changed("s/^available-algorithms=.*/available-algorithms=MD5/"),
        patient.kept(USERS),
    ):
        patient.host.shell(f"sed -i 's/ md5:[0-9a-f]*//' {USERS}")
        patient.finds("algorithm", *patient.elsewhere)


@causes("users-broken")
def test_an_account_that_can_never_sign_in_is_told(patient: Patient) -> None:
    with patient.kept(USERS):
        patient.host.shell(f"echo 'Carol%41@{DOMAIN} md5:{'0a' * 16} ;' >> {USERS}")
        patient.finds("users-broken", *patient.elsewhere)


@causes("wrong-domain")
def test_users_of_another_domain_than_the_servers_are_told_without_a_lab(patient: Patient) -> None:
    with patient.kept(USERS):
        patient.host.shell(f"sed -i 's/@{DOMAIN}/@other.example.test/' {USERS}")
        patient.finds("wrong-domain", *patient.elsewhere)


# --- ports -------------------------------------------------------------------------------------


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


@causes("port-taken")
@pytest.mark.parametrize("kind", ["STREAM", "DGRAM"])
def test_a_port_that_another_program_has_is_told_with_its_name(patient: Patient, kind: str) -> None:
    with patient.stopped(), occupied(patient, kind, 5060):
        patient.host.shell(f"systemctl start {SERVICE}", check=False)
        said = patient.finds("port-taken")
    assert "python3" in said["findings"][0]["message"]


@causes("port-taken")
def test_a_second_sip_server_on_the_port_is_told_although_it_answers(patient: Patient) -> None:
    with patient.stopped():
        binary = "/opt/belledonne-communications/bin/flexisip"
        patient.host.run("systemd-run", "--unit=second", binary, "--server", "proxy")
        try:
            assert wait_for(lambda: ":5060 " in patient.host.run("ss", "-lnt").stdout)
            said = patient.finds("port-taken")
        finally:
            patient.host.run("systemctl", "stop", "second")
    assert {port["state"] for port in said["ports"]} == {"open"}


@causes("stun-port-taken")
def test_a_stun_port_that_another_program_has_is_told(patient: Patient) -> None:
    with (
        occupied(patient, "DGRAM", 3478),
        patient.changed(r"/^\[stun-server\]/,/^\[m/ s/^enabled=false/enabled=true/"),
    ):
        patient.finds("stun-port-taken", *patient.elsewhere)


# --- the machine -------------------------------------------------------------------------------


@causes("disk-full")
@pytest.mark.parametrize(
    ("options", "fill"),
    [
        ("size=256k", "head -c 300000 /dev/zero > big"),
        ("size=9m,nr_inodes=50", "for n in $(seq 60); do : > $n; done"),
    ],
    ids=["bytes", "files"],
)
def test_a_full_disk_is_told(patient: Patient, options: str, fill: str) -> None:
    folder = LOG.rpartition("/")[0]
    patient.host.shell(
        f"systemctl stop {SERVICE}; mount -t tmpfs -o {options} tmpfs {folder}; "
        f"(cd {folder}; {fill}) 2>/dev/null; systemctl start {SERVICE}",
        check=False,
    )
    try:
        said = patient.finds("disk-full")
    finally:
        patient.host.shell(f"systemctl stop {SERVICE}; umount {folder}")
        patient.starts()
    assert folder in said["findings"][0]["evidence"][0]


@causes("memory")
def test_a_machine_without_memory_is_told(patient: Patient) -> None:
    # As LXC's containers are told theirs: by a file over the kernel's.
    told = "MemTotal: 500000 kB\nMemAvailable: 21000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
    with patient.file("/root/meminfo", told):
        patient.host.run("mount", "--bind", "/root/meminfo", "/proc/meminfo")
        try:
            said = patient.finds("memory")
        finally:
            patient.host.run("umount", "/proc/meminfo")
    assert "20 MB" in said["findings"][0]["message"]


@causes("clock")
@pytest.mark.parametrize(("offset", "told"), [("+2h", "ahead of"), ("-3d", "behind")])
def test_a_clock_that_is_wrong_is_told(patient: Patient, offset: str, told: str) -> None:
    # A container has the clock of its machine: what comes by SSH is shown another one.
    with patient.has("libfaketime"):
        library = patient.host.shell("ls /usr/lib/*/faketime/libfaketime.so.1").stdout.strip()
    line = f"SetEnv LD_PRELOAD={library} FAKETIME={offset}"
    reload = "systemctl reload ssh; sleep 0.2; until ss -lnt | grep -q ':22 '; do sleep 0.05; done"
    with patient.kept("/etc/ssh/sshd_config"):
        patient.host.shell(f"sed -i '1i {line}' /etc/ssh/sshd_config; {reload}")
        said = patient.examined()
    patient.host.shell(reload)
    patient.is_found("clock", said)
    assert told in said["findings"][0]["message"]


@causes("open-files")
def test_a_server_that_may_open_no_more_connections_is_told(patient: Patient) -> None:
    # The stand-in keeps 64 files free; that leaves it over nine tenths of 700.
    hold = (
        "import socket, time; s = [socket.create_connection(('127.0.0.1', 5060), "
        "source_address=(f'127.0.{n // 100}.{n % 100 + 1}', 0)) for n in range(630)]; time.sleep(999)"
    )
    with patient.drop_in("LimitNOFILE=700"):
        patient.host.shell("until ss -lnt | grep -q ':5060 '; do sleep 0.05; done")
        patient.host.run("systemd-run", "--unit=many", "python3", "-c", hold)
        try:
            pid = patient.host.run("systemctl", "show", SERVICE, "-p", "MainPID", "--value").stdout
            count = f"ls /proc/{pid.strip()}/fd | wc -l"
            assert wait_for(lambda: int(patient.host.shell(count).stdout) > 630)
            said = patient.examined(*patient.elsewhere)
        finally:
            patient.host.run("systemctl", "stop", "many")
    assert "may have 700" in patient.is_found("open-files", said)["findings"][0]["message"]


# --- the log -----------------------------------------------------------------------------------

# What the stand-in cannot come to say, in the words of the real one (see NOT_CAUSED).
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


@pytest.mark.parametrize(("expected", "line"), caused(LINES))
def test_what_the_log_says_is_told_in_plain_words(
    patient: Patient, expected: str, line: str
) -> None:
    with patient.kept(LOG):
        patient.logged(line)
        said = patient.finds(expected)
    assert line in said["findings"][0]["evidence"][0]


def test_noise_and_what_was_before_the_start_are_no_finding(patient: Patient) -> None:
    noise = (
        "flexisip-warning- DomainRegistrationManager::load - Cannot open domain registration "
        "configuration file '/etc/flexisip/domain-registrations.conf'",
        "flexisip-error- IptablesExecutor::runIptables - '/sbin/iptables -w -F FLEXISIP 2>&1' "
        "failed with output: iptables: No chain/target/match by that name.",
    )
    with patient.kept(LOG):
        old = "2020-01-01 00:00:00:000 flexisip-error- Old::one - long ago"
        patient.host.shell(f"echo {quoted(old)} >> {LOG}")
        for line in noise:
            patient.logged(line)
        assert patient.examined()["findings"] == []


def test_a_hostile_log_is_shown_without_its_escapes_and_a_huge_one_costs_nothing(
    patient: Patient,
) -> None:
    before = patient.examined()["seconds"]
    with patient.kept(LOG):
        # Two gigabytes in one line, which is a hole on the disk.
        patient.host.shell(f"truncate -s 2G {LOG}; echo >> {LOG}")
        patient.logged(
            "flexisip-error- Odd::one - \033]0;title\007\033[2J\033[31mred\u202e\u009b2J"
        )
        code, said, _ = patient.doctor()
        after = patient.finds("log-errors")["seconds"]
    assert code == 1
    assert "Odd::one" in said
    assert not set("\033\007\u202e\u009b") & set(said)
    assert after < before + 5


# --- packages and their source -------------------------------------------------------------------


@causes("package-other-system")
def test_a_system_that_it_was_never_packaged_for_is_told(patient: Patient) -> None:
    with patient.kept("/etc/os-release"):
        patient.host.write(
            "/etc/os-release", 'ID=ubuntu\nVERSION_ID="20.04"\nVERSION_CODENAME=focal\n'
        )
        patient.finds("package-other-system")


@causes("libraries-missing")
def test_a_program_without_its_library_is_told_with_the_librarys_name(patient: Patient) -> None:
    binary = "/opt/belledonne-communications/bin/flexisip"
    # A program that was linked with a library which is nowhere: another one's, renamed inside.
    edit = (
        f"import pathlib; p = pathlib.Path('{binary}'); "
        "p.write_bytes(pathlib.Path('/usr/bin/ssh-keygen').read_bytes()"
        ".replace(b'libcrypto.so', b'libmedias.so'))"
    )
    with patient.kept(binary):
        patient.host.shell(f"python3 -c {quoted(edit)}; systemctl restart {SERVICE}", check=False)
        said = patient.examined()
    patient.starts()
    finding = patient.is_found("libraries-missing", said)["findings"][0]
    assert "libmedias.so" in finding["evidence"][0]
    assert "not-running" in finding["consequences"]


LIST = "/etc/apt/sources.list.d/bc-flexisip.list"
SOURCES = (
    ("repository", "[signed-by=/etc/apt/keyrings/none.asc] {url} {suite} stable", "none.asc is missing"),
    ("repository", "[trusted=yes] {url} bionic stable", "suite bionic"),
    ("repository", "[trusted=yes] {url} {suite} beta", "component stable"),
    ("repository", "[trusted=yes arch=arm64] {url} {suite} stable", "it is for arm64"),
    ("repository", "[trusted=yes] {url} {suite} stable", "apt knows no bc-flexisip from it"),
)  # fmt: skip


@pytest.mark.parametrize(("expected", "source", "told"), caused(SOURCES))
def test_a_source_that_is_not_right_is_told(
    patient: Patient, expected: str, source: str, told: str
) -> None:
    suite = patient.host.shell(". /etc/os-release; echo $VERSION_CODENAME").stdout.strip()
    line = source.format(url="http://mirror.example.org/linphone/debian", suite=suite)
    with patient.file(LIST, f"deb {line}\n"):
        said = patient.finds(expected)
    assert told in said["findings"][0]["message"]


@causes("repository")
def test_a_source_signed_by_another_key_is_told_and_the_right_one_is_no_finding(
    patient: Patient, repository: Repository, other_key: SigningKey
) -> None:
    suite = patient.host.shell(". /etc/os-release; echo $VERSION_CODENAME").stdout.strip()
    keyring = "/etc/apt/keyrings/test.asc"
    update = (
        f"apt-get update -o Dir::Etc::sourcelist={LIST} -o Dir::Etc::sourceparts=- "
        "-o APT::Get::List-Cleanup=0"
    )
    url = repository.url()
    line = f"deb [arch=amd64 signed-by={keyring}] {url} {suite} stable\n"
    patient.host.run("mkdir", "-p", "/etc/apt/keyrings")
    with (
        patient.file(keyring, other_key.armored.decode()),
        patient.file(LIST, line),
    ):
        patient.host.shell(update, check=False)
        patient.finds("repository")
        patient.host.write(keyring, repository.key.armored.decode())
        patient.host.shell(update)
        assert patient.examined()["findings"] == []
    patient.host.shell("rm -f /var/lib/apt/lists/*snapshots*")


@causes("package-broken", "package-missing")
def test_a_package_that_is_half_there_or_gone_is_told(patient: Patient, standin: Path) -> None:
    keep = "tar -C / -cpf /root/etc.tar etc/flexisip etc/systemd/system/flexisip-proxy.service.d"
    with patient.host_file(standin) as path:
        patient.host.shell(f"dpkg --unpack {path}")
        patient.finds("package-broken")
        patient.host.shell("dpkg --configure -a --force-confold")
        patient.starts()
        patient.host.shell(f"{keep}; systemctl stop {SERVICE}; dpkg --purge bc-flexisip")
        said = patient.finds("package-missing")
        assert said["state"] == "not installed"
        patient.host.shell(
            f"dpkg -i {path}; tar -C / -xpf /root/etc.tar; systemctl daemon-reload; "
            f"systemctl enable {SERVICE}"
        )
        patient.starts()
    assert patient.examined()["findings"] == []


# --- TLS -----------------------------------------------------------------------------------------

TLS = (
    ("tls-expired", DOMAIN, -10, True),
    ("tls-expired", DOMAIN, 5, True),
    ("tls-name", "other.example.test", 300, True),
    ("tls-self-signed", DOMAIN, 300, False),
)


@pytest.mark.parametrize(("expected", "name", "days", "issued"), caused(TLS))
def test_a_certificate_that_phones_refuse_is_told(
    patient: Patient, tmp_path: Path, expected: str, name: str, days: int, issued: bool
) -> None:
    issuer = Issuer()
    trusted = tmp_path / "issuer.pem"
    trusted.write_text(issuer.pem)
    certificate, key = issuer.issues(name, days, by_itself=not issued)
    with (
        patient.file("/etc/flexisip/a.crt", certificate),
        patient.file("/etc/flexisip/a.key", key, mode=0o600),
        patient.changed(WITH_TLS),
    ):
        said = patient.finds(expected, *patient.elsewhere, "--ca-file", str(trusted))
    assert name in " ".join(said["findings"][0]["evidence"])


@causes("tls-self-signed")
def test_a_certificate_of_an_issuer_that_nobody_knows_is_told_until_it_is_trusted(
    patient: Patient, tmp_path: Path
) -> None:
    issuer = Issuer()
    trusted = tmp_path / "issuer.pem"
    trusted.write_text(issuer.pem)
    certificate, key = issuer.issues(DOMAIN, 300)
    with (
        patient.file("/etc/flexisip/a.crt", certificate),
        patient.file("/etc/flexisip/a.key", key, mode=0o600),
        patient.changed(WITH_TLS),
    ):
        said = patient.finds("tls-self-signed", *patient.elsewhere)
        assert "Test issuer" in said["findings"][0]["message"]
        healthy = patient.examined(*patient.elsewhere, "--ca-file", str(trusted))
        outside = patient.outside(patient.host.address, "--transport", "tls", "--user", "alice",
                                  "--domain", DOMAIN, "--password-file", _password(patient))  # fmt: skip
        assert patient.examined(*outside, "--ca-file", str(trusted))["findings"] == []
        patient.finds("tls-self-signed", *outside)
    assert healthy["findings"] == []
    assert {port["transport"] for port in healthy["ports"]} == {"udp", "tcp", "tls"}


def _password(patient: Patient) -> str:
    file = patient.controller.folder / "password"
    file.write_text(patient.passwords["alice"] + "\n")
    return str(file)


@causes("tls-files")
@pytest.mark.parametrize("which", ["certificate", "key", "another key"])
def test_tls_files_that_are_not_there_or_do_not_fit_are_told(patient: Patient, which: str) -> None:
    if which == "another key" and patient.host.run("which", "openssl", check=False).returncode:
        pytest.skip("the host has no openssl to compare them by")
    issuer = Issuer()
    certificate, key = issuer.issues(DOMAIN, 300)
    with contextlib.ExitStack() as files:
        if which != "certificate":
            files.enter_context(patient.file("/etc/flexisip/a.crt", certificate))
        if which != "key":
            other = issuer.issues(DOMAIN, 300)[1] if which == "another key" else key
            files.enter_context(patient.file("/etc/flexisip/a.key", other, mode=0o600))
        files.enter_context(patient.changed(WITH_TLS))
        said = patient.finds("tls-files", *patient.elsewhere)
    assert which in said["findings"][0]["message"] or "does not belong" in str(said["findings"])
