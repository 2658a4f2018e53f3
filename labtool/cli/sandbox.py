"""labtool sandbox."""

from __future__ import annotations

from pathlib import Path

import click

from labtool.cli.shared import check_release, lab_option


@click.command(epilog="Example: labtool sandbox --conf /etc/flexisip/flexisip.conf")
@lab_option
@click.option("--conf", metavar="FILE", help="Any flexisip.conf. Default: what the lab renders.")
@click.option("--release", metavar="R", help="Read it as this release of Flexisip does.")
@click.option("--port", type=click.IntRange(1, 65535), help="Another port than the file names.")
@click.option(
    "--public", is_flag=True, help="Listen on addresses other than this machine's loopback."
)
@click.option("--json-log", metavar="FILE", help="One JSON object for each thing that happens.")
def sandbox(
    lab: Path,
    conf: str | None,
    release: str | None,
    port: int | None,
    public: bool,
    json_log: str | None,
) -> None:
    """Run the embedded SIP server until Ctrl-C.

    A registrar and proxy that reads flexisip.conf and users.db.txt as strictly as Flexisip: what
    Flexisip refuses to start on, it refuses, in the same words. It serves the lab, or any
    flexisip.conf, on the transports and with the users file that it names.
    """
    from labtool import embedded
    from labtool.sandbox.__main__ import main as serve

    check_release(release)
    with embedded.configuration(lab, conf, public=public, release=release) as file:
        arguments = ["--conf", str(file)]
        for option, value in (("--release", release), ("--port", port), ("--json-log", json_log)):
            if value is not None:
                arguments += [option, str(value)]
        raise click.exceptions.Exit(serve([*arguments, *(["--public"] if public else [])]))
