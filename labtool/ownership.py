"""Whose server a host is, where the lab does not remember to have deployed it. Pure.

A deployment replaces the configuration and the users: on a server that somebody set up by hand, or
from another lab, that is told before anything is changed.
"""

from __future__ import annotations

from collections.abc import Mapping

# What the registrar and the authentication serve by themselves; no domain of anybody's.
_NOBODYS = ("localhost", "*")
_NAMED = 10


def foreign(said: str, accounts: Mapping[str, Mapping[str, str]], domain: str, host: str) -> str:
    """Why a lab's deployment would wipe what somebody else serves, a few sentences; "" where not.

    `said` is what served.sh printed ("" where the lab is known there), `accounts` and `domain` are
    the lab's. The package's own configuration serves nobody; one that labtool wrote for the same
    domain is this lab's as long as the lab has each of its users.
    """
    lines = [line.strip().partition(" ") for line in said.splitlines()]
    by_labtool = ("labtool", " ", "yes") in lines
    domains = {value for word, _, value in lines if word == "domain"} - {*_NOBODYS}
    users = {value for word, _, value in lines if word == "user"}
    going = sorted(users - {f"{name}@{one['domain']}" for name, one in accounts.items()})
    if not domains and not users:
        return ""
    if by_labtool and domains <= {domain} and not going:
        return ""
    more = f" and {len(going) - _NAMED} more" if len(going) > _NAMED else ""
    gone = f" These users would be gone: {', '.join(going[:_NAMED])}{more}." if going else ""
    return (
        f"A Flexisip serves {', '.join(sorted(domains)) or 'its users'} there, and it was not set up by "
        f"this lab: a deployment would replace its configuration and its users.{gone} Nothing was "
        f"changed. To take it over: labtool import {host} -i taken-over. To replace it all the same: "
        "labtool deploy --replace (with ansible-playbook: -e '{\"flexisip_replace\": true}')."
    )
