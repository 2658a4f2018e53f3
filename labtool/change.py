"""A change of a running server: what it will be, what it costs, how the server was found before it.

A server is never left worse than it was found: whoever could sign in before the change and cannot
after it is the reason to put the former state back.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from labtool import expectation, former, operation, probe, proof, remote, rendering
from labtool.errors import LabtoolError
from labtool.flexisip import users
from labtool.flexisip.findings import Refusal
from labtool.inventory import Account, Host, Lab
from labtool.operation import Access, PlayFailed, Progress
from labtool.probe.result import Result
from labtool.probe.session import Tls
from labtool.probe.target import Target
from labtool.restart import Restart, restart
from labtool.state import HostState, has_copy, serves

# A proof before the change runs beside the play's first tasks, which take longer than this.
_BEFORE_S = 1.0
# What a slow line may make of two clocks that agree.
_CLOCK_S = 120.0


@dataclass(frozen=True)
class Found:
    """A server as it was before a change.

    `differing` are the files that will be written (configuration, users, drop_in). `tried` are those
    whose logins were tried, and `passed` what it took: a transport and a user each, "" where it
    answered at all. `unknown`: nobody was tried, for a login may kill a server whose users file is
    not known to be sound. `by_hand`: its users file is not labtool's;
    `conf_by_hand`: its configuration is not what labtool wrote last.
    `restart`: the server runs, and is about to be restarted.
    """

    state: HostState
    differing: frozenset[str] = frozenset()
    passed: frozenset[tuple[str, str]] = frozenset()
    tried: tuple[Account, ...] = field(default=(), repr=False)
    unknown: bool = False
    by_hand: bool = False
    target: Target | None = field(default=None, repr=False)
    restart: Restart | None = None
    conf_by_hand: bool = False


def found(
    lab: Lab,
    host: Host,
    state: HostState,
    *,
    upgrade: bool = False,
    unaffected: tuple[Account, ...] | None = None,
) -> Found:
    """How the server is, from what its machine said; asks it by SIP where it is about to change.

    `unaffected`: the accounts alone will be others, and these are in both lists.
    """
    if not state.serves_now:
        return Found(state)
    try:
        wanted = expectation.expectation(lab, host, state, remote.numeric)
    except LabtoolError:
        # The preflight of the roles says it, with the host's name.
        return Found(state)
    differing = frozenset(
        name
        for name, file in wanted.files.items()
        if file.path not in state.files or state.files[file.path].sha256 != _sha256(file.text)
    )
    path = wanted.files["users"].path
    has = state.files[path].sha256 if path in state.files else ""
    known = _ours(lab, host, wanted.release)
    unknown = "users" in differing and has not in known
    passed: frozenset[tuple[str, str]] = frozenset()
    target = replace(proof.target(lab, host, state), port=state.sip_port)
    tried = lab.accounts[:2] if unaffected is None else unaffected[:2]
    asks = upgrade or "configuration" in differing
    if unaffected is not None:
        asks = "users" in differing
    if asks and not unknown:
        # A login has the server read its users file again, and one that is broken would kill it.
        passed = passing(lab, target, tried, timeout_s=_BEFORE_S)
    why = _restarts(lab, state, differing, wanted.files["configuration"].text)
    return Found(
        state,
        differing,
        passed,
        tried,
        unknown,
        unknown and bool(known),
        target,
        restart(state, why) if why else None,
        "configuration" in differing and _conf_by_hand(lab, host, state),
    )


def _conf_by_hand(lab: Lab, host: Host, state: HostState) -> bool:
    served = former.lab_served(lab, host)
    if served is None:
        return False
    try:
        wrote = expectation.expectation(served, host, state, remote.numeric).files["configuration"]
    except LabtoolError:
        return False
    has = state.files.get(wrote.path)
    return has is not None and has.sha256 != _sha256(wrote.text)


def _restarts(lab: Lab, state: HostState, differing: frozenset[str], configuration: str) -> str:
    """Why a server that runs is restarted by a deployment, as the roles decide; "" where it is not."""
    deb = lab.options["flexisip_deb"]
    file = expectation.role_variables()["flexisip_package_file"]
    if "configuration" in differing:
        return "The configuration changes"
    if deb and Path(deb).is_file() and not has_copy(state, file, deb):
        return "The package changes"
    if "drop_in" in differing or not serves(state, configuration):
        return "The service does not run as the lab wants it"
    return ""


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _ours(lab: Lab, host: Host, release: str) -> set[str]:
    """The hashes of the users files that are known to be sound; empty where none is known."""
    known = {former.users_noted(lab, host)} - {""}
    served = former.accounts_served(lab, host)
    if served is not None:
        known.add(_sha256(expectation.users_file(replace(lab, accounts=served), release)))
    return known


def passing(
    lab: Lab,
    target: Target,
    accounts_: Sequence[Account],
    *,
    timeout_s: float,
    judged: bool = False,
) -> frozenset[tuple[str, str]]:
    """Over which of the lab's transports the server answers ("") and which of these users it lets in.

    All transports at once: where nothing answers, it takes `timeout_s` seconds altogether.
    `judged`: only where the certificate is one that the lab's phones are to trust. What a server
    showed before a change was good enough for its phones.
    """
    tls = proof.trust(lab) if judged else Tls(verify=False)

    def over(transport: str) -> set[tuple[str, str]]:
        if not probe.options(target, transport, timeout_s=timeout_s, tls=tls).ok:
            return set()
        good = {(transport, "")}
        for user in accounts_:
            result = proof.signing_in(lab, target, user, transport, tls=tls, timeout_s=timeout_s)
            if result.ok:
                good.add((transport, user.name))
            elif result.seconds >= timeout_s:
                break
        return good

    transports = lab.options["flexisip_transports"]
    with ThreadPoolExecutor(len(transports)) as pool:
        return frozenset().union(*pool.map(over, transports))


def clock_off(seconds: float) -> str:
    """A sentence about a clock that is so much ahead (positive) of ours; "" where it is not."""
    if abs(seconds) < _CLOCK_S:
        return ""
    minutes = round(abs(seconds) / 60)
    by = f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
    way = "ahead of" if seconds > 0 else "behind"
    return (
        f"The host's clock is {by} {way} this machine's: packages may be refused as not yet valid or "
        "expired, and its logs tell other times. Set it on the host: timedatectl set-ntp true"
    )


def announce(before: Found, progress: Progress, *, would: bool = False) -> None:
    """Say what a change costs, before it happens; `would` where it is only looked at."""
    if before.state.epoch and (said := clock_off(before.state.epoch - time.time())):
        progress.note(said)
    if before.conf_by_hand:
        what = (
            "A deployment replaces it"
            if would
            else "It is replaced; labtool rollback brings it back"
        )
        progress.note(
            "The server's flexisip.conf is not what labtool wrote last: it was changed by hand, or by "
            f"another labtool. {what}. What should stay belongs into flexisip_settings of lab.yml "
            "(labtool deploy --check --diff shows the lines)."
        )
    if before.restart is not None:
        tell(before.restart, progress, would=would)


def tell(coming: Restart, progress: Progress, *, would: bool = False) -> None:
    """Announce a restart: a sentence for people, an event for programs."""
    progress.note(coming.sentence(would=would))
    progress.event(coming.to_dict())


def users_by_hand(
    lab: Lab, host: Host, before: Found, access: Access, *, would: bool = False
) -> str:
    """A sentence about a users file that somebody else had changed, "" where nobody had.

    The file is kept beside the lab, for labtool import-users. After the change it is read from what
    the host kept before; `would`: nothing is changed, and it is there still.
    """
    if not before.by_hand:
        return ""
    known = expectation.role_variables()
    path = known["flexisip_users_file"]
    ask = f"cat {path}" if would else f"tar -xzOf {known['flexisip_former']} 'files{path}'"
    with operation.as_root(host, access) as line:
        answer = line.run(ask)
    has, is_ = (
        ("is", "a deployment puts the lab's there") if would else ("was", "it is the lab's again")
    )
    if answer.returncode != 0:
        return f"{path} {has} missing on {host.name}: {is_}."
    judged = users.parse(answer.stdout, rendering.release(before.state.package))
    had = "has been" if would else "had been"
    if isinstance(judged, Refusal):
        line_ = f", line {judged.line}" if judged.line else ""
        return (
            f"{path} on {host.name} {had} broken by hand{line_}: Flexisip "
            f"{'dies' if would else 'would have died'} of it at a login ({judged.text}). "
            + ("Run labtool deploy." if would else "It was replaced by the lab's in time.")
        )
    kept = former.keep_by_hand(lab, host, answer.stdout)
    extra = sorted({one.name for one in judged} - {one.name for one in lab.accounts})
    more = f" and {len(extra) - 10} more" if len(extra) > 10 else ""
    names = f" It has users that the lab lacks: {', '.join(extra[:10])}{more}." if extra else ""
    return (
        f"{path} on {host.name} {had} changed by hand.{names} {is_.capitalize()}; to take the other's "
        f"users into the lab: labtool import-users {kept} --update"
    )


@dataclass(frozen=True)
class Restored:
    """The former state put back after a proof that failed, and whether the server passes again."""

    put_back: former.PutBack
    passes: bool
    tasks: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What came of it, for a person."""
        if not self.put_back.ok:
            return self.put_back.sentence
        if self.passes:
            return f"{self.put_back.sentence} It was proved again: users sign in as before."
        return f"{self.put_back.sentence} But users cannot sign in with it either now."


def put_back(
    path: Path,
    lab: Lab,
    host: Host,
    before: Found,
    access: Access,
    progress: Progress,
    descriptor: int | None,
    patience_s: float = 0.0,
) -> Restored:
    """Put the former state back after a proof that failed, and prove it. Never raises PlayFailed.

    `patience_s`: how long a server that is not restarted may take to read its users again.
    """
    progress.phase("Put back")
    play = operation.play_of(path, host, "rollback", access, variables={"flexisip_swap": False})
    listening = former.Listening(progress)
    with contextlib.suppress(PlayFailed):
        operation.run(
            play,
            host,
            access,
            listening,
            log_folder=operation.logs(path),
            descriptor=descriptor,
        )
    result = former.parse(listening.said or "problem the host could not be reached any more")
    if not result.ok or before.target is None:
        return Restored(result, False)
    progress.phase("Prove again")
    again = proof.patiently_passing(
        lambda: before.passed <= passing(lab, before.target, before.tried, timeout_s=2.0),  # type: ignore[arg-type]
        patience_s,
    )
    return Restored(result, again)


def worse(lab: Lab, target: Target, before: Found) -> bool:
    """Whether somebody who could sign in before cannot now."""
    return bool(before.passed) and not before.passed <= passing(
        lab, target, before.tried, timeout_s=4.0, judged=True
    )


def lost(lab: Lab, before: Found) -> frozenset[tuple[str, str]]:
    """What the server took before a change of its users and, for some seconds now, does not."""
    missing: frozenset[tuple[str, str]] = frozenset()

    def same() -> bool:
        nonlocal missing
        assert before.target is not None
        missing = before.passed - passing(lab, before.target, before.tried, timeout_s=2.0)
        return not missing

    if before.passed:
        proof.patiently_passing(same)
    return missing


def settle(
    path: Path,
    lab: Lab,
    host: Host,
    before: Found | None,
    played: operation.Played,
    access: Access,
    progress: Progress,
    descriptor: int | None,
) -> tuple[list[Result], Restored | None]:
    """Prove a change; put the former state back where somebody is locked out who was not before."""
    progress.phase("Prove")
    if before and (said := users_by_hand(lab, host, before, access)):
        progress.note(said)
    target = proof.target(lab, host, played.state)
    try:
        results = proof.prove(lab, target, lab.accounts, progress.result)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"The new state is in place; it is not proved. {operation.INTERRUPTED}"
        ) from None
    if all(result.ok for result in results):
        former.keep(lab, host)
    elif before and played.outcome.changed and worse(lab, target, before):
        return results, put_back(path, lab, host, before, access, progress, descriptor)
    return results, None
