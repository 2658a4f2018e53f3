"""labtool init."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from labtool.cli.shared import DEFAULT_INVENTORY, lab_option


@click.command(epilog="Example: labtool init --domain sip.example.test")
@lab_option
@click.option("--domain", metavar="DOMAIN", help="The SIP domain, for example sip.example.test.")
def init(lab: Path, domain: str | None) -> None:
    """Write a commented lab directory; never overwrites.

    The lab is a plain Ansible inventory: hosts.yml names the machines, group_vars/flexisip/lab.yml
    says what the server is to be.
    """
    from labtool import inventory, options

    if domain is not None:
        options.check_one("flexisip_domain", domain, where="the command line")
    for file in inventory.initialise(lab, domain=domain):
        click.echo(f"wrote {file}")
    where = "" if str(lab) == DEFAULT_INVENTORY else f" -i {shlex.quote(str(lab))}"
    more = "" if domain else " --domain DOMAIN"
    click.echo(f"Next: labtool deploy{where} --host ADDRESS{more}")
