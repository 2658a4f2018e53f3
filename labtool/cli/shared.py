"""Options that several commands have."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from labtool.errors import RequestError

if TYPE_CHECKING:
    from labtool.membership import Change
    from labtool.operation import Access
    from labtool.remote import HostKey

Function = TypeVar("Function", bound=Callable[..., Any])

DEFAULT_INVENTORY = "inventory"
# Bytes; longer than any password that a server takes.
_LONGEST_SECRET = 1024


class FiniteRange(click.FloatRange):
    """A number in a range. click takes "nan" for one in every range, and "inf" in an open one."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = click.FLOAT.convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return float(super().convert(number, param, ctx))


def lab_option(
    function: Function, help: str = "The lab's directory. Default: inventory, or LABTOOL_INVENTORY."
) -> Function:
    """`-i DIR`: the lab. The command gets `lab`, a Path."""
    return click.option(
        "-i",
        "--inventory",
        "lab",
        metavar="DIR",
        callback=_lab,
        help=help,
    )(function)


def lab_is_named(context: click.Context) -> bool:
    """Whether somebody asked for a lab: by -i, here or before the command, or by the environment."""
    return (
        context.get_parameter_source("lab") is not ParameterSource.DEFAULT
        or context.obj is not None
        or "LABTOOL_INVENTORY" in os.environ
    )


def _lab(context: click.Context, _: click.Parameter, value: str | None) -> Path:
    chosen = value or context.obj or os.environ.get("LABTOOL_INVENTORY") or DEFAULT_INVENTORY
    return Path(chosen)


def language_option(function: Function) -> Function:
    """`--lang en|zh`: what is said about a capture. The command gets `language`."""
    return click.option(
        "--lang",
        "language",
        type=click.Choice(["en", "zh"]),
        default="en",
        show_default=True,
        help="The language of everything that is said about the capture.",
    )(function)


def access_options(function: Function) -> Function:
    """How to sign in to the host. The command gets `access`, a dict for `access_from`."""
    options = [
        click.option(
            "--ask-password",
            is_flag=True,
            help="Ask for the SSH password: what a cloud's machine begins with.",
        ),
        click.option(
            "--ssh-password-file",
            metavar="FILE",
            help="Read the SSH password from the first line of FILE.",
        ),
        click.option(
            "--ask-become-password", is_flag=True, help="Ask for the password that sudo asks for."
        ),
        click.option(
            "--accept-host-key",
            is_flag=True,
            help="Trust a host key that is not known yet. A changed one is refused all the same.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def access_from(
    ask_password: bool,
    ssh_password_file: str | None,
    ask_become_password: bool,
    accept_host_key: bool,
) -> Access:
    """The answers to `access_options`, asked for on the terminal where they must be."""
    from labtool.operation import Access

    password = read_secret(ssh_password_file) if ssh_password_file else None
    if ask_password and password is None:
        password = ask_secret("SSH password", "--ssh-password-file")
    become = None
    if ask_become_password:
        become = ask_secret("sudo password", "")
    return Access(password, become, (lambda key: True) if accept_host_key else _ask_about)


def _ask_about(key: HostKey) -> bool:
    import sys

    if not sys.stdin.isatty():
        return False
    from labtool.cli import display

    with display.paused():
        click.echo(f"The host {key.name} is not known yet. Its key is {key.type}", err=True)
        click.echo(f"  {key.fingerprint}", err=True)
        click.echo("Compare it with what the machine's own console shows for", err=True)
        click.echo("  ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub", err=True)
        return click.confirm("Trust it?", default=False, err=True)


def ask_secret(what: str, instead: str) -> str:
    """A secret typed at the terminal. Raises RequestError where there is none to ask on."""
    import sys

    if not sys.stdin.isatty():
        way = f"; give it with {instead} FILE" if instead else ""
        raise RequestError(f"There is no terminal to ask for the {what} on{way}.")
    return str(click.prompt(what, hide_input=True, err=True))


def check_release(text: str | None) -> None:
    """What --release named, if anything. Raises RequestError where it is no known release."""
    from labtool.flexisip.releases import check_known

    if text is not None:
        try:
            check_known(text)
        except ValueError as error:
            raise RequestError(f"--release {text}: {error}.") from error


def read_secret(file: str) -> str:
    """The first line of a file. Raises RequestError where it cannot be read or is empty."""
    path = Path(file)
    try:
        with path.open("rb") as stream:
            # One line: a device or another file of no end is not read to its end.
            line = stream.readline(_LONGEST_SECRET + 1)
        secret = line.decode().rstrip("\n").rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise RequestError(f"The password file {path} cannot be read: {why}.") from error
    if len(line) > _LONGEST_SECRET:
        raise RequestError(
            f"The password file {path} begins with over {_LONGEST_SECRET} bytes in one line; no password."
        )
    if not secret:
        raise RequestError(f"The password file {path} is empty.")
    return secret


def output_options(function: Function) -> Function:
    """`--json`, `-v`, `-q`: how much is shown, and to whom."""
    for option in (
        click.option("-q", "--quiet", is_flag=True, help="Say only what came of it."),
        click.option("-v", "--verbose", count=True, help="Show each task; -vv, what it said."),
        click.option(
            "--json", "as_json", is_flag=True, help="One JSON object a line, for programs."
        ),
    ):
        function = option(function)
    return function


def tell_failed(change: Change) -> None:
    """What a change of users that was not proved came to."""
    for sentence in change.told:
        click.echo(sentence, err=True)
    if change.restored is not None:
        return
    failed = next((one for one in reversed(change.results) if not one.ok), change.results[-1])
    click.echo(f"The proof: {failed.verdict}", err=True)
    if failed.cause is not None:
        click.echo(f"  {failed.cause.explanation}\n  Cure: {failed.cause.cure}", err=True)
