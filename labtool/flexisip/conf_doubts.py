"""What in a flexisip.conf starts and is not what was meant: ignored, spoilt, outdated, open.

Nothing here keeps a server from starting; all of it was seen to leave one open, or useless.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from labtool.flexisip.conffile import Item, Oddity, without_comment
from labtool.flexisip.findings import Finding, Severity
from labtool.flexisip.settings import Setting
from labtool.flexisip.startup import LOG_LEVELS, Judgement, is_transport
from labtool.flexisip.values import FALSE, TRUE


def findings(judged: Judgement) -> Iterator[Finding]:
    """A finding for each doubt; those without a line are about something that is not there."""
    yield from _passed_over(judged)
    yield from _spoilt_values(judged)
    yield from _deprecated(judged)
    yield from _open_to_all(judged)
    yield from _useless(judged)


def _passed_over(judged: Judgement) -> Iterator[Finding]:
    bom = next((o for o in judged.file.oddities if o.kind == "bom"), None)
    for oddity in judged.file.oddities:
        finding = _oddity(judged, oddity, bom is not None)
        if finding is not None:
            yield finding


def _oddity(judged: Judgement, oddity: Oddity, bom: bool) -> Finding | None:
    line, text = oddity.line, oddity.text.strip(" \t\r")
    ignored = Severity.IGNORED
    if oddity.kind == "bom":
        why = (
            "The file begins with a byte-order mark: its first section is not seen, and all its "
            "settings are ignored."
        )
        return Finding(line, ignored, why, "found key,item but no sections", text.lstrip("\ufeff"))
    if oddity.kind == "no-section":
        why = "A setting before the first [section] is ignored; the default holds."
        return Finding(
            line, ignored, why, "found key,item but no sections", None if bom else f"# {text}"
        )
    if oddity.kind == "open-section":
        why = "The section lacks its ]: what follows belongs to the section before it."
        return Finding(line, ignored, why, "", f"{text.split()[0]}]" if text != "[" else "")
    if oddity.kind == "long-line":
        why = (
            "The line is longer than this release reads at once: what is beyond is cut off, and is "
            "read as a line of its own. Take a shorter one; from 2.4 on a line may have 20478 bytes."
        )
        return Finding(line, Severity.BROKEN, why)
    if oddity.kind == "empty-section":
        return Finding(
            line, ignored, "A section without a name is passed over.", "parse error!", ""
        )
    if oddity.kind == "empty-value":
        key = text.partition("=")[0].strip()
        default = _default_of_empty(judged, line, key)
        if not default:
            return None
        why = f"{key} without a value is passed over: the default, {default}, holds."
        return Finding(line, ignored, why)
    if oddity.kind == "no-equals" and text and not text.startswith((";", "//", "#", "\ufeff")):
        why = "This is no setting (there is no = in it), and it is passed over."
        meant = re.fullmatch(r"([a-z0-9-]+)\s*(?::\s*|\s+)(\S.*)", text)
        section = _section_at(judged, line)
        # What is no setting, or stands elsewhere already, would be refused.
        if (
            meant
            and judged.schema.find(section, meant[1])
            and not _is_set(judged, section, meant[1])
        ):
            return Finding(line, ignored, why, "", f"{meant[1]}={meant[2]}")
        return Finding(line, ignored, why, "", f"# {text}")
    return None


def _is_set(judged: Judgement, section: str, key: str) -> bool:
    setting = judged.schema.find(section, key)
    return setting is not None and (setting.section, setting.key) in judged.conf.items


def _default_of_empty(judged: Judgement, line: int, key: str) -> str:
    setting = judged.schema.find(_section_at(judged, line), key)
    return setting.default if setting else ""


def _section_at(judged: Judgement, line: int) -> str:
    """The section that a line is in, as it is written; "" before the first."""
    section = ""
    for number, text in enumerate(judged.file.lines, 1):
        if number >= line:
            break
        match = re.match(r" *\[\s*([^\]\s]+)[^\]]*\]", text)
        section = match.group(1) if match else section
    return section


def _spoilt_values(judged: Judgement) -> Iterator[Finding]:
    """Values that are taken, but are not what was meant: a comment, quotes, a carriage return."""
    for (section, key), item in judged.conf.items.items():
        setting = judged.schema.find(section, key)
        if setting is None or setting.kind == "boolean":
            continue
        why, fix = _spoilt(item, setting)
        if why:
            severity = Severity.BROKEN
            yield Finding(item.line, severity, why, "", fix, f"{section}/{key}")


def _spoilt(item: Item, setting: Setting) -> tuple[str, str | None]:
    value = item.value
    if value.endswith("\r"):
        why = "The line ends with a carriage return (CRLF), which becomes part of the value."
        return why, f"{item.key}={value.rstrip()}"
    if setting.kind in ("list", "integer", "range", "ms", "s", "min") or item.key == "file-path":
        if without_comment(value) != value:
            why = "A comment behind a value becomes part of it; it needs a line of its own."
            return why, f"{item.key}={without_comment(value)}"
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            return "Quotes become part of the value; leave them out.", f"{item.key}={value[1:-1]}"
        if value.startswith("="):
            why = "The second equals sign becomes part of the value."
            return why, f"{item.key}={value.lstrip('= ')}"
        if value.endswith("\\"):
            why = "A backslash does not continue a line; it becomes part of the value."
            return why, f"{item.key}={value.rstrip(chr(92) + ' ')}"
        if "\t" in value:
            why = "A tab separates nothing and ends nothing here; it becomes part of the value."
            return why, f"{item.key}={' '.join(value.split())}"
    return "", None


def _deprecated(judged: Judgement) -> Iterator[Finding]:
    for (section, key), item in judged.conf.items.items():
        setting = judged.schema.find(section, key)
        if setting is None or not setting.is_deprecated_in(judged.since):
            continue
        text = (
            f"Deprecated parameter:\n\t[{setting.name}]\n\t"
            + setting.advice.replace("\\n", "\n")
            + f"\n\tDeprecated since {setting.date} (Flexisip v{setting.deprecated})"
        )
        why, fix = _replacement(judged, setting, item)
        yield Finding(item.line, Severity.DEPRECATED, why, text, fix, setting.name)


def _replacement(judged: Judgement, setting: Setting, item: Item) -> tuple[str, str | None]:
    section, _, key = setting.successor.rpartition("/")
    known = judged.schema.find(section, key) if setting.successor else None
    if known is None:
        return f"{setting.key} is deprecated since {setting.deprecated} and does nothing.", ""
    why = f"{setting.key} is deprecated since {setting.deprecated}; its successor is {key}."
    if (section, key) in judged.conf.items:
        return f"{why} That one is set already.", ""
    if setting.key.endswith("-min"):
        high = judged.conf.text(section, f"{key}-max") or "65535"
        return why, f"{key}={item.value}-{high}"
    if setting.key.endswith("-max"):
        if (section, f"{key}-min") in judged.conf.items:
            return why, ""
        return why, f"{key}=1024-{item.value}"
    if setting.key == "tls-certificates-dir":
        return f"{why} It takes a file, so does its companion tls-certificates-private-key.", None
    renamed = setting.kind == known.kind
    return why, f"{key}={item.value}" if renamed else None


# ------------------------------------------------------------------- what starts and is not right


def _open_to_all(judged: Judgement) -> Iterator[Finding]:
    module = "module::Authentication"
    conf = judged.conf
    if conf.text(module, "enabled") in TRUE or not _is_on(judged, "module::Registrar"):
        return
    if conf.flag("module::Authorization", "enabled"):
        return
    item = conf.items.get((module, "enabled"))
    why = (
        "Authentication is off, which is the default: anybody can sign in as anybody and call "
        "through this server."
    )
    if item is not None and conf.text(module, "enabled") not in FALSE:
        return
    # With no domain to sign in to, it would shut out everybody.
    known = any(
        place in conf.items
        for place in ((module, "auth-domains"), ("module::Registrar", "reg-domains"))
    )
    fix = "enabled=true" if item is not None or known else None
    line = item.line if item else None
    yield Finding(line, Severity.INSECURE, why, "", fix, f"{module}/enabled")


def _is_on(judged: Judgement, section: str) -> bool:
    return judged.conf.flag(section, "enabled")


def _useless(judged: Judgement) -> Iterator[Finding]:
    """A server that runs, and that nobody can use as it was meant."""
    conf = judged.conf
    broken = Severity.BROKEN
    authentication, registrar = "module::Authentication", "module::Registrar"
    if conf.flag(authentication, "enabled"):
        if (authentication, "auth-domains") not in conf.items:
            why = (
                "auth-domains is not set: only localhost signs in, everybody else gets 403 Domain "
                "forbidden. Set it to the lab's domain."
            )
            fix = _as_in(judged, "auth-domains", registrar, "reg-domains")
            yield Finding(None, broken, why, "", fix, f"{authentication}/auth-domains")
        backend = conf.items.get((authentication, "db-implementation"))
        if backend is not None and backend.value not in ("file", "soci", "fixed"):
            why = "It takes file, soci or fixed; with any other nobody can sign in."
            yield Finding(
                backend.line, broken, why, "", None, f"{authentication}/db-implementation"
            )
        if _is_on(judged, "module::Authorization"):
            item = conf.items.get(("module::Authorization", "enabled"))
            why = (
                "Authentication and Authorization together answer 500 Internal server error to "
                "every login; use one of them."
            )
            name = "module::Authorization/enabled"
            yield Finding(item.line if item else None, broken, why, "", "enabled=false", name)
        yield from _slow_to_notice(judged)
    if _is_on(judged, registrar) and (registrar, "reg-domains") not in conf.items:
        why = (
            "reg-domains is not set: the registrar serves localhost only, and no registration of "
            "another domain is answered. Set it to the lab's domain."
        )
        fix = _as_in(judged, "reg-domains", authentication, "auth-domains")
        yield Finding(None, broken, why, "", fix, f"{registrar}/reg-domains")
    for uri in conf.words("global", "transports"):
        item = conf.items.get(("global", "transports"))
        if (
            item is not None
            and not is_transport(uri)
            and "global/transports" not in judged.overridden
        ):
            why = f"{uri} is no transport (sip:ADDRESS:PORT); a server that cannot bind refuses."
            yield Finding(item.line, broken, why, f"could not enable transport {uri}", None)
            break
    for key in ("tls-certificates-file", "tls-certificates-private-key"):
        item = conf.items.get(("global", key))
        if item is not None and item.value and judged.exists(item.value) is False:
            # Recorded on 2.5.2: "missing certificate path" starts.
            why = "The file is not there. The server starts without it, and no TLS handshake succeeds."
            yield Finding(item.line, broken, why, "", None, f"global/{key}")
    level = conf.items.get(("global", "log-level"))
    if not judged.reworded and level is not None and level.value not in LOG_LEVELS:
        why = "The levels are debug, message, warning and error; 2.4 and later refuse others."
        yield Finding(level.line, broken, why, "", None, "global/log-level")


def _as_in(judged: Judgement, key: str, section: str, other: str) -> str | None:
    """The key with the domains that its counterpart serves; None where that one says none."""
    item = judged.conf.items.get((section, other))
    domains = " ".join(judged.conf.words(section, other)) if item else ""
    return f"{key}={domains}" if domains else None


def _slow_to_notice(judged: Judgement) -> Iterator[Finding]:
    section, key = "module::Authentication", "cache-expire"
    if judged.conf.text(section, "db-implementation") != "file":
        return
    seconds = judged.conf.seconds(section, key)
    item = judged.conf.items.get((section, key))
    if seconds > 60:
        why = (
            f"A change of the users file is noticed after up to {seconds:g} seconds only; a small "
            "server sets cache-expire=5."
        )
        yield Finding(
            item.line if item else None,
            Severity.ADVICE,
            why,
            "",
            "cache-expire=5",
            f"{section}/{key}",
        )
