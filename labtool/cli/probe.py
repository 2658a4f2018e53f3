"""labtool probe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labtool.cli.shared import FiniteRange, lab_option, read_secret
from labtool.errors import LabtoolError, RequestError

if TYPE_CHECKING:
    from labtool.cli.watching import Stop
    from labtool.parties import Wanted
    from labtool.probe import Account, Result, Target
    from labtool.probe.session import Setting
    from labtool.sip.flow import Address, Packet

ALGORITHMS = {"strongest": (), "md5": ("MD5",), "sha-256": ("SHA-256",), "both": ("MD5", "SHA-256")}
EXAMPLES = (
    "Examples: labtool probe sip.example.test --user alice --password-file pw --transport all; "
    "labtool probe 192.0.2.1 --call --transport udp,tcp; "
    "labtool probe 192.0.2.1 --all --junit probe.xml; "
    "labtool probe 192.0.2.1 --call --watch 60 --metrics /var/lib/node_exporter/labtool.prom"
)
BRIEF_CODES = "With --brief the exit codes are Nagios's: 0 OK, 2 CRITICAL, 3 UNKNOWN."


def _exit_codes() -> str:
    from labtool.probe.causes import CAUSES

    rows = sorted(CAUSES.values(), key=lambda cause: cause.exit_code)
    return "Exit codes: 0 all is well; " + ", ".join(f"{c.exit_code} {c.name}" for c in rows) + "."


class _Command(click.Command):
    """The checks and exit codes stand in the help; they are looked up only when that is asked for.
    With --brief a wrong request too is one line for Nagios, and its exit code."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from labtool.probe.suite import CHECKS

        with formatter.section("Checks, in the order of --all"):
            formatter.write_dl([(name, about) for name, (_, about) in CHECKS.items()])
        for text in (EXAMPLES, _exit_codes(), BRIEF_CODES):
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(text)

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> click.Context:
        brief = "--brief" in args
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            if brief:
                _unknown(error.format_message())
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (LabtoolError, click.UsageError, OSError) as error:
            if ctx.params.get("brief"):
                _unknown(str(error))
            raise


def _unknown(text: str) -> None:
    from labtool.probe import nagios

    click.echo(nagios.head(nagios.UNKNOWN, text))
    raise click.exceptions.Exit(nagios.UNKNOWN)


@click.command(cls=_Command)
@click.argument("target", required=False, metavar="[HOST[:PORT]]")
@lab_option
@click.option("--user", metavar="NAME", help="Register as NAME; without it only OPTIONS is asked.")
@click.option("--domain", metavar="DOMAIN", help="The user's domain. Default: the lab's, or HOST.")
@click.option("--password-file", metavar="FILE", help="The user's password, on the first line.")
@click.option("--ask-password", is_flag=True, help="Ask for the user's password.")
@click.option(
    "--transport",
    metavar="udp|tcp|tls|all",
    help="One, several with commas, or all: udp and tcp. A check of two accounts has its caller on "
    "the first, its callee on the last. Default: what HOST's NAPTR and SRV records say, else udp.",
)
@click.option(
    "--algorithm",
    type=click.Choice(list(ALGORITHMS), case_sensitive=False),
    default="strongest",
    show_default=True,
    help="The digest algorithm to sign in with.",
)
@click.option("--check", "checks", multiple=True, metavar="NAME", help="One check; repeatable.")
@click.option("--all", "every", is_flag=True, help="Every check (tls where it is a transport).")
@click.option(
    "--call",
    "place_call",
    is_flag=True,
    help="A call with sound both ways, from --user to --to, or between the lab's first two users.",
)
@click.option("--to", "callee", metavar="NAME", help="Who is called. Default: the lab's next user.")
@click.option("--to-password-file", metavar="FILE", help="The password of the one who is called.")
@click.option(
    "--seconds",
    type=FiniteRange(0.2, 60),
    default=2.0,
    show_default=True,
    help="Of sound in a call.",
)
@click.option("--codec", type=click.Choice(["PCMU", "PCMA"], case_sensitive=False), default="PCMU")
@click.option("--hold/--no-hold", default=True, show_default=True, help="Hold and resume the call.")
@click.option(
    "--hangup",
    type=click.Choice(["caller", "callee"]),
    default="caller",
    show_default=True,
    help="Who ends the call.",
)
@click.option(
    "--expiry-wait",
    type=FiniteRange(0, 3700),
    default=5.0,
    show_default=True,
    help="Seconds that the check expiry may wait for a registration to end.",
)
@click.option(
    "--lab", "whole_lab", is_flag=True, help="Every transport as the lab's first two users."
)
@click.option("--host", metavar="HOST", help="With --lab: which host. Default: the only one.")
@click.option("--ca-file", metavar="FILE", help="TLS: trust the issuers in this PEM file.")
@click.option(
    "--tls-port",
    type=click.IntRange(1, 65535),
    help="The port for TLS, where HOST:PORT names another. Default: PORT, else 5061.",
)
@click.option("--insecure", is_flag=True, help="TLS: take any certificate.")
@click.option("--dns", metavar="ADDRESS[:PORT]", help="Ask this name server, not the system's.")
@click.option(
    "--timeout",
    type=FiniteRange(0.1, 60),
    default=4.0,
    show_default=True,
    help="Seconds for each step.",
)
@click.option("--capture", metavar="FILE", help="Write what was sent and received as a .pcap.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--brief", is_flag=True, help="One line and the exit codes of a Nagios plugin.")
@click.option("--junit", metavar="FILE", help="Write the results as JUnit XML too.")
@click.option("--metrics", metavar="FILE", help="Write the results as Prometheus metrics too.")
@click.option(
    "--watch",
    type=FiniteRange(1, 86400),
    metavar="SECONDS",
    help="Check again every SECONDS, a line each time, until Ctrl-C.",
)
@click.pass_context
def probe(context: click.Context, /, target: str | None, lab: Path, **given: Any) -> None:
    """Does SIP work at HOST: OPTIONS, then REGISTER with digest, each step with its time.

    A user of the lab needs no password here: the lab's hash is enough. What was registered is
    de-registered again; other registrations are left alone. docs/probe.md has the JSON schema and
    the metrics.
    """
    if given["brief"] and given["as_json"]:
        raise click.UsageError("--brief and --json are two forms of the same: choose one.", context)
    for option, value in (("--user", given["user"]), ("--to", given["callee"])):
        if value == "":
            raise click.UsageError(f"{option} is empty: give a user's name.", context)
    if given["ask_password"] and given["password_file"] is not None:
        raise click.UsageError("Give --ask-password or --password-file, not both.", context)
    _check_outputs(given)
    packets: list[Packet] = []
    run = _runner(context, target, lab, given, packets)
    if given["watch"] is not None:
        if given["capture"] is not None:
            raise click.UsageError(
                "--capture keeps one round: it does not go with --watch.", context
            )
        _watch(run, given)
        return
    began = time.time()
    results = list(_as_they_come(run(), given))
    code = _show(results, given)
    if given["capture"] is not None:
        from labtool.trace import pcap

        pcap.write(given["capture"], packets)
    _write(results, given, began, None)
    context.exit(code)


# -- what is asked --------------------------------------------------------------------------------


def _check_outputs(given: dict[str, Any]) -> None:
    from labtool.cli import outputs

    for option in ("junit", "metrics"):
        if given[option] is not None:
            outputs.replaceable(f"--{option}", given[option])
    if given["capture"] is not None:
        outputs.unused("--capture", given["capture"])


def _runner(
    context: click.Context, target: str | None, path: Path, given: dict[str, Any], packets: Any
) -> Callable[[], Iterator[Result]]:
    """What makes one round of results, after all that can be wrong with the request is judged."""
    if given["whole_lab"]:
        if given["place_call"] or given["every"] or given["checks"]:
            raise click.UsageError("--lab has its own checks: OPTIONS and REGISTER.", context)
        return lambda: _prove_lab(path, given["host"])
    if target is None:
        raise click.UsageError("Name a HOST, or --lab for a host of the lab.", context)
    if given["host"] is not None:
        raise click.UsageError("--host goes with --lab.", context)
    from labtool import parties
    from labtool.probe import suite
    from labtool.probe.session import Setting, Tls
    from labtool.probe.target import Target

    aim = replace(Target.parse(target), tls_port=given["tls_port"])
    setting = Setting(
        timeout=given["timeout"],
        tap=packets.append if given["capture"] is not None else None,
        tls=Tls(given["ca_file"], not given["insecure"]),
        patience=given["expiry_wait"],
        nameserver=_nameserver(given["dns"]),
    )
    if given["callee"] and not given["user"] and parties.lab(path) is None:
        raise click.UsageError("--to is who is called: name the caller with --user.", context)
    over = _transports(given["transport"], aim, setting)
    if "tls" in over and given["ca_file"] is None:
        # A phone of the lab was told to trust this one.
        tls = replace(setting.tls, ca_file=parties.issuer(path, aim))
        setting = replace(setting, tls=tls)
    checks = _checks(given, over)
    encrypted = "tls" in (*over, *checks)
    needed = suite.accounts_needed(checks)
    caller, callee, domain = _parties(path, aim, given, needed, encrypted=encrypted)
    plan = suite.Plan(
        aim,
        over,
        checks,
        caller,
        callee,
        domain,
        algorithms=ALGORITHMS[given["algorithm"]],
        seconds=given["seconds"],
        codec=given["codec"].upper(),
        hangup=given["hangup"],
        hold=given["hold"],
    )
    return lambda: suite.run(plan, setting)


def _checks(given: dict[str, Any], transports: tuple[str, ...]) -> tuple[str, ...]:
    if given["every"]:
        from labtool.probe.suite import CHECKS

        return tuple(name for name in CHECKS if name != "tls" or "tls" in transports)
    named = [name.lower() for name in given["checks"]]
    if given["place_call"]:
        named.append("call")
    if not named:
        named = ["options", "register"] if given["user"] else ["options"]
    return tuple(dict.fromkeys(named))


def _transports(text: str | None, target: Target, setting: Setting) -> tuple[str, ...]:
    from labtool.probe import location
    from labtool.probe.target import transports

    if text is None:
        found = target.transport or location.preferred(target, setting.nameserver)
        return (found or "udp",)
    return ("udp", "tcp") if text.lower() == "all" else transports(text)


def _parties(
    path: Path, target: Target, given: dict[str, Any], needed: int, *, encrypted: bool
) -> tuple[Account | None, Account | None, str | None]:
    """Caller, callee and domain of a Plan. A certificate too must be for the lab's domain."""
    if not needed and not encrypted:
        return None, None, given["domain"]
    from labtool import parties

    known = parties.lab(path)
    wanted = [_wanted(given["user"], given["password_file"], given["ask_password"])]
    wanted += [_wanted(given["callee"], given["to_password_file"], False)]
    found = parties.chosen(known, target, given["domain"], tuple(wanted[:needed]))
    caller = found[0] if found else None
    domain = given["domain"] or (known.options["flexisip_domain"] if known else None)
    return caller, found[1] if len(found) > 1 else None, domain


def _wanted(user: str | None, file: str | None, ask: bool) -> Wanted:
    from labtool.parties import Wanted
    from labtool.sip.digest import Password

    if file:
        return Wanted(user, Password(read_secret(file)))
    if ask:
        who = f"Password of {user}" if user else "Password"
        return Wanted(user, Password(click.prompt(who, hide_input=True, err=True)))
    return Wanted(user)


def _nameserver(text: str | None) -> Address | None:
    if text is None:
        return None
    from labtool.probe.target import Target
    from labtool.sip.errors import SipError
    from labtool.sip.flow import Address

    named = Target.parse(text)
    address = Address(named.host, named.port or 53)
    try:
        address.sockaddr()
    except (OSError, SipError):
        raise RequestError(f"--dns {text}: a name server is named by its IP address.") from None
    return address


def _prove_lab(path: Path, name: str | None) -> Iterator[Result]:
    """The proof that ends a deployment, on its own."""
    from labtool import expectation, inventory, proof, remote, state

    lab = inventory.read(path)
    host = lab.host(name)
    found = state.HostState()
    if not lab.options["flexisip_public_address"]:
        with remote.connect(host) as connection:
            found = state.parse(connection.run(expectation.state_script(lab)).stdout)
    target = proof.target(lab, host, found)
    yield from proof.prove(lab, target, lab.accounts, lambda result: None)


# -- what came of it ------------------------------------------------------------------------------


def _watch(run: Callable[[], Iterator[Result]], given: dict[str, Any]) -> None:
    """Round after round, each beginning `watch` seconds after the last began. Being stopped is
    the usual end of it: exit code 0."""
    from labtool.cli.watching import until_stopped
    from labtool.probe.prometheus import Counts

    counts = Counts()
    with until_stopped() as stop:
        while not stop.asked:
            began = time.time()
            results = list(_until(stop, run()))
            if results:
                _show_round(results, given, began)
                counts.add(results)
                _write(results, given, began, counts)
            stop.wait(began + given["watch"] - time.time())


def _until(stop: Stop, results: Iterator[Result]) -> Iterator[Result]:
    for result in results:
        yield result
        if stop.asked:
            return


def _show_round(results: list[Result], given: dict[str, Any], began: float) -> None:
    from labtool.probe import nagios

    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began))
    if given["as_json"]:
        import json

        click.echo(json.dumps({"time": at, **_json(results)}, ensure_ascii=False))
    else:
        click.echo(nagios.line(results) if given["brief"] else f"{at} {nagios.line(results)}")


def _as_they_come(results: Iterator[Result], given: dict[str, Any]) -> Iterator[Result]:
    """Print each result for people when it is there: a call takes seconds."""
    from labtool.probe.result import lines

    silent = given["brief"] or given["as_json"]
    for number, result in enumerate(results):
        if not silent:
            if number:
                click.echo()
            click.echo(f"{result.check} {result.target} over {result.transport}")
            for line in lines(result):
                click.echo(f"  {line}")
        yield result


def _show(results: list[Result], given: dict[str, Any]) -> int:
    """Print what is to be said of all results together; the exit code."""
    if given["brief"]:
        from labtool.probe import nagios

        click.echo(nagios.line(results))
        return nagios.state(results)
    shown = _json(results)
    if given["as_json"]:
        import json

        click.echo(json.dumps(shown, ensure_ascii=False))
    elif len(results) > 2:
        from labtool.probe.result import tally

        held, untested = tally(results)
        more = f", {untested} not tested" if untested else ""
        click.echo(f"\n{held} of {len(results)} checks hold{more}.")
    return int(shown["exit_code"])


def _json(results: list[Result]) -> dict[str, Any]:
    code = next((result.exit_code for result in results if not result.ok), 0)
    return {
        "ok": code == 0,
        "exit_code": code,
        "results": [result.to_dict() for result in results],
    }


def _write(results: list[Result], given: dict[str, Any], began: float, counts: Any) -> None:
    """The files that were asked for, each replaced as a whole. They hold no secret, and others
    (a CI server, node_exporter) must be able to read them."""
    if given["junit"]:
        from datetime import datetime, timezone

        from labtool import atomic
        from labtool.probe import junit

        at = datetime.fromtimestamp(began, timezone.utc)
        atomic.write(Path(given["junit"]), junit.xml(results, at), mode=0o644)
    if given["metrics"]:
        from labtool import atomic
        from labtool.probe import prometheus

        if counts is None:
            counts = prometheus.Counts()
            counts.add(results)
        text = prometheus.text(results, counts, time.time())
        atomic.write(Path(given["metrics"]), text, mode=0o644)
