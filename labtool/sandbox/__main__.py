"""`python -m labtool.sandbox --conf FILE`: the sandbox on its own; also the zipapp's entry."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path

from labtool import __version__
from labtool.flexisip.releases import LATEST, check_known
from labtool.sandbox.server import Sandbox, SandboxRefusal


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status, a refusal's as Flexisip has it."""
    parser = argparse.ArgumentParser(
        prog="labtool-sandbox",
        description="A SIP registrar and proxy that reads flexisip.conf and users.db.txt.",
        epilog="example: python -m labtool.sandbox --conf flexisip.conf",
    )
    parser.add_argument("--conf", required=True, type=Path, metavar="FILE", help="a flexisip.conf")
    parser.add_argument(
        "--release", default=LATEST, help="whose rules to read it by (default %(default)s)"
    )
    parser.add_argument(
        "--json-log", type=Path, metavar="FILE", help="append one JSON line an event"
    )
    parser.add_argument("--public", action="store_true", help="allow addresses other than loopback")
    parser.add_argument(
        "--port",
        type=int,
        metavar="N",
        help="in place of the port of every sip: transport (sips: gets N+1; 0: any free port)",
    )
    parser.add_argument("--version", action="version", version=f"labtool-sandbox {__version__}")
    options = parser.parse_args(argv)
    if options.port is not None and not 0 <= options.port <= 65534:
        parser.error(f"--port {options.port}: a port is a number of 0 to 65534")

    def log(level: str, text: str) -> None:
        print(f"labtool-sandbox {level}: {text}", file=sys.stderr, flush=True)

    try:
        check_known(options.release)
    except ValueError as error:
        log("error", f"--release {options.release}: {error}")
        return 2
    try:
        sandbox = Sandbox.from_file(
            options.conf,
            release=options.release,
            json_log=options.json_log,
            log=log,
            port=options.port,
            allow_public=options.public,
        )
        sandbox.start()
    except SandboxRefusal as refusal:
        log("error", refusal.text)
        return refusal.returncode
    except (OSError, ValueError) as error:
        log("error", str(error))
        return 1
    # What there is now stays; most of what comes is gone when its answer is.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    for transport, address in sandbox.addresses:
        print(f"listening on {transport} {address}", flush=True)
    return sandbox.run()


if __name__ == "__main__":
    sys.exit(main())
