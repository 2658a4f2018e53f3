"""labtool probe."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labtool.cli.shared import lab_option, read_secret
from labtool.errors import RequestError

if TYPE_CHECKING:
    from labtool.inventory import Lab
    from labtool.probe import Account, Result, Target
    from labtool.probe.session import Tls
    from labtool.sip.digest import Secret


def _exit_codes() -> str:
    from labtool.probe.causes import CAUSES

    rows = sorted(CAUSES.values(), key=lambda cause: cause.exit_code)
    return "Exit codes: 0 all is well; " + ", ".join(f"{c.exit_code} {c.name}" for c in rows) + "."


class _Command(click.Command):
    """The exit codes stand in the help; they are looked up only when that is asked for."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        example = "Example: labtool probe sip.example.test --user alice --password-file pw --transport all"
        for text in (example, _exit_codes()):
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(text)


@click.command(cls=_Command)
@click.argument("target", required=False, metavar="[HOST[:PORT]]")
@lab_option
@click.option("--user", metavar="NAME", help="Register as NAME; without it only OPTIONS is asked.")
@click.option("--domain", metavar="DOMAIN", help="The user's domain. Default: the lab's, or HOST.")
@click.option("--password-file", metavar="FILE", help="The user's password, on the first line.")
@click.option("--ask-password", is_flag=True, help="Ask for the user's password.")
@click.option(
    "--transport",
    default="udp",
    show_default=True,
    metavar="udp|tcp|tls|all",
    help="One, several with commas, or all: udp and tcp. With --call, caller and callee: udp,tcp.",
)
@click.option(
    "--algorithm",
    type=click.Choice(["strongest", "md5", "sha-256", "both"], case_sensitive=False),
    default="strongest",
    show_default=True,
    help="The digest algorithm to sign in with.",
)
@click.option(
    "--call", "place_call", is_flag=True, help="Call --to from --user, with sound both ways."
)
@click.option("--to", "callee", metavar="NAME", help="With --call: who is called.")
@click.option("--to-password-file", metavar="FILE", help="The password of the one who is called.")
@click.option("--seconds", type=click.FloatRange(0.2, 60), default=2.0, help="Of sound in a call.")
@click.option(
    "--lab", "whole_lab", is_flag=True, help="Every transport as the lab's first two users."
)
@click.option("--host", metavar="HOST", help="With --lab: which host. Default: the only one.")
@click.option("--ca-file", metavar="FILE", help="TLS: trust the issuers in this PEM file.")
@click.option("--insecure", is_flag=True, help="TLS: take any certificate.")
@click.option(
    "--timeout", type=click.FloatRange(0.1, 60), default=4.0, help="Seconds for each step."
)
@click.option("--capture", metavar="FILE", help="Write what was sent and received as a .pcap.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.pass_context
def probe(
    context: click.Context,
    target: str | None,
    lab: Path,
    user: str | None,
    domain: str | None,
    password_file: str | None,
    ask_password: bool,
    transport: str,
    algorithm: str,
    place_call: bool,
    callee: str | None,
    to_password_file: str | None,
    seconds: float,
    whole_lab: bool,
    host: str | None,
    ca_file: str | None,
    insecure: bool,
    timeout: float,
    capture: str | None,
    as_json: bool,
) -> None:
    """Does SIP work at HOST: OPTIONS, then REGISTER with digest, each step with its time.

    A user of the lab needs no password here: the lab's hash is enough. What was registered is
    de-registered again; other registrations are left alone.
    """
    from labtool import probe as probes
    from labtool.probe.session import Tls

    if whole_lab:
        results = _prove_lab(lab, host)
    else:
        if target is None:
            raise click.UsageError("Name a HOST, or --lab for a host of the lab.", context)
        if host is not None:
            raise click.UsageError("--host goes with --lab.", context)
        aim = probes.Target.parse(target)
        tls = Tls(ca_file, not insecure)
        packets: list[object] = []
        tap = packets.append if capture else None
        known = _lab(lab)
        over = _transports(transport)
        if place_call:
            if not user or not callee:
                raise click.UsageError("--call needs --user and --to.", context)
            first = _account(known, aim, user, domain, password_file, ask_password, over[0])
            second = _account(known, aim, callee, domain, to_password_file, False, over[-1])
            results = [
                probes.call(
                    aim,
                    caller=first,
                    callee=second,
                    seconds=seconds,
                    timeout_s=timeout,
                    tap=tap,
                    tls=tls,
                )
            ]
        else:
            account = (
                _account(known, aim, user, domain, password_file, ask_password, over[0])
                if user
                else None
            )
            algorithms = {"strongest": (), "md5": ("MD5",), "sha-256": ("SHA-256",)}.get(
                algorithm, ("MD5", "SHA-256")
            )
            results = []
            for one in over:
                results += _check(aim, one, account, algorithms, timeout, tap, tls)
        if capture:
            from labtool.trace import pcap

            pcap.write(capture, packets)  # type: ignore[arg-type]
    _show(context, results, as_json)


def _check(
    target: Target,
    transport: str,
    account: Account | None,
    algorithms: tuple[str, ...],
    timeout: float,
    tap: object,
    tls: Tls,
) -> list[Result]:
    from labtool import probe as probes

    found = probes.options(target, transport, timeout_s=timeout, tap=tap, tls=tls)  # type: ignore[arg-type]
    # Some servers answer no OPTIONS but do register: only silence ends the matter.
    if account is None or (found.cause is not None and found.cause.exit_code < 20):
        return [found]
    return [
        found,
        probes.register(
            target,
            transport,
            account.user,
            account.domain,
            account.secret,
            algorithms=algorithms,
            timeout_s=timeout,
            tap=tap,  # type: ignore[arg-type]
            tls=tls,
        ),
    ]


def _transports(text: str) -> tuple[str, ...]:
    from labtool import probe as probes

    return ("udp", "tcp") if text == "all" else probes.transports(text)


def _lab(path: Path) -> Lab | None:
    """The lab, where there is one: a probe works without."""
    from labtool import inventory

    return inventory.read(path) if inventory.exists(path) else None


def _account(
    lab: Lab | None,
    target: Target,
    user: str,
    domain: str | None,
    password_file: str | None,
    ask: bool,
    transport: str,
) -> Account:
    """Who signs in: with the password that was given, else with the lab's hash."""
    from labtool import accounts, probe
    from labtool.flexisip.names import check_domain, check_user
    from labtool.sip.digest import Password

    check_user(user)
    secret: Secret
    if password_file:
        secret = Password(read_secret(password_file))
    elif ask:
        secret = Password(click.prompt(f"Password of {user}", hide_input=True, err=True))
    elif lab is not None and any(one.name == user for one in lab.accounts):
        account = lab.account(user)
        secret, domain = accounts.secret(account), domain or account.domain
    else:
        raise RequestError(
            f"The password of {user} is needed: give it with --password-file or --ask-password."
        )
    if domain is None:
        domain = str((lab.options.get("flexisip_domain") if lab else None) or target.host)
    try:
        ip_address(domain)
    except ValueError:
        check_domain(domain)
    return probe.Account(user, domain, secret, transport)


def _prove_lab(path: Path, name: str | None) -> list[Result]:
    """The proof that ends a deployment, on its own."""
    from labtool import expectation, inventory, proof, remote, state

    lab = inventory.read(path)
    host = lab.host(name)
    found = state.HostState()
    if not lab.options["flexisip_public_address"]:
        with remote.connect(host) as connection:
            found = state.parse(connection.run(expectation.state_script(lab)).stdout)
    return proof.prove(lab, proof.target(lab, host, found), lab.accounts, lambda result: None)


def _show(context: click.Context, results: list[Result], as_json: bool) -> None:
    from labtool import probe as probes

    code = next((result.exit_code for result in results if not result.ok), 0)
    if as_json:
        shown = {
            "ok": code == 0,
            "exit_code": code,
            "results": [result.to_dict() for result in results],
        }
        click.echo(json.dumps(shown, ensure_ascii=False))
    else:
        for number, result in enumerate(results):
            if number:
                click.echo()
            click.echo(f"{result.check} {result.target} over {result.transport}")
            for line in probes.lines(result):
                click.echo(f"  {line}")
    context.exit(code)
