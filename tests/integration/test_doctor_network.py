"""The doctor on what lies between it and the server: ports, filters, DNS, NAT, and calls."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .controller import DOMAIN, wait_for
from .engine import Engine
from .name_server import NameServer
from .nat import Forwarder
from .patient import SERVICE, USERS, Patient, caused, causes

UDP, TCP = "-p udp --dport 5060", "-p tcp --dport 5060"

# --- not reachable -------------------------------------------------------------------------------


@causes("security-group")
def test_packets_dropped_on_the_way_are_the_security_group(patient: Patient) -> None:
    with patient.filtered(f"{UDP} -j DROP", f"{TCP} -j DROP"):
        said = patient.finds("security-group")
    assert said["state"] == "running, but not reachable from here"
    assert "UDP 5060, TCP 5060" in said["findings"][0]["next"]


@causes("security-group")
@pytest.mark.parametrize(("rule", "open_"), [(UDP, "UDP"), (TCP, "TCP")])
def test_one_transport_dropped_on_the_way_leaves_the_other(
    patient: Patient, rule: str, open_: str
) -> None:
    with patient.filtered(f"{rule} -j DROP"):
        said = patient.finds("security-group")
    assert said["state"] == "reachable in part"
    assert f"{open_} 5060" in said["findings"][0]["next"]
    assert ({"UDP", "TCP"} - {open_}).pop() not in said["findings"][0]["next"]


@causes("security-group")
def test_a_filter_on_the_way_that_answers_closed_is_none_the_less_a_filter(
    patient: Patient,
) -> None:
    with patient.filtered(f"{UDP} -j REJECT", f"{TCP} -j REJECT --reject-with tcp-reset"):
        said = patient.finds("security-group")
    assert {port["state"] for port in said["ports"]} == {"closed"}


@causes("host-unreachable")
def test_a_machine_that_answers_nothing_is_unreachable(patient: Patient) -> None:
    with patient.filtered("-i eth0 -j DROP"):
        said = patient.finds("host-unreachable")
    assert said["exit_code"] == 3
    assert "does not answer" in said["unreachable"]


@causes("not-answering")
def test_a_server_that_hangs_is_not_answering(patient: Patient) -> None:
    patient.host.run("systemctl", "kill", "-s", "STOP", SERVICE)
    try:
        said = patient.finds("not-answering")
    finally:
        patient.host.run("systemctl", "kill", "-s", "CONT", SERVICE)
        patient.starts()
    assert said["state"] == "reachable, but no SIP answer comes"


# --- the host's own packet filter ----------------------------------------------------------------

NFT = "table inet own {{ chain input {{ type filter hook input priority 0; policy {policy}; {rules}\n}}; }}"
ESTABLISHED = "ct state established,related accept; iif lo accept; tcp dport 22 accept;"


@contextlib.contextmanager
def nftables(patient: Patient, rules: str, policy: str = "accept") -> Iterator[None]:
    with patient.has("nftables", "nft"):
        patient.host.run("nft", "-f", "-", stdin=NFT.format(policy=policy, rules=rules))
        try:
            yield
        finally:
            patient.host.run("nft", "delete", "table", "inet", "own")


@contextlib.contextmanager
def iptables(patient: Patient, *rules: str) -> Iterator[None]:
    with patient.has("iptables", "iptables"):
        patient.host.shell("set -e; " + "; ".join(f"iptables {rule}" for rule in rules))
        try:
            yield
        finally:
            patient.host.shell("iptables -F; iptables -X")


@causes("host-firewall")
@pytest.mark.parametrize(
    ("policy", "rules", "told"),
    [
        ("accept", "udp dport 5060 drop;", "udp dport 5060 drop"),
        ("drop", f"{ESTABLISHED} tcp dport 5060 accept;", "policy drop"),
        ("drop", f"{ESTABLISHED} tcp dport {{ 80, 5060 }} accept; ip saddr 10.9.0.0/16 accept;",
         "policy drop"),
        ("accept", "th dport 5060 reject with icmpx admin-prohibited;", "reject"),
        ("accept", f"{ESTABLISHED} udp dport vmap {{ 53 : accept, 5000-5100 : drop }};", "vmap"),
    ],
    ids=["rule", "policy", "address", "prohibited", "map"],
)  # fmt: skip
def test_a_rule_of_nftables_is_told_and_its_next_command_opens_the_port(
    patient: Patient, policy: str, rules: str, told: str
) -> None:
    with nftables(patient, rules, policy):
        finding = patient.finds("host-firewall")["findings"][0]
        assert told in finding["evidence"][0]
        _paste(patient, finding["next"])
        assert patient.examined()["findings"] == []


@causes("host-firewall")
def test_a_rule_of_iptables_is_told_and_its_next_command_opens_the_port(patient: Patient) -> None:
    with iptables(
        patient, "-N own", "-A INPUT -j own", "-A own -p udp -m udp --dport 5060 -j DROP"
    ):
        finding = patient.finds("host-firewall")["findings"][0]
        assert "-A own -p udp -m udp --dport 5060 -j DROP" in finding["evidence"]
        _paste(patient, finding["next"])
        assert patient.examined()["findings"] == []


@causes("no-sound")
def test_a_filter_that_drops_the_sound_alone_is_told(patient: Patient) -> None:
    with nftables(patient, "udp dport 10000-20000 drop;"):
        finding = patient.finds("no-sound")["findings"][0]
    assert "udp dport 10000-20000 drop" in finding["evidence"][0]


def test_a_filter_that_lets_everything_through_that_counts_is_no_finding(patient: Patient) -> None:
    rules = f"{ESTABLISHED} meta l4proto {{ tcp, udp }} th dport {{ 5060, 10000-20000 }} accept;"
    with nftables(patient, f"{rules} reject;", "drop"):
        assert patient.examined()["findings"] == []


@causes("banned")
def test_a_ban_of_the_flood_protection_is_told_and_lifted_by_the_next_command(
    patient: Patient, engine: Engine
) -> None:
    ban = f"-A FLEXISIP -s {engine.gateway()}/32 -p udp -j REJECT"
    with iptables(patient, "-N FLEXISIP", "-A INPUT -j FLEXISIP", ban):
        said = patient.finds("banned")
        assert {port["transport"]: port["state"] for port in said["ports"]}["udp"] == "closed"
        _paste(patient, said["findings"][0]["next"])
        assert patient.examined()["findings"] == []


def _paste(patient: Patient, command: str) -> None:
    """Do what is told to be next, as a person does."""
    if not shutil.which("ssh"):
        pytest.skip("needs ssh on this machine")
    environment = patient.controller.environment
    done = subprocess.run(
        command, shell=True, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# --- DNS -----------------------------------------------------------------------------------------

OWN = {(DOMAIN, "A"): "{own}"}
SRV = f"_sip._udp.{DOMAIN}"
RECORDS = (
    ("dns-other-host", {(DOMAIN, "A"): "198.51.100.9"}),
    ("dns-other-host", {**OWN, (DOMAIN, "AAAA"): "2001:db8::9"}),
    ("dns-other-host", {(SRV, "SRV"): "1 1 5060 old.test.", ("old.test", "A"): "198.51.100.9"}),
    ("dns-service", {**OWN, (SRV, "SRV"): f"1 1 5070 {DOMAIN}."}),
    ("dns-service", {**OWN, (SRV, "SRV"): "1 1 5060 gone.test."}),
    ("dns-service", {**OWN, (f"_sips._tcp.{DOMAIN}", "SRV"): f"1 1 5061 {DOMAIN}."}),
    ("dns-service", {**OWN, (DOMAIN, "NAPTR"): f'9 9 "s" "SIPS+D2T" "" _sips._tcp.{DOMAIN}.'}),
)
RIGHT = {
    **OWN,
    (SRV, "SRV"): f"1 1 5060 {DOMAIN}.",
    (f"_sip._tcp.{DOMAIN}", "SRV"): f"1 1 5060 {DOMAIN}.",
    (DOMAIN, "NAPTR"): f'9 9 "s" "SIP+D2U" "" {SRV}.',
}


@pytest.mark.parametrize(("expected", "records"), caused(RECORDS))
def test_records_that_lead_elsewhere_are_told(
    patient: Patient, tmp_path: Path, expected: str, records: dict[tuple[str, str], str]
) -> None:
    said = patient.read(*_with_dns(patient, tmp_path, records))
    assert said["dns"]
    patient.is_found(expected, said)


def test_records_that_lead_here_are_no_finding(patient: Patient, tmp_path: Path) -> None:
    said = patient.read(*_with_dns(patient, tmp_path, RIGHT))
    assert said["findings"] == []
    assert len(said["dns"]) == 4


@causes("dns-ipv6")
def test_an_ipv6_record_of_a_server_that_listens_on_ipv4_only_is_told(
    patient: Patient, tmp_path: Path
) -> None:
    address = "fd00:db8::5"
    patient.inside("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/lo/disable_ipv6")
    if patient.inside("ip", "-6", "addr", "add", f"{address}/64", "dev", "lo").returncode:
        pytest.skip("the host can have no IPv6 address here")
    try:
        records = {**OWN, (DOMAIN, "AAAA"): address}
        patient.is_found("dns-ipv6", patient.read(*_with_dns(patient, tmp_path, records)))
    finally:
        patient.inside("ip", "-6", "addr", "del", f"{address}/64", "dev", "lo")


@causes("dns-missing")
def test_a_domain_that_no_name_server_knows_is_told(patient: Patient, tmp_path: Path) -> None:
    # The lab's own domain is one that cannot be in DNS: that is no fault.
    edit = f"s/{DOMAIN}/sip.somebody.net/g"
    with patient.changed(edit), patient.kept(USERS):
        patient.host.run("sed", "-i", edit, USERS)
        said = patient.read(*_with_dns(patient, tmp_path, {}, *patient.elsewhere))
    patient.is_found("dns-missing", said)


def _with_dns(
    patient: Patient, folder: Path, records: dict[tuple[str, str], str], *arguments: str
) -> tuple[int, str, str]:
    own = patient.host.address
    zone = {place: record.replace("{own}", own) for place, record in records.items()}
    with NameServer(zone, folder) as server:
        return patient.doctor("--json", *arguments, before=server.before)


# --- a cloud's NAT -------------------------------------------------------------------------------


def test_behind_a_clouds_nat_the_private_address_in_calls_is_told(
    patient: Patient, engine: Engine
) -> None:
    with _nat(patient, engine) as arguments:
        said = patient.examined(*arguments)
    ids = [one["id"] for one in said["findings"]]
    assert ids == ["alias-missing", "no-sound", "call-drops"], said["findings"]


PUBLIC_SOUND = r"/^\[module::MediaRelay\]/ s/$/\nforce-public-ip-for-sdp-masquerading=true/"
ANNOUNCED = "s/^transports=.*/transports=sip:{public}:5060;maddr={own}/"
KNOWN = "s/^aliases=.*/& {public}/"


@pytest.mark.parametrize(
    ("expected", "edits"),
    caused(
        (
            ("no-sound", (ANNOUNCED, KNOWN)),
            ("call-drops", (PUBLIC_SOUND, KNOWN)),
        )
    ),
)
def test_behind_a_nat_each_half_that_is_missing_is_told_alone(
    patient: Patient, engine: Engine, expected: str, edits: tuple[str, ...]
) -> None:
    public, own = engine.gateway(), patient.host.address
    with (
        patient.changed(*[edit.format(public=public, own=own) for edit in edits]),
        _nat(patient, engine, lab=False) as arguments,
    ):
        patient.finds(expected, *arguments)


def test_behind_a_nat_that_the_server_knows_of_nothing_is_wrong(
    patient: Patient, engine: Engine
) -> None:
    edits = [
        edit.format(public=engine.gateway(), own=patient.host.address)
        for edit in (ANNOUNCED, KNOWN, PUBLIC_SOUND)
    ]
    with patient.changed(*edits), _nat(patient, engine, lab=False) as arguments:
        said = patient.examined(*arguments)
    assert said["findings"] == [], said["findings"]
    assert said["state"] == "serving"


@contextlib.contextmanager
def _nat(patient: Patient, engine: Engine, *, lab: bool = True) -> Iterator[tuple[str, ...]]:
    """The host behind an address that is not its own: the arguments that examine it there."""
    public = engine.gateway()
    forwarder = Forwarder(public, patient.host.address)
    home = patient.controller.folder / ("nat" if lab else "nat-without-lab")
    if lab:
        inside = home / "group_vars" / "flexisip"
        inside.mkdir(parents=True, exist_ok=True)
        shutil.copy(patient.controller.users_file, inside / "users.yml")
        shutil.copy(patient.controller.lab_file, inside / "lab.yml")
    home.mkdir(exist_ok=True)
    (home / "hosts.yml").write_text(
        f"flexisip:\n  hosts:\n    {public}:\n      ansible_user: root\n      ansible_port: 2222\n"
        f"      ansible_ssh_private_key_file: {patient.controller.identity}\n"
    )
    try:
        yield "-i", str(home), "--accept-host-key"
    finally:
        forwarder.close()


# --- calls ---------------------------------------------------------------------------------------


def test_a_call_between_two_users_is_placed_on_request(patient: Patient) -> None:
    said = patient.examined("--call")
    assert said["findings"] == [], said["findings"]
    assert not {"callee-missing", "call-failed"} & set(said["not_checked"])


def starting_with(four: str) -> str:
    """iptables' words for SIP messages over UDP that begin with these four letters."""
    return f"{UDP} -m u32 --u32 0>>22&0x3C@8=0x{four.encode().hex()}"


CALLS = (
    ("call-failed", f"{starting_with('INVI')} -j DROP"),
    ("call-drops", f"{starting_with('ACK ')} -j DROP"),
    ("call-drops", f"{starting_with('BYE ')} -j DROP"),
)


@pytest.mark.parametrize(("expected", "rule"), caused(CALLS))
def test_a_call_that_loses_its_packets_is_told_by_what_is_lost(
    patient: Patient, expected: str, rule: str
) -> None:
    with patient.filtered(rule):
        said = patient.finds(expected, "--call")
    assert said["findings"][0]["next"].startswith("labtool probe ")


@causes("login-failed")
def test_a_login_whose_larger_request_is_lost_on_the_way_is_told(patient: Patient) -> None:
    # As a router does that loses what it has to take apart: the second REGISTER is the longer one.
    with patient.filtered(f"{starting_with('REGI')} -m length --length 560:65535 -j DROP"):
        said = patient.finds("login-failed")
    assert said["state"] == "reachable, but refusing"


@causes("callee-missing")
def test_a_call_to_somebody_whose_registration_is_over_is_told(patient: Patient) -> None:
    # Registrations of a second, and an INVITE that takes three.
    lab = patient.controller.lab_file
    kept = lab.read_text()
    lab.write_text(kept + "flexisip_settings:\n  module::Registrar:\n    max-expires: 1\n")
    rule = f"{starting_with('INVI')} -j DROP"
    try:
        with (
            patient.changed(r"/^\[module::Registrar\]/ s/$/\nmax-expires=1/"),
            patient.filtered(rule),
        ):
            counted = threading.Thread(target=_delete_when_hit, args=(patient, rule))
            counted.start()
            said = patient.examined("--call")
            counted.join()
            patient.inside("iptables", "-I", "INPUT", *rule.split())
    finally:
        lab.write_text(kept)
    patient.is_found("callee-missing", said)


def _delete_when_hit(patient: Patient, rule: str) -> None:
    """Take the rule away when it has dropped three packets: 0, 0.5 and 1.5 s after the call."""

    def hits() -> int:
        listed = patient.inside("iptables", "-vxnL", "INPUT").stdout.splitlines()
        lines = [line for line in listed if "u32" in line]
        return int(lines[0].split()[0]) if lines else 0

    wait_for(lambda: hits() >= 3, 20)
    patient.inside("iptables", "-D", "INPUT", *rule.split())


# --- what answers --------------------------------------------------------------------------------


@contextlib.contextmanager
def answering(answer: str, address: str) -> Iterator[int]:
    """A server whose answer to every request over UDP is this status line."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 0))

    def serve() -> None:
        while (received := sock.recvfrom(65536))[0]:
            head = received[0].decode(errors="replace").split("\r\n\r\n")[0].split("\r\n")[1:]
            same = ("via:", "from:", "to:", "call-id:", "cseq:")
            lines = [line for line in head if line.lower().startswith(same)]
            text = "\r\n".join([answer, *lines, "Content-Length: 0", "", ""])
            sock.sendto(text.encode(), received[1])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        sock.sendto(b"", sock.getsockname())
        thread.join(5)
        sock.close()


@pytest.mark.parametrize(
    ("expected", "answer"),
    caused(
        (
            ("answers-error", "SIP/2.0 500 Server Internal Error"),
            ("answers-error", "SIP/2.0 503 Service Unavailable"),
            ("alias-missing", "SIP/2.0 482 Loop Detected"),
        )
    ),
)
def test_a_server_that_answers_with_an_error_is_told(
    patient: Patient, expected: str, answer: str
) -> None:
    with answering(answer, "127.0.0.1") as port:
        patient.finds(expected, *patient.outside(f"127.0.0.1:{port}", "--transport", "udp"))


def test_the_checks_go_side_by_side(patient: Patient) -> None:
    # Two ports that do not answer take 2.5 s each, and the host's own word half a second.
    with patient.filtered(f"{UDP} -j DROP", f"{TCP} -j DROP"):
        started = time.monotonic()
        patient.examined()
        assert time.monotonic() - started < 5
