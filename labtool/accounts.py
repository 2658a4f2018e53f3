"""Accounts of a lab: made, changed and removed. Pure but for the random password."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from labtool.errors import RequestError
from labtool.flexisip import passwords
from labtool.flexisip.names import check_user
from labtool.inventory import Account, Lab
from labtool.sip.digest import Ha1, ha1

# users.db.txt's word for an algorithm, and SIP's (RFC 8760).
ALGORITHMS = {"md5": "MD5", "sha256": "SHA-256"}

# The users of a lab that has none: two, because a call needs two.
FIRST_USERS = ("alice", "bob")


def account(name: str, domain: str, password: str | None = None) -> tuple[Account, str]:
    """An account and its password, which is generated where none is given.

    Both hashes are kept, so that MicroSIP (MD5) and Linphone (SHA-256) sign in alike.
    Raises RequestError for a name that users.db.txt cannot hold, or a password that nobody can type.
    """
    check_user(name)
    if password is None:
        password = passwords.generate()
    passwords.check(password)
    hashes = {key: ha1(name, domain, password, digest) for key, digest in ALGORITHMS.items()}
    return Account(name, domain, hashes), password


def secret(account: Account) -> Ha1:
    """What the probe signs in with: the hashes, under SIP's names of the algorithms."""
    return Ha1({ALGORITHMS[key]: value for key, value in account.hashes.items()})


def added(lab: Lab, new: Account) -> tuple[Account, ...]:
    """The lab's accounts with a new one. Raises RequestError where it has that name already."""
    if any(one.name == new.name for one in lab.accounts):
        raise RequestError(
            f"The user {new.name} exists already. To change the password: "
            f"labtool set-password {new.name}"
        )
    return (*lab.accounts, new)


def removed(lab: Lab, name: str) -> tuple[Account, ...]:
    """The lab's accounts without one. Raises RequestError where there is none of that name."""
    lab.account(name)
    return tuple(one for one in lab.accounts if one.name != name)


def changed(lab: Lab, new: Account) -> tuple[Account, ...]:
    """The lab's accounts with one's hashes replaced. Raises RequestError as `removed` does."""
    old = lab.account(new.name)
    return tuple(
        replace(one, domain=new.domain, hashes=new.hashes) if one is old else one
        for one in lab.accounts
    )


def merged(lab: Lab, more: Iterable[Account]) -> tuple[Account, ...]:
    """The lab's accounts with these; one of the same name is replaced."""
    return tuple({one.name: one for one in (*lab.accounts, *more)}.values())
