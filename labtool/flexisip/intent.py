"""What a lab wants, as the settings of the release that serves it.

A pure function: the same intent and release give the same sections, in the same order, with the
reasons as comments. Names follow the release through the table of settings. Sources of the
choices: what was measured on 2.5.2 and 2.3.4, named beside each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from labtool.errors import RequestError
from labtool.flexisip import conf, conf_lint, extra, names
from labtool.flexisip.characters import shown
from labtool.flexisip.findings import Refusal, Severity
from labtool.flexisip.releases import LATEST
from labtool.flexisip.settings import Schema, Setting, schema, table
from labtool.flexisip.startup import DIGESTS, LOG_LEVELS

TRANSPORTS = ("udp", "tcp", "tls")
HEADER = (
    "This file is managed by labtool: a change made here is lost at the next deployment.",
    "Change the lab's lab.yml instead. It holds comments at the start of a line only, on purpose:",
    "Flexisip takes one behind a value for a part of the value.",
)
# Packets a second from one address, over three seconds. A classroom of forty behind one NAT signs
# in at once with about 60; the default of 20 bans them all for two minutes.
FLOOD_PACKETS_PER_SECOND = 100
FLOOD_BAN_MIN = 2
# stun-server/port, which is no option of a lab.
STUN_PORT = 3478


@dataclass(frozen=True)
class Intent:
    """What a lab wants of its server.

    public_address: under which clients reach it, where that is not an address of the machine
    itself (1:1 NAT, as in clouds); private_address is then the machine's own. Either may also be
    given alone, to be known as a name of the server. rtp_ports: first and last UDP port of media.
    cache_expire_s: seconds after which a changed users file is noticed. udp_mtu: bytes.
    tls_certificate, tls_key: files on the server; tls_directory: where agent.pem and cafile.pem are,
    for releases that take no files. tls_for_address: the certificate is for the public address, too,
    not for the domain alone. tls_comment: stands above it. flood_packet_rate: packets a second from
    one address; flood_ban_min: minutes for which one that sends more is not heard.
    clients_on_server_host: telephones run on the server's own address. loopback: serve this
    machine only (the demo, the sandbox). extra: settings by section and key that come before ours.
    """

    domain: str
    transports: tuple[str, ...] = ("udp", "tcp")
    public_address: str | None = None
    private_address: str | None = None
    port: int = 5060
    tls_port: int = 5061
    tls_certificate: str = ""
    tls_key: str = ""
    tls_directory: str = ""
    tls_for_address: bool = False
    tls_comment: str = ""
    algorithms: tuple[str, ...] = ("MD5", "SHA-256")
    media_relay: bool = True
    rtp_ports: tuple[int, int] = (10000, 20000)
    stun: bool = False
    flood_protection: bool = True
    flood_packet_rate: int = FLOOD_PACKETS_PER_SECOND
    flood_ban_min: int = FLOOD_BAN_MIN
    log_level: str = "message"
    log_directory: str | None = None
    cache_expire_s: int = 5
    udp_mtu: int = 65535
    clients_on_server_host: bool = False
    loopback: bool = False
    users_file: str = "/etc/flexisip/users.db.txt"
    extra: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """``key=value`` with the reason for it, which may be empty."""

    key: str
    value: str
    comment: str = ""


@dataclass(frozen=True)
class Section:
    """A section of flexisip.conf: its lines in order."""

    name: str
    settings: tuple[Line, ...]
    comment: str = ""

    def to_dict(self) -> dict[str, object]:
        """As an element of the template's variable ``flexisip_sections``: plain lists and dicts."""
        lines = [
            {"key": line.key, "value": line.value, "comment": line.comment}
            for line in self.settings
        ]
        return {"name": self.name, "comment": self.comment, "settings": lines}


def settings_for(intent: Intent, release: str = LATEST) -> tuple[Section, ...]:
    """The sections of flexisip.conf for ``release``, in order, extra settings included.

    Raises RequestError if the intent cannot be had, or if an extra setting would be refused.
    """
    check(intent)
    known = schema(release)
    wanted = (
        _global(intent, known),
        Section("stun-server", (_stun(intent),)),
        _flood_protection(intent),
        _registrar(intent),
        _authentication(intent),
        _media_relay(intent),
    )
    sections = tuple(
        Section(section.name, tuple(_named(section, known)), section.comment)
        for section in wanted
        if section.name in known.sections
    )
    result = _with_extra(sections, extra.checked(intent.extra, release))
    _check_start(result, release)
    return result


def render(sections: Iterable[Section]) -> str:
    """The file of these sections, as templates/flexisip.conf.j2 prints it."""
    lines = [f"# {line}" for line in HEADER]
    for section in sections:
        lines.append("")
        if section.comment:
            lines.append(f"# {section.comment}")
        lines.append(f"[{section.name}]")
        for setting in section.settings:
            if setting.comment:
                lines.append(f"# {setting.comment}")
            lines.append(f"{setting.key}={setting.value}")
    return "\n".join(lines) + "\n"


def check(intent: Intent) -> None:
    """Whether the intent can be had at all. Raises RequestError with what would be right."""
    names.check_domain(intent.domain)
    for what, address in (
        ("public address", intent.public_address),
        ("private address", intent.private_address),
    ):
        if address is not None:
            names.check_address(address, what)
    _check_members("transport", intent.transports, TRANSPORTS)
    _check_members("digest algorithm", intent.algorithms, DIGESTS)
    _check_members("log level", (intent.log_level,), LOG_LEVELS)
    low, high = intent.rtp_ports
    for what, port in (
        ("port", intent.port),
        ("TLS port", intent.tls_port),
        ("first RTP port", low),
        ("last RTP port", high),
    ):
        if not 1 <= port <= 65535:
            raise RequestError(f"the {what} {port} is not between 1 and 65535")
    if high - low < 3:
        raise RequestError(
            f"the RTP ports {low} to {high} are too few: a call takes four, so give at least four "
            "(10000 to 20000 is usual)"
        )
    _check_media_ports(intent)
    if intent.cache_expire_s < 1:
        raise RequestError(
            f"cache_expire_s is {intent.cache_expire_s}; give at least 1 second (5 is usual), "
            "since 0 makes the server read its users file at every request"
        )
    if not 1000 <= intent.udp_mtu <= 65535:
        raise RequestError(f"udp_mtu is {intent.udp_mtu}; give 1000 to 65535 bytes")
    if "tls" in intent.transports and not (intent.tls_certificate and intent.tls_key):
        raise RequestError("TLS needs a certificate and its key; give the paths of both files")
    if intent.port == intent.tls_port and {"tcp", "tls"} <= set(intent.transports):
        raise RequestError(f"TCP and TLS cannot share the port {intent.port}; give TLS another one")
    for what, number in (
        ("packet rate of the flood protection", intent.flood_packet_rate),
        ("ban time of the flood protection", intent.flood_ban_min),
    ):
        if number < 1:
            raise RequestError(f"the {what} is {number}; give at least 1, or turn it off")
    for what, path in (
        ("users file", intent.users_file),
        ("log directory", intent.log_directory),
        ("TLS certificate", intent.tls_certificate or None),
        ("TLS key", intent.tls_key or None),
        ("TLS directory", intent.tls_directory or None),
    ):
        if path is not None and (
            not path.startswith("/") or path != path.strip() or not path.isprintable()
        ):
            raise RequestError(f"the {what} {shown(path)} is not an absolute path")


def _check_media_ports(intent: Intent) -> None:
    """Whether the relay leaves the server's other ports alone."""
    if not intent.media_relay:
        return
    low, high = intent.rtp_ports
    for used, what, port in (
        (True, "SIP port", intent.port),
        ("tls" in intent.transports, "TLS port", intent.tls_port),
        (intent.stun, "STUN port", STUN_PORT),
    ):
        if used and low <= port <= high:
            raise RequestError(
                f"the RTP ports {low} to {high} contain the {what} {port}; give a range without it "
                "(10000 to 20000 is usual)"
            )


def doubts(intent: Intent, release: str = LATEST) -> list[str]:
    """Why the extra settings would leave a server open to all, or of no use, a sentence each.

    It starts with them, so nothing else would keep it from serving that way. What lint says of the
    lab without them counts for nothing here. Raises as ``settings_for`` does.
    """
    if not intent.extra:
        return []
    given = extra.checked(intent.extra, release)
    found = conf_lint.findings(render(settings_for(intent, release)), release)
    return [
        f"The extra setting {finding.key} cannot be meant: {finding.message} Take it out of "
        "flexisip_settings in lab.yml"
        + (f", or write {finding.fix_shown}." if finding.fix else ".")
        for finding in found
        if finding.severity in (Severity.INSECURE, Severity.BROKEN)
        and finding.key.partition("/")[2] in given.get(finding.key.partition("/")[0], {})
    ]


def _check_start(sections: Iterable[Section], release: str) -> None:
    """Whether the release starts on the whole: extra settings may contradict each other or ours."""
    text = render(sections)
    refusal = conf.read(text, release, exists=lambda _path: True)
    if isinstance(refusal, Refusal):
        why = refusal.text.split("\n")[0] or "it aborts"
        line = text.split("\n")[refusal.line - 1] if refusal.line else ""
        where = f" on {shown(line)}" if line else ""
        raise RequestError(f"Flexisip {release} would not start{where}: {why}")


def _check_members(what: str, given: Sequence[str], possible: Sequence[str]) -> None:
    right = f"possible are {', '.join(possible)}"
    if not given:
        raise RequestError(f"no {what} is given; {right}")
    for word in given:
        if word not in possible:
            raise RequestError(f"the {what} {shown(word)} does not exist; {right}")


# ------------------------------------------------------------------------- what each section says


def _is_translated(intent: Intent) -> bool:
    """Whether clients reach the machine under an address that it does not have (1:1 NAT)."""
    return (
        intent.public_address is not None
        and intent.private_address is not None
        and intent.public_address != intent.private_address
        and not intent.loopback
    )


def _global(intent: Intent, known: Schema) -> Section:
    lines = [Line("log-level", intent.log_level)]
    if intent.log_directory is not None:
        lines.append(Line("log-directory", intent.log_directory))
    lines += [
        Line("transports", _transports(intent), _transports_comment(intent)),
        Line(
            "aliases",
            " ".join(_aliases(intent)),
            "every name and address by which clients reach this server: without it, 482 or silence",
        ),
        Line(
            "udp-mtu",
            str(intent.udp_mtu),
            "larger messages are tried over TCP first, which behind a NAT costs 5 s a call",
        ),
    ]
    if "tls" in intent.transports:
        lines += _certificate(intent, known)
    return Section("global", tuple(lines))


def _certificate(intent: Intent, known: Schema) -> list[Line]:
    """Two files from 2.2 on; before that a folder, in which both are agent.pem."""
    if "tls-certificates-file" in known.sections["global"]:
        return [
            Line("tls-certificates-file", intent.tls_certificate, intent.tls_comment),
            Line("tls-certificates-private-key", intent.tls_key),
        ]
    if not intent.tls_directory:
        raise RequestError(
            "TLS with a certificate file needs Flexisip 2.2 or later; older ones take a "
            "directory that holds agent.pem (extra setting global/tls-certificates-dir)"
        )
    return [Line("tls-certificates-dir", intent.tls_directory, intent.tls_comment)]


def _transports(intent: Intent) -> str:
    if intent.loopback:
        where, suffix = "127.0.0.1", ""
    elif _is_translated(intent):
        where = _in_uri(intent.public_address or "")
        suffix = f";maddr={_in_uri(intent.private_address or '')}"
    else:
        where, suffix = "*", ""
    plain = [name for name in ("udp", "tcp") if name in intent.transports]
    only = f";transport={plain[0]}" if len(plain) == 1 else ""
    uris = [f"sip:{where}:{intent.port}{suffix}{only}"] if plain else []
    if "tls" in intent.transports:
        bound = intent.private_address if _is_translated(intent) else intent.public_address
        if bound and not intent.loopback and not intent.tls_for_address:
            # Clients compare the certificate with this name, which Record-Route gives them.
            where, suffix = intent.domain, f";maddr={_in_uri(bound)}"
        uris.append(f"sips:{where}:{intent.tls_port}{suffix}")
    return " ".join(uris)


def _transports_comment(intent: Intent) -> str:
    if not _is_translated(intent):
        return ""
    # Measured on 2.5.2: maddr is what is bound, the host is what Via and Record-Route say.
    return "the public address is not the machine's own: it is announced, the private one is bound"


def _aliases(intent: Intent) -> list[str]:
    wanted = [intent.domain, intent.public_address, intent.private_address]
    if intent.loopback:
        wanted += ["127.0.0.1", "localhost"]
    return list(dict.fromkeys(name for name in wanted if name))


def _in_uri(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _stun(intent: Intent) -> Line:
    comment = "" if intent.stun else "a STUN server open to everybody on UDP 3478 unless needed"
    return Line("enabled", _boolean(intent.stun), comment)


def _flood_protection(intent: Intent) -> Section:
    wanted = intent.flood_protection and not intent.loopback
    lines = [Line("enabled", _boolean(wanted))]
    if wanted:
        lines.append(
            Line(
                "packet-rate-limit",
                str(intent.flood_packet_rate),
                "the default of 20 packets a second bans a class behind one NAT, all at once",
            )
        )
        lines.append(Line("ban-time", str(intent.flood_ban_min), "minutes"))
    return Section("module::DoSProtection", tuple(lines))


def _registrar(intent: Intent) -> Section:
    lines = (
        Line("enabled", "true"),
        Line("reg-domains", intent.domain),
        Line("db-implementation", "internal"),
    )
    return Section("module::Registrar", lines)


def _authentication(intent: Intent) -> Section:
    lines = (
        Line("enabled", "true", "off by default: the server would be open to all"),
        Line("auth-domains", intent.domain),
        Line("available-algorithms", " ".join(intent.algorithms)),
        Line("db-implementation", "file"),
        Line("file-path", intent.users_file),
        Line(
            "cache-expire",
            str(intent.cache_expire_s),
            "seconds until a changed users file is noticed; the default is half an hour",
        ),
    )
    return Section("module::Authentication", lines)


def _media_relay(intent: Intent) -> Section:
    low, high = intent.rtp_ports
    lines = [Line("enabled", _boolean(intent.media_relay))]
    if intent.media_relay:
        lines.append(
            Line("sdp-port-range", f"{low}-{high}", "UDP ports of media: open them in the firewall")
        )
        if _is_translated(intent):
            # Measured on 2.5.2: without it c= keeps the private address, even with maddr.
            lines.append(
                Line(
                    "force-public-ip-for-sdp-masquerading",
                    "true",
                    "media is sent to the public address, not to the private one",
                )
            )
        if intent.clients_on_server_host or intent.loopback:
            lines.append(
                Line("prevent-loops", "false", "clients run on the server's own address, too")
            )
    return Section("module::MediaRelay", tuple(lines))


def _boolean(value: bool) -> str:
    return "true" if value else "false"


# -------------------------------------------------------------------- names as the release has them


def _named(section: Section, known: Schema) -> Iterable[Line]:
    """The lines under the names that the release knows; a setting that it lacks is left out."""
    for line in section.settings:
        if known.find(section.name, line.key):
            yield line
            continue
        older = _older_names(section.name, line.key, known)
        ends = {name.key.rpartition("-")[2]: name for name in older}
        if {"min", "max"} <= ends.keys():
            low, _, high = line.value.partition("-")
            yield Line(ends["min"].key, low, line.comment)
            yield Line(ends["max"].key, high)
        elif older:
            yield Line(older[0].key, line.value, line.comment)


def _older_names(section: str, key: str, known: Schema) -> list[Setting]:
    name = f"{section}/{key}"
    return [
        row
        for row in table()
        if row.successor == name and row.exists_in(known.release) and row.section == section
    ]


def _with_extra(
    sections: tuple[Section, ...], more: Mapping[str, Mapping[str, str]]
) -> tuple[Section, ...]:
    """The sections with the extra settings in: one that is ours already takes the given value."""
    result = []
    for section in sections:
        given = more.get(section.name, {})
        kept = [
            Line(line.key, given[line.key]) if line.key in given else line
            for line in section.settings
        ]
        kept += [Line(key, value) for key, value in given.items() if not _has(section, key)]
        result.append(Section(section.name, tuple(kept), section.comment))
    ours = {section.name for section in sections}
    for name, given in more.items():
        if name not in ours and given:
            result.append(Section(name, tuple(Line(k, v) for k, v in given.items())))
    return tuple(result)


def _has(section: Section, key: str) -> bool:
    return any(line.key == key for line in section.settings)
