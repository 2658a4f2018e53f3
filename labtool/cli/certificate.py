"""labtool certificate."""

from __future__ import annotations

import json
from pathlib import Path

import click

from labtool.cli.shared import lab_option


@click.command(epilog="Example: labtool certificate --renew")
@lab_option
@click.option("--host", metavar="HOST", help="Which host of the lab. Default: the only one.")
@click.option("--renew", is_flag=True, help="Make a new one, with a new key, by the same issuer.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def certificate(lab: Path, host: str | None, renew: bool, as_json: bool) -> None:
    """The TLS certificate of a lab that names none of its own.

    It is signed by the lab's own issuer, whose ca.pem phones are told to trust. `labtool deploy`
    makes it where flexisip_transports has tls, and again in its last month; a new one works once it
    is deployed.
    """
    from labtool import certificates, inventory, issuer, operation
    from labtool.errors import RequestError

    with operation.opened(lab, "certificate") as (read, _):
        machine = read.host(host)
        if not certificates.wanted(read.options):
            where = inventory.lab_file(lab)
            raise RequestError(
                f"This lab has no TLS: set flexisip_transports: [udp, tcp, tls] in {where}."
            )
        if renew and not certificates.is_own(read.options):
            raise RequestError(
                "This lab's certificate is named in lab.yml; renew it where it comes from."
            )
        new = issuer.for_host(read, machine, renew=renew)
        found = certificates.of_lab(read.options, lab, machine.name)
    trusted = certificates.ca_file(read.options, lab)
    if as_json:
        shown = {
            "host": machine.name,
            "made": new,
            "names": list(found.names) if found else None,
            "until": found.until.isoformat() if found else None,
            "sha256": found.fingerprint if found else None,
            "ca": trusted,
        }
        click.echo(json.dumps(shown))
        return
    if found is None:
        click.echo(
            f"{machine.name} has its certificate itself: {read.options['flexisip_tls_certificate']}"
        )
    else:
        click.echo(("Made: " if new else "") + f"for {', '.join(dict.fromkeys(found.names))}")
        click.echo(f"good until {found.until:%Y-%m-%d}, SHA-256 {found.fingerprint}")
    if trusted:
        click.echo(f"Phones must trust {trusted}")
    if new:
        click.echo(f"Next: labtool deploy --host {machine.name}")
