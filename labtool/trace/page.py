"""An analysis as one HTML page that needs nothing else, and asks nothing of anybody.

Everything on it came off a network. Jinja2 escapes every text, `plain` has taken the control
characters out, and the page's own Content-Security-Policy lets run only the one script and the one
style sheet whose hashes it names: whatever else got in would be text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from labtool import __version__
from labtool.sip.digest import Secret
from labtool.trace import plot, selection, svg
from labtool.trace.analysis import Analysis
from labtool.trace.calls import Call
from labtool.trace.estimate import Estimator
from labtool.trace.estimate_texts import rating, sentence
from labtool.trace.explain.lines import Explainer, Line
from labtool.trace.explain.texts import render as explained
from labtool.trace.explain.texts import source
from labtool.trace.findings.finding import Finding
from labtool.trace.gaps import Gap, gaps
from labtool.trace.ladder import plain
from labtool.trace.media import Stream
from labtool.trace.message import Message
from labtool.trace.page_texts import TEXTS, gaps_said
from labtool.trace.phrase import said
from labtool.trace.registrations import Registration
from labtool.trace.story import ladder_of_parts


def render(
    analysis: Analysis,
    calls: Sequence[Call] | None = None,
    user: str | None = None,
    *,
    language: str = "en",
    known: Mapping[tuple[str, str], Secret] | None = None,
    compared: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page of these calls and of the user's registrations; of everything where `calls` is None.

    `known` are accounts' hashes by user and realm, to check answers with; `compared` are rows that
    set what was configured against what was seen.
    """
    texts = TEXTS[language]
    twins = analysis.merged.twins
    seen = selection.messages(analysis, calls, user)
    messages = [one for one in seen if id(one) not in twins]
    streams = selection.streams(analysis, calls)
    shown = analysis.calls if calls is None else calls
    ladder = ladder_of_parts(
        analysis, messages, streams, encrypted=calls is None, language=language
    )
    links = {arrow.key: f"#{arrow.key}" for arrow in ladder.arrows if arrow.key}
    order = {id(message): f"m{place}" for place, message in enumerate(messages)}
    places = {
        (one.flow.view, one.frame): order[id(first)]
        for one in seen
        if id(first := twins.get(id(one), one)) in order
    }
    places |= {
        (stream.rtp.flow.view, frame): f"s{place}"
        for place, stream in enumerate(streams)
        for frame in (stream.rtp.frames[0], stream.rtp.frames[-1])
    }
    findings = selection.findings(analysis, calls, user)
    style, script = style_sheet(), package_file("page.js")
    explainer, estimator = Explainer(analysis, known), Estimator(analysis)
    return (
        environment()
        .get_template("trace/page.html.j2")
        .render(
            t=texts,
            language={"zh": "zh-Hans"}.get(language, language),
            policy=policy(style, script),
            style=drawn(style),
            script=drawn(script),
            views=[Path(view).name for view in analysis.capture.views],
            partial=calls is not None,
            nothing=texts[selection.without_findings(analysis)],
            compared=compared,
            damage=[said(one, language) for one in analysis.capture.damage],
            findings=[finding_values(one, analysis, places, language) for one in findings],
            calls=[call_values(one, texts) for one in shown],
            registrations=[
                registration_values(one, texts)
                for one in selection.registrations(analysis, calls, user)
            ],
            streams=[
                stream_values(one, place, estimator, analysis, language)
                for place, one in enumerate(streams)
            ],
            count=len(messages),
            kinds=[
                kind
                for kind in ("request", "provisional", "challenge", "success", "failure", "media")
                if any(arrow.kind == kind for arrow in ladder.arrows)
            ],
            messages=[
                message_values(one, place, explainer, analysis, language)
                for place, one in enumerate(messages)
            ],
            ladder=drawn(svg.draw(ladder, links=links, language=language)) if ladder.arrows else "",
            made=texts["made"].format(version=__version__),
        )
    )


def drawn(text: str) -> Markup:
    """What labtool itself wrote as markup: its drawings escape every text, its style and its script
    are files of this package.
    """
    return Markup(text)  # noqa: S704


@cache
def environment() -> jinja2.Environment:
    """Templates of this package by their path in it (`trace/page.html.j2`), every value escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parents[1]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )


def _clean(value: object) -> object:
    """No control character, direction mark or half a character reaches the page."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return plain(value)
    return value


@cache
def package_file(name: str) -> str:
    """A file of this folder."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def style_sheet() -> str:
    """The style of a page and of the ladders on it."""
    colours = f":root{{{svg.variables(False)}}}{_dark()}"
    return f"{colours}{svg.RULES}{package_file('page.css')}"


def _dark() -> str:
    return f"@media screen and (prefers-color-scheme:dark){{:root{{{svg.variables(True)}}}}}"


def policy(style: str, script: str = "") -> str:
    """Nothing from anywhere, and of what is inside only these two (CSP level 2); no script at all
    where there is none.
    """

    def named(text: str) -> str:
        digest = hashlib.sha256(text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    scripts = named(script) if script else "'none'"
    return (
        f"default-src 'none'; style-src {named(style)}; script-src {scripts}; "
        "base-uri 'none'; form-action 'none'"
    )


def finding_values(
    one: Finding, analysis: Analysis, places: dict[tuple[int, int], str], language: str
) -> dict[str, Any]:
    """What the page says of a finding; `places` are keys by view and frame."""
    return {
        "id": one.id,
        "severity": one.severity,
        **asdict(one.text(language)),
        "evidence": [
            (
                analysis.capture.view_name(view),
                [(frame, places.get((view, frame), "")) for frame in frames[:24]],
                len(frames) > 24,
            )
            for view, frames in ((one.view, one.frames), *one.others)
        ],
    }


def call_values(one: Call, texts: dict[str, str]) -> dict[str, Any]:
    """What the page says of a call."""
    answered, ended = one.answered_ns, one.ended_ns
    return {
        "number": one.number,
        "caller": one.caller,
        "callee": one.callee,
        "id": one.call_id,
        "outcome": texts[one.outcome],
        "good": one.outcome == "answered",
        "status": one.status or "",
        "setup": f"{(answered - one.started_ns) / 1e9:.1f} s" if answered else "",
        "talk": f"{(ended - answered) / 1e9:.1f} s" if answered and ended else "",
        "ended_by": texts.get(one.ended_by, ""),
    }


def registration_values(one: Registration, texts: dict[str, str]) -> dict[str, Any]:
    """What the page says of a registration."""
    return {
        "user": one.user,
        "outcome": texts[one.outcome],
        "good": one.outcome in ("registered", "unregistered", "queried"),
        "status": f"{one.status} {one.reason}" if one.status else "",
        "contact": ", ".join(one.contacts),
        "expires": f"{one.expires} s" if one.expires is not None else "",
        "algorithm": one.algorithm,
    }


def stream_values(
    one: Stream, place: int, estimator: Estimator, analysis: Analysis, language: str
) -> dict[str, Any]:
    """What the page says of a stream, with its plots."""
    texts = TEXTS[language]
    estimate = estimator.of(one)
    quality = one.quality
    found = gaps(one)
    pauses = gaps_said(found, one.rtp.times[0], language)
    lost, jitter_course = _plots(one, found, texts)
    missing = quality.missing
    share = f" ({100 * missing / quality.expected:.1f} %)" if missing else ""
    jitter = "–"
    if quality.mean_jitter is not None and quality.max_jitter is not None:
        jitter = f"{quality.mean_jitter:.2f} ms, {quality.max_jitter:.2f} ms"
    return {
        "key": f"s{place}",
        "way": f"{one.source} → {one.destination}",
        "call": one.call.number if one.call else "",
        "view": analysis.capture.view_name(one.rtp.flow.view),
        "bad": missing >= 0.03 * max(quality.expected, 1) and missing > 0,
        "facts": [
            (texts["codec"], ", ".join(one.codecs) or "?"),
            (texts["path"], texts.get(one.path, "–")),
            (texts["packets"], quality.packets),
            (texts["lost"], f"{missing}{share}"),
            *([(texts["duplicates"], quality.duplicates)] if quality.duplicates else []),
            (texts["reordered"], quality.reordered),
            (texts["jitter"], jitter),
            (texts["duration"], f"{quality.duration:.1f} s"),
            *([(texts["gaps"], pauses)] if pauses else []),
            ("SSRC", f"0x{one.rtp.ssrc:08x}"),
            *([(texts["digits"], one.digits)] if one.digits else []),
            (texts["quality"], rating(estimate) or "–"),
        ],
        "how": sentence(estimate.said, language),
        "lost": lost[0],
        "lost_label": lost[1],
        "jitter": jitter_course[0],
        "jitter_label": jitter_course[1],
    }


def _plots(
    one: Stream, found: Sequence[Gap], texts: dict[str, str]
) -> tuple[tuple[Markup, str], tuple[Markup, str]]:
    """Loss and jitter over time, each with what it says; no drawing where there is nothing."""
    course = plot.course(one)
    began, seconds = one.rtp.times[0], len(course.lost) * course.step
    shaded = [
        ((pause.start_ns - began) / 1e9, (pause.start_ns - began) / 1e9 + pause.duration)
        for pause in found
    ]

    def drawing(values: Sequence[float | None], kind: str, unit: str) -> tuple[Markup, str]:
        top, place = max((value or 0.0, -place) for place, value in enumerate(values))
        label = texts[kind].format(
            total=sum(course.lost),
            top=f"{top:.1f}" if isinstance(top, float) else top,
            step=f"{course.step:.1f}",
            at=f"{-place * course.step:.1f}",
        )
        svg = plot.bars(values, label, unit=unit, seconds=seconds, pauses=shaded)
        return drawn(svg), label

    lost = drawn(""), texts["none_lost"]
    if any(course.lost):
        lost = drawing(course.lost, "plot_lost", "")
    wobble = drawn(""), texts["plot_unknown" if len(one.rtp) > 1 else "plot_few"]
    if one.quality.max_jitter is not None:
        wobble = drawing(course.jitter, "plot_jitter", "ms")
    return lost, wobble


def message_values(
    one: Message, place: int, explainer: Explainer, analysis: Analysis, language: str
) -> dict[str, Any]:
    """A message and what each of its lines means."""
    lines = explainer.lines(one)
    view = one.flow.view
    ends = [analysis.merged.place(view, end) for end in analysis.places.ends(one.flow)]
    names = [said(analysis.names.get(end, end), language) for end in ends]
    return {
        "key": f"m{place}",
        "frame": one.frame,
        "label": one.label,
        "who": f"{names[0]} → {names[1]}",
        "way": f"{one.flow.transport.upper()}  {one.flow.source} → {one.flow.destination}",
        "view": analysis.capture.view_name(view),
        "lines": [_line(line, language) for line in lines if line.part != "body"],
        "body": [_line(line, language) for line in lines if line.part == "body"],
    }


def _line(line: Line, language: str) -> dict[str, Any]:
    name, colon, value = line.text.partition(":")
    named = line.part == "header" and bool(colon)
    return {
        "part": line.part,
        "name": name if named else "",
        "text": value if named else line.text,
        "remarks": [(explained(one, language), source(one)) for one in line.remarks],
    }
