"""The options of a lab: the one table that lab.yml is checked against and its stub is written from.

The same names are variables of the Ansible roles; `tests/unit/test_options.py` holds this table
against the roles' argument specifications, so that neither can say something else than the other.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from labtool.errors import RequestError
from labtool.flexisip.names import check_address, check_domain

ALGORITHMS = ("MD5", "SHA-256")
TRANSPORTS = ("udp", "tcp", "tls")
LOG_LEVELS = ("debug", "message", "warning", "error")
_CONTROL = r"[\x00-\x1f\x7f]"


@dataclass(frozen=True)
class Option:
    """One option of a lab: its name, the kind that its value is checked as, its default, its text."""

    name: str
    kind: str
    default: Any
    text: str
    example: str = ""


OPTIONS: tuple[Option, ...] = (
    Option(
        "flexisip_domain",
        "domain",
        None,
        "The SIP domain: the part after @ of every address, sip:alice@DOMAIN. Write it in lower case;\n"
        "Flexisip takes another case for another domain. Passwords are hashed for this domain.",
        "sip.example.test",
    ),
    Option(
        "flexisip_transports",
        "transports",
        ["udp", "tcp"],
        "How phones may reach the server: some of udp, tcp and tls.",
    ),
    Option("flexisip_port", "port", 5060, "The SIP port, for UDP and TCP alike."),
    Option("flexisip_tls_port", "port", 5061, "The SIP port for TLS."),
    Option(
        "flexisip_tls_certificate",
        "absolute path",
        "",
        "The certificate for TLS, in PEM, the server's own first and then its issuers. A file of this\n"
        "machine, which is installed on the server. Left empty, labtool makes one, signed by the lab's\n"
        "own issuer: give .tls/ca.pem in the lab's directory to the phones.",
        "/home/me/fullchain.pem",
    ),
    Option(
        "flexisip_tls_key",
        "absolute path",
        "",
        "Its private key, in PEM and without a passphrase; readable by you alone.",
        "/home/me/privkey.pem",
    ),
    Option(
        "flexisip_tls_on_server",
        "boolean",
        False,
        "True where both are files of the server, such as certbot's. They are checked and left alone.",
    ),
    Option(
        "flexisip_tls_ca",
        "absolute path",
        "",
        "The issuer that phones trust, in PEM, a file of this machine. Left empty it is the lab's own or,\n"
        "where a certificate is named, one that every phone knows.",
        "/home/me/issuer.pem",
    ),
    Option(
        "flexisip_public_address",
        "address",
        "",
        "The address by which phones reach the server. Left empty it is the host's own address or, in\n"
        "a cloud that translates it (Aliyun, AWS, ...), the address that --host names.",
        "203.0.113.5",
    ),
    Option(
        "flexisip_algorithms",
        "algorithms",
        ["MD5", "SHA-256"],
        "Digest algorithms offered to phones. Linphone takes SHA-256, MicroSIP needs MD5.",
    ),
    Option(
        "flexisip_media_relay",
        "boolean",
        True,
        "Carry the sound through the server, so that phones behind different routers hear each other.",
    ),
    Option(
        "flexisip_rtp_ports",
        "port range",
        [10000, 20000],
        "UDP ports for relayed sound, first and last. Open them in the firewall or security group.",
    ),
    Option(
        "flexisip_clients_on_server",
        "boolean",
        False,
        "True where phones run on the server's own address (a demonstration on one machine).",
    ),
    Option("flexisip_stun", "boolean", False, "Answer STUN on UDP port 3478 as well."),
    Option(
        "flexisip_flood_protection",
        "boolean",
        True,
        "Stop listening to an address that sends too many packets (module::DoSProtection).",
    ),
    Option(
        "flexisip_flood_packet_rate",
        "count",
        100,
        "How many packets a second, over three seconds, one address may send. Flexisip's own limit of 20\n"
        "bans a class: forty phones behind one router sign in at once with about 60 packets a second.",
    ),
    Option(
        "flexisip_flood_ban_minutes",
        "count",
        2,
        "For how many minutes an address that sent more is not heard.",
    ),
    Option(
        "flexisip_log_level",
        "log level",
        "message",
        "How much the server logs: debug, message, warning or error.",
    ),
    Option(
        "flexisip_cache_expire",
        "seconds",
        5,
        "Seconds until the server notices a new, changed or removed user.",
    ),
    Option(
        "flexisip_settings",
        "settings",
        {},
        "Any other setting of flexisip.conf, by section and key. Checked before anything is sent.",
        "{module::Registrar: {max-expires: 3600}}",
    ),
    Option(
        "flexisip_repository_url",
        "url",
        "",
        "The apt repository that offers bc-flexisip. Empty: Linphone's own, by distribution.",
        "http://mirror.example.org/linphone/ubuntu",
    ),
    Option(
        "flexisip_repository_suite",
        "word",
        "",
        "Its suite. Empty: the code name of the host's distribution (bionic on Ubuntu 18.04).",
        "bionic",
    ),
    Option("flexisip_repository_components", "words", ["stable"], "Its components."),
    Option(
        "flexisip_repository_key_url",
        "url",
        "",
        "The key that signs it. Empty: pubkey.gpg in the repository's own folder.",
    ),
    Option(
        "flexisip_repository_key_fingerprint",
        "fingerprint",
        "",
        "The key's fingerprint, 40 or 64 hexadecimal digits. Recorded at the first deployment;\n"
        "another key is refused after that.",
    ),
    Option(
        "flexisip_deb",
        "path",
        "",
        "A bc-flexisip package file on this machine, installed in place of a repository.",
        "/home/me/bc-flexisip.deb",
    ),
)

BY_NAME: Mapping[str, Option] = {option.name: option for option in OPTIONS}


def defaults() -> dict[str, Any]:
    """Every option that has a default, by name."""
    return {option.name: option.default for option in OPTIONS if option.default is not None}


def check(values: Mapping[Any, Any], *, where: str) -> dict[str, Any]:
    """The options of a lab with their defaults filled in.

    `values` is what lab.yml holds, `where` names the file in messages.
    Raises RequestError, one sentence, for an unknown option or a value of the wrong kind.
    """
    for name in values:
        if name not in BY_NAME:
            near = difflib.get_close_matches(str(name), BY_NAME, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise RequestError(f"{where}: unknown option {_shown(name)}.{hint}")
    checked = defaults()
    for name, value in values.items():
        checked[name] = _check_value(BY_NAME[name], value, where)
    return checked


def check_one(name: str, value: Any, *, where: str) -> Any:
    """One value, checked as `check` does."""
    return _check_value(BY_NAME[name], value, where)


def _shown(value: Any) -> str:
    # YAML's anchors make a value of any size, or without an end, in a few lines.
    shortly = reprlib.Repr()
    shortly.maxstring = shortly.maxother = 60
    text = shortly.repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _check_value(option: Option, value: Any, where: str) -> Any:
    def wrong(expected: str) -> RequestError:
        return RequestError(f"{where}: {option.name} is {_shown(value)}, but must be {expected}.")

    match option.kind:
        case "domain":
            if not isinstance(value, str):
                raise wrong("a domain such as sip.example.test")
            try:
                return check_domain(value)
            except RequestError as error:
                raise RequestError(f"{where}: {option.name}: {error}") from error
        case "boolean":
            if not isinstance(value, bool):
                raise wrong("true or false")
        case "port":
            if not _is_port(value):
                raise wrong("a port from 1 to 65535")
        case "port range":
            if not (
                isinstance(value, list)
                and len(value) == 2
                and all(_is_port(port) for port in value)
                and value[0] < value[1]
            ):
                raise wrong("two ports, first and last, such as [10000, 20000]")
        case "seconds":
            # 0 would read the file at every login, which Flexisip's own documentation warns of.
            if not _is_int(value) or not 1 <= value <= 86400:
                raise wrong("a whole number of seconds from 1 to 86400")
        case "count":
            if not _is_int(value) or not 1 <= value <= 1_000_000:
                raise wrong("a whole number from 1 to 1000000")
        case "transports":
            return _check_choice(value, TRANSPORTS, wrong)
        case "algorithms":
            return _check_choice(value, ALGORITHMS, wrong)
        case "log level":
            if value not in LOG_LEVELS:
                raise wrong("one of " + ", ".join(LOG_LEVELS))
        case "address":
            if value != "" and not _is_address(value):
                raise wrong("an IPv4 or IPv6 address, or empty")
        case "url":
            if value != "" and not _is_url(value):
                raise wrong("an http or https URL without blanks and without a password, or empty")
        case "word":
            if not (
                isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]*|", value)
            ):
                raise wrong("one word of letters, digits, dots and hyphens")
        case "words":
            if not (
                isinstance(value, list)
                and value
                and all(isinstance(w, str) and re.fullmatch(r"[A-Za-z0-9._-]+", w) for w in value)
            ):
                raise wrong("a list of words such as [stable]")
        case "fingerprint":
            return _check_fingerprint(value, wrong)
        case "path":
            if not isinstance(value, str) or re.search(r"[\x00-\x1f\x7f{}]", value):
                raise wrong("the path of a file")
        case "absolute path":
            # The same path is read by whoever runs the playbook, from wherever that is.
            if not isinstance(value, str) or re.search(r"[\x00-\x1f\x7f{}]", value):
                raise wrong("the path of a file")
            if value and (not value.startswith("/") or value != value.strip()):
                raise wrong("a path that begins with /, or empty")
        case "settings":
            return _check_settings(value, option, where)
        case kind:  # pragma: no cover - a mistake in the table above
            raise AssertionError(kind)
    return value


def _check_choice(value: Any, choices: tuple[str, ...], wrong: Any) -> list[str]:
    """A non-empty list of some of `choices`, each once."""
    if not (
        isinstance(value, list)
        and value
        and all(isinstance(one, str) and one in choices for one in value)
        and len(set(value)) == len(value)
    ):
        raise wrong(f"a list of some of {', '.join(choices)}")
    return list(value)


def _check_fingerprint(value: Any, wrong: Any) -> str:
    digits = value.replace(" ", "").upper() if isinstance(value, str) else "?"
    one = "(?:[0-9A-F]{40}|[0-9A-F]{64})"
    if digits and not re.fullmatch(f"{one}(?:,{one})*", digits):
        raise wrong("40 or 64 hexadecimal digits (in quotes; several with commas), or empty")
    return digits


def _check_settings(value: Any, option: Option, where: str) -> dict[str, dict[str, str]]:
    """Extra settings as text: YAML's true and 5 become what flexisip.conf writes for them."""
    expected = "sections with keys, such as {module::Registrar: {max-expires: 3600}}"
    if not isinstance(value, dict):
        raise RequestError(f"{where}: {option.name} is {_shown(value)}, but must be {expected}.")
    checked: dict[str, dict[str, str]] = {}
    for section, settings in value.items():
        if not isinstance(section, str) or not isinstance(settings, dict):
            raise RequestError(f"{where}: {option.name}: {_shown(section)} is not {expected}.")
        if re.search(_CONTROL, section):
            raise RequestError(
                f"{where}: {option.name}: {_shown(section)} holds a control character."
            )
        checked[section] = {}
        for key, setting in settings.items():
            if isinstance(setting, bool):
                text = "true" if setting else "false"
            elif isinstance(setting, (str, int, float)):
                text = str(setting)
            else:
                raise RequestError(
                    f"{where}: {option.name}: [{section}] {_shown(key)} is {_shown(setting)}, "
                    "but must be a text, a number or true/false."
                )
            if not isinstance(key, str):
                raise RequestError(f"{where}: {option.name}: {_shown(key)} is not {expected}.")
            if re.search(_CONTROL, key + text):
                raise RequestError(
                    f"{where}: {option.name}: [{section}] {_shown(key)} holds a control character."
                )
            # Ansible would evaluate these on this machine, wherever the value came from.
            if re.search(r"\{[{%#]", section + key + text):
                raise RequestError(
                    f"{where}: {option.name}: [{section}] {_shown(key)} holds a template "
                    "expression, but must be plain text."
                )
            checked[section][key] = text
    if not checked:
        return checked
    from labtool.flexisip import extra  # its table is read where a lab has such settings only

    if unknown := extra.nowhere(checked):
        raise RequestError(f"{where}: {option.name}: {'; '.join(unknown)}.")
    return checked


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_port(value: Any) -> bool:
    return _is_int(value) and 1 <= value <= 65535


def _is_address(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(check_address(value))
    except RequestError:
        return False


def _is_url(value: Any) -> bool:
    if not isinstance(value, str) or re.search(r"[\s\x00-\x1f\"'<>{}\[\]|\\^`]", value):
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    # A name and password in it would end up in a world-readable source list.
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
