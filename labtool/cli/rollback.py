"""labtool rollback, backup, restore."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labtool.cli.shared import access_from, access_options, lab_option, output_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from labtool.cli.display import Display
    from labtool.rollback import RolledBack

_host = click.option("--host", metavar="HOST", help="Which host of the lab. Default: the only one.")


@click.command(epilog="Example: labtool rollback --host 203.0.113.5")
@_host
@lab_option
@access_options
@output_options
@click.pass_context
def rollback(
    context: click.Context,
    /,
    lab: Path,
    host: str | None,
    as_json: bool,
    verbose: int,
    quiet: bool,
    **access: Any,
) -> None:
    """Back to what the server had before its last change: configuration, users, package.

    lab.yml and users.yml go back with it. Run again, it takes the rollback back. The server is
    restarted where its configuration or package differs, and forgets who is registered.
    """
    from labtool import rollback as rolling

    permission = access_from(**access)
    _do(
        context,
        lambda shown: rolling.rollback(lab, host, permission, shown),
        "rolled-back",
        as_json,
        verbose,
        quiet,
    )


@click.command(epilog="Example: labtool restore backup-203.0.113.5-20260101-120000.tar.gz")
@click.argument("file", metavar="FILE")
@click.option(
    "--lab-only",
    is_flag=True,
    help="Give the lab the backup's options and users; leave the server to labtool deploy.",
)
@_host
@lab_option
@access_options
@output_options
@click.pass_context
def restore(
    context: click.Context,
    /,
    lab: Path,
    file: str,
    lab_only: bool,
    host: str | None,
    as_json: bool,
    verbose: int,
    quiet: bool,
    **access: Any,
) -> None:
    """Bring the server and the lab to the state of the backup FILE.

    The package's version too, where the server still keeps that package. labtool rollback takes the
    restore back. A backup of another machine is for its lab alone: --lab-only, then labtool deploy.
    """
    from labtool import rollback as rolling

    if lab_only:
        kept = rolling.restore_lab(lab, Path(file))
        if as_json:
            click.echo(json.dumps({"event": "restored", "ok": True, "steps": [], "lab": True}))
        else:
            click.echo(
                f"lab.yml and users.yml are those of {kept.when}. No server was changed; see "
                "labtool deploy --check --diff."
            )
        return
    permission = access_from(**access)
    _do(
        context,
        lambda shown: rolling.restore(lab, host, Path(file), permission, shown),
        "restored",
        as_json,
        verbose,
        quiet,
    )


@click.command(epilog="Example: labtool backup -o before-the-exam.tar.gz")
@click.option(
    "-o", "--output", metavar="FILE", help="A new file. Default: backup-HOST-TIME.tar.gz."
)
@_host
@lab_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@access_options
def backup(
    lab: Path,
    output: str | None,
    host: str | None,
    as_json: bool,
    **access: Any,
) -> None:
    """Keep the server's configuration and users, and the lab's files, in one archive (0600).

    It holds password hashes and the key of the lab's own issuer: keep it like a password. labtool
    restore FILE goes back to it.
    """
    from labtool import backup as backing

    machine, file = backing.backup(
        lab, host, Path(output) if output else None, access_from(**access)
    )
    if as_json:
        click.echo(json.dumps({"event": "backed-up", "host": machine.name, "file": str(file)}))
    else:
        click.echo(f"{machine.name} is kept in {file} (0600; it holds secrets).")


def _do(
    context: click.Context,
    do: Callable[[Display], RolledBack],
    word: str,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> None:
    from labtool.cli import display

    with display.Display(quiet=quiet, verbose=verbose, as_json=as_json) as shown:
        done = do(shown)
    if as_json:
        said = {
            "event": word,
            "ok": done.ok,
            "host": done.host.name,
            "steps": list(done.put_back.steps),
            "serves": done.put_back.serves,
            "lab": done.with_lab,
        }
        click.echo(json.dumps(said))
        context.exit(0 if done.ok else 1)
    click.echo(done.put_back.sentence)
    if done.with_lab:
        click.echo("lab.yml and users.yml are those of that time, too.")
    else:
        click.echo(
            "The lab was not changed, as it has no copy of that time: the next deployment would bring "
            "its own state back."
        )
    if not done.ok:
        failed = next(result for result in done.results if not result.ok)
        click.echo(f"But the proof fails: {failed.verdict}", err=True)
        if failed.cause is not None:
            click.echo(f"  {failed.cause.explanation}\n  Cure: {failed.cause.cure}", err=True)
    context.exit(0 if done.ok else 1)
