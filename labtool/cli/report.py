"""labtool report."""

from __future__ import annotations

from pathlib import Path

import click

from labtool.cli.shared import lab_is_named, lab_option, language_option


@click.command(epilog="Example: labtool report captures -i inventory -o report")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@lab_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="The folder for report.html and report.md. Default: DIR.",
)
@language_option
@click.pass_context
def report(
    context: click.Context, folder: Path, lab: Path, output: Path | None, language: str
) -> None:
    """Write the lab report of the captures in DIR (*.pcap, *.pcapng, *.gz): report.html, report.md.

    Set-up as deployed, registration, call, hang-up, media and findings, with places for your own
    words. What a lab was to be is compared with what the packets show; without a lab that is left
    out. A report that was changed since is never written over.
    """
    from labtool import inventory, labreport

    known = inventory.read(lab) if lab_is_named(context) or inventory.exists(lab) else None
    files = labreport.render(labreport.gather(folder), known, language=language)
    for path in labreport.write(output if output is not None else folder, files):
        click.echo(f"written: {path}")
    if known is not None:
        click.echo(f"compared with the lab {known.path}")
    else:
        click.echo("There is no lab, so the set-up is left out. Name one with -i.", err=True)
