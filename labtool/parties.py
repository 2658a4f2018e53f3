"""Who a probe signs in as: accounts named by the user, else those of the lab."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labtool.errors import RequestError
from labtool.probe.account import Account
from labtool.probe.target import Target
from labtool.sip.digest import Secret

if TYPE_CHECKING:
    from labtool.inventory import Lab


@dataclass(frozen=True)
class Wanted:
    """One party as it was asked for: a name, and a secret, where they were given."""

    user: str | None = None
    secret: Secret | None = None


def lab(path: Path) -> Lab | None:
    """The lab, where there is one: a probe works without."""
    if not path.exists():
        return None  # without importing what reads YAML: a check is shorter than that import
    from labtool import inventory

    return inventory.read(path) if inventory.exists(path) else None


def domain(known: Lab | None, target: Target, given: str | None) -> str:
    """The users' domain: as given, else the lab's, else the target's name.

    Raises RequestError for what is no domain.
    """
    chosen = given or str((known.options.get("flexisip_domain") if known else None) or target.host)
    if not _is_address(chosen):
        from labtool.flexisip.names import check_domain

        check_domain(chosen)
    return chosen


def issuer(path: Path, target: Target) -> str | None:
    """The issuer of the lab's certificate, for a server of the lab; None where it is not one."""
    known = lab(path)
    if known is None:
        return None
    from labtool import certificates

    names = {known.options.get("flexisip_domain"), known.options["flexisip_public_address"]}
    names |= {name for host in known.hosts for name in (host.name, host.address)}
    if target.host not in names or not certificates.wanted(known.options):
        return None
    found = certificates.ca_file(known.options, path)
    return found if found and Path(found).is_file() else None


def chosen(
    known: Lab | None, target: Target, given: str | None, wanted: tuple[Wanted, ...]
) -> list[Account]:
    """An account for each of `wanted`; who has no name is the lab's next user.

    Raises RequestError where the lab has not enough users, or a password is missing.
    """
    names = [one.user for one in wanted]
    spare = iter([a.name for a in known.accounts if a.name not in names] if known else [])
    return [_account(known, target, given, one, spare) for one in wanted]


def _account(
    known: Lab | None, target: Target, given: str | None, one: Wanted, spare: Iterator[str]
) -> Account:
    user = one.user or next(spare, None)
    if user is None:
        raise RequestError(
            "Users are needed: name them with --user (and --to for who is called), or run this "
            "where there is a lab with two users (labtool add-user)."
        )
    from labtool.flexisip.names import check_user

    check_user(user)
    if one.secret is not None:
        return Account(user, domain(known, target, given), one.secret)
    if known is not None and any(a.name == user for a in known.accounts):
        from labtool import accounts

        account = known.account(user)
        return Account(user, given or account.domain, accounts.secret(account))
    raise RequestError(
        f"The password of {user} is needed: give it with a password file or --ask-password."
    )


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False
