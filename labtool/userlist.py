"""A list of accounts to take over: CSV (`name,password` a line), or a users.db.txt. Pure.

All or nothing: every line that cannot be taken is told with its number, and then none is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field

from labtool import accounts
from labtool.errors import RequestError
from labtool.flexisip import users
from labtool.flexisip.findings import Refusal
from labtool.flexisip.names import check_user
from labtool.inventory import Account

# Lines that are told before the rest is only counted.
_TOLD = 10
_HEADERS = ({"name", "password"}, {"user", "password"}, {"username", "password"})


@dataclass(frozen=True)
class Listed:
    """What a list came to: the accounts, and the passwords that labtool made for some of them."""

    accounts: tuple[Account, ...]
    generated: dict[str, str] = field(repr=False, default_factory=dict)


def read(text: str, domain: str, *, where: str, taken: Iterable[str] = ()) -> Listed:
    """The accounts of a list, for a lab of this domain.

    `where` names the file in messages, `taken` are names that the lab has already.
    Raises RequestError that names every line (the first ten) that cannot be taken, and no password.
    """
    if text.startswith("\ufeff"):
        text = text.removeprefix("\ufeff")
    if text.lstrip().lower().startswith("version:"):
        found, problems = _users_db(text, domain)
    else:
        found, problems = _csv(text, domain)
    seen: dict[str, int] = {}
    taken = frozenset(taken)
    for line, account, _ in found:
        if account.name in seen:
            problems.append((line, f"{account.name} stands in line {seen[account.name]} already"))
        elif account.name in taken:
            problems.append((line, f"the lab has the user {account.name} already"))
        seen.setdefault(account.name, line)
    if problems:
        raise RequestError(_told(where, problems))
    if not found:
        raise RequestError(
            f"{where} lists no user. Write one `name,password` a line; without a password one is made."
        )
    generated = {account.name: made for _, account, made in found if made is not None}
    return Listed(tuple(account for _, account, _ in found), generated)


_Found = tuple[int, Account, "str | None"]
_Problem = tuple[int, str]


def _csv(text: str, domain: str) -> tuple[list[_Found], list[_Problem]]:
    found: list[_Found] = []
    problems: list[_Problem] = []
    delimiter = (
        ";" if ";" in text.partition("\n")[0] and "," not in text.partition("\n")[0] else ","
    )
    rows = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    first = True
    try:
        for row in rows:
            line = rows.line_num
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if first and len(cells) > 1 and {cell.lower() for cell in cells} in _HEADERS:
                first = False
                continue
            first = False
            if len(cells) > 2 and any(cells[2:]):
                problems.append((line, "more than a name and a password stand there"))
                continue
            name = cells[0].removesuffix(f"@{domain}").removeprefix("sip:")
            given = cells[1] if len(cells) > 1 and cells[1] else None
            try:
                account, password = accounts.account(name, domain, given)
            except RequestError as error:
                problems.append((line, str(error)))
            else:
                found.append((line, account, password if given is None else None))
    except csv.Error as error:
        problems.append((rows.line_num, f"it is not CSV: {error}"))
    return found, problems


def _users_db(text: str, domain: str) -> tuple[list[_Found], list[_Problem]]:
    judged = users.parse(text)
    if isinstance(judged, Refusal):
        line = judged.line or 1
        return [], [(line, f"Flexisip would refuse the file here: {judged.text} (labtool lint)")]
    found: list[_Found] = []
    problems: list[_Problem] = []
    for entry in judged:
        try:
            found.append((entry.line, of_entry(entry, domain), None))
        except RequestError as error:
            problems.append((entry.line, str(error)))
    return found, problems


def of_entry(entry: users.UserEntry, domain: str) -> Account:
    """An account of users.db.txt as a lab keeps it: a password in clear text becomes its hashes.

    Raises RequestError, whose text holds no password, for what a lab cannot hold.
    """
    if not entry.name:
        raise RequestError(f"the entry of {entry.domain} is a domain alone, and labs hold users")
    if entry.domain != domain:
        raise RequestError(
            f"{entry.name} is of the domain {entry.domain}, and a hash is good for that alone; the "
            f"lab's is {domain}"
        )
    if entry.user_id and entry.user_id != entry.name:
        raise RequestError(f"{entry.name} signs in under another name ({entry.user_id})")
    if entry.phone:
        raise RequestError(f"{entry.name} has a telephone number ({entry.phone})")
    clear = entry.passwords.get("clrtxt")
    if clear is not None:
        return accounts.account(entry.name, domain, clear)[0]
    hashes = {}
    for key, length in (("md5", 32), ("sha256", 64)):
        if value := entry.passwords.get(key):
            if len(value) != length or value.strip("0123456789abcdefABCDEF"):
                raise RequestError(f"{key} of {entry.name} is not {length} hexadecimal digits")
            hashes[key] = value.lower()
    if not hashes:
        raise RequestError(f"{entry.name} has no password that Flexisip reads")
    check_user(entry.name)
    return Account(entry.name, domain, hashes)


def _told(where: str, problems: list[_Problem]) -> str:
    told = [f"line {line}: {text}" for line, text in sorted(problems)[:_TOLD]]
    more = len(problems) - len(told)
    rest = [f"and {more} more"] if more > 0 else []
    return f"{where}: nothing was taken. " + "; ".join([*told, *rest]) + "."
