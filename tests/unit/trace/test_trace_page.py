"""The analysis as one HTML page."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from trace_scenario import ALICE, ALICE_RTP, BOB_RTP, SERVER, Scenario

from labtool.cli.trace import trace
from labtool.trace import page, plot
from labtool.trace.page_texts import TEXTS

_SCRIPT = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def _hostile() -> Scenario:
    """Markup wherever a peer can put some: display name, header, user, reason, body, finding."""
    s = Scenario()
    s.answered()
    s.rtp(3, (ALICE_RTP, BOB_RTP), lose=5)
    s.bye()
    user = "x'\"><svg/onload=document.title='owned'>"
    for number in range(4):
        lines = (
            f"REGISTER sip:lab.test SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKr{number}\r\n"
            f'From: "{_SCRIPT}" <sip:{user}@lab.test>;tag={_SCRIPT}\r\nTo: <sip:{user}@lab.test>\r\n'
            f"Call-ID: reg{_SCRIPT}\r\nCSeq: {number} REGISTER\r\nUser-Agent: {_SCRIPT}\r\n"
            f"{_SCRIPT}: {_SCRIPT}\r\nX-Test: {_SCRIPT}\x1b\u202e\r\n\r\nv=0\r\ns={_SCRIPT}\r\n"
        )
        s.send(ALICE, SERVER, lines.encode())
    answer = lines.replace("REGISTER sip:lab.test SIP/2.0", f"SIP/2.0 404 {_SCRIPT}\x1b\u202e")
    s.send(SERVER, ALICE, answer.encode())
    strange = (
        b"INVITE sip:x@lab.test SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKs\r\nCSeq: 1 INVITE\r\n"
        b"From: <sip:no\xfftext@lab.test>;tag=1\r\nTo: <sip:x@lab.test>\r\nCall-ID: \xff\r\n\r\n"
    )
    s.send(ALICE, SERVER, strange)
    return s


class _Reader(HTMLParser):
    """What a browser would see: elements, attributes, and the text of script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.inside: dict[str, str] = {}
        self._now = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self._now = tag

    def handle_data(self, data: str) -> None:
        if self._now in ("script", "style"):
            self.inside[self._now] = self.inside.get(self._now, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._now = ""


@pytest.mark.parametrize("language", ["en", "zh"])
def test_whatever_a_peer_wrote_is_text(language: str) -> None:
    text = page.render(_hostile().analyse(), language=language)
    seen = _Reader(text)
    assert seen.tags.count("script") == 1
    assert "img" not in seen.tags
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name == "style"]
    assert "&lt;script&gt;document.title" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "sip:no?text@lab.test" in text
    assert text.encode()


def test_the_page_asks_nothing_of_anybody() -> None:
    seen = _Reader(page.render(_hostile().analyse()))
    links = [value for name, value in seen.attributes if name in ("href", "src", "action")]
    assert links
    assert all(value.startswith("#") for value in links)
    assert "@import" not in seen.inside["style"]
    assert "url(" not in seen.inside["style"]


def test_the_policy_lets_run_only_what_the_page_came_with() -> None:
    seen = _Reader(page.render(_hostile().analyse()))
    policy = next(value for _, value in seen.attributes if value.startswith("default-src"))
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(seen.inside[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_every_arrow_leads_to_a_message_or_a_stream_of_the_page() -> None:
    seen = _Reader(page.render(_hostile().analyse()))
    ids = {value for name, value in seen.attributes if name == "id"}
    links = {value[1:] for name, value in seen.attributes if name == "href"}
    assert {f"m{n}" for n in range(11)} | {"s0"} <= links <= ids


def test_one_call_is_shown_without_the_rest() -> None:
    found = _hostile().analyse()
    text = page.render(found, found.calls[:1])
    assert "sip:bob@lab.test" in text
    assert "owned" not in text
    assert TEXTS["en"]["selection"] in text


def test_the_words_of_the_page_are_in_every_language() -> None:
    english, chinese = TEXTS["en"], TEXTS["zh"]
    assert set(english) == set(chinese)
    for name, text in english.items():
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", chinese[name]))


def test_the_plots_show_what_the_figures_say(shared: Path) -> None:
    from labtool.trace.analysis import analyse

    for name in ("07d_nat_udp_loss_to_B-b", "12d_nat_udp_codec_change_on_resume-a"):
        for stream in analyse([shared / f"data/calls/{name}.pcap"]).streams:
            course = plot.course(stream)
            assert sum(course.lost) == stream.quality.lost
            peak = max(value for value in course.jitter if value is not None)
            assert stream.quality.max_jitter is not None
            assert abs(peak - stream.quality.max_jitter) < 1e-9


def test_a_plot_says_in_words_and_on_its_axes_what_it_shows() -> None:
    s = Scenario()
    s.answered()
    s.rtp(4, (ALICE_RTP, BOB_RTP), (BOB_RTP, ALICE_RTP), lose=10)
    text = page.render(s.analyse())
    label = re.search(r'aria-label="(Lost packets over time: [^"]*)"', text)
    assert label is not None
    assert label[1] == "Lost packets over time: 20 in all, at most 3 in 0.5 s (at 0.0 s)"
    assert f"<figcaption>{label[1]}</figcaption>" in text
    assert 'aria-label="Jitter over time: at most 0.0 ms' in text
    assert re.search(r">3</text>.*>0</text>.*>0 s</text>.*>4.0 s</text>", text)


def test_where_nothing_is_lost_there_is_no_plot_of_it_and_a_hold_is_shaded(shared: Path) -> None:
    from labtool.trace.analysis import analyse

    name = "12b_nat_udp_hold_resume_by_A-a.pcap"
    text = page.render(analyse([shared / "data/calls" / name]))
    assert text.count('class="plot"') == 2  # jitter of both streams
    assert text.count("<figcaption>No packet is lost</figcaption>") == 2
    assert text.count('class="pause"') == 1


def test_a_file_is_written_for_all_to_read_and_never_over_a_capture(tmp_path: Path) -> None:
    capture = tmp_path / "<script>alert(1)</script>.pcap".replace("/", "\u2215")
    _hostile().file(capture)
    before = capture.read_bytes()
    out = tmp_path / "out.html"
    done = CliRunner().invoke(trace, [str(capture), "--html", str(out)])
    assert f"written: {out}" in done.output
    assert out.stat().st_mode & 0o777 == 0o644
    assert "<script>alert" not in out.read_text()
    for option in ("--html", "--svg"):
        refused = CliRunner().invoke(trace, [str(capture), option, str(capture)])
        assert "is a capture, and is not written over" in str(refused.exception)
    assert capture.read_bytes() == before
    gone = CliRunner().invoke(trace, [str(capture), "--svg", str(tmp_path / "no" / "x.svg")])
    assert "cannot be written" in str(gone.exception)


def test_what_two_captures_saw_is_on_the_page_once(shared: Path) -> None:
    from labtool.trace.analysis import analyse

    views = [shared / f"data/calls/03_nat_udp_relay-{view}.pcap" for view in ("a", "srv")]
    text = page.render(analyse(views))
    assert "<li>Registrations <b>4</b></li>" in text
    assert text.count('<a href="#m') == 29, "an arrow for each packet"
    assert text.count('class="message"') == 29, "and its message once"
    assert "03_nat_udp_relay-srv.pcap" in text
    assert "/data/" not in text, "where the captures lie is nobody's business"
