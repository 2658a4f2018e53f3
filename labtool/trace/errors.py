"""What can go wrong with a capture, in words its user can act on."""

from __future__ import annotations

from labtool.errors import RequestError


class CaptureError(RequestError):
    """The file is no capture, or one that cannot be read at all. Exit 2: 1 is a finding in it."""
