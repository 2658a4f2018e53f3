"""Sentences about a capture before they are said in a language.

A phrase is a row of the tables of texts and what fills its places: values off the network, names, or
other phrases. Which language it is said in is decided where it is shown. What is said is not escaped
yet: whoever prints it makes it safe for the place where it is printed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from string import Formatter
from typing import Literal

from labtool.trace.findings import chinese, english
from labtool.trace.page_texts import TEXTS as WORDS

#: By the tag of BCP 47 that `--lang` takes.
_FINDINGS = {"en": english, "zh": chinese}
LANGUAGES = tuple(_FINDINGS)
_JOINTS = {
    "en": {"and": " and ", "list": ", ", "rows": "; ", "sentences": " "},
    "zh": {"and": " 和 ", "list": "、", "rows": "；", "sentences": ""},
}
How = Literal["and", "list", "rows", "sentences"]


@dataclass(frozen=True)
class Phrase:
    """`facts` fill the places of the text `id`."""

    id: str
    facts: tuple[tuple[str, object], ...] = ()

    def __str__(self) -> str:
        return said(self)


@dataclass(frozen=True)
class Joined:
    """Several values said one after the other, in the way of the language."""

    how: How
    parts: tuple[object, ...]

    def __str__(self) -> str:
        return said(self)


def phrase(id: str, **facts: object) -> Phrase:
    """The phrase of that row of the tables."""
    return Phrase(id, tuple(facts.items()))


def joined(how: How, parts: Iterable[object]) -> object:
    """Each different part once; a single one is itself."""
    found = tuple(dict.fromkeys(parts))
    return found[0] if len(found) == 1 else Joined(how, found)


@cache
def texts(language: str) -> dict[str, str]:
    """Every phrase: the words of the page, the phrases of findings, and of each finding `ID.title`,
    `ID.cause` and `ID.cure`.
    """
    table = _FINDINGS[language]
    found = {**WORDS[language], **table.PHRASES}
    for name, text in table.FINDINGS.items():
        found |= {f"{name}.{part}": getattr(text, part) for part in ("title", "cause", "cure")}
    return found


def said(value: object, language: str = "en") -> str:
    """A phrase, or any value, in that language."""
    if isinstance(value, Phrase):
        return fill(texts(language)[value.id], dict(value.facts), language)
    if isinstance(value, Joined):
        return _JOINTS[language][value.how].join(said(part, language) for part in value.parts)
    return str(value)


def fill(text: str, facts: Mapping[str, object], language: str) -> str:
    """`text` with its {places} filled. A server is "the server" there, and "The server" at the
    beginning; a space that sets a Latin word off from Chinese is left out where what comes in is
    Chinese.
    """
    facts = {name: _within(value) for name, value in facts.items()}
    if language == "en":
        filled = text.format_map({name: said(value) for name, value in facts.items()})
        return filled[0].upper() + filled[1:] if _is_led_by_server(text, facts) else filled
    found = ""
    after = False
    for literal, place, _, _ in Formatter().parse(text):
        if after and literal[:1] == " " and _wide(literal[1:2]):
            literal = literal[1:]
        found += literal
        if place is None:
            continue
        value = said(facts[place], language)
        if _wide(value[:1]) and found[-1:] == " " and _wide(found[-2:-1]):
            found = found[:-1]
        found += value
        after = _wide(value[-1:])
    return found


def _within(value: object) -> object:
    """What stands for a participant's name in a sentence."""
    if isinstance(value, Phrase) and value.id in ("server", "server_at"):
        return Phrase(f"the_{value.id}", value.facts)
    return value


def _is_led_by_server(text: str, facts: Mapping[str, object]) -> bool:
    first = facts.get(text[1 : text.find("}")]) if text[:1] == "{" else None
    return isinstance(first, Phrase) and first.id.startswith("the_server")


def _wide(character: str) -> bool:
    return bool(character) and unicodedata.east_asian_width(character) in "WF"
