"""What a person reads of an operation that was interrupted."""

from __future__ import annotations

from typing import Any

import pytest

from labtool.cli.display import Display
from labtool.operation import INTERRUPTED, left_off


def task(name: str) -> dict[str, Any]:
    return {"event": "task", "name": name}


def done(name: str, *, changed: bool = True) -> dict[str, Any]:
    return {"event": "result", "name": name, "outcome": "ok", "changed": changed, "seconds": 0.1}


def test_an_interrupted_play_says_what_is_in_place_and_how_to_go_on() -> None:
    events = [task("Render flexisip.conf"), done("Render flexisip.conf")]
    said = left_off([*events, task("Enable and start the service")])
    assert said == (
        "The configuration is replaced; nothing was proved. “Enable and start the service” was under "
        f"way, and may be done. {INTERRUPTED}"
    )


def test_a_play_that_had_changed_nothing_says_so() -> None:
    events = [task("Render flexisip.conf"), done("Render flexisip.conf", changed=False)]
    said = left_off(events)
    assert said.startswith("Nothing that the server runs with was changed; nothing was proved. Run")


def test_a_phase_that_was_interrupted_has_not_failed(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        with Display() as shown:
            shown.phase("Service")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    said = capsys.readouterr().err
    assert "· Service" in said
    assert "interrupted" in said
    assert "✗" not in said
