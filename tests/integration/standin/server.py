"""The program of the package: the sandbox behind Flexisip's command line."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import syslog
import time
from pathlib import Path

from labtool import __version__
from labtool.flexisip.conf import Conf, as_logged
from labtool.flexisip.findings import Refusal
from labtool.flexisip.startup import LOG_LEVELS
from labtool.sandbox.server import Sandbox, SandboxRefusal

from .control import Control
from .daemon import abort, detach
from .defaults import printed

CONFIGURATION = "/etc/flexisip/flexisip.conf"
# What the sandbox and the tables return for an end by SIGABRT, to a shell and to subprocess.
ABORTED = (134, -6)
SYSLOG = {
    "debug": syslog.LOG_DEBUG,
    "message": syslog.LOG_INFO,
    "warning": syslog.LOG_WARNING,
    "error": syslog.LOG_ERR,
}


class Log:
    """flexisip-proxy.log and syslog, each from its own level on; standard error gets errors."""

    def __init__(self, release: str, *, to_syslog: bool) -> None:
        self._release = release
        self._to_syslog = to_syslog
        self._file_level = self._syslog_level = "error"
        self._file: Path | None = None
        if to_syslog:
            syslog.openlog("flexisip", syslog.LOG_PID, syslog.LOG_USER)

    def open(self, conf: Conf) -> None:
        """Write to the file that the configuration names. Raises SandboxRefusal."""
        folder = Path(conf.text("global", "log-directory"))
        name = conf.text("global", "log-filename") or "flexisip-{server}.log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = folder / name.replace("{server}", "proxy")
            self._file.touch()
        except OSError as error:
            self._file = None
            text = (
                f"directory '{folder}' does not exist and could not be created "
                "(insufficient permissions?), please create it manually"
            )
            raise SandboxRefusal(text, 1) from error
        self._file_level = conf.text("global", "log-level")
        self._syslog_level = conf.text("global", "syslog-level")

    def __call__(self, level: str, text: str) -> None:
        self._write(level, f"flexisip-{level}- {text}")

    def refusal(self, why: SandboxRefusal) -> None:
        """Flexisip's last words, as the release prints them."""
        self._write("error", as_logged(Refusal(why.text, why.returncode, why.line), self._release))

    def _write(self, level: str, text: str) -> None:
        rank = LOG_LEVELS.index(level)
        if level == "error":
            print(text, file=sys.stderr, flush=True)
        if self._to_syslog and rank >= LOG_LEVELS.index(self._syslog_level):
            for line in text.splitlines():
                syslog.syslog(SYSLOG[level], line)
        if self._file and rank >= LOG_LEVELS.index(self._file_level):
            # Opened for each line, so that logrotate may move it: what is logged is little.
            with self._file.open("a", encoding="utf-8") as log:
                now = time.time()
                stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
                log.write(f"{stamp}:{int(now * 1000) % 1000:03d} {text}\n")


def main(release: str) -> int:
    """Run as that release of Flexisip would; returns the exit status."""
    options = _parser(release).parse_args()
    if options.dump_default:
        print(printed(release, commented=False), end="")
        return 0
    override = _overrides(options)
    log = Log(release, to_syslog=options.syslog)
    configuration = Path(options.config).absolute()
    tell = detach(options.pidfile) if options.daemon else _nobody_waits
    if options.pidfile and not options.daemon:
        Path(options.pidfile).write_text(f"{os.getpid()}\n", encoding="ascii")
    for ignored in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(ignored, signal.SIG_IGN)
    try:
        sandbox = Sandbox.from_file(
            configuration, release=release, override=override, log=log, allow_public=True
        )
        log.open(sandbox.config)
        sandbox.start()
    except SandboxRefusal as why:
        log.refusal(why)
        tell(why.returncode)
        return _end(why.returncode)
    _ = Control(sandbox, release)
    tell(0)
    log("message", f"labtool-sandbox {__version__} started in place of Flexisip {release}")
    return _end(sandbox.run())


def _nobody_waits(returncode: int) -> None:
    """In the foreground the exit status speaks for itself."""


def _end(returncode: int) -> int:
    if returncode in ABORTED:
        abort()
    return returncode


def _overrides(options: argparse.Namespace) -> dict[str, str]:
    override = {}
    for text in options.set:
        name, _, value = text.partition("=")
        override[name] = value
    if options.transports:
        override["global/transports"] = options.transports
    return override


def _parser(release: str) -> argparse.ArgumentParser:
    said = f"labtool-sandbox {__version__}, labtool's stand-in for Flexisip {release} in tests"
    parser = argparse.ArgumentParser(prog="flexisip", description=said)
    parser.add_argument("--version", action="version", version=said)
    parser.add_argument("--server", choices=["proxy"], default="proxy")
    parser.add_argument("-c", "--config", default=CONFIGURATION, metavar="FILE")
    parser.add_argument("--daemon", action="store_true")
    parser.add_argument("--syslog", action="store_true")
    parser.add_argument("-p", "--pidfile", metavar="FILE")
    parser.add_argument("-t", "--transports", metavar="URIS")
    parser.add_argument("-s", "--set", action="append", default=[], metavar="SECTION/KEY=VALUE")
    parser.add_argument("--dump-default", choices=["all"])
    return parser
