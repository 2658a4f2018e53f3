"""The door: help, what start-up imports, unknown commands, output that nobody reads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from labtool import __version__
from labtool.cli.main import COMMANDS, run

HEAVY = ("ansible", "paramiko", "rich", "asyncio", "dpkt", "jinja2", "yaml", "cryptography")


def labtool(*arguments: str, python: tuple[str, ...] = (), **more: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, *python, "-m", "labtool", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **more},
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_help_imports_nothing_that_is_slow() -> None:
    code, out, said = labtool("--help", python=("-X", "importtime"))
    assert code == 0
    assert "Usage: labtool" in out
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in said.splitlines()}
    assert "click" in imported, "the list of imports was read"
    assert imported.isdisjoint(HEAVY)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_imports_nothing_that_is_slow(command: str) -> None:
    script = (
        "import sys\nfrom labtool.cli.main import run\n"
        f"code = run([{command!r}, '--help'])\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_that_begins_with_it(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith(f"Usage: labtool {command} ")
    assert re.search(rf"Examples?: labtool {command} ", text)


def test_every_command_is_listed_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for name, (_, words) in COMMANDS.items():
        assert re.search(rf"^  {name} ", text, re.MULTILINE)
        assert " ".join(words.split()[:3]) in " ".join(text.split())
    assert "Exit codes: 0 it holds" in text


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "meant"), [("deplyo", "deploy"), ("adduser", "add-user"), ("lst-users", "list-users")]
)
def test_an_unknown_command_is_refused_with_the_one_that_was_likely_meant(
    word: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([word]) == 2
    assert f"There is no command '{word}'. Did you mean {meant}?" in capsys.readouterr().err


def test_an_unknown_command_that_is_near_none_leads_to_the_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["xyzzy"]) == 2
    assert "There is no command 'xyzzy'. See labtool --help." in capsys.readouterr().err


def test_an_unknown_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", "--hots", "x"]) == 2
    assert "--host" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("--help",), ("list-users", "--json"), ("lint", "--help")])
def test_a_reader_that_has_gone_is_no_crash(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert run(["init", "-i", str(tmp_path / "lab"), "--domain", "a.test"]) == 0
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "labtool", *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "LABTOOL_INVENTORY": str(tmp_path / "lab")},
        )
    finally:
        os.close(writing)
    assert done.returncode == 1
    assert done.stderr == ""


def test_the_lab_is_named_before_or_behind_the_command_or_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABTOOL_INVENTORY", raising=False)
    assert run(["-i", "one", "init"]) == 0
    assert run(["init", "-i", "two"]) == 0
    monkeypatch.setenv("LABTOOL_INVENTORY", "three")
    assert run(["init"]) == 0
    monkeypatch.delenv("LABTOOL_INVENTORY")
    assert run(["init"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "inventory",
        "one",
        "three",
        "two",
    ]
    assert "Next: labtool deploy --host ADDRESS --domain DOMAIN" in capsys.readouterr().out


def test_an_interruption_is_130_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from labtool import inventory

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(inventory, "read", interrupted)
    assert run(["list-users"]) == 130
    assert capsys.readouterr().err == "\nlabtool: interrupted.\n"


def test_what_an_interruption_left_undone_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from labtool import inventory

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt("The host is half way.")

    monkeypatch.setattr(inventory, "read", interrupted)
    assert run(["list-users"]) == 130
    assert capsys.readouterr().err == "\nlabtool: interrupted. The host is half way.\n"
