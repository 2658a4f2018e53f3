"""What a server reads now, which may be another configuration than the lab's: until it is deployed."""

from __future__ import annotations

from dataclasses import dataclass

from labtool import expectation, operation, rendering, takeover
from labtool.errors import LabtoolError, RequestError
from labtool.flexisip import conf
from labtool.flexisip.findings import Refusal
from labtool.inventory import Host
from labtool.operation import Access

_AUTH = "module::Authentication"


@dataclass(frozen=True)
class Serving:
    """Where a server reads its accounts, and after how many seconds it reads them again."""

    users_file: str
    cache_expire_s: float


def look(host: Host, access: Access) -> Serving | None:
    """Sign in, and read what the server's own flexisip.conf says; None where it says nothing.

    Raises UnreachableError; RequestError where a change of users.db.txt would reach nobody.
    """
    known = expectation.role_variables()
    ask = (
        f"dpkg-query -W -f='${{Version}}\\n' {known['flexisip_package']} && "
        f"cat {known['flexisip_configuration']}"
    )
    with operation.signed_in(host, access) as line:
        answer = line.run(ask)
    version, _, text = answer.stdout.partition("\n")
    if answer.returncode != 0 or not version:
        return None
    try:
        found = conf.read(text, rendering.release(version))
    except (LabtoolError, ValueError):
        return None
    if isinstance(found, Refusal):
        return None
    if not found.flag(_AUTH, "enabled"):
        raise RequestError(
            f"{host.name} asks nobody for a password yet ([{_AUTH}] enabled=false): run labtool deploy "
            "first. Nothing was changed."
        )
    kind = found.text(_AUTH, "db-implementation")
    path = takeover.users_path(found)
    if kind != "file" or path != known["flexisip_users_file"]:
        where = path if kind == "file" else f"a database ({kind})"
        raise RequestError(
            f"{host.name} reads its accounts from {where}, not from {known['flexisip_users_file']}: "
            "the lab is not deployed there yet. Run labtool deploy first. Nothing was changed."
        )
    return Serving(path, found.seconds(_AUTH, "cache-expire"))
