"""labtool trace."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labtool.errors import RequestError

if TYPE_CHECKING:
    from labtool.trace.analysis import Analysis
    from labtool.trace.calls import Call
    from labtool.trace.findings.finding import Finding
    from labtool.trace.media import Stream
    from labtool.trace.message import Message

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
@click.option(
    "--lang",
    "language",
    type=click.Choice(["en", "zh"]),
    default="en",
    show_default=True,
    help="The language of the explanations and of the page.",
)
@click.option(
    "--key-log",
    metavar="FILE",
    help="TLS secrets, as SSLKEYLOGFILE makes a program log them: TLS is then read too.",
)
@click.option("--json", "as_json", is_flag=True, help="One documented JSON object, for programs.")
def trace(
    files: tuple[str, ...],
    number: int | None,
    user: str | None,
    dialog: str | None,
    everything: bool,
    explained: bool,
    page_file: Path | None,
    svg_file: Path | None,
    language: str,
    key_log: str | None,
    as_json: bool,
) -> None:
    """Read captures (pcap, pcapng; - is standard input): registrations, calls, sound, what is wrong.

    Two captures of one call, from both phones or before and after the server, may be given
    together. Exit 1 where something is wrong (an error), 0 otherwise.
    """
    from labtool.trace import analysis, report, selection

    found = analysis.analyse(files, key_log=key_log)
    chosen = _chosen(found, number, user, dialog)
    messages = selection.messages(found, chosen, user)
    written = []
    if svg_file is not None:
        written.append(_write(svg_file, _svg(found, chosen, user)))
    if page_file is not None:
        written.append(_write(page_file, _page(found, chosen, user, language)))
    if as_json:
        click.echo(json.dumps(report.report(found), ensure_ascii=False))
    else:
        if explained and len(messages) > _LADDER_MESSAGES and not everything:
            raise RequestError(
                f"{len(messages)} messages are too many to explain at once: choose a call with "
                "--call N, or say --all."
            )
        _show(found, chosen, user, everything, language)
        if explained:
            _explain(found, messages, language)
        for path in written:
            click.echo(f"\nwritten: {path}")
    click.get_current_context().exit(1 if any(f.severity == "error" for f in found.findings) else 0)


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
    return calls


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
    from labtool.trace.story import ladder_of_analysis, ladder_of_call

    calls = found.calls if chosen is None else chosen
    by_call: dict[int, list[Stream]] = {}
    for stream in found.streams:
        by_call.setdefault(id(stream.call), []).append(stream)
    estimator = Estimator(found)
    brief = sum(len(by_call.get(id(call), ())) for call in calls) > _EXPLAINED_STREAMS
    models: dict[str, None] = {}
    for entry in selection.registrations(found, chosen, user):
        contact = f"  {entry.contacts[0]}" if entry.contacts else ""
        status = f"{entry.status} {entry.reason}" if entry.status else "no answer"
        text = f"registration  {entry.user}  {entry.outcome} ({status}){contact}"
        click.echo(plain(text))
    for call in calls:
        head = f"call {call.number}  {call.caller} → {call.callee}  {call.outcome}"
        click.echo(plain(head + _times(call)))
        for stream in by_call.get(id(call), ()):
            estimate = estimator.of(stream)
            rated = [rating(estimate)] if estimate.rating is not None else []
            click.echo(f"  {plain(', '.join([_sound(stream), *(rated if brief else [])]))}")
            if pauses := gaps_said(gaps(stream), stream.rtp.times[0], language):
                _wrapped(f"{TEXTS[language]['gaps']}: {pauses}", 4)
            if not brief:
                _wrapped(" – ".join([*rated, special(estimate, language)]), 4)
            if rated:
                models.setdefault(common(estimate, language))
    for text in models:
        _wrapped(text, 0)
    for sentence in found.capture.damage:
        click.echo(click.style(f"not read: {sentence}", fg="yellow"))
    if chosen is not None:
        for call in chosen:
            click.echo()
            ladder.show(ladder_of_call(found, call))
    elif found.messages and (everything or len(found.messages) <= _LADDER_MESSAGES):
        click.echo()
        ladder.show(ladder_of_analysis(found))
    elif found.messages:
        click.echo(f"\n{len(found.messages)} messages; draw one call with --call N, or --all.")
    shown = selection.findings(found, chosen, user)
    click.echo()
    for one in shown:
        _finding(found, one)
    if not shown:
        nothing = "No SIP message is in it." if not found.messages else "Nothing is wrong in it."
        click.echo(nothing)


def _svg(found: Analysis, chosen: list[Call] | None, user: str | None) -> str:
    from labtool.trace import selection, svg
    from labtool.trace.story import ladder_of_parts

    messages = selection.messages(found, chosen, user)
    streams = selection.streams(found, chosen)
    _not_too_many(len(messages))
    return svg.draw(ladder_of_parts(found, messages, streams, encrypted=chosen is None))


def _page(found: Analysis, chosen: list[Call] | None, user: str | None, language: str) -> str:
    from labtool.trace import page, selection

    _not_too_many(len(selection.messages(found, chosen, user)))
    return page.render(found, chosen, user, language=language)


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


def _explain(found: Analysis, messages: list[Message], language: str) -> None:
    from labtool.trace.explain.lines import Explainer
    from labtool.trace.explain.texts import render, source
    from labtool.trace.ladder import plain

    explainer = Explainer(found)
    for message in messages:
        if id(message) in found.merged.twins:
            continue  # the same packet, seen in another capture
        way = f"{message.flow.source} → {message.flow.destination}"
        heading = f"frame {message.frame}  {plain(message.label)}  {message.flow.transport}  {way}"
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


def _times(call: Call) -> str:
    if not call.answered_ns:
        return f" ({call.status})" if call.status else ""
    waited = (call.answered_ns - call.started_ns) / 1e9
    if not call.ended_ns:
        return f", answered after {waited:.1f} s"
    talked = (call.ended_ns - call.answered_ns) / 1e9
    return (
        f", answered after {waited:.1f} s, {talked:.1f} s of talk, ended by {call.ended_by or '?'}"
    )


def _sound(stream: Stream) -> str:
    quality = stream.quality
    lost = f", {quality.lost} lost" if quality.lost else ""
    jitter = "unknown" if quality.mean_jitter is None else f"{quality.mean_jitter:.3f} ms"
    return (
        f"sound {stream.source} → {stream.destination}: {stream.codec or 'unknown codec'}, "
        f"{quality.packets} packets{lost}, jitter {jitter}, {stream.path}"
    )


def _finding(found: Analysis, one: Finding) -> None:
    from labtool.trace.ladder import plain

    colour = {"error": "red", "warning": "yellow"}.get(one.severity)
    frames = ", ".join(map(str, one.frames[:8])) + (", …" if len(one.frames) > 8 else "")
    where = f" in {found.capture.views[one.view]}" if len(found.capture.views) > 1 else ""
    click.echo(f"{click.style(one.severity, fg=colour)}: {plain(one.title)} [{one.id}]")
    click.echo(f"  frames {frames}{where}")
    for view, seen in one.others:
        frames = ", ".join(map(str, seen[:8])) + (", …" if len(seen) > 8 else "")
        click.echo(f"  frames {frames} in {found.capture.views[view]}")
    click.echo(f"  cause: {plain(one.cause)}")
    click.echo(f"  cure:  {plain(one.cure)}")
