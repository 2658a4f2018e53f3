"""Who takes part in a load: the accounts of a users file, and the hosts that may be aimed at."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path

from labtool.errors import RequestError
from labtool.flexisip import users
from labtool.flexisip.findings import Refusal
from labtool.flexisip.users import UserEntry
from labtool.probe.account import Account
from labtool.probe.target import NameNotResolved, Target, resolve
from labtool.sip.digest import Ha1, Password, Secret

# users.db.txt's word for an algorithm, and SIP's (RFC 8760).
_ALGORITHMS = {"md5": "MD5", "sha256": "SHA-256"}


def from_users_file(path: Path, transport: str) -> tuple[Account, ...]:
    """The accounts of a users.db.txt, clear text or hashes. RequestError where it is none."""
    try:
        found = users.parse(path.read_bytes(), path=str(path))
    except OSError as error:
        raise RequestError(f"The users file {path} cannot be read: {error.strerror}.") from error
    if isinstance(found, Refusal):
        line = f" line {found.line}:" if found.line else ""
        raise RequestError(f"{path} is no users.db.txt:{line} {found.text}")
    return tuple(_account(entry, transport) for entry in found)


def _account(entry: UserEntry, transport: str) -> Account:
    clear = entry.passwords.get("clrtxt")
    secret: Secret
    if clear is not None:
        secret = Password(clear)
    else:
        hashes = {_ALGORITHMS[k]: v for k, v in entry.passwords.items() if k in _ALGORITHMS}
        secret = Ha1(hashes)
    return Account(entry.name, entry.domain, secret, transport)


def some(accounts: Sequence[Account], count: int | None) -> tuple[Account, ...]:
    """The first `count` of the accounts, all where it is None. RequestError for too few."""
    if not accounts:
        raise RequestError(
            "There are no users to register: add some to the lab (labtool add-user)."
        )
    if count is not None and count > len(accounts):
        raise RequestError(
            f"{count} users were asked for, and there are {len(accounts)}: "
            "add some to the lab, or name a --users-file with as many."
        )
    return tuple(accounts[:count])


def may_aim(target: Target, owned: Iterable[str]) -> bool:
    """Whether a load may be aimed there unasked: loopback, or a host that is one's own, by the name
    or address it is known by."""
    names = {name.lower().strip("[]") for name in owned if name}
    if target.host.lower() in names:
        return True
    try:
        addresses = {address.host for address in resolve(target, "udp")}
    except NameNotResolved:
        return False
    return all(address in names or _is_loopback(address) for address in addresses)


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
