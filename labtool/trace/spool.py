"""Bytes that are put away in an unnamed file, and read again where they are asked for."""

from __future__ import annotations

import mmap

from labtool.trace.errors import CaptureError

_WAITING = 1024  # pieces that are written at once
_LARGE = 4096  # bytes of a piece that is not kept waiting
_WAITING = 1024  # pieces that are written at once
_LARGE = 4096  # bytes of a piece that is not kept waiting
_FORGET = 1 << 16  # reads between two times of giving memory back


class Spool:
    """Append only. What is in it takes room in the folder for temporary files, and no memory."""

    def __init__(self) -> None:
        """Raises CaptureError where no temporary file can be made."""
        import tempfile  # much to import for who has a short capture

        try:
            self._file = tempfile.TemporaryFile(buffering=1 << 20)  # noqa: SIM115  lives as long
        except OSError as error:
            raise _full(error) from error
        self._size = self._reads = 0
        self._waiting: list[bytes] = []
        self._mapped: mmap.mmap | bytes = b""

    def append(self, data: bytes) -> int:
        """Returns where it begins. Raises CaptureError where there is no room."""
        at = self._size
        self._size += len(data)
        self._waiting.append(data)
        if len(self._waiting) == _WAITING or len(data) > _LARGE:
            self._flush()
        return at

    def __getitem__(self, part: slice) -> bytes:
        if part.stop > len(self._mapped):
            self._map()
        self._reads += 1
        if self._reads % _FORGET == 0:
            forget(self._mapped)
        return self._mapped[part]

    def _flush(self) -> None:
        try:
            self._file.write(b"".join(self._waiting))
        except OSError as error:
            raise _full(error) from error
        self._waiting.clear()

    def _map(self) -> None:
        self._flush()
        try:
            self._file.flush()
            self._mapped = mmap.mmap(self._file.fileno(), self._size, access=mmap.ACCESS_READ)
        except OSError as error:
            raise _full(error) from error


def forget(mapped: mmap.mmap | bytes) -> None:
    """Give back the memory that the pages of a mapped file take: they would count as in use."""
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _full(error: OSError) -> CaptureError:
    import tempfile

    return CaptureError(
        f"{tempfile.gettempdir()} cannot take what a capture of this size needs: {error.strerror}; "
        "set TMPDIR to a folder with more room"
    )
