"""Findings about registrations: refused, or challenged for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labtool.trace.findings.finding import Finding, finding
from labtool.trace.findings.refused import explained
from labtool.trace.findings.scene import Scene
from labtool.trace.findings.silence import REPEATED
from labtool.trace.phrase import phrase
from labtool.trace.registrations import Registration, challenges, credentials
from labtool.trace.transactions import Transaction

_SERVER_FAILED = 500  # RFC 3261 section 21.5


def registration_findings(scene: Scene) -> Iterator[Finding]:
    """Refused registrations and endless challenges."""
    for registration in scene.registrations:
        yield from _refused(scene, registration)


def _refused(scene: Scene, registration: Registration) -> Iterator[Finding]:
    last = registration.transactions[-1]
    final = last.final
    answered = registration.with_credentials
    if final is None:
        return
    frames = [message.frame for message in registration.messages()]
    facts: dict[str, Any] = {
        "user": registration.user,
        "server": scene.name(registration.registrar),
        "status": final.status,
        "reason": registration.reason,
    }
    view = final.flow.view
    realm = next((c.realm for one in answered for c in credentials(one.request)), "")
    if registration.outcome == "refused" and final.status == 403 and credentials(last.request):
        yield finding("wrong-password", frames, view=view, realm=realm, **facts)
    elif (
        registration.outcome == "refused"
        and final.status in (403, 404)
        # That it had no password to judge is seen only in a request that is there to its end.
        and not (answered or any(challenges(m) for m in registration.messages()))
        and last.request is not None
        and last.request.is_whole
    ):
        advice = phrase("compare-domain", user=registration.user)
        facts |= {"why": phrase("unasked"), "advice": advice}
        yield finding("registration-refused", frames, view=view, **facts)
    elif registration.outcome == "refused" and final.status >= _SERVER_FAILED:
        why, advice = explained(final.status)
        facts |= {"why": phrase("with-status", why=why), "advice": advice}
        yield finding("registration-refused", frames, view=view, **facts)
    elif registration.outcome == "challenged":
        refused = [one for one in answered if not _is_stale(one)]
        if len(refused) >= REPEATED:
            algorithms = ", ".join(registration.algorithms) or phrase("none-named")
            times = len(refused)
            yield finding(
                "authentication-loop",
                frames,
                view=view,
                times=times,
                algorithms=algorithms,
                **facts,
            )
        elif refused:
            yield finding("wrong-password", frames, view=view, realm=realm, **facts)


def _is_stale(one: Transaction) -> bool:
    """Whether the challenge only asks for a newer nonce: the password was right (RFC 7616 3.3)."""
    return one.final is not None and any(c.stale for c in challenges(one.final))
