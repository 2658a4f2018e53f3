"""The releases of Flexisip: their order, what they were packaged for, how their unit behaves."""

from __future__ import annotations

import re
from dataclasses import dataclass

Version = tuple[int, int, int]

# The newest release that was measured; what is judged without a release is judged by it.
LATEST = "2.5.2"

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?(?:[-~.+].*)?")


def version(text: str) -> Version:
    """``2.5.2``, ``2.5``, ``2.7.0-alpha`` or a package's ``2.5.2-1`` as numbers that compare.

    A release without a third number is its first one. Raises ValueError.
    """
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a release of Flexisip; write it like {LATEST}")
    major, minor, patch = match.groups(default="0")
    return int(major), int(minor), int(patch)


@dataclass(frozen=True)
class Release:
    """A minor release: the systems that it was packaged for, and what its systemd unit does.

    systems: ``distribution version`` as in /etc/os-release (source: the project's CI files).
    restarts: the unit restarts a server that exited (measured on 2.5.2: it does not).
    unit_type: systemd's ``Type=``; a ``notify`` unit runs in the foreground.
    """

    name: str
    systems: tuple[str, ...]
    restarts: bool
    unit_type: str

    def packaged_for(self, distribution: str, number: str) -> bool:
        return f"{distribution} {number}" in self.systems


RELEASES = (
    Release("2.0", ("debian 8", "debian 9", "ubuntu 18.04", "centos 7"), False, "forking"),
    Release(
        "2.1",
        ("debian 9", "debian 10", "ubuntu 18.04", "centos 7", "centos 8"),
        False,
        "forking",
    ),
    Release(
        "2.2",
        (
            "debian 9",
            "debian 10",
            "debian 11",
            "ubuntu 18.04",
            "ubuntu 22.04",
            "centos 7",
            "rocky 8",
        ),
        False,
        "forking",
    ),
    Release(
        "2.3",
        (
            "debian 10",
            "debian 11",
            "debian 12",
            "ubuntu 18.04",
            "ubuntu 22.04",
            "centos 7",
            "rocky 8",
            "rocky 9",
        ),
        False,
        "forking",
    ),
    Release(
        "2.4",
        ("debian 11", "debian 12", "ubuntu 22.04", "ubuntu 24.04", "rocky 8", "rocky 9"),
        False,
        "forking",
    ),
    Release(
        "2.5",
        (
            "debian 11",
            "debian 12",
            "debian 13",
            "ubuntu 22.04",
            "ubuntu 24.04",
            "rocky 8",
            "rocky 9",
        ),
        False,
        "forking",
    ),
    Release(
        "2.6",
        ("debian 12", "debian 13", "ubuntu 24.04", "ubuntu 26.04", "rocky 8", "rocky 9"),
        True,
        "notify",
    ),
    Release(
        "2.7",
        ("debian 12", "debian 13", "ubuntu 24.04", "ubuntu 26.04", "rocky 8", "rocky 9"),
        True,
        "notify",
    ),
)


def release(text: str) -> Release:
    """The minor release that a version belongs to; the nearest one known if it is not listed."""
    major, minor, _ = version(text)
    known = [r for r in RELEASES if version(r.name) <= (major, minor, 0)]
    return known[-1] if known else RELEASES[0]


def check_known(text: str) -> None:
    """Raises ValueError, with the minor releases that are known, for one that is not."""
    if version(text)[:2] not in {version(one.name)[:2] for one in RELEASES}:
        names = ", ".join(one.name for one in RELEASES)
        raise ValueError(f"Flexisip {text} is not known here; known: {names}")


def newest_for(distribution: str, number: str) -> Release | None:
    """The newest minor release packaged for a system (``ubuntu``, ``18.04``); None if none was."""
    fitting = [r for r in RELEASES if r.packaged_for(distribution, number)]
    return fitting[-1] if fitting else None
