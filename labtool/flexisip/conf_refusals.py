"""What in a flexisip.conf keeps the server from starting: every reason, with its cure.

The server names the first and stops; here all stages of its start are gone through.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator

from labtool.flexisip import extra
from labtool.flexisip.conffile import Item, without_comment
from labtool.flexisip.findings import Finding, Severity
from labtool.flexisip.settings import Setting, releases_of
from labtool.flexisip.startup import LOG_LEVELS, Judgement, Problem

_YES = ("yes", "on", "true", "enabled", "enable", "y", "1")
_NO = ("no", "off", "false", "disabled", "disable", "n", "0")


def findings(judged: Judgement) -> Iterator[Finding]:
    """A finding for each reason not to start, and for each duplicate (ignored up to 2.3)."""
    yield from _duplicates(judged)
    yield from _not_booleans(judged)
    yield from _unknown(judged)
    yield from _other_refusals(judged)


def _duplicates(judged: Judgement) -> Iterator[Finding]:
    for first, second in judged.duplicates:
        name = f"{first.section}/{first.key}"
        if judged.reworded:
            text = f'Configuration file parsing error: key "{second.key}" has several entrances.'
            yield Finding(
                first.line,
                Severity.REFUSES,
                f"{first.key} stands again in line {second.line}; one of the two must go, and up "
                "to Flexisip 2.3 the last one counted.",
                text,
                "",
                name,
            )
        else:
            why = f"{first.key} stands again in line {second.line}; that one counts."
            yield Finding(first.line, Severity.IGNORED, why, "", "", name)


def _not_booleans(judged: Judgement) -> Iterator[Finding]:
    for problem in judged.booleans():
        item = _item(judged, problem)
        value = without_comment(item.value).strip(" \t\r=\\;").lower()
        right = "true" if value in _YES else "false" if value in _NO else None
        if item.value.endswith("\r"):
            why = "The line ends with a carriage return (CRLF), which becomes part of the value."
        elif right is not None and without_comment(item.value) != item.value:
            why = "A comment behind a value becomes part of it; it needs a line of its own."
        else:
            why = f"{item.key} takes true or false (or 1 or 0), in lower case."
        fix = None if right is None else f"{item.key}={right}"
        yield Finding(item.line, Severity.REFUSES, why, problem.text, fix, problem.key)


def _unknown(judged: Judgement) -> Iterator[Finding]:
    taken = {(section, key) for section, key in judged.conf.items}
    by_line = {item.line: item for item in judged.unknown}
    for problem in judged.unread():
        section, _, key = problem.key.rpartition("/")
        item = by_line[problem.line or 0]
        why, fix = _unknown_cure(judged, item, taken)
        yield Finding(item.line, Severity.REFUSES, why, problem.text, fix, f"{section}/{key}")


def _unknown_cure(
    judged: Judgement, item: Item, taken: Collection[tuple[str, str]]
) -> tuple[str, str | None]:
    out = f"# {item.key}={item.value.strip()}"
    if item.key.startswith((";", "//")):
        return "Only # begins a comment; this line is read as a setting.", out
    if item.section.lower() == "global" and item.key.lower() == "debug":
        # The recipe of 2020: the one that started this project.
        why = "debug is gone since Flexisip 2.0; log-level=debug is its successor."
        on = item.value.strip().lower() in _YES
        if ("global", "log-level") in taken:
            return why + " There is a log-level already.", ""
        return why, "log-level=debug" if on else ""
    if judged.schema.section(item.section) is None:
        near = extra.similar(item.section, item.key, judged.schema)
        if near and near.rpartition("/")[0].lower() != item.section.lower():
            section = near.rpartition("/")[0]
            return f"There is no section [{item.section}]; [{section}] is probably meant.", None
        lives = releases_of(item.section, item.key)
        when = f" ({extra.lifetime(lives)})" if lives else ""
        return f"Flexisip {judged.release} has no section [{item.section}]{when}.", out
    instead = extra.successor(item.section, item.key, judged.schema)
    if instead:
        section, _, key = instead.rpartition("/")
        why = f"{item.key} is not in Flexisip {judged.release}; its successor is {key}."
        if (section, key) in taken:
            return why + " That one is set already.", out
        return why, f"{key}={item.value.strip()}" if "-min" not in item.key else out
    lives = releases_of(item.section, item.key)
    if lives is not None:
        return (
            f"{item.key} is not in Flexisip {judged.release}: {extra.lifetime(lives)}.",
            out,
        )
    near = extra.similar(item.section, item.key, judged.schema)
    if near is None:
        return f"{item.key} is not a setting of [{item.section}], in no release.", out
    section, _, key = near.rpartition("/")
    if section.lower() != item.section.lower():
        return f"{item.key} is a setting of [{section}], not of [{item.section}].", out
    if (section, key) in taken:
        return f"There is no {item.key}; {key} is meant, which is set already.", out
    return f"There is no {item.key}; {key} is meant.", f"{key}={item.value.strip()}"


def _other_refusals(judged: Judgement) -> Iterator[Finding]:
    for problems in judged.later_stages():
        for problem in problems:
            why, fix = _cure(judged, problem)
            yield Finding(problem.line, Severity.REFUSES, why, problem.text, fix, problem.key)


# How to put right what a stage of the start refuses, by the setting that it blames.
_CURES = {
    "global/log-level": "The levels are debug, message, warning and error.",
    "global/syslog-level": "The levels are debug, message, warning and error.",
    "global/contextual-log-level": "The levels are debug, message, warning and error.",
    "global/sofia-level": "With log-level=debug it takes 1 to 9.",
    "global/max-log-size": "logrotate takes care of the log; take the setting out.",
    "global/log-directory": "No folder can be made there.",
    "global/plugins": "The plugin is not installed; take it out of the list.",
    "global/transports": "A transport is sip:ADDRESS:PORT or sips:ADDRESS:PORT; * is all.",
    "global/tls-certificates-file": "Certificate and key are set together, or neither.",
    "global/tls-certificates-private-key": "Certificate and key are set together, or neither.",
    "module::Registrar/db-implementation": "It takes internal or redis.",
    "module::Authentication/db-implementation": "It takes file, soci or fixed.",
    "module::Authentication/available-algorithms": "It takes MD5 and SHA-256, so written.",
    "module::Authentication/realm-regex": "realm and realm-regex exclude each other.",
    "module::Authentication/file-path": "It names the users file, which must be there.",
    "module::NatHelper/nat-traversal-strategy": "It takes contact-correction or flow-token.",
    "module::AuthTrustedHosts/enabled": "It works with [module::Authorization] only.",
    "module::MediaRelay/sdp-port-range": "The first port must be below the last.",
    "monitor/enabled": "The monitor is gone, and it aborts the server.",
}
_WORDS = {
    "module::Registrar/db-implementation": ("internal", "redis"),
    "module::Authentication/db-implementation": ("file", "soci", "fixed"),
    "module::NatHelper/nat-traversal-strategy": ("contact-correction", "flow-token"),
}
_VALUES = {
    "global/log-level": {"info": "message", "verbose": "debug", "warn": "warning"},
    "module::Authentication/available-algorithms": {
        "MD5": "MD5",
        "SHA256": "SHA-256",
        "SHA-256": "SHA-256",
    },
}


def _cure(judged: Judgement, problem: Problem) -> tuple[str, str | None]:
    why = _CURES.get(problem.key)
    item = _item(judged, problem) if problem.line else None
    if why is None:
        section, _, key = problem.key.rpartition("/")
        setting = judged.schema.find(section, key)
        why = f"{key} has a value that cannot be read"
        if setting is not None and setting.kind == "expression":
            return f"{why}: it is no filter expression.", None
        if setting is not None and setting.kind in ("ms", "s", "min"):
            why += "; it is a number, with ms, s, min, h, d, m or y behind it, or nothing"
        elif setting is not None and setting.kind == "integer":
            why += "; it is a number"
        right = _number(item.value, setting) if item and setting else ""
        return f"{why}.", f"{key}={right}" if right else None
    if item is None:
        # The place that everybody's instructions name, and labtool's own.
        users = problem.key == "module::Authentication/file-path"
        return why, "file-path=/etc/flexisip/users.db.txt" if users else None
    clean = without_comment(item.value).strip(" \t\r\\\"'")
    if problem.key in (
        "global/max-log-size",
        "monitor/enabled",
        "module::AuthTrustedHosts/enabled",
    ):
        return why, f"# {item.key}={item.value.strip()}"
    if problem.key == "global/transports":
        if "transport=tls" in clean.lower():
            fixed = re.sub(r"(?i)\bsip:(\S*?);transport=tls", r"sips:\1", clean)
            return "For TLS the scheme is sips:, without a transport.", f"transports={fixed}"
        return why, None
    if problem.key == "module::Authentication/available-algorithms":
        known = [
            _VALUES[problem.key].get(word.upper().strip()) for word in re.split(r"[\s,]+", clean)
        ]
        good = [word for word in dict.fromkeys(known) if word]
        if None in known and good:
            why += " What it does not know is dropped."
        return why, f"{item.key}={' '.join(good) or _default(judged, problem)}"
    if problem.key.endswith("log-level") or problem.key == "global/syslog-level":
        word = clean.strip("=").lower()
        word = _VALUES["global/log-level"].get(word, word)
        right = word if word in LOG_LEVELS else _default(judged, problem)
        return why, f"{item.key}={right}" if right else None
    if problem.key == "module::MediaRelay/sdp-port-range":
        low, high = judged.conf.ports("module::MediaRelay", "sdp-port-range")
        return why, f"sdp-port-range={high}-{low}"
    if words := _WORDS.get(problem.key):
        near = difflib.get_close_matches(clean.strip("=").lower(), words, 1, 0.7)
        return why, f"{item.key}={near[0]}" if near else None
    if problem.key == "module::Authentication/file-path" and clean != item.value:
        return why, f"{item.key}={clean}"
    return why, None


def _number(value: str, setting: Setting) -> str:
    """A number that the setting can have, for one that cannot be read: as near as can be known."""
    fine = re.fullmatch(r"\s*([0-9]{1,9})(ms|s)\s*", value)
    unit = {"ms": 1, "s": 1000}
    if fine and setting.kind in ("s", "min"):
        span = unit["s"] * (60 if setting.kind == "min" else 1)
        return str(-(-int(fine[1]) * unit[fine[2]] // span))
    digits = re.match(r"\s*([0-9]{1,9})\b", value)
    return digits[1] if digits else setting.default


def _default(judged: Judgement, problem: Problem) -> str:
    section, _, key = problem.key.rpartition("/")
    setting = judged.schema.find(section, key)
    return setting.default if setting else ""


def _item(judged: Judgement, problem: Problem) -> Item:
    return next(item for item in judged.file.items if item.line == problem.line)
