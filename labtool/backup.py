"""`labtool backup`: a server's files and its lab's in one archive, from which `restore` goes back.

The archive is what save.sh makes on the server (manifest, files/...), and the lab's files in lab/.
It holds password hashes: 0600, and to be kept like a password.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import os
import secrets
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labtool import atomic, expectation, inventory, remote
from labtool.errors import LabtoolError, RequestError
from labtool.inventory import Host, Lab
from labtool.operation import Access

_LAB_FILES = ("hosts.yml", "group_vars/flexisip/lab.yml", "group_vars/flexisip/users.yml")
# A backup of 100,000 users is 20 MB; more than this is none of ours.
_LARGEST = 256 << 20


@dataclass(frozen=True)
class Backup:
    """A backup, read: when it was made, the package's version, the lab's files by their path.

    `sha256` are those of the server's files, by their path there.
    """

    when: str
    package: str
    lab: Mapping[str, bytes] = field(repr=False)
    sha256: Mapping[str, str] = field(default_factory=dict)


def manifest(text: str) -> dict[str, str]:
    """The lines `key value` of a manifest."""
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)


def backup(path: Path, name: str | None, output: Path | None, access: Access) -> tuple[Host, Path]:
    """Write a backup of a host and its lab to a new file, 0600. Returns both.

    Raises RequestError where the file exists or nothing is installed; UnreachableError.
    """
    lab = inventory.read(path)
    host = lab.host(name)
    when = time.strftime("%Y%m%d-%H%M%S")
    output = output or Path(f"backup-{host.name.replace(':', '-')}-{when}.tar.gz")
    if output.exists():
        raise RequestError(f"{output} exists already, and is left as it is. Name a new file.")
    folder = expectation.role_variables()["flexisip_former"].rpartition("/")[0]
    beside = f"{folder}/backup-{secrets.token_hex(8)}.tar.gz"
    script = expectation.script("save.sh.j2", flexisip_archive=beside)
    with remote.connect(host, password=access.password, trust=access.trust) as line:
        said = line.run(f"({script}\n) && base64 -w0 {beside}; r=$?; rm -f {beside}; exit $r")
    if said.returncode != 0:
        raise LabtoolError(f"{host.name} cannot be backed up: {said.stderr.strip()}")
    try:
        archive = _with_lab(base64.b64decode(said.stdout, validate=True), lab)
    except (binascii.Error, tarfile.TarError, OSError) as error:
        raise LabtoolError(f"What {host.name} sent is not a backup: {error}") from error
    _write(output, archive)
    return host, output


def _with_lab(server: bytes, lab: Lab) -> bytes:
    """The server's archive with the lab's files added."""
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(server), mode="r:gz") as source,
        tarfile.open(fileobj=made, mode="w:gz") as sink,
    ):
        for member in source:
            sink.addfile(member, source.extractfile(member) if member.isreg() else None)
        for name in _LAB_FILES:
            if (file := lab.path / name).is_file():
                content = file.read_bytes()
                member = tarfile.TarInfo(f"lab/{name}")
                member.size, member.mode, member.mtime = len(content), 0o600, int(time.time())
                sink.addfile(member, io.BytesIO(content))
    return made.getvalue()


def _write(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise LabtoolError(f"{path} cannot be written: {error.strerror}.") from error


def read(archive: Path) -> Backup:
    """Read a backup. Raises RequestError where it is none."""
    allowed = {"files" + path for path in expectation.kept_files()}
    lab: dict[str, bytes] = {}
    found: dict[str, str] = {}
    sha256: dict[str, str] = {}
    try:
        with tarfile.open(archive, "r:gz") as source:
            for member in source:
                name = member.name.removeprefix("./")
                if member.isdir():
                    continue
                if not member.isreg() or member.size > _LARGEST:
                    raise RequestError(
                        f"{archive} is not a backup of labtool's: it holds {name!r}."
                    )
                stream = source.extractfile(member)
                content = stream.read() if stream else b""
                if name == "manifest":
                    found = manifest(content.decode("utf-8", "replace"))
                elif name.startswith("lab/") and name[4:] in _LAB_FILES:
                    lab[name[4:]] = content
                elif name in allowed:
                    sha256[name.removeprefix("files")] = hashlib.sha256(content).hexdigest()
                else:
                    raise RequestError(
                        f"{archive} is not a backup of labtool's: it holds {name!r}."
                    )
    except (OSError, EOFError, tarfile.TarError) as error:
        why = getattr(error, "strerror", None) or str(error) or "it is cut short"
        raise RequestError(f"{archive} cannot be read as a backup: {why}.") from error
    if not found.get("saved", "").isdigit():
        raise RequestError(f"{archive} is not a backup of labtool's: it has no manifest.")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(found["saved"])))
    return Backup(when, found.get("package", "").removeprefix("installed "), lab, sha256)


def write_lab(kept: Backup, lab: Lab) -> None:
    """Give the lab the options and the accounts of a backup; its hosts stay."""
    for file in (inventory.lab_file(lab.path), inventory.users_file(lab.path)):
        content = kept.lab.get(str(file.relative_to(lab.path)))
        if content is not None:
            mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
            atomic.write(file, content.decode("utf-8"), mode=mode)
