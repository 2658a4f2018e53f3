"""An existing server's files as a lab: options, accounts, and what labtool would do otherwise. Pure.

Every setting of the file is an option of the lab, or is kept as an extra setting, or is among the
differences, each with its reason. Nothing is passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labtool import options, rendering, userlist
from labtool.errors import RequestError
from labtool.flexisip import conf, extra, intent, lint, names, users
from labtool.flexisip.findings import Refusal, Severity
from labtool.flexisip.settings import schema
from labtool.flexisip.values import Conf
from labtool.inventory import Account
from labtool.state import Addresses

_AUTH = "module::Authentication"
_RELAY = "module::MediaRelay"
_FLOOD = "module::DoSProtection"
_Place = tuple[str, str]

# What labtool decides itself, by its reason.
_REASONS: Mapping[_Place, str] = {
    (_AUTH, "file-path"): "labtool keeps the accounts there; the former file stays where it is",
    (_AUTH, "db-implementation"): "the accounts are in a file, as before",
    (_AUTH, "auth-domains"): "the lab's domain",
    (_AUTH, "available-algorithms"): "what the server offers already, written down",
    ("module::Registrar", "reg-domains"): "the lab's domain",
    ("module::Registrar", "enabled"): "a lab's phones register",
    ("global", "log-level"): "what the server does already, written down",
    (_RELAY, "enabled"): "what the server does already, written down",
}


@dataclass(frozen=True)
class Difference:
    """A setting that a deployment of the lab would change, from what it is now, and why."""

    section: str
    key: str
    now: str
    then: str
    reason: str

    @property
    def sentence(self) -> str:
        was = self.now or "nothing"
        return f"[{self.section}] {self.key}: {was} becomes {self.then} ({self.reason})"


@dataclass(frozen=True)
class Imported:
    """The lab of a server. `left_out` are accounts that a lab cannot hold, a sentence each."""

    options: Mapping[str, Any]
    accounts: tuple[Account, ...] = field(repr=False)
    differences: tuple[Difference, ...]
    left_out: tuple[str, ...]
    clear_text: int


@dataclass(frozen=True)
class Corrected:
    """A file on which the server would not start, and what it takes that it does.

    `sentences` has one for each line, without passwords.
    """

    text: bytes = field(repr=False)
    sentences: tuple[str, ...] = ()


def startable(text: bytes, kind: lint.Kind, release: str) -> Corrected:
    """The file itself where the release starts on it, else corrected as labtool lint --fix does.

    Raises RequestError where it takes a person to decide.
    """
    report = lint.lint(text, kind=kind, release=release)
    if report.starts:
        return Corrected(text)
    fixed = lint.fix(text, kind=kind, release=release).encode("utf-8", "surrogateescape")
    again = lint.lint(fixed, kind=kind, release=release)
    if not again.starts:
        refusal = again.refusal or report.refusal
        assert refusal is not None
        where = f", line {refusal.line}" if refusal.line else ""
        raise RequestError(
            f"Flexisip {release} does not start on the server's {kind.value}{where}: "
            f"{' '.join(refusal.text.split())}. It takes a person to decide what is right there: "
            f"correct it on the server, and see labtool lint."
        )
    told = []
    for finding in report.findings:
        if finding.severity is Severity.REFUSES:
            right = "taken out" if finding.fix == "" else f"read as {finding.fix_shown}"
            how = "" if finding.fix is None else f" ({right})"
            told.append(f"{kind.value}, line {finding.line}: {finding.message}{how}")
    return Corrected(fixed, tuple(told))


def read_conf(text: bytes, release: str) -> Conf:
    """flexisip.conf as the server runs with it. Raises RequestError where it would not start on it."""
    judged = conf.read(text, release)
    if isinstance(judged, Refusal):
        where = f", line {judged.line}" if judged.line else ""
        raise RequestError(
            f"Flexisip {release} does not start on this flexisip.conf{where}: "
            f"{' '.join(judged.text.split())}. Correct it first: labtool lint --fix"
        )
    if judged.flag(_AUTH, "enabled") and judged.text(_AUTH, "db-implementation") != "file":
        raise RequestError(
            f"The accounts of this server are in a database ({judged.text(_AUTH, 'db-implementation')}); "
            "a lab keeps them in a file, so it cannot take this server over."
        )
    return judged


def users_path(found: Conf) -> str:
    """Where the server reads its accounts; "" where it reads none."""
    for key in ("file-path", "datasource"):
        if (_AUTH, key) in found.items:
            return found.text(_AUTH, key)
    return found.text(_AUTH, "file-path") or found.text(_AUTH, "datasource")


def imported(
    found: Conf,
    users_text: bytes | None,
    addresses: Addresses,
    *,
    domain: str | None,
    users_file: str,
) -> Imported:
    """The lab that is this server. `users_file` is where labtool keeps accounts on a server.

    Raises RequestError where the users file is refused, or the domain is not clear.
    """
    entries = _entries(users_text, found.release)
    chosen = options.check_one(
        "flexisip_domain", domain or _domain(found, entries), where="the server's domain"
    )
    accounts: dict[str, Account] = {}
    left_out = []
    for entry in entries:
        try:
            # In the server, too, the last of two wins.
            accounts[entry.name] = userlist.of_entry(entry, chosen)
        except RequestError as error:
            left_out.append(f"line {entry.line}: {error}")
    values = {"flexisip_domain": chosen, **_options(found)}
    lab = {**options.defaults(), **values}
    extra_settings = _extra(found, _written(lab, found.release, addresses, users_file))
    if extra_settings:
        values["flexisip_settings"] = options.check_one(
            "flexisip_settings", extra_settings, where="the server's flexisip.conf"
        )
    lab = {**options.defaults(), **values}
    differences = _differences(found, _written(lab, found.release, addresses, users_file))
    clear = sum("clrtxt" in entry.passwords for entry in entries)
    return Imported(values, tuple(accounts.values()), differences, tuple(left_out), clear)


def _entries(text: bytes | None, release: str) -> list[users.UserEntry]:
    if text is None:
        return []
    judged = users.parse(text, release)
    if isinstance(judged, Refusal):
        where = f", line {judged.line}" if judged.line else ""
        raise RequestError(
            f"Flexisip {release} would refuse this users file{where}: {judged.text}. "
            "Correct it first: labtool lint --fix"
        )
    return judged


def _domain(found: Conf, entries: list[users.UserEntry]) -> str:
    """The domain that most accounts have, or that the configuration names first."""
    counted: dict[str, int] = {}
    for entry in entries:
        counted[entry.domain] = counted.get(entry.domain, 0) + 1
    named = [
        word
        for place in ((_AUTH, "auth-domains"), ("module::Registrar", "reg-domains"))
        for word in found.words(*place)
        if word not in ("*", "localhost")
    ]
    first: RequestError | None = None
    for name in [*sorted(counted, key=lambda one: -counted[one]), *named]:
        try:
            return names.check_domain(name)
        except RequestError as error:
            first = first or error
    if first is not None:
        raise RequestError(f"The server's domain cannot be that of a lab: {first}.")
    raise RequestError("The server's files name no domain. Name it with --domain.")


def _options(found: Conf) -> dict[str, Any]:
    """The options that say what the configuration says; one that cannot is left to the settings."""
    values: dict[str, Any] = {}
    relay_ports = found.media_ports()
    uris = found.words("global", "transports")
    plain = [uri for uri in uris if uri.startswith("sip:")]
    named = re.findall(r";transport=(udp|tcp)", " ".join(plain))
    both = not plain or any(";transport=" not in uri for uri in plain)
    port = next(
        (m.group(1) for uri in plain if (m := re.search(r":(\d+)(?=;|$)", uri[4:]))), "5060"
    )
    announced = next(
        (
            m.group(1)
            for uri in plain
            if (m := re.match(r"sip:\[?([0-9a-fA-F.:]+?)\]?:\d+;maddr=", uri))
        ),
        "",
    )
    candidates = {
        "flexisip_transports": ["udp", "tcp"] if both else list(dict.fromkeys(named)),
        "flexisip_port": int(port),
        "flexisip_public_address": announced,
        "flexisip_algorithms": [
            word for word in found.words(_AUTH, "available-algorithms") if word in options.ALGORITHMS
        ] or ["MD5"],
        "flexisip_media_relay": found.flag(_RELAY, "enabled"),
        "flexisip_rtp_ports": list(relay_ports),
        "flexisip_clients_on_server": (_RELAY, "prevent-loops") in found.items
        and not found.flag(_RELAY, "prevent-loops"),
        "flexisip_stun": found.flag("stun-server", "enabled"),
        "flexisip_log_level": found.text("global", "log-level"),
        "flexisip_flood_protection": found.flag(_FLOOD, "enabled"),
    }  # fmt: skip
    if (_FLOOD, "packet-rate-limit") in found.items:
        candidates["flexisip_flood_packet_rate"] = found.number(_FLOOD, "packet-rate-limit")
    if (_FLOOD, "ban-time") in found.items:
        candidates["flexisip_flood_ban_minutes"] = int(found.seconds(_FLOOD, "ban-time") / 60)
    if (_AUTH, "cache-expire") in found.items:
        candidates["flexisip_cache_expire"] = int(found.seconds(_AUTH, "cache-expire"))
    low, high = relay_ports
    if any(low <= port <= high for port in (int(port), 5061, intent.STUN_PORT)):
        # Flexisip's own range, 1024 to 65535, holds the server's other ports: the lab's is told.
        del candidates["flexisip_rtp_ports"]
    for name, value in candidates.items():
        try:
            values[name] = options.check_one(name, value, where="")
        except RequestError:
            continue
    defaults = options.defaults()
    return {name: value for name, value in values.items() if value != defaults.get(name)}


def _written(
    lab: Mapping[str, Any], release: str, addresses: Addresses, users_file: str
) -> dict[_Place, tuple[str, str]]:
    """What labtool would write: value and comment by section and key."""
    given = {key.removeprefix("flexisip_"): value for key, value in lab.items()}
    rendered = rendering.sections({**given, "users_file": users_file}, release, addresses)
    return {
        (section["name"], line["key"]): (line["value"], line["comment"])
        for section in rendered
        for line in section["settings"]
    }


def _extra(found: Conf, ours: Mapping[_Place, tuple[str, str]]) -> dict[str, dict[str, str]]:
    """Settings of the file that the options do not say already."""
    known = schema(found.release)
    kept: dict[str, dict[str, str]] = {}
    for (section, key), item in found.items.items():
        if (section, key) in ((_AUTH, "file-path"), (_AUTH, "datasource")):
            continue
        place = (section, key)
        if place in ours and _same(ours[place][0], item.value):
            continue
        if section == _RELAY and key in ("sdp-port-range-min", "sdp-port-range-max"):
            low, high = found.media_ports()
            if ours.get((_RELAY, "sdp-port-range"), ("",))[0] == f"{low}-{high}":
                continue
        instead, _, name = (extra.successor(section, key, known) or "").partition("/")
        if name and (instead, name) in ours:
            # The former name beside the present one would be two settings of one thing.
            if not _same(ours[(instead, name)][0], item.value):
                kept.setdefault(instead, {})[name] = item.value
            continue
        value = item.value
        if place == ("global", "aliases"):
            # Beside the names that the server had: without the lab's domain it calls itself (482).
            value = " ".join(dict.fromkeys((*value.split(), ours[place][0].split()[0])))
        kept.setdefault(section, {})[key] = value
    return kept


def _same(one: str, other: str) -> bool:
    return one.split() == other.split() or {one, other} in ({"true", "1"}, {"false", "0"})


def _differences(found: Conf, ours: Mapping[_Place, tuple[str, str]]) -> tuple[Difference, ...]:
    """What would be otherwise after a deployment; the same value written down is no difference."""
    told = []
    for (section, key), (value, comment) in ours.items():
        now = found.text(section, key)
        if (section, key) == (_AUTH, "file-path"):
            now = users_path(found)
        if _same(now, value):
            continue
        if (section, key) == (_RELAY, "sdp-port-range") and value == "{}-{}".format(
            *found.media_ports()
        ):
            continue
        reason = comment or _REASONS.get((section, key)) or "the lab's own choice: see lab.yml"
        told.append(Difference(section, key, now, value, reason))
    return tuple(told)
