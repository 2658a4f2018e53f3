"""A flexisip.conf from the disk, as a release takes it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from labtool.flexisip import conf as flexisip_conf
from labtool.flexisip.findings import Refusal
from labtool.flexisip.releases import LATEST
from labtool.flexisip.values import Conf
from labtool.sandbox.refusal import SandboxRefusal

__all__ = ["read_conf"]


def read_conf(
    path: str | Path, release: str = LATEST, override: dict[str, str] | None = None
) -> Conf:
    """A flexisip.conf as `release` takes it. Raises SandboxRefusal in its words."""
    override = override or {}
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        raise SandboxRefusal(f"cannot read {path}: {reason}", 255) from error
    found = flexisip_conf.read(
        content,
        release,
        path=str(path),
        exists=lambda name: Path(name).exists(),
        overridden=tuple(override),
    )
    if isinstance(found, Refusal):
        raise SandboxRefusal(found.text, found.returncode, found.line)
    values = dict(found.values)
    for name, value in override.items():
        section, _, key = name.partition("/")
        if (section, key) not in values:
            raise SandboxRefusal(f"there is no setting {name} in Flexisip {release}", 255)
        values[section, key] = value
    return Conf(found.release, values, found.items, found.file)
