"""The ladder as SVG: scalable, printable, readable in the dark.

Pure drawing of the values of `labtool.trace.ladder`. Whatever is written in it came off a network:
every text is escaped, and no script, style or address of elsewhere can come in by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from labtool.trace.ladder import Arrow, Ladder, Participant, columns_of, cut, plain
from labtool.trace.page_texts import TEXTS

_TIME = 88  # pixels left of the first rail
_MARGIN = 90
_NARROW, _WIDE = 190, 340  # pixels between two rails
_HEAD = 66
_ROW = 34
_CHARACTER = 7.3  # pixels of a column of text, at the font size below

#: Colours in the light and in the dark; the page has the same names.
COLOURS = {
    "paper": ("#ffffff", "#14181f"),
    "ink": ("#1c2430", "#e4e9f0"),
    "faint": ("#5d6878", "#97a3b4"),
    "line": ("#c6cdd8", "#3b4554"),
    "request": ("#0b5fa5", "#6cb6ff"),
    "provisional": ("#8a6100", "#e3b341"),
    "success": ("#1a7034", "#56d364"),
    "failure": ("#b3261e", "#ff7b72"),
    "media": ("#7b3fb3", "#d2a8ff"),
}
#: Rules for what `draw` makes, for whoever embeds it; they use the colours as variables.
RULES = """
.ladder{font:13px system-ui,"Noto Sans","PingFang SC","Microsoft YaHei",sans-serif}
.ladder text{fill:var(--ink)}
.ladder .time,.ladder .place{fill:var(--faint);font-size:11.5px;font-variant-numeric:tabular-nums}
.ladder .name{font-weight:650;font-size:14px}
.ladder .head{fill:var(--paper);stroke:var(--line)}
.ladder .rail{stroke:var(--line);stroke-width:1.5}
.ladder .shaft{stroke:currentColor;stroke-width:1.6;fill:none}
.ladder .tip{fill:currentColor}
.ladder .label{fill:currentColor;font-weight:550}
.ladder .request{color:var(--request)}
.ladder .provisional,.ladder .redirect,.ladder .challenge{color:var(--provisional)}
.ladder .success{color:var(--success)}
.ladder .failure{color:var(--failure)}
.ladder .media{color:var(--media)}
.ladder .encrypted,.ladder .note{color:var(--faint)}
.ladder .media .shaft{stroke-width:4;opacity:.75}
.ladder .provisional .shaft{stroke-dasharray:6 4}
.ladder .encrypted .shaft{stroke-dasharray:2 4}
"""


def variables(dark: bool) -> str:
    """The colours as CSS declarations."""
    return ";".join(f"--{name}:{pair[dark]}" for name, pair in COLOURS.items())


def _rules(dark: int) -> str:
    """The rules with colours for variables: not every program that reads SVG knows those."""
    rules = RULES.replace("\n", "") + ".ladder .sheet{fill:var(--paper)}"
    for name, pair in COLOURS.items():
        rules = rules.replace(f"var(--{name})", pair[dark])
    return rules


def draw(ladder: Ladder, *, links: Mapping[str, str] | None = None, language: str = "en") -> str:
    """The ladder as one `<svg>` element.

    Without `links` it stands alone, with its own colours. With them it is for a page: each arrow
    whose key is in `links` becomes a link to there (`#m3`), and the colours are the page's.
    """
    gap = _gap(ladder)
    margin = max([_MARGIN, *(_head(one, gap) + 6 for one in ladder.participants)])
    rails = [_TIME + margin + gap * i for i in range(len(ladder.participants))]
    # An arrow to oneself at the last rail needs room for its words.
    width = (rails[-1] if rails else _TIME) + max(margin, _overhang(ladder, len(rails)))
    height = _HEAD + _ROW * len(ladder.arrows) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ladder" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="{"group" if links else "img"}" '
        f'aria-label="{_text(_title(ladder, language))}">'
    ]
    if links is None:
        parts.append(f"<style>{_rules(0)}@media(prefers-color-scheme:dark){{{_rules(1)}}}</style>")
        parts.append(f'<rect class="sheet" width="{width}" height="{height}"/>')
    for x in rails:
        parts.append(f'<path class="rail" d="M{x} {_HEAD - 8}V{height - 10}"/>')
    parts += [_participant(ladder, index, x, gap) for index, x in enumerate(rails)]
    for index, arrow in enumerate(ladder.arrows):
        y = _HEAD + _ROW * index + 24
        drawn = _row(arrow, rails, y, width)
        target = (links or {}).get(arrow.key)
        if target is not None:
            source, goal = ladder.participants[arrow.source], ladder.participants[arrow.target]
            label = TEXTS[language]["arrow_label"].format(
                time=f"{arrow.time:.3f}", source=source.name, goal=goal.name, label=arrow.label
            )
            drawn = f'<a href="{_text(target)}" aria-label="{_text(label)}">{drawn}</a>'
        parts.append(drawn)
    return "".join(parts) + "</svg>\n"


def _title(ladder: Ladder, language: str) -> str:
    names = ", ".join(one.name for one in ladder.participants)
    return f"{TEXTS[language]['ladder']}: {names}"


def _gap(ladder: Ladder) -> int:
    """Pixels between two rails: so that the longest words fit over their arrow."""
    wanted = float(_NARROW)
    for arrow in ladder.arrows:
        between = abs(arrow.target - arrow.source)
        if between:
            room = columns_of(plain(arrow.label)) * _CHARACTER + 50
            wanted = max(wanted, room / between)
    for one in ladder.participants:
        wanted = max(wanted, max(map(columns_of, (one.name, one.place))) * _CHARACTER + 40)
    return int(min(wanted, _WIDE))


def _overhang(ladder: Ladder, rails: int) -> int:
    own = [
        columns_of(plain(arrow.label)) * _CHARACTER + 50
        for arrow in ladder.arrows
        if arrow.source == arrow.target == rails - 1
    ]
    return int(min(max(own, default=0.0), _WIDE))


def _head(one: Participant, gap: int) -> int:
    """Half the width of its box."""
    wanted = int(max(columns_of(one.name) * 8, columns_of(one.place) * 6.6) / 2) + 12
    return min((gap - 24) // 2, max(84, wanted))


def _participant(ladder: Ladder, index: int, x: int, gap: int) -> str:
    one = ladder.participants[index]
    room = int((gap - 24) / _CHARACTER)
    half = _head(one, gap)
    name = cut(plain(one.name), room)
    place = cut(plain(one.place), room)
    middle = 26 if place else 34
    return (
        f'<rect class="head" x="{x - half}" y="6" width="{2 * half}" height="48" rx="8"/>'
        f'<text class="name" x="{x}" y="{middle}" text-anchor="middle">{_text(name)}</text>'
        f'<text class="place" x="{x}" y="44" text-anchor="middle">{_text(place)}</text>'
    )


def _row(arrow: Arrow, rails: list[int], y: int, width: int) -> str:
    start, end = rails[arrow.source], rails[arrow.target]
    low, high = sorted((start, end))
    top = y - 24
    # The rectangle makes the whole row a target for the mouse, and shows the focus.
    found = (
        f'<g class="row {arrow.kind}"><rect class="hit" x="2" y="{top}" width="{width - 4}" '
        f'height="{_ROW}" fill="transparent" rx="6"/>'
        f'<text class="time" x="{_TIME - 12}" y="{y - 2}" text-anchor="end">'
        f"{arrow.time:.3f} s</text>"
    )
    if arrow.kind == "note":
        words = _text(cut(plain(arrow.label), int((width - low) / _CHARACTER)))
        return f'{found}<text class="label" x="{low + 10}" y="{y - 2}">{words}</text></g>'
    if start == end:
        words = _text(cut(plain(arrow.label), int((width - start - 40) / _CHARACTER)))
        return (
            f'{found}<path class="shaft" d="M{start} {y - 12}h18v14h-10"/>'
            f'<path class="tip" d="M{start + 1} {y + 2}l9 -4v8z"/>'
            f'<text class="label" x="{start + 26}" y="{y}">{words}</text></g>'
        )
    words = _text(cut(plain(arrow.label), int((high - low - 24) / _CHARACTER)))
    tips = []
    if end > start or arrow.both:
        tips.append(f'<path class="tip" d="M{high - 1} {y}l-10 -5v10z"/>')
    if end < start or arrow.both:
        tips.append(f'<path class="tip" d="M{low + 1} {y}l10 -5v10z"/>')
    left = low + (8 if end < start or arrow.both else 1)
    right = high - (8 if end > start or arrow.both else 1)
    return (
        f'{found}<path class="shaft" d="M{left} {y}H{right}"/>{"".join(tips)}'
        f'<text class="label" x="{(low + high) // 2}" y="{y - 7}" text-anchor="middle">{words}'
        "</text></g>"
    )


def _text(value: str) -> str:
    """Text for an element or an attribute."""
    return escape(plain(value), quote=True)
