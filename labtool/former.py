"""The former state of a server: what putting it back came to, and the lab that belongs to it.

The server keeps its own former files and package (roles/flexisip/templates/save.sh.j2); the lab
keeps, for each host, a copy of lab.yml and users.yml as they were when the host last took them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from labtool import atomic, inventory
from labtool.errors import LabtoolError, RequestError
from labtool.inventory import Account, Host, Lab

if TYPE_CHECKING:
    from labtool.operation import Progress
    from labtool.playbook import Event
    from labtool.probe.result import Result

PUT_BACK_TASK = "Put the former state back"


@dataclass(frozen=True)
class PutBack:
    """What put_back.sh did: its steps, its problems, and whether the server runs after it.

    `serves` is yes, no, "as found" (it did not run before either), or "" where nothing was said.
    """

    steps: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    serves: str = ""

    @property
    def ok(self) -> bool:
        return not self.problems and self.serves in ("yes", "as found")

    @property
    def sentence(self) -> str:
        """What came of it, for a person."""
        if not self.serves and not self.problems:
            return "There is no former configuration to put back."
        if self.ok:
            what = _listed(self.steps)
            if self.serves == "as found":
                return (
                    f"The former state was put back ({what}); the server did not run before either."
                )
            return f"The former configuration was put back and is served ({what})."
        served = {"yes": "The server runs.", "no": "THE SERVER DOES NOT RUN."}.get(self.serves, "")
        return " ".join(
            [
                "The former state could not be put back whole:",
                "; ".join(self.problems) + ".",
                served,
            ]
        ).strip()


def _listed(steps: Iterable[str]) -> str:
    names = [
        step.removeprefix("file ").rpartition("/")[2] if step.startswith("file ") else step
        for step in steps
    ]
    return ", ".join(names) or "nothing differed"


def parse(text: str) -> PutBack:
    """Read what put_back.sh printed."""
    steps: list[str] = []
    problems: list[str] = []
    serves = ""
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "did":
            steps.append(rest)
        elif word == "problem":
            problems.append(rest.strip().rstrip("."))
        elif word == "serves":
            serves = rest
    return PutBack(tuple(steps), tuple(problems), serves)


class Listening:
    """A Progress that passes everything on, and hears what put_back.sh said first."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.said = ""

    def phase(self, text: str) -> None:
        self._progress.phase(text)

    def event(self, event: Event) -> None:
        if event["event"] == "result" and event["name"] == PUT_BACK_TASK:
            self.said = self.said or str(event.get("stdout", ""))
        self._progress.event(event)

    def result(self, result: Result) -> None:
        self._progress.result(result)

    def note(self, text: str) -> None:
        self._progress.note(text)


# --- the lab's own files ---------------------------------------------------------------------


def _folder(lab: Path, name: str, which: str) -> Path:
    return lab / ".labtool" / which / name.replace("/", "_")


def _files(lab: Path) -> tuple[Path, Path]:
    """lab.yml and users.yml."""
    return inventory.lab_file(lab), inventory.users_file(lab)


def saved(lab: Lab, host: Host) -> None:
    """The server has just kept its state as the former one: so does the lab, with what it served."""
    now, before = _folder(lab.path, host.name, "served"), _folder(lab.path, host.name, "former")
    if not now.is_dir():
        # From now on the server is known as this lab's, whatever comes of the change.
        now.mkdir(mode=0o700, parents=True)
    else:
        _copy([now / file.name for file in _files(lab.path)], before)


def known(lab: Path, name: str) -> bool:
    """Whether this lab has deployed the host of that name, or imported it."""
    return any(_folder(lab, name, which).is_dir() for which in ("served", "imported"))


def set_aside(lab: Lab, host: Host) -> None:
    """Keep the lab's present files, edits that were never deployed too, as the former ones."""
    _copy(_files(lab.path), _folder(lab.path, host.name, "former"))


def keep(lab: Lab, host: Host, *, users_only: bool = False) -> None:
    """Remember the lab's files as what this host now has.

    `users_only`: lab.yml was not deployed, and may hold what the host does not have yet.
    """
    files = _files(lab.path)
    _copy(files[1:] if users_only else files, _folder(lab.path, host.name, "served"))


def put_back_lab(lab: Lab, host: Host) -> bool:
    """Give the lab the files that belong to the host's former state; the present ones become that.

    False where the lab does not have them (the change was made from another machine).
    """
    now, before = _folder(lab.path, host.name, "served"), _folder(lab.path, host.name, "former")
    former = {file.name: before / file.name for file in _files(lab.path)}
    if not former["lab.yml"].is_file():
        return False
    texts = {name: path.read_text("utf-8") for name, path in former.items() if path.is_file()}
    set_aside(lab, host)
    for file in _files(lab.path):
        if file.name in texts:
            _write(file, texts[file.name])
            _write(now / file.name, texts[file.name])
    return True


def _copy(files: Iterable[Path], folder: Path) -> None:
    for file in files:
        if file.is_file():
            _write(folder / file.name, file.read_text("utf-8"))
        else:
            (folder / file.name).unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A file that is there keeps its mode; our own copies are for nobody else.
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        atomic.write(path, text, mode=mode)
    except OSError as error:
        raise LabtoolError(f"{path} cannot be written: {error.strerror}") from error


def accounts_served(lab: Lab, host: Host) -> tuple[Account, ...] | None:
    """The accounts that this host was last given from here; None where that is not known."""
    file = _folder(lab.path, host.name, "served") / "users.yml"
    return inventory.read_accounts(file) if file.is_file() else None


def lab_served(lab: Lab, host: Host) -> Lab | None:
    """The lab that this host was last deployed from here; None where that is not known."""
    file = _folder(lab.path, host.name, "served") / "lab.yml"
    accounts = accounts_served(lab, host)
    if accounts is None or not file.is_file():
        return None
    try:
        return replace(lab, options=inventory.read_options(file), accounts=accounts)
    except RequestError:
        # Written by another labtool, which had other options.
        return None


def keep_by_hand(lab: Lab, host: Host, text: str) -> Path:
    """Keep a users file that somebody changed on the server, for labtool import-users."""
    file = _folder(lab.path, host.name, "by-hand") / "users.db.txt"
    _write(file, text)
    return file


def note_users(lab: Lab, host: Host, sha256: str) -> None:
    """Remember the users file of a server that was taken over: it is known, and none of ours."""
    _write(_folder(lab.path, host.name, "served") / "users.sha256", sha256 + "\n")


def users_noted(lab: Lab, host: Host) -> str:
    """The hash that `note_users` remembered, or ""."""
    file = _folder(lab.path, host.name, "served") / "users.sha256"
    return file.read_text().strip() if file.is_file() else ""
