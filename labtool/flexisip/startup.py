"""The start of a server on a configuration, stage by stage, each with what makes it fail there.

The stages stand in the order in which the server makes them, so that its *last words* come out
right when several things are wrong. Texts, exit codes and rules: recorded from 2.3.4 and 2.5.2
and read in the sources of both; 2.4 is taken to speak as 2.5 does, 2.0 to 2.2 as 2.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from labtool.flexisip import conffile
from labtool.flexisip.conffile import Item
from labtool.flexisip.releases import Version, version
from labtool.flexisip.settings import Schema, approximate, schema
from labtool.flexisip.values import DURATION, FALSE, TRUE, Conf, number

LOG_LEVELS = ("debug", "message", "warning", "error")
DIGESTS = ("MD5", "SHA-256")

# From 2.4 on errors are exceptions with words of their own, before that fatal log lines.
REWORDED: Version = (2, 4, 0)


@dataclass(frozen=True)
class Problem:
    """A reason not to start. ``text`` has one line for each line that the server prints."""

    text: str
    returncode: int
    line: int | None = None
    key: str = ""


class Judgement:
    """One file before one release: every stage of the server's start, each with its problems."""

    def __init__(
        self,
        content: str | bytes,
        release: str,
        path: str,
        exists: Callable[[str], bool | None],
        overridden: Collection[str],
        features: Collection[str],
    ) -> None:
        self.release = release
        self.since = version(release)
        self.reworded = self.since >= REWORDED
        self.path = path
        self.exists = exists
        self.overridden = frozenset(overridden)
        self.features = frozenset(features)
        self.schema: Schema = schema(release, features)
        self.file = conffile.read(content, release)
        self.duplicates: list[tuple[Item, Item]] = []
        self.unknown: list[Item] = []
        items: dict[tuple[str, str], Item] = {}
        seen: dict[tuple[str, str], Item] = {}
        for item in self.file.items:
            place = (item.section.lower(), item.key.lower())
            if place in seen:
                self.duplicates.append((seen[place], item))
            seen[place] = item
        for item in seen.values():
            setting = self.schema.find(item.section, item.key)
            if setting is None:
                self.unknown.append(item)
            else:
                items[setting.section, setting.key] = item
        values = {
            (setting.section, setting.key): (
                items[setting.section, setting.key].value
                if (setting.section, setting.key) in items
                else setting.default
            )
            for setting in self.schema
        }
        _follow_old_names(values, items)
        self.conf = Conf(release, values, items, self.file)

    def stages(self) -> Iterator[list[Problem]]:
        """The stages in the server's order. It dies at the end of the first that has a problem."""
        yield self._several_entrances()
        yield self._booleans()
        yield self._unread()
        yield from self.later_stages()

    def later_stages(self) -> Iterator[list[Problem]]:
        """The stages after the file has been read through: they judge the values that hold."""
        yield self._logging()
        if self.reworded:
            yield self._registrar_database()
        yield self._plugins()
        yield self._filters()
        if not self.reworded:
            yield self._registrar_database()
        yield self._enumerations()
        yield self._authentication()
        yield self._numbers()
        yield self._cross_checks()
        yield self._transports()

    # ------------------------------------------------------------------ what each stage finds

    def _say(
        self, new: tuple[str, int], old: tuple[str, int] | None, section: str, key: str
    ) -> list[Problem]:
        """A problem in the release's words and with its exit code; ``old`` None: no problem."""
        name = f"{section}/{key}"
        if name in self.overridden:
            return []
        said = new if self.reworded else old
        if said is None:
            return []
        item = self.conf.items.get((section, key))
        return [Problem(*said, item.line if item else None, name)]

    def _several_entrances(self) -> list[Problem]:
        if not self.reworded or not self.duplicates:
            return []
        _, second = min(self.duplicates, key=lambda pair: pair[1].line)
        text = f'Configuration file parsing error: key "{second.key}" has several entrances.'
        return [Problem(text, 1, second.line, f"{second.section}/{second.key}")]

    def booleans(self) -> list[Problem]:
        problems = []
        for setting in self.schema:
            value = self.conf.text(setting.section, setting.key)
            item = self.conf.items.get((setting.section, setting.key))
            if setting.kind != "boolean" or item is None or value in TRUE + FALSE:
                continue
            what = f"invalid value '{value}' for key '{setting.key}' in section '{setting.section}'"
            problems += self._say(
                (f"caught an exception while reading '{self.path}' ({what})", 255),
                (f"While reading '{self.path}', {what}.", 255),
                setting.section,
                setting.key,
            )
        return problems

    def _booleans(self) -> list[Problem]:
        return self.booleans()[:1]

    def _logging(self) -> list[Problem]:
        problems: list[Problem] = []
        for key in ("log-level", "syslog-level", "contextual-log-level"):
            value = self.conf.text("global", key)
            if value not in LOG_LEVELS and ("global", key) in self.conf.items:
                problems += self._say((f"unknown log-level '{value}'", 1), None, "global", key)
        if self.conf.text("global", "log-level") == "debug" and self.reworded:
            level = self.conf.number("global", "sofia-level")
            if not 1 <= level <= 9:
                text = "setting global/sofia-level levels range from 1 to 9"
                problems += self._say((text, 255), None, "global", "sofia-level")
        size = self.conf.text("global", "max-log-size")
        if ("global", "max-log-size") in self.conf.items and size != "-1":
            text = (
                "Setting 'global/max-log-size' parameter has been forbidden since log size control "
                "was delegated to logrotate. Please edit /etc/logrotate.d/flexisip-logrotate for "
                "log rotation customization."
            )
            problems += self._say((text, 255), (text, 255), "global", "max-log-size")
        directory = self.conf.text("global", "log-directory")
        if directory.startswith(("/proc/", "/sys/")):
            why = "(insufficient permissions?), please create it manually"
            old_why = "(insufficient permissions ?). Please create it manually."
            problems += self._say(
                (f"directory '{directory}' does not exist and could not be created {why}", 1),
                (f"Directory {directory} doesn't exist and could not be created {old_why}", 255),
                "global",
                "log-directory",
            )
        return problems[:1]

    def _registrar_database(self) -> list[Problem]:
        name = self.conf.text("module::Registrar", "db-implementation")
        # "redis-async" and "redis-sync" of 1.x still mean redis.
        if name == "internal" or name.startswith("redis"):
            return []
        both = "'internal' or 'redis'"
        return self._say(
            (f"unsupported implementation '{name}', supported implementations are {both}", 255),
            (f"Unsupported implementation 'Supported implementations are {both}.'. {name}", 255),
            "module::Registrar",
            "db-implementation",
        )

    def _plugins(self) -> list[Problem]:
        directory = self.conf.text("global", "plugins-dir")
        for name in self.conf.words("global", "plugins"):
            library = f"{directory}/lib{name}.so"
            there = self.exists(library)
            # Recorded: the one plugin of Flexisip's own is not in these builds. Of others it is not
            # known here whether they are installed.
            if there is False or (there is None and name == "jweauth"):
                why = "cannot open shared object file: No such file or directory"
                return self._say(
                    (f"unable to load plugin [{name}]: {library}: {why}", 1),
                    (f"Unable to load plugin [{name}]: {library}: {why}", 255),
                    "global",
                    "plugins",
                )
        return []

    def unread(self) -> list[Problem]:
        """One problem for each item that no setting of the release reads."""
        problems = []
        for item in self._by_section(self.unknown):
            text = f"Unsupported parameter '{item.key}' in section [{item.section}]"
            text += f" at line {item.line}."
            known = self.schema.sections.get(item.section)
            if known is None:
                text += f" Unknown section '[{item.section}]'"
                near = approximate(item.section, self.schema.sections)
                text += f", did you mean '[{near}]' instead?" if near else "."
            elif item.key not in known:
                near = approximate(item.key, known)
                text += f" Did you mean '{near}'?" if near else ""
            problems.append(Problem(text, 255, item.line, f"{item.section}/{item.key}"))
        return problems

    def _unread(self) -> list[Problem]:
        problems = self.unread()
        if not problems:
            return []
        end = (
            "invalid section(s) and/or item(s) in the configuration file are not allowed"
            if self.reworded
            else "Some items or section are invalid in the configuration file. Please check it."
        )
        return [*problems, Problem(end, 255, problems[0].line)]

    def _by_section(self, items: list[Item]) -> list[Item]:
        """Items in the order in which the reader holds them: sections as they first appear."""
        order: dict[str, int] = {}
        for item in self.file.items:
            order.setdefault(item.section.lower(), len(order))
        return sorted(items, key=lambda item: order[item.section.lower()])

    def _filters(self) -> list[Problem]:
        for setting in self.schema:
            if setting.key != "filter" or not setting.section.startswith("module::"):
                continue
            value = self.conf.text(setting.section, "filter")
            # Only what was measured: a bare word that is neither a constant nor a variable.
            if re.fullmatch(r"[a-z]+", value) and value not in ("true", "false"):
                what = f"Element '{value}' is not a variable nor operator name"
                where = f"could not parse entry filter for module '{setting.section}'"
                return self._say(
                    (f"{where} ({what})", 255),
                    (f"C{where[1:]}: {what}", 255),
                    setting.section,
                    "filter",
                )
        return []

    def _enumerations(self) -> list[Problem]:
        helper = "module::NatHelper"
        strategy = self.conf.values.get((helper, "nat-traversal-strategy"), "contact-correction")
        if strategy not in ("contact-correction", "flow-token"):
            text = f'unknown value for "nat-traversal-strategy" ({strategy})'
            return self._say((text, 1), None, helper, "nat-traversal-strategy")
        return []

    def _authentication(self) -> list[Problem]:
        module = "module::Authentication"
        conf = self.conf
        if not conf.flag(module, "enabled"):
            return []
        for name in conf.words(module, "available-algorithms"):
            if name not in DIGESTS:
                available = "available algorithms are { 'MD5', 'SHA-256' }"
                place = f"'{module}/available-algorithms'"
                return self._say(
                    (f"invalid value for parameter {place} ({name}): {available}", 255),
                    (f"invalid algorithm ({name}) set in {place}. A{available[1:]}", 255),
                    module,
                    "available-algorithms",
                )
        if conf.text(module, "realm") and conf.text(module, "realm-regex"):
            text = f"setting both '{module}/realm' and '{module}/realm-regex' is forbidden"
            return self._say((text, 255), (text, 255), module, "realm-regex")
        backend = conf.text(module, "db-implementation")
        if backend not in {"file", "fixed", "soci"} or (
            backend == "soci" and "soci" not in self.features
        ):
            text = f"Cannot build Authentication Backend, unknown db-implementation: {backend}"
            # 2.3.4 starts on it, and looks for its users nowhere.
            return self._say((text, 1), None, module, "db-implementation")
        if backend != "file":
            return []
        path = conf.text(module, "file-path")
        if not path:
            text = (
                "'file' authentication backend was requested but no path specified in 'file-path'"
            )
            return self._say((text, 1), (f"{text}.", 255), module, "file-path")
        there = self.exists(path)
        if there is None:
            # No file is called so; a continued line or a carriage return is what was meant.
            there = not path.endswith(("\\", "\r", "\t"))
        if not there:
            return self._say(
                (f"failed to open file '{path}'", 1),
                (f"Failed to open authdb file {path}", 255),
                module,
                "file-path",
            )
        return []

    def _numbers(self) -> list[Problem]:
        """Numbers and durations: checked from 2.4 on, where a part that is on reads them."""
        if not self.reworded:
            return []
        for setting in self.schema:
            place = (setting.section, setting.key)
            if place not in self.conf.items or not self._is_read(*place):
                continue
            value = self.conf.values[place]
            if setting.kind == "integer":
                parsed = number(value)
                if parsed is None or not -(2**31) <= parsed < 2**31:
                    return self._say(("stoi", 1), None, *place)
            elif setting.kind in ("ms", "s", "min"):
                text = self._duration(value, setting.kind)
                if text:
                    return self._say((f"({setting.name}) {text}", 1), None, *place)
        return []

    @staticmethod
    def _duration(value: str, kind: str) -> str:
        match = DURATION.fullmatch(value)
        if match is None:
            return (
                f'duration value is ill-formed (parameter = "{value}"). Please use the following '
                "syntax: <value>[ms|s|min|h|d|m|y] (example: 250ms)."
            )
        unit = match.group(2)
        if (number(match.group(1)) or 0) >= 2**63:
            return "stol"
        coarse = {"s": "second", "min": "minute"}.get(kind)
        if (unit == "ms" and coarse) or (unit == "s" and coarse == "minute"):
            return (
                f'duration precision ("{unit}") is too high, "{coarse}" is maximum precision '
                "for this parameter"
            )
        return ""

    def _is_read(self, section: str, key: str) -> bool:
        """Whether a start as proxy reads a setting at all: a part that is off reads nothing."""
        if section == "global":
            return key != "sofia-level" or self.conf.text("global", "log-level") == "debug"
        if section not in self.schema.sections or not self.conf.flag(section, "enabled"):
            return False
        if key.startswith("redis-"):
            return self.conf.text("module::Registrar", "db-implementation").startswith("redis")
        if key.startswith("message-database-"):
            return self.conf.flag(section, "message-database-enabled")
        if key.startswith("soci-"):
            return self.conf.text(section, "db-implementation") == "soci"
        return section.startswith("module::") or section in ("stun-server", "mdns-register")

    def _cross_checks(self) -> list[Problem]:
        conf = self.conf
        if conf.flag("module::AuthTrustedHosts", "enabled") and not conf.flag(
            "module::Authorization", "enabled"
        ):
            text = "the AuthTrustedHosts module requires the Authorization module to be enabled"
            return self._say((text, 255), None, "module::AuthTrustedHosts", "enabled")
        relay = "module::MediaRelay"
        if (relay, "sdp-port-range") in conf.items and conf.flag(relay, "enabled"):
            low, high = conf.ports(relay, "sdp-port-range")
            if low > high:
                text = "cannot create std::vector larger than max_size()"
                return self._say((text, 1), None, relay, "sdp-port-range")
        if conf.flag("monitor", "enabled"):
            return self._say(("", -6), ("", -6), "monitor", "enabled")
        certificate = conf.text("global", "tls-certificates-file")
        private_key = conf.text("global", "tls-certificates-private-key")
        if bool(certificate) != bool(private_key):
            text = (
                "if you specified tls-certificates-file you MUST specify "
                "tls-certificates-private-key too and vice versa"
            )
            key = "tls-certificates-file" if certificate else "tls-certificates-private-key"
            return self._say((text, 255), (text, -6), "global", key)
        return []

    def _transports(self) -> list[Problem]:
        transports = self.conf.words("global", "transports")
        for uri in transports:
            if uri.lower().startswith("sip:") and "transport=tls" in uri.lower():
                cure = "Use 'sips' uri scheme instead."
                return self._say(
                    (
                        "specifying a URI with 'transport=tls' is not valid in Flexisip "
                        f"configuration. {cure}",
                        255,
                    ),
                    (
                        "Specifying an URI with transport=tls is not understood in flexisip "
                        f"configuration. {cure}",
                        255,
                    ),
                    "global",
                    "transports",
                )
        # What was measured is a value that holds no transport at all. One bad word among good
        # ones could not be (those were recorded with -t): lint warns, and does not claim to know.
        if transports and not any(is_transport(uri) for uri in transports):
            return self._say(
                (f"could not enable transport {transports[0]}, Invalid argument", 1),
                (f"Could not enable transport {transports[0]}: Invalid argument", 255),
                "global",
                "transports",
            )
        return []


def is_transport(uri: str) -> bool:
    """Whether a word of ``transports`` is a SIP URI at all."""
    return uri.lower().startswith(("sip:", "sips:")) and len(uri.partition(":")[2]) > 0


def _follow_old_names(
    values: dict[tuple[str, str], str], items: Mapping[tuple[str, str], Item]
) -> None:
    """A renamed setting falls back on its old name where only that is set."""
    for new, old in (
        (("module::Authentication", "file-path"), ("module::Authentication", "datasource")),
        (
            ("module::NatHelper", "contact-correction-param"),
            ("module::NatHelper", "contact-verified-param"),
        ),
    ):
        if new in values and new not in items and old in items:
            values[new] = values[old]
