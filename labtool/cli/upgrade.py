"""labtool upgrade."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labtool.cli.shared import access_from, access_options, lab_option, output_options

if TYPE_CHECKING:
    from labtool.upgrade import Plan, Upgraded


@click.command(epilog="Example: labtool upgrade --to 2.5.2 --check")
@click.option(
    "--to", metavar="VERSION", help="A release or a package version. Default: the newest."
)
@click.option("--host", metavar="HOST", help="Which host of the lab. Default: the only one.")
@click.option("--check", is_flag=True, help="Say what would change; change nothing.")
@click.option(
    "--without-way-back",
    is_flag=True,
    help="Upgrade even where the former package cannot be kept.",
)
@lab_option
@access_options
@output_options
@click.pass_context
def upgrade(
    context: click.Context,
    /,
    lab: Path,
    to: str | None,
    host: str | None,
    check: bool,
    without_way_back: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
    **access: Any,
) -> None:
    """Install another release of Flexisip, prove it, and go back if the proof fails.

    Says first what will change: packages, and the settings that are renamed, dropped or deprecated.
    The former package, configuration and users are kept: labtool rollback brings them back.
    """
    from labtool import inventory
    from labtool import upgrade as upgrading
    from labtool.cli import display

    permission = access_from(**access)
    planned = upgrading.plan(inventory.read(lab), host, to, permission)
    _show_plan(planned, check=check, as_json=as_json, quiet=quiet)
    if check or planned.nothing:
        context.exit(0)
    with display.Display(quiet=quiet, verbose=verbose, as_json=as_json) as shown:
        done = upgrading.upgrade(lab, planned, permission, shown, way_back=not without_way_back)
    _show(done, as_json=as_json)
    context.exit(0 if done.ok else 1)


def _show_plan(planned: Plan, *, check: bool, as_json: bool, quiet: bool) -> None:
    if as_json:
        shown = {
            "event": "plan",
            "host": planned.host.name,
            "installed": planned.installed,
            "wanted": planned.wanted,
            "packages": list(planned.packages),
            "settings": list(planned.settings),
            "restart": planned.restart.to_dict() if planned.restart else None,
        }
        click.echo(json.dumps(shown))
    elif planned.nothing:
        click.echo(f"{planned.host.name} has {planned.installed} already: nothing to upgrade.")
    elif not quiet:
        click.echo(f"{planned.host.name}: bc-flexisip {planned.installed} to {planned.wanted}")
        for step in planned.packages:
            click.echo(f"  package   {step}")
        for sentence in planned.settings or ("no setting of the lab changes",):
            click.echo(f"  setting   {sentence}")
        # The upgrade itself says it with the number of that moment.
        if check and planned.restart:
            click.echo(f"  restart   {planned.restart.sentence(would=True)}")


def _show(done: Upgraded, *, as_json: bool) -> None:
    if as_json:
        shown = {
            "event": "upgraded",
            "ok": done.ok,
            "installed": done.plan.installed,
            "wanted": done.plan.wanted,
            "put_back": done.restored.put_back.ok if done.restored else None,
            "restored": done.restored.sentence if done.restored else None,
            "log": str(done.played.outcome.log),
        }
        click.echo(json.dumps(shown))
        return
    if done.ok:
        click.echo(
            f"{done.plan.host.name} serves {done.plan.wanted}, proved. Back to "
            f"{done.plan.installed}: labtool rollback"
        )
        return
    failed = next(result for result in done.results if not result.ok)
    click.echo(f"{done.plan.wanted} does not pass: {failed.verdict}", err=True)
    if done.restored is not None:
        click.echo(done.restored.sentence, err=True)
    elif failed.cause is not None:
        click.echo(f"  {failed.cause.explanation}\n  Cure: {failed.cause.cure}", err=True)
