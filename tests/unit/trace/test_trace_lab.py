"""labtool trace -i: a lab against its packets, and its own hashes to check answers with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from trace_scenario import ALICE, SERVER, Scenario

from labtool.cli.main import run
from labtool.cli.trace import trace
from labtool.inventory import Lab
from labtool.sip.digest import Challenge, Password, answer
from labtool.trace.analysis import Analysis
from labtool.trace.explain.lines import Explainer

REALM = "sip.example.test"
CHALLENGE = f'Digest realm="{REALM}", nonce="n1", algorithm=MD5, qop="auth"'


def registering(password: str) -> Scenario:
    """alice registers, her client knowing `password`; the server takes whatever it is."""
    s = Scenario()
    asked = Challenge.parse(CHALLENGE)
    given = answer(
        [asked], method="REGISTER", uri=f"sip:{REALM}", username="alice", secret=Password(password)
    )
    call = {"call": "r", "tags": ("a", "")}
    s.sip(ALICE, SERVER, f"REGISTER sip:{REALM}", cseq="1 REGISTER", **call)
    asks = (f"WWW-Authenticate: {CHALLENGE}",)
    s.sip(SERVER, ALICE, "SIP/2.0 401 Unauthorized", cseq="1 REGISTER", headers=asks, call="r")
    own = (f"Authorization: {given}",)
    s.sip(ALICE, SERVER, f"REGISTER sip:{REALM}", cseq="2 REGISTER", headers=own, **call)
    s.sip(SERVER, ALICE, "SIP/2.0 200 OK", cseq="2 REGISTER", call="r", tags=("a", "r"))
    return s


@pytest.fixture
def known(lab: Path, write_lab: Callable[..., Lab]) -> Path:
    """A lab whose alice has the password wonderland."""
    digest = hashlib.md5(f"alice:{REALM}:wonderland".encode()).hexdigest()
    entry = f"{{domain: {REALM}, md5: '{digest}'}}"
    write_lab(users=f"flexisip_users_accounts:\n  alice: {entry}\n")
    return lab


def _run(*words: str) -> str:
    done = CliRunner().invoke(trace, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(("password", "verdict"), [("wonderland", "right"), ("other", "wrong")])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_answer_to_a_challenge_is_checked_with_the_labs_own_hash(
    known: Path, tmp_path: Path, password: str, verdict: str, language: str
) -> None:
    file = tmp_path / "call.pcap"
    registering(password).file(file)
    words = {
        "en": f"Checked with the lab's own hash of alice: the answer is {verdict}",
        "zh": f"核对：应答{'正确' if verdict == 'right' else '错误'}",
    }[language]
    lab = ("-i", str(known), "--lang", language)
    said = _run(str(file), "--explain", *lab)
    assert words in " ".join(said.split())
    _run(str(file), "--html", str(tmp_path / "out.html"), *lab)
    page = (tmp_path / "out.html").read_text(encoding="utf-8").replace("&#39;", "'")
    assert words in page
    for digest in (known / "group_vars/flexisip/users.yml").read_text().split("'")[1::2]:
        assert digest not in page + said, "the hash is as good as the password"


def test_an_account_that_the_lab_does_not_have_is_not_judged() -> None:
    found: Analysis = registering("x").analyse()
    said = [one.id for line in Explainer(found).lines(found.messages[2]) for one in line.remarks]
    assert not {"credentials.right", "credentials.wrong"} & set(said)


def test_what_was_configured_is_shown_beside_what_was_seen(known: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "call.pcap", tmp_path / "out.html"
    registering("wonderland").file(file)
    said = _run(str(file), "-i", str(known))
    assert "agree  Transports: udp, tcp; seen: udp" in said
    assert "differ  Digest algorithms: MD5, SHA-256; seen: MD5" in said
    chinese = _run(str(file), "-i", str(known), "--lang", "zh", "--html", str(out))
    assert "一致  传输协议：udp, tcp；所见：udp" in chinese
    assert "与配置对照" in out.read_text(encoding="utf-8")
    rows = json.loads(_run(str(file), "-i", str(known), "--json"))["intent"]
    assert rows[0] == {
        "subject": "domain",
        "configured": [REALM],
        "seen": ["lab.test"],
        "verdict": "differ",
    }


def test_without_a_lab_nothing_is_compared(tmp_path: Path) -> None:
    file = tmp_path / "call.pcap"
    registering("wonderland").file(file)
    assert json.loads(_run(str(file), "--json"))["intent"] is None
    assert "Compared" not in _run(str(file))


def test_a_lab_that_is_not_there_is_said_to_be_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "call.pcap"
    registering("wonderland").file(file)
    assert run(["trace", str(file), "-i", str(tmp_path / "no")]) == 2
    assert "There is no lab in" in capsys.readouterr().err
