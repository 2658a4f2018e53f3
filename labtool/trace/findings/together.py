"""What several views of one call show together: each fault once, where it happens, and why.

A view alone shows a symptom; the view beside it often shows the cause. Nothing is said here that two
views did not both see.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from labtool.trace.calls import Call
from labtool.trace.findings.finding import Finding
from labtool.trace.findings.scene import Scene
from labtool.trace.merge import Merged
from labtool.trace.message import Message
from labtool.trace.participants import Place
from labtool.trace.phrase import Phrase, phrase

#: (symptom, cause): in one call the one follows from the other.
_BECAUSE = (
    ("slow-setup", "invite-too-big-for-udp"),
    ("ack-missing", "private-record-route"),
    ("ack-missing", "missing-record-route"),
    ("callee-unreachable", "nat-contact"),
)
#: What proves most comes first: a view that misses something at its own interface.
_PROOF = ("hears-nothing", "sends-none")
_SOUND = ("one-way-audio", "packet-loss")
_LOSS = 0.03
_LOST = 10  # packets


def together(scene: Scene, merged: Merged, findings: Iterable[Finding]) -> list[Finding]:
    """The findings of several views made into those of the call."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for one in findings:
        about = one.facts.get("user", "") if not one.call else ""
        groups.setdefault((one.id, one.call, about), []).append(one)
    found = [_one(scene, group) for group in groups.values()]
    found = [_located(scene, merged, one) for one in found]
    return _explained(found)


def _one(scene: Scene, group: list[Finding]) -> Finding:
    """The same fault in several views: the view that proves it, or sees most of it, speaks."""

    def weight(one: Finding) -> tuple[int, int, int]:
        title = one.facts.get("title")
        shown = title.id if isinstance(title, Phrase) else ""
        proof = _PROOF.index(shown) + 1 if shown in _PROOF else 0
        legs = {id(leg) for call in scene.calls for leg in call.legs if leg.view == one.view}
        return proof, len(legs), len(one.frames)

    best = max(group, key=weight)
    return replace(best, others=_shown(best, group))


def _shown(best: Finding, group: Iterable[Finding]) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """The frames of a group, but for those that its finding names itself, by view."""
    frames: dict[int, set[int]] = {}
    for one in group:
        for view, found in ((one.view, one.frames), *one.others):
            frames.setdefault(view, set()).update(found)
    frames[best.view] -= set(best.frames)
    return tuple((view, tuple(sorted(found))) for view, found in sorted(frames.items()) if found)


def _explained(found: list[Finding]) -> list[Finding]:
    kept = list(found)
    for symptom in found:
        for cause in list(kept):
            if cause is symptom or symptom not in kept or not _follows(symptom, cause):
                continue
            kept.remove(symptom)
            why = phrase("this-is-why", symptom=symptom.phrase("title"))
            explained = replace(
                cause,
                more=(*cause.more, why),
                others=_shown(cause, (cause, symptom)),
            )
            kept[kept.index(cause)] = explained
    return kept


def _follows(symptom: Finding, cause: Finding) -> bool:
    if (symptom.id, cause.id) in _BECAUSE:
        return symptom.call == cause.call
    if symptom.id == "callee-unknown" and cause.id in ("wrong-password", "registration-refused"):
        return not cause.call and symptom.facts.get("callee") == cause.facts.get("user")
    if symptom.id == "private-address-in-sdp" and cause.id == "private-record-route":
        # The server's own private address, in its SDP as in its route.
        return symptom.call == cause.call and symptom.facts.get("host") == cause.facts.get("host")
    return False


def _located(scene: Scene, merged: Merged, one: Finding) -> Finding:
    """Between which two places a thing was lost, where both were watched."""
    call = next((call for call in scene.calls if call.number == one.call), None)
    if call is None:
        return one
    sentence = None
    if one.id in _SOUND:
        sentence = _sound_lost(scene, merged, call)
        if sentence is not None:
            one = _without_doubt(one)
        else:
            sentence = _left_elsewhere(scene, call, one)
            one = _without_doubt(one) if sentence else one
    elif one.id == "ack-missing":
        sentence = _message_lost(scene, merged, call, "ACK")
    elif one.id == "callee-unreachable":
        sentence = _message_lost(scene, merged, call, "INVITE")
    return replace(one, more=(*one.more, sentence)) if sentence else one


def _left_elsewhere(scene: Scene, call: Call, one: Finding) -> Phrase | None:
    """Sound that a view at the other phone saw leave, where nothing watched what passed it on."""
    evidence = one.facts.get("evidence")
    me = scene.vantages[one.view]
    if not isinstance(evidence, Phrase) or evidence.id != "sent-or-not" or me is None:
        return None
    users = {uri.partition(":")[2].partition("@")[0] for uri in (call.caller, call.callee)}
    if scene.names.get(Place(me)) not in users:
        return None
    for view, vantage in enumerate(scene.vantages):
        if vantage in (None, me) or scene.names.get(Place(vantage or "")) not in users:
            continue
        left = [
            stream
            for stream in scene.streams
            if stream.call is call
            and stream.rtp.flow.view == view
            and stream.source.host == vantage
        ]
        if left:
            return phrase(
                "sound-left-elsewhere",
                source=scene.name(Place(vantage or "")),
                sent=sum(len(stream.rtp) for stream in left),
                here=_file(scene.capture.views[view]),
            )
    return None


def _without_doubt(one: Finding) -> Finding:
    """What one view alone could not tell is known now."""
    evidence = one.facts.get("evidence")
    if not isinstance(evidence, Phrase) or evidence.id != "sent-or-not":
        return one
    facts = dict(evidence.facts)
    known = {
        "evidence": phrase("none-arrived", **facts),
        "advice": phrase("check-nat", who=facts["who"]),
    }
    return replace(one, facts={**one.facts, **known})


def _sound_lost(scene: Scene, merged: Merged, call: Call) -> Phrase | None:
    """An SSRC that left one watched machine, and did not all arrive at the next on its way."""
    counts: dict[tuple[int, Place, Place], dict[int, int]] = {}
    for stream in scene.streams:
        if stream.call is call and stream.path != "turn":  # that changes its addresses on the way
            seen = counts.setdefault(
                (stream.rtp.ssrc, *merged.ends(stream, scene.places)),
                dict.fromkeys(range(len(scene.vantages)), 0),
            )
            seen[stream.rtp.flow.view] += len(stream.rtp)
    names = scene.capture.views
    for (_, source, target), seen in counts.items():
        here, there = _view_at(scene, merged, source), _view_at(scene, merged, target)
        if here is None or there is None:
            continue
        sent, arrived = seen[here], seen[there]
        if sent - arrived >= max(_LOSS * sent, _LOST):
            return phrase(
                "sound-lost-between",
                sent=sent,
                source=scene.name(source),
                here=_file(names[here]),
                arrived=arrived,
                target=scene.name(target),
                there=_file(names[there]),
            )
    return None


def _message_lost(scene: Scene, merged: Merged, call: Call, method: str) -> Phrase | None:
    """Requests that left one watched machine, for another, and that it never got."""
    for leg in call.legs:
        sent = [
            m
            for one in leg.transactions
            for m in one.messages
            if m.method == method and m.status == 0 and _begins(scene, m)
        ]
        if not sent:
            continue
        target = merged.place(leg.view, scene.places.ends(sent[0].flow)[1])
        view = _view_at(scene, merged, target)
        lost = "message-lost-between"
        if view is None:  # a server that was not watched passes it on
            taken = any(
                m.status for one in leg.transactions for m in one.messages if one.method == method
            )
            lost = "message-lost-beyond" if taken else "message-lost-on-the-way"
            view = _view_of_user(scene, call, sent[0])
        if view is None or view == leg.view:
            continue
        if any(
            m.method == method and m.status == 0 and m.flow.view == view and not _begins(scene, m)
            for m in call.messages()
        ):
            continue
        names = scene.capture.views
        return phrase(
            lost,
            method=method,
            source=scene.name(merged.place(leg.view, scene.places.ends(sent[0].flow)[0])),
            times=len(sent),
            target=sent[0].flow.destination,
            here=_file(names[leg.view]),
            there=_file(names[view]),
        )
    return None


def _file(name: str) -> str:
    return name.rpartition("/")[2]


def _begins(scene: Scene, message: Message) -> bool:
    """Whether it was captured at its sender."""
    return scene.vantages[message.flow.view] == message.flow.source.host


def _view_at(scene: Scene, merged: Merged, place: Place) -> int | None:
    """The view that was taken at that machine."""
    for view, vantage in enumerate(scene.vantages):
        if vantage is not None and merged.place(view, Place(vantage)) == place:
            return view
    return None


def _view_of_user(scene: Scene, call: Call, message: Message) -> int | None:
    """The view at the machine of the callee or the caller, by its name."""
    user = call.callee if message.from_tag in _caller_tags(call) else call.caller
    name = user.partition(":")[2].partition("@")[0]
    for view, vantage in enumerate(scene.vantages):
        if vantage is not None and scene.names.get(Place(vantage)) == name:
            return view
    return None


def _caller_tags(call: Call) -> set[str]:
    return {one.from_tag for leg in call.legs[:1] for one in (i.first for i in leg.invites[:1])}
