"""Everything that is said of a capture can be said in each language."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

import pytest
from click.testing import CliRunner
from trace_languages import english_in, findings_are_chinese
from trace_scenario import ALICE, ALICE_RTP, BOB_RTP, SERVER, Scenario

import labtool.trace
from labtool.cli.trace import trace
from labtool.trace.analysis import analyse
from labtool.trace.findings import chinese, english
from labtool.trace.findings.finding import CATALOGUE
from labtool.trace.ladder import columns_of, draw
from labtool.trace.page_texts import TEXTS
from labtool.trace.participants import names
from labtool.trace.phrase import LANGUAGES, fill, joined, phrase, said, texts
from labtool.trace.story import ladder_of_analysis

_ROOM = Path(labtool.trace.__file__).parent
_SITUATIONS = (
    *("02b_nat_udp_ice_relay", "05e_nat_Atcp_Budp_norelay", "07_nat_udp_oneway_natb_drops"),
    *("07d_nat_udp_loss_to_B", "08_wrong_password_B", "11c_cloud_1to1nat_private_transport"),
    *("14a_udp_server_restart_midcall", "14c_all_acks_from_A_lost"),
    *("15a_udp_B_unreachable_behind_nat", "17_codec_mismatch_488", "18b_nat_udp_B_sends_no_rtp"),
)


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_every_finding_and_every_phrase_is_there_in_each_language_with_the_same_places() -> None:
    assert set(english.FINDINGS) == set(chinese.FINDINGS) == set(CATALOGUE)
    assert set(english.PHRASES) == set(chinese.PHRASES)
    first, second = texts("en"), texts("zh")
    assert set(first) == set(second)
    for name, text in first.items():
        assert _places(text) == _places(second[name]), name
        assert all(place.isidentifier() for place in _places(text)), name


def test_no_two_tables_have_a_phrase_of_the_same_name() -> None:
    for table in (english, chinese):
        assert not set(table.PHRASES) & set(TEXTS["en"])


def test_no_text_in_chinese_holds_an_english_sentence() -> None:
    for name, text in texts("zh").items():
        assert not english_in(re.sub("{.*?}", "", text)), name


def _constants(path: Path) -> list[str]:
    """The texts in a module that are not its documentation."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in documentation
    ]


def test_what_looks_for_findings_writes_no_words_itself() -> None:
    for path in sorted((_ROOM / "findings").glob("*.py")):
        if path.stem not in ("english", "chinese"):
            worded = [text for text in _constants(path) if re.search("[a-z]{2,} [a-z]{2,}", text)]
            assert not worded, path.name


def test_every_phrase_is_said_somewhere() -> None:
    written = "\n".join(
        path.read_text(encoding="utf-8")
        for path in _ROOM.rglob("*.py")
        if path.stem not in ("english", "chinese")
    )
    numbered = re.compile(r"alert-\d+|status-\d(\d\d|xx)(-cure)?")
    unsaid = [
        name
        for name in english.PHRASES
        if f'"{name}"' not in written and not numbered.fullmatch(name)
    ]
    assert not unsaid


def test_words_stand_apart_from_latin_and_not_from_chinese() -> None:
    text = "{who} 拒绝了 {whom}，{who} 结束。"
    latin = {"who": "alice", "whom": "bob"}
    assert fill(text, latin, "zh") == "alice 拒绝了 bob，alice 结束。"
    mixed = {"who": phrase("server"), "whom": "小王"}
    assert fill(text, mixed, "zh") == "服务器拒绝了小王，服务器结束。"
    assert fill("{who} refuses {whom}", mixed, "en") == "The server refuses 小王"
    assert fill("{whom} refuses {who}", {**mixed, "whom": "bob"}, "en") == "bob refuses the server"


def test_several_values_are_joined_in_the_way_of_the_language() -> None:
    both = joined("and", ["10.0.0.1", "10.0.0.2", "10.0.0.1"])
    assert [said(both, language) for language in LANGUAGES] == [
        "10.0.0.1 and 10.0.0.2",
        "10.0.0.1 和 10.0.0.2",
    ]
    assert joined("and", ["10.0.0.1"]) == "10.0.0.1"


def test_a_value_is_never_read_as_a_text_with_places() -> None:
    for language in LANGUAGES:
        found = said(phrase("sends-none", who="{who.__class__} {0} {"), language)
        assert "{who.__class__} {0} {" in found


def test_a_user_who_is_called_server_keeps_that_name() -> None:
    s = Scenario()
    s.answered()
    found = s.analyse()
    place = found.places.of(ALICE)
    given = names(found.messages, found.places, {ALICE: "server"})
    assert said(given[place], "zh") == "server"


@pytest.mark.parametrize("situation", _SITUATIONS)
def test_every_finding_of_a_recorded_call_is_said_in_chinese(shared: Path, situation: str) -> None:
    views = [shared / f"data/calls/{situation}-{view}.pcap" for view in ("a", "srv", "b")]
    for files in ([views[0]], [views[1]], [views[2]], views):
        findings_are_chinese(analyse(files))


@pytest.mark.parametrize("options", [[], ["--explain"], ["--json"]])
def test_the_terminal_speaks_chinese_throughout(
    shared: Path, tmp_path: Path, options: list[str]
) -> None:
    names = ("05e_nat_Atcp_Budp_norelay-srv", "07d_nat_udp_loss_to_B-b", "01_udp_nonat_noice-a")
    for name in names:
        file = str(shared / f"data/calls/{name}.pcap")
        done = CliRunner().invoke(trace, [file, *options, "--lang", "zh"])
        assert done.exit_code in (0, 1), done.output
        assert not english_in(done.output)
        words = "cause cure frames registration call sound packets answered again server"
        for word in words.split():
            shown = re.search(rf"(?<![\w.\"@/;=-]){word}(?![\w.\"@/;=-])", done.output)
            assert shown is None or options == ["--json"], (name, word)


def test_the_ladder_keeps_its_columns_where_words_are_wide() -> None:
    s = Scenario()
    s.answered()
    s.answered()
    s.rtp(3, (ALICE_RTP, BOB_RTP), lose=5)
    s.sip(ALICE, SERVER, "REGISTER sip:lab.test", cseq="9 REGISTER", call="r")
    found = s.analyse()
    for width in range(60, 130, 7):
        lines = draw(ladder_of_analysis(found, language="zh"), width=width)
        text = "\n".join(line.text for line in lines)
        assert "服务器" in text
        assert "重发" in text
        rows = [line.text for line in lines if line.kind not in ("head", "note")]
        if any("->" in row for row in rows):
            continue  # too narrow for columns
        ends = {columns_of(row.rstrip()) for row in rows}
        assert len(ends) == 1, text
        assert max(ends) <= width


def test_what_could_not_be_read_is_said_in_chinese(tmp_path: Path) -> None:
    s = Scenario()
    s.answered()
    s.file(tmp_path / "a.pcap")
    whole = (tmp_path / "a.pcap").read_bytes()
    (tmp_path / "a.pcap").write_bytes(whole[:-10])
    done = CliRunner().invoke(trace, [str(tmp_path / "a.pcap"), "--lang", "zh"])
    assert "未能读取：a.pcap：第 4 帧在文件末尾被截断" in done.output.replace(f"{tmp_path}/", "")
