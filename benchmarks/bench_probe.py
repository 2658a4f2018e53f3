"""One `labtool probe` that registers over UDP, against sipsak: at most 6 x its time, aim 4 x.

Both are whole processes, and both end registered-and-gone or registered: labtool also de-registers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.paired import paired, ratio, report
from labtool.sip.digest import ha1

LIMIT, AIM, RUNS = 6.0, 4.0, 15
# sipsak resolves the domain itself, speaks MD5 only, and cuts a port of five digits in two.
DOMAIN, USER, PASSWORD = "localhost", "alice", "wonderland"
CONF = """[global]
transports=sip:127.0.0.1:5060
aliases=localhost
[module::DoSProtection]
enabled=false
[module::MediaRelay]
enabled=false
[module::Registrar]
reg-domains={domain}
[module::Authentication]
enabled=true
auth-domains={domain}
available-algorithms=MD5
db-implementation=file
file-path={users}
"""


def main() -> int:
    """Prints the ratio; 1 where it is over the limit."""
    sipsak = shutil.which("sipsak")
    if sipsak is None:
        print("sipsak is missing: apt-get install sipsak", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        users, conf, secret = folder / "users", folder / "flexisip.conf", folder / "password"
        users.write_text(f"version:1\n{USER}@{DOMAIN} md5:{ha1(USER, DOMAIN, PASSWORD, 'MD5')} ;\n")
        conf.write_text(CONF.format(domain=DOMAIN, users=users))
        secret.write_text(PASSWORD)
        serve = [sys.executable, "-m", "labtool.sandbox", "--conf", str(conf), "--port", "0"]
        with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                place = server.stdout.readline().split()[-1]
                return measure(sipsak, place, secret)
            finally:
                server.terminate()


def measure(sipsak: str, place: str, secret: Path) -> int:
    labtool = str(Path(sys.executable).parent / "labtool")
    # As it is installed: with the bytecode of its modules kept.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    mine = [labtool, "probe", place, "--check", "register", "--transport", "udp"]
    mine += ["--user", USER, "--domain", DOMAIN, "--password-file", str(secret)]
    its = [sipsak, "-U", "-C", f"sip:{USER}@127.0.0.1:6000", "-s", f"sip:{USER}@{DOMAIN}"]
    its += ["-p", place, "-u", USER, "-a", PASSWORD, "-x", "60"]

    def ours() -> None:
        subprocess.run(mine, stdout=subprocess.DEVNULL, check=True, env=environment)

    def theirs() -> None:
        subprocess.run(its, stdout=subprocess.DEVNULL, check=True)

    labtools, sipsaks = paired(ours, theirs, RUNS, warm_up=2)
    report("labtool probe, REGISTER over UDP", labtools)
    report("sipsak -U", sipsaks)
    found = ratio(labtools, sipsaks)
    print(f"{'ratio':<34} {found:.1f} (at most {LIMIT:.0f}, aim {AIM:.0f})")
    return found > LIMIT


if __name__ == "__main__":
    sys.exit(main())
