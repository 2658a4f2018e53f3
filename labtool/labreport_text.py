"""Markdown whose values cannot become markup (CommonMark 0.31, and GitHub's tables and links)."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import jinja2

from labtool.trace.ladder import plain

_MARKUP = re.compile(r"[&<>|`*_\[\]\\~]|(?<=[A-Za-z]):(?=//)|(?<=www)\.")
# Within `...` nothing is markup but the backtick itself and, in a table, | and the \ before it.
# What looks like a tag is not left to how well a reader knows that.
_UNSAFE_CODE = re.compile(r"[`|\\]|<(?!sips?:|tel:|urn:)|\A\s*\Z")


class Raw(str):
    """Markdown that labtool itself wrote."""

    __slots__ = ()


def escaped(value: object) -> Raw:
    """A value as text: one line, every character that could be markup as an entity, which CommonMark
    never reads as markup.
    """
    return Raw(_MARKUP.sub(lambda found: f"&#{ord(found[0])};", plain(str(value))))


def code(value: object) -> Raw:
    """A value in backticks, or as `escaped` where it could end them; "–" for nothing."""
    text = plain(str(value))
    if not text.strip():
        return Raw("–")
    return escaped(text) if _UNSAFE_CODE.search(text) else Raw(f"`{text}`")


def fenced(text: str) -> Raw:
    """Lines as they are, in a fence longer than any in them."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Raw(f"{fence}text\n{text}\n{fence}")


def _finish(value: object) -> object:
    return value if isinstance(value, Raw) else escaped(value)


@cache
def environment() -> jinja2.Environment:
    """Templates of this package; every value that is not `Raw` is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # noqa: S701  `_finish` escapes for Markdown; HTML's would spoil it
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finish,
    )
    environment.filters["code"] = code
    environment.globals["raw"] = Raw  # for what a macro of these templates has made
    return environment
