"""From evidence to findings: every judge is asked, and what only follows stands behind its cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from labtool.doctor import network, nftables
from labtool.doctor.catalogue import BY_ID, ROWS
from labtool.doctor.evidence import Evidence
from labtool.doctor.finding import Finding, shown
from labtool.doctor.judges import account, domain, files, log, machine, place, reach, service, tls

JUDGES: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    service.findings,
    files.findings,
    machine.findings,
    place.findings,
    log.findings,
    reach.findings,
    tls.findings,
    domain.findings,
    account.findings,
)


# Phones register anew within this, in seconds, as a rule.
_YOUNG_S = 600
_ANSWERS = {network.OPEN, network.REFUSES, network.SILENT, network.NOT_SIP}


@dataclass(frozen=True)
class Judgement:
    """state: what the server is, in a few words. findings: gravest cause first, as the catalogue
    stands. notes: what is worth knowing and no fault. not_checked: rows by why they were not."""

    state: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    not_checked: tuple[tuple[str, str], ...]


def judge(evidence: Evidence) -> Judgement:
    """Pure: the same evidence gives the same judgement."""
    seen: dict[str, Finding] = {}
    for ask in JUDGES:
        for one in ask(evidence):
            before = seen.get(one.id)
            if before is None:
                seen[one.id] = one
            else:
                more = [line for line in one.evidence if line not in before.evidence]
                seen[one.id] = replace(before, evidence=(*before.evidence, *more[:4]))
    _keep_from_restarting(seen)
    roots = _without_consequences(seen)
    state = state_of(evidence, set(seen))
    notes = tuple(shown(note, 600) for note in _notes(evidence, set(seen)))
    return Judgement(state, roots, notes, tuple(_not_checked(evidence)))


def _keep_from_restarting(seen: dict[str, Finding]) -> None:
    """A restart on files that are refused ends the server: first they are mended, whatever else."""
    refused = next((seen[id] for id in ("conf-refused", "users-refused") if id in seen), None)
    for id, one in seen.items():
        if refused is not None and "systemctl restart" in one.next:
            seen[id] = replace(one, next=refused.next)


def _without_consequences(seen: dict[str, Finding]) -> tuple[Finding, ...]:
    """The causes, each with what follows from it. Two that hide each other both stand."""
    hidden: dict[str, str] = {}
    for id in seen:
        for other in BY_ID[id].hides:
            if other in seen and other != id and id not in BY_ID[other].hides:
                hidden.setdefault(other, id)

    def root(id: str) -> str:
        passed = {id}
        while id in hidden and hidden[id] not in passed:
            id = hidden[id]
            passed.add(id)
        return id

    order = {row.id: number for number, row in enumerate(ROWS)}
    return tuple(
        replace(
            one,
            consequences=tuple(sorted((x for x in hidden if root(x) == id), key=order.__getitem__)),
        )
        for id, one in sorted(seen.items(), key=lambda pair: order[pair[0]])
        if id not in hidden
    )


def state_of(evidence: Evidence, ids: set[str]) -> str:
    """Not running, running but not reachable, reachable but refusing, or serving."""
    states = {port.state for port in evidence.ports}
    server = evidence.server
    if "name-unknown" in ids:
        return "not found: the name has no address"
    if server is not None:
        if "package-missing" in ids:
            return "not installed"
        if not server.active:
            return "not running"
    if server is None and network.CLOSED in states and not states & _ANSWERS:
        return "reachable, but nothing listens"
    if evidence.ports and not states & {network.OPEN, network.REFUSES}:
        if states & {network.SILENT, network.NOT_SIP}:
            return "reachable, but no SIP answer comes"
        return "running, but not reachable from here" if server else "not reachable from here"
    if states == {network.REFUSES} or any(one.result.cause is not None for one in evidence.logins):
        return "reachable, but refusing"
    if evidence.ports and states != {network.OPEN}:
        return "reachable in part"
    if not evidence.ports:
        return "running; not looked at from outside" if server else "unknown"
    return "serving"


def _notes(evidence: Evidence, ids: set[str]) -> Iterator[str]:
    names, server = evidence.names, evidence.server
    if names.error:
        yield f"DNS was not looked at: {names.error}."
    elif (
        names.private
        and not names.addresses
        and any(port.state != network.UNKNOWN_NAME for port in evidence.ports)
    ):
        yield (
            f"{names.domain} is in no public DNS, which is no fault: enter the server's address as "
            "proxy in each phone."
        )
    conf = evidence.conf
    internal = conf and conf.text("module::Registrar", "db-implementation") == "internal"
    if server and server.active and server.since and internal:
        age = max(0, int((evidence.clock[1] or evidence.now) - server.since))
        if age < _YOUNG_S:
            yield (
                f"The server was started {age} s ago and forgot all registrations in it: a phone "
                "that has not registered anew gets no calls (404)."
            )
    if server and "banned" not in ids and (rules := reach.bans(server)):
        yield (
            f"The flood protection shuts out {len(rules)} strangers now, for two minutes: is a class "
            f"behind one of them? {shown(rules[0])}"
        )
    if server and server.nft and not nftables.can_be_read(server.nft_json):
        yield "The host's nftables rules could not be read (nft -j is missing, or they are very many)."


def _not_checked(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for row in ROWS:
        why = ""
        if row.how == "ask":
            why = "cannot be tested from here: see --explain"
        elif row.how == "server" and evidence.server is None:
            why = "the host was not looked at"
        elif row.how == "dns" and (evidence.names.error or not evidence.names.domain):
            why = evidence.names.error or "there is no domain to look up"
        elif row.how == "login" and not evidence.logins and evidence.server is None:
            why = "needs --user"
        elif row.how == "call" and evidence.call is None:
            why = "needs --call"
        if why:
            yield row.id, why
