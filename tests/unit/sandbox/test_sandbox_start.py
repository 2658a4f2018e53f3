"""What the sandbox starts on, what it refuses, and in whose words."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import zipapp
from collections.abc import Callable
from pathlib import Path

import pytest
from sandbox_lab import DOMAIN, Lab, conf, users_file

from labtool.sandbox.listening import plan
from labtool.sandbox.server import Sandbox, SandboxRefusal, read_conf
from labtool.sandbox.settings import Settings
from labtool.sip.flow import Address

Make = Callable[..., Lab]


def refusal(made: Lab, **options: object) -> SandboxRefusal:
    with pytest.raises(SandboxRefusal) as raised:
        made.start(**options)
    return raised.value


# -- the configuration ----------------------------------------------------------------------------


def test_an_unknown_key_is_refused_in_flexisips_words(prepared: Make) -> None:
    found = refusal(prepared(global__debug="true"))
    assert "Unsupported parameter 'debug' in section [global] at line" in found.text
    assert found.returncode == 255


@pytest.mark.parametrize(("release", "returncode"), [("2.5.2", 1), ("2.3.4", 255)])
def test_a_bad_users_file_is_refused_with_its_place(
    release: str, returncode: int, prepared: Make
) -> None:
    made = prepared()
    made.users.write_text(f"version:1\n\ntest@{DOMAIN} clrtxt:test;\n")
    found = refusal(made, release=release)
    assert found.text.startswith("Parsing of Authdb file ended prematurely at char 11")
    assert (found.returncode, found.line) == (returncode, 3)


def test_a_missing_users_file_and_a_missing_configuration_are_refused(prepared: Make) -> None:
    made = prepared()
    made.users.unlink()
    assert refusal(made).text == f"failed to open file '{made.users}'"
    made.conf.unlink()
    assert "No such file" in refusal(made).text


def test_what_only_a_database_knows_is_refused_in_plain_words(prepared: Make) -> None:
    made = prepared(auth__db_implementation="soci", auth__file_path="")
    assert "the sandbox knows users from a file only" in refusal(made).text


def test_settings_can_be_overridden_as_on_the_command_line(prepared: Make) -> None:
    made = prepared()
    found = read_conf(made.conf, override={"global/transports": "sip:127.0.0.2:5070"})
    assert found.words("global", "transports") == ("sip:127.0.0.2:5070",)
    with pytest.raises(SandboxRefusal, match="there is no setting global/nothing"):
        read_conf(made.conf, override={"global/nothing": "1"})


def test_the_recorded_users_files_start_or_are_refused_as_they_were(
    shared: Path, tmp_path: Path
) -> None:
    rows = [
        json.loads(line)
        for line in (shared / "data/flexisip/truth.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    rows = [row for row in rows if row["kind"] == "users"][::3]
    wrong = []
    for row in rows:
        users = tmp_path / "users.txt"
        users.write_bytes(row["content"].encode("utf-8", "surrogateescape"))
        path = tmp_path / "flexisip.conf"
        path.write_text(conf(users), encoding="utf-8")
        try:
            sandbox = Sandbox.from_file(path, release=row["release"], port=0)
            sandbox.start()
            started = True
            sandbox.stop()
        except SandboxRefusal:
            started = False
        if started != row["starts"]:
            wrong.append(row)
    assert wrong == []
    assert len(rows) > 100


# -- transports -----------------------------------------------------------------------------------


def points(tmp_path: Path, transports: str, **how: object) -> list[str]:
    users = tmp_path / "users.txt"
    users.write_text(users_file(alice="a"), encoding="utf-8")
    path = tmp_path / "flexisip.conf"
    path.write_text(conf(users, global__transports=transports), encoding="utf-8")
    options = {"allow_public": False, **how}
    found = plan(Settings.of(read_conf(path)), **options)  # type: ignore[arg-type]
    return [f"{point} as {point.sent_by}" for point in found]


@pytest.mark.parametrize(
    ("transports", "expected"),
    [
        ("sip:127.0.0.1", ["udp 127.0.0.1:5060 as 127.0.0.1:5060"] * 1),
        ("sip:127.0.0.1:5070;transport=tcp", ["tcp 127.0.0.1:5070 as 127.0.0.1:5070"]),
        ("sips:127.0.0.1", ["tls 127.0.0.1:5061 as 127.0.0.1:5061"]),
        ("sip:[::1]:5062;transport=udp", ["udp [::1]:5062 as [::1]:5062"]),
        (
            "sip:lab.example:5060;maddr=127.0.0.1;transport=udp",
            ["udp 127.0.0.1:5060 as lab.example:5060"],
        ),
    ],
)
def test_transports_are_read_as_flexisip_reads_them(
    transports: str, expected: list[str], tmp_path: Path
) -> None:
    assert points(tmp_path, transports)[: len(expected)] == expected


def test_a_plain_sip_transport_is_udp_and_tcp(tmp_path: Path) -> None:
    found = points(tmp_path, "sip:127.0.0.1:5060 sips:127.0.0.1:5061")
    assert [point.split()[0] for point in found] == ["udp", "tcp", "tls"]


def test_a_star_is_every_loopback_address_until_more_is_allowed(tmp_path: Path) -> None:
    found = points(tmp_path, "sip:*")
    assert "udp 127.0.0.1:5060 as 127.0.0.1:5060" in found
    assert all("127.0.0.1" in point or "[::1]" in point for point in found)
    assert set(found) <= set(points(tmp_path, "sip:*", allow_public=True))


def test_port_replaces_that_of_every_transport(tmp_path: Path) -> None:
    found = points(tmp_path, "sip:127.0.0.1:5060 sips:127.0.0.1:5061", port=7000)
    assert [point.split()[1] for point in found] == [
        "127.0.0.1:7000",
        "127.0.0.1:7000",
        "127.0.0.1:7001",
    ]


@pytest.mark.parametrize("host", ["192.0.2.10", "0.0.0.0", "[2001:db8::1]"])
def test_other_addresses_than_loopback_must_be_allowed(host: str, tmp_path: Path) -> None:
    with pytest.raises(SandboxRefusal, match=r"loopback only.*--public"):
        points(tmp_path, f"sip:{host}:5060")
    assert points(tmp_path, f"sip:{host}:5060", allow_public=True)


@pytest.mark.parametrize(
    ("transports", "release", "text", "returncode"),
    [
        (
            "sip:192.0.2.10:5060",
            "2.5.2",
            "could not enable transport sip:192.0.2.10:5060, Cannot assign requested address",
            1,
        ),
        (
            "sip:nohost.invalid:5060",
            "2.5.2",
            "could not enable transport sip:nohost.invalid:5060, No such file or directory",
            1,
        ),
        ("foo", "2.5.2", "could not enable transport foo, Invalid argument", 1),
        ("foo", "2.3.4", "Could not enable transport foo: Invalid argument", 255),
        (
            "sip:127.0.0.1;transport=tls",
            "2.5.2",
            "specifying a URI with 'transport=tls' is not valid in Flexisip configuration. "
            "Use 'sips' uri scheme instead.",
            255,
        ),
    ],
)
def test_what_flexisip_cannot_listen_on_is_refused_in_its_words(
    transports: str, release: str, text: str, returncode: int, prepared: Make
) -> None:
    made = prepared(global__transports=transports)
    found = refusal(made, release=release, allow_public=True)
    assert (found.text, found.returncode) == (text, returncode)


def test_a_port_that_is_taken_is_refused_and_nothing_stays_open(prepared: Make) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        made = prepared(global__transports=f"sip:127.0.0.1:{port}")
        assert refusal(made, port=None).text.endswith("Address already in use")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", port))


def test_udp_and_tcp_of_one_transport_share_a_free_port(lab: Make) -> None:
    sandbox = lab().sandbox
    assert sandbox.address("udp") == sandbox.address("tcp")
    with pytest.raises(LookupError):
        sandbox.address("tls")


# -- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    words = [*make.split(), "-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN}"]
    subprocess.run([*words, "-keyout", key, "-out", chain], check=True, capture_output=True)
    return chain, key


@pytest.mark.parametrize("way", ["files", "directory", "parameters"])
def test_tls_by_every_way_to_name_a_certificate(
    way: str, prepared: Make, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    chain, key = certificate
    settings = {"global__transports": "sips:127.0.0.1:5061"}
    if way == "files":
        settings |= {
            "global__tls_certificates_file": str(chain),
            "global__tls_certificates_private_key": str(key),
        }
    elif way == "directory":
        (tmp_path / "agent.pem").write_text(chain.read_text() + key.read_text())
        settings["global__tls_certificates_dir"] = str(tmp_path)
    else:
        settings["global__transports"] += (
            f";tls-certificates-file={chain};tls-certificates-private-key={key}"
        )
    made = prepared(**settings)
    made.start()
    trusting = ssl.create_default_context(cafile=str(chain))
    alice = made.phone("alice", "tls", tls=trusting, server_hostname=DOMAIN)
    bob = made.phone("bob", "tls", tls=trusting, server_hostname=DOMAIN)
    assert bob.register().status == 200
    alice.invite("bob")
    made.wait(lambda: bob.of("INVITE"))
    port = made.sandbox.address("tls").port
    assert bob.of("INVITE")[0].headers.all("Record-Route") == [f"<sips:127.0.0.1:{port};lr>"]


def test_a_missing_certificate_starts_all_the_same_and_no_handshake_succeeds(
    prepared: Make,
) -> None:
    made = prepared(global__transports="sips:127.0.0.1:5061 sip:127.0.0.1:5060")
    made.start()
    assert any("no TLS handshake will succeed" in text for _, text in made.logged)
    phone = made.phone("alice", "tls", tls=ssl._create_unverified_context())
    exchange = phone.send(phone.build("OPTIONS", f"sip:{DOMAIN}"))
    made.wait(lambda: exchange.trouble)
    assert isinstance(exchange.trouble[0], OSError)


# -- a process of its own -------------------------------------------------------------------------


def bundle(project: Path, folder: Path) -> Path:
    """The sandbox as one file, of the rooms that it needs and nothing else."""
    tree = folder / "tree"
    (tree / "labtool").mkdir(parents=True)
    for name in ("__init__.py", "errors.py"):
        shutil.copy(project / "labtool" / name, tree / "labtool")
    for room in ("sip", "flexisip", "sandbox"):
        shutil.copytree(
            project / "labtool" / room,
            tree / "labtool" / room,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    target = folder / "sandbox.pyz"
    zipapp.create_archive(tree, target, main="labtool.sandbox.__main__:main")
    return target


def talk(address: Address) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        sock.connect((address.host, address.port))
        sock.send(
            b"OPTIONS sip:localhost SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1;rport\r\n"
            b"From: <sip:a@b>;tag=1\r\nTo: <sip:localhost>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
            b"Max-Forwards: 70\r\n\r\n"
        )
        return sock.recv(2000)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_file_runs_on_a_bare_python_and_stops_at_a_signal(
    number: int, project: Path, tmp_path: Path
) -> None:
    users = tmp_path / "users.txt"
    users.write_text(users_file(alice="a"), encoding="utf-8")
    path = tmp_path / "flexisip.conf"
    path.write_text(conf(users), encoding="utf-8")
    log = tmp_path / "log.jsonl"
    python = getattr(sys, "_base_executable", sys.executable)  # outside of the virtual environment
    words = [python, "-I", "-S", bundle(project, tmp_path), "--conf", path, "--port", "0"]
    process = subprocess.Popen(
        [*words, "--json-log", log], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline().split() for _ in range(2)]
        assert [line[:3] for line in lines] == [
            ["listening", "on", "udp"],
            ["listening", "on", "tcp"],
        ]
        host, _, port = lines[0][3].rpartition(":")
        assert talk(Address(host, int(port))).startswith(b"SIP/2.0 200 OK")
        process.send_signal(number)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events == ["listening", "listening", "answer", "stopped"]


def test_a_refused_start_has_flexisips_exit_status_and_no_traceback(
    project: Path, tmp_path: Path
) -> None:
    users = tmp_path / "users.txt"
    users.write_text("version:1\nalice@x clrtxt:a;\n", encoding="utf-8")
    path = tmp_path / "flexisip.conf"
    path.write_text(conf(users), encoding="utf-8")
    words = [sys.executable, "-m", "labtool.sandbox", "--port", "0", "--conf"]
    environment = {**os.environ, "PYTHONPATH": str(project)}

    def run(name: Path) -> tuple[int, str]:
        done = subprocess.run(
            [*words, name], capture_output=True, text=True, env=environment, check=False
        )
        return done.returncode, done.stderr

    code, said = run(path)
    assert (code, "ended prematurely at char 10" in said) == (1, True)
    path.write_text(path.read_text() + "[global]\ndebug=1\n", encoding="utf-8")
    code, said = run(path)
    assert (code, "Did you mean 'default-servers'?" in said) == (255, True)
    code, said = run(tmp_path)
    assert code == 255
    assert "Traceback" not in said
    words[-1:-1] = ["--release", "9.9"]
    code, said = run(path)
    assert (code, said.count("\n")) == (2, 1)
    assert "Flexisip 9.9 is not known here" in said


def test_a_file_that_is_no_flexisip_conf_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n[shopping]\n", encoding="utf-8")
    said: list[str] = []
    Sandbox.from_file(path, log=lambda _level, text: said.append(text)).stop()
    assert said == [
        f"no section of flexisip.conf was found in {path}: it runs on defaults, open to all"
    ]


def test_a_port_that_is_taken_is_named_where_the_command_line_chose_it(prepared: Make) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        assert f"in use (port {number})" in refusal(prepared(), port=number).text
