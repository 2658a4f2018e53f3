"""SIP software that others wrote, run on loopback for a test: phones, tools and a server.

Each is a context manager that kills what it started. All it writes is in the folder it was given,
which is its HOME as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import wave
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from labtool.sip.digest import ha1
from labtool.sip.tone import detect_tone, tone

from .engine import Unavailable

DOMAIN = "sip.example.test"
LOOPBACK = "127.0.0.1"
PASSWORDS = {"alice": "wonderland", "bob": "builder"}
ALICE_HZ, BOB_HZ = 550.0, 1050.0
PATIENCE = 15.0  # seconds; only a failure takes that long

# The Debian package of each program.
_PACKAGES = {
    "linphonec": "linphone-cli",
    "baresip": "baresip-core",
    "sipp": "sip-tester",
    "sipsak": "sipsak",
    "kamailio": "kamailio",
    "turnserver": "coturn",
    "tcpdump": "tcpdump",
}
Started = TypeVar("Started", bound="Process")
_POLICY = Path("/usr/sbin/policy-rc.d")


def need(*programs: str) -> None:
    """Have these programs: installed from Debian where this is root's to do, else Unavailable."""
    missing = [_PACKAGES[name] for name in programs if _found(name) is None]
    if not missing:
        return
    wanted = " ".join(missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Unavailable(f"this test needs other SIP software: apt-get install {wanted}")
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=120", "install", "-qy"]
    command += ["--no-install-recommends", *missing]
    with _no_services():
        done = subprocess.run(
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    if done.returncode:
        raise Unavailable(f"apt-get install {wanted}: {done.stderr.strip()[-300:]}")


@contextmanager
def _no_services() -> Iterator[None]:
    """Kamailio's package would start a server on this machine's SIP port."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


def _found(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


# -- what all of them need ------------------------------------------------------------------------


def wait_for(what: str, so: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Look until it is so; AssertionError says what did not happen."""
    deadline = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {what}"
        time.sleep(0.02)


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of loopback that is free now, for UDP and TCP."""
    for _ in range(50):
        with socket.socket(socket.AF_INET, kind) as one:
            one.bind((LOOPBACK, 0))
            port = int(one.getsockname()[1])
            other = socket.SOCK_DGRAM if kind == socket.SOCK_STREAM else socket.SOCK_STREAM
            with socket.socket(socket.AF_INET, other) as two, contextlib.suppress(OSError):
                two.bind((LOOPBACK, port))
                return port
    raise AssertionError("no port is free for UDP and TCP")


def write_tone(path: Path, hz: float, seconds: float = 6.0) -> Path:
    """A WAV file with a tone, 8,000 samples a second."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(tone(hz, seconds).tobytes())
    return path


def heard_in(path: Path) -> float | None:
    """The frequency in Hz of the tone that a WAV file holds; None where it holds none."""
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        samples = array("h", file.readframes(file.getnframes()))
        rate = file.getframerate()
    found = detect_tone(samples)
    return None if found is None else found * rate / 8000


def is_tone(found: float | None, hz: float) -> bool:
    """Whether that is the tone that was sent."""
    return found is not None and abs(found - hz) < 15


class Process:
    """A program in a process group of its own; its output goes to a file."""

    def __init__(self, folder: Path, command: list[str], **options: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.output = folder / "output"
        self._file = self.output.open("wb")
        self.process = subprocess.Popen(
            command,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=self._file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HOME": str(folder), **options.pop("env", {})},
            start_new_session=True,
            **options,
        )

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def wait_said(self, *texts: str, seconds: float = PATIENCE) -> None:
        """Wait until the output has one of the texts."""
        what = f"{self.process.args!r} said {texts}"
        wait_for(what, lambda: any(text in self.said() for text in texts) or self._dead(), seconds)
        assert any(text in self.said() for text in texts), self.said()[-2000:]

    def _dead(self) -> bool:
        return self.process.poll() is not None

    def memory(self) -> float:
        """What it holds in memory now, in MB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError(f"{self.process.args!r} has ended: {self.said()[-2000:]}")

    def stop(self) -> None:
        """End it and all that it started, at the latest after two seconds."""
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(2)
        self._signal(signal.SIGKILL)
        self.process.wait(5)
        if self.process.stdin:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        self._file.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def __enter__(self: Started) -> Started:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Certificate:
    """A certificate that trusts itself, for localhost and the lab's domain."""

    def __init__(self, folder: Path) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        self.chain, self.key = folder / "certificate.pem", folder / "key.pem"
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName(DOMAIN)]
        now = datetime.now(timezone.utc)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([*names, x509.IPAddress(ip_address(LOOPBACK))]),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        encoding = serialization.Encoding.PEM
        self.chain.write_bytes(made.public_bytes(encoding))
        self.key.write_bytes(
            key.private_bytes(
                encoding,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


# -- the sandbox ----------------------------------------------------------------------------------


class SandboxProcess(Process):
    """`python -m labtool.sandbox` with the accounts of PASSWORDS (or others).

    On loopback at any free port; `host` is another address, at SIP's own ports. `transports` are
    told to it otherwise than that, and `global_lines` and `lines` are more of flexisip.conf.
    """

    def __init__(
        self,
        folder: Path,
        *,
        passwords: Mapping[str, str] = PASSWORDS,
        algorithms: str = "MD5 SHA-256",
        authentication: bool = True,
        tls: bool = False,
        log: bool = True,
        host: str = LOOPBACK,
        transports: str = "",
        global_lines: tuple[str, ...] = (),
        lines: tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.host = host
        self.certificate = Certificate(folder) if tls else None
        self.log_file = folder / "log.json"
        users, conf = folder / "users.db.txt", folder / "flexisip.conf"
        users.write_text(users_file(passwords), encoding="utf-8")
        transports = transports or f"sip:{host}:5060" + (f" sips:{host}:5061" if tls else "")
        first = [f"transports={transports}", *global_lines]
        conf.write_text(
            _conf(users, algorithms, authentication, self.certificate, first, lines),
            encoding="utf-8",
        )
        command = [sys.executable, "-m", "labtool.sandbox", "--conf", str(conf)]
        command += ["--port", "0"] if host == LOOPBACK else ["--public"]
        if log:
            command += ["--json-log", str(self.log_file)]
        super().__init__(folder, command, **options)
        try:
            self.wait_said(f"listening on {'tls' if tls else 'tcp'}")
        except AssertionError:
            self.stop()
            raise
        self.ports: dict[str, int] = {}
        for line in self.said().splitlines():
            if line.startswith("listening on "):
                _, _, transport, address = line.split()
                self.ports[transport] = int(address.rpartition(":")[2])

    def uri(self, transport: str) -> str:
        """Where a phone shall send; TLS by name, for the sake of the certificate."""
        host = "localhost" if transport == "tls" else self.host
        return f"sip:{host}:{self.ports[transport]};transport={transport}"

    def events(self, kind: str) -> list[dict[str, Any]]:
        """What the log tells of one kind of event."""
        lines = self.log_file.read_text(encoding="utf-8").splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def wait_registered(self, user: str, count: int = 1) -> None:
        aor = f"{user}@{DOMAIN}"
        wait_for(
            f"{user} registered {count} times",
            lambda: sum(event["aor"] == aor for event in self.events("registered")) >= count,
        )


def users_file(passwords: Mapping[str, str]) -> str:
    """users.db.txt with both hashes of each password."""
    rows = ["version:1\n"]
    for user, password in passwords.items():
        md5, sha = (ha1(user, DOMAIN, password, name) for name in ("MD5", "SHA-256"))
        rows.append(f"{user}@{DOMAIN} md5:{md5} sha256:{sha} ;\n")
    return "".join(rows)


def _conf(
    users: Path,
    algorithms: str,
    authentication: bool,
    tls: Certificate | None,
    first: list[str],
    last: tuple[str, ...],
) -> str:
    lines = ["[global]", *first, f"aliases=localhost {DOMAIN}"]
    if tls:
        lines += [
            f"tls-certificates-file={tls.chain}",
            f"tls-certificates-private-key={tls.key}",
        ]
    lines += ["[module::DoSProtection]", "enabled=false"]
    lines += ["[module::Registrar]", f"reg-domains={DOMAIN} {LOOPBACK}"]
    lines += ["[module::Authentication]", f"enabled={str(authentication).lower()}"]
    if authentication:
        lines += [f"auth-domains={DOMAIN}", f"file-path={users}"]
        lines += [f"available-algorithms={algorithms}"]
    lines += last
    return "\n".join(lines) + "\n"


# -- phones ---------------------------------------------------------------------------------------


class Linphone(Process):
    """linphonec, told what to do on its standard input; plays a tone, records what it hears. It is at
    `host`.
    """

    def __init__(
        self,
        folder: Path,
        user: str,
        sandbox: SandboxProcess,
        transport: str,
        hz: float,
        *,
        answers: bool = False,
        host: str = LOOPBACK,
        ice: bool = False,
    ) -> None:
        (folder / ".local/share/linphone").mkdir(parents=True)
        settings = folder / "linphonerc"
        settings.write_text(self._settings(user, sandbox, transport, host, ice), encoding="utf-8")
        self.recording = folder / "heard.wav"
        self.user = user
        super().__init__(
            folder, ["linphonec", "-c", str(settings)], stdin=subprocess.PIPE, bufsize=0
        )
        self.say("soundcard use files")
        self.say(f"record {self.recording}")
        self.say(f"play {write_tone(folder / 'said.wav', hz)}")
        if answers:
            self.say("autoanswer enable")
        sandbox.wait_registered(user)

    @staticmethod
    def _settings(user: str, sandbox: SandboxProcess, transport: str, host: str, ice: bool) -> str:
        port = free_port(socket.SOCK_DGRAM)
        ports = {name: port if name == transport else 0 for name in ("udp", "tcp", "tls")}
        trust = policy = ""
        if ice:
            policy = "[net]\nnat_policy_ref=lab\n[nat_policy_0]\nref=lab\nprotocols=ice\n"
        if sandbox.certificate:
            trust = f"root_ca={sandbox.certificate.chain}\nverify_server_certs=1\n"
        return (
            f"[sip]\ndefault_proxy=0\nsip_port={ports['udp']}\nsip_tcp_port={ports['tcp']}\n"
            f"sip_tls_port={ports['tls']}\nbind_address={host}\nguess_hostname=0\n"
            f"contact=<sip:{user}@{host}>\nuse_ipv6=0\nmedia_encryption=none\n{trust}"
            "[rtp]\naudio_rtp_port=-1\n[sound]\nechocancellation=0\n"
            "[video]\nenabled=0\ncapture=0\ndisplay=0\n"
            f"[proxy_0]\nreg_proxy=<{sandbox.uri(transport)}>\nreg_route=<{sandbox.uri(transport)}>\n"
            f"reg_identity=<sip:{user}@{DOMAIN}>\nreg_expires=600\nreg_sendregister=1\npublish=0\n"
            f"[auth_info_0]\nusername={user}\npasswd={PASSWORDS[user]}\nrealm={DOMAIN}\n"
            f"domain={DOMAIN}\n{policy}"
        )

    def say(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n".encode())

    def call(self, user: str) -> None:
        self.say(f"call sip:{user}@{DOMAIN} --audio-only")

    def wait_talking(self) -> None:
        self.wait_said("Media streams established")

    def hang_up(self) -> None:
        self.say("terminate")

    def wait_ended(self) -> None:
        self.wait_said("ended (No error)")

    def heard(self) -> float | None:
        return heard_in(self.recording)


class Baresip(Process):
    """baresip, told what to do over its control socket (netstrings of JSON).

    Release 1.0 knows MD5 digest only, and fails on a server that offers SHA-256 as well. It is at
    `host`; `port` is that of SIP, 0 for any.
    """

    def __init__(
        self,
        folder: Path,
        user: str,
        sandbox: SandboxProcess,
        transport: str,
        hz: float,
        *,
        answers: bool = False,
        turn: str = "",
        host: str = LOOPBACK,
        port: int = 0,
        codec: str = "pcmu",
    ) -> None:
        """`turn` is the address of a TURN server through which all sound is to go."""
        folder.mkdir(parents=True)
        self.user = user
        control = free_port()
        played = write_tone(folder / "said.wav", hz)
        modules = next(iter(sorted(Path("/usr/lib").glob("**/baresip/modules"))))
        trust = f"sip_cafile {sandbox.certificate.chain}\n" if sandbox.certificate else ""
        # Its resolver asks name servers only: it does not know what localhost is.
        server = f"sip:{sandbox.host}:{sandbox.ports[transport]};transport={transport}"
        (folder / "config").write_text(
            f"sip_listen {host}:{port}\nnet_interface {host}\naudio_source aufile,{played}\n"
            f"audio_player aufile,{folder / 'unused.wav'}\nsnd_path {folder}\n"
            f"rtp_ports 20000-30000\nctrl_tcp_listen {LOOPBACK}:{control}\nmodule_path {modules}\n"
            "module g711.so\nmodule aufile.so\nmodule sndfile.so\nmodule_tmp account.so\n"
            f"module_app menu.so\nmodule_app ctrl_tcp.so\n{trust}"
            + ("module stun.so\nmodule turn.so\n" if turn else ""),
            encoding="utf-8",
        )
        (folder / "accounts").write_text(
            f"<sip:{user}@{DOMAIN};transport={transport}>;auth_user={user};"
            f'auth_pass={PASSWORDS[user]};outbound="{server}";regint=600;'
            f"audio_codecs={codec}/8000/1;answermode={'auto' if answers else 'manual'}"
            + (
                f';medianat=turn;stunserver="turn:{turn}";stunuser={user};stunpass=turn'
                if turn
                else ""
            )
            + "\n",
            encoding="utf-8",
        )
        super().__init__(folder, ["baresip", "-f", str(folder)])
        try:
            sandbox.wait_registered(user)
            wait_for("baresip listens", lambda: self._connected(control))
        except BaseException:
            self.stop()
            raise
        self._told = b""

    def _connected(self, port: int) -> bool:
        with contextlib.suppress(ConnectionRefusedError):
            self._control = socket.create_connection((LOOPBACK, port), timeout=5)
        return hasattr(self, "_control")

    def say(self, command: str, parameters: str = "") -> None:
        text = json.dumps({"command": command, "params": parameters, "token": "1"})
        self._control.sendall(f"{len(text)}:{text},".encode())

    def wait_told(self, event: str) -> None:
        """Wait for an event, such as CALL_ESTABLISHED."""
        self._control.settimeout(0.1)

        def came() -> bool:
            with contextlib.suppress(TimeoutError):
                self._told += self._control.recv(65536)
            return f'"{event}"'.encode() in self._told

        wait_for(f"baresip {event}", came)

    def call(self, user: str) -> None:
        self.say("dial", f"sip:{user}@{DOMAIN}")

    def wait_talking(self) -> None:
        self.wait_told("CALL_ESTABLISHED")

    def hang_up(self) -> None:
        self.say("hangup")

    def wait_ended(self) -> None:
        self.wait_told("CALL_CLOSED")

    def heard(self) -> float | None:
        recordings = sorted(self.folder.glob("dump-*-dec.wav"))
        return heard_in(recordings[-1]) if recordings else None

    def stop(self) -> None:
        if hasattr(self, "_control"):
            self._control.close()
        super().stop()


# -- a server -------------------------------------------------------------------------------------


class Kamailio(Process):
    """Kamailio as a registrar and proxy with digest (MD5) for the accounts of PASSWORDS.

    `password` (a Kamailio expression such as `"pw-" + $fU`) gives anybody one instead.
    """

    def __init__(self, folder: Path, *, children: int = 2, password: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        program = _found("kamailio")
        assert program is not None
        modules = next(iter(sorted(Path("/usr/lib").glob("**/kamailio/modules"))))
        file = folder / "kamailio.cfg"
        file.write_text(_kamailio(self.port, modules, children, password), encoding="utf-8")
        run = folder / "run"
        run.mkdir()
        command = [program, "-DD", "-E", "-f", str(file), "-Y", str(run), "-m", "64", "-M", "8"]
        super().__init__(folder, command)
        try:
            wait_for("Kamailio answers", self._answers)
        except AssertionError:
            self.stop()
            raise AssertionError(self.said()[-2000:]) from None

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.said()[-2000:]
        return answers_options(self.port)


def _kamailio(port: int, modules: Path, children: int, password: str | None) -> str:
    known = (
        f"  $var(password) = {password};"
        if password
        else "\n".join(
            f'  if ($fU == "{user}") {{ $var(password) = "{password}"; }}'
            for user, password in PASSWORDS.items()
        )
    )
    names = ["tm", "sl", "rr", "pv", "maxfwd", "usrloc", "registrar", "auth", "textops", "siputils"]
    loaded = "\n".join(f'loadmodule "{name}.so"' for name in names)
    return f"""#!KAMAILIO
debug=0
log_stderror=yes
children={children}
tcp_children=2
listen=udp:{LOOPBACK}:{port}
listen=tcp:{LOOPBACK}:{port}
alias="{DOMAIN}"
mpath="{modules}"
{loaded}
modparam("usrloc", "db_mode", 0)
modparam("rr", "enable_full_lr", 0)
request_route {{
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  if (has_totag()) {{
    if (loose_route()) {{ t_relay(); exit; }}
    if (is_method("ACK")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    sl_send_reply("404", "Not Here"); exit;
  }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
  t_check_trans();
  if (is_method("ACK")) {{ exit; }}
  if (is_method("OPTIONS") && uri == myself && $rU == $null) {{
    sl_send_reply("200", "OK"); exit;
  }}
  if (from_uri != myself) {{ sl_send_reply("403", "Domain forbidden"); exit; }}
  $var(password) = $null;
{known}
  if (is_method("REGISTER")) {{
    if (!has_credentials("{DOMAIN}")) {{ www_challenge("{DOMAIN}", "0"); exit; }}
    if ($var(password) == $null || !pv_www_authenticate("{DOMAIN}", "$var(password)", "0")) {{
      if ($rc == -3 || $rc == -4) {{ www_challenge("{DOMAIN}", "0"); exit; }}
      sl_send_reply("403", "Forbidden"); exit;
    }}
    save("location"); exit;
  }}
  if (!has_credentials("{DOMAIN}")) {{ proxy_challenge("{DOMAIN}", "0"); exit; }}
  if ($var(password) == $null || !pv_proxy_authenticate("{DOMAIN}", "$var(password)", "0")) {{
    if ($rc == -3 || $rc == -4) {{ proxy_challenge("{DOMAIN}", "0"); exit; }}
    sl_send_reply("403", "Forbidden"); exit;
  }}
  consume_credentials();
  remove_hf("Route");
  if (is_method("INVITE")) {{ record_route(); }}
  if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
  t_relay();
}}
"""


def answers_options(port: int, host: str = LOOPBACK, seconds: float = 1.0) -> bool:
    """Whether a server answers OPTIONS over UDP."""
    from labtool import probe

    return probe.options(f"{host}:{port}", "udp", timeout_s=seconds).ok


# -- a TURN server, and what it is seen to do -------------------------------------------------------


class Coturn(Process):
    """coturn on loopback, for `user` with the password "turn"."""

    def __init__(self, folder: Path, user: str) -> None:
        folder.mkdir(parents=True)
        port = free_port()
        self.address = f"{LOOPBACK}:{port}"
        program = _found("turnserver")
        assert program is not None
        configuration = folder / "turnserver.conf"
        configuration.write_text(
            f"listening-ip={LOOPBACK}\nlistening-port={port}\nallow-loopback-peers\n"
            f"lt-cred-mech\nrealm={DOMAIN}\nuser={user}:turn\nno-cli\nno-tls\nno-dtls\n"
            f"log-file=stdout\npidfile={folder / 'pid'}\nuserdb={folder / 'users'}\n",
            encoding="utf-8",
        )
        super().__init__(folder, [program, "-c", str(configuration)])
        try:
            wait_for("coturn answers", lambda: self._dead() or _answers_stun(port))
        except BaseException:
            self.stop()
            raise
        assert not self._dead(), self.said()[-2000:]


def _answers_stun(port: int) -> bool:
    """Whether a Binding request (RFC 8489) is answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(0.2)
        one.connect((LOOPBACK, port))
        with contextlib.suppress(OSError):
            one.send(b"\0\1\0\0\x21\x12\xa4\x42" + os.urandom(12))
            return one.recv(1500)[:2] == b"\1\1"
    return False


class Tcpdump(Process):
    """What passes over loopback, into a file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        if os.geteuid() != 0:
            raise Unavailable("this test captures packets: run it as root")
        self.file = folder / "loopback.pcap"
        program = _found("tcpdump")
        assert program is not None
        super().__init__(
            folder, [program, "-i", "lo", "-n", "-U", "-Z", "root", "-w", str(self.file), "udp"]
        )
        try:
            self.wait_said("listening on")
        except BaseException:
            self.stop()
            raise
