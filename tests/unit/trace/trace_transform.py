"""A recording made into another one: begun later, cut short, deaf on one side, captured otherwise."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from labtool.trace.pcap import ETHERNET, CaptureFile

COOKED, COOKED_2, RAW_IP = 113, 276, 101
_UDP, _TCP = 17, 6
_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Frame:
    """One captured frame of Ethernet with IPv4 in it, and how long it was on the wire."""

    time_ns: int
    data: bytes
    length: int

    @property
    def _transport(self) -> int:
        return 14 + 4 * (self.data[14] & 15)

    @property
    def is_ip(self) -> bool:
        return self.data[12:14] == b"\x08\x00"

    @property
    def is_udp(self) -> bool:
        """Whether UDP's header is in it: the first fragment, if there are several."""
        return self.is_ip and self.data[23] == _UDP and not self.data[20] & 0x1F | self.data[21]

    @property
    def source(self) -> tuple[str, int]:
        return self._end(26, 0)

    @property
    def target(self) -> tuple[str, int]:
        return self._end(30, 2)

    def _end(self, host: int, port: int) -> tuple[str, int]:
        at = self._transport + port
        name = ".".join(map(str, self.data[host : host + 4]))
        return name, int.from_bytes(self.data[at : at + 2], "big")

    @property
    def payload(self) -> bytes:
        """Of UDP, or of TCP."""
        at = self._transport
        return self.data[at + (8 if self.data[23] == _UDP else 4 * (self.data[at + 12] >> 4)) :]

    @property
    def is_sip(self) -> bool:
        return self.is_ip and self.data[23] in (_UDP, _TCP) and b"SIP/2.0" in self.payload[:1500]

    @property
    def is_rtp(self) -> bool:
        """By its looks; ports of SIP, DNS and STUN servers have none."""
        if not self.is_udp or min(self.source[1], self.target[1]) < 1024:
            return False
        first = self.payload[:2]
        return len(self.payload) > 12 and first[0] >> 6 == 2 and not 72 <= first[1] & 0x7F <= 79

    @property
    def is_rtcp(self) -> bool:
        return (
            self.is_udp and self.payload[:1] > b"\x7f" and self.payload[1:2] in (b"\xc8", b"\xc9")
        )

    def starts(self, text: str) -> bool:
        """Whether it is SIP that begins so."""
        return (
            self.is_ip and self.data[23] in (_UDP, _TCP) and self.payload.startswith(text.encode())
        )


def frames_of(path: Path) -> list[Frame]:
    """The frames of an Ethernet capture."""
    with CaptureFile(path) as file:
        return [
            Frame(time, bytes(file.data[start : start + length]), original)
            for _, time, link, start, length, original in file.records()
            if link == ETHERNET
        ]


def write(path: Path, frames: Iterable[Frame], link: int = ETHERNET) -> Path:
    """Write `frames` as a capture of that link type, with nanoseconds."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, link))
        for frame in frames:
            data = _LINKS[link](frame.data)
            more = len(data) - len(frame.data)
            parts = *divmod(frame.time_ns, _SECOND), len(data), frame.length + more
            file.write(struct.pack("<IIII", *parts) + data)
    return path


_LINKS: dict[int, Callable[[bytes], bytes]] = {
    ETHERNET: lambda data: data,
    COOKED: lambda data: bytes(14) + data[12:],
    COOKED_2: lambda data: data[12:14] + bytes(18) + data[14:],
    RAW_IP: lambda data: data[14:],
}


def without(frames: Iterable[Frame], so: Callable[[Frame], bool]) -> list[Frame]:
    """Without those of which that is so."""
    return [frame for frame in frames if not so(frame)]


def shifted(frames: Iterable[Frame], seconds: float) -> list[Frame]:
    """By a clock that is ahead."""
    return [replace(one, time_ns=one.time_ns + round(seconds * _SECOND)) for one in frames]


def between(frames: list[Frame], start: float, end: float = 1e9) -> list[Frame]:
    """Only what was captured from `start` to `end` seconds after the first frame."""
    first = frames[0].time_ns
    return [one for one in frames if start <= (one.time_ns - first) / _SECOND < end]


def cut(frames: Iterable[Frame], snap: int, so: Callable[[Frame], bool]) -> list[Frame]:
    """Frames of which that is so, with no more than `snap` bytes of each."""
    return [replace(one, data=one.data[:snap]) if so(one) else one for one in frames]


def twice(frames: Iterable[Frame]) -> list[Frame]:
    """Each frame met again 20 microseconds later, as on `any` where a bridge passes it on."""
    copies = [replace(one, time_ns=one.time_ns + shift) for one in frames for shift in (0, 20_000)]
    return sorted(copies, key=lambda one: one.time_ns)


def renamed(frames: Iterable[Frame], hosts: dict[str, str]) -> list[Frame]:
    """With other addresses, in IP as in SIP. Old and new name have to be equally long."""
    assert all(len(old) == len(new) for old, new in hosts.items())
    packed = {_packed(old): _packed(new) for old, new in hosts.items()}
    found = []
    for one in frames:
        data = bytearray(one.data)
        if one.is_ip:
            for at in (26, 30):
                data[at : at + 4] = packed.get(bytes(data[at : at + 4]), data[at : at + 4])
        for old, new in hosts.items():
            data = data.replace(old.encode(), new.encode())
        found.append(replace(one, data=bytes(data)))
    return found


def _packed(host: str) -> bytes:
    return bytes(map(int, host.split(".")))
