"""SIGTERM and SIGHUP end a command as Ctrl-C does: nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labtool.cli.signals import noted

D = "sip.example.test"
CONF = """[global]
transports=sip:127.0.0.1:5060;transport=udp
aliases=localhost
[module::DoSProtection]
enabled=false
[module::Registrar]
reg-domains={d}
[module::Authentication]
enabled=true
auth-domains={d}
file-path={users}
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_load_of_calls_that_is_ended_signs_out(tmp_path: Path, number: signal.Signals) -> None:
    users, conf, log = tmp_path / "users.db.txt", tmp_path / "flexisip.conf", tmp_path / "log"
    users.write_text(f"version:1\n\na@{D} clrtxt:x ;\nb@{D} clrtxt:y ;\n")
    conf.write_text(CONF.format(d=D, users=users))
    python = [sys.executable, "-m"]
    served = [
        *python,
        "labtool.sandbox",
        "--conf",
        str(conf),
        "--port",
        "0",
        "--json-log",
        str(log),
    ]
    with subprocess.Popen(served, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1]
            ask = [*python, "labtool", "load", address, "--users-file", str(users), "--calls"]
            child = subprocess.Popen(
                [*ask, "--hold", "30", "--rate", "5", "--duration", "60"],
                # These tests may run under nohup, whose children ignore SIGHUP.
                preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
            )
            _wait(lambda: _count(log, "registered") >= 2)
            time.sleep(0.6)
            os.kill(child.pid, number)
            assert child.wait(20) == 128 + number
        finally:
            server.terminate()
    assert _count(log, "unregistered") == 2


def _wait(done: object) -> None:
    end = time.monotonic() + 20
    while not done():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)


def _count(log: Path, kind: str) -> int:
    lines = log.read_text().splitlines() if log.exists() else []
    return sum(json.loads(line)["event"] == kind for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_noted_signal_interrupts_nothing_and_the_next_one_does(number: signal.Signals) -> None:
    former = signal.getsignal(number)
    with noted() as came:
        assert not came()
        signal.raise_signal(number)
        assert came()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is former
