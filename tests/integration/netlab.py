"""An Internet in small, of network namespaces: two clients, a NAT in front of each, a server.

    a 192.168.101.13 - nata 203.0.113.21 -\\
                                           net - srv 198.51.100.10 (or cloud - srv 172.16.5.10)
    b 192.168.43.54 - natb 203.0.113.104 -/

Each machine is a namespace with a TTL and a firewall of its own, so a packet is lost, rewritten or
refused by the kernel, as on a real way. A thread enters a machine by `inside`; what it opens or starts
there is there.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .engine import Unavailable, install

SERVER, CLOUD = "198.51.100.10", "172.16.5.10"
INSIDE = {"a": "192.168.101.13", "b": "192.168.43.54"}
OUTSIDE = {"a": "203.0.113.21", "b": "203.0.113.104"}
PROGRAMS = {"iproute2": "ip", "iptables": "iptables", "tcpdump": "tcpdump"}
_NAMES = "labtool-net-"
_OLD_S = 600
_NEWNET = 0x40000000  # CLONE_NEWNET of setns(2)
_libc = ctypes.CDLL(None, use_errno=True)


def need() -> None:
    """Have what a Lab takes, or Unavailable."""
    if os.geteuid() != 0:
        raise Unavailable("network namespaces take root: run these tests as root")
    install(PROGRAMS)
    try:
        with Lab() as lab:
            lab.rule("nata", "-A FORWARD -p udp -m string --algo bm --string x -j DROP")
            lab.rule("nata", "-A FORWARD -m statistic --mode random --probability 0.1 -j DROP")
    except RuntimeError as why:
        raise Unavailable(f"network namespaces cannot be used here: {why}") from None


def _run(*command: str, text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


class Lab:
    """`public` names the clients that have no NAT; with `cloud` the server has a 1:1 NAT."""

    def __init__(self, public: str = "", *, cloud: bool = False) -> None:
        self._prefix = _NAMES + secrets.token_hex(3)
        self._machines: list[str] = []
        self._address = dict(INSIDE, srv=SERVER)
        try:
            self._build(public, cloud)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the machines away; what runs there is its owner's to end."""
        for machine in self._machines:
            with suppress(RuntimeError):
                _run("ip", "netns", "del", self.name(machine))

    def name(self, machine: str) -> str:
        """Of its namespace."""
        return f"{self._prefix}-{machine}"

    def address(self, machine: str) -> str:
        """Of `a`, `b` or `srv` as the machine itself knows it."""
        return self._address[machine]

    # -- how it is built --------------------------------------------------------------------------

    def _build(self, public: str, cloud: bool) -> None:
        for machine in ("net", "a", "b", "srv"):
            self._machine(machine)
        for client in ("a", "b"):
            router = "net"
            if client not in public:
                router = f"nat{client}"
                self._machine(router)
                self._link("net", router, OUTSIDE[client])
                self.rule(router, f"-t nat -A POSTROUTING -o net -j SNAT --to {OUTSIDE[client]}")
                # Long enough for a final response that comes after 32 s.
                self._sysctl(router, "net.netfilter.nf_conntrack_udp_timeout=120")
                self.rule(router, "-P FORWARD DROP")
                self.rule(router, f"-A FORWARD -i {client} -j ACCEPT")
                self.rule(router, "-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT")
            else:
                self._address[client] = OUTSIDE[client]
            self._link(router, client, self._address[client])
        if cloud:
            self._address["srv"] = CLOUD
            self._machine("cloud")
            self._link("net", "cloud", SERVER)
            self._link("cloud", "srv", CLOUD)
            self.rule("cloud", f"-t nat -A PREROUTING -i net -j DNAT --to {CLOUD}")
            self.rule("cloud", f"-t nat -A POSTROUTING -o net -j SNAT --to {SERVER}")
        else:
            self._link("net", "srv", SERVER)
        # As on the Internet: nobody routes private addresses, and nobody says so.
        for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"):
            _run("ip", "-n", self.name("net"), "route", "add", "blackhole", network)
            self.rule("net", f"-A FORWARD -d {network} -j DROP")

    def _machine(self, machine: str) -> None:
        name = self.name(machine)
        _run("ip", "netns", "add", name)
        self._machines.append(machine)
        _run("ip", "-n", name, "link", "set", "lo", "up")
        self._sysctl(machine, "net.ipv4.ip_forward=1")

    def _sysctl(self, machine: str, setting: str) -> None:
        _run("ip", "netns", "exec", self.name(machine), "sysctl", "-qw", setting)

    def _link(self, router: str, machine: str, address: str) -> None:
        """A cable; the router's end is called as the machine, the machine's as the router."""
        here, there = self.name(router), self.name(machine)
        _run(
            *("ip", "-n", here, "link", "add", "name", machine, "type", "veth"),
            *("peer", "name", router, "netns", there),
        )
        gateway = f"169.254.{self._machines.index(router)}.1"
        lines = [f"addr add {gateway}/32 dev {machine}", f"link set dev {machine} up"]
        lines.append(f"route add {address}/32 dev {machine}")
        _run("ip", "-n", here, "-batch", "-", text="\n".join(lines))
        lines = [f"addr add {address}/32 dev {router}", f"link set dev {router} up"]
        lines += [f"route add {gateway}/32 dev {router} scope link src {address}"]
        lines += [f"route add default via {gateway} dev {router} src {address}"]
        _run("ip", "-n", there, "-batch", "-", text="\n".join(lines))

    # -- what is done with it ---------------------------------------------------------------------

    def rule(self, machine: str, rule: str) -> None:
        """An iptables rule on that machine."""
        _run("ip", "netns", "exec", self.name(machine), "iptables", "-w", *rule.split())

    @contextmanager
    def inside(self, machine: str) -> Iterator[None]:
        """Let this thread be on that machine: for sockets that it opens and programs it starts."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name(machine)}", os.O_RDONLY)
        try:
            _enter(there)
            yield
        finally:
            _enter(home)
            os.close(home)
            os.close(there)

    @contextmanager
    def captured(self, folder: Path, machines: tuple[str, ...]) -> Iterator[dict[str, Path]]:
        """Capture on these machines, each into a file of its name."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = {machine: folder / f"{machine}.pcap" for machine in machines}
        running = []
        try:
            for machine, path in paths.items():
                with self.inside(machine):
                    running.append(_tcpdump(path))
            for one, path in zip(running, paths.values(), strict=True):
                _wait_listening(one, path.with_suffix(".log"))
            yield paths
            time.sleep(0.3)  # what is on its way
        finally:
            for one in running:
                one.send_signal(signal.SIGTERM)
            for one in running:
                one.wait(10)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _tcpdump(path: Path) -> subprocess.Popen[bytes]:
    program = shutil.which("tcpdump", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    assert program is not None
    options = [
        "-i",
        "any",
        "-p",
        "-U",
        "--immediate-mode",
        "-Z",
        "root",
        "-s",
        "66000",
        "-B",
        "16384",
    ]
    with path.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(
            [program, *options, "-w", str(path)],
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )


def _wait_listening(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 15
    while b"listening on" not in (said := log.read_bytes()):
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.02)


def sweep() -> None:
    """Take away the machines that a killed session left: no test needs one for ten minutes."""
    for path in Path("/run/netns").glob(f"{_NAMES}*"):
        with suppress(OSError, RuntimeError):
            if time.time() - path.stat().st_mtime > _OLD_S:
                _run("ip", "netns", "del", path.name)
