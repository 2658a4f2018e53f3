"""labtool import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labtool.cli.shared import access_from, access_options, lab_option
from labtool.errors import RequestError

if TYPE_CHECKING:
    from labtool.importing import Taken


@click.command("import", epilog="Example: labtool import 203.0.113.5 -i taken-over")
@click.argument("host", metavar="HOST")
@lab_option
@click.option("--domain", metavar="DOMAIN", help="The SIP domain, where the server names several.")
@click.option("--user", metavar="NAME", help="Sign in by SSH as NAME. Default: root.")
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="The SSH port.")
@click.option("--identity", metavar="FILE", help="The private SSH key to sign in with.")
@click.option("--repo-url", metavar="URL", help="The package repository to use from now on.")
@click.option("--deb", metavar="FILE", help="The package file to use, instead of a repository.")
@click.option("--leave-out", is_flag=True, help="Go on without accounts that a lab cannot hold.")
@click.option(
    "--keep-clear-text", is_flag=True, help="Refused: a lab keeps hashes; phones sign in the same."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@access_options
def import_(
    host: str,
    lab: Path,
    domain: str | None,
    user: str | None,
    port: int | None,
    identity: str | None,
    repo_url: str | None,
    deb: str | None,
    leave_out: bool,
    keep_clear_text: bool,
    as_json: bool,
    **access: Any,
) -> None:
    """Make a lab of HOST, a server that was set up by hand. The server is only looked at.

    Settings that are no option of a lab are kept as extra settings (flexisip_settings), passwords
    in clear text become their hashes, and the server's own files are kept beside the lab. A file on
    which the server does not start is read as labtool lint --fix corrects it, each line told. Says
    what a deployment would change, and why.
    """
    from labtool import deployment, importing

    if keep_clear_text:
        raise RequestError(
            "labtool keeps no password in clear text: users.yml holds hashes alone, and with them "
            "every phone signs in as before (MD5 and SHA-256). Import without --keep-clear-text; the "
            "server's own users file is kept in .labtool/imported of the lab."
        )
    chosen = {
        "flexisip_repository_url": repo_url,
        "flexisip_deb": str(Path(deb).resolve()) if deb else None,
    }
    more = {name: value for name, value in chosen.items() if value is not None}
    machine = deployment.named_host(host, user, port, identity)
    taken = importing.import_host(
        lab, machine, access_from(**access), domain=domain, more=more, leave_out=leave_out
    )
    if as_json:
        click.echo(json.dumps(_summary(taken)))
    else:
        _print(taken, lab)


def _summary(taken: Taken) -> dict[str, Any]:
    return {
        "event": "imported",
        "lab": str(taken.lab.path),
        "host": taken.host.name,
        "release": taken.release,
        "domain": taken.lab.domain,
        "users": [account.name for account in taken.lab.accounts],
        "left_out": list(taken.found.left_out),
        "settings": _shown(taken),
        "corrected": list(taken.corrected),
        "differences": [vars(one) for one in taken.found.differences],
        "notes": list(taken.notes),
        "originals": str(taken.originals),
    }


def _shown(taken: Taken) -> dict[str, dict[str, str]]:
    """The settings that were kept, without passwords."""
    from labtool.flexisip.findings import is_secret

    kept: dict[str, dict[str, str]] = taken.found.options.get("flexisip_settings", {})
    return {
        section: {key: "***" if is_secret(key) else value for key, value in settings.items()}
        for section, settings in kept.items()
    }


def _print(taken: Taken, lab: Path) -> None:
    count = len(taken.lab.accounts)
    click.echo(
        f"{taken.host.name} runs Flexisip {taken.release} for {taken.lab.domain} with {count} "
        f"account{'' if count == 1 else 's'}; the lab is {lab}."
    )
    if taken.found.clear_text:
        clear = taken.found.clear_text
        became = (
            "password in clear text became hashes"
            if clear == 1
            else ("passwords in clear text became hashes")
        )
        click.echo(f"{clear} {became}.")
    for sentence in taken.found.left_out:
        click.echo(f"Left out, {sentence}")
    for sentence in taken.corrected:
        click.echo(f"The server does not start as it is: {sentence}")
    kept = _shown(taken)
    for section, settings in kept.items():
        for key, value in settings.items():
            click.echo(f"Kept as it is: [{section}] {key}={value}")
    if taken.found.differences:
        click.echo("A deployment would change, beside comments and order:")
        for one in taken.found.differences:
            click.echo(f"  {one.sentence}")
    for note in taken.notes:
        click.echo(note)
    click.echo(f"The server's own files are kept in {taken.originals}.")
    click.echo(f"Next: labtool deploy -i {lab} --check --diff")
