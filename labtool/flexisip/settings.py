"""Every setting that Flexisip knows, by release: a table, read once when it is first needed.

``settings.tsv`` holds one row a setting, in the order in which Flexisip declares them (its own
suggestions depend on that order). Columns: section, key, type, default, first and last release
(empty: before 2.0, and still there; ``2.4.99`` is the last of 2.4), releases in between that lack
it, successor (``section/key``), release and date of its deprecation and the words printed then,
the optional part of Flexisip that has it (empty: all builds), and where the row comes from:
``dump`` (listed by a 2.3.4 or 2.5.2 binary), ``history`` (its declaration in the source, tag by
tag), ``source`` (counters and internal entries), ``assumed``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from labtool.flexisip.releases import LATEST, Version, version

# The optional parts that the project's own packages are built with (read in its CI files).
PACKAGED = frozenset({"soci", "presence", "conference", "b2bua", "oidc"})
_TABLE = Path(__file__).with_name("settings.tsv")


@dataclass(frozen=True)
class Setting:
    """One row. ``kind`` is boolean, integer, range, string, list, expression, size, a duration in
    its default unit (ms, s, min), or counter: a name that exists but that no file can set."""

    section: str
    key: str
    kind: str
    default: str
    first: Version
    last: Version
    absent: frozenset[Version]
    successor: str
    deprecated: str
    date: str
    advice: str
    feature: str
    source: str

    @property
    def name(self) -> str:
        return f"{self.section}/{self.key}"

    def exists_in(self, release: Version) -> bool:
        return self.first <= release <= self.last and release not in self.absent

    def is_deprecated_in(self, release: Version) -> bool:
        return bool(self.deprecated) and version(self.deprecated) <= release


@dataclass(frozen=True)
class Schema:
    """What one release knows: sections in order, and in each its settings in order, by key."""

    release: Version
    sections: Mapping[str, Mapping[str, Setting]]
    _folded: Mapping[str, str]

    def section(self, name: str) -> str | None:
        """The declared spelling of a section's name; the file may write it in any case."""
        return self._folded.get(name.lower())

    def find(self, section: str, key: str) -> Setting | None:
        """The setting that a file sets with ``key`` in ``section``, in any case; None if none."""
        known = self.section(section)
        setting = self.sections[known].get(key.lower()) if known else None
        return setting if setting is not None and setting.kind != "counter" else None

    def __iter__(self) -> Iterator[Setting]:
        for keys in self.sections.values():
            yield from (setting for setting in keys.values() if setting.kind != "counter")


@cache
def table() -> tuple[Setting, ...]:
    """All rows of all releases, in order of declaration."""
    rows = []
    # Through the loader, for inside a zipapp the table is no file of its own.
    loader: Any = globals()["__loader__"]
    for line in loader.get_data(str(_TABLE)).decode().splitlines()[1:]:
        section, key, kind, default, first, last, absent, *rest = line.split("\t")
        rows.append(
            Setting(
                section,
                key,
                kind,
                default,
                version(first) if first else (0, 0, 0),
                version(last) if last else (99, 0, 0),
                frozenset(version(word) for word in absent.split()),
                *rest,
            )
        )
    return tuple(rows)


@cache
def _schema(release: Version, features: frozenset[str]) -> Schema:
    sections: dict[str, dict[str, Setting]] = {}
    for setting in table():
        if setting.exists_in(release) and (not setting.feature or setting.feature in features):
            sections.setdefault(setting.section, {})[setting.key] = setting
    return Schema(release, sections, {name.lower(): name for name in sections})


def schema(release: str = LATEST, features: Collection[str] = PACKAGED) -> Schema:
    """What ``release`` knows if it is built with ``features``. Raises ValueError on no release."""
    return _schema(version(release), frozenset(features))


def releases_of(section: str, key: str) -> tuple[Version, Version] | None:
    """The first and the last release that know a setting, over all; None if none ever did."""
    rows = [s for s in table() if s.key == key.lower() and s.section.lower() == section.lower()]
    if not rows:
        return None
    return min(row.first for row in rows), max(row.last for row in rows)


def approximate(wrong: str, names: Collection[str]) -> str | None:
    """What Flexisip suggests for an unknown name: ``Did you mean '...'?``.

    The first declared name that contains all but two of the wrong name's characters, each looked
    for anywhere and counted as often as it is written. Hence ``debug`` -> ``default-servers``.
    Nothing for a name of less than three characters.
    """
    required = len(wrong.encode("utf-8", "surrogateescape")) - 2
    if required < 1:
        return None
    for name in names:
        if sum(character in name for character in wrong) >= required:
            return name
    return None
