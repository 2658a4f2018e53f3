"""The tree of errors whose text a user can act on. `labtool.cli` turns them into exit codes."""

from __future__ import annotations


class LabtoolError(Exception):
    """Something does not hold: the sentence says what, where, and what would be right. Exit 1."""

    exit_code = 1


class RequestError(LabtoolError):
    """The request itself is wrong (an option, a name, a file of the lab). Exit 2."""

    exit_code = 2


class UnreachableError(LabtoolError):
    """The host cannot be reached. Exit 3."""

    exit_code = 3


class LockedError(LabtoolError):
    """Somebody else holds the lab's lock. Exit 4."""

    exit_code = 4
