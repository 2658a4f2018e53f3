"""What a finding is, and the table of all there are; their texts are in `english` and `chinese`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from labtool.trace.findings.text import Text
from labtool.trace.phrase import Joined, Phrase, phrase, said

Severity = Literal["error", "warning", "notice"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, and the frames that show it.

    `frames` are frame numbers in view `view` (an index of Capture.views), in order; `call` is the
    number of the call that it is about, 0 for none. `facts` fill the places of its texts.
    """

    id: str
    severity: Severity
    frames: tuple[int, ...]
    view: int = 0
    call: int = 0
    facts: Mapping[str, object] = field(default_factory=dict)
    #: The other views that show it: (view, frames), where several were read together.
    others: tuple[tuple[int, tuple[int, ...]], ...] = ()
    #: What other views add to its cause.
    more: tuple[Phrase, ...] = ()

    def text(self, language: str = "en") -> Text:
        """What is said of it, not escaped yet."""
        cause = Joined("sentences", (self.phrase("cause"), *self.more))
        return Text(
            said(self.phrase("title"), language),
            said(cause, language),
            said(self.phrase("cure"), language),
        )

    def phrase(self, part: str) -> Phrase:
        """Its title, cause or cure, to be said within another text."""
        return phrase(f"{self.id}.{part}", **self.facts)

    @property
    def title(self) -> str:
        """In English."""
        return self.text().title

    @property
    def cause(self) -> str:
        """In English."""
        return self.text().cause

    @property
    def cure(self) -> str:
        """In English."""
        return self.text().cure


def finding(kind: str, frames: list[int], *, view: int = 0, call: int = 0, **facts: Any) -> Finding:
    """A finding of that kind. The frames are sorted, and each named once."""
    return Finding(
        kind,
        CATALOGUE[kind],
        tuple(sorted({frame for frame in frames if frame})),
        view,
        call,
        facts,
    )


#: The severity of each.
CATALOGUE: dict[str, Severity] = {
    # Registration and authentication: RFC 3261 section 22, RFC 8760.
    "wrong-password": "error",
    "authentication-loop": "error",
    "registration-refused": "error",
    # Calls that do not come about: RFC 3261 sections 13, 17 and 21.
    "callee-unknown": "warning",
    "callee-unreachable": "error",
    "no-response": "error",
    "codec-refused": "error",
    "call-refused": "warning",
    "loop": "error",
    "request-loop": "error",
    "nat-contact": "error",
    "slow-setup": "warning",
    "invite-too-big-for-udp": "warning",
    # In a call: RFC 3261 sections 12.1.1, 13.3.1.4 and 16.6.
    "ack-missing": "error",
    "private-record-route": "error",
    "missing-record-route": "error",
    "sip-alg": "warning",
    "call-forgotten": "error",
    # Sound: RFC 3264, RFC 3550, RFC 8445.
    "private-address-in-sdp": "error",
    "wrong-port": "error",
    "ice-failed": "error",
    "one-way-audio": "error",
    "audio-stopped": "error",
    "packet-loss": "warning",
    "tls-alert": "error",
    "scanner": "notice",
}
