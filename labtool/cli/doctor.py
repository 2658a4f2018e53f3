"""labtool doctor."""

from __future__ import annotations

import contextlib
import json
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labtool.cli.shared import access_from, access_options, lab_option, read_secret

if TYPE_CHECKING:
    from labtool.doctor.catalogue import Row
    from labtool.doctor.report import Report
    from labtool.inventory import Host, Lab
    from labtool.probe import Account

_WIDTH = 96


@click.command(
    epilog="Examples: labtool doctor --host 203.0.113.5; labtool doctor sip.example.org --user alice "
    "--ask-password; labtool doctor --explain no-sound. Exit codes: 0 nothing is wrong, 1 something "
    "is, 3 the host cannot be reached (what can be said from outside is said)."
)
@click.argument("target", required=False, metavar="[SERVER[:PORT]]")
@lab_option
@click.option("--host", metavar="HOST", help="Which host of the lab, or any host that SSH reaches.")
@click.option("--identity", metavar="FILE", help="The SSH key for a host that no lab knows.")
@click.option("--user", metavar="NAME", help="Sign in as NAME, too.")
@click.option(
    "--domain", metavar="DOMAIN", help="The user's domain. Default: the lab's, or SERVER."
)
@click.option("--password-file", metavar="FILE", help="The user's password, on the first line.")
@click.option(
    "--transport",
    metavar="udp|tcp|tls|all",
    help="With SERVER: which to ask. Default: udp,tcp.",
)
@click.option(
    "--call", "place_call", is_flag=True,
    help="Also call between the lab's first two users: their phones may ring.",
)  # fmt: skip
@click.option("--ca-file", metavar="FILE", help="TLS: trust the issuers in this PEM file.")
@click.option("--explain", metavar="ID", help="Say what a finding means; `all` lists them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@access_options
@click.pass_context
def doctor(
    context: click.Context,
    /,
    target: str | None,
    lab: Path,
    host: str | None,
    identity: str | None,
    user: str | None,
    domain: str | None,
    password_file: str | None,
    transport: str | None,
    place_call: bool,
    ca_file: str | None,
    explain: str | None,
    as_json: bool,
    **access: Any,
) -> None:
    """What is wrong with a server, by which evidence, and what to type next.

    Without SERVER it looks at a host of the lab over SSH and from outside at the same time, and
    changes nothing. With SERVER it looks from outside only, as a phone does, and needs no lab;
    --ask-password then asks for the password of --user.
    """
    from labtool import parties
    from labtool.doctor import examination
    from labtool.doctor.report import report
    from labtool.probe import Target, transports
    from labtool.probe.session import Tls

    if explain is not None:
        _explain(explain, as_json)
        return
    if target is not None and (host is not None or place_call):
        raise click.UsageError("--host and --call go without SERVER.", context)
    if target is None and transport is not None:
        raise click.UsageError("--transport goes with SERVER.", context)
    if ca_file is not None:
        Tls(ca_file).context()
    known = _lab(lab)
    started = time.monotonic()
    if target is not None:
        aim = Target.parse(target)
        over = ("udp", "tcp", "tls") if transport == "all" else transports(transport or "udp,tcp")
        over = (aim.transport,) if aim.transport and transport is None else over
        # Nobody signs in to the host here, so the password that is asked for is the user's.
        asked = bool(access["ask_password"])
        ca_file = ca_file or parties.issuer(lab, aim)
        account = _account(known, aim.host, user, domain, password_file, asked)
        with _progress(as_json) as say:
            evidence = examination.of_target(aim, over, account, ca_file=ca_file, say=say)
    else:
        one, of_lab = _host(known, lab, host, identity)
        account = _account(of_lab, one.address, user, domain, password_file, False)
        signed_in = access_from(**access)
        with _progress(as_json) as say:
            evidence = examination.of_host(
                one,
                of_lab,
                signed_in,
                user=account,
                place_call=place_call,
                ca_file=ca_file,
                say=say,
            )
    found = report(evidence, time.monotonic() - started)
    if as_json:
        click.echo(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        _show(found)
    context.exit(found.exit_code)


def _lab(path: Path) -> Lab | None:
    from labtool import inventory

    return inventory.read(path) if inventory.exists(path) else None


def _host(
    lab: Lab | None, path: Path, name: str | None, identity: str | None
) -> tuple[Host, Lab | None]:
    """The host of the lab; one that no lab knows is looked at without it."""
    from labtool.errors import RequestError
    from labtool.flexisip.names import check_host
    from labtool.inventory import Host, check_login

    if lab is not None and (
        name is None or any(name in (one.name, one.address) for one in lab.hosts)
    ):
        return lab.host(name), lab
    if name is None:
        raise RequestError(
            f"There is no lab in {path}. Name a server: labtool doctor SERVER looks from outside, "
            "labtool doctor --host HOST by SSH."
        )
    login, _, address = name.rpartition("@")
    check_host(address)
    user = check_login(login) if login else None
    variables = {"ansible_ssh_private_key_file": identity} if identity else {}
    return Host(address, address, user=user, variables=variables), None


def _account(
    lab: Lab | None,
    server: str,
    user: str | None,
    domain: str | None,
    password_file: str | None,
    ask: bool,
) -> Account | None:
    """Who signs in: by the password that was given, else by the lab's hash. None for nobody."""
    from labtool import parties
    from labtool.errors import RequestError
    from labtool.probe import Target
    from labtool.sip.digest import Password

    if user is None:
        if password_file or domain:
            raise RequestError("--domain and --password-file go with --user.")
        return None
    password = read_secret(password_file) if password_file else None
    if password is None and ask:
        password = click.prompt(f"Password of {user}", hide_input=True, err=True)
    secret = Password(password) if password is not None else None
    aim, wanted = Target(server), parties.Wanted(user, secret)
    return parties.chosen(lab, aim, domain, (wanted,))[0]


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """What is being looked at, on a terminal only."""
    if quiet or not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    with Console(stderr=True).status("Looking") as status:
        yield lambda text: status.update(f"Looking at {text}")


def _show(found: Report) -> None:
    evidence, judgement = found.evidence, found.judgement
    domain = f" ({evidence.domain})" if evidence.domain not in ("", evidence.target) else ""
    good = found.exit_code == 0
    click.echo(
        f"{evidence.target}{domain}: " + click.style(judgement.state, fg="green" if good else "red")
    )
    for port in evidence.ports:
        click.echo(f"  {port}")
    for login in evidence.logins:
        click.echo(f"  {login.result.verdict}")
    if evidence.unreachable:
        _wrapped("  SSH: ", evidence.unreachable)
    for one in found.findings:
        from labtool.doctor.catalogue import BY_ID

        click.echo()
        click.echo(click.style(f"✗ {one.id}", fg="red", bold=True))
        _wrapped("  ", one.message)
        for line in one.evidence:
            click.echo(f"  | {line}")
        _wrapped("  Users see: ", BY_ID[one.id].symptom)
        _wrapped("  Cure: ", BY_ID[one.id].cure)
        if one.consequences:
            _wrapped("  What follows from it: ", ", ".join(one.consequences))
        if one.next:
            click.echo(f"  Next: {click.style(one.next, bold=True)}")
    click.echo()
    for note in judgement.notes:
        _wrapped("Note: ", note)
    _summary(found)


def _summary(found: Report) -> None:
    shown = found.to_dict()
    count = len(found.findings)
    good = "nothing wrong" if found.reached else "nothing wrong as far as could be seen"
    what = good if not count else f"{count} finding" + ("s" if count > 1 else "")
    click.echo(f"{what}; {shown['checked']} checks in {shown['seconds']:.1f} s.")
    by_reason: dict[str, list[str]] = {}
    for id, why in found.judgement.not_checked:
        by_reason.setdefault(why, []).append(id)
    for why, ids in by_reason.items():
        names = ", ".join(ids) if len(ids) <= 6 else f"{len(ids)} checks"
        _wrapped("Not checked: ", f"{names} ({why})")


def _wrapped(head: str, text: str) -> None:
    click.echo(
        textwrap.fill(
            text,
            _WIDTH,
            initial_indent=head,
            subsequent_indent="  " if head.startswith(" ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def _explain(id: str, as_json: bool) -> None:
    from labtool.doctor.catalogue import ROWS, row

    rows = ROWS if id == "all" else (row(id),)
    if as_json:
        shown = [one.to_dict() for one in rows]
        click.echo(json.dumps(shown if id == "all" else shown[0], ensure_ascii=False))
    elif id == "all":
        width = max(len(one.id) for one in rows)
        for one in rows:
            click.echo(f"{one.id:<{width}}  {one.symptom}")
    else:
        _explain_one(rows[0])


def _explain_one(one: Row) -> None:
    click.echo(click.style(one.id, bold=True))
    _wrapped("  Users see: ", one.symptom)
    _wrapped("  Tested by: ", f"({one.how}) {one.test}")
    _wrapped("  Cure: ", one.cure)
    _wrapped("  Known from: ", one.source)
    if one.hides:
        _wrapped("  Explains, when both are found: ", ", ".join(one.hides))
