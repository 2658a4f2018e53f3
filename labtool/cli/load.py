"""labtool load."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from labtool.cli.shared import FiniteRange, lab_option
from labtool.errors import RequestError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.console import RenderableType

    from labtool.inventory import Lab
    from labtool.probe import Account
    from labtool.probe.load_statistics import Round, Snapshot


@click.command(
    epilog="Example: labtool load sip.example.test --users 50 --rate 20 --duration 30 --calls"
)
@click.argument("target", metavar="HOST[:PORT]")
@lab_option
@click.option("--users", type=click.IntRange(1, 10_000), help="How many users. Default: all.")
@click.option(
    "--rate",
    type=FiniteRange(0, 20_000, min_open=True),
    default=10.0,
    show_default=True,
    help="Registrations or calls that are begun each second.",
)
@click.option(
    "--duration",
    type=FiniteRange(0.1, 600),
    default=10.0,
    show_default=True,
    help="Seconds; with --find-limit, for each rate that is tried.",
)
@click.option("--calls", is_flag=True, help="Calls between the users, without sound.")
@click.option("--hold", type=FiniteRange(0, 60), default=0.5, help="Seconds that a call lasts.")
@click.option("--find-limit", is_flag=True, help="Search the highest clean rate, from --rate on.")
@click.option("--transport", type=click.Choice(["udp", "tcp", "tls"]), default="udp")
@click.option("--users-file", metavar="FILE", help="Users and passwords from a users.db.txt.")
@click.option(
    "--timeout",
    type=FiniteRange(0.5, 32),
    default=8.0,
    help="Seconds until an answer is late.",
)
@click.option("--ca-file", metavar="FILE", help="TLS: trust the issuers in this PEM file.")
@click.option("--insecure", is_flag=True, help="TLS: take any certificate.")
@click.option(
    "--i-own-this-server", "owned", is_flag=True, help="Aim at a host that is not in the lab."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.pass_context
def load(
    context: click.Context,
    target: str,
    lab: Path,
    users: int | None,
    rate: float,
    duration: float,
    calls: bool,
    hold: float,
    find_limit: bool,
    transport: str,
    users_file: str | None,
    timeout: float,
    ca_file: str | None,
    insecure: bool,
    owned: bool,
    as_json: bool,
) -> None:
    """How much the server at HOST bears: many users register, or call, at a steady rate.

    A rate is clean if nothing failed, nothing had to be repeated, and it was kept. The users are
    the lab's; their contacts are taken away again at the end. Exit codes: 0 clean (with
    --find-limit: a clean rate was found), 1 not.
    """
    if not calls and context.get_parameter_source("hold") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--hold goes with --calls.", context)
    from labtool.probe import Target
    from labtool.probe import load as loads
    from labtool.probe.load_accounts import may_aim, some
    from labtool.probe.session import Tls

    aim = Target.parse(target)
    known = _lab(lab)
    if not owned and not may_aim(aim, _hosts(known)):
        raise RequestError(
            f"{aim.host} is not a host of the lab. A load can bring a server down: aim only at "
            "your own, and say so with --i-own-this-server."
        )
    plan = loads.Plan(
        target=aim,
        accounts=some(_accounts(known, users_file, transport), users),
        rate=rate,
        duration=duration,
        transport=transport,
        calls=calls,
        hold=hold,
        timeout=timeout,
        tls=Tls(ca_file, not insecure),
    )
    with _Display(quiet=as_json) as display:
        if find_limit:
            limit = loads.find_limit(plan, watch=display.show, on_round=display.round)
            shown, well = limit.to_dict(), limit.rate > 0
        else:
            result = loads.run(plan, watch=display.show)
            display.round(result)
            shown, well = result.to_dict(), result.clean
    if as_json:
        click.echo(json.dumps({"target": str(aim), "transport": transport, **shown}))
    elif find_limit:
        click.echo(_limit_sentence(limit.rate, limit.why, calls))
    context.exit(0 if well else 1)


def _lab(path: Path) -> Lab | None:
    from labtool import inventory

    return inventory.read(path) if inventory.exists(path) else None


def _hosts(lab: Lab | None) -> list[str]:
    if lab is None:
        return []
    public = str(lab.options.get("flexisip_public_address") or "")
    return [*(name for host in lab.hosts for name in (host.name, host.address)), public]


def _accounts(lab: Lab | None, users_file: str | None, transport: str) -> tuple[Account, ...]:
    from labtool import accounts, probe
    from labtool.probe.load_accounts import from_users_file

    if users_file is not None:
        return from_users_file(Path(users_file), transport)
    if lab is None:
        raise RequestError("There is no lab here: name one with -i, or a --users-file.")
    return tuple(
        probe.Account(one.name, one.domain, accounts.secret(one), transport) for one in lab.accounts
    )


# -- showing --------------------------------------------------------------------------------------


class _Display:
    """Live on a terminal; elsewhere a line a round."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live: Any = None

    def __enter__(self) -> _Display:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._context: AbstractContextManager[Any] = self._live or nullcontext()
        self._context.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)

    def show(self, snapshot: Snapshot) -> None:
        if self._live is not None:
            self._live.update(_panel(snapshot), refresh=True)

    def round(self, result: Round) -> None:
        if self._quiet:
            return
        text = "\n".join(round_lines(result))
        if self._live is not None:
            from rich.text import Text

            self._live.console.print(Text(text), soft_wrap=True)
        else:
            click.echo(text)


def round_lines(result: Round) -> list[str]:
    """A round for people."""
    mark = "clean" if result.clean else "NOT clean"
    names = "calls" if result.what == "call" else "registrations"
    text = [
        f"{result.rate:,.0f} {names}/s asked for, {result.achieved:,.0f}/s begun for "
        f"{result.seconds:.1f} s: {mark}"
    ]
    text.append(
        f"  {result.succeeded:,} succeeded, {result.failed:,} failed, "
        f"{result.retransmissions:,} requests repeated"
    )
    if result.latency_ms:
        text.append("  " + _latency(result.latency_ms))
    text += [f"  {count:,} times: {cause}" for cause, count in result.causes.items()]
    if not result.kept:
        why = "this machine was late"
        if result.waited and not result.client_bound:
            why = "too many waited for an answer"
        text.append(f"  the rate was not kept, {result.held_back:,} were not begun: {why}")
    return text


def _latency(found: dict[str, float]) -> str:
    shown = ", ".join(f"{name} {value:.1f} ms" for name, value in found.items())
    return f"time to the final answer: {shown}"


def _limit_sentence(rate: float, why: str, calls: bool) -> str:
    what = "calls" if calls else "registrations"
    if not rate:
        return f"No clean rate of {what} was found."
    ends = {
        "server": "above it the server falls behind",
        "client": "above it this machine, which asks, is too slow; the server may bear more",
        "unknown": "above it this machine was late, by something else that runs on it; try again",
        "bound": "labtool asks for no more",
    }[why]
    return f"The highest clean rate is {rate:,.0f} {what}/s: {ends}."


def _panel(snapshot: Snapshot) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        f"{snapshot.what} {min(snapshot.elapsed, snapshot.duration):.0f}/{snapshot.duration:.0f} s",
        ProgressBar(total=snapshot.duration, completed=snapshot.elapsed, width=40),
    )
    grid.add_row("rate", f"{snapshot.rate:,.0f}/s of {snapshot.wanted:,.0f}/s")
    grid.add_row("waiting", f"{snapshot.in_flight:,}")
    grid.add_row("succeeded", f"{snapshot.succeeded:,}")
    grid.add_row("repeated", f"{snapshot.retransmissions:,}")
    grid.add_row("failed", f"{snapshot.failed:,}")
    for cause, count in list(snapshot.causes.items())[:5]:
        grid.add_row("", f"{count:,} x {cause}")
    if snapshot.latency_ms:
        grid.add_row("latency", _latency(snapshot.latency_ms))
    return grid
