"""What the sandbox takes from a flexisip.conf, with the units resolved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from labtool.flexisip.releases import version
from labtool.flexisip.values import Conf
from labtool.sandbox.refusal import SandboxRefusal

__all__ = ["Authentication", "FloodLimit", "Registrar", "Settings"]

_AUTH, _REGISTRAR, _DOS = "module::Authentication", "module::Registrar", "module::DoSProtection"


@dataclass(frozen=True)
class Authentication:
    """module::Authentication; times in seconds."""

    enabled: bool
    domains: frozenset[str]
    algorithms: tuple[str, ...]
    qop: tuple[str, ...]
    realm: str
    realm_regex: re.Pattern[str] | None
    nonce_expires: float
    no_403: bool
    trusted_hosts: tuple[str, ...]
    users_path: str
    cache_expire: float

    def serves(self, domain: str) -> bool:
        """Whether a user of that domain is known here; case matters, as it does to Flexisip."""
        return domain in self.domains or "*" in self.domains


@dataclass(frozen=True)
class Registrar:
    """module::Registrar; times in seconds."""

    enabled: bool
    domains: frozenset[str]
    max_contacts: int
    max_contacts_at_once: int
    min_expires: int
    max_expires: int
    default_expires: int
    force_expires: int
    unique_id_parameters: tuple[str, ...]
    service_route: str
    # Recorded: 2.5.2 takes `Contact: *`, 2.3.4 answers 400.
    takes_star: bool

    def serves(self, domain: str) -> bool:
        return self.enabled and (domain in self.domains or "*" in self.domains)


@dataclass(frozen=True)
class FloodLimit:
    """module::DoSProtection: over `rate` packets per second, averaged over `period` seconds, a
    source is not heard for `ban` seconds."""

    enabled: bool
    rate: float
    period: float
    ban: float
    white_list: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """All of it. `warnings` say what the configuration asks for and the sandbox does not do."""

    release: str
    transports: tuple[str, ...]
    aliases: frozenset[str]
    authentication: Authentication
    registrar: Registrar
    flood: FloodLimit
    correct_contacts: bool
    fork_timeout: float
    idle_timeout: float
    udp_mtu: int
    certificate: str
    private_key: str
    ca_file: str
    certificate_dir: str
    certificate_check: float
    ciphers: str
    require_peer_certificate: bool
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, conf: Conf) -> Settings:
        """Raises SandboxRefusal for what would leave the sandbox without users to know."""
        authentication = _authentication(conf)
        if authentication.enabled and conf.text(_AUTH, "db-implementation") != "file":
            name = conf.text(_AUTH, "db-implementation")
            raise SandboxRefusal(
                f"module::Authentication/db-implementation={name}: the sandbox knows users from a "
                "file only; set it to 'file' and name one with file-path"
            )
        return cls(
            release=conf.release,
            transports=conf.words("global", "transports") or ("sip:*",),
            aliases=frozenset(name.lower() for name in conf.words("global", "aliases")),
            authentication=authentication,
            registrar=_registrar(conf),
            flood=FloodLimit(
                enabled=conf.flag(_DOS, "enabled"),
                rate=conf.number(_DOS, "packet-rate-limit"),
                period=conf.seconds(_DOS, "time-period") or 3.0,
                ban=conf.seconds(_DOS, "ban-time"),
                white_list=_addresses(conf.words(_DOS, "white-list")),
            ),
            correct_contacts=conf.flag("module::NatHelper", "enabled"),
            fork_timeout=conf.seconds("module::Router", "call-fork-timeout") or 90.0,
            idle_timeout=conf.seconds("global", "idle-timeout") or 3600.0,
            udp_mtu=conf.number("global", "udp-mtu") or 1460,
            certificate=conf.text("global", "tls-certificates-file"),
            private_key=conf.text("global", "tls-certificates-private-key"),
            ca_file=conf.text("global", "tls-certificates-ca-file"),
            certificate_dir=conf.text("global", "tls-certificates-dir"),
            certificate_check=conf.seconds("global", "tls-certificates-check-interval"),
            ciphers=conf.text("global", "tls-ciphers"),
            require_peer_certificate=conf.flag("global", "require-peer-certificate"),
            warnings=tuple(_warnings(conf)),
        )


def _authentication(conf: Conf) -> Authentication:
    pattern = conf.text(_AUTH, "realm-regex")
    try:
        regex = re.compile(pattern) if pattern else None
    except re.error as error:
        raise SandboxRefusal(f"module::Authentication/realm-regex: {error}", 255) from error
    return Authentication(
        enabled=conf.flag(_AUTH, "enabled"),
        domains=frozenset(conf.words(_AUTH, "auth-domains")),
        algorithms=conf.words(_AUTH, "available-algorithms") or ("MD5",),
        qop=() if conf.flag(_AUTH, "disable-qop-auth") else ("auth",),
        realm=conf.text(_AUTH, "realm"),
        realm_regex=regex,
        nonce_expires=conf.seconds(_AUTH, "nonce-expires"),
        no_403=conf.flag(_AUTH, "no-403"),
        trusted_hosts=_addresses(conf.words(_AUTH, "trusted-hosts")),
        users_path=conf.text(_AUTH, "file-path"),
        cache_expire=conf.seconds(_AUTH, "cache-expire"),
    )


def _registrar(conf: Conf) -> Registrar:
    def whole(key: str) -> int:
        return int(conf.seconds(_REGISTRAR, key))

    return Registrar(
        enabled=conf.flag(_REGISTRAR, "enabled"),
        domains=frozenset(conf.words(_REGISTRAR, "reg-domains")),
        max_contacts=conf.number(_REGISTRAR, "max-contacts-by-aor") or 12,
        max_contacts_at_once=conf.number(_REGISTRAR, "max-contacts-per-registration") or 12,
        min_expires=whole("min-expires"),
        max_expires=whole("max-expires") or 86400,
        default_expires=whole("default-expires") or 600,
        # Up to 2.3 the default, -1, is what switches it off.
        force_expires=max(0, whole("force-expires")),
        unique_id_parameters=conf.words(_REGISTRAR, "unique-id-parameters"),
        service_route=conf.text(_REGISTRAR, "service-route"),
        takes_star=version(conf.release) >= (2, 4, 0),
    )


def _addresses(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words that are addresses or networks; names are left out, since nothing is resolved."""
    found = []
    for word in words:
        try:
            ip_network(word.strip("[]"), strict=False)
        except ValueError:
            continue
        found.append(word.strip("[]"))
    return tuple(found)


def listed(host: str, hosts: tuple[str, ...]) -> bool:
    """Whether a numeric address is one of `hosts`, or in a network among them."""
    if host in hosts:
        return True
    if not any("/" in word for word in hosts):
        return False
    address = ip_address(host.partition("%")[0])
    return any(
        address in ip_network(word, strict=False)
        for word in hosts
        if (":" in word) == (":" in host)
    )


def _warnings(conf: Conf) -> list[str]:
    found = []
    if not conf.flag(_AUTH, "enabled"):
        found.append("module::Authentication is off: anyone may register and call")
    if conf.flag(_REGISTRAR, "enabled"):
        name = conf.text(_REGISTRAR, "db-implementation")
        if name != "internal":
            found.append(f"the sandbox keeps registrations in its own memory, not in {name}")
    for (section, key), value in conf.values.items():
        if key == "filter" and value and (section, key) in conf.items:
            found.append(f"[{section}] filter: the sandbox does not evaluate it")
    not_here = ("module::Authorization", "module::Transcoder", "module::B2bua")
    for section in not_here:
        if (section, "enabled") in conf.values and conf.flag(section, "enabled"):
            found.append(f"[{section}] is enabled: the sandbox has no such module")
    return found
