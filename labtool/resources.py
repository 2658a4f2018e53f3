"""Where the playbooks, roles and templates are: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from labtool.errors import LabtoolError

_PACKAGE = Path(__file__).resolve().parent


@cache
def ansible_root() -> Path:
    """The folder that holds ansible.cfg, playbooks/, roles/ and templates/."""
    for root in (_PACKAGE / "ansible", _PACKAGE.parent):
        if (root / "playbooks" / "deploy.yml").is_file():
            return root
    raise LabtoolError(
        "labtool's playbooks are missing: install labtool with pip, or run it from its checkout."
    )


def playbook(name: str) -> Path:
    """The playbook of a verb, for example `deploy`."""
    return ansible_root() / "playbooks" / f"{name}.yml"


def testinfra_suite() -> Path:
    """The testinfra suite that `labtool verify` runs."""
    packaged = ansible_root() / "testinfra"
    return packaged if packaged.is_dir() else ansible_root() / "tests" / "testinfra"
