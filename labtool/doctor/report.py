"""What the doctor says: findings, the state, an exit code. `to_dict` is the form of `--json`.

    target         str     the host as it was named
    domain         str     the SIP domain, "" where it is not known
    state          str     not running; running, but not reachable from here; serving; ...
    ok             bool    nothing was found, and the host was reached
    exit_code      int     0 nothing found, 1 something is wrong, 3 the host cannot be reached
    unreachable    str     why SSH failed, "" where it did not or was not tried
    findings       [{id, message, evidence: [str], next, consequences: [id],
                     symptom, how, test, cure, source}]
    ports          [{transport, port, state, detail, server, seconds}]   as seen from here
    dns            [str]   the domain's records
    logins         [{user, transport, ok, verdict}]
    notes          [str]
    not_checked    {id: str}   why a row of the catalogue was not looked at
    checked        int     rows that were
    seconds        float

`ports[].state` is one of open, closed, filtered, silent, not-sip, refuses, unreachable,
unknown-name, local. Nothing here holds a password or a hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labtool.doctor import network
from labtool.doctor.catalogue import BY_ID, ROWS
from labtool.doctor.evidence import Evidence
from labtool.doctor.finding import Finding
from labtool.doctor.judgement import Judgement, judge

_GONE = {"name-unknown", "host-unreachable"}


@dataclass(frozen=True)
class Report:
    evidence: Evidence
    judgement: Judgement
    seconds: float

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.judgement.findings

    @property
    def reached(self) -> bool:
        """Whether the host was: over SSH where that was tried, else by anything at all."""
        if self.evidence.unreachable:
            return False
        if self.evidence.server is not None:
            return True
        silent = {network.FILTERED, network.UNREACHABLE, network.UNKNOWN_NAME, network.LOCAL}
        return any(port.state not in silent for port in self.evidence.ports)

    @property
    def exit_code(self) -> int:
        if not self.reached:
            return 3
        return 1 if self.findings else 0

    def to_dict(self) -> dict[str, Any]:
        evidence, judgement = self.evidence, self.judgement
        return {
            "target": evidence.target,
            "domain": evidence.domain,
            "state": judgement.state,
            "ok": self.exit_code == 0,
            "exit_code": self.exit_code,
            "unreachable": evidence.unreachable,
            "findings": [
                {
                    **BY_ID[one.id].to_dict(),
                    "message": one.message,
                    "evidence": list(one.evidence),
                    "next": one.next,
                    "consequences": list(one.consequences),
                }
                for one in self.findings
            ],
            "ports": [port.to_dict() for port in evidence.ports],
            "dns": evidence.names.lines(),
            "logins": [
                {
                    "user": login.user,
                    "transport": login.result.transport,
                    "ok": login.result.ok,
                    "verdict": login.result.verdict,
                }
                for login in evidence.logins
            ],
            "notes": list(judgement.notes),
            "not_checked": dict(judgement.not_checked),
            "checked": len(ROWS) - len(judgement.not_checked),
            "seconds": round(self.seconds, 3),
        }


def report(evidence: Evidence, seconds: float) -> Report:
    """Judge the evidence. `seconds` is how long it took to gather."""
    return Report(evidence, judge(evidence), seconds)
