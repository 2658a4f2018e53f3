"""From a lab's options and a host's state to what the templates are given. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from labtool.errors import LabtoolError
from labtool.flexisip import intent, releases, users
from labtool.state import Addresses


def release(package_version: str) -> str:
    """The Flexisip release of a package version: `2.5.2` of `2.5.2-1` or `2.5.2+git-1`.

    The newest that is known where none is given: what a bare host is about to get.
    """
    # `dpkg-query` was asked for the status too: `installed 2.5.2-1`.
    version = package_version.rpartition(" ")[2]
    if not version:
        return releases.LATEST
    match = re.match(r"(?:\d+:)?(\d+\.\d+(?:\.\d+)?)", version)
    if match is None:
        raise LabtoolError(f"The package's version {version!r} is not one of Flexisip's.")
    return match.group(1)


def sections(
    options: Mapping[str, Any], release: str, addresses: Addresses
) -> list[dict[str, Any]]:
    """The sections of flexisip.conf, for templates/flexisip.conf.j2.

    `options["tls"]` is what `certificates.settings` says; it may be missing where there is no TLS.
    Raises RequestError for an extra setting that this release would refuse.
    """
    wanted = _intent(options, addresses)
    return [section.to_dict() for section in intent.settings_for(wanted, release)]


def _intent(options: Mapping[str, Any], addresses: Addresses) -> intent.Intent:
    tls = options.get("tls") or {}
    return intent.Intent(
        domain=options["domain"],
        transports=tuple(options["transports"]),
        port=int(options["port"]),
        tls_port=int(options["tls_port"]),
        tls_certificate=tls.get("certificate", ""),
        tls_key=tls.get("key", ""),
        tls_directory=tls.get("directory", ""),
        tls_for_address=addresses.public in tls.get("names", ()),
        tls_comment=tls.get("comment", ""),
        public_address=addresses.public or None,
        private_address=addresses.private or None,
        algorithms=tuple(options["algorithms"]),
        media_relay=bool(options["media_relay"]),
        rtp_ports=(int(options["rtp_ports"][0]), int(options["rtp_ports"][1])),
        clients_on_server_host=bool(options["clients_on_server"]),
        stun=bool(options["stun"]),
        flood_protection=bool(options["flood_protection"]),
        flood_packet_rate=int(options["flood_packet_rate"]),
        flood_ban_min=int(options["flood_ban_minutes"]),
        log_level=options["log_level"],
        log_directory=options.get("log_directory") or None,
        cache_expire_s=int(options["cache_expire"]),
        users_file=options["users_file"],
        loopback=bool(options.get("loopback", False)),
        extra=options["settings"],
    )


def problems(options: Mapping[str, Any], release: str, addresses: Addresses) -> list[str]:
    """Why there is no configuration for these options, or none that should serve; empty when there is.

    A sentence each.
    """
    try:
        wanted = _intent(options, addresses)
        intent.settings_for(wanted, release)
        return intent.doubts(wanted, release)
    except LabtoolError as error:
        return [str(error)]


def entries(accounts: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """The lines of users.db.txt, for templates/users.db.txt.j2, sorted by name."""
    return [
        {
            "name": name,
            "domain": account["domain"],
            "passwords": [
                {"algorithm": key, "value": account[key]}
                for key in ("md5", "sha256")
                if key in account
            ],
        }
        for name, account in sorted(accounts.items())
    ]


def accounts_wrong(accounts: Mapping[str, Mapping[str, str]], domain: str) -> list[str]:
    """A sentence for each account that the server of this domain would refuse."""
    return [
        f"The password of {name} was hashed for {account['domain']}, but the lab's domain is {domain}. "
        f"Set it again: labtool set-password {name}."
        for name, account in accounts.items()
        if account["domain"] != domain
    ]


def users_file(text: str, release: str) -> str:
    """The text itself, where the server's grammar takes it.

    Raises LabtoolError otherwise: such a file would stop a running server.
    """
    judged = users.refusal(text, release)
    if judged is not None:
        raise LabtoolError(f"users.db.txt would be refused by Flexisip {release}: {judged.text}")
    return text
