"""labtool import-users."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labtool.cli.shared import (
    access_from,
    access_options,
    lab_option,
    output_options,
    tell_failed,
)
from labtool.errors import RequestError

if TYPE_CHECKING:
    from labtool.membership import Change
    from labtool.userlist import Listed


@click.command(
    "import-users",
    epilog="Example: labtool import-users class.csv -o passwords.csv\n\n"
    "class.csv: `carol` or `carol,her-password`, one a line.",
)
@click.argument("file", metavar="FILE")
@click.option(
    "-o",
    "--output",
    metavar="PASSWORDS",
    help="Write the generated passwords there (CSV, 0600, a new file) in place of showing them.",
)
@click.option("--update", is_flag=True, help="Give users that exist already the new password.")
@lab_option
@access_options
@output_options
@click.pass_context
def import_users(
    context: click.Context,
    /,
    lab: Path,
    file: str,
    output: str | None,
    update: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
    **access: Any,
) -> None:
    """Add the SIP accounts of FILE, on the server too: a hundred are one change and one wait.

    FILE is CSV, `name,password` a line (a password is made where there is none), or a users.db.txt.
    Where one line cannot be taken, none is, and each such line is told.
    """
    from labtool import inventory, membership, userlist
    from labtool.cli import display

    found = inventory.read(lab)
    taken = () if update else tuple(account.name for account in found.accounts)
    listed = userlist.read(_text(file), found.domain, where=file, taken=taken)
    permission = access_from(**access)
    with (
        _passwords(lab, output, listed) as file_of_passwords,
        display.Display(quiet=quiet, verbose=verbose, as_json=as_json) as shown,
    ):
        try:
            change = membership.put_many(lab, listed.accounts, permission, shown, update=update)
        except BaseException:
            # Stopped while waiting for the proof: the change is made.
            if output is None and listed.accounts[0] in inventory.read(lab).accounts:
                _show(listed, err=as_json)
            raise
    _report(change, listed, file_of_passwords, as_json=as_json)
    context.exit(0 if change.ok else 1)


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise RequestError(f"{file} cannot be read: {why}.") from error


@contextlib.contextmanager
def _passwords(lab: Path, output: str | None, listed: Listed) -> Iterator[str | None]:
    """Write the passwords before anything is changed, so that none is lost; away if it fails.

    Where it was stopped while waiting for the proof, the change is made, and they stay.
    """
    if output is None or not listed.generated:
        yield None
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise RequestError(
            f"{output} exists already, and is left as it is. Name a new file."
        ) from None
    except OSError as error:
        raise RequestError(f"{output} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows(listed.generated.items())
            stream.flush()
            os.fsync(stream.fileno())
        yield output
    except BaseException:
        from labtool import inventory

        if listed.accounts[0] not in inventory.read(lab).accounts:
            Path(output).unlink(missing_ok=True)
        raise


def _report(change: Change, listed: Listed, output: str | None, *, as_json: bool) -> None:
    count = len(listed.accounts)
    void = listed.accounts[0] not in change.lab.accounts
    if void and output is not None:
        # It was put back, and these passwords are nobody's.
        Path(output).unlink(missing_ok=True)
        output = None
    if as_json:
        said = {
            "event": "imported",
            "users": [account.name for account in listed.accounts],
            **change.to_dict(),
            "passwords": output,
        }
        click.echo(json.dumps(said))
    elif not change.results:
        click.echo(
            f"{'1 user is' if count == 1 else f'{count} users are'} in the lab. No server was "
            "changed; labtool deploy does that."
        )
    elif change.ok:
        tried = change.tried
        click.echo(
            f"{count} users can sign in ({tried} of them tried), with one change and no restart."
            if count > tried
            else f"{'1 user signs' if count == 1 else f'{count} users sign'} in, with one change "
            "and no restart."
        )
    else:
        tell_failed(change)
    if void:
        return
    if output is not None:
        if not as_json:
            click.echo(f"Their passwords are in {output} (0600).")
    elif listed.generated:
        # On --json too: there is no other place where they could be read; stderr keeps them apart.
        _show(listed, err=as_json)


def _show(listed: Listed, *, err: bool) -> None:
    if listed.generated:
        click.echo("Passwords, shown this once:", err=err)
        for name, password in listed.generated.items():
            click.echo(f"  {name:<12} {password}", err=err)
