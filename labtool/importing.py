"""`labtool import HOST`: look at a server that somebody set up, and write the lab that it is."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from labtool import (
    atomic,
    expectation,
    former,
    inventory,
    operation,
    options,
    remote,
    rendering,
    state,
    takeover,
)
from labtool.errors import LabtoolError, RequestError
from labtool.flexisip.findings import is_secret
from labtool.flexisip.lint import Kind
from labtool.inventory import Host, Lab
from labtool.operation import Access


@dataclass(frozen=True)
class Taken:
    """A lab that was written. `originals` is where the server's own files are kept; `notes` more.

    `corrected` has a sentence for each line on which the server did not start.
    """

    lab: Lab
    host: Host
    release: str
    found: takeover.Imported
    originals: Path
    notes: tuple[str, ...] = field(default=())
    corrected: tuple[str, ...] = ()


def import_host(
    path: Path,
    host: Host,
    access: Access,
    *,
    domain: str | None = None,
    more: Mapping[str, Any] | None = None,
    leave_out: bool = False,
) -> Taken:
    """Write the lab of a server; the server itself is only looked at.

    `more` are options of lab.yml that the command line names; `leave_out` goes on without accounts
    that a lab cannot hold. Raises RequestError (the lab exists; nothing is installed; the files are
    refused; an account cannot be held), UnreachableError.
    """
    if inventory.exists(path):
        raise RequestError(
            f"{path} holds a lab already. Name a new directory for this one: labtool import -i DIR"
        )
    known = expectation.role_variables()
    with operation.as_root(host, access) as line:
        seen = state.parse(
            line.run(expectation.script("state.sh.j2", flexisip_ports=[5060])).stdout
        )
        if not seen.package:
            raise RequestError(
                f"Flexisip is not installed on {host.name}. For a bare machine: labtool deploy --host"
            )
        release = rendering.release(seen.package)
        conf_text = _fetch(line, known["flexisip_configuration"])
        if conf_text is None:
            raise RequestError(f"{host.name} has no {known['flexisip_configuration']}.")
        conf_right = takeover.startable(conf_text, Kind.CONF, release)
        found = takeover.read_conf(conf_right.text, release)
        users_path = takeover.users_path(found)
        users_text = _fetch(line, users_path) if users_path else None
        policy = line.run(f"apt-cache policy {known['flexisip_package']}").stdout
    addresses = state.addresses(
        seen.addresses, "" if host.local else remote.numeric(host.address), ""
    )
    users_right = takeover.Corrected(b"")
    if users_text is not None:
        users_right = takeover.startable(users_text, Kind.USERS, release)
    result = takeover.imported(
        found,
        users_right.text if users_text is not None else None,
        addresses,
        domain=domain,
        users_file=known["flexisip_users_file"],
    )
    if result.left_out and not leave_out:
        raise RequestError(
            f"A lab cannot hold {len(result.left_out)} of the accounts in {users_path}: "
            + "; ".join(result.left_out[:10])
            + ". To go on without them: --leave-out"
        )
    repository, notes = _repository(policy, seen, known)
    values = {**result.options, **repository, **(more or {})}
    if host.user is None and not host.local:
        host = replace(host, user=remote.ssh_user(host))
    lab = _write(path, host, values, result)
    originals = path / ".labtool" / "imported" / host.name
    _keep(originals / "flexisip.conf", conf_text)
    if users_text is not None:
        _keep(originals / "users.db.txt", users_text)
        if users_path == known["flexisip_users_file"] and not users_right.sentences:
            former.note_users(lab, host, hashlib.sha256(users_text).hexdigest())
    corrected = (*conf_right.sentences, *users_right.sentences)
    return Taken(lab, host, release, result, originals, notes, corrected)


def _fetch(line: remote.Remote, path: str) -> bytes | None:
    """A file of the server, byte for byte; None where it is not there."""
    answer = line.run(f"test -f {shlex.quote(path)} && base64 -w0 < {shlex.quote(path)}")
    return base64.b64decode(answer.stdout) if answer.returncode == 0 else None


def _repository(
    policy: str, seen: state.HostState, known: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Where the package came from, as options, from what `apt-cache policy` says."""
    source = re.search(
        r"^ +-?\d+ (https?://\S+) ([^\s/]+)/(\S+) \S+ Packages", policy, re.MULTILINE
    )
    if source is None:
        return {}, (
            "The package came from no repository that the host still has. A deployment adds "
            "Linphone's own; name another with --repo-url, or a package file with --deb.",
        )
    url, suite, component = source.groups()
    values: dict[str, Any] = {"flexisip_repository_url": url}
    if suite != seen.codename:
        values["flexisip_repository_suite"] = suite
    if component != "stable":
        values["flexisip_repository_components"] = [component]
    for name, value in values.items():
        options.check_one(name, value, where="the host's repository")
    notes: tuple[str, ...] = ()
    if known["flexisip_repository_source"] not in seen.files:
        notes = (
            f"The host names the repository {url} in a file of its own. A deployment adds "
            f"{known['flexisip_repository_source']}: take the other out first, for apt refuses one "
            "repository with two keys.",
        )
    return values, notes


def _write(path: Path, host: Host, values: Mapping[str, Any], result: takeover.Imported) -> Lab:
    options.check(values, where="the server's settings")
    inventory.initialise(path, domain=values["flexisip_domain"])
    kept = values.get("flexisip_settings", {})
    if any(is_secret(key) for section in kept.values() for key in section):
        inventory.lab_file(path).chmod(0o600)
    lab = inventory.set_options(
        inventory.read(path), {k: v for k, v in values.items() if k != "flexisip_domain"}
    )
    return inventory.add_host(inventory.write_accounts(lab, result.accounts), host)


def _keep(path: Path, content: bytes) -> None:
    """Keep a file of the server as it is: comments and all, for nobody else."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic.write(path, content.decode("utf-8", "surrogateescape"))
    except (OSError, UnicodeError) as error:
        raise LabtoolError(f"{path} cannot be written: {error}") from error
