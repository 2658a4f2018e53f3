"""The server's place in the network: its own addresses, a cloud's NAT, its names, the sound."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labtool.doctor import firewall, network
from labtool.doctor.evidence import Evidence
from labtool.doctor.finding import Finding, found
from labtool.doctor.judges.files import CONFIGURATION
from labtool.doctor.judges.service import SERVICE, last_run
from labtool.doctor.names import is_address
from labtool.doctor.server import Server
from labtool.flexisip import conf as conf_file
from labtool.flexisip.values import Conf

_RELAY = "module::MediaRelay"
_PUBLIC_SOUND = "force-public-ip-for-sdp-masquerading"
# What a port looks like that a filter keeps closed: by silence, as a closed one, or by ICMP's
# "prohibited", which Linux reports as no route (firewalld, Oracle's images).
LOST = (network.FILTERED, network.CLOSED, network.UNREACHABLE)
_ANY = ("0.0.0.0", "::")  # noqa: S104
_CANNOT_BIND = re.compile(r"Cannot assign requested address|errno 99")
_EDIT = f"${{EDITOR:-editor}} {CONFIGURATION} && systemctl restart {SERVICE}"


def findings(evidence: Evidence) -> Iterator[Finding]:
    server, conf = evidence.server, evidence.conf
    if server is None or conf is None:
        return
    yield from _bind(evidence, server, conf)
    yield from _aliases(evidence, server, conf)
    yield from _announced(evidence, server, conf)
    yield from _sound(evidence, server, conf)


def _bind(evidence: Evidence, server: Server, conf: Conf) -> Iterator[Finding]:
    foreign = []
    for uri in evidence.transports:
        bound = (uri.params.get("maddr") or uri.host or "").strip("[]")
        if server.addresses and is_address(bound) and bound not in (*server.addresses, *_ANY):
            foreign.append(bound)
    said = (
        []
        if server.active
        else [line for line in last_run(server.journal) if _CANNOT_BIND.search(line)]
    )
    if foreign or said:
        yield found(
            "cannot-bind",
            f"transports would have the server listen on {', '.join(foreign)}, which the machine "
            "does not have."
            if foreign
            else "The server is to listen on an address that the machine does not have.",
            f"transports={conf.text('global', 'transports')}",
            f"the machine's addresses: {' '.join(server.addresses)}",
            *said[-2:],
            next=evidence.redeploy(_EDIT),
        )


def _aliases(evidence: Evidence, server: Server, conf: Conf) -> Iterator[Finding]:
    """Without an alias a request for the domain is sent on to the domain: to the server itself."""
    aliases = {one.lower() for one in conf.words("global", "aliases")}
    # The server knows the hosts of its own transports, and every address that it is bound to.
    known = aliases | {(uri.host or "").strip("[]").lower() for uri in evidence.transports}
    bound_to_all = any((uri.host or "") == "*" for uri in evidence.transports)
    known |= set(server.addresses) if bound_to_all else set()
    names = [evidence.wanted.domain] if evidence.wanted else list(evidence.server_names)
    if evidence.public:
        names.append(evidence.public)
    elif not is_address(evidence.target) and evidence.reached_by and "." in evidence.target:
        # A name by which somebody calls the server is a name by which phones may do so.
        names += [] if evidence.wanted else [evidence.target]
    missing = [name for name in names if name != "*" and name.lower() not in known]
    if missing:
        yield found(
            "alias-missing",
            f"The server does not know that {', '.join(missing)} is its own name: requests for it "
            "end in 482 Loop Detected or in silence.",
            f"aliases={conf.text('global', 'aliases')}",
            f"transports={conf.text('global', 'transports')}",
            next=_aliases_of_the_lab(evidence, missing) or evidence.redeploy(_EDIT),
        )


def _aliases_of_the_lab(evidence: Evidence, missing: list[str]) -> str:
    """Where the lab's own extra setting leaves the names out, no deployment brings them; else ""."""
    if evidence.wanted is None or not evidence.wanted.configuration:
        return ""
    ours = conf_file.values(evidence.wanted.configuration, evidence.release)
    aliases = ours.words("global", "aliases")
    if set(missing) <= set(aliases):
        return ""
    right = " ".join(dict.fromkeys((*aliases, *missing)))
    return (
        f"in lab.yml, under flexisip_settings, global, write aliases: {right}; "
        f"then: {evidence.redeploy('')}"
    )


def _announced(evidence: Evidence, server: Server, conf: Conf) -> Iterator[Finding]:
    public = evidence.public
    if not public:
        return
    names = {(uri.host or "").strip("[]").lower() for uri in evidence.transports}
    # A name in place of the address is as good, where it leads here.
    announced = public in names or any(name in names for name in (evidence.target, evidence.domain))
    if not announced:
        yield found(
            "call-drops",
            f"The machine is reached as {public}, which is not its own address, and the server does "
            "not announce it: phones send their ACK to the private address, and the call drops "
            "after 32 s.",
            f"transports={conf.text('global', 'transports')}",
            f"the machine's addresses: {' '.join(server.addresses)}",
            next=evidence.redeploy(_EDIT),
        )


def _sound(evidence: Evidence, server: Server, conf: Conf) -> Iterator[Finding]:
    why, lines = "", []
    wanted_off = evidence.wanted is not None and (
        "[module::MediaRelay] enabled=false" in _sections(evidence.wanted.configuration)
    )
    if not conf.flag(_RELAY, "enabled"):
        if not wanted_off:
            why = (
                "The media relay is off: phones behind different routers send their sound to each "
                "other's private addresses, and nobody hears anything."
            )
            lines = [f"[{_RELAY}] enabled={conf.text(_RELAY, 'enabled')}"]
    elif (
        evidence.public
        and (_RELAY, _PUBLIC_SOUND) in conf.values
        and not conf.flag(_RELAY, _PUBLIC_SOUND)
    ):
        why = (
            "The relay tells phones to send their sound to the private address, although the machine "
            f"is reached as {evidence.public}."
        )
        lines = [f"[{_RELAY}] {_PUBLIC_SOUND} is not true"]
    if why:
        yield found("no-sound", why, *lines, next=evidence.redeploy(_EDIT))
        return
    rule = sound_is_blocked(evidence) if conf.flag(_RELAY, "enabled") else None
    # Where the server's own port is closed with it, it is one matter, and told there.
    if rule and not any(port.state in LOST for port in evidence.ports):
        ports = sound_ports(conf)
        yield found(
            "no-sound",
            f"The host's own firewall drops the sound (UDP {ports}).",
            rule.rule,
            next=evidence.on_host(firewall.opening(server, {("udp", ports): rule})),
        )


def sound_ports(conf: Conf) -> str:
    low, high = conf.media_ports()
    return f"{low}-{high}"


def sound_is_blocked(evidence: Evidence) -> firewall.Verdict | None:
    """What keeps the sound from the relay's ports on the host itself: their ends and their middle."""
    server, conf = evidence.server, evidence.conf
    if server is None or conf is None:
        return None
    low, high = conf.media_ports()
    for port in (low, low + (high - low) // 2, high):
        rule = firewall.verdict(server, "udp", port, version=evidence.ip_version) if port else None
        if rule and rule.blocks:
            return rule
    return None


def _sections(text: str) -> set[str]:
    section, lines = "", set()
    for line in text.splitlines():
        section = line if line.startswith("[") else section
        lines.add(f"{section} {line}")
    return lines
