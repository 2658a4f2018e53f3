"""Results for other programs: JUnit XML, the line of a Nagios plugin, Prometheus metrics."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.probe import junit, nagios, prometheus
from labtool.probe.causes import CAUSES, cause
from labtool.probe.result import Result, Step
from labtool.probe.suite import CHECKS

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
SOUND = {
    "sent": 50,
    "received": 49,
    "loss": 0.02,
    "jitter_ms": 1.5,
    "rtcp_round_trip_ms": None,
}
GOOD = Result("register", "192.0.2.1", "udp", (), "signs in", 0.25, None, "alice@example.test")
CALL = Result(
    "call",
    "192.0.2.1",
    "udp,tcp",
    (
        Step("INVITE", True, 0.001, retransmissions=2),
        Step("sound alice to bob", True, 2.0, facts=SOUND),
    ),
    "sound both ways",
    2.5,
    None,
    "alice to bob",
)
BAD = Result(
    "options", "192.0.2.1", "tcp", (), 'no <SIP> & "no" | nothing', 4.0, cause("no-answer")
)


# -- JUnit ----------------------------------------------------------------------------------------


def test_junit_has_a_case_for_each_result_and_the_cause_of_a_failure() -> None:
    suite = ElementTree.fromstring(junit.xml([GOOD, BAD], AT))[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert suite.get("timestamp") == "2026-01-02T03:04:05+00:00"
    good, bad = suite
    assert (good.get("classname"), good.get("name"), good.get("time")) == (
        "labtool.probe.udp",
        "register alice@example.test",
        "0.250",
    )
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("type") == "no-answer"
    assert failure.get("message") == BAD.verdict, "escaped, and read back as it was"
    assert "Cure:" in (failure.text or "")


@given(st.text(max_size=60))
def test_no_text_makes_junit_that_is_no_xml(text: str) -> None:
    result = Result("call", text, "udp", (Step(text, False, 0.0, text),), text, 0.0, cause("loop"))
    ElementTree.fromstring(junit.xml([result], AT).encode("utf-8"))


# -- Nagios ---------------------------------------------------------------------------------------


def test_one_line_says_ok_with_its_figures() -> None:
    line = nagios.line([GOOD, CALL])
    assert line == (
        "SIP OK - 192.0.2.1: 2 checks hold | time=2.7500s;;;0 register_udp=0.2500s;;;0 "
        "call_udp_tcp=2.5000s;;;0 loss_alice_to_bob=2.00%;;;0;100 jitter_alice_to_bob=1.5ms;;;0"
    )
    assert nagios.state([GOOD, CALL]) == 0


def test_a_failure_is_critical_and_its_text_cannot_end_the_line() -> None:
    line = nagios.line([BAD, GOOD, BAD])
    assert line.startswith('SIP CRITICAL - no <SIP> & "no" / nothing [no-answer] (and 1 more of 3)')
    assert line.count("|") == 1
    assert nagios.state([GOOD, BAD]) == 2


def test_what_this_machine_could_not_ask_is_unknown() -> None:
    local = Result("options", "h", "udp", (), "no socket", 0.0, cause("local-error"))
    assert nagios.state([local]) == 3
    assert nagios.line([local]).startswith("SIP UNKNOWN - no socket")
    assert nagios.state([local, BAD]) == 2
    assert nagios.state([]) == 3


@given(st.text(max_size=60), st.text(max_size=20))
def test_the_line_is_one_line_with_one_bar_whatever_came(text: str, account: str) -> None:
    one = Result("call", text, "udp", (), text, 0.0, cause("loop"), account)
    line = nagios.line([one, one])
    assert len(line.splitlines()) <= 1
    assert line.count("|") == 1


# -- Prometheus -----------------------------------------------------------------------------------

SAMPLE = re.compile(r'([a-z_]+)\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\} (\S+)')


def samples(text: str) -> dict[tuple[str, str], float]:
    """Every sample; a series that stands twice is refused, as Prometheus does."""
    found: dict[tuple[str, str], float] = {}
    for line in text.splitlines():
        if line.startswith("# "):
            continue
        matched = SAMPLE.fullmatch(line)
        assert matched, line
        assert (matched[1], matched[2]) not in found, line
        found[(matched[1], matched[2])] = float(matched[3])
    return found


def of(text: str, name: str) -> list[float]:
    return [value for (one, _), value in samples(text).items() if one == f"labtool_probe_{name}"]


def test_the_metrics_have_each_series_once_and_only_those_that_are_declared() -> None:
    counts = prometheus.Counts()
    counts.add([GOOD, BAD])
    counts.add([GOOD, BAD, CALL])
    text = prometheus.text([GOOD, BAD, CALL, GOOD], counts, 1_700_000_000.25)
    names = {name for name, _ in samples(text)}
    assert names <= set(prometheus.METRICS)
    assert of(text, "success") == [1, 0, 1]
    assert of(text, "exit_code") == [0, 10, 0]
    assert of(text, "runs_total") == [2, 2, 1]
    assert of(text, "failures_total") == [2]
    assert of(text, "retransmissions") == [0, 0, 2]
    assert of(text, "rtp_jitter_seconds") == [0.0015]
    assert of(text, "rtp_round_trip_seconds") == []
    assert of(text, "last_run_timestamp_seconds") == [1_700_000_000.25] * 3
    for name in names:
        assert text.count(f"# TYPE {name} ") == 1
    assert text.endswith("\n")


def test_a_certificate_gives_the_time_of_its_end() -> None:
    step = Step("certificate", True, 0.0, facts={"expires_at": 1_800_000_000})
    result = Result("tls", "h", "tls", (step,), "good", 0.1)
    text = prometheus.text([result], prometheus.Counts(), 0.0)
    assert of(text, "certificate_expiry_timestamp_seconds") == [1_800_000_000]


@given(st.text(max_size=40))
def test_no_text_breaks_the_metrics(text: str) -> None:
    one = Result("call", text, "udp", (Step(text, True, 0.0),), text, 0.0, None, text)
    printed = prometheus.text([one], prometheus.Counts(), 0.0)
    for line in printed.split("\n"):
        assert not line or line.startswith("# ") or SAMPLE.fullmatch(line), line


# -- the page -------------------------------------------------------------------------------------


@pytest.fixture
def page(project: Path) -> str:
    return (project / "docs" / "probe.md").read_text()


@pytest.mark.parametrize(
    "names", [CHECKS, CAUSES, prometheus.METRICS], ids=["checks", "causes", "metrics"]
)
def test_the_page_names_every(page: str, names: Any) -> None:
    assert [name for name in names if f"`{name}`" not in page] == []
    for name in names:
        if names is CAUSES:
            assert f"| {CAUSES[name].exit_code} | `{name}` |" in page


def test_the_page_has_the_keys_of_the_json(page: str) -> None:
    step = CALL.steps[0].to_dict()
    for key in (*BAD.to_dict(), *step, *BAD.to_dict()["cause"]):
        assert f"`{key}`" in page, key
