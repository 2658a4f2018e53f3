"""flexisip.conf and users.db.txt: would the server start on them, and do they say what is meant."""

from __future__ import annotations

import hashlib
import re
import shlex
import time
from collections.abc import Iterator

from labtool.doctor.evidence import Evidence
from labtool.doctor.finding import Finding, found
from labtool.doctor.judges.service import SERVICE
from labtool.doctor.server import File, Server
from labtool.flexisip import findings as lint_findings
from labtool.flexisip import users
from labtool.flexisip.findings import Refusal, Severity

CONFIGURATION = "/etc/flexisip/flexisip.conf"
_AUTHENTICATION = "module::Authentication"
# Findings of lint that have a row of their own.
_OWN_ROW = (
    f"{_AUTHENTICATION}/auth-domains",
    f"{_AUTHENTICATION}/cache-expire",
    "module::Registrar/reg-domains",
)
# An INVITE with ICE candidates and video has about 3,000 bytes (measured with Linphone).
_LARGE_INVITE = 4000
_SECRET_KEY = re.compile(r"password|passwd|secret|token|connection-string|key", re.IGNORECASE)


def findings(evidence: Evidence) -> Iterator[Finding]:
    server = evidence.server
    if server is None or server.package_status not in ("installed", "") or not server.binary:
        return
    if server.conf is None:
        yield found(
            "conf-missing",
            f"There is no {CONFIGURATION}.",
            next=evidence.redeploy("dpkg-query -W bc-flexisip"),
        )
        return
    yield from _configuration(evidence)
    yield from _values(evidence)
    yield from _loaded(evidence, server)
    yield from _users(evidence, server)
    yield from _accounts(evidence, server)


def _configuration(evidence: Evidence) -> Iterator[Finding]:
    report = evidence.conf_report
    if report is None:
        return
    lint = f"cat {CONFIGURATION}"
    by_severity: dict[Severity, list[lint_findings.Finding]] = {}
    for one in report.findings:
        by_severity.setdefault(one.severity, []).append(one)
    if not report.starts:
        refused = by_severity.get(Severity.REFUSES, [])
        text = report.refusal.text.splitlines() if report.refusal else []
        yield found(
            "conf-refused",
            f"Flexisip {report.release} does not start on {CONFIGURATION}{_lines(refused)}.",
            *[_told(one) for one in refused],
            *[f"Flexisip says: {line}" for line in text[-2:]],
            next=evidence.mend(CONFIGURATION, "conf"),
        )
        return
    ignored = by_severity.get(Severity.IGNORED, [])
    if insecure := by_severity.get(Severity.INSECURE, []):
        yield found(
            "open-server",
            "The server asks nobody for a password: anybody can sign in as anybody.",
            *[_told(one) for one in (*insecure, *ignored)],
            next=evidence.redeploy(f"${{EDITOR:-editor}} {CONFIGURATION}"),
        )
    broken = [
        one for one in (*by_severity.get(Severity.BROKEN, []), *ignored) if one.key not in _OWN_ROW
    ]
    if broken:
        yield found(
            "conf-broken",
            f"{CONFIGURATION} has lines that do not do what they say.",
            *[_told(one) for one in broken],
            next=evidence.redeploy(lint),
        )


def _lines(refused: list[lint_findings.Finding]) -> str:
    numbers = [str(one.line) for one in refused if one.line]
    return f" because of line {', '.join(numbers[:5])}" if numbers else ""


def _told(one: lint_findings.Finding) -> str:
    where = f"line {one.line}: " if one.line else ""
    right = ""
    if one.fix and not _SECRET_KEY.search(one.fix.partition("=")[0]):
        right = f" Right would be: {one.fix}"
    return f"{where}{one.message}{right}"


def _values(evidence: Evidence) -> Iterator[Finding]:
    """Settings that start, are what somebody wrote, and still make a known failure."""
    conf = evidence.conf
    if conf is None:
        return
    edit = f"${{EDITOR:-editor}} {CONFIGURATION} && systemctl restart {SERVICE}"
    if conf.flag(_AUTHENTICATION, "enabled"):
        seconds = conf.seconds(_AUTHENTICATION, "cache-expire")
        backend = conf.text(_AUTHENTICATION, "db-implementation")
        if backend == "file" and seconds > 60:
            yield found(
                "slow-users",
                f"A new user or password is noticed after up to {seconds / 60:g} minutes.",
                f"[{_AUTHENTICATION}] cache-expire is {seconds:g} s",
                next=evidence.redeploy(edit),
            )
    mtu = (
        conf.number("global", "udp-mtu") if ("global", "udp-mtu") in conf.values else _LARGE_INVITE
    )
    if mtu < _LARGE_INVITE and any(transport == "udp" for transport, _ in evidence.points):
        yield found(
            "slow-call",
            f"Messages of more than {mtu} bytes are tried over TCP first; behind a NAT that takes "
            "five seconds a call.",
            f"[global] udp-mtu={mtu}",
            next=evidence.redeploy(edit),
        )


def _loaded(evidence: Evidence, server: Server) -> Iterator[Finding]:
    assert server.conf is not None
    wanted = evidence.wanted
    if server.active and server.since and not _is_loaded(server, server.conf):
        yield found(
            "conf-not-loaded",
            f"{CONFIGURATION} was changed {_span(server.conf.modified - server.since)} after the "
            "server had started; it still runs with the former settings.",
            f"written {_utc(server.conf.modified)}, started {_utc(server.since)}",
            next=evidence.on_host(f"systemctl restart {SERVICE}"),
        )
    if wanted and wanted.configuration:
        here = _settings(server.conf.content.decode("utf-8", "replace"))
        right = _settings(wanted.configuration)
        if here != right:
            yield found(
                "drift",
                f"{CONFIGURATION} is not what the lab renders for Flexisip {evidence.release}.",
                *[f"on the host: {line}" for line in sorted(here - right)],
                *[f"in the lab:  {line}" for line in sorted(right - here)],
                next=f"{evidence.redeploy('')} --check --diff",
            )


def _utc(epoch: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(epoch))


def _is_loaded(server: Server, conf: File) -> bool:
    """The file is older than the start, or is the very one that the server was started with.

    Within one second only the note of labtool's drop-in tells; a note that a drop-in which is gone
    has left behind is older than the file and says nothing.
    """
    if server.started_with == hashlib.sha256(conf.content).hexdigest():
        return True
    same_second = conf.modified == server.since and server.started_with != ""
    return conf.modified < server.since + (0 if same_second else 1)


def _span(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _settings(text: str) -> set[str]:
    """Each setting with its section in front; comments and order do not matter."""
    section, settings = "", set()
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif line and not line.startswith("#"):
            settings.add(f"{section} {line}")
    return settings


def _users(evidence: Evidence, server: Server) -> Iterator[Finding]:
    if not evidence.wants_users_file:
        return
    report = evidence.users_report
    if report is None:
        yield found(
            "users-refused",
            f"The users file {server.users_path} is missing: the server does not start without it, "
            "and dies of it at the next login.",
            next=evidence.redeploy(shlex.join(["ls", "-l", server.users_path])),
        )
        return
    if not report.starts:
        refused = [one for one in report.findings if one.severity is Severity.REFUSES]
        says = report.refusal.text if report.refusal else ""
        when = "The server still runs, and dies at the next login." if server.active else ""
        yield found(
            "users-refused",
            f"Flexisip {report.release} cannot read {server.users_path}{_lines(refused)}. {when}".strip(),
            # The lines themselves hold passwords or hashes: those are not shown.
            *[
                f"line {one.line}: {one.message}"
                + (f" Right would be: {one.fix_shown}" if one.fix else "")
                for one in refused
            ],
            f"Flexisip says: {says}",
            next=evidence.mend(server.users_path, "users"),
        )
        return
    broken = [one for one in report.findings if one.severity in (Severity.BROKEN, Severity.IGNORED)]
    if broken:
        yield found(
            "users-broken",
            f"{server.users_path} has accounts that cannot sign in as they stand.",
            *[f"line {one.line}: {one.message}" for one in broken],
            next=evidence.redeploy(f"${{EDITOR:-editor}} {shlex.quote(server.users_path)}"),
        )


def _accounts(evidence: Evidence, server: Server) -> Iterator[Finding]:
    """The accounts against the lab's, and against what the configuration can serve."""
    conf = evidence.conf
    if conf is None or server.users is None or not evidence.wants_users_file:
        return
    domains = evidence.server_names
    entries = users.parse(
        server.users.content, evidence.release, path=server.users_path, auth_domains=domains
    )
    if isinstance(entries, Refusal):
        return
    wanted = evidence.wanted
    registrar = conf.words("module::Registrar", "reg-domains")
    domain = wanted.domain if wanted else ""
    if domain and not {domain, "*"} & set(domains):
        wrong = f"auth-domains={' '.join(domains)}"
    elif domain and not {domain, "*"} & set(registrar):
        wrong = f"reg-domains={' '.join(registrar)}"
    elif not domain and entries and not any(users.is_served(e.domain, domains) for e in entries):
        wrong = f"auth-domains={' '.join(domains)}"
        domain = entries[0].domain
    else:
        wrong = ""
    if wrong:
        yield found(
            "wrong-domain",
            f"The server does not serve {domain}: every login of it gets 403 Domain forbidden.",
            wrong,
            next=evidence.redeploy(f"${{EDITOR:-editor}} {CONFIGURATION}"),
        )
    yield from _algorithms(evidence, entries)
    if wanted is None:
        return
    there = {one.name: one.passwords for one in entries if one.domain == wanted.domain}
    missing = sorted(set(wanted.accounts) - set(there))
    extra = sorted(set(there) - set(wanted.accounts))
    other = sorted(
        name
        for name, hashes in wanted.accounts.items()
        if name in there and dict(there[name]) != dict(hashes)
    )
    if missing or extra or other:
        yield found(
            "users-differ",
            "The accounts on the server are not the lab's.",
            *[
                f"{what}: {', '.join(names[:20])}"
                for what, names in (
                    ("only in the lab", missing),
                    ("only on the server", extra),
                    ("with another password", other),
                )
                if names
            ],
            next=evidence.redeploy("true"),
        )


def _algorithms(evidence: Evidence, entries: list[users.UserEntry]) -> Iterator[Finding]:
    assert evidence.conf is not None
    offered = evidence.conf.words(_AUTHENTICATION, "available-algorithms")
    needed = {"MD5": "md5", "SHA-256": "sha256"}
    kinds = {needed[name] for name in offered if name in needed}
    shut_out = [
        entry.name
        for entry in entries
        if "clrtxt" not in entry.passwords and not kinds & set(entry.passwords)
    ]
    if shut_out:
        yield found(
            "algorithm",
            f"{len(shut_out)} accounts have no hash of an algorithm that the server offers."
            if len(shut_out) > 1
            else f"The account {shut_out[0]} has no hash of an algorithm that the server offers.",
            f"available-algorithms={' '.join(offered)}",
            f"accounts: {', '.join(shut_out[:20])}",
            next=evidence.redeploy(f"${{EDITOR:-editor}} {CONFIGURATION}"),
        )
