"""Capture files: pcap and pcapng read record by record, and pcap written.

Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng. A file is mapped, not read, so its size
costs no memory; what cannot be read of a damaged one is said in `CaptureFile.damage`.
"""

from __future__ import annotations

import gzip
import mmap
import os
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from labtool.sip.flow import Packet
from labtool.trace.clock import STEP_NS, steps
from labtool.trace.errors import CaptureError
from labtool.trace.phrase import Phrase, phrase
from labtool.trace.spool import forget
from labtool.trace.wire import Wire

#: pcap magic numbers as they stand in the file: byte order and nanoseconds a unit of the fraction.
PCAP_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_GZIP = b"\x1f\x8b"
#: libpcap's own limit (its MAXIMUM_SNAPLEN); a record that claims more is damage.
MAX_RECORD = 262_144
#: The year 2116, beyond what a pcap can say; a later time of a pcapng is damage.
_LATEST_NS = 1 << 62
#: A compressed capture is unpacked up to here: a gigabyte of zeros packs into a megabyte.
MAX_UNPACKED = 8 << 30

_FORGET = 4 << 20  # bytes between two times of giving memory back
ETHERNET = 1


def is_capture(beginning: bytes) -> bool:
    """Whether a file that begins with these four bytes is a capture, or compressed as one may be."""
    return beginning in PCAP_MAGIC or beginning == _PCAPNG or beginning[:2] == _GZIP


#: One captured frame, a plain tuple for there are millions: its number (1 is the first, as in
#: Wireshark), its time (nanoseconds since the epoch), LINKTYPE_ number, offset of its first byte in
#: the file, bytes that were captured, and bytes on the wire (more when the capture cut the frame).
Record = tuple[int, int, int, int, int, int]


class CaptureFile:
    """A capture opened for reading. `data` is the whole file, mapped."""

    def __init__(self, path: str | Path) -> None:
        """Open `path` ("-" is standard input). Raises CaptureError when it is no capture."""
        self.name = str(path)
        self.damage: list[Phrase] = []
        self.is_disordered = False  #: frames are far from in order of time
        self._steps: dict[int, int] | None = None  #: of the clock, once it has gone back
        try:
            if self.name == "-":
                self.name = "standard input"
                self._file: IO[bytes] = _spool(sys.stdin.buffer)
            else:
                self._file = Path(path).open("rb")  # noqa: SIM115  closed by close()
            self._file.seek(0)
            if self._file.read(2) == _GZIP:
                self._file.seek(0)
                self._file = _spool(gzip.GzipFile(fileobj=self._file))
            self._file.seek(0)
            size = os.fstat(self._file.fileno()).st_size
            self.data: mmap.mmap | bytes = (
                mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
            )
        except (OSError, EOFError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise CaptureError(f"{self.name} cannot be read: {reason}") from error
        self.magic = bytes(self.data[:4])
        if self.magic not in PCAP_MAGIC and self.magic != _PCAPNG:
            what = "is empty" if not size else "is neither a pcap nor a pcapng file"
            raise CaptureError(f"{self.name} {what}; record one with labtool capture or tcpdump -w")

    def close(self) -> None:
        """Give the mapping back. Slices that were taken stay valid: they are copies."""
        if isinstance(self.data, mmap.mmap):
            self.data.close()
        self._file.close()

    def __enter__(self) -> CaptureFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def records(self) -> Iterator[Record]:
        """Every frame in file order. Ends early, with a line in `damage`, where the file is bad."""
        return self._pcapng() if self.magic == _PCAPNG else self._pcap()

    def __getitem__(self, part: slice) -> bytes:
        """Bytes of the file, read anew: they do not stay in memory as those of `data` do."""
        return os.pread(self._file.fileno(), part.stop - part.start, part.start)

    def forget(self) -> None:
        """Give back the memory that the pages of `data` take."""
        forget(self.data)

    def _added(self, frame: int) -> int:
        """What to add to the times from this frame on, where time went back. A file that needs it is
        read twice.
        """
        if self._steps is None:
            damage, self.damage = self.damage, []
            records = self._pcapng(raw=True) if self.magic == _PCAPNG else self._pcap(raw=True)
            found = steps((one[0], one[1]) for one in records if one[1])
            self.damage = damage
            self._steps, wrong = found or ({}, [])
            if found is None:
                self.is_disordered = True
                damage.append(phrase("doubt_order"))
            for at, added in self._steps.items():
                damage.append(phrase("doubt_clock", frame=at, seconds=f"{added / 1e9:.1f}"))
            damage += [phrase("doubt_time", frame=at) for at in wrong]
        return self._steps.get(frame, 0)

    def _pcap(self, *, raw: bool = False) -> Iterator[Record]:
        """`raw` leaves the times as they stand in the file."""
        order, unit = PCAP_MAGIC[self.magic]
        if len(self.data) < 24:
            self.damage.append(phrase("damage_header"))
            return
        link = struct.unpack_from(order + "I", self.data, 20)[0] & 0x0FFFFFFF
        unpack = struct.Struct(order + "IIII").unpack_from
        data, end, at, frame = self.data, len(self.data), 24, 0
        forget = _FORGET
        top = shift = 0
        while at + 16 <= end:
            if at > forget:
                self.forget()
                forget = at + _FORGET
            seconds, fraction, length, original = unpack(data, at)
            at += 16
            frame += 1
            if length > MAX_RECORD or not (seconds or original):
                self.damage.append(phrase("damage_record", at=at - 16, count=end - at))
                return
            if at + length > end:
                self.damage.append(phrase("damage_cut", frame=frame))
                return
            time_ns = seconds * 1_000_000_000 + fraction * unit + shift
            if time_ns > top:
                top = time_ns
            elif top - time_ns > STEP_NS and not raw and (added := self._added(frame)):
                shift += added
                top = time_ns = time_ns + added
            yield frame, time_ns, link, at, length, original
            at += length
        if at < end:
            self.damage.append(phrase("damage_cut", frame=frame + 1))

    def _pcapng(self, *, raw: bool = False) -> Iterator[Record]:
        data, end, at, frame = self.data, len(self.data), 0, 0
        order, forget = "<", _FORGET
        top = shift = 0
        interfaces: list[tuple[int, int, int]] = []  # link, units a second, offset in seconds
        while at + 12 <= end:
            if at > forget:
                self.forget()
                forget = at + _FORGET
            kind = struct.unpack_from(order + "I", data, at)[0]
            if data[at : at + 4] == _PCAPNG:
                order = "<" if data[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
                interfaces = []
                kind = 0x0A0D0D0A
            size = struct.unpack_from(order + "I", data, at + 4)[0]
            if size < 12 or size % 4:
                self.damage.append(phrase("damage_block", at=at, count=end - at))
                return
            if at + size > end:
                self.damage.append(phrase("damage_cut_block", at=at))
                return
            if kind == 1 and size >= 20:
                interfaces.append(_interface(data[at + 8 : at + size - 4], order))
            elif kind == 6 and size >= 32:
                number, high, low, length, original = struct.unpack_from(order + "5I", data, at + 8)
                frame += 1
                if number < len(interfaces) and length <= min(size - 32, MAX_RECORD):
                    link, units, offset = interfaces[number]
                    ticks = (high << 32) | low
                    time_ns = ticks * 1_000_000_000 // units + offset * 1_000_000_000
                    if 0 <= time_ns < _LATEST_NS:
                        time_ns += shift
                        if time_ns > top:
                            top = time_ns
                        elif top - time_ns > STEP_NS and not raw and (added := self._added(frame)):
                            shift += added
                            top = time_ns = time_ns + added
                        yield frame, time_ns, link, at + 28, length, original
                        at += size
                        continue
                self.damage.append(phrase("damage_contradiction", frame=frame))
            elif kind == 3 and size >= 16:
                frame += 1
                original = struct.unpack_from(order + "I", data, at + 8)[0]
                if interfaces:
                    length = min(original, size - 16)
                    yield frame, 0, interfaces[0][0], at + 12, length, original
            at += size
        if at < end:
            self.damage.append(phrase("damage_rest", count=end - at))


def _interface(body: bytes, order: str) -> tuple[int, int, int]:
    """Link type, time units a second and time offset in seconds of an interface description."""
    link = struct.unpack_from(order + "H", body, 0)[0]
    units, offset, at = 1_000_000, 0, 8
    while at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, at)
        value = body[at + 4 : at + 4 + length]
        if code == 0 or len(value) < length:
            break
        if code == 9 and length:  # if_tsresol: a power of ten, or of two with the top bit set
            # 63 keeps the number a number: no clock ticks finer than that.
            power = min(value[0] & 0x7F, 63)
            units = 2**power if value[0] & 0x80 else 10**power
        elif code == 14 and length == 8:  # if_tsoffset
            offset = struct.unpack(order + "q", value)[0]
        at += 4 + length + (-length % 4)
    return link, units, offset


def _spool(source: IO[bytes] | gzip.GzipFile) -> IO[bytes]:
    """Copy a stream that cannot be mapped to an unnamed file."""
    import tempfile  # much to import for who reads a file

    spool = tempfile.TemporaryFile()  # noqa: SIM115  closed by CaptureFile.close
    left = MAX_UNPACKED
    try:
        while left > 0 and (chunk := source.read(min(left, 1 << 20))):
            spool.write(chunk)
            left -= len(chunk)
    except (EOFError, gzip.BadGzipFile):
        pass  # what was unpacked up to the damage is still worth reading
    spool.flush()
    return spool


class PcapWriter:
    """Writes tapped packets as they come: Ethernet frames, microseconds, little endian.

    The file is whole after every packet, so that a run that is broken off leaves a readable one.
    It is created 0600: a capture holds digests and voices.
    """

    def __init__(self, path: str | Path) -> None:
        """Create or replace `path`. Raises CaptureError when that is impossible."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise CaptureError(f"{path} cannot be written: {error.strerror}") from error
        self._file = os.fdopen(descriptor, "wb")
        self._wire = Wire()
        self.frames = 0
        self._file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, MAX_RECORD, ETHERNET))

    def write(self, packet: Packet) -> None:
        """Append what one tapped packet looked like on the wire."""
        for time_ns, frame in self._wire.frames(packet):
            seconds, rest = divmod(time_ns, 1_000_000_000)
            header = struct.pack("<IIII", seconds, rest // 1000, len(frame), len(frame))
            self._file.write(header + frame)
            self.frames += 1
        self._file.flush()

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def __enter__(self) -> PcapWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write(path: str | Path, packets: Iterable[Packet]) -> int:
    """Write `packets` in order of time to `path`; returns the number of frames in the file."""
    with PcapWriter(path) as writer:
        for packet in sorted(packets, key=lambda packet: packet.time):
            writer.write(packet)
        return writer.frames
