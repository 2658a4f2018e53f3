"""docs/trace.md against what it documents."""

from __future__ import annotations

import re
from pathlib import Path

from trace_scenario import ALICE, ALICE_RTP, BOB_RTP, SERVER, Scenario

from labtool.trace.findings.finding import CATALOGUE
from labtool.trace.report import report

_TEXT = (Path(__file__).parents[3] / "docs" / "trace.md").read_text(encoding="utf-8")


def test_every_finding_is_documented_with_its_severity() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (error|warning|notice) \|", _TEXT, re.MULTILINE))
    assert rows == CATALOGUE


def test_every_key_of_the_json_object_is_documented() -> None:
    s = Scenario()
    s.sip(ALICE, SERVER, "REGISTER sip:lab.test", cseq="1 REGISTER", call="r")
    s.answered()
    s.rtp(3, (BOB_RTP, ALICE_RTP), lose=5)
    found = report(s.analyse())
    parts = dict(re.findall(r"^`(\w+)`(.*?)(?=^`\w+`|\Z)", _TEXT, re.MULTILINE | re.DOTALL))
    for name, part in found.items():
        row = part if isinstance(part, dict) else (part[0] if part else {})
        documented = set(re.findall(r"`(\w+)`", parts[name]))
        assert set(row) <= documented, name
    assert found["registrations"]
    assert found["streams"]
    assert found["findings"]
