"""No option takes a number that is none: a wait of nan seconds is no wait, and one of inf no end."""

from __future__ import annotations

import math

import click
import pytest

from labtool.cli.main import COMMANDS, cli, run


def numbers() -> list[tuple[str, click.Parameter]]:
    """The parameters of all commands that take a number with a fraction."""
    context = click.Context(cli)
    found = []
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        found += [
            (f"{name} {parameter.opts[0]}", parameter)
            for parameter in command.params
            if isinstance(parameter.type, click.types.FloatParamType)
        ]
    return found


def test_there_are_numbers_to_look_at() -> None:
    assert {"probe --watch", "load --hold", "capture --duration", "demo --seconds"} <= {
        name for name, _ in numbers()
    }


@pytest.mark.parametrize("text", ["nan", "-nan", "NaN", "inf", "-inf", "Infinity", "1e999"])
def test_no_command_takes_what_is_not_finite(text: str) -> None:
    assert not math.isfinite(float(text))
    for name, parameter in numbers():
        try:
            taken = parameter.type.convert(text, parameter, None)
        except click.BadParameter:
            continue
        pytest.fail(f"{name} takes {text} as {taken}")


def test_it_is_refused_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["probe", "127.0.0.1:1", "--timeout", "nan"]) == 2
    assert "'nan' is not a finite number" in capsys.readouterr().err
