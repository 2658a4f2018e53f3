"""`labtool load` beside SIPp, against the same Kamailio: the highest clean rate of each.

    python -m benchmarks.bench_load.py [--seconds 5] [--rate 1000] [--profile]

Both search in the same way: doubled until it is not clean, then narrowed down; a rate that fails is
tried once more. They take turns, so that other work on the machine hits both. `--profile` shows what
labtool's time goes into at its limit.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
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
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    need("sipp", "kamailio")
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.seconds, options.rate, options.profile)


def measure(folder: Path, seconds: float, rate: float, profile: bool) -> None:
    sipp = Sipp(folder / "sipp", DOMAIN, USERS)
    everybodys = '"pw-" + $fU'
    with Kamailio(folder / "kamailio", children=4, password=everybodys) as server:
        target = f"{LOOPBACK}:{server.port}"
        accounts = [Account(user, DOMAIN, Password(text)) for user, text in USERS.items()]
        plan = load.Plan(target, accounts, rate=rate, duration=seconds)
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
        if profile:
            profiler = cProfile.Profile()
            top = load.Plan(target, plan.accounts, rate=limits["labtool"] or rate, duration=seconds)
            profiler.runcall(load.run, top)
            pstats.Stats(profiler).sort_stats("tottime").print_stats(20)


if __name__ == "__main__":
    main()
