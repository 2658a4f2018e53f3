"""The roles' filters: labtool's own functions under names that Ansible can call.

They need labtool in the environment that Ansible runs in (the wheel, or `make venv` in a checkout).
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path

# In a checkout that is not installed, labtool is two folders up.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from labtool import (
    certificates,
    expectation,
    former,
    ownership,
    remote,
    rendering,
    repository,
    state,
)
from labtool.errors import LabtoolError


def _addresses(own, reached_by, public):
    """`reached_by` may be a name; the controller resolves it as SSH did."""
    reached_by = remote.numeric(reached_by) if reached_by else ""
    return dataclasses.asdict(state.addresses(tuple(own), reached_by, public))


def _on_state(function):
    """A filter on what state.sh printed. Ansible keeps only plain values, so text goes in."""
    return lambda text, *rest: function(_state(text), *rest)


@functools.lru_cache(maxsize=64)
def _state(text):
    return state.parse(text) if text else state.HostState()


def _repository(text, *rest):
    return dataclasses.asdict(repository.repository(_state(text), *rest))


def _repository_problems(text, wanted, pinned, state_text):
    return repository.problems(text, repository.Repository(**wanted), pinned, _state(state_text))


def _tls_wrong(options, lab, host, state_text):
    try:
        certificates.of_lab(options, Path(lab), host)
    except LabtoolError as error:
        return [str(error)]
    return certificates.problems_on_server(options, _state(state_text))


class FilterModule:
    def filters(self):
        return {
            "labtool_state": lambda text: dataclasses.asdict(_state(text)),
            "labtool_preflight": _on_state(state.preflight),
            "labtool_differs": _on_state(state.differs),
            "labtool_has_copy": _on_state(state.has_copy),
            "labtool_serves": _on_state(state.serves),
            "labtool_addresses": _addresses,
            "labtool_release": rendering.release,
            "labtool_sections": lambda options, release, addresses: rendering.sections(
                options, release, state.Addresses(**addresses)
            ),
            "labtool_options_wrong": lambda options, release, addresses: rendering.problems(
                options, release, state.Addresses(**addresses)
            ),
            "labtool_tls": lambda options, lab, *rest: certificates.settings(
                options, Path(lab), *rest
            ),
            "labtool_tls_files": lambda options, lab, *rest: certificates.files(
                options, Path(lab), *rest
            ),
            "labtool_tls_differs": _on_state(certificates.differs),
            "labtool_tls_wrong": _tls_wrong,
            "labtool_accounts_wrong": rendering.accounts_wrong,
            "labtool_users_text": expectation.users_text,
            "labtool_repository": _repository,
            "labtool_repository_differs": _on_state(repository.differs),
            "labtool_repository_problems": _repository_problems,
            "labtool_known": lambda lab, host: bool(lab) and former.known(Path(lab), host),
            "labtool_foreign": ownership.foreign,
            "labtool_put_back": lambda text: former.parse(text).sentence,
            "labtool_is_put_back": lambda text: former.parse(text).ok,
            "labtool_key": lambda text: dataclasses.asdict(repository.key_of(text)),
        }
