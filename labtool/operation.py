"""An operation on a lab: under its lock, over one connection, by one playbook, with a log."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from labtool import connection, inventory, lock, playbook, remote, resources, state
from labtool.cures import Cure, cure_for
from labtool.errors import LabtoolError, UnreachableError
from labtool.inventory import Host, Lab

if TYPE_CHECKING:
    from labtool.probe.result import Result

# Logs of former operations that are kept, newest first.
_LOGS_KEPT = 30

STATE_TASK = "Read the state of the host"
SAVE_TASK = "Keep the former state of the server"
INTERRUPTED = "Run the same command again: it goes on from what it finds on the host."
# What has changed the server, in the order in which it happens.
_IN_PLACE = {
    "Install the package": "the package is installed",
    "Render users.db.txt": "the users are written",
    "Render flexisip.conf": "the configuration is replaced",
    "Enable and start the service": "the server was restarted",
}
REPOSITORY_TASK = "Ask the repository for its key and suite"


# A connection that is lost in the middle of a task fails the task; the host is what is missing.
_LOST = re.compile(r"Failed to connect to the host via ssh|Shared connection to \S+ closed")


def left_off(events: Iterable[playbook.Event]) -> str:
    """What is in place where a play was interrupted, and how to go on."""
    done: list[str] = []
    under_way = ""
    for event in events:
        if event["event"] == "task":
            under_way = event["name"]
        elif event["event"] == "result":
            under_way = ""
            if event["outcome"] == "ok" and event["changed"] and event["name"] in _IN_PLACE:
                done.append(_IN_PLACE[event["name"]])
    said = ", ".join(done) or "nothing that the server runs with was changed"
    said = said[0].upper() + said[1:]
    during = f" “{under_way}” was under way, and may be done." if under_way else ""
    return f"{said}; nothing was proved.{during} {INTERRUPTED}"


class Progress(Protocol):
    """Whoever shows an operation to a person."""

    def phase(self, text: str) -> None:
        """A new phase begins."""

    def event(self, event: playbook.Event) -> None:
        """Ansible did something."""

    def result(self, result: Result) -> None:
        """A probe came to a verdict."""

    def note(self, text: str) -> None:
        """Something that is worth a line."""


@dataclass(frozen=True)
class Access:
    """How to get into the hosts. `trust` is asked about a host key that is not known."""

    password: str | None = field(default=None, repr=False)
    become_password: str | None = field(default=None, repr=False)
    trust: Callable[[remote.HostKey], bool] = lambda key: False


class PlayFailed(LabtoolError):
    """A play did not do what it should: the task, the host's own words, the likely cure, the log."""

    def __init__(self, outcome: playbook.Outcome) -> None:
        self.outcome = outcome
        self.failure = outcome.failures[-1]
        self.cure: Cure | None = cure_for(self.failure.message)
        if self.failure.unreachable or _LOST.search(self.failure.message):
            self.exit_code = UnreachableError.exit_code
        where = f" on {self.failure.host}" if self.failure.host else ""
        task = f"“{self.failure.task}” failed{where}" if self.failure.task else "Ansible failed"
        super().__init__(f"{task}: {self.failure.message}")


@dataclass(frozen=True)
class Played:
    """A play that went well, and what the host said of itself at its beginning."""

    outcome: playbook.Outcome
    host: Host
    state: state.HostState
    repository_answer: str = ""


@contextlib.contextmanager
def opened(path: Path, command: str) -> Iterator[tuple[Lab, int]]:
    """The lab, read again under its lock, and the lock's descriptor."""
    inventory.read(path)
    with lock.locked(path, command) as descriptor:
        yield inventory.read(path), descriptor


@contextlib.contextmanager
def copy_of(path: Path) -> Iterator[Path]:
    """A copy of a lab that may be changed for a look at what would happen (--check)."""
    with tempfile.TemporaryDirectory(prefix="labtool-") as folder:
        copy = Path(folder) / "inventory"
        if path.is_dir():
            try:
                shutil.copytree(path, copy, ignore=shutil.ignore_patterns(".labtool"))
            except (OSError, shutil.Error) as error:
                raise LabtoolError(f"The lab {path} cannot be read: {error}") from error
        else:
            copy.mkdir()
        yield copy


def look(host: Host, access: Access) -> None:
    """Sign in once, to tell a wrong address, a closed port, an unknown key and a wrong login apart.

    Raises UnreachableError.
    """
    with signed_in(host, access):
        pass


@contextlib.contextmanager
def signed_in(host: Host, access: Access) -> Iterator[remote.Remote]:
    """A connection to the host, for reading it. Raises UnreachableError."""
    if not host.local and shutil.which("ssh") is None:
        raise LabtoolError(
            "The program ssh is missing here. Install it: apt-get install openssh-client"
        )
    with remote.connect(
        host,
        password=access.password,
        become_password=access.become_password or host.variables.get("ansible_become_password"),
        trust=access.trust,
    ) as line:
        yield line


@contextlib.contextmanager
def as_root(host: Host, access: Access) -> Iterator[remote.Remote]:
    """`signed_in`, for what only root may read or do. Raises UnreachableError, for sudo's no too."""
    with signed_in(host, access) as line:
        line.check_root()
        yield line


def play_of(
    lab: Path,
    host: Host,
    verb: str,
    access: Access,
    *,
    check: bool = False,
    diff: bool = False,
    verbosity: int = 0,
    variables: Mapping[str, Any] | None = None,
) -> playbook.Play:
    """The play that an operation runs, as a value that can be shown."""
    secrets = {}
    if access.become_password is not None:
        secrets["ansible_become_password"] = access.become_password
    return playbook.Play(
        playbook=resources.playbook(verb),
        inventory=lab,
        limit=host.name,
        check=check,
        diff=diff,
        # labtool makes the certificate and proves by itself, and shows it as it happens.
        skip_tags=("certificate", "proof"),
        verbosity=verbosity,
        variables=variables or {},
        secrets=secrets,
    )


def run(
    play: playbook.Play,
    host: Host,
    access: Access,
    progress: Progress,
    *,
    log_folder: Path,
    descriptor: int | None = None,
    on_state: Callable[[state.HostState], None] = lambda found: None,
    on_saved: Callable[[], None] = lambda: None,
) -> Played:
    """Run a play to its end.

    `on_state` is told what the host said of itself as soon as it has said it, while the play goes on;
    `on_saved` that the host has kept its state as the former one.
    Raises PlayFailed, or UnreachableError where the password login fails. KeyboardInterrupt goes on
    to the caller after the play has stopped.
    """
    seen: dict[str, str] = {}
    events: list[playbook.Event] = []

    def on_event(event: playbook.Event) -> None:
        events.append(event)
        if event["event"] == "result" and event["outcome"] == "ok":
            seen[event["name"]] = str(event.get("stdout", ""))
        progress.event(event)
        if event["event"] == "result" and event["name"] == STATE_TASK and STATE_TASK in seen:
            with contextlib.suppress(state.NotAHostError):
                on_state(state.parse(seen[STATE_TASK]))
        # save.sh leaves a former state in place where the present one is half a state.
        saved = SAVE_TASK in seen and not seen[SAVE_TASK].startswith("left")
        if event["event"] == "result" and event["name"] == SAVE_TASK and saved:
            on_saved()

    with contextlib.ExitStack() as stack:
        if access.password is not None and not host.local:
            control = stack.enter_context(connection.master(host, access.password))
            play = playbook.Play(**{**vars(play), "control_path": control})
        try:
            outcome = playbook.run(
                play,
                log=new_log(log_folder, play.playbook.stem),
                on_event=on_event,
                inherit=() if descriptor is None else (descriptor,),
            )
        except KeyboardInterrupt:
            raise KeyboardInterrupt(left_off(events)) from None
    if outcome.interrupted:
        raise KeyboardInterrupt(left_off(events))
    if not outcome.ok:
        raise PlayFailed(outcome)
    said = seen.get(STATE_TASK, "")
    return Played(
        outcome,
        host,
        state.parse(said) if said else state.HostState(),
        seen.get(REPOSITORY_TASK, ""),
    )


def new_log(folder: Path, verb: str) -> Path:
    """Where a play's log goes; the oldest beyond the last thirty are removed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in sorted(folder.glob("*.log"), reverse=True)[_LOGS_KEPT - 1 :]:
        old.unlink(missing_ok=True)
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{verb}"
    log = folder / f"{name}.log"
    number = 1
    while log.exists():
        number += 1
        log = folder / f"{name}-{number}.log"
    return log


def logs(lab: Path) -> Path:
    """The folder of a lab's logs."""
    return lab / ".labtool" / "log"


def logs_of_a_look(lab: Path) -> Path:
    """Where the log of a look (--check) goes: with the others, or where there is no lab to keep it."""
    if lab.is_dir() and os.access(lab, os.W_OK):
        return logs(lab)
    return Path(tempfile.mkdtemp(prefix="labtool-check-"))
