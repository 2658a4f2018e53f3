"""labtool trace."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labtool.cli.shared import lab_is_named, lab_option, language_option
from labtool.errors import RequestError

if TYPE_CHECKING:
    from labtool.sip.digest import Secret
    from labtool.trace.analysis import Analysis
    from labtool.trace.calls import Call
    from labtool.trace.findings.finding import Finding
    from labtool.trace.media import Stream
    from labtool.trace.message import Message

    Secrets = Mapping[tuple[str, str], Secret]

# A ladder of a whole capture longer than this is left out unless --all asks for it.
_LADDER_MESSAGES = 200
# Of more streams than this only the estimate is shown, not what it rests on.
_EXPLAINED_STREAMS = 20
# A picture or a page of more than this is no pleasure to open.
_DRAWN_MESSAGES = 1500


@click.command(epilog="Example: labtool trace call.pcap --call 1")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--call", "number", type=click.IntRange(1), metavar="N", help="Only call N.")
@click.option("--user", metavar="NAME", help="Only the calls and registrations of NAME.")
@click.option("--dialog", metavar="CALL-ID", help="Only the call with this Call-ID.")
@click.option("--all", "everything", is_flag=True, help="Draw the ladder however long it is.")
@click.option(
    "--explain",
    "explained",
    is_flag=True,
    help="Every message, each line with what it means here and the RFC.",
)
@click.option(
    "--html",
    "page_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT",
    help="Write one page with everything: ladder, messages explained, findings, sound.",
)
@click.option(
    "--svg",
    "svg_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT",
    help="Write the ladder as SVG.",
)
@partial(lab_option, help="Compare with this lab, or that of LABTOOL_INVENTORY.")
@language_option
@click.option(
    "--key-log",
    metavar="FILE",
    help="TLS secrets, as SSLKEYLOGFILE makes a program log them: TLS is then read too.",
)
@click.option("--json", "as_json", is_flag=True, help="One documented JSON object, for programs.")
@click.pass_context
def trace(
    context: click.Context,
    /,
    files: tuple[str, ...],
    number: int | None,
    user: str | None,
    dialog: str | None,
    everything: bool,
    explained: bool,
    page_file: Path | None,
    svg_file: Path | None,
    lab: Path,
    language: str,
    key_log: str | None,
    as_json: bool,
) -> None:
    """Read captures (pcap, pcapng; - is standard input): registrations, calls, sound, what is wrong.

    Two captures of one call, from both phones or before and after the server, may be given
    together. With a lab (-i), what it was to be is compared with what was seen, and answers to
    challenges are checked with its hashes. Exit 1 where something is wrong (an error), 0 otherwise.
    """
    if sum(one is not None for one in (number, user, dialog)) > 1:
        raise RequestError("--call, --user and --dialog each choose a part: give one of them.")
    _each_once(files)
    from labtool.trace import analysis, report, selection
    from labtool.trace.page_texts import TEXTS

    known = intent = secrets = None
    if lab_is_named(context):
        from labtool import inventory, labintent  # 3 MiB that others need not spend

        known = inventory.read(lab)
        intent, secrets = labintent.intent_of(known), labintent.secrets_of(known)
    found = analysis.analyse(files, key_log=key_log)
    rows = labintent.compared(known, found, language) if known is not None else []
    chosen = _chosen(found, number, user, dialog)
    messages = selection.messages(found, chosen, user)
    written = []
    if svg_file is not None:
        written.append(_write(svg_file, _svg(found, chosen, user, language)))
    if page_file is not None:
        written.append(_write(page_file, _page(found, chosen, user, language, secrets, rows)))
    if as_json:
        sys.stdout.writelines(report.written(found, language, intent))
        click.echo()
    else:
        if explained and len(messages) > _LADDER_MESSAGES and not everything:
            raise RequestError(
                f"{len(messages)} messages are too many to explain at once: choose a call with "
                "--call N, or say --all."
            )
        _show(found, chosen, user, everything, language)
        if explained:
            _explain(found, messages, language, secrets)
        if rows:
            click.echo(f"\n{TEXTS[language]['intent']} ({lab}):")
        for row in rows:
            _row(row, language)
        for path in written:
            click.echo(f"\n{TEXTS[language]['line_written'].format(path=path)}")
    context.exit(1 if any(f.severity == "error" for f in found.findings) else 0)


def _chosen(
    found: Analysis, number: int | None, user: str | None, dialog: str | None
) -> list[Call] | None:
    """The calls that were asked for; None for all. Raises RequestError where there is none."""
    from labtool.trace.selection import user_of

    if number is None and user is None and dialog is None:
        return None
    calls = [
        call
        for call in found.calls
        if (number is None or call.number == number)
        and (dialog is None or call.call_id == dialog)
        and (user is None or user in (user_of(call.caller), user_of(call.callee)))
    ]
    if not calls and user is None:
        raise RequestError(f"There is no such call; the capture has {len(found.calls)}.")
    if not calls and not any(user_of(one.user) == user for one in found.registrations):
        raise RequestError(f"No call and no registration of {user} is in the capture.")
    return calls


def _each_once(files: Sequence[str]) -> None:
    """Raises RequestError where a file is named twice: it would be merged with itself."""
    seen: set[Path | str] = set()
    for name in files:
        file = name if name == "-" else Path(name).resolve()
        if file in seen:
            raise RequestError(f"{name} is given twice: name each capture once.")
        seen.add(file)


def _show(
    found: Analysis,
    chosen: list[Call] | None,
    user: str | None,
    everything: bool,
    language: str,
) -> None:
    from labtool.cli import ladder
    from labtool.trace import selection
    from labtool.trace.estimate import Estimator
    from labtool.trace.estimate_texts import common, rating, special
    from labtool.trace.gaps import gaps
    from labtool.trace.ladder import plain
    from labtool.trace.page_texts import TEXTS, gaps_said
    from labtool.trace.phrase import Phrase, said
    from labtool.trace.story import ladder_of_analysis, ladder_of_call

    t = TEXTS[language]
    calls = found.calls if chosen is None else chosen
    by_call: dict[int, list[Stream]] = {}
    for stream in found.streams:
        by_call.setdefault(id(stream.call), []).append(stream)
    estimator = Estimator(found)
    brief = sum(len(by_call.get(id(call), ())) for call in calls) > _EXPLAINED_STREAMS
    models: dict[str, None] = {}
    for entry in selection.registrations(found, chosen, user):
        contact = f"  {entry.contacts[0]}" if entry.contacts else ""
        status = f"{entry.status} {entry.reason}" if entry.status else t["no_answer"]
        facts = {"user": entry.user, "outcome": t[entry.outcome], "status": status}
        click.echo(plain(t["line_registration"].format_map(facts) + contact))
    alone = by_call.get(id(None), []) if chosen is None else []
    for call in calls:
        facts = {"caller": call.caller, "callee": call.callee, "outcome": t[call.outcome]}
        head = t["line_call"].format(number=call.number, **facts)
        click.echo(plain(head + _times(call, t)))
        for stream in by_call.get(id(call), ()):
            estimate = estimator.of(stream)
            rated = [rating(estimate)] if estimate.rating is not None else []
            click.echo(f"  {plain(', '.join([_sound(stream, t), *(rated if brief else [])]))}")
            if pauses := gaps_said(gaps(stream), stream.rtp.times[0], language):
                _wrapped(f"{t['gaps']}{t['colon']}{pauses}", 4)
            if not brief:
                _wrapped(" – ".join([*rated, special(estimate, language)]), 4)
            if rated:
                models.setdefault(common(estimate, language))
    for stream in alone[:_EXPLAINED_STREAMS]:  # of no call that can be read
        click.echo(plain(_sound(stream, t)))
    for text in models:
        _wrapped(text, 0)
    for sentence in found.capture.damage:
        what = dict(sentence.facts).get("what", sentence)
        doubt = isinstance(what, Phrase) and what.id.startswith("doubt_")
        text = t["line_doubt" if doubt else "line_damage"].format(text=said(sentence, language))
        click.echo(click.style(plain(text), fg="yellow"))
    if chosen is not None:
        for call in chosen:
            click.echo()
            ladder.show(ladder_of_call(found, call, language=language))
    elif found.messages and (everything or len(found.messages) <= _LADDER_MESSAGES):
        click.echo()
        ladder.show(ladder_of_analysis(found, language=language))
    elif found.messages:
        click.echo("\n" + t["line_many"].format(count=len(found.messages)))
    shown = selection.findings(found, chosen, user)
    click.echo()
    for one in shown:
        _finding(found, one, language)
    if not shown:
        click.echo(t[selection.without_findings(found)])


def _svg(found: Analysis, chosen: list[Call] | None, user: str | None, language: str) -> str:
    from labtool.trace import selection, svg
    from labtool.trace.story import ladder_of_parts

    messages = selection.messages(found, chosen, user)
    streams = selection.streams(found, chosen)
    _not_too_many(len(messages))
    encrypted = chosen is None
    ladder = ladder_of_parts(found, messages, streams, encrypted=encrypted, language=language)
    return svg.draw(ladder, language=language)


def _page(
    found: Analysis,
    chosen: list[Call] | None,
    user: str | None,
    language: str,
    known: Secrets | None,
    rows: list[dict[str, Any]],
) -> str:
    from labtool.trace import page, selection

    _not_too_many(len(selection.messages(found, chosen, user)))
    return page.render(found, chosen, user, language=language, known=known, compared=rows)


def _not_too_many(count: int) -> None:
    if count > _DRAWN_MESSAGES:
        raise RequestError(
            f"{count} messages are too many for one drawing (at most {_DRAWN_MESSAGES}): choose "
            "with --call N, --user NAME or --dialog CALL-ID."
        )


def _write(path: Path, text: str) -> Path:
    """Write `text` for everybody to read. Never over a capture: it may be the only one."""
    from labtool import atomic
    from labtool.trace.pcap import is_capture

    try:
        if path.exists():
            if not path.is_file():
                raise RequestError(f"{path} is no file.")
            with path.open("rb") as stream:
                if is_capture(stream.read(4)):
                    raise RequestError(f"{path} is a capture, and is not written over.")
        atomic.write(path, text, mode=0o644)
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def _wrapped(text: str, indent: int) -> None:
    """Print `text` in as many rows as the terminal needs for it."""
    from rich.console import Console
    from rich.text import Text

    console = Console()  # knows that a Chinese character takes two columns
    width = min(shutil.get_terminal_size((100, 24)).columns, 120) - indent
    for row in Text(text).wrap(console, width):
        click.echo(" " * indent + row.plain.rstrip())


def _explain(
    found: Analysis, messages: Sequence[Message], language: str, known: Secrets | None
) -> None:
    from labtool.trace.explain.lines import Explainer
    from labtool.trace.explain.texts import render, source
    from labtool.trace.ladder import plain
    from labtool.trace.page_texts import TEXTS

    explainer = Explainer(found, known)
    for message in messages:
        if id(message) in found.merged.twins:
            continue  # the same packet, seen in another capture
        way = f"{message.flow.source} → {message.flow.destination}"
        name = found.capture.view_name(message.flow.view)
        number = f"{message.frame} ({name})" if name else message.frame
        frame = TEXTS[language]["line_frame"].format(frame=number)
        heading = f"{plain(frame)}  {plain(message.label)}  {message.flow.transport}  {way}"
        click.echo("\n" + click.style(heading, bold=True))
        body = False
        for line in explainer.lines(message):
            if line.part == "body" and not body:
                body = True
                click.echo()
            click.echo(click.style(line.text, fg="cyan"))
            for remark in line.remarks:
                where = source(remark)
                text = render(remark, language) + (f" [{where}]" if where else "")
                _wrapped(text, 4)


def _times(call: Call, t: Mapping[str, str]) -> str:
    if not call.answered_ns:
        return f" ({call.status})" if call.status else ""
    waited = (call.answered_ns - call.started_ns) / 1e9
    text = t["line_answered"].format(waited=f"{waited:.1f}")
    if not call.ended_ns:
        return text
    talked = (call.ended_ns - call.answered_ns) / 1e9
    who = t[call.ended_by].lower() if call.ended_by else "?"
    return text + t["line_talked"].format(talked=f"{talked:.1f}", who=who)


def _sound(stream: Stream, t: Mapping[str, str]) -> str:
    quality = stream.quality
    lost = t["line_lost"].format(count=quality.missing) if quality.missing else ""
    if quality.duplicates:
        lost += t["line_twice"].format(count=quality.duplicates)
    jitter = "–" if quality.mean_jitter is None else f"{quality.mean_jitter:.3f}"
    path = t[stream.path] if stream.path else "–"
    unknown = t["arrow_payload"].format(number=next(iter(stream.rtp.payload_types)))
    facts = {"codec": stream.codec or unknown, "packets": quality.packets, "lost": lost}
    digits = t["line_digits"].format(digits=stream.digits) if stream.digits else ""
    said = t["line_sound"].format(
        source=stream.source, destination=stream.destination, jitter=jitter, path=path, **facts
    )
    return said + digits


def _row(row: Mapping[str, Any], language: str) -> None:
    from labtool.trace.ladder import plain
    from labtool.trace.page_texts import TEXTS

    colour = {"good": "green", "bad": "red"}.get(row["class"])
    verdict = click.style(row["verdict"], fg=colour)
    line = TEXTS[language]["line_intent"]
    facts = {name: plain(str(value)) for name, value in row.items()}
    click.echo(line.format_map({**facts, "verdict": verdict}))
    if row["remark"]:
        click.echo(f"  {row['remark']}")


def _finding(found: Analysis, one: Finding, language: str) -> None:
    from labtool.trace.ladder import plain
    from labtool.trace.page_texts import TEXTS

    t = TEXTS[language]
    text = one.text(language)
    colour = {"error": "red", "warning": "yellow"}.get(one.severity)
    severity = click.style(t[one.severity].lower(), fg=colour)
    title = plain(text.title)
    click.echo(t["line_finding"].format(severity=severity, title=title, id=one.id))
    views = found.capture.views
    for view, seen in ((one.view, one.frames), *one.others):
        frames = ", ".join(map(str, seen[:8])) + (", …" if len(seen) > 8 else "")
        line = t["line_frames_in" if len(views) > 1 else "line_frames"]
        click.echo(f"  {plain(line.format(frames=frames, view=found.capture.view_name(view)))}")
    click.echo(f"  {t['line_cause'].format(text=plain(text.cause))}")
    click.echo(f"  {t['line_cure'].format(text=plain(text.cure))}")
