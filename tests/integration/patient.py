"""A deployed server that is made ill in one way at a time, and is healthy again after each.

`causes("id")` marks a test that causes that row of the doctor's catalogue and sees exactly it: the
test fails where `Patient.finds` has not seen it. `caused` makes such marks for a table.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from labtool.cli.main import run

from .container import Container, KeyPair
from .controller import DOMAIN, Controller, passwords, wait_for
from .engine import Engine, Unavailable, install, which
from .images import Image

CONF = "/etc/flexisip/flexisip.conf"
USERS = "/etc/flexisip/users.db.txt"
DROP_IN = "/etc/systemd/system/flexisip-proxy.service.d/labtool.conf"
SERVICE = "flexisip-proxy"
LOG = "/var/opt/belledonne-communications/log/flexisip/flexisip-proxy.log"
# An edit by which it serves TLS on 5061, from a.crt and a.key.
WITH_TLS = (
    "s/^transports=.*/& sips:*:5061\\ntls-certificates-file=\\/etc\\/flexisip\\/a.crt\\n"
    "tls-certificates-private-key=\\/etc\\/flexisip\\/a.key/"
)
# Until it listens; a start that fails leaves it to the test.
_START = (
    f"systemctl reset-failed {SERVICE}; systemctl restart {SERVICE} || exit 1; "
    "for i in $(seq 100); do ss -lnt | grep -q ':5060 ' && exit 0; sleep 0.05; done; exit 1"
)

causes = pytest.mark.causes
# Whether a test itself went well.
PASSED = pytest.StashKey[bool]()


def caused(rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    """The rows of a table as parameters, each marked with the finding that stands first in it."""
    return [pytest.param(*row, marks=causes(row[0]), id=f"{row[0]}-{at}")
            for at, row in enumerate(rows)]  # fmt: skip


@dataclass
class Patient:
    """A deployed server that is healthy, and ways to make it ill. seen: ids that were found alone."""

    host: Container
    controller: Controller
    passwords: dict[str, str]
    engine: Engine
    seen: set[str] = field(default_factory=set)

    # --- looking --------------------------------------------------------------------------------

    def examined(self, *arguments: str) -> dict[str, Any]:
        """`labtool doctor --json`, in this process; nothing it says may hold a secret."""
        out, error = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(error),
        ):
            patch.chdir(self.controller.folder)
            patch.delenv("LABTOOL_INVENTORY", raising=False)
            patch.setenv("LABTOOL_KNOWN_HOSTS", str(self.controller.known_hosts))
            code = run(["doctor", "--json", *arguments])
        return self.read(code, out.getvalue(), error.getvalue())

    def read(self, code: int, out: str, error: str) -> dict[str, Any]:
        """The JSON of a doctor that ran."""
        assert out.startswith("{"), error
        for secret in self.secrets:
            assert secret not in out + error
        said: dict[str, Any] = json.loads(out)
        assert code == said["exit_code"]
        return said

    def finds(self, id: str, *arguments: str) -> dict[str, Any]:
        """The examination, in which this is the one finding."""
        return self.is_found(id, self.examined(*arguments))

    def is_found(self, id: str, said: dict[str, Any]) -> dict[str, Any]:
        findings = said["findings"]
        assert [one["id"] for one in findings] == [id], findings
        assert findings[0]["next"], findings
        assert said["exit_code"] in (1, 3)
        self.seen.add(id)
        return said

    def doctor(self, *arguments: str, before: tuple[str, ...] = ()) -> tuple[int, str, str]:
        """`labtool doctor` as a process of its own: exit code, stdout and stderr."""
        child = self.controller.start("doctor", *arguments, before=before)
        stdout, stderr = child.communicate(timeout=60)
        for secret in self.secrets:
            assert secret not in stdout + stderr
        return child.returncode, stdout, stderr

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The host without a lab: only what the server itself says counts."""
        return (
            "-i", str(self.controller.folder / "elsewhere"),
            "--host", f"root@{self.host.address}", "--identity", str(self.controller.identity),
        )  # fmt: skip

    def outside(self, *arguments: str) -> tuple[str, ...]:
        """A server as a phone meets it; no lab."""
        return ("-i", str(self.controller.folder / "elsewhere"), *arguments)

    @property
    def secrets(self) -> list[str]:
        text = self.controller.users_file.read_text()
        hashes = [word.strip("'\"") for word in text.split() if len(word.strip("'\"")) in (32, 64)]
        assert hashes
        return [*self.passwords.values(), *hashes]

    # --- making it ill, and well again ----------------------------------------------------------

    def starts(self) -> None:
        self.host.shell(_START)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        self.host.run("systemctl", "stop", SERVICE)
        try:
            yield
        finally:
            self.starts()

    @contextlib.contextmanager
    def changed(self, *edits: str, restart: bool = True) -> Iterator[None]:
        """sed's commands on flexisip.conf, and a restart that may fail; put back at the end."""
        script = f"cp -p {CONF} /root/conf.kept; "
        script += "".join(f"sed -i {quoted(edit)} {CONF}; " for edit in edits)
        if restart:
            script += f"systemctl restart {SERVICE}; sleep 0.5; "
        self.host.shell(script + "true")
        try:
            yield
        finally:
            self.host.shell(f"cp -p /root/conf.kept {CONF}; {_START}")

    @contextlib.contextmanager
    def kept(self, path: str) -> Iterator[None]:
        """A file that is as it was, with its times, at the end."""
        kept = f"/root/{path.replace('/', '_')}.kept"
        self.host.run("cp", "-p", path, kept)
        try:
            yield
        finally:
            self.host.run("cp", "-p", kept, path)

    @contextlib.contextmanager
    def file(self, path: str, text: str, mode: int = 0o644) -> Iterator[None]:
        """A file that is there for a while."""
        self.host.write(path, text, mode=mode)
        try:
            yield
        finally:
            self.host.run("rm", path)

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
    def drop_in(self, setting: str) -> Iterator[None]:
        """A setting of the unit's [Service], and a restart by it."""
        path = DROP_IN.replace("labtool", "zz-test")
        self.host.write(path, f"[Service]\n{setting}\n")
        self.host.shell(f"systemctl daemon-reload; systemctl restart {SERVICE}", check=False)
        try:
            yield
        finally:
            self.host.shell(f"rm {path}; systemctl daemon-reload; {_START}")

    def logged(self, text: str) -> None:
        """A line in the server's log, as if it wrote it now."""
        stamp = self.host.run("date", "+%F %T").stdout.strip()
        self.host.shell(f"echo {quoted(f'{stamp}:001 {text}')} >> {LOG}")

    @contextlib.contextmanager
    def filtered(self, *rules: str) -> Iterator[None]:
        """Packets dropped in the machine's own network, by rules that it cannot see itself."""

        def apply(verb: str, rule: str) -> None:
            done = self.inside("iptables", verb, *rule.split())
            if done.returncode:
                pytest.skip(f"iptables cannot be used here: {done.stderr.strip()}")

        rules = tuple(rule if rule[0] != "-" else f"INPUT {rule}" for rule in rules)
        for rule in rules:
            apply("-I", rule)
        try:
            yield
        finally:
            for rule in rules:
                apply("-D", rule)

    @contextlib.contextmanager
    def has(self, package: str, *programs: str) -> Iterator[None]:
        """Programs that the host has for a while: hidden again, so that the next test finds it bare."""
        paths = [f"/usr/sbin/{name}" for name in programs]
        test = " && ".join(f"test -e {path}.hidden" for path in paths) or "false"
        get = (
            f"DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends {package}"
        )
        show = "; ".join(f"mv {path}.hidden {path}" for path in paths)
        hide = "; ".join(f"mv {path} {path}.hidden" for path in paths)
        done = self.host.shell(
            f"if {test}; then {show or 'true'}; else {get} || {{ apt-get update; {get}; }}; fi",
            check=False,
            timeout_s=300,
        )
        if done.returncode:
            pytest.skip(f"apt-get install {package} fails on the host: {done.stderr[-200:]}")
        try:
            yield
        finally:
            self.host.shell(hide or "true")

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command of this machine in the host's network. Skips where that may not be."""
        if os.geteuid() != 0 or not (shutil.which("nsenter") and which(command[0])):
            pytest.skip(f"needs root, nsenter and {command[0]} on this machine")
        pid = self.engine.run("inspect", "--format", "{{.State.Pid}}", self.host.name).strip()
        return subprocess.run(
            ["nsenter", "-t", pid, "-n", *command], capture_output=True, text=True, check=False
        )


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def need(package: str, brings: str) -> None:
    """Have a package on this machine, or skip."""
    try:
        install({package: brings})
    except Unavailable as why:
        pytest.skip(str(why))


def words(text: str) -> str:
    """On one line, whatever was wrapped."""
    return re.sub(r"\s+", " ", text)


@pytest.fixture(scope="session")
def _patient(
    engine: Engine,
    any_image: Image,
    login: KeyPair,
    login_file: Path,
    standin: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Patient]:
    host = Container(engine, any_image, login)
    try:
        controller = Controller(tmp_path_factory.mktemp("doctor"), login_file)
        controller.knows(host)
        done = controller.deploy(host, "--deb", str(standin))
        assert done.returncode == 0, done.output + host.journal(lines=40)
        yield Patient(host, controller, passwords(done), engine)
    finally:
        host.remove()


@pytest.fixture
def patient(_patient: Patient, request: pytest.FixtureRequest) -> Iterator[Patient]:
    """The same machine for every test; what a test is marked to cause it must have seen."""
    _patient.seen = set()
    yield _patient
    marks = request.node.iter_markers("causes") if request.node.stash.get(PASSED, False) else ()
    for mark in marks:
        assert set(mark.args) <= _patient.seen, f"{mark.args} was not found alone"


__all__ = [
    "DOMAIN",
    "Patient",
    "caused",
    "causes",
    "need",
    "patient",
    "quoted",
    "wait_for",
    "words",
]
