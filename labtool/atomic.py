"""Writing a file so that a reader finds the old content or the new, never a half."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def write(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write beside, fsync, rename. Raises OSError, and leaves the old file, when it cannot.

    Where `path` is a link, the file that it leads to is written. A device or a pipe (/dev/null,
    /dev/stdout) is written to as it is: renamed over by root, it would be a file from then on.
    """
    path = Path(os.path.realpath(path))  # unlike Path.resolve, takes a link that leads to itself
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("w", encoding="utf-8") as stream:
            stream.write(text)
        return
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(beside).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(beside).unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
