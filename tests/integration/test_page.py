"""The pages that labtool writes, looked at and used in a real browser.

LABTOOL_TEST_ARTIFACTS names a folder that keeps the screenshots.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from labtool.cli.report import report
from labtool.cli.trace import trace
from labtool.sip.flow import Address, Packet
from labtool.trace import pcap

from .browser import Browser, find
from .conftest import not_here
from .engine import Unavailable

ALICE, SERVER = Address("203.0.113.21", 5060), Address("198.51.100.10", 5060)
_SCRIPT = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
_USER = "x'\"><svg/onload=document.title='owned'>"
_SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.168.1.5\r\ns=-\r\nc=IN IP4 192.168.1.5\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 8\r\n"
)
_PANEL = "document.getElementById('panel')"
_TITLE = "document.getElementById('panel-title').textContent"
_ALL = """[...document.querySelectorAll('body *')].filter(e => e.offsetParent && [...e.childNodes]
  .some(n => n.nodeType === 3 && n.textContent.trim()))"""
#: The texts of the page whose contrast is less than WCAG 2.2 AA asks for (4.5 to 1).
_FAINT = f"""(() => {{
  const canvas = document.createElement('canvas').getContext('2d', {{willReadFrequently: true}});
  const over = (colour, under) => {{
    canvas.fillStyle = under; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  }};
  const light = rgb => rgb.map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const css = rgb => `rgb(${{rgb.join(',')}})`;
  const ground = e => {{
    const below = e.parentElement ? ground(e.parentElement) : 'white';
    return css(over(getComputedStyle(e).backgroundColor, below));
  }};
  return {_ALL}.filter(e => {{
    const style = getComputedStyle(e), below = ground(e);
    const ink = e.ownerSVGElement ? style.fill : style.color;
    const pair = [light(over(ink, below)), light(over(below, below))].sort((a, b) => a - b);
    return (pair[1] + 0.05) / (pair[0] + 0.05) < 4.5;
  }}).map(e => e.textContent.trim().slice(0, 40));
}})()"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    try:
        find()
    except Unavailable as why:
        not_here(why)
    with Browser(tmp_path / "profile") as found:
        yield found


@pytest.fixture
def keep(tmp_path: Path) -> Callable[[str], Path]:
    """Where a picture of that name is kept."""
    folder = Path(os.environ.get("LABTOOL_TEST_ARTIFACTS") or tmp_path / "artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: folder / name


def _sip(start: str, cseq: str, *headers: str, user: str = "alice", body: str = "") -> bytes:
    tag = ";tag=b" if start.startswith("SIP/2.0") else ""
    return "\r\n".join(
        (
            start,
            f"Via: SIP/2.0/UDP 192.168.1.5:5060;branch=z9hG4bK{cseq.replace(' ', '')};rport",
            f'From: "{_SCRIPT}" <sip:{user}@lab.test>;tag=a',
            f"To: <sip:bob@lab.test>{tag}",
            f"Call-ID: {cseq.split()[1] == 'REGISTER'}",
            f"CSeq: {cseq}",
            f"User-Agent: {_SCRIPT}",
            *headers,
            f"Content-Length: {len(body)}",
            "",
            body,
        )
    ).encode()


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A call, and a registration that is refused; markup wherever a peer can put some."""
    messages = (
        (ALICE, _sip("INVITE sip:bob@lab.test SIP/2.0", "1 INVITE", body=_SDP)),
        (SERVER, _sip("SIP/2.0 180 Ringing", "1 INVITE")),
        (SERVER, _sip("SIP/2.0 200 OK", "1 INVITE", body=_SDP)),
        (ALICE, _sip("ACK sip:bob@lab.test SIP/2.0", "1 ACK")),
        (ALICE, _sip("BYE sip:bob@lab.test SIP/2.0", "2 BYE")),
        (SERVER, _sip("SIP/2.0 200 OK", "2 BYE")),
        (ALICE, _sip("REGISTER sip:lab.test SIP/2.0", "3 REGISTER", user=_USER)),
        (SERVER, _sip(f"SIP/2.0 404 {_SCRIPT}", "3 REGISTER", f"{_SCRIPT}: 1", user=_USER)),
    )
    packets = [
        Packet(1_700_000_000 + n, "udp", source, SERVER if source == ALICE else ALICE, data)
        for n, (source, data) in enumerate(messages)
    ]
    folder = tmp_path / "captures"
    folder.mkdir()
    pcap.write(folder / "call.pcap", packets)
    return folder / "call.pcap"


@pytest.fixture
def written(capture: Path, tmp_path: Path) -> Callable[[str], Path]:
    """The page of that capture in a language."""

    def write(language: str) -> Path:
        out = tmp_path / f"call-{language}.html"
        done = CliRunner().invoke(
            trace, [str(capture), "--html", str(out), "--lang", language], catch_exceptions=False
        )
        assert done.exit_code == 1, done.output  # there is a finding
        return out

    return write


def _asked(browser: Browser) -> set[str]:
    found = [e["params"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    return {one["request"]["url"] for one in found}


def test_it_is_used_by_keyboard_and_runs_no_strange_script(
    browser: Browser, written: Callable[[str], Path]
) -> None:
    file = written("en")
    browser.open(file.as_uri())
    assert browser.run("document.title") == "call.pcap – labtool"
    assert browser.run(f"{_PANEL}.hidden") is True
    for _ in range(40):
        browser.press("Tab")
        if browser.run("document.activeElement.closest('.ladder') !== null"):
            break
    assert browser.run("document.activeElement.getAttribute('href')") == "#m0"
    browser.press("Enter")
    assert browser.run(f"{_PANEL}.hidden") is False
    assert browser.run(_TITLE) == "INVITE"
    browser.press("ArrowDown")
    assert browser.run(_TITLE) == "180 Ringing"
    browser.press("Escape")
    assert browser.run(f"{_PANEL}.hidden") is True
    assert browser.run("document.activeElement.getAttribute('href')") == "#m1"
    hit = "getComputedStyle(document.activeElement.querySelector('.hit')).strokeWidth"
    assert browser.run(hit) == "2px", "who uses the keyboard sees where it is"
    browser.open("about:blank")  # only then a new fragment loads the page anew
    browser.open(f"{file.as_uri()}#m6")
    assert browser.run(_TITLE) == "REGISTER"
    assert browser.run("document.title") == "call.pcap – labtool"
    assert _asked(browser) <= {file.as_uri()}
    told = [e["params"] for e in browser.events if e["method"] == "Log.entryAdded"]
    assert not told, "the browser complains"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_text_can_be_read_in_the_light_and_in_the_dark(
    browser: Browser,
    written: Callable[[str], Path],
    keep: Callable[[str], Path],
    language: str,
) -> None:
    browser.open(f"{written(language).as_uri()}#m0")
    for dark in (False, True):
        picture = keep(f"page-{language}-{'dark' if dark else 'light'}.png")
        browser.picture(picture, dark=dark)
        assert picture.stat().st_size > 20_000
        assert browser.run(f"{_ALL}.length") > 50
        assert browser.run(_FAINT) == []
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 31)"
    browser.paper(keep(f"page-{language}.pdf"))


def test_without_javascript_the_messages_are_there_to_read(
    browser: Browser, written: Callable[[str], Path]
) -> None:
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(f"{written('en').as_uri()}#m1")
    shown = "document.querySelector('#m1').getBoundingClientRect()"
    assert browser.run(f"{shown}.height") > 100
    assert browser.run(f"{shown}.top") < 900, "the link leads to it"


def test_on_a_narrow_screen_nothing_is_wider_than_it_but_the_ladder_in_its_frame(
    browser: Browser, written: Callable[[str], Path], keep: Callable[[str], Path]
) -> None:
    size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.ask("Emulation.setDeviceMetricsOverride", **size)
    browser.open(written("en").as_uri())
    browser.picture(keep("page-narrow.png"))
    assert browser.run("document.documentElement.scrollWidth") == 400
    wide = "[...document.querySelectorAll('td')].filter(e => e.scrollWidth > e.clientWidth)"
    assert browser.run(f"{wide}.length") == 0


def test_the_lab_report_asks_nothing_and_runs_nothing(
    browser: Browser, capture: Path, keep: Callable[[str], Path]
) -> None:
    done = CliRunner().invoke(report, [str(capture.parent)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    file = capture.parent / "report.html"
    browser.open(file.as_uri())
    assert "owned" not in browser.run("document.title")
    assert _asked(browser) <= {file.as_uri()}
    assert not [e["params"] for e in browser.events if e["method"] == "Log.entryAdded"]
    for dark in (False, True):
        browser.picture(keep(f"report-{'dark' if dark else 'light'}.png"), dark=dark)
        assert browser.run(_FAINT) == []
