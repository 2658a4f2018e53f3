"""labtool lint."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labtool.cli.shared import check_release
from labtool.errors import LabtoolError, RequestError
from labtool.terminal import printable

if TYPE_CHECKING:
    from labtool.flexisip.findings import Finding
    from labtool.flexisip.lint import Kind, Report

_INSTALLED = "/etc/flexisip/flexisip.conf"
# Half a million users are 64 MB.
_LARGEST = 64 << 20
# Characters of a line that are shown: a binary file has long ones.
_WIDEST = 200


@click.command(epilog="Example: labtool lint /etc/flexisip/flexisip.conf --release 2.3.5")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--conf", "confs", multiple=True, metavar="FILE", help="FILE is a flexisip.conf.")
@click.option("--users", "users", multiple=True, metavar="FILE", help="FILE is a users.db.txt.")
@click.option("--release", metavar="R", help="Flexisip's release. Default: the newest known.")
@click.option(
    "--here",
    is_flag=True,
    help="The server runs on this machine: a file that flexisip.conf names must be there. "
    "So it is for the installed /etc/flexisip/flexisip.conf anyway.",
)
@click.option("--fix", is_flag=True, help="Write the corrected file beside it, as FILE.fixed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file, for programs.")
@click.pass_context
def lint(
    context: click.Context,
    files: tuple[str, ...],
    confs: tuple[str, ...],
    users: tuple[str, ...],
    release: str | None,
    here: bool,
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
    check_release(release)
    if not wanted:
        raise click.UsageError("Name a flexisip.conf or a users.db.txt.", context)
    read = [_judged(name, kind, release or LATEST, here) for name, kind in wanted]
    # Which accounts are taken up, the configuration beside them says.
    served = [one.auth_domains for one in read if one.auth_domains is not None]
    errors = 0
    for one in read:
        if one.report.kind is Kind.USERS and len(served) == 1:
            one = replace(one, report=_report(one, served[0]))
        errors += len(_show_all(one, fix, as_json).errors)
    context.exit(1 if errors else 0)


@dataclass(frozen=True)
class _Judged:
    """A file, and what was found in it; of a configuration also the domains that it serves."""

    name: str
    content: bytes = field(repr=False)
    report: Report
    auth_domains: tuple[str, ...] | None = None


def _judged(name: str, kind: Kind | None, release: str, here: bool) -> _Judged:
    from labtool.flexisip import conf
    from labtool.flexisip import lint as judge

    content = _read(name)
    try:
        kind = kind or judge.kind_of(content, name)
    except RequestError as error:
        raise RequestError(f"{printable(name)}: {error}") from error
    here = here or str(Path(name).resolve()) == _INSTALLED
    exists = judge.exists_here if here else lambda _path: None
    report = judge.lint(content, kind=kind, release=release, name=name, exists=exists)
    domains = None
    if kind is judge.Kind.CONF:
        domains = conf.values(content, release).words("module::Authentication", "auth-domains")
    return _Judged(name, content, report, domains)


def _report(one: _Judged, served: tuple[str, ...]) -> Report:
    """A users file judged again, now that it is known whose accounts are taken up."""
    from labtool.flexisip import lint as judge

    release, kind = one.report.release, one.report.kind
    return judge.lint(one.content, kind=kind, release=release, name=one.name, auth_domains=served)


def _show_all(one: _Judged, fix: bool, as_json: bool) -> Report:
    name, report, release = one.name, one.report, one.report.release
    fixed = _write_fixed(name, one.content, report) if fix and report.findings else None
    left = _left(fixed, report) if fixed else None
    if as_json:
        shown = {
            "file": name,
            **report.to_dict(),
            "fixed": str(fixed) if fixed else None,
            "fixed_starts": left.starts if left else None,
            "fixed_findings": left.to_dict()["findings"] if left else None,
        }
        click.echo(printable(json.dumps(shown, ensure_ascii=False)))
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
    others = _counted(len(report.findings) - count, "other finding")
    click.echo(f"{name}: {words} ({_counted(count, 'error')}, {others}).")
    if fixed is not None and left is not None:
        _show_left(fixed, left)
        _show_left_out(name, report)
    elif fix and report.errors:
        click.echo(f"{name}: nothing was written: what is wrong takes a person to decide.")
    return report


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _left(fixed: Path, report: Report) -> Report:
    """What is still wrong with the file that was written."""
    from labtool.flexisip import lint as judge

    return judge.lint(fixed.read_bytes(), kind=report.kind, release=report.release, name=str(fixed))


def _show_left(fixed: Path, left: Report) -> None:
    """Whether the written file starts, and what in it only a person can put right."""
    from labtool.flexisip.findings import Severity

    if not left.starts:
        words = f"written, but Flexisip {left.release} still does not start on it"
    elif left.errors:
        words = f"written; Flexisip {left.release} starts on it, but it is not safe"
    else:
        words = f"the corrected file; Flexisip {left.release} starts on it"
    click.echo(f"{fixed}: {words}.")
    grave = (Severity.REFUSES, Severity.INSECURE, Severity.BROKEN)
    for finding in [one for one in left.findings if one.severity in grave]:
        where = f"{fixed}:{finding.line}" if finding.line else str(fixed)
        click.echo(f"{where}: for a person to decide: {_short(printable(finding.message))}")


def _show_left_out(name: str, report: Report) -> None:
    """The accounts that stand in the written file as a comment only."""
    from labtool.flexisip.findings import Severity
    from labtool.flexisip.lint import Kind

    for finding in report.findings if report.kind is Kind.USERS else ():
        if finding.severity is Severity.REFUSES and finding.fix is None:
            click.echo(
                f"{name}:{finding.line}: left out, for a person to decide: "
                f"{_short(printable(finding.message))}"
            )


def _read(name: str) -> bytes:
    try:
        with sys.stdin.buffer if name == "-" else Path(name).open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise RequestError(f"{printable(name)} cannot be read: {error.strerror}.") from error
    if len(content) > _LARGEST:
        raise RequestError(
            f"{printable(name)} is larger than {_LARGEST >> 20} MB: that is no file of Flexisip's."
        )
    return content


def _write_fixed(name: str, content: bytes, report: Report) -> Path | None:
    """The corrected file beside the other; never over a file that is there. Closed to others."""
    import os

    from labtool.flexisip import lint as judge

    if name == "-":
        raise RequestError("What comes from standard input has no place for a corrected file.")
    text = judge.fix(content, kind=report.kind, release=report.release, name=name)
    # A comment may be of another encoding than UTF-8: its bytes stay as they are.
    corrected = text.encode("utf-8", "surrogateescape")
    if corrected == content:
        return None
    path = Path(f"{name}.fixed")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise RequestError(f"{path} is there already; move it away first.") from None
    except OSError as error:
        raise LabtoolError(f"{path} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(corrected)
    return path


def _show(name: str, finding: Finding) -> None:
    colour = {"refuses": "red", "insecure": "red", "deprecated": "yellow"}.get(
        finding.severity.value.split()[0]
    )
    where = f"{name}:{finding.line}" if finding.line else name
    severity = click.style(finding.severity.value, fg=colour)
    click.echo(f"{where}: {severity}: {_short(printable(finding.message))}")
    if finding.text:
        for line in printable(finding.text).splitlines()[:3]:
            click.echo(f"    Flexisip says: {_short(line)}")
    if finding.fix is not None:
        right = _short(printable(finding.fix_shown or "")) or "(without this line)"
        if finding.line is None:
            right += f" (in [{finding.key.rpartition('/')[0]}])"
        click.echo(f"    right: {right}")


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
