"""What the tests of labtool's own modules share: a lab on disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from labtool import inventory
from labtool.inventory import Lab

NOBODY = 65534


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A new lab for sip.example.test, as `labtool init` writes it."""
    path = tmp_path / "inventory"
    inventory.initialise(path, domain="sip.example.test")
    return path


@pytest.fixture
def write_lab(lab: Path) -> Callable[..., Lab]:
    """Overwrite the lab's files with these texts, and read it."""

    def write(*, hosts: str | None = None, options: str | None = None, users: str | None = None):
        for file, text in (
            (inventory.hosts_file(lab), hosts),
            (inventory.lab_file(lab), options),
            (inventory.users_file(lab), users),
        ):
            if text is not None:
                file.write_text(text, encoding="utf-8")
        return inventory.read(lab)

    return write


@pytest.fixture
def as_nobody() -> Iterator[Callable[[], AbstractContextManager[Path]]]:
    """A block that runs without root's rights; gives a folder that nobody may enter."""
    with tempfile.TemporaryDirectory(prefix="labtool-test-") as folder:
        Path(folder).chmod(0o755)

        @contextmanager
        def block() -> Iterator[Path]:
            root = os.geteuid() == 0
            if root:
                os.chown(folder, NOBODY, -1)
                os.seteuid(NOBODY)
            try:
                yield Path(folder)
            finally:
                if root:
                    os.seteuid(0)

        yield block
        for path in Path(folder).rglob("*"):
            if path.is_dir():
                path.chmod(0o700)
