"""What a probe found: steps, each with its time, and one verdict. No secret is ever in them.

The JSON form (`to_dict`), of a Result:

    target       str        what was asked for, as host[:port]
    transport    str        "udp", "tcp", "tls"; for a call "udp,tcp" where the two sides differ
    check        str        "options", "register", "wrong-password", "call", ...
    account      str        who signed in, as user@domain; for a call "alice to bob"; "" for nobody
    ok           bool
    tested       bool       False: nothing spoke against it, but what it is for was not tried
    exit_code    int        0, or the cause's
    verdict      str        one sentence
    seconds      float      from the first step to the end of the last
    cause        null | {name, exit_code, explanation, cure}
    steps        [Step]

and of a Step:

    name             str
    ok               bool
    seconds          float
    detail           str        what came, for people
    retransmissions  int        requests that had to be repeated (UDP)
    cause            null | as above
    facts            {str: str | int | float | bool | null | list}   what came, for programs
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labtool.probe.causes import Cause


@dataclass(frozen=True)
class Step:
    """One thing that was tried. `seconds` is from asking to knowing."""

    name: str
    ok: bool
    seconds: float
    detail: str = ""
    cause: Cause | None = None
    retransmissions: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ok": self.ok,
            "seconds": round(self.seconds, 6),
            "detail": self.detail,
            "retransmissions": self.retransmissions,
            "cause": self.cause.to_dict() if self.cause else None,
            "facts": dict(self.facts),
        }


@dataclass(frozen=True)
class Result:
    """What one check of one server found. `seconds` is how long it all took."""

    check: str
    target: str
    transport: str
    steps: tuple[Step, ...]
    verdict: str
    seconds: float
    cause: Cause | None = None
    account: str = ""
    tested: bool = True

    @property
    def ok(self) -> bool:
        return self.cause is None

    @property
    def exit_code(self) -> int:
        """0 where it holds, otherwise the cause's own code."""
        return self.cause.exit_code if self.cause else 0

    def to_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "transport": self.transport,
            "check": self.check,
            "account": self.account,
            "ok": self.ok,
            "tested": self.tested,
            "exit_code": self.exit_code,
            "verdict": self.verdict,
            "seconds": round(self.seconds, 6),
            "cause": self.cause.to_dict() if self.cause else None,
            "steps": [step.to_dict() for step in self.steps],
        }


def lines(result: Result) -> list[str]:
    """The result as lines of plain text, the verdict last (with the cure where there is one)."""
    width = max((len(step.name) for step in result.steps), default=0)
    text = []
    for step in result.steps:
        again = f"  (sent {step.retransmissions + 1} times)" if step.retransmissions else ""
        mark = "ok  " if step.ok else "FAIL"
        took = f"{milliseconds(step.seconds):>9}"
        text.append(f"{mark}  {step.name:<{width}}  {took}  {step.detail}{again}".rstrip())
    mark = "FAIL" if not result.ok else "ok  " if result.tested else "not tested"
    text.append(f"{mark}  {result.verdict}")
    if result.cause:
        text.append(f"      {result.cause.explanation}")
        text.append(f"      Cure: {result.cause.cure}")
    return text


def tally(results: Sequence[Result]) -> tuple[int, int]:
    """How many hold, and how many were not tested."""
    fine = [result for result in results if result.ok]
    tested = sum(result.tested for result in fine)
    return tested, len(fine) - tested


def milliseconds(seconds: float) -> str:
    """A time that a person reads at a glance."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.1f} ms"
