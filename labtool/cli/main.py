"""The door: the commands by name, each imported only when it is called.

`labtool --help` must not import Ansible, paramiko, rich or asyncio: start-up is part of the product.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from labtool import __version__
from labtool.errors import LabtoolError

# name: (module in labtool.cli, what it does). In the order in which a lab meets them.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "The whole story on this machine, without a server and without root."),
    "init": ("init", "Write a commented lab directory; never overwrites."),
    "deploy": ("deploy", "From a bare machine to a running Flexisip, proved by registrations."),
    "certificate": (
        "certificate",
        "The lab's own TLS certificate: make it, renew it, hand it out.",
    ),
    "import": ("import_host", "Make a lab of a server that was set up by hand."),
    "add-user": ("users", "Add a SIP account; it works seconds later."),
    "remove-user": ("users", "Remove a SIP account."),
    "set-password": ("users", "Give a SIP account another password."),
    "import-users": ("import_users", "Add many SIP accounts from a list."),
    "list-users": ("users", "List the lab's SIP accounts."),
    "backup": ("rollback", "Keep the server's and the lab's files in one archive."),
    "restore": ("rollback", "Bring the server and the lab to the state of a backup."),
    "rollback": ("rollback", "Back to what the server had before its last change."),
    "upgrade": ("upgrade", "Install another release, prove it, go back if it fails."),
    "probe": ("probe", "Does SIP work here: OPTIONS, REGISTER, a whole call."),
    "load": ("load", "How much the server bears: many users register or call."),
    "verify": ("verify", "Run the testinfra suite against the server."),
    "doctor": ("doctor", "What is wrong with a server, by which evidence, and the next command."),
    "lint": ("lint", "Judge a flexisip.conf or users.db.txt as Flexisip would."),
    "capture": ("capture", "Packets off the server into a file, with a live ladder."),
    "trace": ("trace", "Read a capture: its dialogs and the ladder of a call."),
    "report": ("report", "The lab report of a folder of captures, as a page and as Markdown."),
    "sandbox": ("sandbox", "Run the embedded SIP server."),
}

EPILOG = (
    "Exit codes: 0 it holds, 1 it does not, 2 the request is wrong, 3 the host can't be reached, "
    "4 somebody else holds the lock, 130 interrupted; probe has its own from 10 up."
)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"labtool.cli.{COMMANDS[name][0]}")
        # `import` is a word of Python's own, so its function is import_ (PEP 8).
        function = {"import": "import_"}.get(name, name.replace("-", "_"))
        command: click.Command = getattr(module, function)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else " See labtool --help."
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-i",
    "--inventory",
    "inventory",
    metavar="DIR",
    help="The lab's directory. Default: inventory, or LABTOOL_INVENTORY.",
)
@click.version_option(__version__, prog_name="labtool")
@click.pass_context
def cli(context: click.Context, inventory: str | None) -> None:
    """From a bare machine to two phones talking over your own Flexisip SIP server.

    Begin with `labtool demo`; then `labtool deploy --host ADDRESS --domain DOMAIN`.
    """
    context.obj = Path(inventory) if inventory else None


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run labtool and exit: an error is one sentence on stderr and its exit code."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run labtool; returns the exit code."""
    from labtool.cli import signals

    with signals.as_interrupts() as ended:
        try:
            code = _run(arguments)
        except OSError:
            if not ended.number:
                raise
            return ended.exit_code  # the terminal has gone: there is nobody to tell
    return ended.exit_code if code == 130 else code


def _run(arguments: list[str] | None) -> int:
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: `labtool ... >&-`
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123
    try:
        code: Any = cli.main(args=arguments, prog_name="labtool", standalone_mode=False)
        sys.stdout.flush()
        return int(code) if isinstance(code, int) else 0
    except click.exceptions.Exit as error:
        return int(error.exit_code)
    except click.Abort as error:
        # click's own, in place of a KeyboardInterrupt, which may say what is left.
        print(f"labtool: interrupted. {error.__cause__ or ''}".rstrip(), file=sys.stderr)
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except KeyboardInterrupt as error:
        print(f"\nlabtool: interrupted. {error}".rstrip(), file=sys.stderr)
        return 130
    except LabtoolError as error:
        from labtool.cli import failure

        if "--json" in (sys.argv[1:] if arguments is None else arguments):
            failure.print_json(error)
        failure.show(error)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read the output has gone (`labtool ... | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"labtool: {where}{error.strerror or error}", file=sys.stderr)
        return 1
