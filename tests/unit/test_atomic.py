"""A file is the old one or the new one, never a half."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from labtool import atomic


def test_a_file_is_written_with_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o777)
    try:
        atomic.write(tmp_path / "file", "text ✓\n", mode=0o640)
    finally:
        os.umask(old)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "text ✓\n"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("why", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, why: BaseException
) -> None:
    file = tmp_path / "file"
    file.write_text("old")

    def interrupted(*_: Any) -> None:
        raise why

    owner: Any = os if step == "fsync" else Path
    monkeypatch.setattr(owner, step, interrupted)
    with pytest.raises(type(why)):
        atomic.write(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_device_or_a_pipe_is_written_to_and_stays_what_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        atomic.write(pipe, "text")
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_text_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        atomic.write(file, "new \udc80")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_reader_never_sees_the_new_file_wider_than_it_is_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    real = os.fchmod

    def watched(descriptor: int, mode: int) -> None:
        modes.append(os.fstat(descriptor).st_mode & 0o777)
        real(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", watched)
    atomic.write(tmp_path / "file", "text", mode=0o644)
    assert modes == [0o600]


def test_a_link_stays_a_link_and_its_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "lab.yml").write_text("old")
    (tmp_path / "lab.yml").symlink_to("real/lab.yml")
    atomic.write(tmp_path / "lab.yml", "new")
    assert (tmp_path / "lab.yml").is_symlink()
    assert (tmp_path / "real" / "lab.yml").read_text() == "new"
