"""labtool deploy."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labtool.cli.shared import access_from, access_options, lab_option, output_options

if TYPE_CHECKING:
    from labtool.deployment import Deployed


@click.command(
    epilog="Example: labtool deploy --host 203.0.113.5 --domain sip.example.test --ask-password"
)
@lab_option
@click.option("--host", metavar="HOST", help="The machine: an address or a name. Added to the lab.")
@click.option("--domain", metavar="DOMAIN", help="The SIP domain, written to lab.yml.")
@click.option("--user", metavar="NAME", help="Sign in by SSH as NAME. Default: root.")
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="The SSH port.")
@click.option("--identity", metavar="FILE", help="The private SSH key to sign in with.")
@click.option(
    "--public-address",
    metavar="ADDRESS",
    help="The address by which phones reach the server, where it is not the one of --host.",
)
@click.option("--transport", metavar="udp,tcp,tls", help="How phones may reach it, with commas.")
@click.option(
    "--tls-certificate",
    metavar="FILE",
    help="Its certificate and issuers, in PEM. Default: labtool makes one, by the lab's own issuer.",
)
@click.option("--tls-key", metavar="FILE", help="The certificate's private key, in PEM.")
@click.option("--repo-url", metavar="URL", help="A mirror of the package repository.")
@click.option(
    "--deb", metavar="FILE", help="A bc-flexisip package at hand, instead of a repository."
)
@click.option("--no-users", is_flag=True, help="Create no users where the lab has none.")
@click.option("--replace", "over", is_flag=True, help="Replace a server that another set up.")
@click.option("--check", is_flag=True, help="Say what would change; change nothing.")
@click.option("--diff", is_flag=True, help="Show the changed lines of files.")
@click.option("--show-command", is_flag=True, help="Print the Ansible command, and do nothing.")
@access_options
@output_options
@click.pass_context
def deploy(
    context: click.Context,
    /,
    lab: Path,
    host: str | None,
    domain: str | None,
    user: str | None,
    port: int | None,
    identity: str | None,
    public_address: str | None,
    transport: str | None,
    tls_certificate: str | None,
    tls_key: str | None,
    repo_url: str | None,
    deb: str | None,
    no_users: bool,
    over: bool,
    check: bool,
    diff: bool,
    show_command: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
    **access: Any,
) -> None:
    """From a bare Debian or Ubuntu machine to a running Flexisip, proved by registrations.

    Adds the package repository with its key, installs, writes the configuration and the users,
    starts the service, and registers as two users over each transport. Where the lab has no users,
    alice and bob are made and their passwords shown once. Run again, it changes nothing.

    A server that this lab did not set up is left alone: labtool import takes it over, and --replace
    puts the lab's configuration and users in place of its own.

    A new configuration that does not start, or with which a user can no longer sign in who could
    before, is put back, and the former one is proved again.

    With --transport udp,tcp,tls the server speaks TLS too; phones are told to trust the lab's own
    issuer, or know the one of --tls-certificate. A new certificate is one more deployment.

    Open in the firewall or the cloud's security group: 5060/udp, 5060/tcp, 5061/tcp for TLS, and the
    ports of flexisip_rtp_ports (10000-20000/udp).
    """
    from labtool import deployment, operation, playbook
    from labtool.cli import display

    chosen = {
        "flexisip_domain": domain,
        "flexisip_public_address": public_address,
        "flexisip_transports": transport.replace(" ", "").split(",") if transport else None,
        "flexisip_tls_certificate": str(Path(tls_certificate).resolve())
        if tls_certificate
        else None,
        "flexisip_tls_key": str(Path(tls_key).resolve()) if tls_key else None,
        "flexisip_repository_url": repo_url,
        "flexisip_deb": str(Path(deb).resolve()) if deb else None,
    }
    # A package at hand and a repository exclude each other: the one that is named now counts.
    if repo_url and not deb:
        chosen["flexisip_deb"] = ""
    request = deployment.Request(
        host=host,
        user=user,
        port=port,
        identity=identity,
        options={name: value for name, value in chosen.items() if value is not None},
        check=check,
        diff=diff,
        verbosity=max(0, verbose - 2),
        create_users=not no_users,
        replace=over,
    )
    wanted, machine = deployment.wanted(lab, request)
    permission = access_from(**access) if not show_command else operation.Access()
    if show_command:
        click.echo(playbook.shown(deployment.play(lab, machine, permission, request)))
        return
    if not (as_json or quiet):
        click.echo(f"Deploying to {machine.name} for {wanted.domain}", err=True)
    started = time.monotonic()
    with display.Display(quiet=quiet, verbose=verbose, as_json=as_json) as shown:
        done = deployment.deploy(lab, request, permission, shown)
    seconds = time.monotonic() - started
    if as_json:
        click.echo(json.dumps(_summary(done, seconds)))
        _print_passwords(done, err=True)
    else:
        _print(done, seconds, check=check, quiet=quiet)
    context.exit(0 if done.ok else 1)


def _summary(done: Deployed, seconds: float) -> dict[str, Any]:
    """The last line of `--json`: no password is in it, those go to stderr."""
    outcome = done.played.outcome
    return {
        "event": "deployed",
        "ok": done.ok,
        "changed": outcome.changed,
        "changed_tasks": list(outcome.changed_tasks),
        "tasks": outcome.tasks,
        "seconds": round(seconds, 2),
        "host": done.played.host.name,
        "domain": done.lab.domain,
        "address": str(done.target),
        "users": [account.name for account in done.lab.accounts],
        "restart": done.restart.to_dict() if done.restart else None,
        "key_fingerprint": done.fingerprint or None,
        "put_back": done.restored.put_back.ok if done.restored else None,
        "passes_again": done.restored.passes if done.restored else None,
        "restored": done.restored.sentence if done.restored else None,
        "log": str(outcome.log),
    }


def _print(done: Deployed, seconds: float, *, check: bool, quiet: bool) -> None:
    outcome = done.played.outcome
    if check:
        what = ", ".join(outcome.changed_tasks) or "nothing"
        click.echo(f"Would change (changed={outcome.changed}): {what}. Nothing was changed.")
        return
    if not done.ok:
        # What counts comes last.
        _print_passwords(done)
        _print_not_proved(done)
        return
    if outcome.changed:
        click.echo(
            f"Done in {seconds:.1f} s, changed={outcome.changed}: "
            + ", ".join(outcome.changed_tasks)
        )
    else:
        click.echo(f"Done in {seconds:.1f} s, nothing to change (changed=0).")
    if done.fingerprint:
        click.echo(
            f"The repository's key is {done.fingerprint}: recorded in lab.yml, another is refused."
        )
    _print_passwords(done)
    if not quiet:
        _print_next(done)


def _print_passwords(done: Deployed, *, err: bool = False) -> None:
    if not done.passwords:
        return
    click.echo("\nPasswords, shown this once:", err=err)
    for name, password in done.passwords.items():
        click.echo(f"  {name:<12} {password}", err=err)


def _print_not_proved(done: Deployed) -> None:
    failed = next((result for result in done.results if not result.ok), None)
    verdict = failed.verdict if failed else "its proof failed"
    if done.restored is not None:
        click.echo(f"\nThe new state does not pass: {verdict}", err=True)
        click.echo(done.restored.sentence, err=True)
        click.echo("The lab still says the new one: correct lab.yml, then deploy again.", err=True)
    else:
        click.echo(f"\nThe server is deployed, but does not pass: {verdict}", err=True)
    if failed is not None and failed.cause is not None:
        click.echo(f"  {failed.cause.explanation}\n  Cure: {failed.cause.cure}", err=True)


def _print_next(done: Deployed) -> None:
    """What to type into a phone."""
    from labtool import certificates

    lab, target = done.lab, done.target
    user = lab.accounts[0].name if lab.accounts else "NAME"
    transports = lab.options["flexisip_transports"]
    click.echo(f"\nIn Linphone, choose “Use a SIP account” and enter, for {user}:")
    click.echo(f"  Username   {user}")
    click.echo("  Password   " + ("as above" if done.passwords else "the one that was shown"))
    click.echo(f"  Domain     {lab.domain}")
    click.echo(f"  Transport  {' or '.join(one.upper() for one in transports)}")
    last = transports[-1]
    where = replace(target, port=target.port_for(last))
    click.echo(
        f"  SIP proxy  <sip:{where};transport={last}>  (not needed once {lab.domain} leads there)"
    )
    if trusted := certificates.ca_file(lab.options, lab.path) if "tls" in transports else None:
        click.echo(
            f"  For TLS    give the phone {trusted} to trust: in linphonerc, [sip] root_ca=FILE"
        )
    if not lab.accounts:
        click.echo("Next: labtool add-user NAME")
    elif len(lab.accounts) > 1:
        other = lab.accounts[1].name
        click.echo(f"On a second phone enter {other}, then call sip:{other}@{lab.domain}.")
