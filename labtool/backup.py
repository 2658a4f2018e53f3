"""`labtool backup`: a server's files and its lab's in one archive, from which `restore` goes back.

The archive is what save.sh makes on the server (manifest, files/...), and the lab's files in lab/.
It holds password hashes and the key of the lab's own issuer: 0600, to be kept like a password.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import io
import os
import re
import secrets
import shlex
import tarfile
import tempfile
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labtool import atomic, certificates, expectation, inventory, issuer, operation
from labtool.errors import LabtoolError, RequestError
from labtool.inventory import Host, Lab
from labtool.operation import Access

# The lab's own issuer: without it every phone would have to trust another one.
_ISSUER = (".tls/ca.pem", ".tls/ca.key")
_LAB_FILES = (
    "hosts.yml",
    "group_vars/flexisip/lab.yml",
    "group_vars/flexisip/users.yml",
    *_ISSUER,
)
# A backup of 100,000 users is 20 MB; more than this is none of ours.
_LARGEST = 256 << 20


@dataclass(frozen=True)
class Backup:
    """A backup, read: when it was made, the package's version, the lab's files by their path.

    `sha256` are those of the server's files, by their path there; `domain` and `hosts` the lab's.
    """

    when: str
    package: str
    lab: Mapping[str, bytes] = field(repr=False)
    sha256: Mapping[str, str] = field(default_factory=dict)
    domain: str = ""
    hosts: tuple[str, ...] = ()


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
    with operation.as_root(host, access) as line:
        # A shell of its own: before `&&` one does not end at the first failure, whatever its set -e.
        said = line.run(
            f"sh -c {shlex.quote(script)} && base64 -w0 {beside}; r=$?; rm -f {beside}; exit $r"
        )
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
            if name in _ISSUER and not all((lab.path / one).is_file() for one in _ISSUER):
                continue
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
    """Read a backup, and see that it holds nothing but what labtool puts into one.

    It goes to a server as root: no other path, link or mode, and no other unit. Raises RequestError.
    """
    drop_in = expectation.role_variables()["flexisip_drop_in"]
    allowed = {f"files{path}" for path in expectation.kept_files()}
    folders = {str(parent) for path in allowed for parent in Path(path).parents}
    lab: dict[str, bytes] = {}
    found: dict[str, str] = {}
    sha256: dict[str, str] = {}

    def wrong(what: str) -> RequestError:
        return RequestError(f"{archive} is not a backup of labtool's: {what}.")

    left = _LARGEST
    try:
        with archive.open("rb") as head:
            if head.read(2) != b"\x1f\x8b":
                raise wrong("it is no .tar.gz; labtool backup makes one")
        with gzip.open(archive) as packed, tarfile.open(fileobj=packed, mode="r:") as source:
            for member in source:
                name = member.name.removeprefix("./")
                if member.isdir() and name in folders:
                    continue
                # Nothing that a file of the server may be has a mode that gives rights away.
                if not member.isreg() or member.mode & 0o7022:
                    raise wrong(f"it holds {name!r}, which is no plain file")
                left -= member.size
                if left < 0:
                    raise wrong(f"it holds more than {_LARGEST >> 20} MB")
                stream = source.extractfile(member)
                content = stream.read() if stream else b""
                if name == "manifest":
                    found = manifest(content.decode("utf-8", "replace"))
                elif name.startswith("lab/") and name[4:] in _LAB_FILES:
                    lab[name[4:]] = content
                elif name not in allowed or name.removeprefix("files") in sha256:
                    raise wrong(f"it holds {name!r}")
                elif name == f"files{drop_in}" and not _is_ours(content):
                    raise wrong(f"its {Path(name).name} is a unit of somebody else")
                else:
                    sha256[name.removeprefix("files")] = hashlib.sha256(content).hexdigest()
            # To the very end, where the checksum is: a cut archive would take files away.
            while block := packed.read(1 << 16):
                left -= len(block)
                if left < 0:
                    raise wrong(f"it holds more than {_LARGEST >> 20} MB")
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        why = getattr(error, "strerror", None) or str(error) or "it is cut short"
        raise RequestError(f"{archive} cannot be read as a backup: {why}.") from error
    package = found.get("package", "").removeprefix("installed ")
    if re.fullmatch(r"\d{1,11}", found.get("saved", "")) is None:
        raise wrong("it has no manifest")
    if re.fullmatch(r"[A-Za-z0-9.+:~ -]*", package) is None:
        raise wrong("its manifest names no version")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(found["saved"])))
    return Backup(when, package, lab, sha256, *_lab_of(archive, lab))


def _is_ours(drop_in: bytes) -> bool:
    """Whether a unit's drop-in only says what labtool's do, of this release or another."""
    ours = expectation.render("flexisip-proxy.service.d.conf.j2", {}).splitlines()
    return all(
        line in ours or re.fullmatch(r"(#.*|Restart(Sec)?=[a-z0-9-]+|)", line)
        for line in drop_in.decode("utf-8", "replace").splitlines()
    )


def _lab_of(archive: Path, files: Mapping[str, bytes]) -> tuple[str, tuple[str, ...]]:
    """The domain of the lab in a backup, and its hosts by name and address; ("", ()) where none is.

    Raises RequestError where labtool would not take those files as a lab.
    """
    with tempfile.TemporaryDirectory(prefix="labtool-") as folder:
        path = Path(folder)
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        try:
            if any(name in files for name in _ISSUER):
                chain, key = (certificates.text_of(path / name, "certificate") for name in _ISSUER)
                certificates.pair(chain, key, *_ISSUER)
            if not inventory.exists(path):
                return "", ()
            lab = inventory.read(path)
        except RequestError as error:
            said = str(error).replace(f"{folder}/", "")
            raise RequestError(f"{archive} holds no lab that can be used: {said}") from error
    domain = str(lab.options.get("flexisip_domain") or "")
    return domain, tuple(part for host in lab.hosts for part in (host.name, host.address))


def check_is_of(kept: Backup, archive: Path, lab: Lab, host: Host) -> None:
    """Whether a backup is of this lab and this machine. Raises RequestError, with the way out.

    Another machine's flexisip.conf names its addresses, and accounts are hashed for their domain.
    """
    other = f"of {kept.hosts[0]}" if kept.hosts else ""
    if kept.hosts and host.name not in kept.hosts and host.address not in kept.hosts:
        why = f"{archive} is a backup {other}, whose addresses are in its flexisip.conf"
    elif kept.domain and kept.domain != lab.options.get("flexisip_domain"):
        why = f"{archive} is a backup of the domain {kept.domain}, not of this lab's"
    else:
        return
    raise RequestError(
        f"{why}; nothing was changed. To have its options and users here: labtool restore "
        f"{archive} --lab-only, then labtool deploy."
    )


def write_lab(kept: Backup, lab: Lab) -> None:
    """Give the lab the options, the accounts and the issuer of a backup; its hosts stay."""
    if all(name in kept.lab for name in _ISSUER):
        issuer.brought_back(lab.path, *(kept.lab[name].decode("ascii") for name in _ISSUER))
    for file in (inventory.lab_file(lab.path), inventory.users_file(lab.path)):
        content = kept.lab.get(str(file.relative_to(lab.path)))
        if content is not None:
            mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
            atomic.write(file, content.decode("utf-8"), mode=mode)
