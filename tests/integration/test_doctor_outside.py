"""The doctor with no lab and no SSH: a server as a phone meets it; and hosts that cannot be looked at."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labtool.cli import shared

from . import peers
from .certificates import Issuer
from .conftest import not_here
from .controller import DOMAIN
from .engine import Unavailable
from .name_server import NameServer
from .patient import WITH_TLS, Patient, caused, causes

UDP, TCP = "-p udp --dport 5060", "-p tcp --dport 5060"


def outside(patient: Patient, *arguments: str) -> dict[str, Any]:
    return patient.examined(*patient.outside(*arguments))


def password(patient: Patient, text: str = "") -> str:
    file = patient.controller.folder / "password-of-somebody"
    file.write_text((text or patient.passwords["alice"]) + "\n")
    return str(file)


# --- signing in ----------------------------------------------------------------------------------


def test_a_right_password_is_no_finding(patient: Patient) -> None:
    said = outside(
        patient, patient.host.address, "--user", "alice", "--domain", DOMAIN,
        "--password-file", password(patient),
    )  # fmt: skip
    assert said["findings"] == [], said["findings"]
    assert said["state"] == "serving"
    assert "slow-users" in said["not_checked"]


@pytest.mark.parametrize(
    ("expected", "user", "domain"),
    caused(
        (
            ("login-refused", "alice", DOMAIN),
            ("login-refused", "nobody", DOMAIN),
            ("wrong-domain", "alice", ""),
            ("wrong-domain", "alice", "other.example.test"),
        )
    ),
)
def test_a_refused_login_is_told_by_its_cause(
    patient: Patient, expected: str, user: str, domain: str
) -> None:
    said = outside(
        patient, patient.host.address, "--user", user,
        "--password-file", password(patient, "Not-The-Password-7"),
        "--domain", domain or patient.host.address,
    )  # fmt: skip
    patient.is_found(expected, said)
    assert said["state"] == "reachable, but refusing"
    assert "Not-The-Password" not in json.dumps(said)


@causes("open-server")
def test_a_server_that_asks_for_no_password_is_told(patient: Patient) -> None:
    off = r"/^\[module::Authentication\]/,/^cache-expire/ s/^enabled=true/enabled=false/"
    with patient.changed(off):
        said = outside(
            patient, patient.host.address, "--user", "alice", "--domain", DOMAIN,
            "--password-file", password(patient, "Not-The-Password-7"),
        )  # fmt: skip
    patient.is_found("open-server", said)


# --- ports ---------------------------------------------------------------------------------------


@causes("port-closed", "not-sip", "security-group")
def test_closed_filtered_and_foreign_ports_are_told_apart(patient: Patient) -> None:
    address = patient.host.address
    assert outside(patient, f"{address}:5099")["exit_code"] == 1
    patient.finds("port-closed", *patient.outside(f"{address}:5099"))
    patient.finds("not-sip", *patient.outside(f"{address}:22", "--transport", "tcp"))
    with patient.filtered(f"{TCP} -j DROP"):
        said = patient.finds("security-group", *patient.outside(address))
    states = {port["transport"]: port["state"] for port in said["ports"]}
    assert states == {"udp": "open", "tcp": "filtered"}


@contextlib.contextmanager
def web() -> Iterator[int]:
    """A web server."""
    handler = http.server.SimpleHTTPRequestHandler
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@causes("not-sip")
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_web_server_is_no_sip_server(patient: Patient, transport: str) -> None:
    with web() as port:
        patient.finds("not-sip", *patient.outside(f"127.0.0.1:{port}", "--transport", transport))


@causes("not-sip")
def test_tls_on_the_port_of_tcp_and_the_other_way_round_are_told(patient: Patient) -> None:
    address = patient.host.address
    said = patient.finds("not-sip", *patient.outside(f"{address}:5060", "--transport", "tls"))
    assert "without TLS" in said["findings"][0]["message"]
    certificate, key = Issuer().issues(DOMAIN, 300)
    with (
        patient.file("/etc/flexisip/a.crt", certificate),
        patient.file("/etc/flexisip/a.key", key, mode=0o600),
        patient.changed(WITH_TLS),
    ):
        said = patient.finds("not-sip", *patient.outside(f"{address}:5061", "--transport", "tcp"))
    assert "it speaks TLS" in said["findings"][0]["message"]


@causes("not-answering")
def test_a_port_that_takes_connections_and_says_nothing_is_told(patient: Patient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        said = patient.finds(
            "not-answering", *patient.outside(f"127.0.0.1:{port}", "--transport", "tcp")
        )
    assert said["state"] == "reachable, but no SIP answer comes"


# --- how a server is named -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", ["{own}", "sip:{own}", "sip:{own}:5060", "sip:alice@{own};transport=tcp", "{own}:5060"]
)
def test_a_server_is_named_by_address_or_uri(patient: Patient, form: str) -> None:
    said = outside(patient, form.format(own=patient.host.address))
    assert said["findings"] == []
    assert {port["state"] for port in said["ports"]} == {"open"}


@causes("name-unknown")
def test_a_name_without_an_address_is_told(patient: Patient) -> None:
    said = patient.finds("name-unknown", *patient.outside("nowhere.invalid"))
    assert said["exit_code"] == 3


def test_a_domain_with_service_records_only_is_found_by_them(
    patient: Patient, tmp_path: Path
) -> None:
    zone = {
        ("_sip._udp.somebody.net", "SRV"): "1 1 5060 pbx.somebody.net.",
        ("pbx.somebody.net", "A"): patient.host.address,
    }
    with NameServer(zone, tmp_path) as server:
        said = patient.read(*patient.doctor(
            "--json", *patient.outside("somebody.net"), before=server.before
        ))  # fmt: skip
    assert said["findings"] == [], said
    assert [(port["transport"], port["state"]) for port in said["ports"]] == [("udp", "open")]


def test_a_server_on_ipv6_is_named_in_brackets(patient: Patient) -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
            port = listener.getsockname()[1]
    except OSError:
        pytest.skip("this machine has no IPv6")
    said = outside(patient, f"[::1]:{port}", "--transport", "tcp")
    patient.is_found("port-closed", said)


# --- a server of another make --------------------------------------------------------------------


@pytest.fixture(scope="module")
def kamailio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Kamailio]:
    try:
        peers.need("kamailio")
    except Unavailable as why:
        not_here(why)
    with peers.Kamailio(tmp_path_factory.mktemp("kamailio") / "server") as server:
        yield server


def test_a_kamailio_in_good_health_has_no_finding_and_a_wrong_password_there_is_told(
    patient: Patient, kamailio: peers.Kamailio
) -> None:
    target = (f"127.0.0.1:{kamailio.port}", "--user", "alice", "--domain", peers.DOMAIN)
    right = password(patient, peers.PASSWORDS["alice"])
    said = outside(patient, *target, "--password-file", right)
    assert said["findings"] == [], said["findings"]
    wrong = password(patient, "Not-The-Password-7")
    patient.is_found("login-refused", outside(patient, *target, "--password-file", wrong))


# --- hosts that cannot be looked at from inside -------------------------------------------------


def test_a_host_without_ssh_is_exit_3_with_what_can_be_seen_from_outside(patient: Patient) -> None:
    no_ssh = "-p tcp --dport 22 -j REJECT --reject-with tcp-reset"
    with patient.filtered(no_ssh):
        said = patient.examined()
    assert said["exit_code"] == 3
    assert "no SSH server listens" in said["unreachable"]
    assert said["state"] == "serving"
    assert said["findings"] == []
    with patient.stopped(), patient.filtered(no_ssh):
        said = patient.finds("port-closed")
    assert said["exit_code"] == 3


def test_a_key_that_the_host_does_not_know_is_exit_3(patient: Patient, tmp_path: Path) -> None:
    from .container import KeyPair

    other = KeyPair.generate().write(tmp_path / "other")
    place = ("-i", str(tmp_path / "none"), "--host", f"root@{patient.host.address}")
    said = patient.examined(*place, "--identity", str(other))
    assert said["exit_code"] == 3
    assert "refused the login" in said["unreachable"] or "key" in said["unreachable"]
    assert said["state"] == "serving"


@pytest.mark.parametrize("sudo", [True, False])
def test_a_login_that_may_become_root_is_as_good_as_root(patient: Patient, sudo: bool) -> None:
    name = f"person{int(sudo)}"
    patient.host.add_user(name, sudo=sudo)
    place = ["-i", str(patient.controller.folder / "elsewhere")]
    place += ["--host", f"{name}@{patient.host.address}"]
    place += ["--identity", str(patient.controller.identity)]
    said = patient.examined(*place)
    assert said["findings"] == [], said["findings"]
    assert said["exit_code"] == (0 if sudo else 3)
    if not sudo:
        assert "(sudo)" in said["unreachable"]
        return
    with patient.stopped():
        said = patient.finds("not-running", *place)
    assert "'sudo sh -c " in said["findings"][0]["next"]


@pytest.mark.parametrize(("given", "code"), [("right-9", 0), ("wrong-9", 3)])
def test_a_sudo_that_asks_for_a_password_gets_the_one_that_was_asked_for(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, given: str, code: int
) -> None:
    name = f"asked{code}"
    patient.host.add_user(name, password="right-9", sudo=False)
    patient.host.write(f"/etc/sudoers.d/{name}", f"{name} ALL=(ALL) ALL\n", mode=0o440)
    monkeypatch.setattr(shared, "ask_secret", lambda what, instead: given)
    said = patient.examined(
        "-i", str(patient.controller.folder / "elsewhere"), "--ask-become-password",
        "--host", f"{name}@{patient.host.address}", "--identity", str(patient.controller.identity),
    )  # fmt: skip
    assert (said["exit_code"], said["findings"]) == (code, []), said
    assert ("sudo refuses" in said["unreachable"]) is (code == 3)


def test_an_ssh_server_that_hangs_holds_nobody_up(patient: Patient) -> None:
    listener = patient.host.shell("systemctl show ssh -p MainPID --value").stdout.strip()
    patient.host.run("kill", "-STOP", listener)
    try:
        said = patient.examined()
    finally:
        patient.host.run("kill", "-CONT", listener)
    assert said["exit_code"] == 3
    assert said["unreachable"]
    assert said["state"] == "serving"
    assert said["seconds"] < 25


def test_a_host_that_is_no_machine_with_a_shell_is_told_in_a_sentence(patient: Patient) -> None:
    # Such as a router or a switch, which answers every command in its own way.
    patient.host.add_user("router")
    patient.host.write("/bin/menu", "#!/bin/sh\necho '% Invalid input detected'\n", mode=0o755)
    patient.host.run("usermod", "-s", "/bin/menu", "router")
    code, out, error = patient.doctor(
        "-i", str(patient.controller.folder / "elsewhere"),
        "--host", f"router@{patient.host.address}", "--identity", str(patient.controller.identity),
    )  # fmt: skip
    assert code == 1
    assert "did not answer as a machine with a shell does" in out + error
    assert "Traceback" not in out + error
