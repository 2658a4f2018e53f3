"""The files that a command is asked to write, judged before its run: what a run found is not lost
because the last step of it cannot write."""

from __future__ import annotations

import os
from pathlib import Path

from labtool.errors import RequestError


def replaceable(option: str, name: str) -> None:
    """That `atomic.write` can put a file there. Raises RequestError."""
    path = Path(os.path.realpath(name))
    if path.is_dir():
        raise RequestError(f"{option} {name}: is a directory; give a file.")
    if path.exists() and not path.is_file():  # a device or a pipe, which is written to as it is
        return
    _folder_takes_files(option, name, path.parent)


def unused(option: str, name: str) -> None:
    """That a new file can be made there. Raises RequestError: a capture cannot be had again."""
    path = Path(name)
    if path.is_dir():
        raise RequestError(f"{option} {name}: is a directory; give a file.")
    if path.is_file():
        raise RequestError(
            f"{option} {name}: exists already. Name another file with {option}, or move it away."
        )
    if path.exists():  # a pipe
        return
    _folder_takes_files(option, name, Path(os.path.realpath(name)).parent)


def _folder_takes_files(option: str, name: str, folder: Path) -> None:
    import tempfile  # 4 ms that a probe without such a file need not pay

    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RequestError(f"{option} {name}: cannot be written: {error.strerror}.") from error
