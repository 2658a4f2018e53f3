"""The server under test and the lab that says what it should be.

`labtool verify` runs this suite; so does

    LABTOOL_INVENTORY=inventory LABTOOL_HOST=203.0.113.5 \\
        pytest tests/testinfra --hosts=ssh://root@203.0.113.5

where the hashes of the lab's users stay on the controller: files that hold them are compared by
their digest, and no assertion prints them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labtool import inventory, proof, remote, state
from labtool.expectation import Expectation, expectation, state_script


@pytest.fixture(scope="session")
def lab() -> inventory.Lab:
    """The lab that LABTOOL_INVENTORY names."""
    return inventory.read(Path(os.environ.get("LABTOOL_INVENTORY", "inventory")))


@pytest.fixture(scope="session")
def machine(lab: inventory.Lab) -> inventory.Host:
    """The host of the lab that LABTOOL_HOST names."""
    return lab.host(os.environ.get("LABTOOL_HOST"))


@pytest.fixture(scope="module")
def found(host, lab: inventory.Lab) -> state.HostState:
    """What the host says of itself."""
    return state.parse(host.check_output(state_script(lab)))


@pytest.fixture(scope="module")
def wanted(lab: inventory.Lab, machine: inventory.Host, found: state.HostState) -> Expectation:
    """What the lab wants of it."""
    return expectation(lab, machine, found, remote.numeric)


@pytest.fixture(scope="module")
def target(lab: inventory.Lab, machine: inventory.Host, found: state.HostState) -> proof.Target:
    """Where phones reach it."""
    return proof.target(lab, machine, found)
