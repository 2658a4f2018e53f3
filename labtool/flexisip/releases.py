"""The releases of Flexisip: their order, what they were packaged for, how their unit behaves."""

from __future__ import annotations

import re
from dataclasses import dataclass

Version = tuple[int, int, int]

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?(?:[-~.+].*)?")


def version(text: str) -> Version:
    """``2.5.2``, ``2.5``, ``2.7.0-alpha`` or a package's ``2.5.2-1`` as numbers that compare.

    A minor release without a third number is its first one. Raises ValueError.
    """
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a release of Flexisip; write it like 2.5.2")
    major, minor, patch = match.groups(default="0")
    return int(major), int(minor), int(patch)
