"""`labtool upgrade`: another release of Flexisip, with the way back kept ready.

What will change is told first: the packages as apt would do it, the settings by the table of
releases. The upgrade itself is a deployment that installs a named version.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from labtool import change, expectation, former, operation, remote, rendering, state
from labtool.errors import LabtoolError, RequestError
from labtool.flexisip import extra, releases
from labtool.flexisip.settings import Setting, schema
from labtool.inventory import Host, Lab
from labtool.operation import Access, Played, Progress
from labtool.probe.result import Result
from labtool.restart import Restart, restart


@dataclass(frozen=True)
class Plan:
    """What an upgrade would do. `packages` are apt's steps, `settings` a sentence each."""

    host: Host
    installed: str
    wanted: str
    packages: tuple[str, ...]
    settings: tuple[str, ...]
    restart: Restart | None = None

    @property
    def nothing(self) -> bool:
        return self.installed == self.wanted


@dataclass(frozen=True)
class Upgraded:
    """What came of it. `restored` where the new release did not pass and the former was put back."""

    plan: Plan
    played: Played
    results: tuple[Result, ...]
    restored: change.Restored | None = None

    @property
    def ok(self) -> bool:
        return self.restored is None and all(result.ok for result in self.results)


def plan(lab: Lab, name: str | None, to: str | None, access: Access) -> Plan:
    """What an upgrade of the host to `to` (a version or a release; None: the newest) would do.

    Nothing is changed. Raises RequestError where there is no such version, or where the lab has a
    setting that the new release refuses; UnreachableError.
    """
    host = lab.host(name)
    if lab.options["flexisip_deb"]:
        raise RequestError(
            "This lab installs a package file (flexisip_deb). Name the new one: "
            "labtool deploy --deb FILE"
        )
    with operation.as_root(host, access) as line:
        found = state.parse(line.run(expectation.state_script(lab)).stdout)
        if found.half_installed:
            raise RequestError(
                f"An installation of bc-flexisip {found.half_installed} was cut off on {host.name}. "
                "labtool deploy finishes it, labtool rollback goes back to what was there before it."
            )
        if not found.package:
            raise RequestError(f"Flexisip is not installed on {host.name} yet. Run: labtool deploy")
        script = expectation.script("upgrade_look.sh.j2", flexisip_version="")
        offered = _said(line.run(script, timeout_s=120).stdout)
        if problems := offered.get("problem"):
            # apt would go on with the versions that it knew before, and fail in the middle.
            raise LabtoolError(
                f"{host.name} cannot ask its repository for Flexisip: {' '.join(problems)} Nothing "
                "was changed."
            )
        wanted = chosen(offered.get("available", []), to, found.package)
        steps: list[str] = []
        if wanted != found.package:
            script = expectation.script("upgrade_look.sh.j2", flexisip_version=wanted)
            asked = _said(line.run(script, timeout_s=120).stdout)
            steps = asked.get("step", [])
            if not steps:
                why = " ".join(asked.get("problem", [])) or "apt does not say why"
                raise LabtoolError(f"{host.name} cannot install {wanted}: {why}")
    old, new = rendering.release(found.package), rendering.release(wanted)
    addresses = state.addresses(
        found.addresses,
        "" if host.local else remote.numeric(host.address),
        str(lab.options["flexisip_public_address"]),
    )
    told = settings_changes(_options(lab), old, new, addresses)
    coming = None
    if found.serves_now and wanted != found.package:
        coming = restart(found, f"{found.package} becomes {wanted}")
    return Plan(host, found.package, wanted, tuple(steps), tuple(told), coming)


def _options(lab: Lab) -> dict[str, Any]:
    options = {key.removeprefix("flexisip_"): value for key, value in lab.options.items()}
    users_file = expectation.role_variables()["flexisip_users_file"]
    return {**options, "domain": lab.domain, "users_file": users_file}


def _said(text: str) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        said.setdefault(word, []).append(rest.strip())
    return said


def chosen(available: list[str], to: str | None, installed: str) -> str:
    """The version that is meant: exactly `to`, or the first of that release, or the newest.

    `available` is in apt's order, the newest first. Raises RequestError.
    """
    if not available:
        raise RequestError("The repository of the host offers no bc-flexisip.")
    if to is None:
        return available[0]
    for version in available:
        if version == to:
            return version
    for version in available:
        release = rendering.release(version)
        if release == to or release.startswith(f"{to}."):
            return version
    raise RequestError(
        f"The repository has no bc-flexisip {to}. It has: {', '.join(available[:8])} "
        f"(installed is {installed})."
    )


def settings_changes(
    options: Mapping[str, Any], old: str, new: str, addresses: state.Addresses
) -> list[str]:
    """A sentence for each setting of the lab that the new release names, reads or takes otherwise.

    Raises RequestError where the new release refuses one of the lab's own settings.
    """
    before, after = _written(options, old, addresses), _written(options, new, addresses)
    was, will = schema(old), schema(new)
    told = []
    renamed: set[tuple[str, str]] = set()
    for section, key in before:
        if (section, key) in after:
            continue
        instead = _place(extra.successor(section, key, will))
        # On the way back to an older release the successor's former name is the one.
        older = [place for place in after if _place(extra.successor(*place, was)) == (section, key)]
        if instead in after:
            renamed.add(instead)
            told.append(f"[{section}] {key} is called {instead[1]} in {new}")
        elif older:
            renamed.update(older)
            told.append(f"[{section}] {key} is called {older[0][1]} in {new}")
        else:
            told.append(f"[{section}] {key} is dropped: {new} does not have it")
    for place, value in after.items():
        section, key = place
        if place not in before and place not in renamed:
            told.append(f"[{section}] {key}={value} is new")
        elif place in before and before[place] != value:
            told.append(f"[{section}] {key} changes from {before[place]} to {value}")
        row, former = will.find(section, key), was.find(section, key)
        if row and row.is_deprecated_in(releases.version(new)) and not _deprecated(former, old):
            told.append(f"[{section}] {key} is deprecated in {new}: {row.advice}".rstrip(": "))
    for row in will:
        former = was.find(row.section, row.key)
        if former and former.default != row.default and (row.section, row.key) not in after:
            told.append(
                f"[{row.section}] {row.key}, which the lab does not set, is "
                f"{row.default or 'empty'} by itself in {new} (in {old}: {former.default or 'empty'})"
            )
    return told


def _deprecated(row: Setting | None, release: str) -> bool:
    return row is not None and row.is_deprecated_in(releases.version(release))


def _place(name: str | None) -> tuple[str, str]:
    section, _, key = (name or "").partition("/")
    return section, key


def _written(
    options: Mapping[str, Any], release: str, addresses: state.Addresses
) -> dict[tuple[str, str], str]:
    """The settings that flexisip.conf of a release holds, by section and key."""
    return {
        (section["name"], line["key"]): line["value"]
        for section in rendering.sections(options, release, addresses)
        for line in section["settings"]
    }


def upgrade(
    path: Path,
    planned: Plan,
    access: Access,
    progress: Progress,
    *,
    way_back: bool = True,
) -> Upgraded:
    """Do what was planned, prove it, and put the former release back where the proof fails.

    Raises PlayFailed where it cannot be installed or does not start; the former is put back then.
    """
    with ExitStack() as stack:
        lab, descriptor = stack.enter_context(operation.opened(path, "upgrade"))
        host = lab.host(planned.host.name)
        before: list[change.Found] = []

        def on_state(found: state.HostState) -> None:
            before.append(change.found(lab, host, found, upgrade=True))
            change.announce(replace(before[0], restart=None), progress)
            if found.serves_now:
                change.tell(restart(found, f"{found.package} becomes {planned.wanted}"), progress)

        play = operation.play_of(
            path,
            host,
            "upgrade",
            access,
            variables={"flexisip_version": planned.wanted, "flexisip_way_back": way_back},
        )
        played = operation.run(
            play,
            host,
            access,
            progress,
            log_folder=operation.logs(path),
            descriptor=descriptor,
            on_state=on_state,
            on_saved=partial(former.saved, lab, host),
        )
        results, restored = change.settle(
            path, lab, host, before[0] if before else None, played, access, progress, descriptor
        )
        return Upgraded(planned, played, tuple(results), restored)
