"""A Docker engine on this machine: the one that runs, or one installed and started here.

`python -m tests.integration.engine` makes sure that there is one, `... engine stop` ends the one
that this file started. A session fixture does the former by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SOCKET = Path("/var/run/docker.sock")
DAEMON_LOG = Path("/var/log/labtool-dockerd.log")
DAEMON_PID = Path("/run/labtool-dockerd.pid")
START_SECONDS = 60.0
SIOCGIFADDR = 0x8915  # the IPv4 address of an interface, netdevice(7)

# apt package -> a command or a file that it brings.
ENGINE_PACKAGES = {"docker.io": "dockerd", "iptables": "iptables"}
# Where docker.io does not bring the client (from Debian 13 on), this package does.
CLIENT_PACKAGES = {"docker-cli": "docker"}
BUILD_PACKAGES = {
    "debootstrap": "debootstrap",
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
}


class Unavailable(Exception):
    """What the tests need can't be had here; the text is the reason to skip with."""


class DockerError(Exception):
    """A docker command failed; the text is what it said."""


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers, driven through its command line client."""

    client: str

    def command(self, *arguments: str) -> list[str]:
        return [self.client, *arguments]

    def run(self, *arguments: str, stdin: bytes | None = None, timeout_s: float = 120) -> str:
        """Run `docker ARGUMENTS`; what it printed. Raises DockerError when it fails."""
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise DockerError(f"docker {' '.join(arguments)}: exit {done.returncode}: {said}")
        return done.stdout.decode(errors="replace")

    def gateway(self) -> str:
        """This machine's own address on the default bridge: where containers reach it."""
        bridge = self.run(
            "network",
            "inspect",
            "bridge",
            "--format",
            '{{index .Options "com.docker.network.bridge.name"}}',
        ).strip()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                packed = fcntl.ioctl(probe, SIOCGIFADDR, struct.pack("256s", bridge.encode()))
            except OSError as why:
                raise DockerError(f"the bridge {bridge!r} has no IPv4 address: {why}") from why
        return socket.inet_ntoa(packed[20:24])


@contextlib.contextmanager
def machine_lock(name: str) -> Iterator[None]:
    """Hold a lock shared by every test session of this user on this machine."""
    path = Path(tempfile.gettempdir()) / f"labtool-test-{os.getuid()}-{name}.lock"
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure() -> Engine:
    """The Docker engine of this machine, installed and started where need be and where we may.

    Raises Unavailable with the reason when there is none and nothing may be done about it.
    """
    host = os.environ.get("DOCKER_HOST", "")
    if host and not host.startswith("unix://"):
        raise Unavailable(
            f"DOCKER_HOST is {host}: the tests reach containers by their bridge addresses, "
            "so the engine has to be on this machine"
        )
    why_not = _answer()
    if why_not is None:
        return _engine()
    if host:
        raise Unavailable(f"no Docker engine answers at DOCKER_HOST={host}: {why_not}")
    if os.geteuid() != 0 and "permission denied" in why_not:
        raise Unavailable(
            "the Docker engine of this machine is not open to this user: join the group docker "
            "(`sudo usermod -aG docker $USER`, then log in anew), or run the tests as root"
        )
    if os.geteuid() != 0:
        raise Unavailable(
            f"no Docker engine answers ({why_not}) and only root may install or start one: "
            "run `sudo python3 -m tests.integration.engine` once"
        )
    with machine_lock("engine"):
        if _answer() is not None:
            install(ENGINE_PACKAGES)
            install(CLIENT_PACKAGES)
        if _answer() is not None:
            _start()
    return _engine()


def install(packages: dict[str, str]) -> None:
    """Install by apt-get the packages of which a command or file is missing.

    `packages` maps a package to what it brings. Raises Unavailable when it can't be had.
    """
    missing = [package for package, brings in packages.items() if not _there(brings)]
    if not missing:
        return
    names = " ".join(missing)
    if not shutil.which("apt-get"):
        raise Unavailable(f"missing here, and there is no apt-get to install it: {names}")
    if os.geteuid() != 0:
        raise Unavailable(f"missing here: run `sudo apt-get install {names}` once")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    get = ["apt-get", "-y", "-q", "-o", "DPkg::Lock::Timeout=300"]
    commands = [
        [*get, "install", "--no-install-recommends", *missing],
        [*get, "update"],
        [*get, "install", "--no-install-recommends", *missing],
    ]
    said = ""
    # With fresh package lists the first is enough; with none or old ones it fails at once.
    for command in commands:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        said = (done.stdout + done.stderr).strip()
        if all(_there(packages[package]) for package in missing):
            return
    raise Unavailable(f"apt-get install {names} failed:\n{_tail(said)}")


def which(command: str) -> str | None:
    """Like shutil.which, and in the sbin folders that an ordinary user's PATH lacks."""
    return shutil.which(command, path=_search_path())


def _there(brings: str) -> bool:
    return Path(brings).exists() if brings.startswith("/") else which(brings) is not None


def _search_path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


def stop() -> bool:
    """End the daemon that `ensure` started; False when there is none of ours."""
    try:
        pid = int(DAEMON_PID.read_text())
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        return False
    deadline = time.monotonic() + START_SECONDS
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    DAEMON_PID.unlink(missing_ok=True)
    return True


def _engine() -> Engine:
    client = shutil.which("docker")
    if not client:
        raise Unavailable("a Docker engine runs here, but there is no `docker` client to drive it")
    return Engine(client)


def _answer() -> str | None:
    """None when an engine answers, otherwise why not, in one line."""
    client = shutil.which("docker")
    if not client:
        return "there is no `docker` command"
    try:
        done = subprocess.run(
            [client, "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "`docker version` took longer than 20 s"
    if done.returncode == 0 and done.stdout.strip():
        return None
    return " ".join((done.stderr or "no answer").split())


def _start() -> None:
    """Start dockerd and wait until it answers; by its service where systemd is in charge."""
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "start", "docker"], capture_output=True, timeout=120)
        if _answer() is None:
            return
    daemon = which("dockerd")
    assert daemon, "installed above"
    path = _search_path()
    # iptables of today writes nftables rules; an older kernel may only know the legacy tables.
    # With neither, containers still reach this machine, though not what lies behind it.
    attempts: list[tuple[list[str], str]] = [([], path)]
    if legacy := which("iptables-legacy"):
        attempts.append(([], f"{_legacy_first(legacy)}:{path}"))
    attempts.append((["--iptables=false", "--ip-masq=false"], path))
    for options, search in attempts:
        if _start_by_hand([daemon, "--log-level=warn", *options], search):
            return
    raise Unavailable(f"dockerd does not start here; the end of {DAEMON_LOG}:\n{_log_tail()}")


def _start_by_hand(command: Sequence[str], path: str) -> bool:
    """Start the daemon so that it outlives this process; whether it came to answer."""
    with DAEMON_LOG.open("ab") as log:
        log.write(f"--- {' '.join(command)}\n".encode())
        log.flush()
        process = subprocess.Popen(
            command,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if SOCKET.exists() and _answer() is None:
            DAEMON_PID.write_text(str(process.pid))
            return True
        time.sleep(0.1)
    if process.poll() is None:
        process.terminate()
        process.wait(timeout=30)
    return False


def _legacy_first(legacy: str) -> str:
    """A folder in which `iptables` is the legacy one, for dockerd's PATH alone."""
    folder = Path(tempfile.mkdtemp(prefix="labtool-iptables-"))
    (folder / "iptables").symlink_to(legacy)
    if six := which("ip6tables-legacy"):
        (folder / "ip6tables").symlink_to(six)
    return str(folder)


def _log_tail() -> str:
    return _tail(DAEMON_LOG.read_text(errors="replace")) if DAEMON_LOG.exists() else "(no log)"


def _tail(text: str, lines: int = 15) -> str:
    return "\n".join(text.splitlines()[-lines:])


def main(arguments: Sequence[str]) -> int:
    if list(arguments) == ["stop"]:
        print("stopped" if stop() else "there is no Docker engine that these tests started")
        return 0
    if arguments:
        print("usage: python -m tests.integration.engine [stop]", file=sys.stderr)
        return 2
    try:
        engine = ensure()
    except Unavailable as why:
        print(f"no Docker engine: {why}", file=sys.stderr)
        return 1
    version = engine.run("version", "--format", "{{.Server.Version}}").strip()
    print(f"Docker engine {version}; containers reach this machine at {engine.gateway()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
