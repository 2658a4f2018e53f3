"""Builds the stand-in package. Needs dpkg-deb, which every Debian and Ubuntu has; not root."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from pathlib import Path

from .control import CLI
from .defaults import printed

PROJECT = Path(__file__).resolve().parents[3]
BINARY = "opt/belledonne-communications/bin/flexisip"
CONFIGURATION = "etc/flexisip/flexisip.conf"
LOGROTATE = "etc/logrotate.d/flexisip-logrotate"
UNIT = "lib/systemd/system/flexisip-proxy.service"
LOG_FOLDER = "var/opt/belledonne-communications/log/flexisip"

# The rooms that the sandbox is made of, and what starts it.
PARTS = (
    "labtool/__init__.py",
    "labtool/errors.py",
    "labtool/sip",
    "labtool/flexisip",
    "labtool/sandbox",
)

UNIT_TEXT = """\
[Unit]
Description=Flexisip proxy server (labtool's stand-in)
Wants=network-online.target
After=network-online.target

[Service]
Type=forking
UMask=0027
ExecStart=/opt/belledonne-communications/bin/flexisip --server proxy --daemon --syslog \
--pidfile /var/run/flexisip-proxy.pid

[Install]
WantedBy=multi-user.target
"""

LOGROTATE_TEXT = """\
/var/opt/belledonne-communications/log/flexisip/*.log {
\tdaily
\trotate 7
\tmissingok
\tnotifempty
\tcompress
\tcopytruncate
}
"""

CONTROL = """\
Package: bc-flexisip
Version: {version}
Architecture: amd64
Maintainer: labtool tests <repository@labtool.invalid>
Section: net
Priority: optional
Installed-Size: {kilobytes}
Depends: python3 (>= 3.10), logrotate
Description: labtool's stand-in for Flexisip {release}, for tests
 The sandbox of labtool under the paths, unit and command line of Flexisip.
 It is not Flexisip, and says so wherever it is asked.
"""

# The package neither enables nor starts the unit, as the real one does not.
AFTER = """\
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
"""


START = """\
import sys
import zipfile

from labtool.flexisip import settings

# It is found by a path beside its module, which in an archive is no file.
settings._TABLE = zipfile.Path(sys.path[0], "labtool/flexisip/settings.tsv")

from standin.server import main

sys.exit(main({release!r}))
"""


def version(release: str) -> str:
    """The package's version for a release of Flexisip."""
    return f"{release}-0labtoolstandin1"


def build(folder: Path, release: str = "2.5.2") -> Path:
    """The .deb that plays `release`, built in `folder`."""
    tree = folder / f"tree-{release}"
    shutil.rmtree(tree, ignore_errors=True)
    _write(tree, BINARY, archive(release), 0o755)
    _write(tree, f"{BINARY}_cli.py", CLI.encode(), 0o755)
    _write(tree, CONFIGURATION, printed(release, commented=True).encode(), 0o640)
    _write(tree, LOGROTATE, LOGROTATE_TEXT.encode(), 0o644)
    _write(tree, UNIT, UNIT_TEXT.encode(), 0o644)
    (tree / LOG_FOLDER).mkdir(parents=True)
    size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
    control = CONTROL.format(version=version(release), release=release, kilobytes=-(-size // 1024))
    _write(tree, "DEBIAN/control", control.encode(), 0o644)
    _write(tree, "DEBIAN/conffiles", f"/{CONFIGURATION}\n/{LOGROTATE}\n".encode(), 0o644)
    _write(tree, "DEBIAN/postinst", AFTER.encode(), 0o755)
    _write(tree, "DEBIAN/postrm", AFTER.encode(), 0o755)
    # A strict umask of whoever runs the tests must not end up in the package.
    for path in (tree, *tree.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    (tree / CONFIGURATION).parent.chmod(0o750)
    deb = folder / f"bc-flexisip_{version(release)}_amd64.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(deb)],
        check=True,
        capture_output=True,
    )
    return deb


def archive(release: str) -> bytes:
    """The program: a zip archive that Python runs."""
    buffer = io.BytesIO()
    buffer.write(b"#!/usr/bin/python3\n")
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as packed:
        for part in PARTS:
            top = PROJECT / part
            for path in [top] if top.is_file() else sorted(top.rglob("*")):
                if path.is_file() and path.suffix in {".py", ".tsv"}:
                    packed.write(path, path.relative_to(PROJECT))
        for path in sorted(Path(__file__).parent.glob("*.py")):
            if path.name != Path(__file__).name:
                packed.write(path, f"standin/{path.name}")
        packed.writestr("__main__.py", START.format(release=release))
    return buffer.getvalue()


def _write(tree: Path, name: str, data: bytes, mode: int) -> None:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
