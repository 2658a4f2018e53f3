"""Read a server over SSH (paramiko): whatever only looks does so here, in under a second.

Host keys are checked against the user's known_hosts, as OpenSSH does, and ~/.ssh/config counts.
Every way in which a connection fails is its own error with its own sentence.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from labtool import pipe
from labtool.errors import LabtoolError, UnreachableError
from labtool.inventory import Host

if TYPE_CHECKING:
    import paramiko

CONNECT_S = 10.0


@dataclass(frozen=True)
class HostKey:
    """The key that a host showed: what a person compares, and how known_hosts names the host."""

    name: str
    type: str
    fingerprint: str


class HostKeyUnknownError(UnreachableError):
    """The host's key is not in known_hosts."""

    def __init__(self, key: HostKey) -> None:
        super().__init__(
            f"The host key of {key.name} is not known: {key.type} {key.fingerprint}. Compare it with "
            "what the host's console shows (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub) and answer "
            "the question, or pass --accept-host-key."
        )
        self.key = key


class AuthenticationError(UnreachableError):
    """The host refused the login."""


@dataclass(frozen=True)
class Answer:
    returncode: int
    stdout: str
    stderr: str


class Remote:
    """An open connection, for `run`. A context manager."""

    def __init__(
        self,
        client: paramiko.SSHClient | None,
        *,
        sudo: str | None = None,
        sudo_password: str | None = None,
    ) -> None:
        self._client = client
        self._sudo = sudo
        self._sudo_password = sudo_password

    def run(self, command: str, *, timeout_s: float = 30.0) -> Answer:
        """Run a shell command as root, where the login may.

        Raises UnreachableError on a lost line, or when nothing comes for `timeout_s` seconds.
        """
        import paramiko

        silent = UnreachableError(f"The host's answer does not end: nothing for {timeout_s:g} s.")
        if self._client is None:
            try:
                done = subprocess.run(
                    ["/bin/sh", "-c", command],
                    capture_output=True,
                    encoding="utf-8",
                    errors="replace",
                    timeout=timeout_s,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise silent from None
            return Answer(done.returncode, done.stdout, done.stderr)
        if self._sudo is not None:
            command = f"sudo {self._asking()} /bin/sh -c {shlex.quote(command)}"
        try:
            into, out, error = self._client.exec_command(command, timeout=timeout_s)
            if self._sudo is not None and self._sudo_password is not None:
                into.write(f"{self._sudo_password}\n")
                into.flush()
                into.channel.shutdown_write()
            text = out.read().decode(errors="replace")
            return Answer(
                out.channel.recv_exit_status(), text, error.read().decode(errors="replace")
            )
        except TimeoutError:
            raise silent from None
        except (OSError, EOFError, paramiko.SSHException) as failure:
            why = str(failure) or "the host closed it"
            raise UnreachableError(f"The connection was lost: {why}.") from failure

    def _asking(self) -> str:
        # -k: a password is read from here in any case, and never left over for the command.
        return "-n" if self._sudo_password is None else "-k -S -p ''"

    def check_root(self) -> None:
        """See that the login may become root. Raises UnreachableError with what to give instead."""
        if self._sudo is None or self.run("true").returncode == 0:
            return
        if self._sudo_password is None:
            raise UnreachableError(
                f"{self._sudo} is let in, but may not become root (sudo): give the password that sudo "
                "asks for (--ask-become-password), or sign in as root."
            )
        raise UnreachableError(f"sudo refuses the password of {self._sudo}, or root.")

    def pipe(self, script: str) -> pipe.Pipe:
        """Start a shell script as root, where the login may, and read from it while it runs.

        It gets the port of this machine's SSH server as $1, "" where it is not reached over SSH.
        Raises UnreachableError.
        """
        import paramiko

        # sudo keeps no environment, so what is known of the connection is looked up before it.
        command = f'/bin/sh -c {shlex.quote(script)} labtool "${{SSH_CONNECTION##* }}"'
        if self._client is None:
            return pipe.Process(command)
        if self._sudo is not None:
            # sudo reads its line byte by byte, and leaves the rest of the input to the script.
            command = f"sudo {self._asking()} {command}"
            self.check_root()
        transport = self._client.get_transport()
        assert transport is not None
        transport.set_keepalive(15)
        try:
            session = transport.open_session()
            started = pipe.Channel(session, command)
            if self._sudo is not None and self._sudo_password is not None:
                session.sendall(f"{self._sudo_password}\n".encode())
            return started
        except (OSError, EOFError, paramiko.SSHException) as failure:
            why = str(failure) or "the host closed it"
            raise UnreachableError(f"The connection was lost: {why}.") from failure

    def __enter__(self) -> Remote:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._client is not None:
            self._client.close()


def ssh_user(host: Host) -> str:
    """The user that SSH signs in as: the inventory's, else ~/.ssh/config's, else root."""
    return host.user or _configured(host.address).get("user", "root")


def numeric(address: str) -> str:
    """The numeric address that SSH takes for a name (~/.ssh/config counts); "" where it has none."""
    name = _configured(address).get("hostname", address)
    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError):
        return ""


def known_hosts_file(configured: str | None = None) -> Path:
    """Where host keys are remembered: LABTOOL_KNOWN_HOSTS, ~/.ssh/config's, or ~/.ssh/known_hosts."""
    chosen = os.environ.get("LABTOOL_KNOWN_HOSTS") or (configured or "").split(" ")[0]
    return Path(chosen or "~/.ssh/known_hosts").expanduser()


def known_hosts_option() -> list[str]:
    """What tells OpenSSH of LABTOOL_KNOWN_HOSTS, where that is set."""
    chosen = os.environ.get("LABTOOL_KNOWN_HOSTS")
    return ["-o", f"UserKnownHostsFile={Path(chosen).expanduser()}"] if chosen else []


def connect(
    host: Host,
    *,
    password: str | None = None,
    become_password: str | None = None,
    trust: Callable[[HostKey], bool] = lambda key: False,
    timeout_s: float = CONNECT_S,
) -> Remote:
    """Open a connection to read by. `become_password` is for a sudo that asks for one.

    `trust` is asked about a host key that is not known yet; when it says yes the key is added to
    known_hosts. A *changed* key is refused, whatever it says.
    Raises UnreachableError (its sentence says which: name, no answer, refused, not SSH, host key,
    login).
    """
    if host.local:
        return Remote(None)
    import logging

    import paramiko

    # It logs tracebacks of what is told in a sentence here.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
    config = _configured(host.address)
    name = config.get("hostname", host.address)
    port = host.port or _port(config.get("port", "22"))
    user = ssh_user(host)
    known = known_hosts_file(config.get("userknownhostsfile"))
    alias = config.get("hostkeyalias", name)
    shown = alias if port == 22 else f"[{alias}]:{port}"
    where = f"{name} port {port}"

    client = paramiko.SSHClient()
    for file in (Path("/etc/ssh/ssh_known_hosts"), known):
        if file.is_file():
            _load_host_keys(client, file)
    policy = _Ask(shown, known, trust)
    client.set_missing_host_key_policy(policy)  # type: ignore[arg-type]
    proxy = config.get("proxycommand") or _jump(config.get("proxyjump"), name, port)
    keys = [str(Path(file).expanduser()) for file in config.get("identityfile", [])]
    if private := host.variables.get("ansible_ssh_private_key_file"):
        keys.insert(0, str(Path(str(private)).expanduser()))
    try:
        channel = paramiko.ProxyCommand(proxy) if proxy and proxy != "none" else None
        client.connect(
            name if alias == name else alias,
            port=port,
            username=user,
            password=password,
            key_filename=[key for key in keys if Path(key).is_file()] or None,  # type: ignore[arg-type]
            # Longer than the wait for its greeting, so that a server that gives none is told apart.
            timeout=3 * timeout_s,
            banner_timeout=timeout_s,
            auth_timeout=timeout_s,
            allow_agent=password is None,
            look_for_keys=password is None,
            sock=channel or socket.create_connection((name, port), timeout_s),
        )
    except HostKeyUnknownError:
        client.close()
        raise
    except (OSError, EOFError, UnicodeError, paramiko.SSHException) as error:
        client.close()
        raise _explained(error, where, user, shown, password is not None) from error
    return Remote(client, sudo=None if user == "root" else user, sudo_password=become_password)


def _load_host_keys(client: paramiko.SSHClient, file: Path) -> None:
    """A line that paramiko cannot read (damaged, or marked @cert-authority) hides no other."""
    import paramiko
    from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

    unreadable = (UnicodeError, InvalidHostKey, paramiko.SSHException)
    try:
        client.load_system_host_keys(str(file))
        return
    except unreadable:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        # Then every host is one that is not known.
        return
    known = client.get_host_keys()
    for number, line in enumerate(lines, 1):
        try:
            entry = HostKeyEntry.from_line(line, number)
        except unreadable:
            continue
        if entry is not None:
            for name in entry.hostnames:
                known.add(name, entry.key.get_name(), entry.key)


class _Ask:
    """paramiko's policy for a missing host key: ask, and remember a yes as OpenSSH does."""

    def __init__(self, shown: str, known: Path, trust: Callable[[HostKey], bool]) -> None:
        self._shown, self._known, self._trust = shown, known, trust

    def missing_host_key(self, client: object, hostname: str, key: paramiko.PKey) -> None:
        digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
        shown = HostKey(self._shown, key.get_name(), f"SHA256:{digest}")
        if not self._trust(shown):
            raise HostKeyUnknownError(shown)
        try:
            self._known.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._known, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    stream.write("\n")
                stream.write(f"{self._shown} {key.get_name()} {key.get_base64()}\n")
        except OSError as error:
            raise LabtoolError(f"{self._known} cannot be written: {error.strerror}") from error


def _configured(address: str) -> dict[str, str]:
    """What ~/.ssh/config says of this host."""
    file = Path("~/.ssh/config").expanduser()
    if not file.is_file():
        return {}
    import paramiko

    try:
        return dict(paramiko.SSHConfig.from_path(str(file)).lookup(address))
    except (OSError, UnicodeError, paramiko.SSHException, paramiko.ConfigParseError):
        return {}


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    raise UnreachableError(f"~/.ssh/config gives {text!r} as the port, which is none.")


def _jump(jump: str | None, name: str, port: int) -> str | None:
    if not jump or jump == "none":
        return None
    return (
        shlex.join(["ssh", "-W", f"{name}:{port}", "-J", jump, name])
        if "," in jump
        else (shlex.join(["ssh", "-W", f"{name}:{port}", jump]))
    )


def _known_hosts_flag() -> str:
    chosen = os.environ.get("LABTOOL_KNOWN_HOSTS")
    return f" -f {shlex.quote(chosen)}" if chosen else ""


def _explained(
    error: Exception, where: str, user: str, shown: str, with_password: bool
) -> UnreachableError:
    import paramiko

    match error:
        case paramiko.BadHostKeyException():
            return UnreachableError(
                f"The host key of {shown} has CHANGED since it was first seen. Either the machine was "
                "installed anew, or somebody stands between. If it was installed anew, forget the old "
                f"key with: ssh-keygen{_known_hosts_flag()} -R '{shown}'"
            )
        case paramiko.BadAuthenticationType() | paramiko.AuthenticationException():
            how = (
                "the password is wrong, or the host takes none"
                if with_password
                else "no key of yours is accepted. Put one there with ssh-copy-id, or use --ask-password"
            )
            return AuthenticationError(f"{where} refuses the login of {user}: {how}.")
        # UnicodeError: a part of the name is empty or longer than 63 characters (RFC 1035).
        case socket.gaierror() | UnicodeError():
            return UnreachableError(
                f"The name {where.split()[0]} is not known (name resolution failed). Check its spelling, "
                "or use the address."
            )
        case TimeoutError():
            return UnreachableError(
                f"{where} does not answer: the machine is down, the address is another one, or a "
                "firewall (in a cloud: the security group) drops SSH."
            )
        case ConnectionRefusedError():
            return UnreachableError(
                f"{where} refuses the connection: the machine is up, but no SSH server listens there."
            )
        case paramiko.SSHException():
            text = str(error)
            if "No authentication methods" in text:  # paramiko's words where there is no key at all
                return _explained(
                    paramiko.AuthenticationException(), where, user, shown, with_password
                )
            if "banner" in text or "protocol" in text.lower():
                return UnreachableError(f"{where} answers, but not as an SSH server: {text}.")
            return UnreachableError(f"SSH to {where} failed: {text}.")
        case _:
            text = getattr(error, "strerror", None) or str(error) or "the connection was closed"
            return UnreachableError(f"SSH to {where} failed: {text}.")
