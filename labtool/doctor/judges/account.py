"""Signing in and calling, as it was tried: the probe's causes as rows of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from labtool.doctor.evidence import Evidence, Login
from labtool.doctor.finding import Finding, found
from labtool.doctor.judges.reach import bans
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
            row = _row(evidence, login.result, LOGIN_ROWS, "login-failed")
            by_row.setdefault(row, []).append(login)
    for row, logins in by_row.items():
        first = logins[0].result
        who = ", ".join(dict.fromkeys(login.user for login in logins))
        yield found(
            row,
            f"{who}: {_why(first, row)}",
            *[line for login in logins for line in _last(login.result)],
            next=_next(evidence, row, logins[0]),
        )
    call = evidence.call
    if call is not None and call.cause is not None:
        row = _row(evidence, call, CALL_ROWS, "call-failed")
        yield found(
            row,
            _why(call, row),
            *lines(call)[:-2],
            next=f"labtool probe {evidence.target} --call --user NAME --to NAME --capture call.pcap",
        )


def _row(evidence: Evidence, result: Result, rows: Mapping[str, str], otherwise: str) -> str:
    """The row of a cause. Who is silent after he answered may have banned us, or the request is lost:
    on a host that can be looked at, a ban would be seen."""
    row = rows.get(result.cause.name if result.cause else "", otherwise)
    server = evidence.server
    return otherwise if row == "banned" and server is not None and not bans(server) else row


def _why(result: Result, row: str) -> str:
    cause = result.cause
    if cause is None or (cause.name == "banned" and row != "banned"):
        return f"{result.verdict}. Nobody is banned there: the request or its answer is lost."
    return cause.explanation


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
