"""What the server's log and journal say, in plain words: a table of its lines."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator

from labtool.doctor.evidence import Evidence
from labtool.doctor.finding import Finding, found
from labtool.doctor.judges.service import SERVICE, drop_in, last_run
from labtool.doctor.server import Server

NOISE = "noise"

# A line's pattern, the row that it speaks for ("noise": none), and the plain words.
LINES: tuple[tuple[str, str, str], ...] = (
    # Recorded from healthy servers of 2.3.4 and 2.5.2; #2, #29.
    (r"Cannot open domain registration configuration file", NOISE, ""),
    (r"Iptables|ip6?tables", NOISE, ""),
    (r"increaseFDLimit|setrlimit|big number of calls", NOISE, ""),
    (r"no public IPv[46] address detected", NOISE, ""),
    (r"pulse ?audio|pa_context", NOISE, ""),
    (r"Deprecated parameter|deprecated config", NOISE, ""),
    (r"Could not authenticate with Redis", "redis-down", "Redis refuses the password."),
    (r"[Cc]ould not connect to redis|[Rr]edis.*([Dd]isconnected|refused)", "redis-down",
     "Redis cannot be reached."),
    (r"Could not bind STUN server", "stun-port-taken", "The STUN port cannot be had."),
    (r"unknown db-implementation: (soci|odbc)", "database",
     "This build of Flexisip lacks the database backend."),
    (r"(?i)soci.*(error|fail|cannot|could not|lost|unable)|"
     r"(cannot|could not|unable to|fail).*\b(soci|mysql|mariadb|postgres)", "database",
     "The database of the accounts cannot be used."),
    (r"certificate files of transport", "tls-files", "The TLS certificate is missing."),
    (r"Cannot assign requested address", "cannot-bind", "An address is not the machine's own."),
    (r"Address already in use", "port-taken", "A port of the server is taken."),
    (r"error while loading shared libraries", "libraries-missing", "A library is missing."),
    (r"No space left on device", "disk-full", "The disk is full."),
    (r"Too many open files", "open-files", "The server may open no more connections."),
    (r"Unsupported parameter|several entrances|caught an exception while reading|"
     r"invalid section", "conf-refused", "flexisip.conf was refused."),
    (r"[Aa]uthdb file|empty password list|failed to read from file", "users-refused",
     "The users file was refused."),
)  # fmt: skip
_TABLE = tuple((re.compile(pattern), id, words) for pattern, id, words in LINES)
_ERROR = re.compile(r"-error-")
_STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\S*\s*")
_NEXT = {
    "redis-down": "systemctl status redis-server",
    "database": "dpkg -l 'libsoci*'; journalctl -u flexisip-proxy -n 25",
    "disk-full": "df -h",
    "open-files": drop_in("LimitNOFILE=65536"),
}


def classify(line: str) -> tuple[str, str] | None:
    """(row, plain words) of a line; None for one that the table does not know."""
    for pattern, id, words in _TABLE:
        if pattern.search(line):
            return id, words
    return None


def findings(evidence: Evidence) -> Iterator[Finding]:
    server = evidence.server
    if server is None:
        return
    by_row: dict[str, list[str]] = {}
    words: dict[str, str] = {}
    unknown: Counter[str] = Counter()
    for line in _relevant(server):
        known = classify(line)
        if known is None:
            if _ERROR.search(line):
                unknown[_STAMP.sub("", line)] += 1
        elif known[0] != NOISE:
            words.setdefault(known[0], known[1])
            by_row.setdefault(known[0], []).append(line)
    for id, lines in by_row.items():
        # What lies on the disk now is judged from the disk; the journal tells of the last start.
        if id in ("conf-refused", "users-refused", "tls-files") and server.active:
            continue
        if id in ("conf-refused", "users-refused") and _is_judged(evidence, id):
            continue
        distinct = list(dict.fromkeys(_STAMP.sub("", one) for one in lines))
        count = f" ({len(lines)} lines)" if len(lines) > len(distinct) else ""
        yield found(
            id,
            f"The server's log says: {words[id]}{count}",
            *distinct[-3:],
            next=evidence.on_host(_NEXT.get(id, f"journalctl -u {SERVICE} -n 50")),
        )
    if unknown and server.active:
        yield found(
            "log-errors",
            f"The log has {sum(unknown.values())} errors since the server was started.",
            *[f"{count} x {line}" for line, count in unknown.most_common(5)],
            next=evidence.on_host(
                f"grep -n -e -error- {shlex.quote(server.log_path)} | tail -n 50"
            ),
        )


def _relevant(server: Server) -> list[str]:
    """The log of the running server, or the journal of its last attempt to start."""
    if not server.active:
        return last_run(server.journal)
    if not server.since_text:
        return list(server.log)
    lines, inside = [], False
    for line in server.log:
        stamp = _STAMP.match(line)
        if stamp:
            inside = stamp[1] >= server.since_text
        if inside:
            lines.append(line)
    return lines


def _is_judged(evidence: Evidence, id: str) -> bool:
    """Whether the file itself has told already, so that the log adds nothing."""
    report = evidence.conf_report if id == "conf-refused" else evidence.users_report
    return report is not None and not report.starts
