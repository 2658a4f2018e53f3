"""`labtool load` beside SIPp, against the same Kamailio: the highest clean rate of each.

    python -m benchmarks.bench_load [--seconds 5] [--rate 1000]

Both search in the same way: a quarter more each time until it is not clean; a rate that fails is
tried once more. They take turns, so that other work on the machine hits both. Where labtool's limit
is the lower one, a profile shows what its time goes into there.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.sipp import Sipp, shown
from labtool.probe import Account, load
from labtool.probe.load_statistics import Round
from labtool.sip.digest import Password
from tests.integration.peers import DOMAIN, LOOPBACK, Kamailio, need

USERS = {f"user{number}": f"pw-user{number}" for number in range(1000)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=1000.0)
    options = parser.parse_args()
    need("sipp", "kamailio")
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.seconds, options.rate)


def measure(folder: Path, seconds: float, rate: float) -> None:
    sipp = Sipp(folder / "sipp", DOMAIN, USERS)
    everybodys = '"pw-" + $fU'
    with Kamailio(folder / "kamailio", children=4, password=everybodys) as server:
        target = f"{LOOPBACK}:{server.port}"
        accounts = [Account(user, DOMAIN, Password(text)) for user, text in USERS.items()]
        limits: dict[str, float] = {"SIPp": 0.0, "labtool": 0.0}

        def by_sipp(asked: float) -> Round:
            return sipp.round(server.port, asked, seconds)

        def by_labtool(asked: float) -> Round:
            return load.run(load.Plan(target, accounts, rate=asked, duration=seconds))

        searching = {"SIPp": by_sipp, "labtool": by_labtool}
        asked = rate
        while searching:
            for name, tried in list(searching.items()):
                for _ in range(2):
                    made = tried(asked)
                    print(f"{name:<8} {shown(made)}", flush=True)
                    if made.clean:
                        break
                if made.clean:
                    limits[name] = asked
                else:
                    del searching[name]
            asked *= 1.25
        for name, limit in limits.items():
            print(f"{name:<8} highest clean rate {limit:,.0f}/s")
        if limits["labtool"] < limits["SIPp"]:
            top = load.Plan(target, accounts, rate=limits["labtool"] or rate, duration=seconds)
            shares(top)


# What a line of the profile is counted as, by the end of its file's name or its function's.
_KINDS = {
    "the kernel: sendto, recvfrom, epoll": ("sendto", "recvfrom_into", "poll", "connect"),
    "reading messages": ("sip/message.py", "sip/headers.py", "sip/grammar.py", "sip/framing.py"),
    "digest": ("sip/digest.py", "sip/value.py", "openssl_md5", "new", "urandom"),
    "sockets and the loop": ("sip/datagram.py", "sip/loop.py", "sip/flow.py", "sip/transport.py"),
    "REGISTER and its timers": ("probe/load_registrations.py", "probe/load_phones.py"),
}


def shares(plan: load.Plan) -> None:
    """Print what labtool's time goes into, profiled; built-ins of str and dict count as others."""
    profiler = cProfile.Profile()
    profiler.runcall(load.run, plan)
    spent: Counter[str] = Counter()
    for (file, _, function), row in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        place = function.strip("<>{}") if file == "~" else file
        words = place.replace("'", " ").split()
        for kind, ends in _KINDS.items():
            if any(end in words if file == "~" else place.endswith(end) for end in ends):
                spent[kind] += row[2]
                break
        else:
            spent["others"] += row[2]
    total = sum(spent.values())
    print(f"labtool at {plan.rate:,.0f}/s, profiled:")
    for kind, seconds in spent.most_common():
        print(f"  {seconds / total:4.0%}  {kind}")


if __name__ == "__main__":
    main()
