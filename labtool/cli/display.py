"""How an operation is shown while it runs: live on a terminal, plain lines elsewhere, or JSON."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from labtool.playbook import Event
    from labtool.probe.result import Result

# The phase that a task belongs to: by its role, or by its file where a role has several.
_BY_FILE = {
    "state.yml": "Look at the host",
    "preflight.yml": "Look at the host",
    "ownership.yml": "Look at the host",
    "way_back.yml": "Package",
    "install.yml": "Package",
    "package.yml": "Package",
    "start.yml": "Service",
    "configure.yml": "Configuration",
    "service.yml": "Service",
    "render.yml": "Render",
}
_BY_ROLE = {"flexisip_repository": "Repository", "flexisip_users": "Users"}


def phase_of(event: Event) -> str:
    """The phase of a task event, for people; empty where it belongs to the one before it."""
    role = event.get("role")
    if role in _BY_ROLE:
        return _BY_ROLE[role]
    file = str(event.get("path", "")).rpartition("/")[2].partition(":")[0]
    return _BY_FILE.get(file, "" if role else "Play")


@dataclass
class Phase:
    """A line of the display: what is done, what it came to, how long it took."""

    name: str
    started: float
    ended: float | None = None
    task: str = ""
    done: int = 0
    changed: int = 0
    failed: bool = False
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.started

    def outcome(self) -> str:
        if self.interrupted:
            return f"interrupted at: {self.task}" if self.task else "interrupted"
        if self.failed:
            return f"failed at: {self.task}" if self.task else "failed"
        if self.changed:
            return f"{self.changed} changed"
        return "nothing to do" if self.done else ""


# The displays that are on this terminal now: a question asks them to pause.
_shown: list[Display] = []


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Whatever is shown live leaves the terminal to a question."""
    with contextlib.ExitStack() as stack:
        for one in _shown:
            stack.enter_context(one.pause())
        yield


class Display:
    """Shows an operation. A context manager; `Progress` for labtool.operation.

    `quiet` shows nothing, `verbose` 1 each task, 2 also what it said; on a terminal the phase that
    runs is live, elsewhere a phase is one line when it has ended.
    """

    def __init__(self, *, quiet: bool = False, verbose: int = 0, as_json: bool = False) -> None:
        self._quiet, self._verbose, self._as_json = quiet, verbose, as_json
        self._phase: Phase | None = None
        self._live: Live | None = None

    def __enter__(self) -> Display:
        _shown.append(self)
        if not (self._quiet or self._as_json) and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                get_renderable=self._render,
                console=Console(stderr=True),
                refresh_per_second=8,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._phase is not None and kind is not None:
            self._phase.interrupted = issubclass(kind, (KeyboardInterrupt, click.Abort))
            self._phase.failed = not self._phase.interrupted
        self._end()
        _shown.remove(self)
        if self._live is not None:
            self._live.stop()
            self._live = None

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Leave the terminal to a question."""
        if self._live is not None:
            self._live.stop()
        try:
            yield
        finally:
            if self._live is not None:
                self._live.start()

    # --- Progress ----------------------------------------------------------------------------

    def phase(self, text: str) -> None:
        if self._as_json:
            self._json({"event": "phase", "time": time.time(), "name": text})
        elif self._phase is None or self._phase.name != text:
            self._end()
            self._phase = Phase(text, time.monotonic())

    def event(self, event: Event) -> None:
        if self._as_json:
            self._json(event)
            return
        match event["event"]:
            case "task":
                if name := phase_of(event):
                    self.phase(name)
                if self._phase is not None:
                    self._phase.task = event["name"]
            case "result":
                self._task_ended(event)
            case "stats":
                self._end()

    def result(self, result: Result) -> None:
        if self._as_json:
            self._json({"event": "probe", **result.to_dict()})
            return
        from labtool.probe.result import milliseconds

        if self._phase is not None and not result.ok:
            self._phase.failed, self._phase.task = True, ""
        time_taken = milliseconds(result.seconds)
        self._line(
            "✓" if result.ok else "✗",
            f"{result.check.upper()} over {result.transport.upper()}: {result.verdict} ({time_taken})",
            ok=result.ok,
        )

    def note(self, text: str) -> None:
        if self._as_json:
            self._json({"event": "note", "text": text})
        else:
            self._line("·", text)

    # --- drawing -----------------------------------------------------------------------------

    def _task_ended(self, event: Event) -> None:
        if self._phase is None:
            return
        outcome = event["outcome"]
        if outcome in ("failed", "unreachable"):
            self._phase.failed = True
            self._phase.task = event["name"]
        else:
            self._phase.done += 1
            self._phase.changed += bool(event["changed"])
        if diff := event.get("diff"):
            self._diff(diff)
        if self._verbose:
            word = "changed" if event["changed"] else outcome
            self._line(" ", f"  {word:<12} {event['seconds']:6.1f} s  {event['name']}")
        if self._verbose > 1:
            from labtool.playbook import message_of

            for line in message_of(event).splitlines():
                self._line(" ", f"      {line}")

    def _diff(self, diff: Any) -> None:
        import difflib

        for one in diff if isinstance(diff, list) else [diff]:
            before, after = str(one.get("before", "")), str(one.get("after", ""))
            names = (str(one.get("before_header", "before")), str(one.get("after_header", "after")))
            if isinstance(one.get("before"), dict):
                continue
            for line in difflib.unified_diff(
                before.splitlines(), after.splitlines(), *names, lineterm=""
            ):
                colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
                self._print(click.style(f"    {line}", fg=colour))

    def _end(self) -> None:
        if self._phase is None:
            return
        phase, self._phase = self._phase, None
        phase.ended = time.monotonic()
        mark = "·" if phase.interrupted else "✗" if phase.failed else "✓"
        self._line(
            mark,
            f"{phase.name:<18} {phase.seconds:6.1f} s   {phase.outcome()}".rstrip(),
            ok=not phase.failed,
        )

    def _line(self, mark: str, text: str, *, ok: bool = True) -> None:
        if self._quiet:
            return
        colour = {"✓": "green", "✗": "red"}.get(mark)
        self._print(f"{click.style(mark, fg=colour)} {text}")

    def _print(self, text: str) -> None:
        if self._quiet:
            return
        if self._live is not None:
            from rich.text import Text

            self._live.console.print(Text.from_ansi(text), soft_wrap=True)
        else:
            click.echo(text, err=True)

    def _render(self) -> RenderableType:
        from rich.spinner import Spinner
        from rich.text import Text

        if self._phase is None:
            return Text("")
        if not hasattr(self, "_spinner"):
            self._spinner = Spinner("dots", style="cyan")
        phase = self._phase
        self._spinner.update(text=f"{phase.name:<18} {phase.seconds:6.1f} s   {phase.task}")
        return self._spinner

    def _json(self, event: Any) -> None:
        click.echo(json.dumps(event, ensure_ascii=False, default=str))
