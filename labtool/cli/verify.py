"""labtool verify."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labtool.cli.shared import access_from, access_options, lab_option

if TYPE_CHECKING:
    from labtool.verification import Check


@click.command(epilog="Example: labtool verify --host 203.0.113.5")
@lab_option
@click.option("--host", metavar="HOST", help="Which host of the lab. Default: the only one.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@access_options
@click.pass_context
def verify(
    context: click.Context, /, lab: Path, host: str | None, as_json: bool, **access: Any
) -> None:
    """Run the testinfra suite against the server.

    Package and release, files with owner and mode, the unit and its restart policy, ports,
    configuration as the lab renders it, the users file, the log, and registrations.
    """
    from labtool import verification

    def show(check: Check) -> None:
        if as_json:
            return
        mark = click.style("✓", fg="green") if check.ok else click.style("✗", fg="red")
        click.echo(f"{mark} {check.name} ({check.seconds:.2f} s)")
        for line in check.detail.splitlines()[:12]:
            click.echo(f"    | {line}")

    checks = verification.verify(lab, host, access_from(**access), show)
    failed = [check for check in checks if not check.ok]
    if as_json:
        click.echo(json.dumps({"ok": not failed, "checks": [check.to_dict() for check in checks]}))
    elif failed:
        click.echo(
            f"{len(failed)} of {len(checks)} checks do not hold. labtool deploy mends what is on the "
            "host; labtool doctor looks for other causes."
        )
    else:
        click.echo(f"All {len(checks)} checks hold.")
    context.exit(1 if failed else 0)
