"""The recordings of real servers, read: see the README beside them."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RELEASES = ("2.3.4", "2.5.2")


def truth(shared: Path, kind: str) -> list[dict[str, Any]]:
    """The generated files of one kind (users, conf), with what the server did on each."""
    lines = (shared / "data/flexisip/truth.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row for row in rows if row["kind"] == kind]


@dataclass(frozen=True)
class Case:
    label: str
    starts: bool
    returncode: int | None
    log: str
    content: str


def cases(shared: Path, name: str) -> list[Case]:
    """The hand-made cases of one recording. ``content`` is the file, where it holds the file."""
    text = (shared / "data/flexisip" / name).read_text(encoding="utf-8")
    result = []
    for block in re.split(r"^== ", text, flags=re.MULTILINE)[1:]:
        label = block.split("\n", 1)[0]
        state = re.search(r"^   (STARTED|REFUSED)(?: rc=(-?\d+))?", block, re.MULTILINE)
        assert state is not None, label
        log = re.search(r"^   log: (.*?)(?=^   \$|\Z)", block, re.MULTILINE | re.DOTALL)
        file = re.search(r"^   file: (.*)$", block, re.MULTILINE)
        inline = re.search(r"   file: (.*)$", label)
        content = ""
        if file:
            content = ast.literal_eval(file.group(1))
        elif inline:
            content = f"version:1\n{inline.group(1)}\n"
        result.append(
            Case(
                label,
                state.group(1) == "STARTED",
                int(state.group(2)) if state.group(2) else None,
                log.group(1) if log else "",
                content,
            )
        )
    return result
