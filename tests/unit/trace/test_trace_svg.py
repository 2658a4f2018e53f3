"""The ladder as SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_scenario import ALICE, ALICE_RTP, BOB_RTP, SERVER, Scenario

from labtool.trace import svg
from labtool.trace.ladder import Arrow, Ladder, Participant
from labtool.trace.story import ladder_of_analysis

_NS = "{http://www.w3.org/2000/svg}"


def _call() -> Ladder:
    s = Scenario()
    s.answered()
    s.rtp(1, (ALICE_RTP, BOB_RTP))
    s.bye()
    return ladder_of_analysis(s.analyse())


def _texts(drawing: str) -> list[str]:
    return [one.text or "" for one in ElementTree.fromstring(drawing).iter(f"{_NS}text")]


def test_every_arrow_is_drawn_with_its_words() -> None:
    ladder = _call()
    texts = _texts(svg.draw(ladder))
    assert texts[0] == "alice"
    for arrow in ladder.arrows:
        assert arrow.label in texts
        assert f"{arrow.time:.3f} s" in texts


def test_arrows_point_the_way_of_their_message() -> None:
    ladder = Ladder(
        (Participant("a"), Participant("b")),
        (Arrow(0, 0, 1, "to b", "request"), Arrow(1, 1, 0, "to a", "success")),
    )
    root = ElementTree.fromstring(svg.draw(ladder))
    rails = [float(one.attrib["d"][1:].split()[0]) for one in root.findall(f"{_NS}path")]
    tips = [one for one in root.iter(f"{_NS}path") if one.attrib["class"] == "tip"]
    at = [float(one.attrib["d"][1:].split()[0]) for one in tips]
    assert abs(at[0] - rails[1]) < 3
    assert abs(at[1] - rails[0]) < 3


def test_it_stands_alone_with_colours_for_light_and_dark() -> None:
    drawing = svg.draw(_call())
    assert "prefers-color-scheme:dark" in drawing
    assert "var(" not in drawing, "programs that know no CSS variables would draw it black"


def test_in_a_page_the_arrows_are_links_with_a_name() -> None:
    ladder = _call()
    drawing = svg.draw(ladder, links={arrow.key: f"#{arrow.key}" for arrow in ladder.arrows})
    links = list(ElementTree.fromstring(drawing).iter(f"{_NS}a"))
    assert [one.attrib["href"] for one in links][:2] == ["#m0", "#m1"]
    assert links[0].attrib["aria-label"] == "0.000 s, alice to bob: INVITE (SDP)"
    assert "<style" not in drawing


def test_the_heads_of_long_addresses_are_inside_the_picture() -> None:
    ends = [Participant(name, "192.168.101.13 = 203.0.113.211") for name in ("alice", "bob")]
    root = ElementTree.fromstring(svg.draw(Ladder(tuple(ends), ())))
    heads = [one for one in root.iter(f"{_NS}rect") if one.attrib.get("class") == "head"]
    assert len(heads) == 2
    for one in heads:
        left, width = float(one.attrib["x"]), float(one.attrib["width"])
        assert left >= 0
        assert left + width <= float(root.attrib["width"])


def test_a_challenge_does_not_look_like_a_failure() -> None:
    s = Scenario()
    s.sip(ALICE, SERVER, "INVITE sip:bob@lab.test")
    for status in ("407 Proxy Authentication Required", "486 Busy Here"):
        s.sip(SERVER, ALICE, f"SIP/2.0 {status}", tags=("a", "b"))
    kinds = [arrow.kind for arrow in ladder_of_analysis(s.analyse()).arrows]
    assert kinds == ["request", "challenge", "failure"]


def _luminance(colour: str) -> float:
    """WCAG 2.2: relative luminance of `#rrggbb`."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_stands_out_from_the_paper(dark: bool) -> None:
    paper, ink = (_luminance(svg.COLOURS[name][dark]) for name in ("paper", "ink"))
    # A card is a little darker than the paper (3.5 % of ink); linear light is near enough.
    for ground in (paper, paper + 0.035 * (ink - paper)):
        for name, pair in svg.COLOURS.items():
            if name not in ("paper", "line"):
                low, high = sorted((_luminance(pair[dark]), ground))
                assert (high + 0.05) / (low + 0.05) >= 4.5, name


def test_an_empty_ladder_is_a_picture_too() -> None:
    ElementTree.fromstring(svg.draw(Ladder((), ())))


@settings(max_examples=60, deadline=None)
@given(st.text(), st.text(), st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1)]), st.booleans())
def test_no_text_becomes_markup(name: str, label: str, way: tuple[int, int], both: bool) -> None:
    hostile = '"><script>alert(1)</script>'
    kinds = ("request", "media", "note")
    ladder = Ladder(
        (Participant(name + hostile, label), Participant("b")),
        tuple(Arrow(0, *way, label + hostile, kind, both=both, key="m0") for kind in kinds),
    )
    for links in (None, {"m0": "#m0"}):
        root = ElementTree.fromstring(svg.draw(ladder, links=links))
        tags = {one.tag.removeprefix(_NS) for one in root.iter()}
        assert tags <= {"svg", "style", "rect", "path", "text", "g", "a"}
