"""What is judged from evidence: one value of a healthy server is made ill, and one finding comes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import healthy as h
import pytest

from labtool.doctor.catalogue import BY_ID, HOWS, ROWS, row
from labtool.doctor.judgement import judge
from labtool.doctor.judges.account import CALL_ROWS, LOGIN_ROWS
from labtool.doctor.judges.log import LINES, NOISE, classify
from labtool.doctor.names import Names, Naptr, Srv
from labtool.doctor.network import LOCAL, NOT_SIP, REFUSES, UNKNOWN_NAME, UNREACHABLE, Port
from labtool.doctor.report import report
from labtool.doctor.server import Disk, File, Listener
from labtool.errors import RequestError
from labtool.probe.causes import CAUSES, cause
from labtool.probe.result import Result


def test_a_healthy_server_has_no_finding() -> None:
    judgement = judge(h.HEALTHY)
    assert judgement.findings == ()
    assert judgement.state == "serving"
    assert report(h.HEALTHY, 1.0).exit_code == 0


def unit(**values: str) -> dict[str, str]:
    assert h.HEALTHY.server is not None
    return {**h.HEALTHY.server.unit, **values}


DOWN = unit(ActiveState="failed", SubState="failed", ExecMainStatus="1")
OPEN_UDP = ("-A INPUT -p udp --dport 5060 -j ACCEPT",)
BAN = "-A FLEXISIP -s 198.51.100.7/32 -p udp -j REJECT"
ILL: tuple[tuple[str, dict[str, Any]], ...] = (
    ("clock", {"epoch": h.STARTED + 10_800}),
    ("clock", {"epoch": h.STARTED}),
    ("memory", {"memory_free_kb": 20_000}),
    ("memory", {"killed": ("Out of memory: Killed process 7 (flexisip)",)}),
    ("disk-full", {"disks": (Disk("/", 5_000, 20_000_000),)}),
    ("disk-full", {"inodes": (Disk("/", 12, 1_000_000),)}),
    ("crashing", {"unit": unit(NRestarts="17")}),
    ("not-running", {"unit": DOWN}),
    ("not-running", {"unit": unit(ActiveState="inactive", LoadState="masked")}),
    ("no-restart", {"unit": unit(Restart="no")}),
    ("not-enabled", {"unit": unit(UnitFileState="disabled")}),
    ("package-missing", {"package_status": "", "binary": False, "conf": None, "users": None}),
    ("package-missing", {"package_status": "config-files", "binary": False}),
    ("package-broken", {"package_status": "half-configured"}),
    ("package-other-system", {"version_id": "20.04", "id": "ubuntu"}),
    ("package-other-system", {"architecture": "arm64"}),
    ("libraries-missing", {"missing_libraries": ("libsrtp2.so.1 => not found",)}),
    ("users-refused", {"users": None}),
    ("conf-missing", {"conf": None}),
    ("conf-not-loaded", {"since": h.STARTED - 3600}),
    (
        "port-taken",
        {
            "unit": DOWN,
            "listening": (Listener("udp", "0.0.0.0", 5060, "asterisk", False),),
            "journal": ("Starting Flexisip", "flexisip-error- Address already in use"),
        },
    ),
    (
        "cannot-bind",
        {
            "unit": DOWN,
            "journal": (
                "Starting Flexisip",
                "flexisip-error- could not enable transport sip:203.0.113.1:5060, Cannot assign "
                "requested address",
            ),
        },
    ),
    (
        "database",
        {
            "unit": DOWN,
            "journal": (
                "Starting Flexisip",
                "flexisip-error- Flexisip::main - Error, caught an unexpected exception: Cannot "
                "build Authentication Backend, unknown db-implementation: soci",
            ),
        },
    ),
    (
        "libraries-missing",
        {
            "unit": DOWN,
            "journal": ("flexisip: error while loading shared libraries: libmysqlclient.so.20",),
        },
    ),
    ("banned", {"iptables": (BAN,), "client": "198.51.100.7"}),
    ("banned", {"iptables": (BAN.replace("198.51.100.7", "192.168.7.7"),)}),
    ("no-sound", {"iptables": ("-P INPUT DROP", "-A INPUT -p udp --dport 5060 -j ACCEPT")}),
    (
        "repository",
        {
            "sources": (
                "/etc/apt/sources.list.d/l.list:deb http://linphone.example/d bookworm beta",
            )
        },
    ),
    (
        "repository",
        {
            "sources": (
                "/etc/apt/sources.list.d/bc-flexisip.list:deb http://m.example/d bookworm stable",
            ),
            "policy": "bc-flexisip:\n  Installed: 2.5.2-1\n  Candidate: (none)",
        },
    ),
)


def test_a_strangers_ban_is_noted_and_no_fault() -> None:
    judgement = judge(h.with_server(iptables=(BAN,), client="198.51.100.9"))
    assert judgement.findings == ()
    assert any("198.51.100.7" in note for note in judgement.notes)


@pytest.mark.parametrize(("expected", "changes"), ILL)
def test_one_ill_value_of_the_server_is_the_one_finding(
    expected: str, changes: dict[str, Any]
) -> None:
    found = judge(h.with_server(**changes)).findings
    assert [one.id for one in found] == [expected], found
    assert found[0].next
    assert report(h.with_server(**changes), 1.0).exit_code == 1


def test_only_the_last_attempt_to_start_counts() -> None:
    journal = (
        "Starting Flexisip",
        "flexisip-error- Address already in use",
        "Starting Flexisip",
        "flexisip-message- bye",
    )
    assert h.ids(h.with_server(unit=DOWN, journal=journal)) == ["not-running"]


def test_what_only_follows_stands_behind_its_cause() -> None:
    evidence = h.with_ports(h.CLOSED, h.CLOSED, h.with_server(unit=DOWN, listening=()))
    (found,) = judge(evidence).findings
    assert found.id == "not-running"
    assert found.consequences == ("port-closed",)
    assert judge(evidence).state == "not running"


def test_two_causes_are_two_findings() -> None:
    evidence = h.with_server(users=None, disks=(Disk("/", 5_000, 20_000_000),))
    assert h.ids(evidence) == ["users-refused", "disk-full"]


# --- reach ---------------------------------------------------------------------------------------

REACH: tuple[tuple[str, str, str, str], ...] = (
    ("security-group", h.FILTERED, h.FILTERED, "running, but not reachable from here"),
    ("security-group", h.FILTERED, h.OPEN, "reachable in part"),
    ("security-group", h.CLOSED, h.CLOSED, "running, but not reachable from here"),
    ("security-group", UNREACHABLE, h.OPEN, "reachable in part"),
    ("not-answering", h.FILTERED, h.SILENT, "reachable, but no SIP answer comes"),
    ("not-answering", h.OPEN, h.SILENT, "reachable in part"),
    ("not-sip", h.OPEN, NOT_SIP, "reachable in part"),
    ("answers-error", REFUSES, h.OPEN, "reachable in part"),
    ("host-unreachable", UNREACHABLE, UNREACHABLE, "running, but not reachable from here"),
    ("host-unreachable", LOCAL, UNREACHABLE, "running, but not reachable from here"),
)


@pytest.mark.parametrize(("expected", "udp", "tcp", "state"), REACH)
def test_what_the_host_says_and_what_is_seen_from_here_make_one_finding(
    expected: str, udp: str, tcp: str, state: str
) -> None:
    judgement = judge(h.with_ports(udp, tcp))
    assert [one.id for one in judgement.findings] == [expected]
    assert judgement.state == state


def test_packets_that_wait_in_the_queue_are_a_server_that_hangs() -> None:
    listening = (Listener("udp", h.ADDRESS, 5060, "flexisip", True, waiting=2304),)
    evidence = h.with_server(listening=listening, conf=_udp_only())
    evidence = replace(evidence, wanted=None, ports=(Port("udp", 5060, h.FILTERED),))
    assert h.ids(evidence) == ["not-answering"]


def _udp_only() -> File:
    text = h.CONF.replace("transports=sip:*:5060", "transports=sip:*:5060;transport=udp")
    return File(text.encode(), modified=h.STARTED - 60)


def test_the_hosts_own_rule_comes_before_the_clouds() -> None:
    rules = ("-P INPUT DROP", "-A INPUT -p tcp -m tcp --dport 5060 -j ACCEPT",
             "-A INPUT -p udp --dport 10000:20000 -j ACCEPT")  # fmt: skip
    (found,) = judge(h.with_ports(h.FILTERED, h.OPEN, h.with_server(iptables=rules))).findings
    assert found.id == "host-firewall"
    assert found.evidence[0] == "-P INPUT DROP"
    assert "--dport 5060" in found.next


def test_a_rejection_that_looks_like_no_route_is_the_hosts_own() -> None:
    rules = ("-A INPUT -p tcp --dport 22 -j ACCEPT", "-A INPUT -j REJECT")
    evidence = h.with_ports(UNREACHABLE, UNREACHABLE, h.with_server(iptables=rules))
    (found,) = judge(evidence).findings
    assert found.id == "host-firewall"
    assert "udp 5060 and tcp 5060" in found.message


def test_the_cloud_is_named_where_the_machine_tells() -> None:
    evidence = h.with_ports(h.FILTERED, h.FILTERED, h.with_server(vendor="Alibaba Cloud"))
    assert "Alibaba" in judge(evidence).findings[0].next
    evidence = h.with_ports(h.FILTERED, h.FILTERED, h.with_server(vendor="Google"))
    assert judge(evidence).findings[0].next.endswith("--allow=udp:5060,tcp:5060")


@pytest.mark.parametrize(
    ("expected", "udp", "tcp", "code"),
    [
        ("port-closed", h.CLOSED, h.CLOSED, 1),
        ("port-closed", h.FILTERED, h.CLOSED, 1),
        ("security-group", h.FILTERED, h.FILTERED, 3),
        ("security-group", h.FILTERED, h.OPEN, 1),
        ("security-group", h.OPEN, UNREACHABLE, 1),
        ("name-unknown", UNKNOWN_NAME, UNKNOWN_NAME, 3),
        ("host-unreachable", UNREACHABLE, UNREACHABLE, 3),
    ],
)
def test_from_outside_alone_it_says_what_can_be_said(
    expected: str, udp: str, tcp: str, code: int
) -> None:
    evidence = replace(h.with_ports(udp, tcp), server=None, wanted=None, ssh=())
    assert h.ids(evidence) == [expected]
    assert report(evidence, 1.0).exit_code == code


@pytest.mark.parametrize(
    "words",
    [
        "192.0.2.5 port 22 does not answer: the machine is down, ...",
        "SSH to 192.0.2.5 port 22 failed: No route to host.",
    ],
)
def test_a_host_that_answers_neither_ssh_nor_sip_is_unreachable(words: str) -> None:
    evidence = replace(h.with_ports(h.FILTERED, h.FILTERED), server=None, unreachable=words)
    assert h.ids(evidence) == ["host-unreachable"]
    assert report(evidence, 1.0).exit_code == 3


def test_a_loop_is_a_missing_alias() -> None:
    evidence = replace(
        h.HEALTHY,
        server=None,
        ports=(Port("udp", 5060, REFUSES, "482 Loop Detected", "loop"),),
    )
    assert h.ids(evidence) == ["alias-missing"]


# --- DNS -----------------------------------------------------------------------------------------

RECORDS: tuple[tuple[list[str], Names], ...] = (
    ([], Names("sip.example.cat", a=(h.ADDRESS,))),
    ([], Names("sip.example.cat", srv=(Srv("udp", 1, 1, 5060, "a.cat", (h.ADDRESS,)),))),
    ([], Names("sip.example.cat", error="the name servers do not answer")),
    (["dns-missing"], Names("sip.example.cat")),
    (["dns-other-host"], Names("sip.example.cat", a=("198.51.100.9",))),
    (["dns-other-host"], Names("sip.example.cat", a=(h.ADDRESS,), aaaa=("2001:db8::9",))),
    (["dns-service"], Names("sip.example.cat", srv=(Srv("udp", 1, 1, 5060, "a.cat"),))),
    (
        ["dns-service"],
        Names("sip.example.cat", srv=(Srv("udp", 1, 1, 5070, "a.cat", (h.ADDRESS,)),)),
    ),
    (
        ["dns-service"],
        Names("sip.example.cat", a=(h.ADDRESS,), naptr=(Naptr("SIPS+D2T", "_sips._tcp.x"),)),
    ),
)


@pytest.mark.parametrize(("expected", "names"), RECORDS)
def test_the_domains_records_are_held_against_the_host(expected: list[str], names: Names) -> None:
    assert h.ids(replace(h.HEALTHY, names=names)) == expected


def test_a_domain_may_lead_to_the_labs_other_hosts_as_well() -> None:
    both = Names("sip.example.cat", a=(h.ADDRESS, "198.51.100.9"))
    lab = replace(h.WANTED, siblings=("198.51.100.9",))
    assert h.ids(replace(h.HEALTHY, names=both, wanted=lab)) == []
    assert h.ids(replace(h.HEALTHY, names=both)) == ["dns-other-host"]


def test_an_ipv6_record_needs_a_socket_on_ipv6() -> None:
    evidence = replace(
        h.with_server(addresses=("127.0.0.1", h.ADDRESS, "2001:db8::5")),
        names=Names("sip.example.cat", a=(h.ADDRESS,), aaaa=("2001:db8::5",)),
    )
    assert h.ids(evidence) == ["dns-ipv6"]


# --- logins and calls ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(CAUSES))
def test_every_cause_of_a_failed_login_has_a_row(name: str) -> None:
    evidence = replace(h.HEALTHY, logins=(h.login(name), h.login(None)))
    rows = {**LOGIN_ROWS, "banned": "login-failed"}
    assert h.ids(evidence) == [rows.get(name, "login-failed")]
    assert judge(evidence).state == "reachable, but refusing"


@pytest.mark.parametrize("name", sorted(CAUSES))
def test_every_cause_of_a_failed_call_has_a_row(name: str) -> None:
    call = Result("call", h.ADDRESS, "udp", (), "verdict", 1.0, cause(name))
    rows = {**CALL_ROWS, "banned": "call-failed"}
    assert h.ids(replace(h.HEALTHY, call=call)) == [rows.get(name, "call-failed")]


def test_silence_after_an_answer_is_a_ban_only_where_no_ban_would_be_seen() -> None:
    outside = replace(h.HEALTHY, server=None, wanted=None, ssh=(), logins=(h.login("banned"),))
    assert h.ids(outside) == ["banned"]
    evidence = replace(h.HEALTHY, logins=(h.login("banned"),))
    assert "Nobody is banned" in judge(evidence).findings[0].message
    banned = h.with_server(evidence, iptables=(BAN,), client="198.51.100.7")
    assert h.ids(banned) == ["banned"]


def test_a_filter_that_closes_the_sound_with_the_server_is_one_finding_and_one_command() -> None:
    rules = ("-P INPUT DROP", "-A INPUT -p tcp --dport 5060 -j ACCEPT")
    (found,) = judge(h.with_ports(h.FILTERED, h.OPEN, h.with_server(iptables=rules))).findings
    assert (found.id, "the sound" in found.message) == ("host-firewall", True)
    assert "--dport 10000:20000" in found.next
    (found,) = judge(h.with_server(iptables=(*rules, *OPEN_UDP))).findings
    assert (found.id, "--dport 5060" in found.next) == ("no-sound", False)


def test_behind_a_nat_the_public_address_must_be_announced_and_known() -> None:
    evidence = replace(h.HEALTHY, target="203.0.113.7", reached_by=("203.0.113.7",), wanted=None)
    assert h.ids(evidence) == ["alias-missing", "no-sound", "call-drops"]
    text = (
        h.CONF.replace(
            "transports=sip:*:5060", f"transports=sip:203.0.113.7:5060;maddr={h.ADDRESS}"
        )
        .replace("aliases=", "aliases=203.0.113.7 ")
        .replace(
            "[module::MediaRelay]",
            "[module::MediaRelay]\nforce-public-ip-for-sdp-masquerading=true",
        )
    )
    assert h.ids(h.with_conf(text, evidence)) == []


# --- what is never said ----------------------------------------------------------------------------


def test_no_secret_is_in_a_report_whatever_is_wrong() -> None:
    users = (
        h.USERS
        + f"carol@{h.DOMAIN} clrtxt:Geheim-1;\ndave@{h.DOMAIN} md5:{'C3' * 16} clrtxt:Geh@im-2 ;\n"
    )
    conf = h.CONF + (
        "\n[module::Nonsense]\nredis-auth-password=Geheim-3\n"
        "soci-connection-string=db=x user=y password='Geheim-4'\n"
    )
    log = (
        "2023-11-14 23:00:00:001 flexisip-error- Authorization: Digest "
        f'username="alice", response="{"d4" * 16}", nonce="x"',
        "2023-11-14 23:00:00:002 flexisip-error- mysql://root:Geheim-5@localhost/db is odd",
    )
    evidence = h.with_server(
        users=File(users.encode()), conf=File(conf.encode()), log=log, journal=log
    )
    again = h.with_server(users=File(users.encode()), log=log)
    drifted = h.with_server(
        conf=File(h.CONF.encode() + b"\n[module::Registrar]\nredis-auth-password=Geheim-6\n")
    )
    said = "".join(
        str(report(one, 1.0).to_dict()) + str(judge(one)) for one in (evidence, again, drifted)
    )
    for secret in ("Geheim", "Geh@im", "c3c3", "C3C3", "d4d4", h.MD5, h.SHA256):
        assert secret not in said, secret
    assert "users-refused" in said
    assert "conf-refused" in said


def test_a_report_is_shown_without_the_accounts() -> None:
    assert h.MD5 not in repr(h.HEALTHY)


# --- the catalogue ---------------------------------------------------------------------------------


def test_the_catalogue_is_whole() -> None:
    assert len(BY_ID) == len(ROWS)
    for one in ROWS:
        assert one.how in HOWS, one.id
        assert all((one.symptom, one.test, one.cure, one.source)), one.id
        assert set(one.hides) <= set(BY_ID), one.id
        assert one.id not in one.hides


def test_every_id_that_the_judges_use_is_a_row_and_every_testable_row_is_used(
    project: Path,
) -> None:
    folder = project / "labtool" / "doctor" / "judges"
    source = "".join(file.read_text() for file in folder.glob("*.py"))
    used = set(re.findall(r"found\(\s*\"([a-z0-9-]+)\"", source))
    used |= {id for _, id, _ in LINES} | set(CALL_ROWS.values()) | {"login-failed", "call-failed"}
    assert used <= set(BY_ID)
    untestable = {one.id for one in ROWS if one.how == "ask"}
    assert set(BY_ID) - used == untestable


def test_every_row_is_in_the_documentation(project: Path) -> None:
    text = (project / "docs" / "doctor.md").read_text()
    rows = {one.id: f"| `{one.id}` | {one.symptom} | {one.how} | {one.cure} |\n" for one in ROWS}
    assert [id for id, line in rows.items() if line not in text] == []


def test_a_row_that_is_none_gets_a_hint() -> None:
    with pytest.raises(RequestError, match="Did you mean no-sound"):
        row("no-sond")


def test_the_log_of_a_healthy_server_is_noise(shared: Path) -> None:
    folder = shared / "data" / "flexisip"
    seen = 0
    for name in ("users-db-reload.txt", "dos-protection-2.5.2.txt"):
        for line in (folder / name).read_text(errors="replace").splitlines():
            if "flexisip-warning-" in line or ("flexisip-error-" in line and "Iptables" in line):
                seen += 1
                known = classify(line)
                assert known is not None, line
                assert known[0] == NOISE, line
    assert seen >= 5


# --- what is refused comes first, and nothing restarts on it ----------------------------------------


@pytest.mark.parametrize("wanted", [h.WANTED, None])
def test_a_refused_file_comes_first_and_nobody_is_told_to_restart_on_it(wanted: Any) -> None:
    ill = h.with_server(
        h.with_conf(h.CONF.replace("[global]", "[global]\ndebug=true")),
        unit={**DOWN, "Restart": "no", "UnitFileState": "disabled"},
    )
    findings = judge(replace(ill, wanted=wanted)).findings
    assert [one.id for one in findings] == ["conf-refused", "not-enabled", "no-restart"]
    assert "Right would be: log-level" in findings[0].evidence[0] or "already" in str(findings[0])
    mends = "labtool deploy" if wanted else "labtool lint --fix"
    assert mends in findings[0].next
    assert not any("systemctl restart" in one.next for one in findings)


def test_a_refused_line_of_the_users_file_is_shown_put_right_without_what_signs_in() -> None:
    text = f"version:1\nalice@{h.DOMAIN} md5:{h.MD5};\n"
    users = replace(h.SERVER.users, content=text.encode())  # type: ignore[type-var]
    first = judge(h.with_server(replace(h.HEALTHY, wanted=None), users=users)).findings[0]
    assert first.id == "users-refused"
    assert any("Right would be: alice@" in line for line in first.evidence)
    assert h.MD5 not in str(first)
    assert "labtool lint --fix" in first.next


def test_an_alias_that_the_lab_itself_leaves_out_is_not_cured_by_a_deployment_alone() -> None:
    conf = re.sub(r"(?m)^aliases=.*", "aliases=old.test", h.CONF)
    wanted = replace(h.WANTED, configuration=conf)
    evidence = replace(h.with_conf(conf), wanted=wanted)
    (found,) = [one for one in judge(evidence).findings if one.id == "alias-missing"]
    assert found.next.startswith(
        "in lab.yml, under flexisip_settings, global, write aliases: old.test"
    )
    assert h.DOMAIN in found.next
