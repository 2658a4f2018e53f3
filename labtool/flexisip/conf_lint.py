"""Everything that is wrong or doubtful in a flexisip.conf, with the line that would be right."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

from labtool.flexisip import conf_doubts, conf_refusals
from labtool.flexisip.conffile import decode
from labtool.flexisip.findings import Finding, Severity
from labtool.flexisip.releases import LATEST
from labtool.flexisip.settings import PACKAGED
from labtool.flexisip.startup import Judgement


def findings(
    content: str | bytes,
    release: str = LATEST,
    *,
    path: str = "/etc/flexisip/flexisip.conf",
    exists: Callable[[str], bool | None] = lambda _path: None,
    overridden: Collection[str] = (),
    features: Collection[str] = PACKAGED,
) -> list[Finding]:
    """Every finding, by line; those of the file as a whole come last."""
    judged = Judgement(content, release, path, exists, overridden, features)
    found = list(conf_refusals.findings(judged))
    refused = {f.line for f in found if f.severity is Severity.REFUSES}
    found += [f for f in conf_doubts.findings(judged) if f.line is None or f.line not in refused]
    return sorted(found, key=lambda f: (f.line is None, f.line or 0))


def corrected(content: str | bytes, found: Iterable[Finding]) -> str:
    """The file with the corrected lines in. An empty correction takes the line out; one without a
    line is of a setting that is missing, and goes below the head of its section."""
    found = list(found)
    fixes = {f.line: f.fix for f in found if f.line is not None and f.fix is not None}
    text = decode(content).removeprefix("\ufeff")
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    kept = [
        fixes.get(number, line).rstrip("\r")
        for number, line in enumerate(lines, 1)
        if fixes.get(number, "-") != ""
    ]
    for finding in found:
        if finding.line is None and finding.fix:
            _insert(kept, finding.key.rpartition("/")[0], finding.fix)
    return "\n".join(kept) + "\n" if kept else ""


def _insert(lines: list[str], section: str, setting: str) -> None:
    for number, line in enumerate(lines):
        head = re.match(r" *\[ *([^\]\s]+) *\]", line)
        if head and head[1].lower() == section.lower():
            lines.insert(number + 1, setting)
            return
    lines += [f"[{section}]", setting]
