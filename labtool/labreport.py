"""The lab report: what the lab was to be, what its captures show, and room for the student's words.

Facts come from two places only: the lab's own files and the packets. What neither holds is not in
it. Everything that came off a network is escaped twice over: for HTML by Jinja2, for Markdown by
`labtool.labreport_text`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labtool import __version__, atomic
from labtool.errors import RequestError
from labtool.inventory import Lab
from labtool.labintent import compared, intent_of, secrets_of
from labtool.labreport_text import environment as markdown
from labtool.labreport_text import fenced
from labtool.labreport_words import WORDS
from labtool.trace import ladder as text_ladder
from labtool.trace import page, selection, svg
from labtool.trace.analysis import Analysis, analyse
from labtool.trace.calls import Call
from labtool.trace.errors import CaptureError
from labtool.trace.estimate import Estimator
from labtool.trace.explain.lines import Explainer
from labtool.trace.ladder import Ladder
from labtool.trace.message import Message
from labtool.trace.page_texts import TEXTS
from labtool.trace.pcap import is_capture
from labtool.trace.phrase import said
from labtool.trace.registrations import Registration
from labtool.trace.story import ladder_of_call, ladder_of_parts

#: What a folder's captures are called.
SUFFIXES = (".pcap", ".pcapng", ".gz")
NAMES = ("report.html", "report.md")

_ROWS = 200  # of a table
_CALLS = 5  # drawn for each capture
_ARROWS = 200  # of a ladder
_COLUMNS = 100  # of a ladder as text
_ALWAYS = ("hosts", "domain", "users")  # facts that are missed where a lab has none
_STYLE = (
    ".todo{border:1px dashed var(--provisional);border-radius:8px;padding:10px 14px;margin:14px 0;"
    "min-height:96px}.todo p{margin:0}section>h3{margin-top:18px}h4{margin:0}"
)
_MARK = re.compile(r"<!-- labtool report ([0-9a-f]{64}) -->\n\Z")


@dataclass(frozen=True)
class Evidence:
    """A folder's captures: understood together, and each alone; `unread` says what is no capture."""

    together: Analysis
    alone: tuple[tuple[str, Analysis], ...]  #: by the file's name
    unread: tuple[str, ...]


def gather(folder: Path) -> Evidence:
    """Read every capture of a folder, in order of their names.

    Raises RequestError where the folder cannot be read or holds none that can.
    """
    try:
        paths = sorted(
            path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file()
        )
    except OSError as error:
        raise RequestError(f"{folder} cannot be read: {error.strerror}.") from error
    good, alone, unread = [], [], []
    for path in paths:
        try:
            alone.append((path.name, analyse([path])))
            good.append(path)
        except CaptureError as error:
            unread.append(str(error))
    if not good:
        why = f": {unread[0]}" if unread else f"; it holds no file named *{', *'.join(SUFFIXES)}."
        raise RequestError(f"There is no capture to read in {folder}{why}")
    together = alone[0][1] if len(good) == 1 else analyse(good)
    return Evidence(together, tuple(alone), tuple(unread))


def facts(lab: Lab, words: Mapping[str, str]) -> list[tuple[str, str]]:
    """What the lab's files say of the set-up, as rows of a table."""
    intent, options = intent_of(lab), lab.options
    hosts = [
        host.name if host.name == host.address else f"{host.name} ({host.address})"
        for host in lab.hosts
    ]
    rows = [
        ("hosts", ", ".join(hosts)),
        ("domain", intent.domain),
        ("public", options["flexisip_public_address"]),
        ("transports", _listed(map(str.upper, intent.transports))),
        ("port", str(intent.port)),
        ("algorithms", _listed(intent.algorithms)),
        ("relay", words["yes" if intent.relay else "no"]),
        ("rtp_ports", "–".join(map(str, intent.rtp_ports or ())) if intent.relay else ""),
        ("users", _listed(intent.users)),
    ]
    return [
        (words[name], value or words["not_named"])
        for name, value in rows
        if value or name in _ALWAYS
    ]


def _listed(values: Iterable[str]) -> str:
    return ", ".join(values)


def render(evidence: Evidence, lab: Lab | None, *, language: str = "en") -> dict[str, str]:
    """The report's files by name: the page and the Markdown, each with its mark at the end."""
    values = _values(evidence, lab, language)
    style = page.style_sheet() + _STYLE
    html = (
        page.environment()
        .get_template("labreport.html.j2")
        .render(values, policy=page.policy(style), style=page.drawn(style))
    )
    text = re.sub(r"\n{3,}", "\n\n", markdown().get_template("labreport.md.j2").render(values))
    return dict(zip(NAMES, (_marked(html), _marked(text)), strict=True))


def _values(evidence: Evidence, lab: Lab | None, language: str) -> dict[str, Any]:
    words, texts = WORDS[language], TEXTS[language]
    found = evidence.together
    registrations = selection.registrations(found, None, None)
    first = _first(registrations, ("registered",))
    call = _first(found.calls, ("answered",))
    explainer = Explainer(found, secrets_of(lab) if lab is not None else {})
    estimator = Estimator(found)

    def annotated(messages: Sequence[Message], prefix: str) -> list[dict[str, Any]]:
        # What another view saw of a message is the message, once.
        twins = found.merged.twins
        once = dict.fromkeys(twins.get(id(one), one) for one in messages)
        rows = [
            page.message_values(one, place, explainer, found, language)
            for place, one in enumerate(list(once)[:_ARROWS])
        ]
        return [{**row, "key": prefix + row["key"]} for row in rows]

    return {
        "w": words,
        "t": texts,
        "language": {"zh": "zh-Hans"}.get(language, language),
        "files": [name for name, _ in evidence.alone],
        "damage": [*evidence.unread, *(said(one, language) for one in found.capture.damage)],
        "facts": facts(lab, words) if lab is not None else None,
        "compared": compared(lab, found, language) if lab is not None else None,
        "registrations": [page.registration_values(one, texts) for one in registrations[:_ROWS]],
        "more_registrations": _more(len(registrations), _ROWS, words),
        "registration_ladders": [
            (
                name,
                _drawing(ladder_of_parts(alone, one.messages(), (), language=language), language),
            )
            for name, alone in evidence.alone
            if (one := _first(alone.registrations, ("registered",))) is not None
        ],
        "registration_messages": annotated(_messages(first), "r"),
        "calls": [page.call_values(one, texts) for one in found.calls[:_ROWS]],
        "more_calls": _more(len(found.calls), _ROWS, words),
        "views": [_view(name, alone, language) for name, alone in evidence.alone],
        "call_messages": annotated(_messages(call), "c"),
        "hang_ups": [
            (
                name,
                [_hang_up(one, texts, words) for one in alone.calls[:_ROWS]],
                _more(len(alone.calls), _ROWS, words),
            )
            for name, alone in evidence.alone
            if alone.calls
        ],
        "streams": [
            page.stream_values(one, place, estimator, found, language)
            for place, one in enumerate(found.streams[:_ROWS])
        ],
        "more_streams": _more(len(found.streams), _ROWS, words),
        "findings": [
            page.finding_values(one, found, {}, language) for one in found.findings[:_ROWS]
        ],
        "more_findings": _more(len(found.findings), _ROWS, words),
        "nothing": texts[selection.without_findings(found)],
        "made": WORDS[language]["made"].format(version=__version__),
    }


def _first(found: Sequence[Any], outcomes: tuple[str, ...]) -> Any:
    """The first that came to such an end; where none did, the first."""
    return next((one for one in found if one.outcome in outcomes), found[0] if found else None)


def _messages(of: Registration | Call | None) -> list[Message]:
    return sorted(of.messages(), key=lambda one: one.time_ns) if of is not None else []


def _more(count: int, shown: int, words: Mapping[str, str]) -> str:
    return words["more"].format(count=count - shown) if count > shown else ""


def _view(name: str, alone: Analysis, language: str) -> dict[str, Any]:
    return {
        "name": name,
        "calls": [
            {
                **page.call_values(call, TEXTS[language]),
                **_drawing(ladder_of_call(alone, call, language=language), language),
            }
            for call in alone.calls[:_CALLS]
        ],
        "more": _more(len(alone.calls), _CALLS, WORDS[language]),
    }


def _drawing(ladder: Ladder, language: str) -> dict[str, Any]:
    """The ladder as SVG and as text; one that is too long to read is cut, and says so."""
    short = Ladder(ladder.participants, ladder.arrows[:_ARROWS])
    return {
        "svg": page.drawn(svg.draw(short, links={}, language=language)) if short.arrows else "",
        "text": fenced(text_ladder.text(short, width=_COLUMNS)),
        "cut": _more(len(ladder.arrows), _ARROWS, WORDS[language]),
    }


def _hang_up(call: Call, texts: dict[str, str], words: Mapping[str, str]) -> dict[str, Any]:
    """How a call ended: its BYE, and what was answered to it, as this capture saw them."""
    byes = [one for one in call.transactions if one.method == "BYE"]
    final = next((one.final for one in byes if one.final is not None), None)
    return {
        **page.call_values(call, texts),
        "bye": ", ".join(str(one.first.frame) for one in byes),
        "answer": words["in_frame"].format(label=final.label, frame=final.frame) if final else "",
        "none": words["no_bye"],
    }


def write(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write the report into `folder`, which is made where it is missing. Returns the files.

    Raises RequestError, before anything is written, where a file of such a name is not labtool's
    own report just as labtool wrote it: a capture, or a report with somebody's words in it.
    """
    paths = [folder / name for name in files]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            _may_replace(path)
        for path, text in zip(paths, files.values(), strict=True):
            atomic.write(path, text, mode=0o644)
    except OSError as error:
        where = error.filename or folder
        raise RequestError(f"{where} cannot be written: {error.strerror}.") from error
    return paths


def _marked(text: str) -> str:
    """The text and, as its last line, a mark that only this text has."""
    text = text.rstrip("\n") + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text}<!-- labtool report {digest} -->\n"


def _may_replace(path: Path) -> None:
    if not path.is_symlink() and not path.exists():
        return
    if not path.is_file():
        raise RequestError(f"{path} is no file.")
    with path.open("rb") as stream:
        if is_capture(stream.read(4)):
            raise RequestError(f"{path} is a capture, and is not written over.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        text = ""
    mark = _MARK.search(text[-120:])
    if mark is None or _marked(text[: -len(mark[0])]) != text:
        raise RequestError(
            f"{path} was not made by labtool, or was changed since, and is not written over. "
            "Name another folder with -o, or move it."
        )
