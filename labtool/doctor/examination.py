"""Gather the evidence: one SSH connection, and the network's side of it side by side in threads."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from labtool import accounts, certificates, expectation, probe, remote, state
from labtool.doctor import names, network
from labtool.doctor import server as servers
from labtool.doctor.evidence import Evidence, Login, Wanted
from labtool.doctor.network import Port
from labtool.doctor.server import Server
from labtool.errors import LabtoolError, UnreachableError
from labtool.inventory import Host, Lab
from labtool.operation import Access
from labtool.probe.account import Account
from labtool.probe.target import Target

_SCRIPT = Path(__file__).with_name("server.sh")
_THREADS = 12
# A users file of 100,000 accounts comes over in this time on a slow line, in seconds.
_COLLECT_S = 60.0
# Two accounts show what one account's own mistake does not.
_LOGINS = 2

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Collected:
    server: Server | None
    clock: tuple[float, float]
    unreachable: str


def of_host(
    host: Host,
    lab: Lab | None,
    access: Access,
    *,
    user: Account | None = None,
    place_call: bool = False,
    ca_file: str | None = None,
    say: Say = lambda text: None,
) -> Evidence:
    """Everything about a host that SSH reaches; the network's part only, where it does not.

    Raises LabtoolError where the host answers and is no machine with a shell.
    """
    wanted = _wanted(lab, host)
    if ca_file is None and lab is not None and wanted is not None:
        own = certificates.ca_file(lab.options, lab.path)
        ca_file = own if own and Path(own).is_file() else None
    address = (wanted.public_address if wanted else "") or host.address
    with ThreadPoolExecutor(_THREADS) as pool:
        say("the host, its ports and its names")
        collecting = pool.submit(_collect, host, access)
        looking_up = pool.submit(names.look_up, wanted.domain if wanted else "")
        reached = () if host.local else network.addresses(address)
        looking = _look(pool, address, _points(wanted), ca_file) if reached else []
        collected = collecting.result()
        server = collected.server
        if not reached and server is not None:
            # This machine itself, or a name that only ~/.ssh/config knows.
            address = next((one for one in server.addresses if not _is_local(one)), "127.0.0.1")
            looking = _look(pool, address, _points(wanted), ca_file)
        elif not reached:
            looking = _look(pool, address, _points(wanted), ca_file)
        evidence = Evidence(
            target=host.address,
            domain=wanted.domain if wanted else "",
            reached_by=reached,
            wanted=wanted,
            lab_option=_lab_option(lab),
            host_option=f" --host {host.name}" if lab and len(lab.hosts) > 1 else "",
            ssh=() if host.local else _ssh(host),
            sudo=os.geteuid() != 0 if host.local else remote.ssh_user(host) != "root",
            unreachable=collected.unreachable,
            server=server,
            clock=collected.clock,
            now=time.time(),
        )
        if lab is not None and wanted is not None and server is not None:
            evidence = replace(evidence, wanted=_rendered(lab, host, wanted, evidence))
        if wanted is None and evidence.server_names:
            # The file is anybody's: a name that is shown has nothing in it that a terminal obeys.
            plain = (one for one in evidence.server_names if one != "*" and one.isprintable())
            domain = next(plain, "")
            evidence = replace(evidence, domain=domain)
            looking_up = pool.submit(names.look_up, domain)
        asked = set(_points(wanted))
        # Without a lab the first guess is both transports of port 5060: the configuration knows.
        known = (
            evidence.points if wanted is None and evidence.points else (*asked, *evidence.points)
        )
        more = [point for point in evidence.points if point not in asked]
        looking += _look(pool, address, more, ca_file)
        ports = [port.result() for port in looking]
        evidence = replace(
            evidence,
            ports=tuple(port for port in ports if (port.transport, port.number) in known),
            names=looking_up.result(),
        )
        say("signing in")
        who = [user] if user else _accounts(lab)
        if not is_safe_to_sign_in(evidence):
            who = []
        evidence = replace(evidence, logins=_sign_in(pool, address, evidence.ports, who))
    if place_call and is_safe_to_sign_in(evidence):
        say("a call")
        evidence = replace(evidence, call=_call(address, evidence.ports, _accounts(lab)))
    return evidence


def of_target(
    target: Target,
    transports: Sequence[str],
    user: Account | None,
    *,
    ca_file: str | None = None,
    say: Say = lambda text: None,
) -> Evidence:
    """A server as a phone meets it: its names, its ports, and signing in. No SSH."""
    domain = user.domain if user else target.host
    with ThreadPoolExecutor(_THREADS) as pool:
        say("ports and names")
        looking_up = pool.submit(names.look_up, domain)
        reached = network.addresses(target.host)
        points = [(transport, target.port_for(transport)) for transport in transports]
        address = target.host
        if not reached and target.port is None:
            # A domain that is found by its service records only (RFC 3263).
            services = names.look_up(target.host).srv
            if here := [one for one in services if one.transport in transports and one.addresses]:
                address = here[0].target
                reached = here[0].addresses
                points = [(one.transport, one.port) for one in here if one.target == address]
        looking = _look(pool, address, points, ca_file)
        evidence = Evidence(
            target=target.host,
            domain="" if names.is_address(domain) else domain,
            reached_by=reached,
            now=time.time(),
            ports=tuple(port.result() for port in looking),
            names=looking_up.result(),
        )
        if user is None:
            return evidence
        say("signing in")
        return replace(evidence, logins=_sign_in(pool, address, evidence.ports, [user]))


def is_safe_to_sign_in(evidence: Evidence) -> bool:
    """Whether a login does no harm: a users file that cannot be read kills the server at the next
    one (measured: SIGABRT on 2.5.2, an exit on 2.3.4)."""
    if evidence.server is not None and evidence.conf is None:
        return False
    if not evidence.wants_users_file:
        return True
    return evidence.users_report is not None and evidence.users_report.starts


def _lab_option(lab: Lab | None) -> str:
    """What a command needs to find this lab: nothing, where it is the one that is looked for."""
    looked_for = os.environ.get("LABTOOL_INVENTORY") or "inventory"
    if lab is None or str(lab.path) == looked_for:
        return ""
    return f" -i {shlex.quote(str(lab.path))}"


def _wanted(lab: Lab | None, host: Host) -> Wanted | None:
    if lab is None or not lab.options.get("flexisip_domain"):
        return None
    return Wanted(
        domain=lab.domain,
        transports=tuple(lab.options["flexisip_transports"]),
        port=int(lab.options["flexisip_port"]),
        tls_port=int(lab.options["flexisip_tls_port"]),
        public_address=str(lab.options["flexisip_public_address"]),
        siblings=tuple(
            address
            for other in lab.hosts
            if other.name != host.name
            for address in network.addresses(other.address)
        ),
        accounts={one.name: dict(one.hashes) for one in lab.accounts},
    )


def _rendered(lab: Lab, host: Host, wanted: Wanted, evidence: Evidence) -> Wanted:
    """With the configuration that the lab would give to this host."""
    assert evidence.server is not None
    reached = "" if host.local else next(iter(network.addresses(host.address)), "")
    places = state.addresses(evidence.server.addresses, reached, wanted.public_address)
    try:
        text = expectation.configuration(lab, evidence.release, places, host)
    except LabtoolError:
        # The lab itself asks for what this release does not have; a deployment says so.
        return wanted
    return replace(wanted, configuration=text)


def _points(wanted: Wanted | None) -> tuple[tuple[str, int], ...]:
    if wanted is None:
        return ("udp", 5060), ("tcp", 5060)
    return wanted.points


def _look(
    pool: ThreadPoolExecutor, address: str, points: Sequence[tuple[str, int]], ca_file: str | None
) -> list[Future[Port]]:
    return [pool.submit(network.look, address, *point, ca_file=ca_file) for point in points]


def _collect(host: Host, access: Access) -> _Collected:
    try:
        with remote.connect(
            host,
            password=access.password,
            become_password=access.become_password,
            trust=access.trust,
        ) as connection:
            before = time.time()
            answer = connection.run(script(), timeout_s=_COLLECT_S)
            after = time.time()
    except UnreachableError as error:
        return _Collected(None, (0.0, 0.0), str(error))
    if "== machine" not in answer.stdout and "sudo" in answer.stderr:
        return _Collected(
            None,
            (before, after),
            f"{host.address} lets {remote.ssh_user(host)} in, but not become root (sudo): give the "
            "password that sudo asks for (--ask-become-password), or sign in as root."
            if access.become_password is None
            else f"{host.address}: sudo refuses the password of {remote.ssh_user(host)}, or root.",
        )
    server = servers.parse(answer.stdout)
    if server.uid != "0":
        # What only root may read would be told as missing.
        return _Collected(
            None,
            (before, after),
            f"{host.address} was looked at as an ordinary user, who may not read the server's files: "
            "run labtool as root there (sudo).",
        )
    return _Collected(server, (before, after), "")


def script() -> str:
    """server.sh for a server that is laid out as the package lays it out."""
    known = expectation.role_variables()
    return servers.script(
        _SCRIPT.read_text(encoding="utf-8"),
        {
            "service": known["flexisip_service"],
            "conf": known["flexisip_configuration"],
            "users": known["flexisip_users_file"],
            "started": known["flexisip_started_file"],
            "log_folder": known["flexisip_log_directory"],
            "binary": known["flexisip_binary"],
            "package": known["flexisip_package"],
        },
    )


def _ssh(host: Host) -> tuple[str, ...]:
    """How a person gets onto the host as labtool did: with the same key, port and known hosts."""
    options = [*remote.known_hosts_option()]
    if private := host.variables.get("ansible_ssh_private_key_file"):
        options += ["-i", str(Path(str(private)).expanduser())]
    if host.port:
        options += ["-p", str(host.port)]
    return ("ssh", *options, f"{remote.ssh_user(host)}@{host.address}")


def _accounts(lab: Lab | None) -> list[Account]:
    if lab is None or not lab.options.get("flexisip_domain"):
        return []
    current = [one for one in lab.accounts if one.domain == lab.domain]
    return [Account(one.name, one.domain, accounts.secret(one), "udp") for one in current[:_LOGINS]]


def _sign_in(
    pool: ThreadPoolExecutor, address: str, ports: Sequence[Port], who: Sequence[Account]
) -> tuple[Login, ...]:
    """Each account over each port that speaks SIP. TLS is judged by its certificate elsewhere."""
    from labtool.probe.session import Tls

    trying = [
        (
            f"{one.user}@{one.domain}",
            pool.submit(
                probe.register,
                Target(address, port.number),
                port.transport,
                one.user,
                one.domain,
                one.secret,
                tls=Tls(verify=False),
            ),
        )
        for one in who
        for port in ports
        if port.state in (network.OPEN, network.REFUSES)
    ]
    return tuple(Login(name, result.result()) for name, result in trying)


def _call(address: str, ports: Sequence[Port], who: Sequence[Account]) -> probe.Result | None:
    port = next((one for one in ports if one.state == network.OPEN), None)
    if port is None or len(who) < 2:
        return None
    caller, callee = (replace(one, transport=port.transport) for one in who[:2])
    return probe.call(Target(address, port.number), caller=caller, callee=callee, seconds=1.0)


def _is_local(address: str) -> bool:
    return address.startswith("127.") or address == "::1" or address.startswith("fe80")
