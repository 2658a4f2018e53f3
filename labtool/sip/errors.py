"""What may go wrong in the protocol layer."""

from __future__ import annotations


class SipError(Exception):
    """Something that cannot be built or answered: the text says what and why."""


class ParseError(SipError):
    """What came is not what its grammar says. Nothing else is raised by any parser of this room."""
