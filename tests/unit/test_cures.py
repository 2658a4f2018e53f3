"""The table of cures: each row is found by a message such as the field gives."""

from __future__ import annotations

import pytest

from labtool.cures import CURES, cure_for

# Words as apt, dpkg, systemd, OpenSSH, sudo and Flexisip say them, and the cause that is meant.
WORDS = [
    (
        "W: GPG error: http://linphone.org/snapshots/ubuntu bionic InRelease: The following "
        "signatures couldn't be verified because the public key is not available: NO_PUBKEY 2B2",
        "signed by another key",
    ),
    (
        "E:The repository 'http://mirror.test bookworm InRelease' is not signed.",
        "signed by another key",
    ),
    (
        "failed to validate: rc:1 error:Unsupported parameter 'max-expirs' in section "
        "[module::Registrar]",
        "a setting that this release of Flexisip does not know",
    ),
    ("failed to validate: rc:1 error:", "own dry run refused"),
    ("Authdb file '/etc/flexisip/users.db.txt' cannot be opened", "cannot read its users file"),
    (
        "failed to validate\nTransport sip:203.0.113.5:5060 error: Cannot assign requested address",
        "an address that is not the machine's own",
    ),
    ("bind(0.0.0.0:5060): Address already in use", "Another program listens"),
    (
        "dpkg: error: write error to '/opt/x': No space left on device",
        "disk is full",
    ),
    ("failed to validate\nwrite: No space left on device", "disk is full"),
    (
        "E: Could not get lock /var/lib/dpkg/lock-frontend - open (11: Resource temporarily "
        "unavailable)",
        "Another package installation is running",
    ),
    (
        "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.",
        "was cut off",
    ),
    ("No package matching 'bc-flexisip' is available", "has no bc-flexisip"),
    (
        "The following packages have unmet dependencies:\n bc-flexisip : Depends: libc6 (>= 2.38)",
        "needs others",
    ),
    (
        "E: Release file for http://x/InRelease is not valid yet (invalid for another 3h 2min 5s).",
        "clock",
    ),
    ("Temporary failure resolving 'mirror.example.test'", "cannot resolve names"),
    (
        "E: Failed to fetch http://mirror.example.test/x.deb  Connection timed out [IP: 1.2.3.4 80]",
        "cannot reach a package repository",
    ),
    (
        "Could not connect to mirror.example.test:80 (151.101.2.132), connection timed out",
        "cannot reach a package repository",
    ),
    (
        "The repository http://x for bionic (Ubuntu 18.04) cannot be reached from the host: "
        "Connection timed out",
        "cannot reach a package repository",
    ),
    (
        "Setting up bc-flexisip (2.5.2-1) ...\nE: Sub-process /usr/bin/dpkg returned an error code (1)",
        "package itself failed",
    ),
    ("Missing sudo password", "may not become root"),
    ("sudo: a password is required", "may not become root"),
    (
        "Failed to connect to the host via ssh: root@203.0.113.5: Permission denied (publickey).",
        "refuses the login",
    ),
    (
        "Failed to connect to the host via ssh: ssh: connect to host 203.0.113.5 port 22: "
        "Connection timed out",
        "connection to the host was lost",
    ),
    ("Shared connection to 203.0.113.5 closed.", "connection to the host was lost"),
    ("Failed to connect to the host via ssh: ", "connection to the host was lost"),
    ("Incorrect sudo password", "for sudo is another one"),
    ("client_loop: send disconnect: Broken pipe", "connection to the host was lost"),
    (
        "dpkg: error processing package bc-flexisip (--install):\n installed bc-flexisip package "
        "post-installation script subprocess returned error exit status 1",
        "package itself failed",
    ),
    (
        "Unable to restart service flexisip-proxy: Job for flexisip-proxy.service failed because "
        "the control process exited with error code.",
        "service does not start",
    ),
]


@pytest.mark.parametrize(("words", "cause"), WORDS)
def test_the_words_of_a_failure_lead_to_its_cause(words: str, cause: str) -> None:
    found = cure_for(words)
    assert found is not None
    assert cause in found.cause
    assert found.cure.endswith(".")
    assert found.source


def test_every_row_of_the_table_is_found_by_some_words() -> None:
    assert {cure_for(words) for words, _ in WORDS} == set(CURES)


@pytest.mark.parametrize("words", ["", "something else entirely", "non-zero return code"])
def test_words_that_nobody_knows_have_no_cure(words: str) -> None:
    assert cure_for(words) is None
