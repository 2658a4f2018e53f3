"""Run a playbook: its argv and environment (pure), its events as they happen, its result.

Ansible runs as a child process. Its own words go to a log file, 0600; what it does comes back as
one JSON object a line from the callback plugin `labtool_events`. The exit code alone does not say
what happened (it is 0 where no host matched), so the result is read from the events.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labtool import remote, resources
from labtool.errors import LabtoolError
from labtool.terminal import printable

Event = Mapping[str, Any]

_FAREWELL = re.compile(r"^Shared connection to \S+ closed\.\s*$", re.MULTILINE)
# Ansible's own exit code for an interrupted play.
_INTERRUPTED = 99
# How long a play may take to stop by itself after Ctrl-C, seconds.
_STOP_S = 10.0


@dataclass(frozen=True)
class Play:
    """A run of a playbook, before it runs.

    `variables` are given as a file of extra variables; a text among them is data to Ansible, never
    a template. `secrets` likewise, and never appear in what `shown` returns.
    """

    playbook: Path
    inventory: Path
    limit: str | None = None
    check: bool = False
    diff: bool = False
    skip_tags: tuple[str, ...] = ()
    verbosity: int = 0
    variables: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False)
    control_path: str | None = None


@dataclass(frozen=True)
class Failure:
    """A task that failed on a host, or a host that could not be reached."""

    host: str
    task: str
    message: str
    unreachable: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a play did. `ok` only where a host was processed and nothing failed."""

    returncode: int
    changed: int
    tasks: int
    hosts: tuple[str, ...]
    changed_tasks: tuple[str, ...]
    failures: tuple[Failure, ...]
    seconds: float
    log: Path

    @property
    def ok(self) -> bool:
        return self.returncode == 0 and bool(self.hosts) and not self.failures

    @property
    def interrupted(self) -> bool:
        return self.returncode in (_INTERRUPTED, 130, -2, -15)


def command(play: Play, extra_vars: Iterable[str] = ()) -> list[str]:
    """The argv of a play; `extra_vars` are the files (`@PATH`) that hold its variables."""
    argv = [sys.executable, "-m", "ansible", "playbook", "-i", str(play.inventory)]
    if play.limit is not None:
        argv += ["--limit", play.limit]
    if play.check:
        argv.append("--check")
    if play.diff:
        argv.append("--diff")
    for tag in play.skip_tags:
        argv += ["--skip-tags", tag]
    if play.verbosity:
        argv.append("-" + "v" * play.verbosity)
    for file in extra_vars:
        argv += ["-e", file]
    return [*argv, str(play.playbook)]


def environment(play: Play, base: Mapping[str, str]) -> dict[str, str]:
    """The environment of a play: the caller's, and what labtool needs of Ansible."""
    variables = {key: value for key, value in base.items() if not key.startswith("ANSIBLE_")}
    root = resources.ansible_root()
    variables |= {
        "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
        "ANSIBLE_CALLBACKS_ENABLED": "labtool_events",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        # The roles' filters are labtool's own functions, wherever labtool is installed.
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).resolve().parent.parent), *filter(None, [base.get("PYTHONPATH")])]
        ),
        "LC_ALL": "C.UTF-8",
    }
    if option := remote.known_hosts_option():
        variables["ANSIBLE_SSH_COMMON_ARGS"] = shlex.join(option)
    if play.control_path is not None:
        # A connection that labtool opened (with a password) is shared by every task.
        variables["ANSIBLE_SSH_ARGS"] = (
            f"-o ControlMaster=auto -o ControlPersist=60s -o ControlPath={play.control_path}"
        )
    return variables


def shown(play: Play) -> str:
    """The command as a person would type it; secrets are not in it."""
    argv = command(play)
    text = shlex.join(["ansible-playbook", *argv[4:]])
    for name, value in play.variables.items():
        if value not in (None, "", {}, []):
            text += " -e " + shlex.quote(json.dumps({name: value}))
    config = shlex.quote(str(resources.ansible_root() / "ansible.cfg"))
    return f"ANSIBLE_CONFIG={config} {text}"


def run(
    play: Play,
    *,
    log: Path,
    on_event: Callable[[Event], None] = lambda event: None,
    inherit: tuple[int, ...] = (),
) -> Outcome:
    """Run the play to its end.

    `log` is created 0600 and gets Ansible's own output. `on_event` is called for every event as it
    happens. `inherit` are descriptors that the play keeps open (the lab's lock).
    Raises LabtoolError where Ansible cannot be started. On KeyboardInterrupt the play is given
    time to stop, and the exception goes on to the caller.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        files = []
        if play.variables or play.secrets:
            files.append("@" + _variables_file(stack, {**play.variables, **play.secrets}))
        output = stack.enter_context(_private(log))
        reading, writing = os.pipe()
        events = stack.enter_context(os.fdopen(reading, encoding="utf-8", errors="replace"))
        variables = environment(play, os.environ) | {"LABTOOL_EVENTS_FD": str(writing)}
        output.write(f"$ {shown(play)}\n")
        output.flush()
        try:
            child = subprocess.Popen(
                command(play, files),
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(writing, *inherit),
            )
        except OSError as error:
            os.close(writing)
            raise LabtoolError(f"Ansible cannot be started: {error}") from error
        os.close(writing)
        seen: list[Event] = []
        try:
            for line in events:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                seen.append(event)
                on_event(event)
            returncode = child.wait()
        except BaseException:
            _stop(child)
            raise
    return outcome(seen, returncode, time.monotonic() - started, log)


def _private(path: Path) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")


def _variables_file(stack: ExitStack, variables: Mapping[str, Any]) -> str:
    """A 0600 file of extra variables that is gone when the play is done."""
    file = stack.enter_context(
        tempfile.NamedTemporaryFile(  # noqa: SIM115 - the stack closes it
            "w", prefix="labtool-", suffix=".json", encoding="utf-8"
        )
    )
    json.dump(unsafe(variables), file)
    file.flush()
    return file.name


def unsafe(value: Any) -> Any:
    """The value with every text marked as data, so that Ansible evaluates no `{{ }}` in it."""
    if isinstance(value, str):
        return {"__ansible_unsafe": value}
    if isinstance(value, Mapping):
        return {key: unsafe(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [unsafe(one) for one in value]
    return value


def _stop(child: subprocess.Popen[Any]) -> None:
    """Let a play that was interrupted finish what it is in the middle of, then end it."""
    try:
        child.wait(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        child.terminate()
        try:
            child.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    except KeyboardInterrupt:
        child.terminate()
        child.wait()


def outcome(events: Iterable[Event], returncode: int, seconds: float, log: Path) -> Outcome:
    """What the events of a play amount to."""
    failures: list[Failure] = []
    changed_tasks: list[str] = []
    hosts: tuple[str, ...] = ()
    changed = tasks = 0
    finished = False
    for event in events:
        match event.get("event"):
            case "task":
                tasks += 1
            case "result":
                _collect(event, failures, changed_tasks)
            case "stats":
                finished = True
                hosts = tuple(event["hosts"])
                changed = sum(counts["changed"] for counts in event["hosts"].values())
                rescued = sum(counts.get("rescued", 0) for counts in event["hosts"].values())
                lost = sum(counts["failures"] for counts in event["hosts"].values())
                if rescued and not lost:
                    failures = [failure for failure in failures if failure.unreachable]
    if not failures and (returncode != 0 or not finished or not hosts):
        failures.append(Failure("", "", _last_error(log) or f"Ansible ended with {returncode}"))
    return Outcome(
        returncode, changed, tasks, hosts, tuple(changed_tasks), tuple(failures), seconds, log
    )


def _collect(event: Event, failures: list[Failure], changed_tasks: list[str]) -> None:
    outcome = event["outcome"]
    if outcome in ("failed", "unreachable") and not event.get("ignored"):
        failures.append(
            Failure(event["host"], event["name"], message_of(event), outcome == "unreachable")
        )
    elif outcome == "ok" and event["changed"]:
        changed_tasks.append(event["name"])


def message_of(event: Event) -> str:
    """The words of a result: Ansible's message and what the host itself said."""
    parts: list[str] = []
    returncode = event.get("rc")
    # A command on a terminal that ended by itself: ssh's farewell says nothing then.
    ended = event.get("msg") == "non-zero return code" and returncode in range(1, 128)
    for key in ("msg", "stderr", "stdout", "censored"):
        text = event.get(key)
        if ended and isinstance(text, str):
            text = _FAREWELL.sub("", text)
        if isinstance(text, str) and text.strip() and text.strip() not in parts:
            parts.append(text.strip())
    return printable("\n".join(parts))


def _last_error(log: Path) -> str:
    """The last error in Ansible's own output: it died before the events could tell."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    errors = [
        line for line in lines if line.startswith(("ERROR!", "fatal:", "[WARNING]: Could not"))
    ]
    return errors[-1] if errors else ""
