"""Remarks said in a language, and where the rule behind one is written."""

from __future__ import annotations

from labtool.trace.explain.chinese import TEXTS as CHINESE
from labtool.trace.explain.english import TEXTS as ENGLISH
from labtool.trace.explain.remark import Remark
from labtool.trace.explain.sources import SOURCES
from labtool.trace.ladder import plain
from labtool.trace.phrase import fill

#: The languages, by the tag of BCP 47 that `--lang` takes.
LANGUAGES = {"en": ENGLISH, "zh": CHINESE}


def render(remark: Remark, language: str = "en") -> str:
    """The sentence, safe to print."""
    return plain(fill(LANGUAGES[language][remark.id], remark.facts, language))


def source(remark: Remark) -> str:
    """`RFC 3261 8.1.1.7`; "" where no RFC is behind it."""
    return SOURCES[remark.id]
