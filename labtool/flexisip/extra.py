"""Extra settings of a lab, checked against the table before anything is sent anywhere.

A setting that the release does not know gets the sentence that Flexisip would have refused it
with, what was probably meant, and the release that has it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from labtool.errors import RequestError
from labtool.flexisip import conf
from labtool.flexisip.characters import name_of, shown
from labtool.flexisip.findings import Refusal
from labtool.flexisip.releases import LATEST, Version
from labtool.flexisip.settings import Schema, releases_of, schema, table


def checked(
    given: Mapping[str, Mapping[str, object]], release: str = LATEST
) -> dict[str, dict[str, str]]:
    """The settings by section and key as the release spells them, with values as text to write.

    Values may be text, numbers and booleans. Raises RequestError for a setting that the release
    does not know, and for a value that would be more than a value (a line break, a NUL, a
    template). Whether the release takes the values is seen when the whole is judged.
    """
    known = schema(release)
    result: dict[str, dict[str, str]] = {}
    wrong: list[str] = []
    for section, settings in given.items():
        _check_word("section", section)
        if not isinstance(settings, Mapping):
            raise RequestError(
                f"the extra settings of section {shown(section)} are not a list of keys and values"
            )
        for key, value in settings.items():
            _check_word("setting", key)
            setting = known.find(section, key)
            if setting is None:
                wrong.append(unknown(section, key, release))
                continue
            written = _text(f"{section}/{key}", value)
            place = result.setdefault(setting.section, {})
            if setting.key in place:
                raise RequestError(f"the extra setting {section}/{key} is given twice")
            place[setting.key] = written
    if wrong:
        raise RequestError("; ".join(wrong))
    return result


def nowhere(given: Mapping[str, Mapping[str, object]]) -> list[str]:
    """A sentence for each setting that no release ever had, whatever is installed."""
    known = schema()
    told = []
    for section, settings in given.items():
        for key in settings:
            if releases_of(section, key) is None:
                near = similar(section, key, known)
                meant = f"; {near} is probably meant" if near else ""
                told.append(f"no release of Flexisip has the setting {section}/{key}{meant}")
    return told


def unknown(section: str, key: str, release: str) -> str:
    """Why a release refuses a setting, in its words, and what to do instead."""
    known = schema(release)
    refusal = conf.read(f"[{section}]\n{key}=x\n", release)
    said = refusal.text.split("\n")[0] if isinstance(refusal, Refusal) else ""
    said = said.replace(" at line 2", "")
    sentence = f"Flexisip {release} does not know the extra setting {section}/{key}"
    hint = _meant(section, key, known) or _history(section, key)
    # Flexisip's own suggestion is often a stranger to what was meant: it comes last.
    return f"{sentence}{': ' if hint else ''}{hint} (Flexisip says: {said})"


def similar(section: str, key: str, known: Schema) -> str | None:
    """The setting (``section/key``) that was probably meant by one that does not exist."""
    name = known.section(section)
    if name is None:
        near = difflib.get_close_matches(section, list(known.sections), 1, 0.75)
        name = near[0] if near else None
    if name is not None:
        keys = [k for k, setting in known.sections[name].items() if setting.kind != "counter"]
        near = difflib.get_close_matches(key.lower().replace("_", "-"), keys, 1, 0.75)
        if near:
            return f"{name}/{near[0]}"
    elsewhere = [setting.name for setting in known if setting.key == key.lower()]
    return elsewhere[0] if len(elsewhere) == 1 else None


def successor(section: str, key: str, known: Schema) -> str | None:
    """The setting that took the place of a former one, if the release has it."""
    for row in table():
        if row.key == key.lower() and row.section.lower() == section.lower() and row.successor:
            there, _, name = row.successor.partition("/")
            return row.successor if known.find(there, name) else None
    return None


def _meant(section: str, key: str, known: Schema) -> str:
    instead = successor(section, key, known)
    if instead:
        return f"{instead} is its successor"
    near = similar(section, key, known)
    return f"did you mean {near}?" if near else ""


def lifetime(lives: tuple[Version, Version]) -> str:
    """From which release on a setting is there and when it went: ``it came with 2.4.0``."""
    first, last = lives
    came = f"it came with {'.'.join(map(str, first))}" if first >= (2, 0, 0) else ""
    gone = f"it went after {last[0]}.{last[1]}" if (2, 0, 0) <= last < (99, 0, 0) else ""
    if last < (2, 0, 0):
        gone = "it went with 2.0"
    return " and ".join(part for part in (came, gone) if part) or "it is not in every release"


def _history(section: str, key: str) -> str:
    lives = releases_of(section, key)
    return lifetime(lives) if lives else ""


def _check_word(what: str, text: object) -> None:
    if not isinstance(text, str) or not text:
        raise RequestError(f"the name of an extra {what} is not a text: {shown(str(text))}")
    for character in text:
        if not (character.isascii() and (character.isalnum() or character in "-:_")):
            raise RequestError(
                f"the extra {what} {shown(text)} has {name_of(character)} in its name; names are "
                "made of letters, digits, - and ::"
            )


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise RequestError(
            f"the extra setting {name} has a {type(value).__name__} as its value; write a text, a "
            "number, true or false (a list as one text, its words separated by spaces)"
        )
    for character in value:
        if ord(character) < 32 or ord(character) == 127 or 0xD800 <= ord(character) <= 0xDFFF:
            raise RequestError(f"the extra setting {name} has {name_of(character)} in its value")
    for mark in ("{{", "{%", "{#"):
        if mark in value:
            raise RequestError(
                f"the extra setting {name} has {mark} in its value, which Ansible would evaluate"
            )
    # An empty value is no value to Flexisip's reader, and the default holds; a space makes it one.
    return value.strip(" ") or " "
