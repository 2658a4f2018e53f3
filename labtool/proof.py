"""Prove a server by real SIP: OPTIONS, and a REGISTER over each transport as each of two users."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from labtool import accounts, certificates, probe
from labtool.inventory import Account, Host, Lab
from labtool.probe.result import Result
from labtool.probe.session import Tls
from labtool.probe.target import Target
from labtool.remote import numeric as numeric
from labtool.state import HostState, addresses

# A server that was just restarted takes a moment to listen (measured on 2.5.2: 0.15 s).
_START_S = 5.0
_ASK_AGAIN_S = 0.5
# Of many new accounts so many are tried, each so long after the one before.
_SAMPLE = 9
_PACE_S = 0.05


def target(lab: Lab, host: Host, state: HostState) -> Target:
    """Where phones reach the server: what the rendered configuration says, seen from here."""
    reached_by = "" if host.local else numeric(host.address)
    found = addresses(state.addresses, reached_by, str(lab.options["flexisip_public_address"]))
    return Target(
        found.public or host.address,
        int(lab.options["flexisip_port"]),
        tls_port=int(lab.options["flexisip_tls_port"]),
    )


def trust(lab: Lab) -> Tls:
    """How a phone of this lab judges the server's certificate: by the lab's issuer, for its domain."""
    if not certificates.wanted(lab.options):
        return Tls()
    return Tls(certificates.ca_file(lab.options, lab.path), server_name=lab.domain)


def signing_in(
    lab: Lab, target: Target, user: Account, transport: str, tls: Tls | None = None, **more: Any
) -> Result:
    """A REGISTER as an account of the lab, and its end; `tls` as its phones judge where not given."""
    return probe.register(
        target,
        transport,
        user.name,
        user.domain,
        accounts.secret(user),
        tls=tls or trust(lab),
        **more,
    )


def prove(
    lab: Lab,
    target: Target,
    users: Sequence[Account],
    on_result: Callable[[Result], None],
) -> list[Result]:
    """Probe the server over each of the lab's transports as each of the first two users.

    Every result is given to `on_result` as it comes, and all are returned.
    """
    results = []
    for transport in lab.options["flexisip_transports"]:
        found = _patiently(partial(probe.options, target, transport, tls=trust(lab)), _START_S)
        results.append(found)
        on_result(found)
        if not found.ok:
            continue
        for user in users[:2]:
            found = signing_in(lab, target, user, transport)
            results.append(found)
            on_result(found)
    return results


def wait_until_live(
    lab: Lab, target: Target, user: Account, on_result: Callable[[Result], None]
) -> list[Result]:
    """Probe until the account works over the first transport, then over the others.

    Flexisip reads its users file again when a login comes cache-expire seconds after the last
    reading, so the account is live within that time.
    """
    patience = float(lab.options["flexisip_cache_expire"]) + 3.0
    results = []
    for transport in lab.options["flexisip_transports"]:
        found = _patiently(partial(signing_in, lab, target, user, transport), patience)
        results.append(found)
        on_result(found)
    return results


def wait_until_all_live(
    lab: Lab, target: Target, users: Sequence[Account], on_result: Callable[[Result], None]
) -> list[Result]:
    """Probe until the first account works, then a sample of the others, evenly, the last among them.

    A sample, and not too fast: a server that takes many logins from one address bans it.
    """
    results = wait_until_live(lab, target, users[0], on_result)
    if not all(result.ok for result in results):
        return results
    others = users[1:]
    step = max(1, -(-len(others) // _SAMPLE))
    transport = lab.options["flexisip_transports"][0]
    for user in others[::-step]:
        found = signing_in(lab, target, user, transport)
        results.append(found)
        on_result(found)
        time.sleep(_PACE_S)
    return results


def wait_until_refused(lab: Lab, target: Target, user: Account) -> Result:
    """Probe until the account is refused: it was removed, or its password is another one now."""
    deadline = time.monotonic() + float(lab.options["flexisip_cache_expire"]) + 3.0
    transport = lab.options["flexisip_transports"][0]
    while True:
        found = signing_in(lab, target, user, transport)
        if not found.ok or time.monotonic() >= deadline:
            return found
        time.sleep(_ASK_AGAIN_S)


def _patiently(ask: Callable[[], Result], seconds: float) -> Result:
    deadline = time.monotonic() + seconds
    while not (found := ask()).ok and time.monotonic() < deadline:
        time.sleep(_ASK_AGAIN_S)
    return found


def patiently_passing(ask: Callable[[], bool], more_s: float = 0.0) -> bool:
    """Ask until it holds, for as long as a server that was just restarted may take, and `more_s`."""
    deadline = time.monotonic() + _START_S + more_s
    while not (held := ask()) and time.monotonic() < deadline:
        time.sleep(_ASK_AGAIN_S)
    return held
