"""labtool add-user, remove-user, set-password, list-users."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labtool.cli.shared import (
    access_from,
    access_options,
    lab_option,
    output_options,
    read_secret,
    tell_failed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from labtool.cli.display import Display
    from labtool.membership import Change

_password_file = click.option(
    "--password-file",
    metavar="FILE",
    help="Take the password from the first line of FILE; without it, one is generated.",
)


@click.command("add-user", epilog="Example: labtool add-user carol")
@click.argument("name")
@_password_file
@lab_option
@access_options
@output_options
@click.pass_context
def add_user(
    context: click.Context, /, lab: Path, name: str, password_file: str | None, **rest: Any
) -> None:
    """Add the SIP account NAME, on the server too, and prove that it signs in.

    The server is not restarted and no registration is lost. The password is generated, shown once,
    and kept only as a hash.
    """
    _put(context, lab, name, password_file, new=True, **rest)


@click.command("set-password", epilog="Example: labtool set-password carol")
@click.argument("name")
@_password_file
@lab_option
@access_options
@output_options
@click.pass_context
def set_password(
    context: click.Context, /, lab: Path, name: str, password_file: str | None, **rest: Any
) -> None:
    """Give the SIP account NAME another password, and prove that it signs in."""
    _put(context, lab, name, password_file, new=False, **rest)


def _put(
    context: click.Context,
    lab: Path,
    name: str,
    password_file: str | None,
    *,
    new: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
    **access: Any,
) -> None:
    from labtool import accounts, inventory, membership

    given = read_secret(password_file) if password_file else None
    account, password = accounts.account(name, inventory.read(lab).domain, given)
    permission = access_from(**access)

    def do(shown: Display) -> Change:
        return membership.put(lab, account, permission, shown, new=new)

    def show() -> None:
        # On --json too: there is no other place where it could be read; stderr keeps it apart.
        if given is None:
            click.echo(f"The password of {name}, shown this once: {password}", err=as_json)

    try:
        change = _run(do, "added" if new else "changed", name, as_json, verbose, quiet)
    except BaseException:
        # Stopped while waiting for the proof: the change is made.
        if account in inventory.read(lab).accounts:
            show()
        raise
    if account in change.lab.accounts:
        show()
    _finish(context, change, as_json)


@click.command("remove-user", epilog="Example: labtool remove-user carol")
@click.argument("name")
@click.option("--lab-only", is_flag=True, help="Leave the server alone until the next deployment.")
@lab_option
@access_options
@output_options
@click.pass_context
def remove_user(
    context: click.Context,
    /,
    lab: Path,
    name: str,
    lab_only: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
    **access: Any,
) -> None:
    """Remove the SIP account NAME, on the server too, and prove that it is refused.

    A phone that is signed in stays registered until its registration expires.
    """
    from labtool import membership

    permission = access_from(**access)

    def do(shown: Display) -> Change:
        return membership.remove(lab, name, permission, shown, lab_only=lab_only)

    change = _run(do, "removed", name, as_json, verbose, quiet)
    _finish(context, change, as_json)


@click.command("list-users", epilog="Example: labtool list-users --json")
@lab_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def list_users(lab: Path, as_json: bool) -> None:
    """List the lab's SIP accounts. Hashes are not shown."""
    from labtool import accounts, inventory

    found = inventory.read(lab).accounts
    if as_json:
        users = [
            {
                "name": account.name,
                "domain": account.domain,
                "algorithms": [accounts.ALGORITHMS[key] for key in account.hashes],
            }
            for account in found
        ]
        click.echo(json.dumps({"users": users}))
        return
    if not found:
        click.echo("The lab has no users. Add one with: labtool add-user NAME")
    width = max((len(account.name) for account in found), default=0)
    for account in found:
        algorithms = ", ".join(accounts.ALGORITHMS[key] for key in account.hashes)
        click.echo(f"{account.name:<{width}}  sip:{account.name}@{account.domain}  {algorithms}")


def _run(
    do: Callable[[Display], Change],
    word: str,
    name: str,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> Change:
    from labtool.cli import display

    with display.Display(quiet=quiet, verbose=verbose, as_json=as_json) as shown:
        change = do(shown)
    if as_json:
        click.echo(json.dumps({"event": word, "user": name, **change.to_dict()}))
    elif not change.results:
        click.echo(f"{name} is {word} in the lab. No server was changed; labtool deploy does that.")
    elif change.ok:
        word = "is refused now" if word == "removed" else "signs in"
        click.echo(f"{name} {word} (changed on the server without a restart).")
    return change


def _finish(context: click.Context, change: Change, as_json: bool) -> None:
    if change.ok:
        return
    if not as_json:
        tell_failed(change)
    context.exit(1)
