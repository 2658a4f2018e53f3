"""The torture messages of RFC 4475 and RFC 5118 get the verdicts of their RFCs.

They are read in place, beside the project; the verdicts on parsing too. What a server answers is
from the RFCs' own text.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from labtool.sip.__main__ import main
from labtool.sip.framing import StreamFramer
from labtool.sip.message import Message, Request, parse
from labtool.sip.validation import Server, verdict

# RFC 4475 sections 3.1.2 to 3.3: what an element answers; None where it answers nothing.
_BAD = """badaspec badbranch baddate baddn badinv01 clerr escruri insuf ltgtruri lwsruri lwsstart mcl01
    mismatch01 multi01 ncl quotbal regbadct scalar02 trws unksm2"""
_STATUS = {
    **dict.fromkeys(_BAD.split(), 400),
    "badvers": 505,
    "mismatch02": 501,
    "unkscm": 416,
    "novelsc": 416,
    "bext01": 420,
    "invut": 415,
    "regaut01": 401,
    "zeromf": 483,
    "sdp01": 406,
}
_DROPPED = {"scalarlg", "bigcode", "bcast"}


def _corpus(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in sorted(folder.glob("*.dat"))}


def test_every_message_of_rfc_4475_gets_its_verdict(shared: Path) -> None:
    folder = shared / "data/torture"
    verdicts = json.loads((folder / "rfc4475-verdicts.json").read_text())
    corpus = _corpus(folder / "rfc4475")
    assert len(corpus) == 49
    found = {name: verdict(data) for name, data in corpus.items()}
    wanted = {name: row["parse"] == "accept" for name, row in verdicts.items()}
    assert {name: each.accept for name, each in found.items()} == wanted
    assert {name: each.status for name, each in found.items()} == {
        name: _STATUS.get(name) for name in corpus
    }
    assert {name for name, each in found.items() if each.drop} == _DROPPED


def test_every_message_of_rfc_5118_gets_its_verdict(shared: Path) -> None:
    corpus = _corpus(shared / "data/torture/rfc5118")
    assert len(corpus) == 12
    found = {name: verdict(data) for name, data in corpus.items()}
    assert {name for name, each in found.items() if not each.accept} == {"ipv6-bad"}
    # As RFC 5118 prints it, ipv6-in-sdp announces 17 bytes more than it has: well formed, and yet
    # for RFC 3261 section 18.3 an error.
    refused = {name for name, each in found.items() if each.status == 400}
    assert refused == {"ipv6-bad", "ipv6-in-sdp"}
    head, end, body = corpus["ipv6-in-sdp"].partition(b"\r\n\r\n")
    assert verdict(re.sub(rb"(Length: )\d+", rb"\g<1>%d" % len(body), head) + end + body).fine


def test_the_parts_of_the_tortuous_invite_are_right(shared: Path) -> None:
    message = parse((shared / "data/torture/rfc4475/wsinv.dat").read_bytes())
    assert [str(via) for via in map(type(message.via).parse, message.headers.all("Via"))] == [
        "SIP/2.0/UDP 192.0.2.2;branch=390skdjuw",
        "SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8",
        "SIP/2.0/UDP 192.168.255.111;branch=z9hG4bK30239",
    ]
    assert message.from_.display == 'J Rosenberg \\"'
    assert message.to.tag == "1918181833n"
    assert message.cseq == (9, "INVITE")
    (contact,) = message.contacts
    assert contact.display == 'Quoted string ""'
    assert contact.params == {"newparam": "newvalue", "secondparam": None, "q": "0.33"}
    assert len(message.body) == 150


def test_percent_signs_that_escape_nothing_are_left_alone(shared: Path) -> None:
    message = parse((shared / "data/torture/rfc4475/esc02.dat").read_bytes())
    assert isinstance(message, Request)
    assert message.method == "RE%47IST%45R"
    assert message.from_.display == "%Z%45"
    assert len(message.contacts) == 2  # "C%6Fntact" is another header


def test_a_server_of_known_methods_refuses_the_odd_ones(shared: Path) -> None:
    server = Server(methods=frozenset({"INVITE", "REGISTER", "OPTIONS", "ACK", "BYE", "CANCEL"}))
    corpus = _corpus(shared / "data/torture/rfc4475")
    assert verdict(corpus["intmeth"], server).status == 501
    assert verdict(corpus["esc02"], server).status == 501
    assert verdict(corpus["mpart01"], server).status == 405


def test_every_message_that_is_accepted_survives_a_round_trip(shared: Path) -> None:
    for folder in ("rfc4475", "rfc5118"):
        for name, data in _corpus(shared / "data/torture" / folder).items():
            if not verdict(data).accept:
                continue
            message = parse(data)
            again = parse(message.to_bytes())
            if "Content-Length" in message.headers and name not in ("mcl01", "ipv6-in-sdp"):
                assert again == message, name
            assert again.body == message.body, name


def test_a_whole_length_waits_on_a_stream_where_a_datagram_is_refused(shared: Path) -> None:
    corpus = _corpus(shared / "data/torture/rfc4475")
    framer = StreamFramer()
    assert framer.feed(corpus["clerr"]) == []
    assert framer.pending > 0
    both = StreamFramer().feed(corpus["dblreq"])
    assert [each.method for each in both if isinstance(each, Request)] == ["REGISTER", "INVITE"]
    (negative,) = StreamFramer().feed(corpus["ncl"])
    assert isinstance(negative, Message)
    assert verdict(negative).status == 400


def test_the_command_prints_one_line_of_json_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = tmp_path / "sound"
    sound.write_bytes(b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n")
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"\xff\xfe")
    assert main(["check", str(sound), str(rubbish)]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {"file": str(sound), "parse": "accept", "status": 400, "reason": "no From"}
    assert (second["parse"], second["status"]) == ("reject", None)
    assert main(["check", str(tmp_path / "absent")]) == 2
    assert "No such file" in capsys.readouterr().err
    assert main(["chekc"]) == 2
    assert main(["check", "--help"]) == 0
    assert "usage" not in capsys.readouterr().out.lower().splitlines()[0]
    with sound.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["check", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == {**first, "file": "-"}
