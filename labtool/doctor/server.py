"""A machine as server.sh describes it, typed. What was not told is empty."""

from __future__ import annotations

import base64
import binascii
import gzip
import shlex
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from labtool.errors import LabtoolError


@dataclass(frozen=True)
class Listener:
    """A socket that listens. `waiting`: packets or connections that nobody has taken yet."""

    protocol: str
    host: str
    port: int
    process: str
    flexisip: bool
    waiting: int = 0

    @property
    def loopback(self) -> bool:
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.protocol} {host}:{self.port} ({self.process})"


@dataclass(frozen=True)
class File:
    """A file of the server, whole. `modified` is in seconds since 1970."""

    content: bytes = field(repr=False)
    mode: str = ""
    owner: str = ""
    modified: int = 0


@dataclass(frozen=True)
class Disk:
    mount: str
    free_kb: int
    size_kb: int


@dataclass(frozen=True)
class Server:
    """What the server says of itself. Times in seconds since 1970, sizes in kB.

    since: when the running service came up; since_text the same in the log's own clock.
    started_with: SHA-256 of the flexisip.conf of that moment, where labtool's drop-in noted it.
    open_files: how many the server has open, of most_files that it may.
    client: the address that looks, as the host sees it; interface: where its packets come in. ""
    where that is not known.
    nft: the rules as text, nft_json as `nft -j` gives them.
    """

    id: str = ""
    version_id: str = ""
    codename: str = ""
    pretty_name: str = ""
    architecture: str = ""
    uid: str = "0"
    epoch: int = 0
    clock_synchronised: str = ""
    vendor: str = ""
    systemd: bool = True
    client: str = ""
    interface: str = ""
    memory_kb: int = 0
    memory_free_kb: int = 0
    swap_kb: int = 0
    disks: tuple[Disk, ...] = ()
    inodes: tuple[Disk, ...] = ()
    addresses: tuple[str, ...] = ()
    package_status: str = ""
    package: str = ""
    package_architecture: str = ""
    missing_libraries: tuple[str, ...] = ()
    binary: bool = True
    policy: str = ""
    sources: tuple[str, ...] = ()
    unit: Mapping[str, str] = field(default_factory=dict)
    since: int = 0
    since_text: str = ""
    started_with: str = ""
    open_files: int = 0
    most_files: int = 0
    journal: tuple[str, ...] = ()
    killed: tuple[str, ...] = ()
    listening: tuple[Listener, ...] = ()
    iptables: tuple[str, ...] = ()
    ip6tables: tuple[str, ...] = ()
    nft: tuple[str, ...] = ()
    nft_json: str = field(default="", repr=False)
    conf: File | None = None
    users_path: str = ""
    users: File | None = None
    certificate: str = ""
    certificate_public: str = ""
    key: bool = False
    key_public: str = ""
    log_path: str = ""
    log: tuple[str, ...] = ()

    @property
    def active(self) -> bool:
        return self.unit.get("ActiveState") in ("active", "reloading")


def script(text: str, variables: Mapping[str, str]) -> str:
    """server.sh with its variables set."""
    head = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    return head + text


def parse(text: str) -> Server:
    """Read what server.sh printed. Raises LabtoolError where that is not such output."""
    parts: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("== "):
            name = line[3:]
            parts[name] = []
        elif line.startswith(" ") and name:
            parts[name].append(line[1:])
    if "machine" not in parts or "end" not in parts:
        raise LabtoolError("The host did not answer as a machine with a shell does.")
    machine = dict(line.partition(" ")[::2] for line in parts["machine"])
    package = [*" ".join(parts.get("package", [])[:1]).split(), "", "", ""]
    since = [*" ".join(parts.get("since", [])[:1]).split(" ", 1), "", ""]
    files = [*" ".join(parts.get("open_files", [])[:1]).split(), "", ""]
    values: dict[str, Any] = {
        key: machine.get(key, "")
        for key in ("id", "version_id", "codename", "pretty_name", "architecture", "uid", "vendor",
                    "client", "interface")
    }  # fmt: skip
    return Server(
        **values,
        epoch=_number(machine.get("epoch")),
        clock_synchronised=machine.get("clock_synchronised", ""),
        systemd="systemd" in machine,
        memory_kb=_number(machine.get("MemTotal")),
        memory_free_kb=_number(machine.get("MemAvailable")),
        swap_kb=_number(machine.get("SwapTotal")),
        disks=_disks(parts.get("disks", [])),
        inodes=_disks(parts.get("inodes", [])),
        addresses=tuple(one for one in parts.get("addresses", []) if not one.startswith("fe80")),
        package_status=package[0],
        package=package[1],
        package_architecture=package[2],
        missing_libraries=tuple(line.strip() for line in parts.get("missing_libraries", [])),
        binary=bool(parts.get("binary")),
        policy="\n".join(parts.get("policy", [])),
        sources=tuple(parts.get("sources", [])),
        unit=dict(line.partition("=")[::2] for line in parts.get("unit", [])),
        since=_number(since[0]),
        since_text=since[1],
        started_with=" ".join(parts.get("started_with", [])[:1]).strip(),
        open_files=_number(files[0]),
        most_files=_number(files[1]),
        journal=tuple(parts.get("journal", [])),
        killed=tuple(parts.get("killed", [])),
        listening=tuple(one for line in parts.get("listening", []) if (one := _listener(line))),
        iptables=tuple(parts.get("iptables", [])),
        ip6tables=tuple(parts.get("ip6tables", [])),
        nft=tuple(parts.get("nft", [])),
        nft_json=_unpacked(parts.get("nft_json", [])).decode(errors="replace"),
        conf=_file(parts.get("conf", [])),
        users_path=" ".join(parts.get("users_path", [])[:1]).strip(),
        users=_file(parts.get("users", [])),
        certificate="\n".join(parts.get("certificate", [])),
        certificate_public=" ".join(parts.get("certificate_public", [])[:1]),
        key=bool(parts.get("key")),
        key_public=" ".join(parts.get("key_public", [])[:1]),
        log_path=" ".join(parts.get("log_path", [])[:1]).strip(),
        log=tuple(parts.get("log", [])),
    )


def _number(text: str | None) -> int:
    word = (text or "").strip().split(" ")[0]
    return int(word) if word.isdigit() else 0


def _disks(lines: list[str]) -> tuple[Disk, ...]:
    """The lines of `df -P`: device, size, used, free, percentage, mount point."""
    disks: dict[str, Disk] = {}
    for line in lines[1:]:
        words = line.split()
        if len(words) >= 6 and words[1].isdigit() and words[3].isdigit():
            mount = " ".join(words[5:])
            disks[mount] = Disk(mount, int(words[3]), int(words[1]))
    return tuple(disks.values())


def _listener(line: str) -> Listener | None:
    owner, protocol, address, waiting, process = [*line.split(" ", 4), *[""] * 5][:5]
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return None
    host = host.strip("[]").partition("%")[0]
    waits = int(waiting) if waiting.isdigit() else 0
    return Listener(protocol, host, int(port), process or "?", owner == "flexisip", waits)


def _file(lines: list[str]) -> File | None:
    if not lines:
        return None
    _, mode, owner, modified = [*lines[0].split(), "", "", "", ""][:4]
    return File(_unpacked(lines[1:]), mode, owner, _number(modified))


def _unpacked(lines: list[str]) -> bytes:
    try:
        return gzip.decompress(base64.b64decode("".join(lines)))
    except (binascii.Error, OSError, EOFError, ValueError, zlib.error) as error:
        raise LabtoolError("A file of the host did not come over whole. Try again.") from error
