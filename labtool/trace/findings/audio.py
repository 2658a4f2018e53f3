"""Findings about sound: what was negotiated, against what came.

A missing packet is only missed where it should have arrived (`labtool.trace.vantage`): at a client's
own interface, or at a server that announced itself as relay. Everything else is somebody's report
(RTCP), and is said to be one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from labtool.trace.calls import Call, Leg
from labtool.trace.findings.astray import ice_failed, wrong_port
from labtool.trace.findings.finding import Finding, finding
from labtool.trace.findings.private import mentions_private, private_findings
from labtool.trace.findings.scene import Scene
from labtool.trace.findings.sides import (
    LATE_NS,
    WINDOW_NS,
    Side,
    length,
    own_reports,
    reports_to,
    sides_of,
    spoken,
    targets,
    within,
)
from labtool.trace.media import Stream, is_extra
from labtool.trace.phrase import Phrase, joined, phrase
from labtool.trace.rtcp import Report

_STOPPED_NS = 3_000_000_000
_SILENT_NS = 8_000_000_000  # of silence some send a packet every five seconds
_PAUSE_NS = 500_000_000
_UNSEEN = 100  # packets that were sent and not seen: two seconds
_SUPPRESSING = ("G729", "G723", "AMR", "AMR-WB", "EVS")  # silence is part of them
_LOSS = 0.03  # below it nobody hears a difference
_LOST = 10  # packets
_FEW = 2
_HALF_ROUND = 0x8000  # of sequence numbers


def audio_findings(scene: Scene) -> Iterator[Finding]:
    """What each answered call shows about its sound, view by view."""
    by_call: dict[tuple[int, int], list[Stream]] = {}
    for stream in scene.streams:
        if stream.call is not None:
            key = (stream.call.number, stream.rtp.flow.view)
            by_call.setdefault(key, []).append(stream)
    for call in scene.calls:
        if call.outcome != "answered":
            continue
        for view, vantage in enumerate(scene.vantages):
            legs = [leg for leg in call.legs if leg.view == view and leg.answer is not None]
            streams = by_call.get((call.number, view), [])
            if not legs or not (streams or mentions_private(legs)):
                continue  # nothing that could be judged
            sides = sides_of(scene, call, legs, vantage, streams) if vantage else []
            private = list(private_findings(scene, call, legs, sides, view))
            yield from private
            sides = sides or _between(scene, call, legs, streams, view)
            astray = [] if private else [*wrong_port(scene, call, sides, view)]
            astray = astray or ([] if private else [*ice_failed(scene, call, sides, view)])
            yield from astray
            if not private and not astray:
                yield from _one_way(scene, call, sides, view)
                yield from _stopped(scene, call, sides, view)
            yield from _loss(scene, call, streams, sides, view)


def _between(
    scene: Scene, call: Call, legs: list[Leg], streams: list[Stream], view: int
) -> list[Side]:
    """The phones among two neighbours whose whole sound is seen between them: nothing was offered
    or announced elsewhere.
    """
    hosts = set(scene.neighbours[view])
    if not hosts or scene.vantages[view] or any(s.rtp.flow.outer for s in streams):
        return []
    for leg in legs:
        stated = scene.negotiation(leg)
        if any(
            address.host not in hosts
            for one in (*stated.caller, *stated.callee)
            for address in targets(one)
        ):
            return []
    found = [side for host in hosts for side in sides_of(scene, call, legs, host, streams)]
    phones = [side for side in found if not isinstance(scene.name(side.place), Phrase)]
    return sorted(phones, key=lambda side: not side.is_caller)


def _one_way(scene: Scene, call: Call, sides: list[Side], view: int) -> Iterator[Finding]:
    for side in sides:
        windows, out_windows = side.expected(True), side.expected(False)
        received = within(side.incoming, windows)
        sent = spoken(side.outgoing, out_windows)
        me, peer = scene.name(side.place), scene.name(side.peer)
        reports = reports_to(scene, side, view)
        frames = [stream.rtp.frames[0] for stream in (*side.outgoing, *side.incoming)]
        facts = {"view": view, "call": call.number}
        if length(windows) >= WINDOW_NS and not received:
            others = [one for one in sides if one is not side]
            heard = sent or any(spoken(one.incoming, one.expected(True)) for one in others)
            if not (side.is_caller or _is_acknowledged(call, view)):
                continue  # the caller may not know that it was answered: not the sound is at fault
            if not heard:
                # No sound anywhere: this capture may not have it at all, but for what RTCP says.
                own = [] if side.is_server else own_reports(scene, side, view)
                mute = len(own) > 1 and not any(report.packets for report in own)
                if mute and length(out_windows) >= WINDOW_NS:
                    told = phrase("says-it-sent-nothing", who=me, count=len(own))
                    yield _sends_none(me, told, [report.frame for report in own[:5]], facts)
                    return
                continue
            yield _nothing_came(scene, side, reports, frames, sent, facts)
            return
        came = spoken(side.incoming, windows)
        silent = came and not within(side.outgoing, out_windows)
        if not side.is_server and length(out_windows) >= WINDOW_NS and silent:
            told = phrase("sent-not-one", who=me, received=came)
            yield _sends_none(me, told, frames, facts)
            return
        if sent > 100:
            blind = _never_reported(side, reports)
            if blind:
                yield finding(
                    "one-way-audio",
                    frames + [report.frame for report in blind],
                    title=phrase("none-arrives-there"),
                    evidence=phrase(
                        "never-reported",
                        sent=sent,
                        who=me,
                        peer=peer,
                        count=len(blind),
                        span=f"{_span(blind):.0f}",
                    ),
                    advice=phrase("check-far-nat"),
                    **facts,
                )
                return


def _is_acknowledged(call: Call, view: int) -> bool:
    return any(one.method == "ACK" and one.first.flow.view == view for one in call.transactions)


def _sends_none(
    me: str | Phrase, told: Phrase, frames: list[int], facts: dict[str, int]
) -> Finding:
    return finding(
        "one-way-audio",
        frames,
        title=phrase("sends-none", who=me),
        evidence=told,
        advice=phrase("check-microphone", who=me),
        **facts,
    )


def _nothing_came(
    scene: Scene,
    side: Side,
    reports: list[Report],
    frames: list[int],
    sent: int,
    facts: dict[str, int],
) -> Finding:
    me, peer = scene.name(side.place), scene.name(side.peer)
    other = phrase("other-end") if not side.is_server else peer
    speaking = [report for report in reports if report.is_sender and report.packets]
    silent = [report for report in reports if not report.packets]
    frames = frames + [report.frame for report in reports[:5]]
    if speaking:
        evidence = phrase("sent-and-lost", who=me, sent=sent, told=speaking[-1].packets)
        advice = phrase("check-nat", who=me)
    elif silent:
        evidence = phrase("path-open-and-silent", who=me, peer=other)
        advice = phrase("check-microphone", who=other)
    else:
        evidence = phrase("sent-or-not", who=me, peer=other, sent=sent)
        advice = phrase("capture-there-too", peer=other, who=me)
    title = phrase("none-comes", who=peer) if side.is_server else phrase("hears-nothing", who=me)
    return finding("one-way-audio", frames, title=title, evidence=evidence, advice=advice, **facts)


def _never_reported(side: Side, reports: list[Report]) -> list[Report]:
    """Reports of a peer that has sound sent to it and says all along that none comes."""
    began = min((s.rtp.times[0] for s in side.outgoing), default=0)
    until = max((s.rtp.times[-1] for s in side.outgoing), default=0)
    late = [r for r in reports if began + 2 * LATE_NS < r.time_ns <= until + LATE_NS]
    if len(late) < 2 or any(report.blocks for report in reports) or _span(late) < 2:
        return []
    return late


def _span(reports: list[Report]) -> float:
    return (reports[-1].time_ns - reports[0].time_ns) / 1e9


def _stopped(scene: Scene, call: Call, sides: list[Side], view: int) -> Iterator[Finding]:
    """Sound of one direction that ends long before the other's, with a reason in the packets."""
    lost = [
        one
        for one in call.transactions
        if one.final is not None
        and one.final.status in (404, 481)
        and one.first.to_tag
        and one.first.flow.view == view
    ]
    for into, side in [(into, side) for into in (True, False) for side in sides]:
        streams, others = side.incoming, side.outgoing
        if not into:
            streams, others = others, streams
        windows = side.expected(into)
        stop, goes_on = _last_sound(streams), _last_sound(others)
        if not windows or not stop or not goes_on:
            continue
        until = min(windows[-1][1], goes_on)
        if until - stop < _STOPPED_NS or windows[-1][0] > stop:
            continue
        errors = [
            error
            for error in scene.capture.icmp
            if error.is_port_unreachable
            and error.view == view
            and error.time_ns > stop
            and any(error.destination in (s.destination, s.source) for s in (*streams, *others))
        ]
        who = scene.name(side.peer if into else side.place)
        after = (stop - side.start) / 1e9
        way = phrase("coming-from" if into else "going-to", who=scene.name(side.peer))
        longer = f"{(until - stop) / 1e9:.1f}"
        evidence = [phrase("ended-before", after=f"{after:.1f}", direction=way, longer=longer)]
        advice = phrase("look-for-restart", who=who)
        frames = [s.rtp.frames[-1] for s in (*streams, *others)]
        if errors:
            evidence.append(phrase("port-closed", who=errors[0].sender, times=len(errors)))
            frames += [error.frame for error in errors[:5]]
        if lost:
            final = lost[0].final
            assert final is not None
            evidence.append(phrase("call-not-known", method=lost[0].method, label=final.label))
            frames += [lost[0].first.frame, final.frame]
        if not errors and not lost:
            told = _after_the_stop(scene, streams, stop, until, view)
            if told is None:
                continue
            advice = phrase("look-where-it-goes-missing")
            if told[0].id != "sent-on-and-lost":
                advice = phrase("check-microphone-or-mute")
            evidence.append(told[0])
            frames += told[1]
        yield finding(
            "audio-stopped",
            frames,
            view=view,
            call=call.number,
            direction=way,
            evidence=joined("sentences", evidence),
            who=who,
            advice=advice,
        )
        return


def _last_sound(streams: tuple[Stream, ...]) -> int:
    """When the last packet came that is no pressed key; 0 for none."""
    last = 0
    for stream in streams:
        extra = {kind for kind, name in stream.names.items() if is_extra(name)}
        rows = zip(reversed(stream.rtp.times), reversed(stream.rtp.payloads), strict=True)
        last = max(last, next((time for time, kind in rows if kind & 0x7F not in extra), 0))
    return last


def _after_the_stop(
    scene: Scene, streams: tuple[Stream, ...], stop: int, until: int, view: int
) -> tuple[Phrase, list[int]] | None:
    """What the sender's own RTCP says of the time after its last packet was seen, and the frames.

    None where nothing is known to be wrong: it may have had nothing to say.
    """
    stream = max(streams, key=lambda one: one.rtp.times[-1])
    reports = [
        report
        for report in scene.capture.reports
        if report.is_sender
        and report.ssrc == stream.rtp.ssrc
        and report.flow.view == view
        and report.flow.source.host == stream.source.host
        and stop + LATE_NS < report.time_ns <= until + LATE_NS
    ]
    frames = [report.frame for report in reports]
    if reports and reports[-1].packets - stream.quality.expected >= _UNSEEN:
        facts = {"told": reports[-1].packets, "seen": len(stream.rtp)}
        return phrase("sent-on-and-lost", **facts), frames
    if until - stop < _SILENT_NS or _may_pause(streams):
        return None
    if len(reports) > 1 and reports[0].packets == reports[-1].packets:
        return phrase("sent-no-more", count=len(reports)), frames
    return None


def _may_pause(streams: tuple[Stream, ...]) -> bool:
    """Whether this sender keeps silent where nobody speaks: its numbers run on over a gap."""
    for stream in streams:
        rtp = stream.rtp
        steps = zip(pairwise(rtp.sequences), pairwise(rtp.times), strict=True)
        codec = stream.codec.partition("/")[0].upper()
        if stream.comfort_noise or codec in _SUPPRESSING:
            return True
        if any((b - a) & 0xFFFF == 1 and then - now > _PAUSE_NS for (a, b), (now, then) in steps):
            return True
    return False


def _loss(
    scene: Scene, call: Call, streams: list[Stream], sides: list[Side], view: int
) -> Iterator[Finding]:
    """Loss that the numbers show, or that the receiver reports."""
    told: set[int] = set()
    for stream in streams:
        quality = stream.quality
        # Packets that were captured twice make up for none of those that are missing.
        missing = quality.lost + quality.duplicates
        if missing >= _LOST and missing >= _LOSS * quality.expected:
            if stream.rtp.ssrc in told or _is_of_the_capture(scene, stream):
                continue
            told.add(stream.rtp.ssrc)
            yield finding(
                "packet-loss",
                [stream.rtp.frames[0], stream.rtp.frames[-1]],
                view=view,
                call=call.number,
                percent=f"{100 * missing / quality.expected:.0f}",
                source=scene.name(scene.places.of(stream.source)),
                target=scene.name(scene.places.of(stream.destination)),
                evidence=phrase("missing-here", lost=missing, expected=quality.expected),
            )
    for side in sides:
        own = {s.rtp.ssrc: s for s in side.outgoing}
        blocks: dict[int, list[tuple[Report, int, int]]] = {}
        for report in reports_to(scene, side, view):
            for block in report.blocks:
                if block.ssrc in own:
                    blocks.setdefault(block.ssrc, []).append((report, block.lost, block.highest))
        for ssrc, rows in blocks.items():
            report, lost, highest = rows[-1]
            first = own[ssrc].rtp.sequences[0]
            expected = (highest - first) & 0xFFFF
            if ssrc in told or lost < _LOST or lost < _LOSS * expected or expected > 40_000:
                continue
            told.add(ssrc)
            # A server that relays sound passes reports on as well: whose this is, is not known.
            far = isinstance(scene.name(side.peer), Phrase)
            yield finding(
                "packet-loss",
                [report.frame for report, _, _ in rows],
                view=view,
                call=call.number,
                percent=f"{100 * lost / max(expected, 1):.0f}",
                source=scene.name(side.place),
                target=phrase("other-end") if far else scene.name(side.peer),
                evidence=phrase(
                    "far-receiver-reports-loss" if far else "receiver-reports-loss",
                    lost=lost,
                    expected=expected,
                ),
            )


def _is_of_the_capture(scene: Scene, stream: Stream) -> bool:
    """Whether the capture itself lost the packets that are missing: nothing can take them before
    they have left their sender, and a receiver counts what it got.
    """
    rtp = stream.rtp
    if scene.vantages[rtp.flow.view] == stream.source.host != stream.destination.host:
        return True
    blocks = scene.received.get((rtp.flow.view, rtp.ssrc), [])
    if not blocks:
        return False
    first, last = rtp.sequences[0], blocks[-1]
    expected = ((last.highest - first) & 0xFFFF) + 1
    if expected > _HALF_ROUND:
        return False  # the report is from before the capture
    seen = {
        offset for sequence in rtp.sequences if (offset := (sequence - first) & 0xFFFF) < expected
    }
    return expected - len(seen) > 2 * max(last.lost, 0) + _FEW
