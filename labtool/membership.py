"""`labtool add-user`, `remove-user`, `set-password`: the lab, the server, and the proof."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

from labtool import accounts, former, inventory, operation, proof, serving
from labtool import change as change_
from labtool.inventory import Account, Host, Lab
from labtool.operation import Access, PlayFailed, Progress
from labtool.probe.result import Result
from labtool.probe.target import Target


@dataclass(frozen=True)
class Change:
    """What came of it: the lab as it now is, and the proof at each host (empty: no host yet).

    `ok` says that every host does what it should now: lets the user in, or no longer. `told` are
    sentences about hosts where the proof failed: whether it was put back, and why not. `restored`
    where it was; the lab is the former one then, unless other hosts had taken the change.
    """

    lab: Lab
    results: tuple[Result, ...]
    ok: bool = True
    tasks: int = 0
    told: tuple[str, ...] = ()
    restored: change_.Restored | None = None

    def to_dict(self) -> dict[str, Any]:
        """For --json, as deploy has it. `put_back` is null where nothing was put back."""
        return {
            "ok": self.ok,
            "tasks": self.tasks,
            "put_back": self.restored.put_back.ok if self.restored else None,
            "passes_again": self.restored.passes if self.restored else None,
            "told": list(self.told),
        }

    @property
    def tried(self) -> int:
        """How many users were tried over the transport that was tried first."""
        first = self.results[0].transport if self.results else ""
        return sum(result.transport == first for result in self.results)


def put(path: Path, account: Account, access: Access, progress: Progress, *, new: bool) -> Change:
    """Add an account, or change its password, and prove that it signs in.

    Raises RequestError where a new one exists already, or an old one does not; PlayFailed.
    """
    verb = "add-user" if new else "set-password"
    change = accounts.added if new else accounts.changed

    def proved(lab: Lab, target: Target) -> list[Result]:
        return proof.wait_until_live(lab, target, account, progress.result)

    def holds(result: Result) -> bool:
        return result.ok

    return _apply(path, verb, lambda lab: change(lab, account), proved, holds, access, progress)


def put_many(
    path: Path, more: tuple[Account, ...], access: Access, progress: Progress, *, update: bool
) -> Change:
    """Add many accounts by one file, one play and one wait, and prove that they sign in.

    All have come alive once one has, for the server reads its file whole; of the rest a sample is
    tried. With `update` an account that exists gets the new password. Raises RequestError; PlayFailed.
    """

    ordered = list(more)

    def change(lab: Lab) -> tuple[Account, ...]:
        known = {account.name: account for account in lab.accounts}
        for account in more:
            if not update and account.name in known:
                accounts.added(lab, account)
        # One who could sign in before tells nothing of whether the change is live: the others first.
        ordered.sort(key=lambda account: known.get(account.name) == account)
        return accounts.merged(lab, more)

    def proved(lab: Lab, target: Target) -> list[Result]:
        return proof.wait_until_all_live(lab, target, ordered, progress.result)

    def holds(result: Result) -> bool:
        return result.ok

    return _apply(path, "import-users", change, proved, holds, access, progress)


def remove(
    path: Path, name: str, access: Access, progress: Progress, *, lab_only: bool = False
) -> Change:
    """Remove an account, and prove that the server refuses it.

    `lab_only` leaves the servers alone: the next deployment takes the user from them.
    Raises RequestError where there is none of that name; PlayFailed.
    """
    account = inventory.read(path).account(name)

    def proved(lab: Lab, target: Target) -> list[Result]:
        return [proof.wait_until_refused(lab, target, account)]

    def holds(result: Result) -> bool:
        return result.cause is not None and result.cause.name in ("wrong-password", "unknown-user")

    if lab_only:
        with operation.opened(path, "remove-user") as (lab, _):
            return Change(inventory.write_accounts(lab, accounts.removed(lab, name)), ())
    change = lambda lab: accounts.removed(lab, name)  # noqa: E731
    return _apply(path, "remove-user", change, proved, holds, access, progress)


# Seconds of waiting from which on a person is told why.
_LONG_S = 15


def _patient(lab: Lab, served: serving.Serving | None) -> Lab:
    """The lab with the waiting time of the server, where that is longer: it may not be deployed yet."""
    seconds = max(
        lab.options["flexisip_cache_expire"], ceil(served.cache_expire_s if served else 0)
    )
    return replace(lab, options={**lab.options, "flexisip_cache_expire": seconds})


def _apply(
    path: Path,
    verb: str,
    change: Callable[[Lab], tuple[Account, ...]],
    proved: Callable[[Lab, Target], list[Result]],
    holds: Callable[[Result], bool],
    access: Access,
    progress: Progress,
) -> Change:
    with operation.opened(path, verb) as (before, descriptor):
        # An unknown name or one that is taken is told before any host is asked.
        wanted = change(before)
        _ = before.domain
        serves = {}
        for host in before.hosts:
            progress.phase(f"Connect to {host.name}" if len(before.hosts) > 1 else "Connect")
            serves[host.name] = serving.look(host, access)
        unaffected = _unaffected(before.accounts, wanted)
        lab = inventory.write_accounts(before, wanted)
        results: list[Result] = []
        told: list[str] = []
        tasks = 0
        for number, host in enumerate(lab.hosts):
            found: list[change_.Found] = []
            try:
                played = operation.run(
                    operation.play_of(path, host, "users", access),
                    host,
                    access,
                    progress,
                    log_folder=operation.logs(path),
                    descriptor=descriptor,
                    on_state=lambda state, host=host, found=found: found.append(  # type: ignore[misc]
                        change_.found(lab, host, state, unaffected=unaffected)
                    ),
                    on_saved=partial(former.saved, lab, host),
                )
            except (PlayFailed, KeyboardInterrupt):
                # The lab says what its servers have: this change did not arrive.
                _, said = _without(before, lab, number)
                if number:
                    progress.note(said)
                raise
            tasks += played.outcome.tasks
            if found and (said := change_.users_by_hand(lab, host, found[0], access)):
                progress.note(said)
            patient = _patient(lab, serves[host.name])
            if found and not found[0].state.serves_now:
                # Nobody answers, however long one waits.
                progress.note(
                    f"Flexisip does not run on {host.name}: the users file is changed, but nobody can "
                    "sign in. labtool deploy starts it; labtool doctor says why it does not run."
                )
                patient = replace(patient, options={**patient.options, "flexisip_cache_expire": 0})
            seconds = patient.options["flexisip_cache_expire"]
            progress.phase(f"Live within {seconds} s" if seconds else "Prove")
            if seconds > _LONG_S:
                progress.note(
                    f"{host.name} reads its users again {seconds} s after the last time. Ctrl-C ends "
                    "the waiting; the change stays."
                )
            fresh = proved(patient, proof.target(lab, host, played.state))
            results += fresh
            changed = bool(found) and played.outcome.changed
            if changed and (gone := change_.lost(lab, found[0])):
                restored = change_.put_back(
                    path, lab, host, found[0], access, progress, descriptor, seconds
                )
                kept, said = _without(before, lab, number)
                if not restored.put_back.ok and not number:
                    said += f" To give it to {host.name}: labtool deploy --host {host.name}"
                told += [f"{host.name}: {_worse(gone)}. {restored.sentence} {said}"]
                return Change(kept, tuple(results), False, tasks, tuple(told), restored)
            if all(map(holds, fresh)):
                former.keep(lab, host, users_only=True)
            else:
                told += [_stays(host, found[0] if found else None)]
        return Change(lab, tuple(results), all(map(holds, results)), tasks, tuple(told))


def _unaffected(before: Iterable[Account], wanted: Iterable[Account]) -> tuple[Account, ...]:
    """The first two accounts that this change is not about."""
    after = {account.name: account for account in wanted}
    return tuple(islice((one for one in before if after.get(one.name) == one), 2))


def _without(before: Lab, lab: Lab, number: int) -> tuple[Lab, str]:
    """The lab after a change that `number` of its hosts took before one did not; and in words."""
    if number == 0:
        others = " No other host was changed." if len(lab.hosts) > 1 else ""
        return inventory.write_accounts(lab, before.accounts), f"users.yml is what it was.{others}"
    new, old = lab.hosts[:number], lab.hosts[number:]
    ways = "; ".join(f"labtool deploy --host {host.name}" for host in old)
    return lab, (
        f"{_names(new)} took the change, so users.yml keeps the new accounts; {_names(old)} "
        f"{'has' if len(old) == 1 else 'have'} the former ones until you run: {ways}"
    )


def _names(hosts: Iterable[Host]) -> str:
    return " and ".join(host.name for host in hosts)


def _worse(gone: Iterable[tuple[str, str]]) -> str:
    """Who is locked out by a change, in words."""
    silent = sorted({transport for transport, user in gone if not user})
    if silent:
        over = " and ".join(transport.upper() for transport in silent)
        return f"The server answered over {over} before this change and not after it"
    users = " and ".join(sorted({user for _, user in gone}))
    return f"{users} could sign in before this change and not after it"


def _stays(host: Host, found: change_.Found | None) -> str:
    """Why nothing was put back although the proof failed."""
    if found is None or found.unknown:
        why = "who could sign in before it is not known"
    elif not found.passed:
        why = "from here, nobody could sign in before it either"
    else:
        why = "those who could sign in before it still can"
    return f"The change is on {host.name}, and nothing was put back: {why}."
