"""A server as its lab wants it. Each test is a sentence about the host."""

from __future__ import annotations

import hashlib
import re

import pytest

from labtool import accounts, probe
from labtool.flexisip import users
from labtool.flexisip.findings import Refusal

# Lines that a healthy server writes (Flexisip tracker #2, #29): it has no domains to register
# elsewhere, and it clears an iptables chain that is not there yet.
NOISE = ("Cannot open domain registration configuration file", "IptablesExecutor")


def test_the_package_is_installed(host, wanted):
    package = host.package(wanted.package)
    assert package.is_installed
    assert wanted.release in package.version


@pytest.mark.parametrize("name", ["configuration", "users", "drop_in"])
def test_the_file_belongs_to_root_and_is_closed_to_others(host, wanted, name):
    expected = wanted.files[name]
    file = host.file(expected.path)
    assert file.exists
    assert (file.user, file.group, oct(file.mode)) == (
        expected.owner,
        expected.group,
        oct(expected.mode),
    )


@pytest.mark.parametrize("name", ["configuration", "drop_in"])
def test_the_file_is_what_the_lab_renders(host, wanted, name):
    expected = wanted.files[name]
    assert host.file(expected.path).content_string == expected.text


def test_the_users_are_those_of_the_lab(found, wanted):
    expected = wanted.files["users"]
    present = found.files.get(expected.path)
    digest = hashlib.sha256(expected.text.encode()).hexdigest()
    assert present is not None, f"{expected.path} is missing"
    assert present.sha256 == digest, f"{expected.path} differs from the lab: run labtool deploy"


def test_the_users_file_is_one_that_the_server_can_read(host, wanted):
    # Flexisip dies of a bad one at its next reading, so it is judged here by the same grammar.
    content = host.file(wanted.files["users"].path).content
    judged = users.parse(content, wanted.release)
    refusal = judged.text if isinstance(judged, Refusal) else None
    assert refusal is None


def test_the_service_is_enabled_and_runs(host, wanted):
    service = host.service(wanted.service)
    assert service.is_enabled
    assert service.is_running


def test_the_service_comes_back_when_it_exits(host, wanted):
    policy = host.check_output("systemctl show %s -p Restart --value", wanted.service)
    assert policy in ("always", "on-failure")


def test_the_server_runs_with_the_configuration_that_is_there(found, wanted):
    digest = hashlib.sha256(wanted.files["configuration"].text.encode()).hexdigest()
    assert found.started_with == digest, "started with another flexisip.conf: restart it"


def test_the_server_listens_on_every_transport(host, wanted):
    listening = host.socket.get_listening_sockets()
    for transport in wanted.transports:
        found = [
            one
            for one in listening
            if one.startswith(f"{transport}://") and one.endswith(f":{wanted.port}")
        ]
        assert found, f"nothing listens on {transport} port {wanted.port}; there is: {listening}"


def test_the_log_has_no_errors_since_the_start(host, wanted):
    lines = host.check_output(
        "journalctl --no-pager -o cat -u %s "
        "_SYSTEMD_INVOCATION_ID=$(systemctl show %s -p InvocationID --value)",
        wanted.service,
        wanted.service,
    ).splitlines()
    started = host.check_output(
        "date -d \"$(systemctl show %s -p ActiveEnterTimestamp --value)\" "
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
    assert errors == []


def test_every_transport_answers_and_lets_the_users_in(lab, target):
    for transport in lab.options["flexisip_transports"]:
        result = probe.options(target, transport)
        assert result.ok, result.verdict
        for account in lab.accounts[:2]:
            result = probe.register(
                target, transport, account.name, account.domain, accounts.secret(account)
            )
            assert result.ok, result.verdict
