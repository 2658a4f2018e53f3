"""What DNS says of a SIP domain: A, AAAA, SRV and NAPTR (RFC 3263), asked with dnspython."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

LIFETIME_S = 3.0

# RFC 3263 section 4.1: the service of each transport, and what NAPTR calls it.
SERVICES = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
NAPTR_SERVICES = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}

# Names that are in no public DNS, on purpose: RFC 2606, 6761, 6762, 8375, and .internal (ICANN 2024).
_PRIVATE = (
    "test", "example", "invalid", "localhost", "local", "internal", "lan", "home.arpa",
    "example.com", "example.net", "example.org",
)  # fmt: skip


@dataclass(frozen=True)
class Srv:
    """An SRV record; `addresses` are those of its target."""

    transport: str
    priority: int
    weight: int
    port: int
    target: str
    addresses: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = ", ".join(self.addresses) or "no address"
        service = SERVICES[self.transport]
        return f"{service} SRV {self.priority} {self.weight} {self.port} {self.target} ({where})"


@dataclass(frozen=True)
class Naptr:
    service: str
    replacement: str

    def __str__(self) -> str:
        return f"NAPTR {self.service} {self.replacement}"


@dataclass(frozen=True)
class Names:
    """The records of a domain. `error`: why they are not known, "" where they were asked for.

    `private`: the domain is one that no public DNS has, so that nothing in it is no fault.
    """

    domain: str = ""
    a: tuple[str, ...] = ()
    aaaa: tuple[str, ...] = ()
    srv: tuple[Srv, ...] = ()
    naptr: tuple[Naptr, ...] = ()
    error: str = ""
    private: bool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address to which a client may be sent."""
        found = [*self.a, *self.aaaa, *(one for srv in self.srv for one in srv.addresses)]
        return tuple(dict.fromkeys(found))

    def lines(self) -> list[str]:
        """The records as text, one a line."""
        rows = [f"{self.domain} A {one}" for one in self.a]
        rows += [f"{self.domain} AAAA {one}" for one in self.aaaa]
        return rows + [str(one) for one in (*self.srv, *self.naptr)]


def is_address(text: str) -> bool:
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def is_private(domain: str) -> bool:
    """Whether no public DNS can have this name."""
    name = domain.lower().rstrip(".")
    return "." not in name or any(name == end or name.endswith(f".{end}") for end in _PRIVATE)


Ask = Callable[[str, str], Sequence[Any]]


def look_up(
    domain: str, ask: Ask | None = None, *, nameserver: tuple[str, int] | None = None
) -> Names:
    """The records of a domain, by the system's name servers or by `nameserver`. Empty for an address.

    `ask(name, type)` gives the records, empty where there are none; it raises OSError where no
    name server answers.
    """
    if not domain or is_address(domain):
        return Names(domain)
    private = is_private(domain)
    try:
        ask = ask or _resolver(nameserver)
    except ImportError:
        return Names(domain, error="the package dnspython is missing", private=private)
    except OSError as error:
        return Names(domain, error=str(error), private=private)
    questions = [(domain, "A"), (domain, "AAAA"), (domain, "NAPTR")]
    questions += [(f"{service}.{domain}", "SRV") for service in SERVICES.values()]
    try:
        with ThreadPoolExecutor(len(questions)) as pool:
            a, aaaa, naptr, *services = pool.map(lambda question: ask(*question), questions)
            found = [
                (transport, record)
                for transport, records in zip(SERVICES, services, strict=True)
                for record in records
                # RFC 2782: the target "." says that the service is decidedly not there.
                if str(record.target) != "."
            ]
            targets = list(dict.fromkeys(str(record.target).rstrip(".") for _, record in found))
            where = dict(
                zip(targets, pool.map(lambda name: _both(ask, name), targets), strict=True)
            )
    except OSError as error:
        return Names(domain, error=str(error), private=private)
    return Names(
        domain,
        tuple(str(one) for one in a),
        tuple(str(one) for one in aaaa),
        tuple(
            Srv(transport, one.priority, one.weight, one.port, name, where[name])
            for transport, one in found
            for name in [str(one.target).rstrip(".")]
        ),
        tuple(Naptr(_text(one.service), str(one.replacement).rstrip(".")) for one in naptr),
        private=private,
    )


def _both(ask: Ask, name: str) -> tuple[str, ...]:
    return tuple(str(record) for kind in ("A", "AAAA") for record in ask(name, kind))


def _text(value: bytes | str) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value


def _resolver(nameserver: tuple[str, int] | None) -> Ask:
    import dns.exception
    import dns.resolver

    try:
        resolver = dns.resolver.Resolver(configure=nameserver is None)
    except dns.exception.DNSException as error:
        raise OSError(f"this machine has no usable name servers ({error})") from None

    if nameserver is not None:
        resolver.nameservers, resolver.port = [nameserver[0]], nameserver[1]

    def ask(name: str, kind: str) -> Sequence[Any]:
        try:
            return list(resolver.resolve(name, kind, lifetime=LIFETIME_S, search=False))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, UnicodeError, ValueError) as error:
            raise OSError(f"the name servers do not answer for {name} ({error})") from None

    return ask
