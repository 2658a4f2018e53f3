"""STUN as it is seen on the wire (RFC 8489; ICE's attributes RFC 8445, TURN's RFC 8656)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from labtool.sip.flow import Address
from labtool.trace.flow import Flow, address

COOKIE = b"\x21\x12\xa4\x42"
REQUEST, INDICATION, SUCCESS, ERROR = 0, 1, 2, 3
_METHODS = {1: "Binding", 3: "Allocate", 4: "Refresh", 6: "Send", 7: "Data", 8: "CreatePermission"}
_METHODS[9] = "ChannelBind"
_CARRIES = (0x0016, 0x0017)  # Send and Data indications


@dataclass(frozen=True, slots=True)
class Stun:
    """One STUN message. `mapped` is the address that the server saw; of TURN, `relayed` is the one
    that it gave, and `data` what is for or from the `peer`.
    """

    frame: int
    time_ns: int
    flow: Flow
    method: int
    kind: int  #: REQUEST, INDICATION, SUCCESS or ERROR
    transaction: bytes
    username: str = ""
    mapped: Address | None = None
    use_candidate: bool = False
    controlling: bool = False
    error: int = 0
    relayed: Address | None = None
    peer: Address | None = None
    channel: int = 0
    data: bytes = b""

    @property
    def name(self) -> str:
        """`Binding`, `Allocate`, ..."""
        return _METHODS.get(self.method, f"method {self.method}")


def parse(frame: int, time_ns: int, flow: Flow, data: bytes) -> Stun | None:
    """The message in a datagram that has the magic cookie; None where it contradicts itself. Of what
    TURN carries, a capture may have kept only the beginning.
    """
    kind, length = struct.unpack_from(">HH", data)
    if length % 4 or (20 + length > len(data) and kind not in _CARRIES):
        return None
    method = (kind & 0xF) | (kind >> 1 & 0x70) | (kind >> 2 & 0xF80)
    username, mapped, use, controlling, error = "", None, False, False, 0
    relayed, peer, channel, carried = None, None, 0, b""
    at, end = 20, min(20 + length, len(data))
    while at + 4 <= end:
        code, size = struct.unpack_from(">HH", data, at)
        value = data[at + 4 : min(at + 4 + size, end)]
        if code == 0x0006:
            username = value.decode("utf-8", "replace")
        elif code in (0x0020, 0x0001):
            mapped = _mapped(value, data[4:20] if code == 0x0020 else bytes(16)) or mapped
        elif code == 0x0025:
            use = True
        elif code == 0x802A:
            controlling = True
        elif code == 0x0009 and len(value) >= 4:
            error = (value[2] & 7) * 100 + value[3]
        elif code == 0x0016:
            relayed = _mapped(value, data[4:20]) or relayed
        elif code == 0x0012:
            peer = _mapped(value, data[4:20]) or peer
        elif code == 0x000C and len(value) >= 2:
            channel = value[0] << 8 | value[1]
        elif code == 0x0013:
            carried = value
        at += 4 + size + (-size % 4)
    return Stun(
        frame,
        time_ns,
        flow,
        method,
        (kind >> 4 & 1) | (kind >> 7 & 2),
        data[8:20],
        username,
        mapped,
        use,
        controlling,
        error,
        relayed,
        peer,
        channel,
        carried,
    )


def _mapped(value: bytes, mask: bytes) -> Address | None:
    if len(value) not in (8, 20):
        return None
    port = (value[2] << 8 | value[3]) ^ (mask[0] << 8 | mask[1])
    return address(bytes(a ^ b for a, b in zip(value[4:], mask, strict=False)), port)
