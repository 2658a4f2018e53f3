"""Reading a server over SSH: each way in which a connection fails is told by its own sentence."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import pytest
from ssh_server import PASSWORD, USER, SshServer, new_key, serving

from labtool import remote
from labtool.errors import LabtoolError, UnreachableError
from labtool.inventory import Host
from labtool.remote import AuthenticationError, HostKey, HostKeyUnknownError

HOST_KEY, _ = new_key()
CLIENT_KEY, CLIENT_FILE = new_key()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own: no keys, no agent, no known hosts."""
    for name in ("SSH_AUTH_SOCK", "LABTOOL_KNOWN_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture(scope="module")
def server() -> Iterator[SshServer]:
    with serving(HOST_KEY, CLIENT_KEY) as running:
        yield running


def host(port: int, user: str = USER, **variables: str) -> Host:
    return Host("edge", "127.0.0.1", port, user, variables=variables)


def connect(
    port: int,
    password: str | None = PASSWORD,
    trust: Callable[[HostKey], bool] = lambda key: True,
    user: str = USER,
    timeout_s: float = 5.0,
    **variables: str,
) -> remote.Remote:
    return remote.connect(
        host(port, user, **variables), password=password, trust=trust, timeout_s=timeout_s
    )


def refusal(port: int, **how: object) -> UnreachableError:
    with pytest.raises(UnreachableError) as refused:
        connect(port, **how)  # type: ignore[arg-type]
    assert str(refused.value).isprintable()
    assert refused.value.exit_code == 3
    return refused.value


def known(home: Path) -> str:
    file = home / ".ssh" / "known_hosts"
    return file.read_text() if file.exists() else ""


def line(server: SshServer, key: paramiko.PKey = HOST_KEY) -> str:
    return f"[127.0.0.1]:{server.port} ssh-ed25519 {key.get_base64()}\n"


# --- signing in and running -------------------------------------------------------------------


def test_a_command_is_run_and_its_answer_read(server: SshServer) -> None:
    with connect(server.port) as opened:
        answer = opened.run("printf out; printf err >&2; exit 3")
        assert (answer.returncode, answer.stdout, answer.stderr) == (3, "out", "err")
        assert opened.run("cat /dev/zero | head -c 200000 | tr '\\0' x").stdout == "x" * 200000


def test_one_who_is_not_root_runs_by_sudo_and_quotes_stay(server: SshServer) -> None:
    with connect(server.port) as opened:
        assert opened.run("echo 'a  b' \"$(echo c)\"").stdout == "a  b c\n"


def test_a_key_named_by_the_lab_signs_in(server: SshServer, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(CLIENT_FILE)
    with connect(server.port, None, ansible_ssh_private_key_file=str(file)) as opened:
        assert opened.run("true").returncode == 0


def test_a_key_in_the_usual_place_signs_in(server: SshServer, home: Path) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id_ed25519").write_text(CLIENT_FILE)
    with connect(server.port, None) as opened:
        assert opened.run("true").returncode == 0


def test_the_users_ssh_configuration_counts(server: SshServer, home: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(CLIENT_FILE)
    (home / ".ssh").mkdir()
    (home / ".ssh" / "config").write_text(
        f"Host lab\n  HostName 127.0.0.1\n  Port {server.port}\n  User {USER}\n"
        f"  IdentityFile {tmp_path}/key\n  UserKnownHostsFile {tmp_path}/known\n"
    )
    with remote.connect(Host("lab", "lab"), trust=lambda key: True) as opened:
        assert opened.run("true").returncode == 0
    assert (tmp_path / "known").read_text() == line(server)
    assert remote.ssh_user(Host("lab", "lab")) == USER
    assert remote.ssh_user(Host("lab", "lab", user="root")) == "root"
    assert remote.ssh_user(Host("other", "other")) == "root"
    assert remote.numeric("lab") == "127.0.0.1"


def test_this_machine_is_asked_without_ssh() -> None:
    with remote.connect(Host("localhost", "localhost", local=True)) as opened:
        answer = opened.run("echo out; echo err >&2; exit 2")
    assert (answer.returncode, answer.stdout, answer.stderr) == (2, "out\n", "err\n")


def test_a_command_that_does_not_end_is_given_up(server: SshServer) -> None:
    with connect(server.port) as opened, pytest.raises(UnreachableError, match="does not end"):
        opened.run("sleep 5", timeout_s=0.2)
    with (
        remote.connect(Host("localhost", "localhost", local=True)) as opened,
        pytest.raises(UnreachableError, match="does not end"),
    ):
        opened.run("sleep 5", timeout_s=0.2)


def test_a_connection_that_is_lost_is_told(server: SshServer) -> None:
    with (
        connect(server.port) as opened,
        pytest.raises(UnreachableError, match=r"The connection was lost: \w"),
    ):
        opened.run("kill")


def test_a_server_that_opens_no_session_is_told() -> None:
    with (
        serving(HOST_KEY, sessions=False) as full,
        connect(full.port) as opened,
        pytest.raises(UnreachableError, match="The connection was lost"),
    ):
        opened.run("true")


# --- host keys --------------------------------------------------------------------------------


def test_an_unknown_host_key_is_asked_about_with_what_a_person_compares(
    server: SshServer, home: Path
) -> None:
    asked: list[HostKey] = []

    def decline(key: HostKey) -> bool:
        asked.append(key)
        return False

    refused = refusal(server.port, trust=decline)
    digest = hashlib.sha256(HOST_KEY.asbytes()).digest()
    fingerprint = "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
    assert asked == [HostKey(f"[127.0.0.1]:{server.port}", "ssh-ed25519", fingerprint)]
    assert isinstance(refused, HostKeyUnknownError)
    assert fingerprint in str(refused)
    assert "--accept-host-key" in str(refused)
    assert known(home) == "", "declined, and so not recorded"


def test_an_accepted_host_key_is_recorded_and_not_asked_about_again(
    server: SshServer, home: Path
) -> None:
    connect(server.port).__exit__(None, None, None)
    assert known(home) == line(server)
    assert (home / ".ssh" / "known_hosts").stat().st_mode & 0o777 == 0o600
    assert (home / ".ssh").stat().st_mode & 0o777 == 0o700
    connect(server.port, trust=lambda key: False).__exit__(None, None, None)
    assert known(home) == line(server)


def test_what_was_recorded_is_what_openssh_looks_for(server: SshServer, home: Path) -> None:
    import shutil
    import subprocess

    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not on this machine")
    connect(server.port).__exit__(None, None, None)
    found = subprocess.run(
        ["ssh-keygen", "-F", f"[127.0.0.1]:{server.port}", "-f", home / ".ssh" / "known_hosts"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert HOST_KEY.get_base64() in found.stdout


def test_a_changed_host_key_is_refused_whatever_the_answer_would_be(
    server: SshServer, home: Path
) -> None:
    (home / ".ssh").mkdir()
    before = line(server, new_key()[0])
    (home / ".ssh" / "known_hosts").write_text(before)
    asked: list[HostKey] = []
    refused = refusal(server.port, trust=lambda key: bool(asked.append(key)) or True)
    assert "has CHANGED" in str(refused)
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in str(refused)
    assert asked == []
    assert known(home) == before


def test_a_file_without_a_last_line_end_keeps_its_last_line(server: SshServer, home: Path) -> None:
    (home / ".ssh").mkdir()
    other = f"other.test ssh-ed25519 {new_key()[0].get_base64()}"
    (home / ".ssh" / "known_hosts").write_text(other)
    connect(server.port).__exit__(None, None, None)
    assert known(home) == f"{other}\n{line(server)}"


@pytest.mark.parametrize(
    "damaged",
    [
        b"other.test ssh-ed25519 AAAA!\n",
        b"other.test ssh-ed25519 QUJD\n",
        b"other.test ssh-ed25519\n",
        b"@revoked * ssh-ed25519 QUJD\n",
        b"one two three four\n",
        b"\xff\xfe\n",
        b"|1|damaged ssh-ed25519 QUJD\n",
    ],
)
def test_a_damaged_line_hides_no_other(server: SshServer, home: Path, damaged: bytes) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh" / "known_hosts").write_bytes(damaged + line(server).encode())
    connect(server.port, trust=lambda key: False).__exit__(None, None, None)


def test_known_hosts_of_ones_own_are_used_and_told_to_openssh(
    server: SshServer, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert remote.known_hosts_option() == []
    monkeypatch.setenv("LABTOOL_KNOWN_HOSTS", str(tmp_path / "mine" / "known"))
    connect(server.port).__exit__(None, None, None)
    assert (tmp_path / "mine" / "known").read_text() == line(server)
    assert known(home) == ""
    assert remote.known_hosts_option() == ["-o", f"UserKnownHostsFile={tmp_path}/mine/known"]


def test_known_hosts_that_cannot_be_written_are_told(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABTOOL_KNOWN_HOSTS", str(tmp_path / "file" / "known"))
    with pytest.raises(LabtoolError, match="cannot be written"):
        connect(server.port)


# --- what fails -------------------------------------------------------------------------------


def test_a_wrong_password_is_told_apart(server: SshServer) -> None:
    refused = refusal(server.port, password="wrong horse")
    assert isinstance(refused, AuthenticationError)
    assert f"refuses the login of {USER}: the password is wrong" in str(refused)
    assert "horse" not in str(refused)


def test_no_key_is_told_with_what_to_do(server: SshServer) -> None:
    refused = refusal(server.port, password=None)
    assert isinstance(refused, AuthenticationError)
    assert "no key of yours is accepted" in str(refused)
    assert "--ask-password" in str(refused)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken, and on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_closed_port_is_told_apart_from_a_machine_that_is_down(closed_port: int) -> None:
    assert "refuses the connection: the machine is up" in str(refusal(closed_port))


def test_silence_is_told_with_what_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> socket.socket:
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", silent)
    assert "does not answer: the machine is down" in str(refusal(22))


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], int]]:
    """A server that says these bytes to everybody, and nothing more; gives its port."""
    listeners: list[socket.socket] = []

    def start(words: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            try:
                while True:
                    connection, _ = listener.accept()
                    connection.sendall(words)
                    if words:
                        connection.close()
                    else:
                        listeners.append(connection)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for one in listeners:
        one.close()


@pytest.mark.parametrize(
    "words",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SIP/2.0 400 Bad\r\n\r\n",
        b"\xff\xfe\x00\n",
        b"\n",
        b"",
    ],
)
def test_a_server_that_is_not_ssh_is_told(answering: Callable[[bytes], int], words: bytes) -> None:
    refused = refusal(answering(words), timeout_s=0.5)
    assert "answers, but not as an SSH server" in str(refused)


@pytest.mark.parametrize("name", ["nowhere.invalid", "a" * 70 + ".invalid"])
def test_a_name_that_nobody_knows_is_told(name: str) -> None:
    with pytest.raises(UnreachableError, match=rf"^The name {name} is not known"):
        remote.connect(Host("x", name))


def test_a_jump_host_that_does_not_work_is_told(home: Path) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh" / "config").write_text("Host lab\n  ProxyCommand /nonexistent/program\n")
    with pytest.raises(UnreachableError, match=r"^SSH to lab port 22 failed: "):
        remote.connect(Host("lab", "lab"), timeout_s=2)


@pytest.mark.parametrize("port", ["x", "0", "99999"])
def test_a_port_that_is_none_is_told(home: Path, port: str) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh" / "config").write_text(f"Host lab\n  Port {port}\n")
    with pytest.raises(UnreachableError, match="as the port, which is none"):
        remote.connect(Host("lab", "lab"))


@pytest.mark.parametrize(
    "text", ["Match nonsense\n", "Port x\n", "Host lab\n  Port 99999\n", "\xff"]
)
def test_a_damaged_ssh_configuration_does_not_crash(
    server: SshServer, home: Path, text: str
) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh" / "config").write_text(text, encoding="latin-1")
    connect(server.port).__exit__(None, None, None)


def test_no_file_descriptor_is_left_behind_by_failures(server: SshServer) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    refusal(server.port, trust=lambda key: False)
    before = count()
    for _ in range(3):
        refusal(server.port, trust=lambda key: False)
    for _ in range(3):
        refusal(server.port, password="wrong")
    deadline = threading.Event()
    for _ in range(50):
        if count() <= before + 2:
            break
        deadline.wait(0.1)
    assert count() <= before + 2
