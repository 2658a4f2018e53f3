"""What a lab's files say, for what is made of its captures: what was to be, and the accounts' hashes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labtool.inventory import Lab
from labtool.labreport_words import WORDS
from labtool.sip.digest import Ha1, Secret
from labtool.trace.analysis import Analysis
from labtool.trace.intent import Intent, compare

#: users.db.txt's names for the algorithms of RFC 8760.
_ALGORITHMS = {"md5": "MD5", "sha256": "SHA-256"}


def intent_of(lab: Lab) -> Intent:
    """What the lab was to be, as values to compare with."""
    options = lab.options
    public = options["flexisip_public_address"]
    first, last = options["flexisip_rtp_ports"]
    return Intent(
        domain=options.get("flexisip_domain") or "",
        addresses=tuple(
            dict.fromkeys([*(host.address for host in lab.hosts), *([public] if public else [])])
        ),
        port=options["flexisip_port"],
        transports=tuple(options["flexisip_transports"]),
        algorithms=tuple(options["flexisip_algorithms"]),
        relay=options["flexisip_media_relay"],
        rtp_ports=(first, last),
        users=tuple(account.name for account in lab.accounts),
    )


def secrets_of(lab: Lab) -> Mapping[tuple[str, str], Secret]:
    """The accounts' hashes by user and realm: whether an answer to a challenge is right."""
    return {
        (account.name, account.domain): Ha1(
            {
                _ALGORITHMS[name]: value
                for name, value in account.hashes.items()
                if name in _ALGORITHMS
            }
        )
        for account in lab.accounts
    }


def compared(lab: Lab, found: Analysis, language: str) -> list[dict[str, Any]]:
    """The lab's intent against what the packets show, as rows of a table, in words."""
    words = WORDS[language]
    ice = any(one.use_candidate for one in found.capture.stun)
    rows = []
    for row in compare(intent_of(lab), found):
        join = "–" if row.subject == "rtp_ports" else ", "
        configured, seen = (
            [words.get(value, value) if row.subject == "relay" else value for value in values]
            for values in (row.configured, row.seen)
        )
        may_go_direct = row.subject == "relay" and row.configured == ("relayed",) and ice
        rows.append(
            {
                "subject": words[row.subject],
                "configured": join.join(configured),
                "seen": join.join(seen) or "–",
                "verdict": words[row.verdict],
                "class": {"agree": "good", "differ": "bad"}.get(row.verdict, "faint"),
                "remark": words["may_go_direct"]
                if may_go_direct and row.verdict == "differ"
                else "",
            }
        )
    return rows
