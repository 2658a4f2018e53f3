"""All that was found out about a server, as one value: the judges are functions of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from labtool import rendering
from labtool.doctor.names import Names
from labtool.doctor.network import Port
from labtool.doctor.server import Listener, Server
from labtool.errors import LabtoolError
from labtool.flexisip import conf as conf_file
from labtool.flexisip import lint
from labtool.flexisip.findings import Refusal
from labtool.flexisip.lint import Kind, Report
from labtool.flexisip.releases import LATEST
from labtool.flexisip.values import Conf
from labtool.probe.result import Result
from labtool.sip.errors import SipError
from labtool.sip.uri import SipUri


@dataclass(frozen=True)
class Wanted:
    """What a lab wants of the server.

    configuration: as it would be rendered for the installed release, "" where that is not known.
    accounts: the hashes of each name, for comparing. siblings: addresses of the lab's other hosts,
    to which its domain may lead as well.
    """

    domain: str
    transports: tuple[str, ...]
    port: int
    public_address: str = ""
    siblings: tuple[str, ...] = ()
    configuration: str = ""
    accounts: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    tls_port: int = 5061

    @property
    def points(self) -> tuple[tuple[str, int], ...]:
        """Transport and port of each way in."""
        return tuple((one, self.tls_port if one == "tls" else self.port) for one in self.transports)


@dataclass(frozen=True)
class Login:
    """A REGISTER that was tried, as `user`, from the lab or given by a person."""

    user: str
    result: Result


@dataclass(frozen=True)
class Evidence:
    """target: as it was named. lab_option, host_option: how a command of labtool names the lab and
    this host of it, "" where there is no need.

    ssh: the words before a command on the host. sudo: whether it takes that to be root there.
    unreachable: why SSH failed, "" where it did not
    or was not tried. clock: (before, after) on this machine around the server's own reading.
    """

    target: str
    domain: str = ""
    reached_by: tuple[str, ...] = ()
    wanted: Wanted | None = None
    lab_option: str = ""
    host_option: str = ""
    ssh: tuple[str, ...] = ()
    sudo: bool = False
    unreachable: str = ""
    server: Server | None = None
    clock: tuple[float, float] = (0.0, 0.0)
    now: float = 0.0
    ports: tuple[Port, ...] = ()
    names: Names = field(default_factory=Names)
    logins: tuple[Login, ...] = ()
    call: Result | None = None

    # --- commands for the person --------------------------------------------------------------

    def on_host(self, command: str) -> str:
        """The command that does this on the host, as it can be pasted into a terminal here."""
        if self.unreachable:
            return f"on the machine's own console: {command}"
        if self.server is None and not self.ssh:
            return f"on {self.target}: {command}"
        if self.sudo:
            command = f"sudo sh -c {shlex.quote(command)}"
        if not self.ssh:
            return command
        # An editor, and a sudo that asks for a password, need a terminal there.
        terminal = ["-t"] if self.sudo or "EDITOR" in command else []
        return shlex.join([self.ssh[0], *terminal, *self.ssh[1:], command])

    def redeploy(self, otherwise: str) -> str:
        """`labtool deploy` where a lab decides what the server is, else `otherwise` on the host."""
        if self.wanted is None:
            return self.on_host(otherwise)
        return f"labtool deploy{self.lab_option}{self.host_option}"

    def mend(self, file: str, kind: str) -> str:
        """How a file that Flexisip refuses is put right: by the lab, or by labtool lint --fix."""
        if self.wanted is not None:
            return self.redeploy("")
        lint = f"labtool lint --fix --release {self.release} --{kind}"
        if not self.ssh:
            return self.on_host(f"{lint} {shlex.quote(file)}")
        # labtool is here, the file is there.
        copy = shlex.quote(file.rpartition("/")[2])
        fetch = self.on_host(f"cat {shlex.quote(file)}")
        return f"(umask 077; {fetch} > {copy}); {lint} {copy}"

    @property
    def seen_as(self) -> str:
        """How a command of labtool names what was examined, options of a lab included."""
        if not self.ssh and self.server is None:
            return f"{self.target} --transport all"
        host = self.host_option or ("" if self.wanted else f" --host {self.target}")
        return f"{self.lab_option}{host}".strip()

    # --- what the server's files mean ---------------------------------------------------------

    @cached_property
    def release(self) -> str:
        """The installed release; the newest known one where that is not told."""
        try:
            return rendering.release(self.server.package if self.server else "")
        except LabtoolError:
            return LATEST

    @cached_property
    def conf_report(self) -> Report | None:
        """What the installed release makes of flexisip.conf."""
        if self.server is None or self.server.conf is None:
            return None
        return lint.lint(self.server.conf.content, kind=Kind.CONF, release=self.release)

    @cached_property
    def conf(self) -> Conf | None:
        """The values of flexisip.conf; None where it is not there or refused."""
        if self.server is None or self.server.conf is None:
            return None
        read = conf_file.read(self.server.conf.content, self.release)
        return None if isinstance(read, Refusal) else read

    @cached_property
    def users_report(self) -> Report | None:
        """What the installed release makes of the users file, where the server is to read one."""
        if self.server is None or self.server.users is None or not self.wants_users_file:
            return None
        domains = self.conf.words("module::Authentication", "auth-domains") if self.conf else None
        return lint.lint(
            self.server.users.content,
            kind=Kind.USERS,
            release=self.release,
            name=self.server.users_path,
            auth_domains=domains,
        )

    @property
    def wants_users_file(self) -> bool:
        section = "module::Authentication"
        return (
            self.conf is not None
            and self.conf.flag(section, "enabled")
            and self.conf.text(section, "db-implementation") == "file"
        )

    @cached_property
    def points(self) -> tuple[tuple[str, int], ...]:
        """(transport, port) that the configuration is to serve."""
        return points_of(self.conf) if self.conf else ()

    @cached_property
    def transports(self) -> tuple[SipUri, ...]:
        """The URIs of `transports` that are such."""
        return uris_of(self.conf) if self.conf else ()

    @property
    def server_names(self) -> tuple[str, ...]:
        """Every domain that the server's accounts may be of."""
        conf = self.conf
        return conf.words("module::Authentication", "auth-domains") if conf else ()

    # --- the server's place in the network ----------------------------------------------------

    @property
    def public(self) -> str:
        """The address by which the server is reached, where it is not one of its own (1:1 NAT).

        "" where there is no such translation, or where it is not known.
        """
        if self.server is None or not self.server.addresses:
            return ""
        given = (self.wanted.public_address if self.wanted else "") or next(
            (one for one in self.reached_by if not _local(one)), ""
        )
        return "" if given in self.server.addresses else given

    @property
    def ip_version(self) -> int:
        """4 or 6: by which the server is reached."""
        return 6 if self.reached_by and ":" in self.reached_by[0] else 4

    def listens(self, transport: str, port: int) -> tuple[Listener, ...]:
        """Flexisip's own sockets on this port that are not for loopback only."""
        kind = "udp" if transport == "udp" else "tcp"
        return tuple(
            one
            for one in (self.server.listening if self.server else ())
            if one.flexisip and one.protocol == kind and one.port == port and not one.loopback
        )

    def port(self, transport: str, number: int) -> Port | None:
        """What was seen of a port from here."""
        for one in self.ports:
            if (one.transport, one.number) == (transport, number):
                return one
        return None


def uris_of(conf: Conf) -> tuple[SipUri, ...]:
    uris = []
    for word in conf.words("global", "transports"):
        try:
            uris.append(SipUri.parse(word))
        except SipError:
            continue
    return tuple(uris)


def points_of(conf: Conf) -> tuple[tuple[str, int], ...]:
    """(transport, port) of each entry of `transports`; one `sip:` serves UDP and TCP."""
    points: list[tuple[str, int]] = []
    for uri in uris_of(conf):
        bound = (uri.params.get("maddr") or uri.host or "").strip("[]")
        if bound.startswith("127.") or bound in ("::1", "localhost"):
            continue
        if uri.scheme == "sips":
            points.append(("tls", uri.port or 5061))
        else:
            only = [uri.transport] if uri.transport in ("udp", "tcp") else ["udp", "tcp"]
            points += [(transport, uri.port or 5060) for transport in only]
    return tuple(dict.fromkeys(points))


def _local(text: str) -> bool:
    return text.startswith("127.") or text == "::1" or text.lower().startswith("fe80")
