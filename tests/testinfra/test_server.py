"""A server as its lab wants it. Each test is a sentence about the host."""

from __future__ import annotations

import difflib
import hashlib
import re

import pytest

from labtool import probe, proof
from labtool.flexisip import users

# Lines that a healthy server writes (Flexisip tracker #2, #29): it has no domains to register
# elsewhere, and it clears an iptables chain that is not there yet.
NOISE = ("Cannot open domain registration configuration file", "IptablesExecutor")


def test_the_package_is_installed(host, wanted):
    package = host.package(wanted.package)
    assert package.is_installed, f"{wanted.package} is not installed: run labtool deploy"
    assert wanted.release in package.version, f"it is {package.version}, not {wanted.release}"


@pytest.mark.parametrize("name", ["configuration", "users", "drop_in"])
def test_the_file_belongs_to_root_and_is_closed_to_others(host, wanted, name):
    expected = wanted.files[name]
    file = host.file(expected.path)
    assert file.exists, f"{expected.path} is missing: run labtool deploy"
    found = f"{file.user}:{file.group} {file.mode:o}"
    right = f"{expected.owner}:{expected.group} {expected.mode:o}"
    assert found == right, f"{expected.path} is {found}, not {right}: run labtool deploy"


@pytest.mark.parametrize("name", ["configuration", "drop_in"])
def test_the_file_is_what_the_lab_renders(host, wanted, name):
    expected = wanted.files[name]
    found = host.file(expected.path).content_string
    lines = difflib.unified_diff(
        found.splitlines(),
        expected.text.splitlines(),
        "on the host",
        "in the lab",
        lineterm="",
        n=0,
    )
    told = "\n".join(lines)
    assert found == expected.text, f"{expected.path} differs: run labtool deploy\n{told}"


def test_the_users_are_those_of_the_lab(found, wanted):
    expected = wanted.files["users"]
    present = found.files.get(expected.path)
    digest = hashlib.sha256(expected.text.encode()).hexdigest()
    assert present is not None, f"{expected.path} is missing"
    assert present.sha256 == digest, f"{expected.path} differs from the lab: run labtool deploy"


def test_the_users_file_is_one_that_the_server_can_read(host, wanted, lab):
    # Flexisip dies of a bad one at its next reading, so it is judged here by the same grammar.
    content = host.file(wanted.files["users"].path).content
    refusal = users.refusal(content, wanted.release, auth_domains=[lab.domain])
    assert refusal is None, f"Flexisip would stop at its next reading: {refusal and refusal.text}"


def test_the_service_is_enabled_and_runs(host, wanted):
    service = host.service(wanted.service)
    assert service.is_running, f"{wanted.service} does not run: journalctl -u {wanted.service}"
    assert service.is_enabled, f"{wanted.service} is not started at boot: run labtool deploy"


def test_the_service_comes_back_when_it_exits(host, wanted):
    policy = host.check_output("systemctl show %s -p Restart --value", wanted.service)
    assert policy in ("always", "on-failure"), f"Restart={policy}: run labtool deploy"


def test_the_server_runs_with_the_configuration_that_is_there(found, wanted):
    digest = hashlib.sha256(wanted.files["configuration"].text.encode()).hexdigest()
    assert found.unit.get("ActiveState") == "active", "the server does not run"
    assert found.started_with == digest, "started with another flexisip.conf: restart it"


def test_the_certificate_and_its_key_are_those_of_the_lab(found, wanted):
    for name in ("certificate.pem", "key.pem", "agent.pem", "cafile.pem"):
        if (expected := wanted.files.get(name)) is None:
            continue
        present = found.files.get(expected.path)
        assert present is not None, f"{expected.path} is missing: run labtool deploy"
        digest = hashlib.sha256(expected.text.encode()).hexdigest()
        assert present.sha256 == digest, f"{expected.path} is another: run labtool deploy"
        right = f"root:root {expected.mode:o}"
        assert f"{present.owner} {present.mode}" == right, f"{expected.path} is not {right}"


def test_the_server_listens_on_every_transport(host, wanted):
    listening = host.socket.get_listening_sockets()
    for transport in wanted.transports:
        kind, port = ("tcp", wanted.tls_port) if transport == "tls" else (transport, wanted.port)
        found = [
            one for one in listening if one.startswith(f"{kind}://") and one.endswith(f":{port}")
        ]
        assert found, f"nothing listens on {transport} port {port}"


def test_the_log_has_no_errors_since_the_start(host, wanted):
    lines = host.check_output(
        "journalctl --no-pager -o cat -u %s "
        "_SYSTEMD_INVOCATION_ID=$(systemctl show %s -p InvocationID --value)",
        wanted.service,
        wanted.service,
    ).splitlines()
    started = host.check_output(
        'date -d "$(systemctl show %s -p ActiveEnterTimestamp --value)" '
        "'+%%Y-%%m-%%d %%H:%%M:%%S'",
        wanted.service,
    )
    log = host.file(wanted.log)
    if log.exists:
        lines += [
            line
            for line in host.check_output("tail -n 1000 %s", wanted.log).splitlines()
            if re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", line) and line[:19] >= started
        ]
    errors = [
        line
        for line in lines
        if re.search(r"-(error|fatal)-|\bflexisip.*\berror\b", line)
        and not any(noise in line for noise in NOISE)
    ]
    assert not errors, "the log has errors since the start:\n" + "\n".join(errors[-8:])


def test_every_transport_answers_and_lets_the_users_in(lab, target):
    for transport in lab.options["flexisip_transports"]:
        _holds(probe.options(target, transport, tls=proof.trust(lab)))
        for account in lab.accounts[:2]:
            _holds(proof.signing_in(lab, target, account, transport))


def _holds(result: probe.Result) -> None:
    cure = f"\n{result.cause.explanation}\nCure: {result.cause.cure}" if result.cause else ""
    assert result.ok, result.verdict + cure
