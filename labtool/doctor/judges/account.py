"""Signing in and calling, as it was tried: the probe's causes as rows of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator

from labtool.doctor.evidence import Evidence, Login
from labtool.doctor.finding import Finding, found
from labtool.probe.result import Result, lines

# The probe's cause: the row. Causes of a port that does not answer are told by the port itself.
LOGIN_ROWS = {
    "wrong-password": "login-refused",
    "unknown-user": "login-refused",
    "forbidden": "login-refused",
    "wrong-domain": "wrong-domain",
    "algorithm-unsupported": "algorithm",
    "open-server": "open-server",
    "banned": "banned",
    "loop": "alias-missing",
}
CALL_ROWS = {
    "not-found": "callee-missing",
    "no-media": "no-sound",
    "one-way-media": "no-sound",
    "lossy-media": "no-sound",
    "ack-lost": "call-drops",
    "bye-lost": "call-drops",
    **LOGIN_ROWS,
}


def findings(evidence: Evidence) -> Iterator[Finding]:
    by_row: dict[str, list[Login]] = {}
    for login in evidence.logins:
        if login.result.cause is not None:
            row = LOGIN_ROWS.get(login.result.cause.name, "login-failed")
            by_row.setdefault(row, []).append(login)
    for row, logins in by_row.items():
        first = logins[0].result
        who = ", ".join(dict.fromkeys(login.user for login in logins))
        yield found(
            row,
            f"{who}: {first.cause.explanation if first.cause else ''}",
            *[line for login in logins for line in _last(login.result)],
            next=_next(evidence, row, logins[0]),
        )
    call = evidence.call
    if call is not None and call.cause is not None:
        yield found(
            CALL_ROWS.get(call.cause.name, "call-failed"),
            call.cause.explanation,
            *lines(call)[:-2],
            next=f"labtool probe {evidence.target} --call --user NAME --to NAME --capture call.pcap",
        )


def _last(result: Result) -> list[str]:
    step = next((one for one in reversed(result.steps) if not one.ok), None)
    return [f"{result.check} over {result.transport}: {step.detail if step else result.verdict}"]


def _next(evidence: Evidence, row: str, login: Login) -> str:
    name, _, domain = login.user.partition("@")
    if row == "login-refused" and evidence.wanted is not None:
        return f"labtool set-password{evidence.lab_option} {name}"
    if row == "login-refused" and not evidence.ssh:
        return (
            f"ask whoever runs {evidence.target} for the password of {login.user}, then: labtool "
            f"probe {evidence.target} --user {name} --domain {domain} --ask-password"
        )
    if row == "wrong-domain" and not evidence.ssh:
        return f"labtool doctor {evidence.target} --user {name} --domain THE-SERVERS-DOMAIN"
    if row == "banned":
        return f"sleep 120; labtool probe {evidence.target}"
    if evidence.ssh and row in ("wrong-domain", "open-server", "algorithm"):
        return evidence.redeploy(
            "grep -nE 'domains|algorithms|enabled' /etc/flexisip/flexisip.conf"
        )
    return f"labtool probe {evidence.target} --user {name} --domain {domain} --capture login.pcap"
