"""Which addresses can be reached from where."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

#: Addresses that no packet from the Internet can be sent to (RFC 1918, 3927, 4193, 4291, 6598).
#: Python's `is_private` counts the documentation networks too, which labs use as public ones.
_PRIVATE = [
    ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
        *("127.0.0.0/8", "fc00::/7", "fe80::/10", "::1/128"),
    )
]
_cache: dict[str, bool] = {}


def is_private(host: str) -> bool:
    """Whether `host` is an address that only its own network can reach; False for a name."""
    known = _cache.get(host)
    if known is None:
        try:
            found = ip_address(host.partition("%")[0])
            known = any(found in network for network in _PRIVATE)
        except ValueError:
            known = False
        if len(_cache) < 10_000:
            _cache[host] = known
    return known


def written(host: str) -> str:
    """An address as packets have it: IPv6 may be written in many ways (RFC 5952)."""
    if ":" not in host:
        return host
    try:
        return str(ip_address(host.partition("%")[0]))
    except ValueError:
        return host
