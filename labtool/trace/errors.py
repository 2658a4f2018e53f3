"""What can go wrong with a capture, in words its user can act on."""

from __future__ import annotations

from labtool.errors import LabtoolError


class CaptureError(LabtoolError):
    """The file is no capture, or one that cannot be read at all."""
