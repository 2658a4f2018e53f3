"""The names that a lab is given: users, domains, hosts. Checked before anything is done with them.

What is allowed is what every part can hold: users.db.txt (its grammar), SIP (RFC 3261, 25.1),
host names (RFC 1123, 2.1) and clients.
"""

from __future__ import annotations

import re

from labtool.errors import RequestError
from labtool.flexisip.characters import name_of, shown

# Of the grammar's characters, "%" never logs in (measured), ":" ends the name in digest
# (RFC 7616, 3.4.2), and "`" is not in a SIP user part (RFC 3261, 25.1).
_USER = re.compile(r"[A-Za-z0-9\-.!*_+'~]+")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_LONGEST_USER = 64
_LONGEST_DOMAIN = 253
_LONGEST_LABEL = 63


def check_user(name: str) -> str:
    """The name of an account, returned as it is. Raises RequestError."""
    right = "a user name is made of letters, digits and - . _ + ! * ' ~"
    if not name:
        raise RequestError(f"the user name is empty; {right}")
    if "@" in name:
        user, _, _ = name.partition("@")
        raise RequestError(
            f"the user name {shown(name)} has an at sign: give the part before it alone, as in "
            f"{shown(user or 'alice')}; the domain is the lab's"
        )
    _check_characters("user name", name, _USER, right)
    if len(name) > _LONGEST_USER:
        raise RequestError(
            f"the user name {shown(name)} has {len(name)} characters; at most {_LONGEST_USER}"
        )
    return name


def check_domain(text: str) -> str:
    """The domain of a lab, a host name or an IPv4 address, as it is. Raises RequestError."""
    right = "a domain looks like sip.example.test"
    if not text:
        raise RequestError(f"the domain is empty; {right}")
    lower = text.lower()
    if text != lower and re.fullmatch(r"[a-z0-9.-]+", lower):
        raise RequestError(
            f"the domain {shown(text)} has upper-case letters, and to Flexisip that is another "
            f"domain than {shown(lower)} (clients would get 403 Domain forbidden); write {lower}"
        )
    _check_characters("domain", text, re.compile(r"[a-z0-9.-]+"), f"{right}: a-z, 0-9, - and dots")
    if len(text) > _LONGEST_DOMAIN:
        raise RequestError(
            f"the domain {shown(text)} has {len(text)} characters; at most {_LONGEST_DOMAIN}"
        )
    for label in text.split("."):
        if not label:
            raise RequestError(f"the domain {shown(text)} has an empty part; {right}")
        if len(label) > _LONGEST_LABEL or _LABEL.fullmatch(label) is None:
            raise RequestError(
                f"the domain {shown(text)} has a part, {shown(label)}, that begins or ends with a "
                f"hyphen or is longer than {_LONGEST_LABEL} characters; {right}"
            )
    if re.fullmatch(r"[0-9.]+", text) and not _is_address(text):
        raise RequestError(f"the domain {shown(text)} is not an IPv4 address; {right}")
    return text


def check_host(text: str) -> str:
    """A machine to reach, a name or an IPv4 or IPv6 address, as it is. Raises RequestError."""
    right = "give a host name or an address, like sip.example.test or 192.0.2.10"
    if not text:
        raise RequestError(f"the host is empty; {right}")
    if text.startswith("-"):
        raise RequestError(f"the host {shown(text)} begins with a hyphen; {right}")
    if "://" in text:
        raise RequestError(f"the host {shown(text)} is a URL; {right}, without the scheme")
    if "@" in text:
        raise RequestError(
            f"the host {shown(text)} has an at sign; {right}, and the login with --user"
        )
    if re.fullmatch(r"[^:]+:[0-9]+", text):
        raise RequestError(f"the host {shown(text)} has a port; {right}, and the port with --port")
    if ":" in text:
        if _is_address(text):
            return text
        raise RequestError(f"the host {shown(text)} is not an IPv6 address; {right}, with no port")
    _check_characters("host", text, re.compile(r"[A-Za-z0-9_.-]+"), right)
    if _HOST.fullmatch(text) is None or ".." in text or len(text) > _LONGEST_DOMAIN:
        raise RequestError(f"the host {shown(text)} is not a host name; {right}")
    if re.fullmatch(r"[0-9.]+", text) and not _is_address(text):
        raise RequestError(f"the host {shown(text)} is not an IPv4 address; {right}")
    return text


def check_address(text: str, what: str = "address") -> str:
    """An IPv4 or IPv6 address, as it is. Raises RequestError."""
    if not _is_address(text):
        raise RequestError(f"the {what} {shown(text)} is not an IP address, like 192.0.2.10")
    return text


def _check_characters(what: str, text: str, allowed: re.Pattern[str], right: str) -> None:
    match = allowed.match(text)
    good = match.end() if match else 0
    if good < len(text):
        raise RequestError(
            f"the {what} {shown(text)} has {name_of(text[good])} as its character {good + 1}; "
            f"{right}"
        )


def _is_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text
