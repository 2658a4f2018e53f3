"""The evidence of a server in good health, to be made ill one value at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from labtool.doctor.evidence import Evidence, Login, Wanted
from labtool.doctor.judgement import judge
from labtool.doctor.names import Names
from labtool.doctor.network import CLOSED, FILTERED, OPEN, SILENT, Port
from labtool.doctor.server import Disk, File, Listener, Server
from labtool.flexisip.intent import Intent, render, settings_for
from labtool.probe.causes import cause
from labtool.probe.result import Result, Step

DOMAIN = "sip.example.test"
ADDRESS = "192.0.2.5"
STARTED = 1_700_000_000
MD5, SHA256 = "a1" * 16, "b2" * 32
CONF = render(settings_for(Intent(DOMAIN), "2.5.2"))
USERS = f"version:1\nalice@{DOMAIN} md5:{MD5} sha256:{SHA256} ;\n"

SERVER = Server(
    id="debian",
    version_id="12",
    codename="bookworm",
    pretty_name="Debian 12",
    architecture="amd64",
    epoch=STARTED + 3600,
    memory_kb=1_000_000,
    memory_free_kb=600_000,
    disks=(Disk("/", 9_000_000, 20_000_000),),
    inodes=(Disk("/", 900_000, 1_000_000),),
    addresses=("127.0.0.1", ADDRESS),
    package_status="installed",
    package="2.5.2-1",
    package_architecture="amd64",
    unit={
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "UnitFileState": "enabled",
        "Restart": "always",
        "NRestarts": "0",
    },
    since=STARTED,
    since_text="2023-11-14 22:13:20",
    listening=(
        Listener("udp", ADDRESS, 5060, "flexisip", True),
        Listener("tcp", ADDRESS, 5060, "flexisip", True),
    ),
    conf=File(CONF.encode(), "640", "root:root", STARTED - 60),
    users_path="/etc/flexisip/users.db.txt",
    users=File(USERS.encode(), "640", "root:root", STARTED - 60),
)
WANTED = Wanted(
    DOMAIN,
    ("udp", "tcp"),
    5060,
    configuration=CONF,
    accounts={"alice": {"md5": MD5, "sha256": SHA256}},
)
HEALTHY = Evidence(
    target=ADDRESS,
    domain=DOMAIN,
    reached_by=(ADDRESS,),
    wanted=WANTED,
    ssh=("ssh", f"root@{ADDRESS}"),
    server=SERVER,
    clock=(STARTED + 3600.0, STARTED + 3601.0),
    now=STARTED + 3601.0,
    ports=(Port("udp", 5060, OPEN), Port("tcp", 5060, OPEN)),
    names=Names(DOMAIN, private=True),
)


def with_server(evidence: Evidence = HEALTHY, **changes: Any) -> Evidence:
    """The same with some values of the server replaced."""
    assert evidence.server is not None
    return replace(evidence, server=replace(evidence.server, **changes))


def with_conf(text: str, evidence: Evidence = HEALTHY) -> Evidence:
    """The same with another flexisip.conf, which no lab contradicts."""
    file = File(text.encode(), "640", "root:root", STARTED - 60)
    return replace(with_server(evidence, conf=file), wanted=None)


def with_ports(udp: str, tcp: str, evidence: Evidence = HEALTHY) -> Evidence:
    return replace(evidence, ports=(Port("udp", 5060, udp), Port("tcp", 5060, tcp)))


def login(cause_name: str | None, user: str = f"alice@{DOMAIN}") -> Login:
    """A REGISTER that came to this cause, or went well."""
    why = cause(cause_name) if cause_name else None
    step = Step("REGISTER", why is None, 0.01, "what came", why)
    return Login(user, Result("register", ADDRESS, "udp", (step,), "verdict", 0.01, why))


def ids(evidence: Evidence) -> list[str]:
    return [one.id for one in judge(evidence).findings]


__all__ = [
    "CLOSED",
    "FILTERED",
    "HEALTHY",
    "OPEN",
    "SILENT",
    "ids",
    "login",
    "with_conf",
    "with_ports",
    "with_server",
]
