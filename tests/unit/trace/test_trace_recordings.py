"""Recordings of real calls: each view gets the findings that can be seen from it, and no other."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from labtool.trace.analysis import Analysis, analyse

#: Situation -> findings at client a, at client b, at the server. Those not named are healthy.
SEEN: dict[str, tuple[list[str], list[str], list[str]]] = {
    "02b_nat_udp_ice_relay": (["slow-setup"], [], ["invite-too-big-for-udp"]),
    "13b_big_invite_udp_nat": (["slow-setup"], [], ["invite-too-big-for-udp"]),
    "05e_nat_Atcp_Budp_norelay": (["private-address-in-sdp"],) * 3,
    "06_nat_udp_norelay_noice": (["private-address-in-sdp"],) * 3,
    "07_nat_udp_oneway_natb_drops": (["one-way-audio"],) * 3,
    "07d_nat_udp_loss_to_B": (["packet-loss"],) * 3,
    "08_wrong_password_B": (
        ["callee-unknown"],
        ["wrong-password"],
        ["callee-unknown", "wrong-password"],
    ),
    "11c_cloud_1to1nat_private_transport": (
        ["private-address-in-sdp", "private-record-route"],
        ["ack-missing", "private-address-in-sdp", "private-record-route"],
        ["ack-missing", "private-address-in-sdp", "private-record-route"],
    ),
    "14a_udp_server_restart_midcall": (["audio-stopped", "call-forgotten"],) * 3,
    "14c_all_acks_from_A_lost": (["ack-missing"],) * 3,
    "15a_udp_B_unreachable_behind_nat": (["callee-unreachable"], [], ["callee-unreachable"]),
    "17_codec_mismatch_488": (["codec-refused"],) * 3,
    "18b_nat_udp_B_sends_no_rtp": (["one-way-audio"],) * 3,
}
FAULTS = {
    "sip-488-codec-reject.pcapng": ["codec-refused"],
    "sip-auth-failure.pcapng": ["wrong-password"],
}

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def ids(analysis: Analysis) -> list[str]:
    return sorted(found.id for found in analysis.findings)


def test_every_view_of_every_call_gets_its_findings_and_no_other(shared: Path) -> None:
    wrong = []
    for path in sorted((shared / "data/calls").glob("*.pcap")):
        situation, _, view = path.stem.rpartition("-")
        expected = SEEN.get(situation, ([], [], []))[("a", "b", "srv").index(view)]
        found = ids(analyse([path]))
        if found != expected:
            wrong.append((path.name, found, expected))
    assert not wrong


def test_captures_by_others_are_read_and_only_the_faulty_ones_blamed(shared: Path) -> None:
    for path in sorted((shared / "data/captures").glob("*.pcap*")):
        analysis = analyse([path])
        assert ids(analysis) == FAULTS.get(path.name, []), path.name
        assert not analysis.capture.damage
        assert not analysis.capture.bad


def test_captures_of_both_flexisip_releases_are_read(shared: Path) -> None:
    for path in sorted((shared / "data/flexisip/captures").glob("*.pcap")):
        analysis = analyse([path])
        assert analysis.messages, path.name
        wrong = {"03": ["wrong-password"], "04": ["wrong-password"], "05": ["registration-refused"]}
        number = path.stem.split("-")[1][:2]
        if number not in ("11", "12", "13"):  # left-overs of the call to nobody before them
            assert ids(analysis) == wrong.get(number, []), path.name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("05e_nat_Atcp_Budp_norelay-srv", "over tcp and the other over udp is not the cause"),
        ("07_nat_udp_oneway_natb_drops-srv", "report count 0"),
        ("05e_nat_Atcp_Budp_norelay-a", "The description that came from the server"),
        ("07d_nat_udp_loss_to_B-a", "on which part of the way"),
        ("18b_nat_udp_B_sends_no_rtp-srv", "the client at that end is silent"),
        ("18b_nat_udp_B_sends_no_rtp-b", "bob received 303 packets of sound and sent not one"),
        ("02b_nat_udp_ice_relay-srv", "tried TCP to 203.0.113.104:32974 first (5 connection"),
        ("14a_udp_server_restart_midcall-a", "ICMP port unreachable"),
        ("14c_all_acks_from_A_lost-b", "32 s after the answer"),
        ("17_codec_mismatch_488-b", "GSM/8000"),
    ],
)
def test_the_cause_names_what_the_packets_show(shared: Path, name: str, words: str) -> None:
    causes = [one.cause for one in analyse([shared / f"data/calls/{name}.pcap"]).findings]
    assert any(words in cause for cause in causes), causes


@pytest.mark.parametrize(
    ("name", "outcome", "status", "legs"),
    [
        ("01_udp_nonat_noice-srv", "answered", 200, 2),
        ("01_udp_nonat_noice-a", "answered", 200, 1),
        ("08_wrong_password_B-a", "failed", 404, 1),
        ("09a_B_declines-srv", "declined", 603, 2),
        ("09b_A_cancels-b", "cancelled", 487, 1),
        ("15a_udp_B_unreachable_behind_nat-srv", "failed", 408, 2),
    ],
)
def test_a_call_ends_as_it_did(
    shared: Path, name: str, outcome: str, status: int, legs: int
) -> None:
    (call,) = analyse([shared / f"data/calls/{name}.pcap"]).calls
    assert (call.outcome, call.status, len(call.legs)) == (outcome, status, legs)
    assert (call.caller, call.callee) == ("sip:alice@sip.example.test", "sip:bob@sip.example.test")


def test_registrations_say_what_was_asked_answered_and_seen_of_the_nat(shared: Path) -> None:
    analysis = analyse([shared / "data/calls/03_nat_udp_relay-a.pcap"])
    first, last = analysis.registrations
    assert (first.user, first.outcome, first.expires) == (
        "sip:alice@sip.example.test",
        "registered",
        600,
    )
    assert (first.algorithms, first.algorithm) == (("MD5",), "MD5")
    assert first.seen_as.startswith("203.0.113.21:")
    assert last.outcome == "unregistered"


def test_the_two_calls_that_a_b2bua_bridged_are_related(shared: Path) -> None:
    first, second = analyse([shared / "data/captures/b2bua-asterisk.pcapng"]).calls
    assert first.related == [second]
    assert second.related == [first]


def test_media_is_known_as_direct_or_relayed(shared: Path) -> None:
    relayed = analyse([shared / "data/calls/01_udp_nonat_noice-a.pcap"]).streams
    assert [stream.path for stream in relayed] == ["relayed", "relayed"]
    mixed = analyse([shared / "data/calls/02_udp_nonat_ice-a.pcap"]).streams
    assert sorted((stream.path, len(stream.rtp)) for stream in mixed) == [
        ("direct", 439),
        ("direct", 440),
        ("relayed", 13),
        ("relayed", 14),
    ]


def test_a_codec_that_changes_within_the_call_is_followed(shared: Path) -> None:
    analysis = analyse([shared / "data/calls/12d_nat_udp_codec_change_on_resume-a.pcap"])
    assert [stream.codecs for stream in analysis.streams] == [("opus/48000/2", "PCMU/8000")] * 2
    assert all(stream.quality.max_jitter < 1 for stream in analysis.streams)  # type: ignore[operator]


@needs_tshark
def test_messages_are_those_that_tshark_finds(shared: Path) -> None:
    for path in sorted((shared / "data/captures").glob("*.pcap*")):
        rows = subprocess.run(
            [
                "tshark",
                "-r",
                path,
                "-Y",
                "sip && !icmp",
                "-Tfields",
                "-e",
                "frame.number",
                "-e",
                "sip.Call-ID",
                "-e",
                "sip.CSeq",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        cells = [row.split("\t") for row in rows]
        analysis = analyse([path])
        assert len(analysis.capture.messages) == sum(len(row[1].split(",")) for row in cells)
        assert {m.call_id for m in analysis.messages} == {
            value for row in cells for value in row[1].split(",")
        }


#: Loss and jitter as tshark 4.0 has them: (packets, lost, mean and greatest jitter in ms).
FIGURES = {
    "captures/rtp-protocol.pcap": [(47, 0, 0.309, 0.556), (201, 0, 2.423, 3.293)],
    "captures/b2bua-asterisk.pcapng": [(1, 0, None, None), (355, 0, 7.361, 10.171)],
    "calls/07d_nat_udp_loss_to_B-b.pcap": [(428, 74, 0.304, 0.479), (503, 0, 0.221, 0.376)],
    "calls/12b_nat_udp_hold_resume_by_A-b.pcap": [
        (453, 0, 0.232, 0.543),
        (650, 0, 0.246, 0.957),
    ],
}


@pytest.mark.parametrize("name", FIGURES)
def test_packets_loss_and_jitter_are_those_that_were_measured(shared: Path, name: str) -> None:
    streams = sorted(
        (one.quality for one in analyse([shared / "data" / name]).streams),
        key=lambda quality: quality.packets,
    )
    assert [(one.packets, one.lost) for one in streams] == [row[:2] for row in FIGURES[name]]
    for one, (_, _, mean, peak) in zip(streams, FIGURES[name], strict=True):
        assert one.mean_jitter == (None if mean is None else pytest.approx(mean, abs=0.0011))
        assert one.max_jitter == (None if peak is None else pytest.approx(peak, abs=0.0011))


@needs_tshark
@pytest.mark.parametrize(
    "name",
    [
        "captures/rtp-protocol.pcap",
        "captures/sip-over-tcp.pcap",
        "captures/b2bua-asterisk.pcapng",
        "calls/01_udp_nonat_noice-srv.pcap",
        "calls/07d_nat_udp_loss_to_B-b.pcap",
        "calls/07d_nat_udp_loss_to_B-srv.pcap",
        "calls/12b_nat_udp_hold_resume_by_A-b.pcap",
        "calls/14a_udp_server_restart_midcall-a.pcap",
        "calls/02_udp_nonat_ice-a.pcap",
        "calls/02b_nat_udp_ice_relay-a.pcap",
        "calls/10_nat_tls_both-a.pcap",
        "calls/11a_cloud_1to1nat_forcepublic_true-srv.pcap",
        "calls/12d_nat_udp_codec_change_on_resume-b.pcap",
    ],
)
def test_packets_loss_and_jitter_are_tsharks(shared: Path, name: str) -> None:
    """Jitter where tshark has a clock: it shows 0 for a payload type that it can't name, where
    labtool finds the name behind a NAT or a candidate; and where the clock changes with the codec
    (12d) it takes the difference of two clocks for jitter.
    """
    table = subprocess.run(
        [
            "tshark",
            "-r",
            shared / "data" / name,
            "-q",
            "-zrtp,streams",
            "--enable-heuristic",
            "rtp_udp",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    streams = {
        (str(s.source), str(s.destination), f"0x{s.rtp.ssrc:08X}"): s
        for s in analyse([shared / "data" / name]).streams
    }
    rows = [row for row in table if " 0x" in row]
    assert len(rows) == len(streams)
    for row in rows:
        before, _, after = row.partition(" 0x")
        _, _, source, port, target, target_port = before.split()
        stream = streams[f"{source}:{port}", f"{target}:{target_port}", "0x" + after[:8]]
        quality = stream.quality
        figures = after.split("(")[0].split()[-2:] + after.split(")")[1].split()
        packets, lost, _, _, _, _, mean, peak = figures[:8]
        assert (quality.packets, quality.lost) == (int(packets), int(lost))
        clocks = {stream.clocks[kind] for kind in stream.rtp.payload_types}
        if quality.packets > 1 and "RTPType" not in after and len(clocks) == 1:
            assert quality.mean_jitter == pytest.approx(float(mean), abs=0.0011)
            assert quality.max_jitter == pytest.approx(float(peak), abs=0.0011)
