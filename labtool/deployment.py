"""`labtool deploy`: from a bare machine to a server that is proved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from labtool import (
    accounts,
    atomic,
    certificates,
    change,
    former,
    inventory,
    issuer,
    operation,
    options,
    proof,
    repository,
)
from labtool.errors import LabtoolError, RequestError
from labtool.flexisip.names import check_host
from labtool.inventory import Account, Host, Lab
from labtool.operation import Access, Played, Progress
from labtool.playbook import Play
from labtool.probe.result import Result
from labtool.probe.target import Target
from labtool.restart import Restart
from labtool.state import HostState


@dataclass(frozen=True)
class Request:
    """What was asked for. `options` are options of lab.yml that the command line names.

    `replace`: a server that this lab did not set up may be replaced.
    """

    host: str | None = None
    user: str | None = None
    port: int | None = None
    identity: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    check: bool = False
    diff: bool = False
    verbosity: int = 0
    create_users: bool = True
    replace: bool = False


@dataclass(frozen=True)
class Deployed:
    """What came of it. `passwords` are those of users made just now; nobody else has them."""

    played: Played
    lab: Lab
    target: Target
    results: tuple[Result, ...]
    passwords: Mapping[str, str] = field(repr=False)
    fingerprint: str = ""
    restored: change.Restored | None = None
    restart: Restart | None = None

    @property
    def ok(self) -> bool:
        return self.restored is None and all(result.ok for result in self.results)


def wanted(path: Path, request: Request) -> tuple[Lab, Host]:
    """The lab and the host as they are to be, nothing written yet. Raises RequestError."""
    if inventory.exists(path):
        lab = inventory.read(path)
    elif request.host is None:
        raise RequestError(
            f"There is no lab in {path}. Name a machine with --host, or run labtool init."
        )
    else:
        lab = Lab(path, (), options.defaults(), ())
    for name, value in request.options.items():
        checked = options.check_one(name, value, where="the command line")
        lab = replace(lab, options={**lab.options, name: checked})
    host = _host(lab, request)
    # Without a domain there is nothing to render; said before the host is asked.
    _ = lab.domain
    if stale := lab.stale_accounts():
        names = ", ".join(account.name for account in stale)
        raise RequestError(
            f"The lab's users ({names}) have passwords for {stale[0].domain}, not for {lab.domain}: a "
            "password is hashed with its domain. Keep the domain, or remove those users first "
            "(labtool remove-user --lab-only), and add them again."
        )
    if certificates.wanted(lab.options) and not certificates.is_own(lab.options):
        certificates.of_lab(lab.options, lab.path, host.name)
    if deb := lab.options["flexisip_deb"]:
        _check_package(Path(deb))
    return lab, host


def _check_package(path: Path) -> None:
    """Whether this is a Debian package (deb(5)). Raises RequestError before any host is asked."""
    if path.is_dir():
        raise RequestError(f"{path} is a folder; name the package file in it.")
    try:
        with path.open("rb") as stream:
            begins = stream.read(21)
    except OSError as error:
        raise RequestError(f"The package file {path} cannot be read: {error.strerror}.") from error
    if begins != b"!<arch>\ndebian-binary":
        raise RequestError(f"{path} is no Debian package (.deb).")


def _check_identity(path: Path) -> None:
    """Whether OpenSSH takes this as a private key. Raises RequestError before any host is asked."""
    try:
        with path.open("rb") as stream:
            begins = stream.read(200)
    except OSError as error:
        raise RequestError(f"The SSH key {path} cannot be read: {error.strerror}.") from error
    if b"PRIVATE KEY" not in begins.split(b"\n", 1)[0]:
        raise RequestError(f"{path} is no private SSH key.")
    if path.stat().st_mode & 0o077 and path.stat().st_uid == os.getuid():
        raise RequestError(
            f"Others may read the private SSH key {path}, and ssh does not use such a key. "
            f"Run: chmod 600 {path}"
        )


def _host(lab: Lab, request: Request) -> Host:
    if request.host is None:
        found = lab.host(None)
    else:
        check_host(request.host)
        known = [h for h in lab.hosts if request.host in (h.name, h.address)]
        found = known[0] if known else _new_host(request.host)
    return _reached(found, request.user, request.port, request.identity)


def named_host(name: str, user: str | None, port: int | None, identity: str | None) -> Host:
    """A machine that no lab names yet. Raises RequestError for what cannot be one."""
    check_host(name)
    return _reached(_new_host(name), user, port, identity)


def _new_host(name: str) -> Host:
    return Host(name, name, local=name == "localhost")


def _reached(found: Host, user: str | None, port: int | None, identity: str | None) -> Host:
    """The host with what the command line says of how to sign in."""
    if user is not None:
        inventory.check_login(user)
    user, port = user or found.user, port or found.port
    variables = {**found.variables}
    if user is not None:
        variables["ansible_user"] = user
    if identity is not None:
        _check_identity(Path(identity))
        variables["ansible_ssh_private_key_file"] = str(Path(identity).resolve())
    return replace(found, user=user, port=port, variables=variables)


def play(path: Path, host: Host, access: Access, request: Request) -> Play:
    """The play of a deployment."""
    return operation.play_of(
        path,
        host,
        "deploy",
        access,
        check=request.check,
        diff=request.diff,
        verbosity=request.verbosity,
        variables={"flexisip_replace": True} if request.replace else {},
    )


def deploy(path: Path, request: Request, access: Access, progress: Progress) -> Deployed:
    """Deploy, and prove. Nothing is written before the host let us in.

    Raises RequestError, UnreachableError, LockedError, PlayFailed. A probe that fails is not
    raised: it is in the results.
    """
    lab, host = wanted(path, request)
    from labtool import remote

    home = path
    with ExitStack() as stack:
        descriptor = None
        if inventory.exists(path) and not request.check:
            # Who has to wait is told before being asked for anything.
            _, descriptor = stack.enter_context(operation.opened(path, "deploy"))
        progress.phase("Connect")
        operation.look(host, access)
        if not host.local and host.user is None:
            host = replace(host, user=remote.ssh_user(host))
        if request.check:
            # A look changes nothing, the lab included.
            path = stack.enter_context(operation.copy_of(path))
            # The copy does not remember what the lab has deployed.
            known = former.known(home, host.name)
            request = replace(request, replace=request.replace or known)
            logs = operation.logs_of_a_look(lab.path)
        else:
            if not inventory.exists(path):
                inventory.initialise(path, domain=lab.domain)
                progress.note(f"Made the lab {path}")
            if descriptor is None:
                _, descriptor = stack.enter_context(operation.opened(path, "deploy"))
            logs = operation.logs(path)
        options_before = _text(inventory.lab_file(path))
        lab = _written(path, lab, host, request)
        if issuer.for_host(lab, host) and not request.check:
            progress.note(f"Made a certificate for {lab.domain}, signed by the lab's own issuer")
        lab, passwords = _first_users(lab, request)
        before: list[change.Found] = []

        def on_state(state: HostState) -> None:
            # The copy that a look works on has no memory of what the host was given.
            before.append(change.found(replace(lab, path=home), host, state))
            change.announce(before[0], progress, would=request.check)

        try:
            played = operation.run(
                play(path, host, access, request),
                host,
                access,
                progress,
                log_folder=logs,
                descriptor=descriptor,
                on_state=on_state,
                on_saved=partial(former.saved, lab, host),
            )
        except BaseException as error:
            untouched = isinstance(error, operation.PlayFailed) and not error.outcome.changed
            if untouched and options_before is not None:
                # What this command line named has not worked, and nothing on the host was done with
                # it: the next one begins without it.
                atomic.write(inventory.lab_file(path), options_before, mode=0o644)
            # Nobody has seen these passwords: the next deployment makes new ones.
            if passwords:
                inventory.users_file(path).unlink(missing_ok=True)
            raise
        if request.check:
            at_home = replace(lab, path=home)
            if before and (
                said := change.users_by_hand(at_home, host, before[0], access, would=True)
            ):
                progress.note(said)
            looked = proof.target(lab, host, played.state)
            return Deployed(played, lab, looked, (), {}, restart=_restart(before))
        lab, fingerprint = _record_key(lab, played)
        results, restored = change.settle(
            path, lab, host, before[0] if before else None, played, access, progress, descriptor
        )
        target = proof.target(lab, host, played.state)
        return Deployed(
            played, lab, target, tuple(results), passwords, fingerprint, restored, _restart(before)
        )


def _restart(before: list[change.Found]) -> Restart | None:
    return before[0].restart if before else None


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _written(path: Path, lab: Lab, host: Host, request: Request) -> Lab:
    """The host and the options of this request in the lab's files. Returns the lab read back."""
    if not inventory.exists(path):
        inventory.initialise(path, domain=lab.domain)
    now = inventory.read(path)
    changes = {
        name: lab.options[name]
        for name in request.options
        if now.options.get(name) != lab.options[name]
    }
    if changes:
        now = inventory.set_options(now, changes)
    if host not in now.hosts:
        now = inventory.add_host(now, host)
    # The flags of the roles have no default for the domain: without one there is nothing to render.
    _ = now.domain
    return now


def _first_users(lab: Lab, request: Request) -> tuple[Lab, dict[str, str]]:
    """Two users for a lab that has none, as a call needs two; and their passwords."""
    if lab.accounts or not request.create_users:
        return lab, {}
    made: list[Account] = []
    passwords: dict[str, str] = {}
    for name in accounts.FIRST_USERS:
        account, passwords[name] = accounts.account(name, lab.domain)
        made.append(account)
    return inventory.write_accounts(lab, tuple(made)), passwords


def _record_key(lab: Lab, played: Played) -> tuple[Lab, str]:
    """Pin the repository's key that was seen first."""
    if not played.repository_answer or lab.options["flexisip_repository_key_fingerprint"]:
        return lab, ""
    try:
        fingerprint = repository.key_of(played.repository_answer).fingerprint
    except LabtoolError:
        return lab, ""
    return (
        inventory.set_options(lab, {"flexisip_repository_key_fingerprint": fingerprint}),
        fingerprint,
    )
