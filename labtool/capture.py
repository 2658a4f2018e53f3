"""Packets off a machine into a local file as they happen: tcpdump there, its output over SSH here.

tcpdump lives exactly as long as its guard's input is open, and that closes with the connection: so
nothing is left behind, however a capture ends. It writes to its output only, no file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from labtool.errors import LabtoolError, RequestError
from labtool.pipe import Pipe
from labtool.trace.errors import CaptureError
from labtool.trace.live import Frame, Live, Splitter, without_voice
from labtool.trace.message import Message

Media = Literal["headers", "full", "none"]

_MISSING = "labtool: no tcpdump"
#: What has nothing to do with a call: names, clocks, leases. Everything else is kept, whatever its
#: port: sound has no fixed one, and a server that tries TCP where none can be is a finding.
_OTHERS = "not (udp and (port 53 or port 123 or port 67 or port 68 or port 5353))"
#: RTP and RTCP begin with version 2 (RFC 3550 section 5.1), which no SIP message does. A later
#: fragment has no header of UDP: it stays, because it may be a part of an INVITE.
#: ChannelData of TURN has its own length, that of the datagram less its header, and the indications
#: that carry sound have STUN's cookie (RFC 8656).
_NO_MEDIA = "not (udp and udp[8] & 0xc0 = 0x80) and not (ip6[6] = 17 and ip6[48] & 0xc0 = 0x80)"
_NO_MEDIA += "".join(
    f" and not ({kind} and {size} >= 28 and {body[0]} & 0xc0 = 0x40"
    f" and {size} - {body[2]} >= 12 and {size} - {body[2]} < 16)"
    f" and not ({kind} and {size} >= 28 and {body[1]} & 0xfffe = 0x16 and {body[3]} = 0x2112a442)"
    for kind, size, body in (
        ("udp", "udp[4:2]", ("udp[8]", "udp[8:2]", "udp[10:2]", "udp[12:4]")),
        ("ip6[6] = 17", "ip6[44:2]", ("ip6[48]", "ip6[48:2]", "ip6[50:2]", "ip6[52:4]")),
    )
)
#: In immediate mode libpcap keeps room for so many bytes of each packet: with tcpdump's own 256 KiB
#: in 2 MiB that is eight packets, and half of a burst of 100 is lost. This is 250, each as long as IP
#: can make it.
_ROOM = "-s 66000 -B 16384"
_POLL_S = 0.1
_DRAIN_S = 5.0


def script(media: Media = "headers", interface: str = "any") -> str:
    """The shell script that captures to its output until its input ends. $1 is SSH's port there.

    Raises RequestError for an interface that is no name of one.
    """
    if not interface or not all(c.isalnum() or c in "._-:@" for c in interface):
        raise RequestError(f"{interface!r} is no name of an interface; see: ip link")
    wanted = f"(udp or tcp or icmp or icmp6) and {_OTHERS}"
    if media == "none":
        wanted += f" and {_NO_MEDIA}"
    return (
        "PATH=$PATH:/usr/sbin:/sbin\n"
        f"command -v tcpdump >/dev/null || {{ echo '{_MISSING}' >&2; exit 127; }}\n"
        "exec 3<&0\n"
        f"tcpdump --immediate-mode -n -U {_ROOM} -i {interface} -w - "
        f'"{wanted}${{1:+ and not tcp port $1}}" </dev/null 3<&- &\n'
        "pid=$!\n"
        "{ cat <&3; kill -TERM $pid; } >/dev/null 2>&1 &\n"
        "exec 3<&-\n"
        "wait $pid\n"
    )


@dataclass(frozen=True)
class Captured:
    """What came of it. `end` is "duration", "call", "interrupt" or "host" (it ended there)."""

    file: Path
    frames: int
    messages: int
    seconds: float
    dropped: int  #: packets that the kernel there had no room for
    end: str


@dataclass(frozen=True)
class Until:
    """When to stop: after `duration_s` seconds, or when a call has ended; else on Ctrl-C."""

    duration_s: float | None = None
    call_ends: bool = False


def record(
    pipe: Pipe,
    file: Path,
    where: str,
    live: Live,
    on_message: Callable[[Message], None],
    on_quiet: Callable[[], None] = lambda: None,
    *,
    media: Media = "headers",
    until: Until = Until(),
    interrupted: Callable[[], bool] = lambda: False,
) -> Captured:
    """Capture into `file` (0600, whole after every frame) until its end, until `interrupted`, or Ctrl-C.

    `on_message` is told each message as it comes, `on_quiet` that nothing more has come for now.
    `where` names the machine in errors. Raises LabtoolError where it cannot capture.
    """
    started = time.monotonic()
    splitter = Splitter()
    frames = messages = 0
    end, stopped = "host", 0.0
    output: IO[bytes] | None = None
    try:
        while True:
            try:
                chunk = pipe.read(_POLL_S)
                for frame in splitter.feed(chunk or b""):
                    frames = frame.number
                    if output is None:
                        output = _new(file)
                        output.write(splitter.header)
                    output.write(_kept(frame, media))
                    for message in live.take(frame):
                        messages += 1
                        on_message(message)
                if output is None and splitter.header:
                    output = _new(file)
                    output.write(splitter.header)
                if output is not None:
                    output.flush()
                on_quiet()
                if chunk == b"" or (stopped and time.monotonic() - stopped > _DRAIN_S):
                    break
                why = "interrupt" if interrupted() else _over(until, started, live)
                if not stopped and why:
                    end, stopped = why, time.monotonic()
                    pipe.end_input()
            except KeyboardInterrupt:
                if stopped:
                    break
                end, stopped = "interrupt", time.monotonic()
                pipe.end_input()
    finally:
        if output is not None:
            output.close()
        code = pipe.close()
    if not stopped or output is None:
        raise _explained(pipe.errors, code, where)
    seconds = time.monotonic() - started
    return Captured(file, frames, messages, seconds, _dropped(pipe.errors), end)


def unused(file: Path) -> Path:
    """`file`, where nothing is yet. Raises RequestError: what was captured cannot be had again."""
    if file.exists() and file.is_file():
        raise RequestError(f"{file} exists already. Name another file with -o, or move it away.")
    return file


def _over(until: Until, started: float, live: Live) -> str:
    if until.duration_s is not None and time.monotonic() - started >= until.duration_s:
        return "duration"
    return "call" if until.call_ends and live.call_has_ended() else ""


def _kept(frame: Frame, media: Media) -> bytes:
    return frame.record(without_voice(frame) if media == "headers" else None)


def _new(file: Path) -> IO[bytes]:
    try:
        return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
    except OSError as error:
        raise CaptureError(f"{file} cannot be written: {error.strerror}") from error


def _dropped(said: str) -> int:
    """tcpdump's last words: `3 packets dropped by kernel`."""
    for line in said.splitlines():
        if line.endswith("dropped by kernel"):
            with suppress(ValueError):
                return int(line.split()[0])
    return 0


def _explained(said: str, code: int, where: str) -> LabtoolError:
    """Why there is no capture."""
    lines = [line for line in said.splitlines() if line.strip()]
    lower = said.lower()
    if _MISSING in said:
        on = "" if where == "this machine" else f" on {where}"
        return LabtoolError(f"tcpdump is missing{on}. Install it there: apt-get install -y tcpdump")
    if lower.startswith("sudo:") or "a password is required" in lower:
        return LabtoolError(
            f"Capturing takes root, and sudo on {where} asks for a password. Sign in as root, or "
            "let that user run sudo without a password."
        )
    if "permi" in lower or "not permitted" in lower:
        how = (
            "run it by sudo"
            if where == "this machine"
            else "sign in as root, or as one who may sudo"
        )
        return LabtoolError(f"Capturing on {where} takes root (or CAP_NET_RAW): {how}.")
    reason = lines[-1].removeprefix("tcpdump: ") if lines else f"it ended with code {code}"
    if "No such device" in said:
        return RequestError(f"There is no such interface on {where}; see: ip link")
    return LabtoolError(f"tcpdump on {where} does not capture: {reason}")
