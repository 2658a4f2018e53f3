"""The ground that the other integration tests stand on: machine, repository, stand-in."""

from __future__ import annotations

import base64
import io
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from labtool.sip.message import Response, parse

from .conftest import BareHost
from .container import Container, KeyPair
from .engine import DockerError, Engine
from .images import Image
from .leftovers import KIND, OWNER, sweep
from .repository import Repository, SigningKey
from .standin.package import version

SOURCE = "/etc/apt/sources.list.d/bc-flexisip.list"
KEYRING = "/etc/apt/keyrings/bc-flexisip.asc"
FLEXISIP = "/opt/belledonne-communications/bin/flexisip"
CONFIGURATION = "/etc/flexisip/flexisip.conf"
DRY_RUN = (
    f"timeout 2 {FLEXISIP} --server proxy -c {{}} -t sip:127.0.0.1:45060"
    " --set module::DoSProtection/enabled=false --set stun-server/enabled=false"
    " --set global/log-directory=/tmp/dry-run"
)
GOOD = """\
[global]
aliases=sip.example.test
[module::Registrar]
reg-domains=sip.example.test
[module::Authentication]
enabled=true
auth-domains=sip.example.test
db-implementation=file
file-path=/etc/flexisip/users.db.txt
[stun-server]
enabled=false
"""
CREDENTIALS = (
    'Authorization: Digest username="alice", realm="sip.example.test", nonce="0", '
    f'uri="sip:sip.example.test", algorithm=MD5, response="{32 * "0"}"'
)
USERS = "version:1\n\nalice@sip.example.test clrtxt:wonderland ;\n"


# ---------------------------------------------------------------------------------- the machine


def test_a_bare_machine_boots_and_names_its_distribution(image: Image, bare_host: BareHost) -> None:
    machine = bare_host(image)
    names = dict(
        line.split("=", 1) for line in machine.read("/etc/os-release").splitlines() if "=" in line
    )
    expected = {
        "debian12": ("debian", "12"),
        "debian13": ("debian", "13"),
        "debian12-as-ubuntu1804": ("ubuntu", "18.04"),
    }.get(image.name)
    if expected:
        assert (names["ID"], names["VERSION_ID"].strip('"')) == expected
    assert machine.run("systemctl", "is-system-running").stdout.strip() == "running"
    assert machine.run("dpkg-query", "-W", "bc-flexisip", check=False).returncode == 1


def test_ssh_lets_in_the_key_and_shows_the_host_key_that_it_was_given(
    any_image: Image, bare_host: BareHost, login: KeyPair
) -> None:
    machine = bare_host(any_image)
    machine.add_user("teacher", sudo=True)
    with _ssh(machine) as client:
        client.connect(machine.address, username="root", pkey=_private(login))
        assert _said(client, "id -un") == "root"
    with _ssh(machine) as client:
        client.connect(machine.address, username="teacher", pkey=_private(login))
        assert _said(client, "id -un; sudo -n id -un") == "teacher\nroot"
    with _ssh(machine) as client, pytest.raises(paramiko.AuthenticationException):
        client.connect(
            machine.address,
            username="root",
            pkey=_private(KeyPair.generate()),
            allow_agent=False,
            look_for_keys=False,
        )


def test_a_machine_may_let_root_in_by_password(any_image: Image, bare_host: BareHost) -> None:
    machine = bare_host(any_image)
    password = "correct horse"  # it is the only thing that these logins have
    with _ssh(machine) as client, pytest.raises(paramiko.AuthenticationException):
        client.connect(
            machine.address,
            username="root",
            password=password,
            allow_agent=False,
            look_for_keys=False,
        )
    machine.allow_password_login("root", password)
    with _ssh(machine) as client:
        client.connect(
            machine.address,
            username="root",
            password=password,
            allow_agent=False,
            look_for_keys=False,
        )
        assert _said(client, "id -un") == "root"


def test_a_machine_that_is_off_does_not_answer_and_keeps_its_files(
    any_image: Image, bare_host: BareHost
) -> None:
    machine = bare_host(any_image)
    machine.write("/etc/kept", "here\n")
    machine.power_off()
    with pytest.raises(OSError), socket.create_connection((machine.address, 22), timeout=1):  # noqa: PT011
        pass
    machine.power_on()
    assert machine.read("/etc/kept") == "here\n"


def test_what_a_killed_session_left_is_swept_and_what_a_living_one_has_is_not(
    engine: Engine, any_image: Image, bare_host: BareHost
) -> None:
    mine = bare_host(any_image)
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], stdout=subprocess.PIPE
    )
    owner = f"{int(dead.stdout)}.1"
    left = engine.run(
        "create", f"--label={KIND}=host", f"--label={OWNER}={owner}", any_image.reference
    ).strip()
    assert sweep(engine) >= 1
    with pytest.raises(DockerError):
        engine.run("inspect", left)
    assert engine.run("inspect", "--format", "{{.State.Running}}", mine.name).strip() == "true"


def test_ansible_takes_the_dressed_up_image_for_ubuntu_1804(
    images: dict[str, Image], bare_host: BareHost, login_file: Path, tmp_path: Path
) -> None:
    image = images.get("debian12-as-ubuntu1804")
    if image is None:
        pytest.skip("the image is not among LABTOOL_TEST_IMAGES")
    machine = bare_host(image)
    interpreter = image.interpreter or "/usr/bin/python3"
    hosts = {"host": {"ansible_host": machine.address, "ansible_user": "root"}}
    hosts["host"] |= {
        "ansible_ssh_private_key_file": str(login_file),
        "ansible_python_interpreter": interpreter,
    }
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    (tmp_path / "known_hosts").write_text(machine.known_hosts)
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible")),
            f"--inventory={tmp_path / 'hosts.json'}",
            "--module-name=setup",
            "--args=gather_subset=!all,!min,distribution,python",
            "host",
        ],
        env={
            **os.environ,
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SSH_ARGS": f"-o UserKnownHostsFile={tmp_path / 'known_hosts'}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads(done.stdout.partition("=>")[2])["ansible_facts"]
    assert facts["ansible_distribution"] == "Ubuntu"
    assert facts["ansible_distribution_version"] == "18.04"
    assert facts["ansible_distribution_release"] == "bionic"
    if image.interpreter:
        assert [facts["ansible_python"]["version"][part] for part in ("major", "minor")] == [3, 6]


# ------------------------------------------------------------------------------- the repository


@pytest.fixture(scope="module")
def machine(image: Image, engine: Engine, login: KeyPair) -> Iterator[Container]:
    """One machine of each image for all tests that only look at it."""
    container = Container(engine, image, login)
    yield container
    container.remove()


@pytest.mark.parametrize("armored", [True, False])
def test_apt_trusts_the_repository_by_its_key(
    machine: Container, repository: Repository, armored: bool
) -> None:
    repository.offer_key(repository.key, armored=armored)
    keyring = KEYRING if armored else KEYRING.replace(".asc", ".gpg")
    _add_repository(machine, repository, keyring)
    said = _update(machine)
    assert "labtoolstandin" in machine.run("apt-cache", "policy", "bc-flexisip").stdout, said
    assert repository.asked_for(f"/dists/{_suite(machine)}/InRelease") == 1
    assert repository.asked_for("/pubkey.gpg") == 1


def test_apt_refuses_a_repository_whose_key_is_another(
    machine: Container, repository: Repository, other_key: SigningKey
) -> None:
    _add_repository(machine, repository, KEYRING)
    repository.publish(signed_by=other_key)
    assert "NO_PUBKEY" in (said := _update(machine)) or "Missing key" in said


def test_apt_refuses_a_repository_without_a_signature(
    machine: Container, repository: Repository
) -> None:
    _add_repository(machine, repository, KEYRING)
    repository.publish(unsigned=True)
    assert "is not signed" in _update(machine)


def test_apt_refuses_a_repository_whose_release_has_expired(
    machine: Container, repository: Repository
) -> None:
    _add_repository(machine, repository, KEYRING)
    repository.publish(valid_days=-1)
    assert "is expired" in _update(machine)


def test_apt_refuses_a_repository_whose_key_has_expired(
    machine: Container, repository: Repository, expired_key: SigningKey
) -> None:
    if machine.run("which", "sqv", check=False).returncode == 0:
        pytest.skip("this apt (sqv) still takes what was signed while the key was valid")
    repository.offer_key(expired_key)
    repository.publish(signed_by=expired_key)
    _add_repository(machine, repository, KEYRING)
    assert "EXPKEYSIG" in _update(machine)


def test_a_suite_that_is_withdrawn_is_not_found(machine: Container, repository: Repository) -> None:
    _add_repository(machine, repository, KEYRING)
    repository.withdraw(_suite(machine))
    assert "404" in _update(machine)
    assert repository.requests[-1].status == 404


# --------------------------------------------------------------------------------- the stand-in


@pytest.fixture(scope="module")
def standin_host(any_image: Image, engine: Engine, login: KeyPair) -> Iterator[Container]:
    """One machine for what the stand-in does whatever the distribution."""
    container = Container(engine, any_image, login)
    yield container
    container.remove()


@pytest.fixture
def installed(standin_host: Container, repository: Repository) -> Container:
    """`standin_host` with the package from the repository."""
    if standin_host.run("test", "-x", FLEXISIP, check=False).returncode:
        _install(standin_host, repository)
    return standin_host


def test_the_package_neither_enables_nor_starts_its_unit(
    machine: Container, repository: Repository
) -> None:
    _install(machine, repository)
    unit = "flexisip-proxy"
    state = machine.run("systemctl", "is-enabled", unit, check=False).stdout.strip()
    assert state == "disabled"
    assert machine.run("systemctl", "is-active", unit, check=False).stdout.strip() == "inactive"
    assert machine.run("dpkg-query", "-W", "-f", "${Conffiles}", "bc-flexisip").stdout.split()[
        ::2
    ] == [CONFIGURATION, "/etc/logrotate.d/flexisip-logrotate"]
    assert machine.run("stat", "-c", "%a %U", "/etc/flexisip").stdout == "750 root\n"
    assert "stand-in" in machine.run(FLEXISIP, "--version").stdout
    machine.run("logrotate", "--debug", "/etc/logrotate.d/flexisip-logrotate")


def test_the_unit_serves_sip_and_never_says_that_it_is_flexisip(
    machine: Container, repository: Repository
) -> None:
    _install(machine, repository)
    _configure(machine, GOOD)
    machine.run("systemctl", "start", "flexisip-proxy")
    pid = machine.read("/var/run/flexisip-proxy.pid").strip()
    main = machine.run("systemctl", "show", "-p", "MainPID", "flexisip-proxy").stdout
    assert main == f"MainPID={pid}\n"
    answer = _options(machine.address)
    assert answer.status == 200
    assert (answer.headers.get("Server") or "").startswith("labtool-sandbox/")
    log = "/var/opt/belledonne-communications/log/flexisip/flexisip-proxy.log"
    assert machine.run("stat", "-c", "%a", log).stdout == "640\n"
    for harmless in ("HUP", "USR1"):
        machine.run("kill", f"-{harmless}", pid)
    assert _options(machine.address).status == 200
    machine.run("systemctl", "stop", "flexisip-proxy")
    state = machine.run("systemctl", "show", "-p", "ActiveState,Result", "flexisip-proxy").stdout
    assert set(state.split()) == {"ActiveState=inactive", "Result=success"}


def test_the_default_configuration_starts(standin_host: Container, repository: Repository) -> None:
    _install(standin_host, repository)
    shipped = standin_host.read(CONFIGURATION)
    assert all(line.startswith(("#", "[")) for line in shipped.split("\n") if line)
    dumped = standin_host.run(FLEXISIP, "--dump-default", "all").stdout
    assert "\nlog-level=error\n" in dumped
    assert standin_host.shell(DRY_RUN.format(CONFIGURATION), check=False).returncode == 124


@pytest.mark.parametrize(
    ("conf", "users", "returncode", "words"),
    [
        (
            GOOD.replace("[global]", "[global]\ndebug=true"),
            USERS,
            255,
            "Unsupported parameter 'debug' in section [global] at line 2. "
            "Did you mean 'default-servers'?",
        ),
        (GOOD, USERS.replace(" ;", ";"), 1, "Parsing of Authdb file ended prematurely at char 11"),
        (
            GOOD + "[global]\ntransports=sip:192.0.2.10:5060\n",
            USERS,
            1,
            "could not enable transport sip:192.0.2.10:5060, Cannot assign requested address",
        ),
    ],
    ids=["unknown-key", "users-file", "foreign-address"],
)
def test_a_bad_configuration_fails_the_unit_in_flexisips_words(
    installed: Container, conf: str, users: str, returncode: int, words: str
) -> None:
    _configure(installed, conf, users)
    started = installed.run("systemctl", "start", "flexisip-proxy", check=False)
    assert started.returncode == 1
    state = installed.run("systemctl", "is-failed", "flexisip-proxy", check=False).stdout
    assert state == "failed\n"
    how = installed.run("systemctl", "show", "-p", "ExecStart", "flexisip-proxy").stdout
    assert f"status={returncode} " in how
    assert words in installed.journal("flexisip-proxy", 25)
    assert installed.run("test", "-e", "/var/run/flexisip-proxy.pid").returncode == 0
    by_hand = installed.run(FLEXISIP, "--server", "proxy", "-c", CONFIGURATION, check=False)
    assert by_hand.returncode == returncode
    assert words in by_hand.stderr


def test_a_dry_run_tells_a_good_configuration_from_a_bad_one(installed: Container) -> None:
    _configure(installed, GOOD)
    installed.run("systemctl", "start", "flexisip-proxy")
    assert installed.shell(DRY_RUN.format(CONFIGURATION), check=False).returncode == 124
    installed.write("/tmp/bad.conf", GOOD + "[module::Nonsense]\nenabled=true\n")
    bad = installed.shell(DRY_RUN.format("/tmp/bad.conf"), check=False)
    assert bad.returncode == 255
    assert "Unknown section '[module::Nonsense]'" in bad.stderr
    assert _options(installed.address).status == 200, "the server that runs is left alone"


def test_a_users_file_that_breaks_kills_the_running_server(installed: Container) -> None:
    _configure(installed, GOOD.replace("[stun", "cache-expire=1\n[stun"))
    installed.run("systemctl", "start", "flexisip-proxy")
    installed.write("/etc/flexisip/users.db.txt", "nonsense\n")
    time.sleep(1.1)  # cache-expire
    # Any login makes it look again; this one gets no answer.
    _send(installed.address, _request("REGISTER", CREDENTIALS), answered=False)
    ended = "while systemctl is-active -q flexisip-proxy; do sleep 0.1; done"
    installed.run("timeout", "5", "sh", "-c", ended)
    result = installed.run("systemctl", "show", "-p", "Result", "flexisip-proxy").stdout
    assert result in ("Result=signal\n", "Result=core-dump\n")


def test_an_older_release_is_upgraded_by_apt(
    standin_host: Container, repository: Repository, standin: Path, older_standin: Path
) -> None:
    machine = standin_host
    machine.run("apt-get", "-y", "purge", "bc-flexisip", check=False)
    repository.publish(debs=[older_standin])
    _add_repository(machine, repository, KEYRING)
    _update(machine)
    install = ["apt-get", "-y", "install", "-o", "Dpkg::Options::=--force-confold", "bc-flexisip"]
    machine.run(*install)
    assert "2.3.4" in machine.run(FLEXISIP, "--version").stdout
    machine.write(CONFIGURATION, GOOD)
    repository.publish(debs=[older_standin, standin])
    _update(machine)
    machine.run(*install)
    listed = machine.run("dpkg-query", "-W", "-f", "${Version}", "bc-flexisip").stdout
    assert listed == version("2.5.2")
    assert machine.read(CONFIGURATION) == GOOD


# ------------------------------------------------------------------------------ said more shortly


def _private(key: KeyPair) -> paramiko.PKey:
    return paramiko.Ed25519Key.from_private_key(io.StringIO(key.private.decode()))


def _ssh(machine: Container) -> paramiko.SSHClient:
    """A client that knows the machine's host key, and no other."""
    client = paramiko.SSHClient()
    kind, key = machine.host_key.split()[:2]
    client.get_host_keys().add(
        machine.address, kind, paramiko.Ed25519Key(data=base64.b64decode(key))
    )
    return client


def _said(client: paramiko.SSHClient, command: str) -> str:
    return client.exec_command(command)[1].read().decode().strip()


def _suite(machine: Container) -> str:
    return machine.shell(". /etc/os-release; echo $VERSION_CODENAME").stdout.strip()


def _add_repository(machine: Container, repository: Repository, keyring: str) -> None:
    """By hand what the role does: the key by HTTP, and a source that names it."""
    distribution = machine.shell(". /etc/os-release; echo $ID").stdout.strip()
    fetch = "import sys, urllib.request as r; r.urlretrieve(sys.argv[1], sys.argv[2])"
    machine.run("mkdir", "-p", "-m", "755", "/etc/apt/keyrings")
    # What an earlier test downloaded counts for nothing.
    machine.shell("rm -f /var/lib/apt/lists/*_snapshots_*")
    url = f"{repository.url(distribution)}/pubkey.gpg"
    machine.run("/usr/bin/python3", "-c", fetch, url, keyring)
    machine.run("chmod", "644", keyring)
    machine.write(SOURCE, repository.source(_suite(machine), keyring, distribution))


def _update(machine: Container) -> str:
    """`apt-get update` of our repository alone; all that it said."""
    only = [f"Dir::Etc::SourceList={SOURCE}", "Dir::Etc::SourceParts=-", "Acquire::Retries=0"]
    options = [word for option in only for word in ("-o", option)]
    done = machine.run("apt-get", "update", *options, check=False)
    return done.stdout + done.stderr


def _install(machine: Container, repository: Repository) -> None:
    """The package anew, with nothing left of an earlier one."""
    old = "import sys; sys.exit(sys.version_info < (3, 10))"
    if machine.run("/usr/bin/python3", "-c", old, check=False).returncode:
        pytest.skip(f"the stand-in needs Python 3.10, which {machine.image.name} lacks")
    machine.run("apt-get", "-y", "purge", "bc-flexisip", check=False)
    machine.shell("rm -rf /etc/flexisip /var/opt/belledonne-communications")
    _add_repository(machine, repository, KEYRING)
    _update(machine)
    machine.run("apt-get", "-y", "--no-install-recommends", "install", "bc-flexisip")


def _configure(machine: Container, conf: str, users: str = USERS) -> None:
    machine.run("systemctl", "stop", "flexisip-proxy")
    machine.run("systemctl", "reset-failed", "flexisip-proxy", check=False)
    machine.write(CONFIGURATION, conf, mode=0o640)
    machine.write("/etc/flexisip/users.db.txt", users, mode=0o640)


def _options(address: str) -> Response:
    answer = parse(_send(address, _request("OPTIONS")))
    assert isinstance(answer, Response)
    return answer


def _request(method: str, *headers: str) -> bytes:
    """A request of alice to her own domain."""
    me = "<sip:alice@sip.example.test>"
    lines = [
        f"{method} sip:sip.example.test SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{secrets.token_hex(8)};rport",
        f"From: {me};tag={secrets.token_hex(4)}",
        f"To: {me if method == 'REGISTER' else '<sip:sip.example.test>'}",
        f"Call-ID: {secrets.token_hex(8)}",
        f"CSeq: 1 {method}",
        "Contact: <sip:alice@192.0.2.1>",
        "Max-Forwards: 70",
        *headers,
        "Content-Length: 0",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _send(address: str, data: bytes, *, answered: bool = True) -> bytes:
    """The first answer to a datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(3)
        udp.connect((address, 5060))
        udp.send(data)
        return udp.recv(65536) if answered else b""
