"""Results as JUnit XML, the form that CI servers read (Jenkins's junit-10.xsd)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from labtool.probe.result import Result, lines

# What XML 1.0 section 2.2 allows; the rest cannot be written even as a reference.
_ALLOWED_BELOW_SPACE = "\t\n\r"


def xml(results: Sequence[Result], at: datetime) -> str:
    """One test suite with a case for each result; `at` is when the checks began."""
    failures = sum(not result.ok for result in results)
    skipped = sum(result.ok and not result.tested for result in results)
    seconds = sum(result.seconds for result in results)
    target = results[0].target if results else ""
    rows = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites tests="{len(results)}" failures="{failures}" errors="0" '
        f'time="{seconds:.3f}">',
        f'  <testsuite name="labtool probe" hostname="{escape(target)}" tests="{len(results)}" '
        f'failures="{failures}" errors="0" skipped="{skipped}" time="{seconds:.3f}" '
        f'timestamp="{at.isoformat(timespec="seconds")}">',
    ]
    for result in results:
        rows += _case(result)
    rows += ["  </testsuite>", "</testsuites>"]
    return "\n".join(rows) + "\n"


def _case(result: Result) -> list[str]:
    name = f"{result.check} {result.account}".strip()
    text = escape("\n".join(lines(result)))
    rows = [
        f'    <testcase classname="{escape(f"labtool.probe.{result.transport}")}" '
        f'name="{escape(name)}" time="{result.seconds:.3f}">'
    ]
    if result.cause is not None:
        rows.append(
            f'      <failure type="{escape(result.cause.name)}" '
            f'message="{escape(result.verdict)}">{text}</failure>'
        )
    else:
        if not result.tested:
            rows.append(f'      <skipped message="{escape(result.verdict)}"/>')
        rows.append(f"      <system-out>{text}</system-out>")
    rows.append("    </testcase>")
    return rows


def escape(text: str) -> str:
    """Text for an element or a double-quoted attribute; what XML cannot hold becomes "?"."""
    clean = "".join(c if _allowed(c) else "?" for c in text)
    for raw, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        clean = clean.replace(raw, escaped)
    return clean


def _allowed(c: str) -> bool:
    if c < " ":
        return c in _ALLOWED_BELOW_SPACE
    return not ("\ud800" <= c <= "\udfff" or c in "\ufffe\uffff")
