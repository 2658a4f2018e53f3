"""What a host says of itself, and what follows from it."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool import expectation, inventory, state
from labtool.errors import LabtoolError
from labtool.state import Addresses, FileState, HostState

SAID = """\
id ubuntu\r
version_id 18.04\r
codename bionic\r
pretty_name Ubuntu 18.04.6 LTS\r
architecture amd64\r
uid 0\r
epoch 1700000000\r
python 3.6\r
python_apt yes\r
ca_certificates yes\r
systemd yes\r
disk_free_kb 5000000\r
package installed 2.5.2-1\r
file /etc/flexisip/flexisip.conf 0123abcd 640 root:root\r
file /etc/a file with blanks 4567 644 root:root\r
unit_LoadState loaded\r
unit_ActiveState active\r
unit_UnitFileState enabled\r
unit_NeedDaemonReload no\r
started_with 99ff\r
address 10.0.0.4\r
address 2001:db8::5\r
listening flexisip udp 0.0.0.0:5060 flexisip\r
listening other tcp [::]:5060 asterisk\r
"""

HEALTHY = HostState(
    id="ubuntu",
    version_id="22.04",
    pretty_name="Ubuntu 22.04",
    architecture="amd64",
    uid="0",
    systemd=True,
    disk_free_kb=5_000_000,
)


# --- reading what state.sh printed ------------------------------------------------------------


def test_what_a_host_says_is_read() -> None:
    read = state.parse(SAID)
    assert read == HostState(
        id="ubuntu",
        version_id="18.04",
        codename="bionic",
        pretty_name="Ubuntu 18.04.6 LTS",
        architecture="amd64",
        uid="0",
        epoch=1700000000,
        python="3.6",
        python_apt=True,
        ca_certificates=True,
        systemd=True,
        disk_free_kb=5000000,
        package="2.5.2-1",
        started_with="99ff",
        files={
            "/etc/flexisip/flexisip.conf": FileState("0123abcd", "640", "root:root"),
            "/etc/a file with blanks": FileState("4567", "644", "root:root"),
        },
        unit={
            "LoadState": "loaded",
            "ActiveState": "active",
            "UnitFileState": "enabled",
            "NeedDaemonReload": "no",
        },
        addresses=("10.0.0.4", "2001:db8::5"),
        listening=(
            ("flexisip", "udp", "0.0.0.0:5060", "flexisip"),
            ("other", "tcp", "[::]:5060", "asterisk"),
        ),
    )
    assert read.distribution == "ubuntu-18.04"


def test_a_package_that_is_only_half_there_is_none() -> None:
    for status in ("half-configured 2.5.2-1", "config-files 2.5.2-1", "unpacked 2.5.2-1", ""):
        assert state.parse(f"id debian\nuid 0\npackage {status}").package == ""


@pytest.mark.parametrize("text", ["", "Please login as the user ubuntu.", "id debian", "\x00\xff"])
def test_what_is_no_answer_of_a_shell_is_refused(text: str) -> None:
    with pytest.raises(LabtoolError, match="did not answer as a machine with a shell does"):
        state.parse(text)


KEYS = st.sampled_from(
    ["file", "unit_", "unit_x", "address", "listening", "epoch", "disk_free_kb", "package", "key"]
)


@given(st.lists(st.tuples(KEYS, st.text(max_size=30))))
def test_any_answer_is_read_without_a_crash_and_can_be_judged(lines: list[Any]) -> None:
    read = state.parse("\n".join(["id x", "uid 0", *(f"{key} {value}" for key, value in lines)]))
    state.preflight(read, 5060)
    state.addresses(read.addresses, "203.0.113.5")


# --- preflight --------------------------------------------------------------------------------


def test_nothing_stands_against_a_healthy_host() -> None:
    assert state.preflight(HEALTHY, 5060) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "centos", "pretty_name": "CentOS 7"}, "The host runs CentOS 7"),
        ({"uid": "1000"}, "do not run as root"),
        ({"systemd": False}, "does not run systemd"),
        ({"architecture": "arm64"}, "The host is arm64"),
        ({"architecture": ""}, "of an unknown architecture"),
        ({"disk_free_kb": 100_000}, "97 MB free under /var"),
        (
            {"listening": (("other", "udp", "0.0.0.0:5060", "asterisk"),)},
            "Port 5060 is taken on the host: udp 0.0.0.0:5060 by asterisk",
        ),
    ],
)
def test_what_stands_against_a_host_is_one_sentence_with_its_cure(
    change: dict[str, Any], words: str
) -> None:
    (problem,) = state.preflight(dataclasses.replace(HEALTHY, **change), 5060)
    assert words in problem


def test_a_server_that_runs_already_is_no_obstacle() -> None:
    running = dataclasses.replace(
        HEALTHY,
        package="2.5.2-1",
        disk_free_kb=1000,
        listening=(("flexisip", "udp", "0.0.0.0:5060", "flexisip"),),
    )
    assert state.preflight(running, 5060) == []


def test_a_package_at_hand_may_be_of_any_architecture() -> None:
    assert state.preflight(dataclasses.replace(HEALTHY, architecture="arm64"), 5060, "x.deb") == []


# --- what is to do ----------------------------------------------------------------------------


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_file_differs_by_its_content_its_mode_and_its_owner() -> None:
    def with_file(*found: str) -> HostState:
        return dataclasses.replace(HEALTHY, files={"/f": FileState(*found)})

    assert not state.differs(with_file(digest("text"), "640", "root:root"), "/f", "text", "640")
    assert state.differs(HEALTHY, "/f", "text", "640")
    assert state.differs(with_file(digest("other"), "640", "root:root"), "/f", "text", "640")
    assert state.differs(with_file(digest("text"), "644", "root:root"), "/f", "text", "640")
    assert state.differs(with_file(digest("text"), "640", "flexisip:root"), "/f", "text", "640")


def test_a_copied_file_is_known_by_its_content(tmp_path: Path) -> None:
    source = tmp_path / "package.deb"
    source.write_bytes(b"x" * 3_000_000)
    there = FileState(hashlib.sha256(source.read_bytes()).hexdigest(), "644", "root:root")
    with_copy = dataclasses.replace(HEALTHY, files={"/p": there})
    assert state.has_copy(with_copy, "/p", str(source))
    assert not state.has_copy(HEALTHY, "/p", str(source))
    source.write_bytes(b"y")
    assert not state.has_copy(with_copy, "/p", str(source))


SERVING: dict[str, Any] = {
    "unit": {"ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"},
    "started_with": digest("conf"),
}


@pytest.mark.parametrize(
    "change",
    [
        {"unit": {**SERVING["unit"], "ActiveState": "failed"}},
        {"unit": {**SERVING["unit"], "UnitFileState": "disabled"}},
        {"unit": {**SERVING["unit"], "NeedDaemonReload": "yes"}},
        {"unit": {}},
        {"started_with": digest("former")},
        {"started_with": ""},
    ],
)
def test_a_server_that_does_not_run_with_this_very_configuration_is_started(
    change: dict[str, Any],
) -> None:
    assert state.serves(dataclasses.replace(HEALTHY, **SERVING), "conf")
    assert not state.serves(dataclasses.replace(HEALTHY, **{**SERVING, **change}), "conf")


# --- by which addresses it is known -----------------------------------------------------------

OWN = ("10.0.0.4", "127.0.0.1", "2001:db8::4", "::1")


@pytest.mark.parametrize(
    ("reached_by", "public", "expected"),
    [
        # reached at its own address
        ("10.0.0.4", "", ("10.0.0.4", "")),
        ("2001:db8::4", "", ("2001:db8::4", "")),
        # in a cloud that translates it
        ("203.0.113.5", "", ("203.0.113.5", "10.0.0.4")),
        ("2001:db8:ffff::5", "", ("2001:db8:ffff::5", "2001:db8::4")),
        # as lab.yml says, whatever the way was
        ("10.0.0.4", "203.0.113.5", ("203.0.113.5", "10.0.0.4")),
        ("127.0.0.1", "203.0.113.5", ("203.0.113.5", "10.0.0.4")),
        ("", "203.0.113.5", ("203.0.113.5", "10.0.0.4")),
        ("203.0.113.5", "10.0.0.4", ("10.0.0.4", "")),
        # through a tunnel, or on this machine: nothing is said of where phones connect
        ("127.0.0.1", "", ("10.0.0.4", "")),
        ("::1", "", ("10.0.0.4", "")),
        ("fe80::1%eth0", "", ("10.0.0.4", "")),
        ("", "", ("10.0.0.4", "")),
    ],
)
def test_the_addresses_of_a_server(reached_by: str, public: str, expected: tuple[str, str]) -> None:
    found = state.addresses(OWN, reached_by, public)
    assert (found.public, found.private) == expected
    assert found.own == ("10.0.0.4", "2001:db8::4")


def test_a_server_with_ipv6_alone_is_known_by_it() -> None:
    assert state.addresses(("2001:db8::4",), "") == Addresses("2001:db8::4", "", ("2001:db8::4",))
    # IPv4 outside, IPv6 inside: a translation all the same.
    assert state.addresses(("2001:db8::4",), "203.0.113.5").private == "2001:db8::4"


def test_a_host_that_tells_no_address_is_known_by_the_one_it_is_reached_by() -> None:
    assert state.addresses((), "203.0.113.5") == Addresses("203.0.113.5", "", ())
    assert state.addresses((), "") == Addresses("", "", ())


# --- the script, on this machine --------------------------------------------------------------


@pytest.fixture
def script(lab: Path) -> str:
    return expectation.state_script(inventory.read(lab))


def run(script: str, **environment: str) -> str:
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    assert done.stderr == ""
    return done.stdout


def test_this_machine_can_be_asked(script: str) -> None:
    read = state.parse(run(script))
    assert read.id
    assert read.uid == str(os.geteuid())
    assert abs(read.epoch - time.time()) < 60
    for address in read.addresses:
        ip_address(address)


def test_the_script_says_who_listens_on_the_port(write_lab: Callable[..., inventory.Lab]) -> None:
    if shutil.which("ss") is None:
        pytest.skip("ss (iproute2) is not on this machine")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        lab = write_lab(options=f"flexisip_domain: a.test\nflexisip_port: {port}\n")
        read = state.parse(run(expectation.state_script(lab)))
    assert [row[:3] for row in read.listening] == [("other", "tcp", f"127.0.0.1:{port}")]


def test_a_machine_without_ip_is_asked_in_another_way(script: str, tmp_path: Path) -> None:
    """As one made by debootstrap is: no iproute2, but hostname."""
    for name, body in (("ip", "exit 127"), ("hostname", "echo '10.0.0.4 2001:db8::4 '")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    read = state.parse(run(script, PATH=f"{tmp_path}:{os.environ['PATH']}"))
    assert read.addresses == ("10.0.0.4", "2001:db8::4")


# --- the roles' filter ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filters(project: Path) -> dict[str, Callable[..., Any]]:
    file = project / "playbooks" / "filter_plugins" / "labtool.py"
    spec = importlib.util.spec_from_file_location("labtool_filters", file)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, Callable[..., Any]] = module.FilterModule().filters()
    return found


def test_the_filter_resolves_a_name(filters: dict[str, Callable[..., Any]]) -> None:
    found = filters["labtool_addresses"](["10.0.0.4"], "localhost", "")
    assert found == {"public": "10.0.0.4", "private": "", "own": ("10.0.0.4",)}


def test_a_name_that_only_ssh_knows_is_taken_as_ssh_takes_it(
    filters: dict[str, Callable[..., Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Host lab` with a HostName in ~/.ssh/config."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host lab.invalid\n  HostName 203.0.113.5\n")
    found = filters["labtool_addresses"](["10.0.0.4"], "lab.invalid", "")
    assert (found["public"], found["private"]) == ("203.0.113.5", "10.0.0.4")


@pytest.mark.parametrize("name", ["nowhere.invalid", "a" * 70 + ".test", "a..b"])
def test_a_name_that_nobody_knows_says_nothing(
    filters: dict[str, Callable[..., Any]], name: str
) -> None:
    assert filters["labtool_addresses"](["10.0.0.4"], name, "")["public"] == "10.0.0.4"


def test_the_preflight_refuses_a_setting_that_opens_the_server(
    filters: dict[str, Callable[..., Any]], write_lab: Callable[..., inventory.Lab]
) -> None:
    lab = write_lab(
        options="flexisip_domain: a.test\n"
        "flexisip_settings: {module::Authentication: {enabled: false}}\n"
    )
    given = {name.removeprefix("flexisip_"): value for name, value in lab.options.items()}
    given["users_file"] = "/etc/flexisip/users.db.txt"
    addresses = {"public": "192.0.2.1", "private": "", "own": ["192.0.2.1"]}
    wrong = filters["labtool_options_wrong"]
    (said,) = wrong(given, "2.5.2", addresses)
    assert "module::Authentication/enabled" in said
    assert "anybody can sign in as anybody" in said
    assert wrong({**given, "settings": {}}, "2.5.2", addresses) == []
