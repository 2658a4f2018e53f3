"""Is it installed, does it run, will it run tomorrow."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labtool.doctor.evidence import Evidence
from labtool.doctor.finding import Finding, found
from labtool.doctor.server import Server
from labtool.flexisip import releases

SERVICE = "flexisip-proxy"
PACKAGE = "bc-flexisip"
# A restart or two is an upgrade's or a person's; systemd counts its own only.
_MANY_RESTARTS = 3
# A version that comes from elsewhere than dpkg's own list, as apt-cache policy shows it.
_OFFER = re.compile(r"^ +-?\d+ (?!/var/lib/dpkg/status)\S+", re.MULTILINE)
_SOURCE = re.compile(r"linphone|bc-flexisip|belledonne", re.IGNORECASE)


def drop_in(setting: str) -> str:
    """The command that gives the unit a setting of [Service]."""
    folder = f"/etc/systemd/system/{SERVICE}.service.d"
    name = f"{setting.partition('=')[0].lower()}.conf"
    return (
        f"mkdir -p {folder} && printf '[Service]\\n{setting}\\n' > {folder}/{name} && "
        f"systemctl daemon-reload && systemctl restart {SERVICE}"
    )


def findings(evidence: Evidence) -> Iterator[Finding]:
    server = evidence.server
    if server is None:
        return
    yield from _package(evidence, server)
    yield from _repository(evidence, server)
    yield from _running(evidence, server)
    yield from _tomorrow(evidence, server)


def _package(evidence: Evidence, server: Server) -> Iterator[Finding]:
    if server.package_status in ("", "not-installed", "config-files") and not server.binary:
        left = ", only its old settings are left" if server.package_status == "config-files" else ""
        yield found(
            "package-missing",
            f"{PACKAGE} is not installed on {evidence.target}{left}.",
            f"dpkg-query: {server.package_status or 'no package found'}",
            next=evidence.redeploy(f"apt-cache policy {PACKAGE}")
            if evidence.wanted
            else f"labtool deploy --host {evidence.target} --domain DOMAIN",
        )
        return
    if server.package_status not in ("", "installed", "config-files"):
        yield found(
            "package-broken",
            f"dpkg has {PACKAGE} {server.package} in the state {server.package_status}.",
            next=evidence.on_host("dpkg --configure -a && apt-get -f install"),
        )
    if server.package_status == "installed":
        yield from _built_for(evidence, server)
    if server.missing_libraries:
        yield found(
            "libraries-missing",
            "The program needs libraries that are not on the host.",
            *server.missing_libraries,
            next=evidence.on_host("apt-get update && apt-get -f install"),
        )


def _built_for(evidence: Evidence, server: Server) -> Iterator[Finding]:
    release = releases.release(evidence.release)
    wrong = ""
    if server.package_architecture not in ("", "all", server.architecture):
        wrong = f"is built for {server.package_architecture}, the host is {server.architecture}"
    # Only a system that no release at all was packaged for is sure to be wrong: a newer one may
    # have been added to an old release's repository since.
    elif (
        server.id in ("debian", "ubuntu")
        and releases.newest_for(server.id, server.version_id) is None
    ):
        wrong = f"was never packaged for {server.pretty_name or server.id}"
    if wrong:
        yield found(
            "package-other-system",
            f"{PACKAGE} {server.package} {wrong}.",
            f"Flexisip {release.name} was packaged for: {', '.join(release.systems)}",
            next=evidence.on_host(f"apt-cache policy {PACKAGE}"),
        )


def _repository(evidence: Evidence, server: Server) -> Iterator[Finding]:
    """The sources of Linphone's packages, where there are any; a package at hand needs none."""
    lines = [one for one in server.sources if not one.startswith("key ")]
    files = {line.partition(":")[0] for line in lines if _SOURCE.search(line)}
    ours = [line for line in lines if line.partition(":")[0] in files]
    wrong: list[str] = []
    for one in server.sources:
        if one.startswith("key missing ") and any(one.split()[-1] in line for line in ours):
            wrong.append(f"the key {one.split()[-1]} is missing")
    components: set[str] = set()
    for line in ours:
        text = line.partition(":")[2].strip()
        for_others = re.search(r"\barch(?:itectures)?[=:]\s*([^\]]+)", text, re.IGNORECASE)
        if for_others and server.architecture not in re.split(r"[,\s]+", for_others[1]):
            wrong.append(f"it is for {for_others[1].split()[0]}, the host is {server.architecture}")
        if text.startswith("deb "):
            words = re.sub(r"\[[^]]*\]", "", text).split()[2:]
            suites, more = words[:1], words[1:]
        elif text.lower().startswith("suites:"):
            suites, more = text.split()[1:], []
        elif text.lower().startswith("components:"):
            suites, more = [], text.split()[1:]
        else:
            continue
        components.update(more)
        known = {
            "bionic",
            "jammy",
            "noble",
            "resolute",
            "stretch",
            "buster",
            "bullseye",
            "bookworm",
        }
        for suite in suites:
            if suite in known | {"trixie"} and server.codename and suite != server.codename:
                wrong.append(f"the suite {suite} is not this system's, which is {server.codename}")
    if components and "stable" not in components:
        wrong.append("the component stable is not among " + ", ".join(sorted(components)))
    if ours and not wrong and not _OFFER.search(server.policy):
        wrong.append(f"apt knows no {PACKAGE} from it (apt-get update was not run, or failed)")
    if wrong:
        yield found(
            "repository",
            f"The source of Flexisip's packages is not right: {'; '.join(wrong)}.",
            *ours,
            next=evidence.redeploy("apt-get update"),
        )


def _running(evidence: Evidence, server: Server) -> Iterator[Finding]:
    unit = server.unit
    state, sub = unit.get("ActiveState", "unknown"), unit.get("SubState", "")
    restarts = int(unit["NRestarts"]) if unit.get("NRestarts", "").isdigit() else 0
    if server.active:
        if restarts >= _MANY_RESTARTS:
            yield found(
                "crashing",
                f"systemd has restarted the server {restarts} times since it was last started by hand.",
                *_last_words(server),
                next=evidence.on_host(f"journalctl -u {SERVICE} -n 100"),
            )
        return
    if unit.get("LoadState") == "masked":
        words: list[str] = ["the unit is masked"]
        command = f"systemctl unmask {SERVICE} && systemctl start {SERVICE}"
    else:
        words = _last_words(server)
        command = f"systemctl restart {SERVICE}; journalctl -u {SERVICE} -n 25"
    ended = (
        f", exit status {unit['ExecMainStatus']}" if unit.get("ExecMainStatus", "0") != "0" else ""
    )
    yield found(
        "not-running",
        f"The server does not run: systemd says {state} ({sub or '?'}{ended}).",
        *words,
        next=evidence.on_host(command),
    )


def _last_words(server: Server) -> list[str]:
    """What the journal has of the last start or end, systemd's own sentences left out."""
    lines = last_run(server.journal)
    said = [one for one in lines if "flexisip-error" in one or "rror" in one]
    # On standard error and through syslog it comes twice.
    return list(dict.fromkeys(said or lines))[-4:]


def last_run(journal: tuple[str, ...]) -> list[str]:
    """The journal from the last attempt to start on."""
    begins = [at for at, line in enumerate(journal) if line.startswith("Starting ")]
    return list(journal[begins[-1] + 1 :] if begins else journal)


def _tomorrow(evidence: Evidence, server: Server) -> Iterator[Finding]:
    unit = server.unit
    if unit.get("LoadState") != "loaded":
        return
    if unit.get("UnitFileState") in ("disabled", "indirect"):
        yield found(
            "not-enabled",
            "The server is not started at boot: its unit is not enabled.",
            f"UnitFileState={unit['UnitFileState']}",
            next=evidence.on_host(f"systemctl enable {SERVICE}"),
        )
    if unit.get("Restart") == "no":
        yield found(
            "no-restart",
            "systemd does not start the server again when it has exited.",
            "Restart=no",
            next=evidence.redeploy(drop_in("Restart=always")),
        )
