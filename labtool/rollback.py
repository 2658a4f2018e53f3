"""`labtool rollback` and `labtool restore`: a server as it was before its last change, or in a backup."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from labtool import backup, change, expectation, former, inventory, operation, proof, state
from labtool.errors import RequestError
from labtool.inventory import Host, Lab
from labtool.operation import Access, Progress
from labtool.probe.result import Result
from labtool.restart import Restart, restart


@dataclass(frozen=True)
class RolledBack:
    """What came of it. `with_lab`: lab.yml and users.yml are those of that time, too."""

    host: Host
    put_back: former.PutBack
    with_lab: bool
    results: tuple[Result, ...]

    @property
    def ok(self) -> bool:
        return all(result.ok for result in self.results)


def rollback(path: Path, name: str | None, access: Access, progress: Progress) -> RolledBack:
    """Back to what the host had before its last change; once more, and that is taken back.

    Raises RequestError where nothing was kept; PlayFailed where it could not be put back, and then
    everything is as it was.
    """
    with ExitStack() as stack:
        lab, descriptor = stack.enter_context(operation.opened(path, "rollback"))
        host = lab.host(name)
        progress.phase("Connect")
        kept, coming = _kept(lab, host, access)
        progress.note(kept)
        if coming is not None:
            change.tell(coming, progress)
        put_back = _play(path, host, access, progress, descriptor, None)
        with_lab = former.put_back_lab(lab, host)
        return _proved(path, host, put_back, with_lab, access, progress)


def restore(
    path: Path, name: str | None, archive: Path, access: Access, progress: Progress
) -> RolledBack:
    """Bring a server, and the lab, to the state of a backup. Raises as `rollback` does."""
    kept = backup.read(archive)
    with ExitStack() as stack:
        lab, descriptor = stack.enter_context(operation.opened(path, "restore"))
        host = lab.host(name)
        backup.check_is_of(kept, archive, lab, host)
        progress.phase("Connect")
        with operation.as_root(host, access) as line:
            found = state.parse(line.run(expectation.state_script(lab)).stdout)
        progress.note(f"The backup is of {kept.when}: Flexisip {kept.package or 'not installed'}.")
        if (coming := _restart(found, kept.package, kept.sha256)) is not None:
            change.tell(coming, progress)
        put_back = _play(path, host, access, progress, descriptor, archive)
        former.set_aside(lab, host)
        backup.write_lab(kept, lab)
        former.keep(inventory.read(path), host)
        return _proved(path, host, put_back, bool(kept.lab), access, progress)


def restore_lab(path: Path, archive: Path) -> backup.Backup:
    """Give the lab the options and users of a backup; no server is changed. Raises RequestError."""
    kept = backup.read(archive)
    with operation.opened(path, "restore") as (lab, _):
        if not kept.lab:
            raise RequestError(f"{archive} holds no lab: it was made without one.")
        backup.write_lab(kept, lab)
    return kept


def _kept(lab: Lab, host: Host, access: Access) -> tuple[str, Restart | None]:
    """What the host keeps, in a sentence, and the restart that putting it back takes.

    Raises RequestError where it keeps nothing.
    """
    known = expectation.role_variables()
    archive = known["flexisip_former"]
    files = " ".join(f"files{path}" for path in _restarting())
    hashes = (
        f"for file in {files}; do tar -xzOf {archive} $file >/dev/null 2>&1 && "
        f'echo "$(tar -xzOf {archive} $file | sha256sum | cut -d" " -f1) ${{file#files}}"; done'
    )
    with operation.as_root(host, access) as line:
        kept = line.run(f"test -f {archive}").returncode == 0
        said = line.run(f"tar -xzOf {archive} manifest")
        listed = line.run(hashes).stdout.split()
        found = state.parse(line.run(expectation.state_script(lab)).stdout)
    if kept and said.returncode != 0:
        raise RequestError(
            f"What {host.name} kept of its former state ({archive}) is damaged: "
            f"{' '.join(said.stderr.split())}. Nothing was changed. With a backup: labtool restore FILE"
        )
    if said.returncode != 0:
        raise RequestError(
            f"{host.name} keeps no former state: labtool has not changed it yet, so there is nothing "
            "to roll back to."
        )
    manifest = backup.manifest(said.stdout)
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(manifest.get("saved", "0"))))
    version = manifest.get("package", "").removeprefix("installed ")
    if not manifest.get("package", "").startswith("installed "):
        raise RequestError(
            f"The last change of {host.name} was its first installation: there is no former server."
        )
    hashes_by_path = dict(zip(listed[1::2], listed[::2], strict=False))
    sentence = f"Back to what {host.name} had until {when}: Flexisip {version}."
    return sentence, _restart(found, version, hashes_by_path)


def _restarting() -> list[str]:
    """The files with which the server is started; it takes up another users file by itself."""
    users = expectation.role_variables()["flexisip_users_file"]
    return [path for path in expectation.kept_files() if path != users]


def _restart(found: state.HostState, version: str, sha256: Mapping[str, str]) -> Restart | None:
    """The restart that put_back.sh will do, with what is put back; None where it does none."""
    if not found.serves_now:
        return None
    paths = _restarting()
    has = {path: found.files[path].sha256 for path in paths if path in found.files}
    if version and version != found.package:
        return restart(found, f"{found.package} becomes {version}")
    if has != {path: sha256[path] for path in paths if path in sha256}:
        return restart(found, "The configuration changes")
    return None


def _play(
    path: Path,
    host: Host,
    access: Access,
    progress: Progress,
    descriptor: int,
    archive: Path | None,
) -> former.PutBack:
    variables = {"flexisip_restore_from": str(archive.resolve())} if archive else {}
    listening = former.Listening(progress)
    operation.run(
        operation.play_of(path, host, "rollback", access, variables=variables),
        host,
        access,
        listening,
        log_folder=operation.logs(path),
        descriptor=descriptor,
    )
    return former.parse(listening.said)


def _proved(
    path: Path,
    host: Host,
    put_back: former.PutBack,
    with_lab: bool,
    access: Access,
    progress: Progress,
) -> RolledBack:
    lab: Lab = inventory.read(path)
    if put_back.serves != "yes":
        return RolledBack(host, put_back, with_lab, ())
    progress.phase("Prove")
    with operation.as_root(host, access) as line:
        found = state.parse(line.run(expectation.state_script(lab)).stdout)
    # Users that came back are live when the server reads its file again.
    if lab.accounts:
        proof.wait_until_live(
            lab, proof.target(lab, host, found), lab.accounts[0], lambda result: None
        )
    results = proof.prove(lab, proof.target(lab, host, found), lab.accounts, progress.result)
    return RolledBack(host, put_back, with_lab, tuple(results))
