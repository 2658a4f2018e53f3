"""A change of users: who is asked before it, how long that takes, and what is told after it."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

from labtool import change, inventory, membership
from labtool.inventory import Account, Host, Lab
from labtool.probe.target import Target


def account(name: str, digit: str = "a") -> Account:
    return Account(name, "sip.example.test", {"md5": digit * 32})


def lab_of(path: Path, *hosts: str) -> Lab:
    found = inventory.read(path)
    for name in hosts:
        found = inventory.add_host(found, Host(name, name))
    return inventory.write_accounts(found, (account("alice"),))


def test_a_server_that_nobody_hears_costs_a_change_one_second(lab: Path) -> None:
    found = inventory.set_options(
        inventory.read(lab), {"flexisip_transports": ["udp", "tcp", "tls"]}
    )
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.socket(socket.AF_INET, kind))
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_STREAM)
        ]
        silent[0].bind(("127.0.0.1", 0))
        port = silent[0].getsockname()[1]
        silent[1].bind(("127.0.0.1", port))
        silent[2].bind(("127.0.0.1", 0))
        for one in silent[1:]:
            one.listen()
        target = Target("127.0.0.1", port, tls_port=silent[2].getsockname()[1])
        began = time.monotonic()
        who = (account("alice"), account("bob"))
        assert change.passing(found, target, who, timeout_s=1.0) == frozenset()
        assert time.monotonic() - began < 2.5


def test_one_whose_password_is_changed_or_who_is_removed_is_not_asked() -> None:
    alice, bob, carol = account("alice"), account("bob"), account("carol")
    assert membership._unaffected((alice, bob, carol), (account("alice", "b"), carol)) == (carol,)
    assert membership._unaffected((alice, bob, carol), (alice, bob, carol)) == (alice, bob)


def test_the_lab_keeps_what_a_host_has_taken_and_names_the_one_that_has_the_former_users(
    lab: Path,
) -> None:
    before = lab_of(lab, "192.0.2.1", "192.0.2.2", "192.0.2.3")
    after = inventory.write_accounts(before, (account("alice"), account("bob")))
    kept, said = membership._without(before, after, 1)
    assert [one.name for one in inventory.read(lab).accounts] == ["alice", "bob"]
    assert kept == after
    assert said == (
        "192.0.2.1 took the change, so users.yml keeps the new accounts; 192.0.2.2 and 192.0.2.3 have "
        "the former ones until you run: labtool deploy --host 192.0.2.2; labtool deploy --host "
        "192.0.2.3"
    )
    kept, said = membership._without(before, after, 0)
    assert [one.name for one in inventory.read(lab).accounts] == ["alice"]
    assert said == "users.yml is what it was. No other host was changed."
