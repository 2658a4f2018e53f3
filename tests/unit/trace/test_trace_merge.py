"""Several captures of one call, read as one."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from labtool.trace.analysis import analyse
from labtool.trace.ladder import Ladder
from labtool.trace.story import ladder_of_analysis

#: What the three views together say of each recording; those not named are healthy.
TOGETHER = {
    "02b_nat_udp_ice_relay": ["invite-too-big-for-udp"],
    "13b_big_invite_udp_nat": ["invite-too-big-for-udp"],
    "05e_nat_Atcp_Budp_norelay": ["private-address-in-sdp"],
    "06_nat_udp_norelay_noice": ["private-address-in-sdp"],
    "07_nat_udp_oneway_natb_drops": ["one-way-audio"],
    "07d_nat_udp_loss_to_B": ["packet-loss"],
    "08_wrong_password_B": ["wrong-password"],
    "11c_cloud_1to1nat_private_transport": ["private-record-route"],
    "14a_udp_server_restart_midcall": ["audio-stopped", "call-forgotten"],
    "14c_all_acks_from_A_lost": ["ack-missing"],
    "15a_udp_B_unreachable_behind_nat": ["callee-unreachable"],
    "17_codec_mismatch_488": ["codec-refused"],
    "18b_nat_udp_B_sends_no_rtp": ["one-way-audio"],
}


def moved(source: Path, target: Path, seconds: float) -> Path:
    """A capture whose clock was wrong by that much."""
    data = bytearray(source.read_bytes())
    at = 24
    while at < len(data):
        when, fraction, length = struct.unpack_from("<III", data, at)
        total = when * 1_000_000 + fraction + round(seconds * 1e6)
        struct.pack_into("<II", data, at, *divmod(total, 1_000_000))
        at += 16 + length
    target.write_bytes(data)
    return target


def views(shared: Path, name: str, which: str = "a b srv") -> list[Path]:
    return [shared / f"data/calls/{name}-{view}.pcap" for view in which.split()]


def names(ladder: Ladder) -> list[str]:
    return [participant.name for participant in ladder.participants]


def test_the_three_views_of_each_recording_name_its_cause_and_nothing_else(shared: Path) -> None:
    wrong = []
    for path in sorted((shared / "data/calls").glob("*-srv.pcap")):
        name = path.stem.removesuffix("-srv")
        found = sorted(one.id for one in analyse(views(shared, name)).findings)
        if found != TOGETHER.get(name, []):
            wrong.append((name, found))
    assert not wrong


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("07_nat_udp_oneway_natb_drops", ["452 packets left the server", "0 arrived at bob"]),
        ("07d_nat_udp_loss_to_B", ["502 packets left the server", "428 arrived at bob"]),
        ("08_wrong_password_B", ["sip:bob@sip.example.test is not registered"]),
        ("14c_all_acks_from_A_lost", ["ACK left alice 12 times", "none arrived"]),
        ("15a_udp_B_unreachable_behind_nat", ["INVITE left the server 7 times", "none arrived"]),
        ("18b_nat_udp_B_sends_no_rtp", ["bob received 303 packets of sound and sent not one"]),
        ("02b_nat_udp_ice_relay", ["It took 5.1 s until sip:bob@sip.example.test rang"]),
        ("11c_cloud_1to1nat_private_transport", ["The ACK does not arrive", "No sound"]),
    ],
)
def test_where_two_views_tell_it_the_cause_says_between_which(
    shared: Path, name: str, words: list[str]
) -> None:
    (one,) = analyse(views(shared, name)).findings
    assert all(word in one.cause for word in words), one.cause
    assert one.others


def test_three_views_are_one_ladder_of_three(shared: Path) -> None:
    ladder = ladder_of_analysis(analyse(views(shared, "03_nat_udp_relay")))
    assert [(p.name, p.place) for p in ladder.participants] == [
        ("alice", "192.168.101.13 = 203.0.113.21"),
        ("server", "198.51.100.10"),
        ("bob", "192.168.43.54 = 203.0.113.104"),
    ]
    server = ladder_of_analysis(analyse(views(shared, "03_nat_udp_relay", "srv")))
    assert [a.label for a in ladder.arrows if a.kind != "media"] == [
        a.label for a in server.arrows if a.kind != "media"
    ]


@pytest.mark.parametrize("name", ["03_nat_udp_relay", "05_nat_Atcp_Budp", "09b_A_cancels"])
def test_clocks_that_differ_are_set_by_the_messages_that_are_shared(
    shared: Path, tmp_path: Path, name: str
) -> None:
    a, b, srv = views(shared, name)
    true = analyse([a, b, srv])
    skewed = analyse([moved(a, tmp_path / "a", 3.7), moved(b, tmp_path / "b", -1800.25), srv])
    assert skewed.merged.added[2] == 0
    assert skewed.merged.added[0] / 1e9 == pytest.approx(-3.7, abs=0.001)
    assert skewed.merged.added[1] / 1e9 == pytest.approx(1800.25, abs=0.001)
    assert [a.label for a in ladder_of_analysis(skewed).arrows] == [
        a.label for a in ladder_of_analysis(true).arrows
    ]
    assert skewed.findings == []


def test_the_two_phones_alone_are_aligned_by_what_passed_between_them(
    shared: Path, tmp_path: Path
) -> None:
    a, b = views(shared, "03_nat_udp_relay", "a b")
    found = analyse([a, moved(b, tmp_path / "b", 60)])
    assert found.merged.added[1] / 1e9 == pytest.approx(-60, abs=0.05)
    assert names(ladder_of_analysis(found)) == ["alice", "server", "bob"]


def test_captures_that_share_nothing_stay_as_they_are(shared: Path) -> None:
    paths = [*views(shared, "03_nat_udp_relay", "a"), *views(shared, "09a_B_declines", "b")]
    assert analyse(paths).merged.added == [0, 0]


@pytest.mark.parametrize(
    ("situation", "words"),
    [
        (
            "15a_udp_B_unreachable_behind_nat",
            "which answered it, and none arrived at the other end",
        ),
        ("07_nat_udp_oneway_natb_drops", "452 packets of sound left alice"),
    ],
)
def test_two_phones_without_their_server_do_not_blame_the_way_between_alone(
    shared: Path, situation: str, words: str
) -> None:
    files = [shared / f"data/calls/{situation}-{view}.pcap" for view in "ab"]
    (found,) = analyse(files).findings
    assert words in found.cause
    assert "between the two" not in found.cause
    assert "cannot be seen from here" not in found.cause
