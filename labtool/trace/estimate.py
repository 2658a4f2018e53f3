"""How good the sound of a stream can have been: an estimate by the E-model, with what it rests on.

Never a number where none can be had: for a codec without published values, for a stream seen at its
own sender of which no receiver reports, for loss beyond the model. What is not counted is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from labtool.trace import emodel
from labtool.trace.analysis import Analysis
from labtool.trace.arrival import BUFFER_MS, arrival
from labtool.trace.explain.remark import Remark, say
from labtool.trace.impairment import IMPAIRMENTS, Impairment
from labtool.trace.media import Stream, is_extra
from labtool.trace.rtcp import Block, Report

_SHORTEST = 2.0  # seconds of sound
_FEWEST = 50  # packets
_PTIME = 20.0  # milliseconds of a packet, where the stream does not tell
_BURSTY = 1.05  # what rounds to more than 1.0
_EARLY_MS = -5.0  # what clocks and rounding may make of a round trip of nothing

#: (view, host that reports, host it reports to, SSRC)
_Key = tuple[int, str, str, int]


class _Loss(NamedTuple):
    percent: float
    burst_ratio: float
    late: int
    expected: int
    evidence: str


@dataclass(frozen=True)
class Estimate:
    """`rating` is R, on the scale of G.107 (G.107.1 where `wideband`); None where none can be had,
    and `said` tells why. Loss in per cent, late packets in it; times in milliseconds.

    `evidence` is what the loss was counted from: "arrived" (where the stream ends), "passing"
    (on its way), "reported" (by its receiver, in RTCP) or "" (nothing to count).
    """

    rating: float | None
    mos: float | None
    said: tuple[Remark, ...]
    wideband: bool = False
    evidence: str = ""
    loss: float | None = None
    burst_ratio: float | None = None
    late: int | None = None
    round_trip: float | None = None
    delay: float | None = None


class Estimator:
    """An analysis, and the RTCP reports of it by what they are about."""

    def __init__(self, analysis: Analysis) -> None:
        self._vantages = analysis.vantages
        self._blocks: dict[_Key, list[Block]] = {}  # by the SSRC they are about
        self._there: dict[_Key, list[float]] = {}  # milliseconds, by the SSRC asked about
        self._back: dict[_Key, list[float]] = {}  # by the SSRC of who reports
        sent: dict[tuple[_Key, int], Report] = {}
        for report in sorted(analysis.capture.reports, key=lambda one: one.time_ns):
            flow = report.flow
            ends = (flow.source.host, flow.destination.host)
            if report.stamp:
                sent.setdefault(((flow.view, *ends, report.ssrc), report.stamp), report)
            for block in report.blocks:
                self._blocks.setdefault((flow.view, *ends, block.ssrc), []).append(block)
                asked = sent.get(((flow.view, *ends[::-1], block.ssrc), block.last_sr))
                if not block.last_sr or asked is None:
                    continue
                trip = (report.time_ns - asked.time_ns) / 1e6 - block.delay * 1000 / 65536
                if trip > _EARLY_MS:
                    for trips, ssrc in ((self._there, block.ssrc), (self._back, report.ssrc)):
                        trips.setdefault((flow.view, *ends, ssrc), []).append(max(trip, 0.0))

    def of(self, stream: Stream) -> Estimate:
        """The estimate for a stream."""
        spoken = [name for name in stream.codecs if not is_extra(name)]
        name = stream.codec.partition("/")[0]
        if not stream.codec:
            return _none("none.unknown")
        if "/90000" in stream.codec:
            return _none("none.video", codec=name)
        if len(spoken) > 1:
            return _none("none.several", codecs=", ".join(spoken))
        row = IMPAIRMENTS.get(name.upper())
        if row is None:
            return _none("none.codec", codec=name)
        if stream.quality.duration < _SHORTEST or stream.quality.packets < _FEWEST:
            return _none("none.short")
        loss = self._loss(stream)
        if loss is None:
            return _none("none.sender")
        if loss.percent > emodel.MOST_LOSS:
            return _none("none.range", loss=f"{loss.percent:.1f}", evidence=loss.evidence)
        if loss.percent and row.bpl is None:
            return _none("none.loss", codec=name, loss=f"{loss.percent:.1f}")
        return self._rated(stream, name, row, loss)

    def _rated(self, stream: Stream, name: str, row: Impairment, loss: _Loss) -> Estimate:
        trip = self._round_trip(stream)
        packet = _packet_time(stream)
        way = None if trip is None else min(trip / 2 + packet + BUFFER_MS, emodel.MOST_DELAY)
        slow = emodel.delay(way) if way is not None else 0.0

        def rating(bpl: float | None) -> float:
            costs = emodel.equipment(row.ie, bpl, *loss[:2]) if bpl is not None else row.ie
            best = emodel.WIDEBAND if row.wideband else emodel.NARROWBAND
            return max(best - slow - costs, 0.0)

        scale = emodel.WIDEBAND / 100 if row.wideband else 1.0  # G.107.1 annex A
        found = rating(row.bpl)
        said = [
            say("wideband" if row.wideband else "model"),
            say("codec", codec=name, ie=f"{row.ie:g}", source=row.source)
            if row.bpl is None
            else say("codec-loss", codec=name, ie=f"{row.ie:g}", bpl=row.bpl, source=row.source),
            say(loss.evidence, loss=f"{loss.percent:.1f}", expected=loss.expected),
        ]
        if loss.evidence != "reported":
            if loss.burst_ratio > _BURSTY:
                said.append(say("burst", burst=f"{loss.burst_ratio:.1f}"))
            said.append(say("late" if loss.late else "none-late", late=loss.late, buffer=BUFFER_MS))
        if loss.percent and row.plain_bpl is not None:
            plain = rating(row.plain_bpl)
            said.append(say("plain", rating=f"{plain:.0f}", mos=f"{emodel.mos(plain):.1f}"))
        if trip is None or way is None:
            said.append(say("no-delay"))
        else:
            values = {"delay": way, "trip": trip, "packet": packet, "buffer": BUFFER_MS}
            said.append(say("delay", **{key: f"{value:.0f}" for key, value in values.items()}))
        said.append(say("rest"))
        return Estimate(
            round(found, 1),
            round(emodel.mos(found / scale), 2),
            tuple(said),
            row.wideband,
            loss.evidence,
            round(loss.percent, 2),
            round(loss.burst_ratio, 2),
            loss.late,
            None if trip is None else round(trip, 1),
            None if way is None else round(way, 1),
        )

    def _loss(self, stream: Stream) -> _Loss | None:
        """At its end the packets count; anywhere else what the receiver reports is better."""
        vantage = self._vantages[stream.rtp.flow.view]
        here = vantage == stream.destination.host
        if not here:
            reported = self._reported(stream)
            if reported is not None or vantage is not None:
                return reported
        events = [kind for kind, name in stream.names.items() if _is_event(name)]
        found = arrival(stream.rtp, stream.clocks, events)
        evidence = "arrived" if here else "passing"
        return _Loss(found.loss, found.burst_ratio, found.late, found.expected, evidence)

    def _reported(self, stream: Stream) -> _Loss | None:
        """From the last report of its receiver (RFC 3550 section 6.4.1)."""
        rtp = stream.rtp
        blocks = self._blocks.get(_about(stream))
        if not blocks:
            return None
        last = blocks[-1]
        expected = last.highest - rtp.sequences[0] + 1
        if not 0 < expected <= 2 * stream.quality.expected:
            return None  # of something that began before the capture
        return _Loss(100 * max(last.lost, 0) / expected, 1.0, 0, expected, "reported")

    def _round_trip(self, stream: Stream) -> float | None:
        """Both ways from here, by what RTCP quotes of the other side's reports."""
        view, receiver, sender, ssrc = _about(stream)
        there = self._there.get((view, receiver, sender, ssrc))
        back = self._back.get((view, sender, receiver, ssrc))
        vantage = self._vantages[view]
        if vantage == sender and there:
            return median(there) + (median(back) if back else 0.0)
        if vantage == receiver and back:
            return median(back) + (median(there) if there else 0.0)
        return median(there) + median(back) if there and back else None


def _none(reason: str, *, evidence: str = "", **facts: object) -> Estimate:
    return Estimate(None, None, (say(reason, **facts),), evidence=evidence)


def _packet_time(stream: Stream) -> float:
    """Milliseconds of sound in a packet: the most frequent step of its time."""
    rtp = stream.rtp
    rate = stream.clocks.get(rtp.payloads[0] & 0x7F, 0)
    steps = sorted(_steps(stream))
    step = steps[len(steps) // 2] if steps else 0
    found = step * 1000 / rate if rate else 0.0
    return found if 0 < found <= 200 else _PTIME


def _steps(stream: Stream) -> Iterator[int]:
    """Of the time between packets that follow each other, among the first."""
    rtp = stream.rtp
    for index in range(1, min(len(rtp), 500)):
        if (rtp.sequences[index] - rtp.sequences[index - 1]) & 0xFFFF == 1:
            yield (rtp.stamps[index] - rtp.stamps[index - 1]) & 0xFFFFFFFF


def _is_event(name: str) -> bool:
    return name.lower().startswith("telephone-event/")


def _about(stream: Stream) -> _Key:
    """Of the reports about a stream. Not by ports: through TURN, RTCP may come from any."""
    flow = stream.rtp.flow
    return flow.view, flow.destination.host, flow.source.host, stream.rtp.ssrc
