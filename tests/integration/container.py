"""A bare machine for a test: a systemd container that answers SSH on the Docker bridge."""

from __future__ import annotations

import io
import secrets
import shlex
import socket
import subprocess
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .engine import DockerError, Engine
from .images import Image
from .leftovers import labels

BOOT_SECONDS = 60.0

# systemd as process 1 without --privileged, which not every machine grants. apparmor: Ubuntu's
# default profile forbids the mounts that systemd makes for a unit.
SYSTEMD_OPTIONS = (
    "--cap-add=SYS_ADMIN",
    "--cap-add=NET_ADMIN",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--cgroupns=host",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
    "--tmpfs=/run",
    "--tmpfs=/run/lock",
    "--tmpfs=/tmp:exec,mode=1777",
    "--stop-signal=SIGRTMIN+3",
    "--env=container=docker",
)


@dataclass(frozen=True)
class KeyPair:
    """An Ed25519 SSH key: the private one in OpenSSH's format, the public one in a line."""

    private: bytes
    public: str

    @classmethod
    def generate(cls) -> KeyPair:
        key = Ed25519PrivateKey.generate()
        return cls(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.OpenSSH,
                serialization.NoEncryption(),
            ),
            key.public_key()
            .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
            .decode(),
        )

    def write(self, path: Path) -> Path:
        """Keep the private key at `path`, as strictly as ssh asks for."""
        path.touch(0o600)
        path.write_bytes(self.private)
        return path


@dataclass(frozen=True)
class Completed:
    """What a command in the container printed and returned."""

    returncode: int
    stdout: str
    stderr: str


class Container:
    """A started container. `address` is its IPv4 address, `host_key` its public SSH host key."""

    def __init__(self, engine: Engine, image: Image, login: KeyPair) -> None:
        self.engine = engine
        self.image = image
        self.login = login
        self.name = f"labtool-test-{secrets.token_hex(4)}"
        self.address = ""
        self._host_key = KeyPair.generate()
        engine.run(
            "create",
            f"--name={self.name}",
            "--hostname=bare",
            *labels("host"),
            *SYSTEMD_OPTIONS,
            image.reference,
            "/sbin/init",
        )
        try:
            engine.run("cp", "-", f"{self.name}:/", stdin=self._first_files())
            self.power_on()
        except BaseException:
            self.remove()
            raise

    @property
    def host_key(self) -> str:
        return self._host_key.public

    @property
    def known_hosts(self) -> str:
        """The line of a known_hosts file that names this machine."""
        return f"{self.address} {self.host_key}\n"

    def run(
        self, *command: str, stdin: str = "", check: bool = True, timeout_s: float = 120
    ) -> Completed:
        """Run a command inside, as root. With `check`, raises DockerError when it fails."""
        done = subprocess.run(
            self.engine.command("exec", "-i", self.name, *command),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode:
            raise DockerError(
                f"{shlex.join(command)}: exit {done.returncode}: {done.stdout}{done.stderr}".strip()
            )
        return Completed(done.returncode, done.stdout, done.stderr)

    def shell(self, script: str, *, check: bool = True, timeout_s: float = 120) -> Completed:
        """Run a script by sh inside; as `run` otherwise."""
        return self.run("sh", "-c", script, check=check, timeout_s=timeout_s)

    def read(self, path: str) -> str:
        """The text of a file inside."""
        return self.run("cat", path).stdout

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Put a file inside, owned by root."""
        where = shlex.quote(path)
        self.run("sh", "-c", f"umask 077; cat > {where} && chmod {mode:o} {where}", stdin=text)

    def add_user(self, name: str, *, password: str | None = None, sudo: bool = True) -> None:
        """An ordinary user who may log in by our key; `sudo` without being asked a password."""
        home = f"/home/{name}"
        self.run("useradd", "--create-home", "--shell=/bin/bash", name)
        self.run("install", "-d", "-m", "700", "-o", name, "-g", name, f"{home}/.ssh")
        self.write(f"{home}/.ssh/authorized_keys", f"{self.login.public}\n", mode=0o600)
        self.run("chown", f"{name}:{name}", f"{home}/.ssh/authorized_keys")
        if password is not None:
            self.run("chpasswd", stdin=f"{name}:{password}\n")
        if sudo:
            self.write(f"/etc/sudoers.d/{name}", f"{name} ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)

    def allow_password_login(self, user: str, password: str) -> None:
        """What a rented machine often starts with: `user`, root too, logs in by password."""
        self.run("chpasswd", stdin=f"{user}:{password}\n")
        # The first value of a keyword counts, so it goes in front of what the package wrote.
        self.shell(
            "sed -i '1i PermitRootLogin yes\\nPasswordAuthentication yes' /etc/ssh/sshd_config"
        )
        self.run("systemctl", "restart", "ssh")
        self._wait_for_ssh(time.monotonic() + BOOT_SECONDS)

    def journal(self, unit: str | None = None, lines: int = 100) -> str:
        """The end of the journal, or of one unit's."""
        only = ["--unit", unit] if unit else []
        return self.run(
            "journalctl", "--no-pager", "--lines", str(lines), *only, check=False
        ).stdout

    def power_off(self) -> None:
        """Shut down; the machine is kept, its address answers no more."""
        self.engine.run("stop", "--time", "10", self.name)

    def power_on(self) -> None:
        """Boot; back when systemd has started everything and sshd answers.

        Raises DockerError when a unit fails or it takes longer than BOOT_SECONDS.
        """
        self.engine.run("start", self.name)
        self.address = self.engine.run(
            "inspect", "--format", "{{.NetworkSettings.Networks.bridge.IPAddress}}", self.name
        ).strip()
        deadline = time.monotonic() + BOOT_SECONDS
        state = ""
        while time.monotonic() < deadline:
            state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
            if state == "running":
                self._wait_for_ssh(deadline)
                return
            if state == "degraded":
                break
            time.sleep(0.05)
        failed = self.run("systemctl", "--failed", "--no-legend", "--plain", check=False).stdout
        raise DockerError(
            f"{self.image.name} does not come up: systemd says {state!r}; {failed.strip()}\n"
            f"{self.journal(lines=30)}"
        )

    def remove(self) -> None:
        """Take the container away, running or not."""
        self.engine.run("rm", "--force", "--volumes", self.name)

    def _wait_for_ssh(self, deadline: float) -> None:
        while True:
            try:
                with socket.create_connection((self.address, 22), timeout=2) as connection:
                    if connection.recv(4) == b"SSH-":
                        return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise DockerError(f"sshd does not answer:\n{self.journal('ssh', 30)}")
            time.sleep(0.05)

    def _first_files(self) -> bytes:
        """The keys that must be there before the first boot, as a tar archive."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            folder = tarfile.TarInfo("root/.ssh")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o700
            tar.addfile(folder)
            for path, content, mode in (
                ("root/.ssh/authorized_keys", f"{self.login.public}\n".encode(), 0o600),
                ("etc/ssh/ssh_host_ed25519_key", self._host_key.private, 0o600),
                ("etc/ssh/ssh_host_ed25519_key.pub", f"{self.host_key}\n".encode(), 0o644),
            ):
                member = tarfile.TarInfo(path)
                member.size, member.mode, member.mtime = len(content), mode, int(time.time())
                tar.addfile(member, io.BytesIO(content))
        return buffer.getvalue()
