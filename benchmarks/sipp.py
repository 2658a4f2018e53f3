"""SIPp as a yardstick: REGISTER with digest at a steady rate, counted as `labtool load` counts."""

from __future__ import annotations

import csv
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from labtool.probe.load_statistics import Round

_SCENARIO = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="register">
  <send retrans="500"><![CDATA[
REGISTER sip:{domain} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:[field0]@{domain}>;tag=[call_number]
To: <sip:[field0]@{domain}>
Call-ID: [call_id]
CSeq: 1 REGISTER
Contact: <sip:[field0]@[local_ip]:[local_port]>
Expires: 3600
Content-Length: 0

]]></send>
  <recv response="401" auth="true" rtd="true"/>
  <send retrans="500"><![CDATA[
REGISTER sip:{domain} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:[field0]@{domain}>;tag=[call_number]
To: <sip:[field0]@{domain}>
Call-ID: [call_id]
CSeq: 2 REGISTER
[field1]
Contact: <sip:[field0]@[local_ip]:[local_port]>
Expires: 3600
Content-Length: 0

]]></send>
  <recv response="200"/>
</scenario>
"""


class Sipp:
    """SIPp, with the users that it registers in turn. SystemExit where there is none."""

    def __init__(self, folder: Path, domain: str, users: Mapping[str, str]) -> None:
        if shutil.which("sipp") is None:
            sys.exit("this benchmark needs SIPp: apt-get install sip-tester")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._scenario = folder / "register.xml"
        self._scenario.write_text(_SCENARIO.format(domain=domain), encoding="utf-8")
        self._users = folder / "users.csv"
        rows = [
            f"{user};[authentication username={user} password={password}]"
            for user, password in users.items()
        ]
        self._users.write_text("\n".join(["SEQUENTIAL", *rows, ""]), encoding="utf-8")

    def round(self, port: int, rate: float, seconds: float) -> Round:
        """Register `rate` users a second at 127.0.0.1 for so long."""
        statistics = self._folder / "statistics.csv"
        statistics.unlink(missing_ok=True)
        total = max(1, round(rate * seconds))
        command = ["sipp", f"127.0.0.1:{port}", "-i", "127.0.0.1", "-sf", str(self._scenario)]
        command += ["-inf", str(self._users), "-r", str(max(1, round(rate))), "-m", str(total)]
        command += ["-l", "2000", "-nostdin", "-trace_stat", "-stf", str(statistics), "-fd", "1"]
        command += ["-timeout", f"{seconds * 3 + 10:.0f}", "-buff_size", "4194304"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with Path(os.devnull).open("wb") as null:
            subprocess.run(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=null,
                stderr=null,
                check=False,
                timeout=seconds * 3 + 30,
            )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        with statistics.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        last = rows[-1]
        begun = int(last["TotalCallCreated"])
        failed = int(last["FailedCall(C)"])
        took = max(_epoch(last["CurrentTime"]) - _epoch(last["StartTime"]), 1e-3)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        # SIPp makes up for lost time by bursts; it kept the rate if it was done in time.
        late = max(0.0, took - seconds * 1.05 - 0.3)
        return Round(
            what="REGISTER",
            rate=rate,
            seconds=max(took, seconds) if late else seconds,
            begun=begun,
            held_back=max(total - begun, round(late * rate)),
            succeeded=int(last["SuccessfulCall(C)"]),
            failed=failed,
            causes={"SIPp: failed": failed} if failed else {},
            retransmissions=int(last["Retransmissions(C)"]),
            latency_ms=None,
            cpu=spent / took,
        )


def _epoch(text: str) -> float:
    """The last of SIPp's three ways to say a time: seconds since 1970."""
    return float(text.split()[-1])


def shown(made: Round) -> str:
    """One line for a round."""
    return (
        f"{made.rate:>8,.0f}/s for {made.seconds:4.1f} s: "
        f"{'clean' if made.clean else 'not clean':<10}"
        f"{made.succeeded:>8,} registered, {made.failed:,} failed, "
        f"{made.retransmissions:,} repeated, client {made.cpu:.0%} of a core"
    )
