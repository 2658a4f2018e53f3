"""Whether what is said in Chinese is Chinese."""

from __future__ import annotations

import re

from labtool.trace.analysis import Analysis

#: Three words of English one after the other: more than a reason phrase or a name has in small letters.
_ENGLISH = re.compile(r"\b[a-z]{2,} [a-z]+ [a-z]{2,}\b")


def english_in(text: str) -> list[str]:
    """The English sentences in a text."""
    return _ENGLISH.findall(text)


def findings_are_chinese(analysis: Analysis) -> Analysis:
    """The same analysis, after each of its findings was said in Chinese and in English."""
    for one in analysis.findings:
        for part in vars(one.text("zh")).values():
            assert re.search("[\u4e00-\u9fff]", part), part
            if one.id != "sip-alg":  # shows what was changed, word for word
                assert not english_in(part), part
            assert not re.search("[\u4e00-\u9fff] [\u4e00-\u9fff，。：；]|[ ,;:]，", part), part
        for part in vars(one.text("en")).values():
            assert not re.search("[\u3000-\u9fff\uff00-\uffef]", part), part
    return analysis
