"""What a failed task most likely means, and what cures it: a table, each row with its source.

The first row whose pattern is found in the failure's own words counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Cure:
    """`pattern` is looked for in the words of the failure, without regard to case."""

    pattern: str
    cause: str
    cure: str
    source: str


CURES: tuple[Cure, ...] = (
    # First: whatever could not be written, this is why.
    Cure(
        r"No space left on device",
        "The host's disk is full.",
        "Make room on the host (df -h; apt-get clean; journalctl --vacuum-size=100M), then deploy again.",
        "strerror(ENOSPC)",
    ),
    Cure(
        r"NO_PUBKEY|is not signed|BADSIG|EXPKEYSIG|EXPSIG|REVKEYSIG|The following signatures|"
        r"GPG error|OpenPGP signature",
        "The repository is signed by another key than the one it offers, or not at all.",
        "Ask whoever runs the repository. If it is a mirror, name the key that signs it by "
        "flexisip_repository_key_url in lab.yml. The host's source list was put back.",
        "apt's messages, Debian 12 and 13, Ubuntu 18.04",
    ),
    Cure(
        r"Unsupported parameter|Unknown section|containsUnreadItems|several entrances",
        "flexisip.conf has a setting that this release of Flexisip does not know.",
        "Correct flexisip_settings in lab.yml as the message says, then deploy again. The former "
        "configuration is still in place and served.",
        "Flexisip 2.3.4 and 2.5.2, measured",
    ),
    Cure(
        r"Authdb file|users\.db\.txt",
        "The server cannot read its users file.",
        "Deploy again: the file is rendered anew from the lab.",
        "Flexisip 2.3.4 and 2.5.2, measured",
    ),
    Cure(
        r"Cannot assign requested address|errno 99",
        "The server is to listen on an address that is not the machine's own.",
        "Empty flexisip_public_address in lab.yml, or correct it: a cloud's public address is "
        "recognised by itself.",
        "Flexisip tracker #174, #220",
    ),
    Cure(
        r"Address already in use",
        "Another program listens on the server's port.",
        "See which with `ss -lntup` on the host, and stop it or choose another flexisip_port.",
        "Flexisip 2.5.2, measured",
    ),
    # Behind the rows for what such words may hold.
    Cure(
        r"failed to validate",
        "The server's own dry run refused the new configuration; the words above are the server's.",
        "Correct lab.yml, then deploy again. The former configuration is still in place and served.",
        "Flexisip 2.3.4 and 2.5.2, measured",
    ),
    Cure(
        r"Could not get lock|Unable to acquire the dpkg|dpkg frontend lock|is another process using it",
        "Another package installation is running on the host, often the nightly upgrade.",
        "Wait for it (ps aux | grep -e apt -e dpkg on the host), then deploy again.",
        "apt's messages",
    ),
    Cure(
        r"dpkg was interrupted|dpkg --configure -a",
        "An earlier package installation on the host was cut off.",
        "Run `dpkg --configure -a` on the host, then deploy again.",
        "apt's messages",
    ),
    Cure(
        r"Sub-process /usr/bin/dpkg returned an error|dpkg: error processing package",
        "The package itself failed while it was installed; the words above are its own.",
        "If a server was there before, its package was put back and is served. On a bare host run "
        "`dpkg --configure -a` to see the words again; then deploy again.",
        "dpkg's messages",
    ),
    Cure(
        r"No package matching|Unable to locate package",
        "The repository has no bc-flexisip for this distribution.",
        "Name another suite or a mirror (--repo-url), or install a package at hand (--deb FILE).",
        "apt's messages; Flexisip tracker #123, #183",
    ),
    Cure(
        r"unmet dependencies|Depends: |Dependency is not satisfiable",
        "The package needs others that the host's repositories do not have in that version.",
        "Take the package that was built for the host's distribution; the component `stable` must be "
        "among flexisip_repository_components.",
        "Flexisip tracker #109, #142, #205",
    ),
    Cure(
        r"Release file .* is not valid yet|not valid yet|expired since|is expired",
        "The host's clock and the repository's dates do not agree.",
        "Set the host's clock (timedatectl set-ntp true), then deploy again.",
        "apt's messages",
    ),
    Cure(
        r"Temporary failure resolving|Could not resolve",
        "The host cannot resolve names.",
        "Mend its name servers (/etc/resolv.conf), then deploy again.",
        "apt's messages",
    ),
    Cure(
        r"Failed to fetch|Could not connect to|cannot be reached from the host|"
        r"(timed out|refused) \[IP",
        "The host cannot reach a package repository.",
        "Check the host's way out (a proxy? a firewall?), or name a mirror with --repo-url.",
        "apt's messages",
    ),
    Cure(
        r"Incorrect sudo password",
        "The password that was given for sudo is another one.",
        "Give it again with --ask-become-password, or sign in as root (--user root).",
        "Ansible's messages",
    ),
    Cure(
        r"password is required|Missing sudo password|sudo: ",
        "The user may not become root on the host without a password.",
        "Give it with --ask-become-password, or sign in as root (--user root).",
        "sudo's messages",
    ),
    Cure(
        r"Permission denied",
        "The host refuses the login.",
        "Put your key there (ssh-copy-id), or use --ask-password.",
        "OpenSSH's messages",
    ),
    Cure(
        r"Connection timed out|connect to host|Connection closed|Connection reset|Broken pipe|"
        r"Shared connection|Failed to connect to the host via ssh:?\s*$",
        "The connection to the host was lost in the middle.",
        "Run the same command again: it goes on from what it finds.",
        "OpenSSH's messages",
    ),
    Cure(
        r"start-limit|Job for .* failed|control process exited|does not stay up",
        "The service does not start; the words above are from its journal.",
        "Read them; `labtool verify` shows what else differs.",
        "systemd's messages",
    ),
)


def cure_for(words: str) -> Cure | None:
    """The likeliest cause and its cure, or None where the table has none."""
    for cure in CURES:
        if re.search(cure.pattern, words, re.IGNORECASE):
            return cure
    return None
