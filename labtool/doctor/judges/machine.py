"""The machine itself: disk, memory, clock; and who else sits on the server's ports."""

from __future__ import annotations

import time
from collections.abc import Iterator

from labtool.doctor.evidence import Evidence
from labtool.doctor.finding import Finding, found
from labtool.doctor.judges.service import drop_in
from labtool.doctor.server import Server

_DISK_KB = 100_000
_FILES = 1_000
_MEMORY_KB = 40_000
_CLOCK_S = 60.0
_STUN = "stun-server"
_REGISTRAR = "module::Registrar"


def findings(evidence: Evidence) -> Iterator[Finding]:
    server = evidence.server
    if server is None:
        return
    yield from _disk(evidence, server)
    yield from _memory(evidence, server)
    yield from _clock(evidence, server)
    yield from _open_files(evidence, server)
    yield from _ports(evidence, server)
    yield from _redis(evidence, server)


def _disk(evidence: Evidence, server: Server) -> Iterator[Finding]:
    full = [
        f"{one.mount}: {one.free_kb // 1024} MB of {one.size_kb // 1024} MB are free"
        for one in server.disks
        # A file system that is smaller than that was made so on purpose; it is full when it is full.
        if one.free_kb < min(_DISK_KB, one.size_kb // 20)
    ]
    # btrfs and others have no fixed number of files, and say 0 of 0.
    full += [
        f"{one.mount}: {one.free_kb} of {one.size_kb} files are left"
        for one in server.inodes
        if one.size_kb and one.free_kb < min(_FILES, one.size_kb // 20)
    ]
    if full:
        yield found(
            "disk-full",
            "The disk is full, or nearly so.",
            *full,
            next=evidence.on_host("apt-get clean; journalctl --vacuum-size=100M; df -h"),
        )


def _memory(evidence: Evidence, server: Server) -> Iterator[Finding]:
    short = server.memory_kb > 0 and server.memory_free_kb < _MEMORY_KB and server.swap_kb == 0
    killed = server.killed or server.unit.get("Result") == "oom-kill"
    if not short and not killed:
        return
    said = (
        "The kernel has killed Flexisip for want of memory."
        if killed
        else f"Only {server.memory_free_kb // 1024} MB of memory are available, and there is no swap."
    )
    yield found(
        "memory",
        said,
        f"memory: {server.memory_kb // 1024} MB, available {server.memory_free_kb // 1024} MB, "
        f"swap {server.swap_kb // 1024} MB",
        *server.killed,
        next=evidence.on_host("free -m; ps aux --sort=-rss | head"),
    )


def _clock(evidence: Evidence, server: Server) -> Iterator[Finding]:
    before, after = evidence.clock
    if not server.epoch or not after:
        return
    if before - _CLOCK_S <= server.epoch <= after + _CLOCK_S:
        return
    apart = server.epoch - (before + after) / 2
    way = "ahead of" if apart > 0 else "behind"
    synchronised = (
        [f"synchronised by the network: {server.clock_synchronised}"]
        if server.clock_synchronised
        else []
    )
    yield found(
        "clock",
        f"The host's clock is {_span(abs(apart))} {way} this machine's.",
        f"host: {_utc(server.epoch)}, here: {_utc(after)}",
        *synchronised,
        next=evidence.on_host("timedatectl set-ntp true; timedatectl"),
    )


def _open_files(evidence: Evidence, server: Server) -> Iterator[Finding]:
    if server.most_files and server.open_files > 0.9 * server.most_files:
        yield found(
            "open-files",
            f"The server has {server.open_files} files and connections open, and may have "
            f"{server.most_files}.",
            next=evidence.on_host(drop_in("LimitNOFILE=65536")),
        )


def _redis(evidence: Evidence, server: Server) -> Iterator[Finding]:
    """A Redis on the host itself is there or not; one elsewhere only the log tells of."""
    conf = evidence.conf
    if conf is None or not conf.text(_REGISTRAR, "db-implementation").startswith("redis"):
        return
    host = conf.text(_REGISTRAR, "redis-server-domain")
    port = conf.number(_REGISTRAR, "redis-server-port") or 6379
    here = host in ("localhost", "::1") or host.startswith("127.") or host in server.addresses
    if here and not any(one.protocol == "tcp" and one.port == port for one in server.listening):
        yield found(
            "redis-down",
            f"The server is to keep registrations in Redis, and nothing listens on {host} port "
            f"{port}.",
            f"[{_REGISTRAR}] db-implementation={conf.text(_REGISTRAR, 'db-implementation')}",
            # Where there is none yet, nothing can be started.
            next=evidence.on_host(
                "if systemctl cat redis-server >/dev/null 2>&1; then systemctl restart redis-server; "
                "else apt-get install redis-server; fi"
            ),
        )


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _utc(epoch: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(epoch))


def _ports(evidence: Evidence, server: Server) -> Iterator[Finding]:
    """Other programs on the ports that Flexisip is to have; its own sockets on missing ones."""
    points = evidence.points or (evidence.wanted.points if evidence.wanted else ())
    wanted = {("udp" if transport == "udp" else "tcp", port) for transport, port in points}
    others = [
        one
        for one in server.listening
        if not one.flexisip
        and (one.protocol, one.port) in wanted
        # A flexisip beside its unit is told as the other program that it is.
        and not one.loopback
    ]
    if others:
        yield found(
            "port-taken",
            "Another program has a port that Flexisip is to have: "
            + ", ".join(sorted({one.process for one in others}))
            + ".",
            *[str(one) for one in others],
            next=evidence.on_host(f"ss -lntup 'sport = :{others[0].port}'"),
        )
    conf = evidence.conf
    if conf is None:
        return
    if conf.flag(_STUN, "enabled"):
        number = conf.number(_STUN, "port") or 3478
        stun = [
            one
            for one in server.listening
            if one.protocol == "udp" and one.port == number and not one.flexisip
        ]
        if stun:
            yield found(
                "stun-port-taken",
                f"Another program has UDP {number}, on which Flexisip is to answer STUN.",
                *[str(one) for one in stun],
                next=evidence.on_host(f"ss -lnup 'sport = :{number}'"),
            )
    if server.active and not others:
        missing = [
            f"{transport} {port}"
            for transport, port in points
            if not evidence.listens(transport, port)
        ]
        unwanted = _unserved(evidence)
        if missing or unwanted:
            here = [str(one) for one in server.listening if one.flexisip]
            yield found(
                "not-listening",
                f"The server runs, but does not listen on {', '.join(missing or unwanted)}.",
                f"transports={conf.text('global', 'transports')}",
                *(here or ["Flexisip listens on no port at all"]),
                next=evidence.redeploy("systemctl restart flexisip-proxy"),
            )


def _unserved(evidence: Evidence) -> list[str]:
    """What the lab wants and flexisip.conf does not even name."""
    wanted = evidence.wanted
    if wanted is None or evidence.conf is None or not evidence.points:
        return []
    return [
        f"{transport} {port}"
        for transport, port in wanted.points
        if (transport, port) not in evidence.points
    ]
