"""What every test may ask for."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Started in the background of a script, this program and all its children would ignore Ctrl-C, which
# several tests send.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


PROJECT = Path(__file__).resolve().parent.parent

settings.register_profile(
    "labtool", max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("labtool")


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of this checkout."""
    return PROJECT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Recordings of real servers and calls, kept beside the project; never copied into it."""
    folder = PROJECT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("the recordings (../shared/data) are not beside this checkout")
    return folder
