"""The recordings as they might have been made otherwise: begun too late, cut, one-sided, on `any`.

What can still be seen is found, and nothing else is: a capture that shows less must not show more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import permutations
from pathlib import Path

import pytest
from test_trace_recordings import SEEN
from trace_transform import (
    COOKED,
    COOKED_2,
    RAW_IP,
    Frame,
    between,
    cut,
    frames_of,
    renamed,
    shifted,
    twice,
    without,
    write,
)

from labtool.trace.analysis import analyse

VIEWS = ("a", "b", "srv")
AT = {"a": "192.168.101.13", "b": "192.168.43.54", "srv": "198.51.100.10"}
Frames = list[Frame]
Change = Callable[[Frames, str], Frames]


@cache
def recorded(path: Path) -> Frames:
    return frames_of(path)


def situations(shared: Path) -> list[str]:
    return sorted({p.stem.rpartition("-")[0] for p in (shared / "data/calls").glob("*.pcap")})


def expected(situation: str, view: str) -> list[str]:
    return SEEN.get(situation, ([], [], []))[VIEWS.index(view)]


def ids(*paths: Path) -> list[str]:
    return sorted(one.id for one in analyse(paths).findings)


def changed(
    shared: Path, folder: Path, change: Change, link: int = 1
) -> list[tuple[str, str, list[str]]]:
    """(situation, view, findings) of each recording after the change."""
    found = []
    for situation in situations(shared):
        for view in VIEWS:
            frames = change(recorded(shared / f"data/calls/{situation}-{view}.pcap"), view)
            if frames:
                found.append((situation, view, ids(write(folder / "changed", frames, link))))
    return found


def answered_s(frames: Frames) -> float:
    """When the ACK to the answer is seen, in seconds; it has the route that the answer recorded."""
    times = [one.time_ns for one in frames if one.starts("ACK") and b"\nRoute:" in one.payload]
    return ((times or [frames[0].time_ns])[0] - frames[0].time_ns) / 1e9


# -- what shows as much ---------------------------------------------------------------------------

AS_MUCH: dict[str, tuple[Change, int]] = {
    "on the interface any, each packet twice": (lambda f, _: twice(f), COOKED),
    "Linux cooked v2": (lambda f, _: f, COOKED_2),
    "raw IP": (lambda f, _: f, RAW_IP),
    "headers of the sound only": (lambda f, _: cut(f, 54, lambda one: one.is_rtp), 1),
    "a clock of another year": (lambda f, _: shifted(f, -4e7), 1),
    "other addresses": (
        lambda f, _: renamed(
            f,
            {
                "203.0.113.21": "51.15.214.77",
                "203.0.113.104": "46.232.251.19",
                "198.51.100.10": "185.14.184.43",
                "192.168.101.13": "10.210.101.139",
                "192.168.43.54": "172.20.143.14",
            },
        ),
        1,
    ),
}


@pytest.mark.parametrize("how", AS_MUCH)
def test_another_way_of_capturing_finds_the_same(shared: Path, tmp_path: Path, how: str) -> None:
    wrong = [
        (situation, view, found)
        for situation, view, found in changed(shared, tmp_path, *AS_MUCH[how])
        if found != expected(situation, view)
    ]
    assert not wrong


def test_neither_the_order_of_the_views_nor_their_clocks_matter(
    shared: Path, tmp_path: Path
) -> None:
    for number, situation in enumerate(situations(shared)):
        paths = [shared / f"data/calls/{situation}-{view}.pcap" for view in VIEWS]
        together = ids(*paths)
        assert set(together) <= {one for view in SEEN.get(situation, ()) for one in view}
        orders = list(permutations(paths))
        assert ids(*orders[1 + number % 5]) == together, situation
        clocks = ((3.7, -2.1, 0), (-0.3, 0.2, 0), (0, 3600, -7200))[number % 3]
        ahead = dict(zip(VIEWS, clocks, strict=True))
        others = [
            write(tmp_path / view, shifted(recorded(path), ahead[view]))
            for view, path in zip(VIEWS, paths, strict=True)
        ]
        assert ids(*others) == together, situation


# -- what shows less ------------------------------------------------------------------------------


def _is_tcp(one: Frame) -> bool:
    return one.is_ip and one.data[23] == 6


LESS: dict[str, Change] = {
    "no sound captured": lambda f, _: without(f, lambda one: one.is_rtp),
    "only SIP captured": lambda f, _: [one for one in f if one.is_sip],
    "no RTCP captured": lambda f, _: without(f, lambda one: one.is_rtcp),
    "only UDP captured": lambda f, _: without(f, _is_tcp),
    "no registrations": lambda f, _: without(
        f, lambda one: one.is_sip and b"REGISTER" in one.payload
    ),
    "no requests": lambda f, _: without(f, lambda one: one.is_sip and not one.starts("SIP/2.0")),
    "no responses": lambda f, _: without(f, lambda one: one.starts("SIP/2.0")),
    "no ACK": lambda f, _: without(f, lambda one: one.starts("ACK")),
    "no BYE": lambda f, _: without(f, lambda one: one.is_sip and b" BYE\r" in one.payload),
    "only what came in": lambda f, view: without(
        f, lambda one: one.is_ip and one.source[0] == AT[view]
    ),
    "only what went out": lambda f, view: without(
        f, lambda one: one.is_ip and one.target[0] == AT[view]
    ),
    "96 bytes of each packet": lambda f, _: cut(f, 96, lambda one: True),
    "200 bytes of each packet": lambda f, _: cut(f, 200, lambda one: True),
    "600 bytes of each packet": lambda f, _: cut(f, 600, lambda one: True),
    "every tenth packet not captured": lambda f, _: [
        one for number, one in enumerate(f) if number % 10 != 3
    ],
    "every fifth message not captured": lambda f, _: [
        one for number, one in enumerate(f) if not (one.is_sip and number % 5 == 3)
    ],
    "begun with the answer": lambda f, _: between(f, answered_s(f) - 0.03),
    "begun with the ACK": lambda f, _: between(f, answered_s(f)),
    "begun within the call": lambda f, _: between(f, answered_s(f) + 2),
    "ended with the ACK": lambda f, _: between(f, 0, answered_s(f) + 0.001),
    "ended after a second of talk": lambda f, _: between(f, 0, answered_s(f) + 1),
    "ended after three seconds": lambda f, _: between(f, 0, answered_s(f) + 3),
}
#: What else is seen, and is true of what is left.
ALSO = {
    # The INVITE to B again and again, and nobody who had sent it to the server.
    ("begun with the ACK", "15a_udp_B_unreachable_behind_nat", "srv"): ["no-response"],
    ("begun within the call", "15a_udp_B_unreachable_behind_nat", "srv"): ["no-response"],
    # Without the attempts over TCP the delay has no reason any more.
    ("only UDP captured", "02b_nat_udp_ice_relay", "srv"): ["slow-setup"],
    ("only UDP captured", "13b_big_invite_udp_nat", "srv"): ["slow-setup"],
    # Nothing that B received reaches the server: no report contradicts the gaps.
    ("every tenth packet not captured", "07_nat_udp_oneway_natb_drops", "srv"): ["packet-loss"],
}


@pytest.mark.parametrize("how", LESS)
def test_a_capture_that_shows_less_raises_no_other_alarm(
    shared: Path, tmp_path: Path, how: str
) -> None:
    wrong = [
        (situation, view, found)
        for situation, view, found in changed(shared, tmp_path, LESS[how])
        if not set(found)
        <= set(expected(situation, view)) | set(ALSO.get((how, situation, view), ()))
    ]
    assert not wrong
