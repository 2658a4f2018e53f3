"""Link layers, tunnels, and IP with its fragments."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.sip.flow import Address, Packet
from labtool.trace.layers import Payload, Unwrapper
from labtool.trace.wire import Wire

A4, B4 = Address("192.0.2.1", 5060), Address("192.0.2.2", 5060)
A6, B6 = Address("2001:db8::1", 5060), Address("2001:db8::2", 5060)
BODY = b"hello, this is a datagram"


def ethernet(source: Address = A4, target: Address = B4, body: bytes = BODY) -> bytes:
    return next(frame for _, frame in Wire().frames(Packet(1.0, "udp", source, target, body)))


IP4, IP6 = ethernet()[14:], ethernet(A6, B6)[14:]


def ip4(protocol: int, body: bytes, *, fragment: int = 0, identification: int = 1) -> bytes:
    head = struct.pack(
        ">BBHHHBBH", 0x45, 0, 20 + len(body), identification, fragment, 64, protocol, 0
    )
    return head + socket.inet_aton(A4.host) + socket.inet_aton(B4.host) + body


def ip6(following: int, body: bytes) -> bytes:
    head = struct.pack(">IHBB", 6 << 28, len(body), following, 64)
    return (
        head
        + socket.inet_pton(socket.AF_INET6, A6.host)
        + (socket.inet_pton(socket.AF_INET6, B6.host) + body)
    )


def unwrap(link: int, frame: bytes, unwrapper: Unwrapper | None = None) -> Payload | None:
    return (unwrapper or Unwrapper()).unwrap(link, frame, 0, len(frame))


def body(found: Payload | None) -> bytes | None:
    return None if found is None else found.buffer[found.start + 8 : found.end]


@pytest.mark.parametrize(
    ("link", "frame"),
    [
        pytest.param(1, bytes(12) + b"\x08\x00" + IP4, id="Ethernet"),
        pytest.param(1, bytes(12) + b"\x86\xdd" + IP6, id="Ethernet, IPv6"),
        pytest.param(1, bytes(12) + b"\x81\x00\x00\x07\x08\x00" + IP4, id="VLAN"),
        pytest.param(1, bytes(12) + b"\x88\xa8\0\7\x81\0\0\7\x86\xdd" + IP6, id="VLAN in VLAN"),
        pytest.param(1, bytes(12) + b"\x88\x64\x11\0\0\7\0\0\x00\x21" + IP4, id="PPPoE"),
        pytest.param(1, bytes(12) + b"\x08\x00" + IP4 + bytes(18), id="padding"),
        pytest.param(113, bytes(14) + b"\x08\x00" + IP4, id="Linux cooked v1"),
        pytest.param(276, b"\x08\x00" + bytes(18) + IP4, id="Linux cooked v2"),
        pytest.param(276, b"\x86\xdd" + bytes(18) + IP6, id="Linux cooked v2, IPv6"),
        pytest.param(101, IP4, id="raw"),
        pytest.param(101, IP6, id="raw, IPv6"),
        pytest.param(0, b"\x02\0\0\0" + IP4, id="BSD loopback"),
        pytest.param(101, ip4(4, IP4), id="IP in IP"),
        pytest.param(101, ip4(41, IP6), id="IPv6 in IP"),
        pytest.param(101, ip4(47, b"\0\0\x08\x00" + IP4), id="GRE"),
        pytest.param(101, ip4(47, b"\x20\0\x08\x00key!" + IP4), id="GRE with a key"),
        pytest.param(101, ip6(0, b"\x11\0" + bytes(6) + IP6[40:]), id="hop-by-hop options"),
        pytest.param(101, IP4[:2] + b"\0\0" + IP4[4:], id="length 0 of segmentation offload"),
    ],
)
def test_a_datagram_is_found_in_every_wrapping(link: int, frame: bytes) -> None:
    assert body(unwrap(link, frame)) == BODY


def test_a_link_type_that_is_not_understood_is_remembered() -> None:
    unwrapper = Unwrapper()
    assert unwrap(147, IP4, unwrapper) is None
    assert unwrapper.unknown_links == {147}


@given(st.permutations(range(5)), st.booleans())
def test_fragments_are_put_together_in_whatever_order_they_come(
    order: list[int], twice: bool
) -> None:
    udp = struct.pack(">HHHH", 1, 2, 8 + 1000, 0) + bytes(range(250)) * 4
    pieces = []
    for at in range(0, len(udp), 208):
        more = 0x2000 if at + 208 < len(udp) else 0
        pieces.append(ip4(17, udp[at : at + 208], fragment=more | at // 8))
    unwrapper = Unwrapper()
    sequence = [pieces[i] for i in order]
    found = [unwrap(101, piece, unwrapper) for piece in (sequence[:1] * twice + sequence)]
    assert [f for f in found if f][-1].buffer == udp
    assert sum(f is not None for f in found) == 1


def test_fragments_of_ipv6_are_put_together() -> None:
    udp = struct.pack(">HHHH", 1, 2, 8 + 64, 0) + bytes(64)
    unwrapper = Unwrapper()
    first = ip6(44, struct.pack(">BBHI", 17, 0, 0 | 1, 9) + udp[:40])
    second = ip6(44, struct.pack(">BBHI", 17, 0, 40, 9) + udp[40:])
    assert unwrap(101, first, unwrapper) is None
    found = unwrap(101, second, unwrapper)
    assert found is not None
    assert found.buffer == udp


def test_fragments_of_two_datagrams_are_kept_apart() -> None:
    unwrapper = Unwrapper()
    assert unwrap(101, ip4(17, bytes(16), fragment=0x2000, identification=1), unwrapper) is None
    assert unwrap(101, ip4(17, bytes(16), fragment=2, identification=2), unwrapper) is None


def test_fragments_that_never_end_do_not_fill_the_memory() -> None:
    unwrapper = Unwrapper()
    for number in range(5000):
        unwrap(101, ip4(17, bytes(16), fragment=0x2000, identification=number), unwrapper)
    assert len(unwrapper._pending) <= 256


@given(st.sampled_from([0, 1, 12, 101, 113, 276]), st.binary(max_size=120))
def test_no_frame_makes_unwrapping_fail(link: int, frame: bytes) -> None:
    found = unwrap(link, frame)
    assert found is None or 0 <= found.start <= found.end


@given(st.data())
def test_no_damaged_frame_makes_unwrapping_fail(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from([ip4(4, IP4), ip6(44, bytes(8) + IP4), IP6])))
    for _ in range(3):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    found = unwrap(101, cut)
    assert found is None or 0 <= found.start <= found.end <= len(found.buffer)
