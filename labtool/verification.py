"""`labtool verify`: the testinfra suite against a host of the lab, its outcome as values."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labtool import connection, inventory, operation, remote, resources
from labtool.errors import LabtoolError
from labtool.inventory import Host
from labtool.operation import Access
from labtool.terminal import printable


@dataclass(frozen=True)
class Check:
    """One test: its sentence, whether it holds, what was found instead, seconds."""

    name: str
    ok: bool
    detail: str
    seconds: float

    def to_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "ok": self.ok,
            "detail": self.detail,
            "seconds": round(self.seconds, 3),
        }


class _Collector:
    """A pytest plugin that gives every finished test to `on_check`."""

    def __init__(self, on_check: Callable[[Check], None]) -> None:
        self.checks: list[Check] = []
        self._on_check = on_check
        # pytest's own output is kept for the case that it does not run; a check is shown at once.
        self._shown_on = sys.stdout

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and report.passed:
            return
        check = Check(_sentence(report.nodeid), report.passed, _reason(report), report.duration)
        self.checks.append(check)
        with contextlib.redirect_stdout(self._shown_on):
            self._on_check(check)


def _sentence(nodeid: str) -> str:
    """`test_server.py::test_the_file_is_x[ssh://h-users]` as words."""
    name = nodeid.rpartition("::")[2]
    words, _, parameters = name.partition("[")
    last = parameters.rstrip("]").rpartition("-")[2] if "-" in parameters else ""
    extra = f" ({last.replace('_', ' ')})" if last in ("configuration", "users", "drop_in") else ""
    return words.removeprefix("test_").replace("_", " ") + extra


def _reason(report: Any) -> str:
    if report.passed:
        return ""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(getattr(crash, "message", report.longrepr)).removeprefix("AssertionError: ")
    lines = text.strip().splitlines()
    # A test that says what is wrong in words needs no picture of its expression.
    told = next((at for at, line in enumerate(lines) if line.startswith("assert ")), 0)
    return printable("\n".join(line[:300] for line in (lines[:told] or lines)[:12]))


def verify(
    path: Path, name: str | None, access: Access, on_check: Callable[[Check], None]
) -> list[Check]:
    """Run the suite against a host of the lab.

    Raises RequestError, UnreachableError; LabtoolError where the suite itself cannot run.
    """
    import pytest

    lab = inventory.read(path)
    host = lab.host(name)
    operation.look(host, access)
    collector = _Collector(on_check)
    output = io.StringIO()
    with contextlib.ExitStack() as stack:
        control = stack.enter_context(connection.shared(host, access.password))
        stack.enter_context(_environment(path, host))
        stack.enter_context(contextlib.redirect_stdout(output))
        stack.enter_context(contextlib.redirect_stderr(output))
        # pytest.ini and plugins of the folder that the user stands in are not ours to run.
        suite = resources.testinfra_suite()
        code = pytest.main(
            [
                str(suite),
                f"--rootdir={suite}",
                "--confcutdir=" + str(suite),
                "-c",
                os.devnull,
                "-p",
                "no:cacheprovider",
                "-q",
                *_hosts(host, control),
            ],
            plugins=[collector],
        )
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if not collector.checks:
        raise LabtoolError(
            f"The suite did not run (pytest {int(code)}):\n{output.getvalue()[-2000:]}"
        )
    return collector.checks


def _hosts(host: Host, control: str) -> list[str]:
    """How testinfra reaches the host: by OpenSSH, one connection for all commands.

    A file of options beside the control socket, because testinfra 10.2 takes --ssh-extra-args and
    does not use it. ~/.ssh/config still counts.
    """
    if host.local:
        return ["--hosts=local://"]
    user = remote.ssh_user(host)
    lines = ["BatchMode yes", "ControlMaster auto", "ControlPersist 60s", f"ControlPath {control}"]
    if known := remote.known_hosts_option():
        lines.append(known[1].replace("=", " ", 1))
    if key := host.variables.get("ansible_ssh_private_key_file"):
        lines.append(f'IdentityFile "{key}"')
    lines += ["Include ~/.ssh/config", "Include /etc/ssh/ssh_config"]
    config = Path(control).parent / "config"
    config.write_text("\n".join(lines) + "\n")
    port = f":{host.port}" if host.port else ""
    address = f"[{host.address}]" if ":" in host.address else host.address
    options = [f"--hosts=ssh://{user}@{address}{port}", f"--ssh-config={config}"]
    if user != "root":
        options.append("--sudo")
    return options


@contextlib.contextmanager
def _environment(path: Path, host: Host) -> Iterator[None]:
    """The lab and the host, where the suite's fixtures look for them."""
    wanted = {"LABTOOL_INVENTORY": str(path.resolve()), "LABTOOL_HOST": host.name}
    before = {key: os.environ.get(key) for key in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
