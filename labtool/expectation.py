"""What a lab wants a host to be: the files as the roles render them, and the rest that is checked.

The same templates, rendered by jinja2 without Ansible; `tests/unit/test_expectation.py` holds both
renderings against each other.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml

from labtool import certificates, rendering, resources, state
from labtool.inventory import Host, Lab


@dataclass(frozen=True)
class ExpectedFile:
    """A file of the server. `text` may hold hashes or a key: compare it, do not print it."""

    path: str
    text: str = field(repr=False)
    mode: int
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True)
class Expectation:
    """A host as a lab wants it. `files` by name: configuration, users, drop_in; with TLS
    also the certificate's, as they are called there."""

    package: str
    release: str
    service: str
    files: Mapping[str, ExpectedFile]
    transports: tuple[str, ...]
    port: int
    tls_port: int
    log: str


@cache
def role_variables() -> dict[str, Any]:
    """The constants of the server role (paths, names): the rows of vars/main.yml with no template."""
    path = resources.ansible_root() / "roles" / "flexisip" / "vars" / "main.yml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {key: value for key, value in values.items() if "{{" not in str(value)}


def _environment(folder: Path) -> jinja2.Environment:
    # As Ansible's template lookup sets it up. Nothing here is HTML.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701
    )
    environment.filters["quote"] = shlex.quote
    return environment


def render(template: str, variables: Mapping[str, Any]) -> str:
    """A file of templates/, rendered."""
    folder = resources.ansible_root() / "templates"
    return _environment(folder).get_template(template).render(**role_variables(), **variables)


def script(name: str, **variables: object) -> str:
    """A shell script of the server role (roles/flexisip/templates), rendered."""
    known = role_variables()
    folder = resources.ansible_root() / "roles" / "flexisip" / "templates"
    lists = {
        "flexisip_state_files": [*kept_files(), *(known[key] for key in _STATE_FILES)],
        "flexisip_kept_files": kept_files(),
    }
    return _environment(folder).get_template(name).render(**known, **lists, **variables)


def state_script(lab: Lab) -> str:
    """The shell script by which a host tells its state, for labtool.remote."""
    ports = [lab.options["flexisip_port"]]
    if certificates.wanted(lab.options):
        ports.append(lab.options["flexisip_tls_port"])
    given = {name: value for name, value in lab.options.items() if "_tls_" in name}
    return script("state.sh.j2", flexisip_ports=ports, **given)


def kept_files() -> list[str]:
    """What a way back consists of, beside the package: the role's flexisip_kept_files."""
    known = role_variables()
    named = [known[f"flexisip_{one}"] for one in ("configuration", "users_file", "drop_in")]
    return named + [
        f"{known['flexisip_tls_folder']}/{name}" for name in known["flexisip_tls_names"]
    ]


_STATE_FILES = (
    "flexisip_package_file",
    "flexisip_repository_keyring",
    "flexisip_repository_source",
)


def configuration(
    lab: Lab, release: str, addresses: state.Addresses, host: Host | None = None, **more: object
) -> str:
    """flexisip.conf as the lab wants it of a release; `more` are options beside the lab's own.

    `host` is whose certificate the server shows, where the lab has TLS.

    Raises RequestError where the lab cannot be had.
    """
    options = {name.removeprefix("flexisip_"): value for name, value in lab.options.items()}
    known = role_variables()
    options |= {"domain": lab.domain, "users_file": known["flexisip_users_file"]}
    if host is not None:
        options["tls"] = certificates.settings(
            lab.options, lab.path, host.name, known["flexisip_tls_folder"]
        )
    options |= more
    return render(
        "flexisip.conf.j2", {"flexisip_sections": rendering.sections(options, release, addresses)}
    )


def users_file(lab: Lab, release: str) -> str:
    """users.db.txt as the lab wants it. It holds hashes: do not print it."""
    accounts = {one.name: {"domain": one.domain, **one.hashes} for one in lab.accounts}
    return users_text(accounts, release)


def users_text(accounts: Mapping[str, Mapping[str, str]], release: str) -> str:
    """users.db.txt of these accounts, as the roles have it too. Raises LabtoolError.

    Not by Ansible's own templating, which takes minutes for the list of a hundred thousand accounts.
    """
    text = render("users.db.txt.j2", {"flexisip_users_entries": rendering.entries(accounts)})
    return rendering.users_file(text, release)


def expectation(
    lab: Lab, host: Host, found: state.HostState, resolve: Callable[[str], str]
) -> Expectation:
    """What the lab wants of this host, for the release that is installed there.

    `resolve` gives the numeric address of a name. Raises RequestError where the lab cannot be had.
    """
    known = role_variables()
    release = rendering.release(found.package)
    addresses = state.addresses(
        found.addresses,
        "" if host.local else resolve(host.address),
        str(lab.options["flexisip_public_address"]),
    )
    drop_in = render("flexisip-proxy.service.d.conf.j2", {})
    files = {
        "configuration": ExpectedFile(
            known["flexisip_configuration"], configuration(lab, release, addresses, host), 0o640
        ),
        "users": ExpectedFile(known["flexisip_users_file"], users_file(lab, release), 0o640),
        "drop_in": ExpectedFile(known["flexisip_drop_in"], drop_in, 0o644),
    }
    for one in certificates.files(
        lab.options, lab.path, host.name, known["flexisip_tls_folder"], release
    ):
        name = Path(one["path"]).name
        files[name] = ExpectedFile(one["path"], one["text"], int(one["mode"], 8))
    return Expectation(
        package=known["flexisip_package"],
        release=release,
        service=known["flexisip_service"],
        files=files,
        transports=tuple(lab.options["flexisip_transports"]),
        port=int(lab.options["flexisip_port"]),
        tls_port=int(lab.options["flexisip_tls_port"]),
        log=f"{known['flexisip_log_directory']}/flexisip-proxy.log",
    )
