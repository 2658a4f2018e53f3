"""Results as one line, as Nagios and its kin read it (Monitoring Plugins' guidelines).

    SIP OK - 192.0.2.1: 2 checks hold | time=0.0113s;;;0 options_udp=0.0012s;;;0 ...

The exit codes are theirs too: 0 OK, 2 CRITICAL, 3 UNKNOWN. There is no warning: a check holds or it
does not.
"""

from __future__ import annotations

from collections.abc import Sequence

from labtool.probe.result import Result, tally

OK, CRITICAL, UNKNOWN = 0, 2, 3
_WORDS = {OK: "OK", CRITICAL: "CRITICAL", UNKNOWN: "UNKNOWN"}


def state(results: Sequence[Result]) -> int:
    """CRITICAL where a check fails; UNKNOWN where this machine itself could not ask, or nothing
    was asked."""
    causes = {result.cause.name for result in results if result.cause is not None}
    if causes - {"local-error"}:
        return CRITICAL
    return UNKNOWN if causes or not results else OK


def line(results: Sequence[Result]) -> str:
    """The line, without its newline."""
    failed = [result for result in results if not result.ok]
    if failed:
        more = f" (and {len(failed) - 1} more of {len(results)})" if len(failed) > 1 else ""
        cause = failed[0].cause
        assert cause is not None
        text = f"{failed[0].verdict} [{cause.name}]{more}"
    elif results:
        held, untested = tally(results)
        more = f", {untested} not tested" if untested else ""
        count = f"{held} checks hold{more}" if len(results) > 1 else results[0].verdict
        text = f"{results[0].target}: {count}" if len(results) > 1 else count
    else:
        text = "nothing was checked"
    return f"{head(state(results), text)} | {' '.join(_performance(results))}".rstrip(" |")


def head(code: int, text: str) -> str:
    """The part before the performance data; a line break or a bar in the text would end it."""
    return f"SIP {_WORDS[code]} - {' '.join(text.replace('|', '/').split())}"


def _performance(results: Sequence[Result]) -> list[str]:
    """'label'=value[unit];[warn];[crit];[min];[max], each label once."""
    rows: dict[str, str] = {}
    if results:
        rows["time"] = f"{sum(result.seconds for result in results):.4f}s;;;0"
    for result in results:
        label = f"{result.check}_{result.transport}".replace(",", "_")
        if label in rows:
            label = _label(f"{label}_{result.account}")
        rows[label] = f"{result.seconds:.4f}s;;;0"
        for step in result.steps:
            if "jitter_ms" in step.facts:
                name = _label(step.name.removeprefix("sound "))
                rows[f"loss_{name}"] = f"{step.facts['loss'] * 100:.2f}%;;;0;100"
                rows[f"jitter_{name}"] = f"{step.facts['jitter_ms']}ms;;;0"
    return [
        f"'{label}'={row}" if _quoted(label) else f"{label}={row}" for label, row in rows.items()
    ]


def _label(text: str) -> str:
    """Without what would end a label or the line: white space, quotes, "=" and bars."""
    joined = "_".join(text.split())
    return "".join("_" if c in "'=|" or not c.isprintable() else c for c in joined)


def _quoted(label: str) -> bool:
    return not label.replace("_", "").replace("-", "").isalnum()
