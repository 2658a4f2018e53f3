"""What programs read is documented, and what is documented is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from click.testing import CliRunner

from labtool.cli.lint import lint
from labtool.flexisip.findings import Severity
from labtool.probe.load import Limit
from labtool.probe.load_statistics import Round
from labtool.sip.__main__ import check

ROOT = Path(__file__).parents[2]


def _documented(page: str, section: str = "") -> set[str]:
    """What stands in the first columns of the tables of a page, or of one section, in code."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    if section:
        _, heading, text = text.partition(f"\n## {section}\n")
        assert heading, section
        text = text.partition("\n## ")[0]
    rows = re.findall(r"(?m)^\| (`[^|]*)\|", text)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def test_each_key_of_a_load_is_documented() -> None:
    made = Round("call", 1.0, 1.0, 1, 0, 1, 0, {}, 0, None, 0.1)
    assert _documented("load.md") == set(made.to_dict())
    text = (ROOT / "docs/load.md").read_text(encoding="utf-8")
    assert all(f"`{key}`" in text for key in Limit(1.0, "server", (made,)).to_dict())


def test_each_event_of_the_sandbox_is_documented() -> None:
    sources = "".join(file.read_text() for file in (ROOT / "labtool/sandbox").glob("*.py"))
    events = set(re.findall(r'\b(?:_journal|self)\.write\(\s*"([a-z]+)"', sources))
    assert events == _documented("sandbox.md", "`--json-log`")


def test_each_key_of_a_judgement_is_documented(tmp_path: Path) -> None:
    (tmp_path / "message").write_bytes(b"OPTIONS sip:a SIP/2.0\r\n\r\n")
    shown = json.loads(check(str(tmp_path / "message")))
    assert set(shown) == _documented("sandbox.md", "Judging messages")


def test_what_lint_says_is_documented(tmp_path: Path) -> None:
    file = tmp_path / "flexisip.conf"
    file.write_text("[global]\ndebug=true\n")
    found = json.loads(CliRunner().invoke(lint, [str(file), "--json"]).output)
    severities = {severity.value for severity in Severity}
    assert _documented("lint.md") == {*found, *severities}
    text = (ROOT / "docs/lint.md").read_text(encoding="utf-8")
    assert all(f"`{key}`" in text for key in (*found["findings"][0], *found["refusal"]))
