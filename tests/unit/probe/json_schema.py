"""The JSON of `labtool probe` held against the tables that describe it in docs/probe.md."""

from __future__ import annotations

import re
from typing import Any

_TYPES = {"bool": bool, "int": int, "float": (int, float), "str": str}


def tables(page: str) -> dict[str, dict[str, str]]:
    """The rows (key: type) of the three tables of the page's section JSON, by what they describe:
    "whole", "result" and "step"."""
    section = page.partition("\n## JSON\n")[2].partition("\n## ")[0]
    found: dict[str, dict[str, str]] = {"whole": {}, "result": {}, "step": {}}
    name = "whole"
    for line in section.splitlines():
        if heading := re.fullmatch(r"A (result|step):", line):
            name = heading[1]
        elif row := re.match(r"\| `(\w+)` \| ([^|]+?) \|", line):
            found[name][row[1]] = row[2]
    return found


def check(value: Any, kind: str, schema: dict[str, dict[str, str]], path: str = "") -> None:
    """AssertionError names the first place where `value` is not what the tables say of `kind`."""
    if kind in schema:
        assert list(value) == list(schema[kind]), path
        for key, below in schema[kind].items():
            check(value[key], below, schema, f"{path}/{key}")
    elif kind.startswith("list of "):
        assert isinstance(value, list), path
        for number, each in enumerate(value):
            check(each, kind.removeprefix("list of "), schema, f"{path}/{number}")
    elif kind == "null or object":  # a cause
        if value is not None:
            assert list(value) == ["name", "exit_code", "explanation", "cure"], path
    elif kind == "object":  # facts
        for key, each in value.items():
            for one in each if isinstance(each, list) else [each]:
                assert one is None or isinstance(one, str | int | float), f"{path}/{key}: {one!r}"
    else:
        wanted: Any = _TYPES[kind]
        assert isinstance(value, wanted), f"{path}: {value!r} is not {kind}"
        assert kind == "bool" or not isinstance(value, bool), path
