"""labtool demo."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labtool.cli.shared import FiniteRange

if TYPE_CHECKING:
    from labtool.demo import Demo, Step
    from labtool.probe.result import Result


@click.command(epilog="Example: labtool demo -o /tmp/demo")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    default="labtool-demo",
    show_default=True,
    help="Where files go.",
)
@click.option("--seconds", type=FiniteRange(0.5, 30), default=2.0, help="Of sound in the call.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("-v", "--verbose", count=True, help="Show each of Ansible's tasks, and each step.")
@click.pass_context
def demo(context: click.Context, output: str, seconds: float, as_json: bool, verbose: int) -> None:
    """The whole story on this machine in seconds, without a server and without root.

    Renders the configuration with Ansible, starts the embedded server from it, registers two users
    over UDP and TCP, refuses a wrong password, places a call with sound both ways, keeps the
    packets and draws them.
    """
    from labtool import demo as story
    from labtool.cli.display import Display

    quiet = as_json

    def on_step(step: Step) -> None:
        if not quiet:
            click.echo(_line(step.ok, step.name, step.detail, step.seconds))

    def on_result(result: Result) -> None:
        if not quiet:
            _show(result, verbose)

    if not quiet:
        click.echo("labtool demo: two phones talking over a SIP server, on this machine\n")
    with Display(quiet=quiet or not verbose, verbose=verbose) as shown:
        done = story.run(Path(output), shown, on_step, on_result, seconds=seconds)
    if as_json:
        click.echo(json.dumps(done.to_dict(), ensure_ascii=False))
    else:
        _finish(done)
    context.exit(0 if done.ok else 1)


def _line(ok: bool, name: str, detail: str, seconds: float) -> str:
    from labtool.probe.result import milliseconds

    mark = click.style("✓", fg="green") if ok else click.style("✗", fg="red")
    return f"{mark} {name:<28} {milliseconds(seconds):>9}  {detail}".rstrip()


def _show(result: Result, verbose: int) -> None:
    """A check: for a call each of its steps, otherwise its verdict."""
    title = {
        "register": "Register",
        "wrong-password": "Wrong password",
        "call": "Call",
    }.get(result.check, result.check)
    if result.check == "call" or verbose or not result.ok:
        for step in result.steps:
            click.echo(_line(step.ok, f"  {title}: {step.name}", step.detail, step.seconds))
    name = f"{title} over {result.transport.upper()}"
    click.echo(_line(result.ok, name, result.verdict, result.seconds))
    if result.cause is not None:
        click.echo(f"    {result.cause.explanation}\n    Cure: {result.cause.cure}")


def _finish(done: Demo) -> None:
    if done.ladder is not None:
        from labtool.cli import ladder

        click.echo("\nThe call, drawn from its packets:\n")
        ladder.show(done.ladder)
    click.echo(f"\nFiles in {_relative(done.folder)}:")
    about = {
        "flexisip.conf": "the configuration that a server would get",
        "users.db.txt": "its users, as digest hashes",
        "call.pcap": "the call's packets; Wireshark reads it too",
        "result.json": "every step with its time",
    }
    for file in done.files:
        click.echo(f"  {file.name:<14} {about.get(file.name, '')}")
    if done.ok:
        click.echo(f"\nEverything holds, in {done.seconds:.1f} s.")
        click.echo("Next, with a machine of your own:")
        click.echo(f"  {_labtool()} deploy --host ADDRESS --domain sip.example.test")
    else:
        click.echo(f"\nSomething does not hold; see {_relative(done.folder)}/server.log")


def _labtool() -> str:
    """The command as this shell finds it: `make demo` runs it out of a virtual environment."""
    import sys

    beside = Path(sys.executable).parent / "labtool"
    if shutil.which("labtool") or not beside.exists():
        return "labtool"
    return _relative(beside)


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
