"""labtool capture."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labtool.cli.shared import FiniteRange, access_from, access_options, lab_option, language_option
from labtool.cli.signals import noted
from labtool.errors import RequestError

if TYPE_CHECKING:
    from labtool.capture import Captured
    from labtool.trace.ladder import Ladder
    from labtool.trace.live import Live
    from labtool.trace.message import Message


@click.command(epilog="Example: labtool capture --host 203.0.113.5 --until-call-ends")
@lab_option
@click.option("--host", metavar="HOST", help="Of the lab, or any that SSH reaches.")
@click.option("--local", is_flag=True, help="Capture on this machine; takes root.")
@click.option(
    "-I",
    "--interface",
    default="any",
    show_default=True,
    metavar="IF",
    help="Only this network interface.",
)
@click.option("-o", "--output", metavar="FILE", help="Default: capture-HOST-TIME.pcap")
@click.option("--duration", type=FiniteRange(min=0.1), metavar="S", help="Stop after S s.")
@click.option("--until-call-ends", is_flag=True, help="Stop when a call has ended.")
@click.option(
    "--user",
    metavar="NAME",
    help="Show, and wait for the call of, this user only. The file has everything.",
)
@click.option(
    "--media",
    type=click.Choice(["headers", "full", "none"]),
    default="headers",
    show_default=True,
    help="What to keep of the sound: headers (nobody's voice), all, or nothing of RTP.",
)
@language_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@access_options
@click.pass_context
def capture(
    context: click.Context,
    /,
    lab: Path,
    host: str | None,
    local: bool,
    interface: str,
    output: str | None,
    duration: float | None,
    until_call_ends: bool,
    user: str | None,
    media: Any,
    language: str,
    as_json: bool,
    **access: Any,
) -> None:
    """Packets off the server into a file, and the ladder of its messages as they happen.

    Runs tcpdump there over SSH; its output comes straight here, and nothing is left behind. Ctrl-C,
    --duration or --until-call-ends stops it, and the file is whole. SSH itself is not captured.
    """
    from labtool import capture as capturing
    from labtool import operation
    from labtool.inventory import Host
    from labtool.trace.live import Live

    if local and host:
        raise RequestError("--local is this machine and --host another: give one of the two.")
    machine = Host("this machine", "", local=True) if local else _machine(lab, host)
    where = "this machine" if machine.local else machine.name
    name = "local" if machine.local else machine.name
    default = f"capture-{name}-{time.strftime('%Y%m%d-%H%M%S')}.pcap"
    file = capturing.unused(Path(output or default))
    script = capturing.script(media, interface)
    permission = access_from(**access)
    with operation.signed_in(machine, permission) as connection:
        pipe = connection.pipe(script)
        live = Live(user, language=language)
        shown = _Shown(live, as_json, language)
        shown.began(where, file, machine.local)
        with noted() as interrupted:
            done = capturing.record(
                pipe,
                file,
                where,
                live,
                shown.message,
                shown.begun,
                media=media,
                until=capturing.Until(duration, until_call_ends),
                interrupted=interrupted,
            )
    shown.ended(done)
    context.exit(0)


def _machine(lab: Path, name: str | None) -> Any:
    from labtool import inventory

    known = inventory.read(lab) if lab.is_dir() else None
    if known is not None and (
        name is None or any(name in (one.name, one.address) for one in known.hosts)
    ):
        return known.host(name)
    if name is None:
        raise RequestError("Capture where? --host HOST, or --local for this machine.")
    user, _, address = name.rpartition("@")
    return inventory.Host(address, address, user=user or None)


class _Shown:
    """The ladder as it grows: drawn on a terminal, plain lines elsewhere, or JSON."""

    def __init__(self, live: Live, as_json: bool, language: str) -> None:
        from labtool.trace.page_texts import TEXTS

        self._live, self._as_json, self._t = live, as_json, TEXTS[language]
        self._head: list[str] = []
        self._terminal = sys.stdout.isatty()

    def began(self, where: str, file: Path, local: bool) -> None:
        if self._as_json:
            self._json({"event": "start", "host": where, "file": str(file)})
        else:
            where = self._t["live_here"] if local else where
            click.echo(self._t["live_began"].format(where=where, file=file), err=True)

    def message(self, message: Message) -> None:
        if not self._as_json:
            self._draw(self._live.ladder(message))
            return
        flow = message.flow
        self._json(
            {
                "event": "message",
                "frame": message.frame,
                "time": message.time_ns / 1e9,
                "transport": flow.transport,
                "source": str(flow.source),
                "destination": str(flow.destination),
                "label": message.label,
                "method": message.method,
                "status": message.status,
                "call_id": message.call_id,
            }
        )

    def begun(self) -> None:
        if not self._as_json:
            for drawing in self._live.begun():
                self._draw(drawing)

    def ended(self, done: Captured) -> None:
        if self._as_json:
            self._json({"event": "end", **vars(done), "file": str(done.file)})
            return
        facts = {**vars(done), "seconds": f"{done.seconds:.1f}"}
        lost = self._t["live_lost"].format_map(facts) if done.dropped else ""
        click.echo(self._t["live_ended"].format_map({**facts, "lost": lost}), err=True)

    def _draw(self, drawing: Ladder) -> None:
        from labtool.cli import ladder
        from labtool.trace.ladder import listed

        if self._terminal:
            self._head = ladder.grow(drawing, self._head)
            return
        unicode = "utf" in (sys.stdout.encoding or "").lower()
        for line in listed(drawing, unicode=unicode):
            click.echo(line.text)
        sys.stdout.flush()

    def _json(self, event: dict[str, object]) -> None:
        click.echo(json.dumps(event, ensure_ascii=False))
        sys.stdout.flush()
