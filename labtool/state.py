"""What a host says of itself before a deployment, and what follows from it.

The roles read it with one shell script (roles/flexisip/templates/state.sh.j2), so that a second
deployment, which has nothing to do, costs one connection. The functions here are the roles' filters.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from labtool.errors import LabtoolError

# A server with its dependencies takes about 150 MB; apt needs the package lists besides.
_DISK_NEEDED_KB = 400_000


class NotAHostError(LabtoolError):
    """What came is not the output of state.sh."""


@dataclass(frozen=True)
class FileState:
    """A file as it is on the host: SHA-256 of its content, octal mode, owner:group."""

    sha256: str
    mode: str
    owner: str


@dataclass(frozen=True)
class HostState:
    """What state.sh printed, typed. A value that the host did not tell is empty.

    `package` is the version that is installed; `half_installed` one whose installation was cut off.
    """

    id: str = ""
    version_id: str = ""
    codename: str = ""
    pretty_name: str = ""
    architecture: str = ""
    uid: str = ""
    epoch: int = 0
    python: str = ""
    python_apt: bool = False
    ca_certificates: bool = False
    systemd: bool = False
    disk_free_kb: int | None = None
    package: str = ""
    half_installed: str = ""
    dpkg_interrupted: bool = False
    key: str = ""
    source: str = ""
    repository_read: bool = False
    started_with: str = ""
    transports: str = ""
    registered: str = ""
    registrar: str = ""
    files: Mapping[str, FileState] = field(default_factory=dict)
    unit: Mapping[str, str] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    listening: tuple[tuple[str, str, str, str], ...] = ()
    # Where the server has its certificate itself: both in PEM, and whether the key is there.
    tls_certificate: str = ""
    tls_key: bool = False
    tls_key_public: str = ""

    @property
    def distribution(self) -> str:
        """Id and version, as the repository table names them: ubuntu-18.04."""
        return f"{self.id}-{self.version_id}"

    @property
    def serves_now(self) -> bool:
        """Whether Flexisip's service runs."""
        return bool(self.package) and self.unit.get("ActiveState") == "active"

    @property
    def sip_port(self) -> int:
        """The port that the present configuration names first; SIP's own where it names none."""
        found = re.search(r":(\d{1,5})(?=[;\s]|$)", self.transports)
        return int(found.group(1)) if found else 5060


def parse(text: str) -> HostState:
    """Read what state.sh printed. Raises NotAHostError where that is not such output."""
    single: dict[str, str] = {}
    files: dict[str, FileState] = {}
    unit: dict[str, str] = {}
    addresses: list[str] = []
    listening: list[tuple[str, str, str, str]] = []
    for line in text.splitlines():
        key, _, value = line.strip().partition(" ")
        if key == "file":
            parts = value.rsplit(" ", 3)
            if len(parts) == 4:
                files[parts[0]] = FileState(*parts[1:])
        elif key.startswith("unit_"):
            unit[key.removeprefix("unit_")] = value
        elif key == "address" and _is_address(value):
            addresses.append(value)
        elif key == "listening":
            owner, protocol, address, name = [*value.split(" ", 3), "", "", "", ""][:4]
            listening.append((owner, protocol, address, name))
        elif key:
            single[key] = value
    if "id" not in single or "uid" not in single:
        raise NotAHostError("The host did not answer as a machine with a shell does.")
    # `installed 2.5.2-1`, or another word where the package is only half there.
    status, _, version = single.get("package", "").partition(" ")
    return HostState(
        id=single["id"],
        version_id=single.get("version_id", ""),
        codename=single.get("codename", ""),
        pretty_name=single.get("pretty_name", ""),
        architecture=single.get("architecture", ""),
        uid=single["uid"],
        epoch=_number(single.get("epoch", "")) or 0,
        python=single.get("python", ""),
        python_apt="python_apt" in single,
        ca_certificates="ca_certificates" in single,
        systemd="systemd" in single,
        disk_free_kb=_number(single.get("disk_free_kb", "")),
        package=version if status == "installed" else "",
        half_installed=version if status not in ("installed", "config-files") else "",
        dpkg_interrupted="dpkg_interrupted" in single,
        key=single.get("key", ""),
        source=single.get("source", ""),
        repository_read="repository_read" in single,
        started_with=single.get("started_with", ""),
        transports=single.get("transports", ""),
        registered=single.get("registered", ""),
        registrar=single.get("registrar", ""),
        files=files,
        unit=unit,
        addresses=tuple(addresses),
        listening=tuple(listening),
        tls_certificate=_decoded(single.get("tls_certificate", "")),
        tls_key="tls_key" in single,
        tls_key_public=_decoded(single.get("tls_key_public", "")),
    )


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text).decode("ascii", "replace")
    except ValueError:
        return ""


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def preflight(state: HostState, port: int, package_file: str = "") -> list[str]:
    """What stands against a deployment on this host, a sentence each; empty when nothing does."""
    problems = []
    if state.id not in ("debian", "ubuntu"):
        problems.append(
            f"The host runs {state.pretty_name or state.id}; Flexisip's packages are for Debian and "
            "Ubuntu here. Use one of those."
        )
    if state.uid != "0":
        problems.append(
            "The tasks do not run as root on the host. Sign in as root (--user root), or as a user "
            "that may use sudo."
        )
    if not state.systemd:
        problems.append("The host does not run systemd, which starts Flexisip.")
    if state.architecture != "amd64" and not package_file:
        problems.append(
            f"The host is {state.architecture or 'of an unknown architecture'}; Flexisip is packaged "
            "for amd64 alone. A package of your own may be given with --deb FILE."
        )
    if (
        not state.package
        and state.disk_free_kb is not None
        and state.disk_free_kb < _DISK_NEEDED_KB
    ):
        problems.append(
            f"The host has {state.disk_free_kb // 1024} MB free under /var, but the installation "
            f"needs {_DISK_NEEDED_KB // 1024} MB. Make room, for example with `apt-get clean`."
        )
    others: dict[int, set[str]] = {}
    for owner, protocol, address, name in state.listening:
        if owner != "flexisip":
            number = _number(address.rpartition(":")[2]) or port
            others.setdefault(number, set()).add(f"{protocol} {address} by {name}")
    for number, taken in sorted(others.items()):
        option = "flexisip_port" if number == port else "flexisip_tls_port"
        problems.append(
            f"Port {number} is taken on the host: {', '.join(sorted(taken))}. Stop that program, or "
            f"choose another port by {option} in lab.yml."
        )
    return problems


def differs(state: HostState, path: str, text: str, mode: str) -> bool:
    """Whether the file on the host is another than this text, owned by root with this mode."""
    found = state.files.get(path)
    return found is None or found != FileState(
        hashlib.sha256(text.encode()).hexdigest(), mode, "root:root"
    )


def has_copy(state: HostState, path: str, source: str) -> bool:
    """Whether the host's file has the content of a file of this machine."""
    found = state.files.get(path)
    if found is None:
        return False
    digest = hashlib.sha256()
    with Path(source).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return found.sha256 == digest.hexdigest()


def serves(state: HostState, configuration: str) -> bool:
    """Whether the service is enabled and runs, started with this very configuration."""
    return (
        state.unit.get("ActiveState") == "active"
        and state.unit.get("UnitFileState") == "enabled"
        and state.unit.get("NeedDaemonReload") != "yes"
        and state.started_with == hashlib.sha256(configuration.encode()).hexdigest()
    )


@dataclass(frozen=True)
class Addresses:
    """By which addresses the server is known.

    `public` is the address in SIP messages, `private` the machine's own behind a 1:1 NAT (empty
    where there is none), `own` all of the machine's that are not loopback.
    """

    public: str
    private: str
    own: tuple[str, ...]


def addresses(own: tuple[str, ...], reached_by: str, public: str = "") -> Addresses:
    """The cloud case told from the plain one.

    `own` are the machine's addresses, `reached_by` the numeric address by which the controller
    reaches it (empty when it is this machine), `public` the lab's flexisip_public_address.
    Where the address is not one of the machine's own, a NAT stands between (Aliyun, AWS, ...).
    A loopback address means a tunnel or a forwarded port: it says nothing of where phones connect.
    """
    usable = tuple(one for one in own if not _local(one))
    main = next((one for one in usable if ":" not in one), usable[0] if usable else "")
    reach = public or ("" if not reached_by or _local(reached_by) else reached_by)
    if not reach or reach in usable:
        return Addresses(reach or main, "", usable)
    same_family = next((one for one in usable if (":" in one) == (":" in reach)), main)
    return Addresses(reach, same_family, usable)


def _local(text: str) -> bool:
    address = ip_address(text.partition("%")[0])
    return address.is_loopback or address.is_link_local
