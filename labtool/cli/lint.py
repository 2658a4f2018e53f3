"""labtool lint."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labtool.errors import LabtoolError, RequestError
from labtool.terminal import printable

if TYPE_CHECKING:
    from labtool.flexisip.findings import Finding
    from labtool.flexisip.lint import Kind, Report


@click.command(epilog="Example: labtool lint /etc/flexisip/flexisip.conf --release 2.3.5")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--conf", "confs", multiple=True, metavar="FILE", help="FILE is a flexisip.conf.")
@click.option("--users", "users", multiple=True, metavar="FILE", help="FILE is a users.db.txt.")
@click.option("--release", metavar="R", help="Flexisip's release. Default: the newest known.")
@click.option("--fix", is_flag=True, help="Write the corrected file beside it, as FILE.fixed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file, for programs.")
@click.pass_context
def lint(
    context: click.Context,
    files: tuple[str, ...],
    confs: tuple[str, ...],
    users: tuple[str, ...],
    release: str | None,
    fix: bool,
    as_json: bool,
) -> None:
    """Judge any flexisip.conf and users.db.txt as a release of Flexisip would.

    Each finding has its line, the words that Flexisip would say, and what would be right. Exit 1
    where a file would keep the server from starting, or leave it open to all.
    """
    from labtool.flexisip.lint import Kind
    from labtool.flexisip.releases import LATEST

    wanted: list[tuple[str, Kind | None]] = [(name, None) for name in files]
    wanted += [(name, Kind.CONF) for name in confs] + [(name, Kind.USERS) for name in users]
    if not wanted:
        raise click.UsageError("Name a flexisip.conf or a users.db.txt.", context)
    errors = 0
    for name, kind in wanted:
        errors += len(_one(name, kind, release or LATEST, fix, as_json).errors)
    context.exit(1 if errors else 0)


def _one(name: str, kind: Kind | None, release: str, fix: bool, as_json: bool) -> Report:
    from labtool.flexisip import lint as judge

    content = _read(name)
    try:
        kind = kind or judge.kind_of(content, name)
    except RequestError as error:
        raise RequestError(f"{name}: {error}") from error
    report = judge.lint(content, kind=kind, release=release, name=name)
    fixed = _write_fixed(name, content, report) if fix and report.findings else None
    if as_json:
        shown = {"file": name, **report.to_dict(), "fixed": str(fixed) if fixed else None}
        click.echo(json.dumps(shown, ensure_ascii=False))
        return report
    for finding in report.findings:
        _show(name, finding)
    count = len(report.errors)
    if not report.starts:
        words = f"Flexisip {release} does not start on it"
    elif count:
        words = f"Flexisip {release} starts on it, but it is not safe"
    else:
        words = f"Flexisip {release} starts on it"
    noun = "error" if count == 1 else "errors"
    click.echo(f"{name}: {words} ({count} {noun}, {len(report.findings) - count} other findings).")
    if fixed is not None:
        click.echo(f"{name}: the corrected file is {fixed}")
    return report


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise RequestError(f"{name} cannot be read: {error.strerror}.") from error


def _write_fixed(name: str, content: bytes, report: Report) -> Path | None:
    """The corrected file beside the other; never over a file that is there. Closed to others."""
    import os

    from labtool.flexisip import lint as judge

    if name == "-":
        raise RequestError("What comes from standard input has no place for a corrected file.")
    text = judge.fix(content, kind=report.kind, release=report.release, name=name)
    if text.encode() == content:
        return None
    path = Path(f"{name}.fixed")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise RequestError(f"{path} is there already; move it away first.") from None
    except OSError as error:
        raise LabtoolError(f"{path} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
        stream.write(text)
    return path


def _show(name: str, finding: Finding) -> None:
    colour = {"refuses": "red", "insecure": "red", "deprecated": "yellow"}.get(
        finding.severity.value.split()[0]
    )
    where = f"{name}:{finding.line}" if finding.line else name
    severity = click.style(finding.severity.value, fg=colour)
    click.echo(f"{where}: {severity}: {printable(finding.message)}")
    if finding.text:
        for line in printable(finding.text).splitlines()[:3]:
            click.echo(f"    Flexisip says: {line}")
    if finding.fix is not None:
        click.echo(f"    right: {printable(finding.fix_shown or '') or '(without this line)'}")
