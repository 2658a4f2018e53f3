"""Reading what server.sh prints, DNS answers, ports; and hiding what is secret."""

from __future__ import annotations

import base64
import gzip
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import healthy as h
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.doctor import examination, names, network
from labtool.doctor.finding import found, shown
from labtool.doctor.server import File, parse
from labtool.errors import LabtoolError
from labtool.probe.certificate import covers

PRINTED = """\
== machine
 id debian
 version_id 12
 codename bookworm
 architecture amd64
 uid 0
 epoch 1700000000
 vendor Alibaba Cloud
 systemd yes
 MemTotal 1000000 kB
 MemAvailable 500000 kB
== disks
 Filesystem 1024-blocks Used Available Capacity Mounted on
 /dev/vda1 20000000 1000 19999000 1% /
== addresses
 127.0.0.1
 192.0.2.5
 fe80::1
== package
 installed 2.5.2-1 amd64
== unit
 ActiveState=active
 Restart=always
== since
 1700000000 2023-11-14 22:13:20
== listening
 flexisip udp 192.0.2.5:5060 0 flexisip
 other tcp [::]:22 0 sshd
 other udp 0.0.0.0:bad 0 x
== conf
 stat 640 root:root 1699999999
 {conf}
== users_path
 /etc/flexisip/users.db.txt
== end
"""


def packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode())).decode()


def test_what_the_script_prints_is_read_back() -> None:
    server = parse(PRINTED.format(conf=packed("[global]\n")))
    assert (server.id, server.package, server.memory_free_kb) == ("debian", "2.5.2-1", 500000)
    assert server.vendor == "Alibaba Cloud"
    assert server.addresses == ("127.0.0.1", "192.0.2.5")
    assert [str(one) for one in server.listening] == [
        "udp 192.0.2.5:5060 (flexisip)",
        "tcp [::]:22 (sshd)",
    ]
    assert server.conf is not None
    assert server.conf.content == b"[global]\n"
    assert server.conf.modified == 1699999999
    assert server.since_text == "2023-11-14 22:13:20"
    assert server.users is None
    assert server.active


def test_output_that_is_cut_short_or_damaged_is_no_evidence() -> None:
    with pytest.raises(LabtoolError, match="did not answer"):
        parse(PRINTED.format(conf=packed("x")).partition("== end")[0])
    with pytest.raises(LabtoolError, match="come over whole"):
        parse(PRINTED.format(conf="AAAA"))


@given(st.text(" =abc\n01:[]udp", max_size=200))
def test_no_output_makes_the_reader_fail(text: str) -> None:
    parse(f"== machine\n{text}\n== end\n")


def test_the_script_runs_in_a_posix_shell_and_changes_nothing() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", examination.script()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    server = parse(done.stdout)
    assert server.epoch > 1_700_000_000
    assert server.disks


def test_nobody_is_signed_in_where_that_would_kill_the_server() -> None:
    assert examination.is_safe_to_sign_in(h.HEALTHY)
    assert examination.is_safe_to_sign_in(replace(h.HEALTHY, server=None))
    assert not examination.is_safe_to_sign_in(h.with_server(users=None))
    assert not examination.is_safe_to_sign_in(h.with_server(users=File(b"version:1\nbroken")))
    assert not examination.is_safe_to_sign_in(h.with_conf("[nonsense]\na=b\n"))


# --- DNS -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    priority: int
    weight: int
    port: int
    target: str


ZONE: dict[tuple[str, str], list[object]] = {
    ("example.cat", "A"): ["192.0.2.5"],
    ("_sip._udp.example.cat", "SRV"): [Record(1, 2, 5060, "a.example.cat.")],
    ("_sip._tcp.example.cat", "SRV"): [Record(0, 0, 0, ".")],
    ("a.example.cat", "A"): ["192.0.2.6"],
    ("a.example.cat", "AAAA"): ["2001:db8::6"],
}


def test_a_domains_records_and_the_addresses_of_its_targets_are_asked_for() -> None:
    found = names.look_up("example.cat", lambda name, kind: ZONE.get((name, kind), []))
    assert found.addresses == ("192.0.2.5", "192.0.2.6", "2001:db8::6")
    assert found.lines() == [
        "example.cat A 192.0.2.5",
        "_sip._udp SRV 1 2 5060 a.example.cat (192.0.2.6, 2001:db8::6)",
    ]


def test_name_servers_that_do_not_answer_are_no_missing_records() -> None:
    def silent(name: str, kind: str) -> list[object]:
        raise OSError("no answer")

    assert names.look_up("example.cat", silent).error == "no answer"


@pytest.fixture
def name_server() -> Iterator[tuple[str, int]]:
    """A real name server on loopback, with a small zone."""
    import dns.message
    import dns.rcode
    import dns.rrset

    zone = {
        ("example.cat.", "A"): "192.0.2.5",
        ("example.cat.", "NAPTR"): '10 10 "s" "SIP+D2U" "" _sip._udp.example.cat.',
        ("_sip._udp.example.cat.", "SRV"): "1 2 5060 a.example.cat.",
        ("a.example.cat.", "AAAA"): "2001:db8::6",
    }
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))

    def serve() -> None:
        while (received := sock.recvfrom(4096))[0] != b"stop":
            query = dns.message.from_wire(received[0])
            response = dns.message.make_response(query)
            question = query.question[0]
            name, kind = str(question.name), question.rdtype.name
            if (name, kind) in zone:
                record = dns.rrset.from_text(question.name, 60, "IN", kind, zone[name, kind])
                response.answer.append(record)
            elif not any(known == name for known, _ in zone):
                response.set_rcode(dns.rcode.NXDOMAIN)
            sock.sendto(response.to_wire(), received[1])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield sock.getsockname()
    sock.sendto(b"stop", sock.getsockname())
    thread.join(5)
    sock.close()


def test_a_real_name_server_is_asked(name_server: tuple[str, int]) -> None:
    found = names.look_up("example.cat", nameserver=name_server)
    assert found.error == ""
    assert found.lines() == [
        "example.cat A 192.0.2.5",
        "_sip._udp SRV 1 2 5060 a.example.cat (2001:db8::6)",
        "NAPTR SIP+D2U _sip._udp.example.cat",
    ]
    nothing = names.look_up("other.cat", nameserver=name_server)
    assert (nothing.error, nothing.lines()) == ("", [])


@pytest.mark.parametrize(
    ("name", "private"),
    [
        ("sip.example.test", True),
        ("phone.lan", True),
        ("bare", True),
        ("sip.example.org.", True),
        ("sip.debian.org", False),
        ("mytest", True),
        ("my.latest", False),
    ],
)
def test_names_that_no_public_dns_has_are_known(name: str, private: bool) -> None:
    assert names.is_private(name) is private


# --- ports -----------------------------------------------------------------------------------------


@pytest.fixture
def deaf() -> Iterator[int]:
    """A TCP port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def web() -> Iterator[int]:
    """A TCP port that speaks HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:
                    return
                with near:
                    if near.recv(4096):
                        near.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(2)


def test_the_states_of_a_port_are_told_apart(deaf: int, web: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    assert network.look("127.0.0.1", "tcp", closed).state == network.CLOSED
    assert network.look("127.0.0.1", "udp", closed).state == network.CLOSED
    assert network.look("127.0.0.1", "tcp", deaf, 0.4).state == network.SILENT
    assert network.look("127.0.0.1", "tcp", web, 0.6).state == network.NOT_SIP
    assert network.look("nowhere.invalid", "tcp", 5060, 0.5).state == network.UNKNOWN_NAME
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        port = mute.getsockname()[1]
        assert network.look("127.0.0.1", "udp", port, 0.4).state == network.FILTERED


# --- what is shown -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"alice@x md5:{'a1' * 16} ;",
        f'response="{"b2" * 32}"',
        "redis-auth-password=Secret",
        "soci-connection-string=db=mydb user=u password='Secret'",
        "alice@x clrtxt:Secret ;",
        "http://user:Secret@host/",
        'password: "Secret"',
    ],
)
def test_secrets_are_hidden(text: str) -> None:
    said = shown(text)
    assert "<hidden>" in said
    for secret in ("Secret", "a1a1", "b2b2"):
        assert secret not in said


@given(st.text(max_size=80))
def test_what_is_shown_is_fit_for_a_terminal(text: str) -> None:
    assert shown(text).isprintable() or not shown(text)


def test_evidence_has_an_end() -> None:
    assert len(found("noise", "x", "\n".join(map(str, range(500)))).evidence) == 9


@pytest.mark.parametrize(
    ("name", "wanted", "covered"),
    [
        ("sip.example.test", "SIP.example.test", True),
        ("*.example.test", "sip.example.test", True),
        ("*.example.test", "a.sip.example.test", False),
        ("*.test", "example.test", False),
        ("sip:sip.example.test", "sip.example.test", True),
        ("192.0.2.5", "192.0.2.5", True),
        ("other.test", "sip.example.test", False),
    ],
)
def test_a_certificates_name_covers_a_host_by_rfc_6125(
    name: str, wanted: str, covered: bool
) -> None:
    assert covers(name, wanted) is covered


def test_the_package_carries_the_script(project: Path) -> None:
    assert (project / "labtool" / "doctor" / "server.sh").is_file()
