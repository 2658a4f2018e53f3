"""The lab report, from packets made here."""

from __future__ import annotations

import struct
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from labtool import inventory, labreport, options
from labtool.cli.main import run
from labtool.errors import RequestError
from labtool.inventory import Account, Host, Lab
from labtool.labintent import intent_of
from labtool.labreport_text import code, escaped, fenced
from labtool.labreport_words import WORDS
from labtool.sip.flow import Address, Packet
from labtool.trace import pcap
from labtool.trace.analysis import analyse_packets
from labtool.trace.intent import Intent, Row, compare
from labtool.trace.page_texts import TEXTS

ALICE, BOB = Address("203.0.113.21", 5060), Address("203.0.113.104", 5060)
SERVER = Address("198.51.100.10", 5060)
ALICE_RTP, BOB_RTP = Address("203.0.113.21", 4000), Address("203.0.113.104", 4002)
RELAY_A, RELAY_B = Address("198.51.100.10", 10010), Address("198.51.100.10", 10020)
SCRIPT = "<script>alert(1)</script>|`x`"


def packet(when: float, source: Address, target: Address, *lines: str, body: str = "") -> Packet:
    """One SIP message over UDP, at a second of the scene."""
    text = "\r\n".join([*lines, f"Content-Length: {len(body)}"]) + "\r\n\r\n" + body
    return Packet(1_700_000_000 + when, "udp", source, target, text.encode())


def registering(
    user: str = "alice", *, domain: str = "lab.test", agent: str = "phone"
) -> list[Packet]:
    """REGISTER, 401 with one MD5 challenge, REGISTER, 200."""
    found = []
    for number, answer in ((1, "401 Unauthorized"), (2, "200 OK")):
        common = (
            f"Via: SIP/2.0/UDP {ALICE};branch=z9hG4bK{user}{number}",
            f"From: <sip:{user}@{domain}>;tag={user}",
            f"To: <sip:{user}@{domain}>",
            f"Call-ID: reg-{user}",
            f"CSeq: {number} REGISTER",
            f"Contact: <sip:{user}@{ALICE}>;expires=600",
            f"User-Agent: {agent}",
        )
        digest = f'Digest username="{user}", realm="{domain}", nonce="n", uri="sip:{domain}"'
        own = (f'Authorization: {digest}, response="{"0" * 32}", algorithm=MD5',) * (number - 1)
        asked = (f'WWW-Authenticate: Digest realm="{domain}", nonce="n", algorithm=MD5',)
        now = number / 10
        found.append(packet(now, ALICE, SERVER, f"REGISTER sip:{domain} SIP/2.0", *common, *own))
        said = asked if number == 1 else ()
        found.append(packet(now + 0.05, SERVER, ALICE, f"SIP/2.0 {answer}", *common, *said))
    return found


def calling(*, relayed: bool = True, start: float = 1.0) -> list[Packet]:
    """A call as the server saw it: both legs, a second of sound, the BYE of the caller."""

    def sdp(at: Address) -> str:
        return (
            f"v=0\r\no=- 1 1 IN IP4 {at.host}\r\ns=-\r\nc=IN IP4 {at.host}\r\nt=0 0\r\n"
            f"m=audio {at.port} RTP/AVP 8\r\n"
        )

    found = []
    now = start

    def say(first: str, cseq: str, body: str = "", tag: str = ";tag=b") -> None:
        nonlocal now
        legs = [(ALICE, SERVER, ""), (SERVER, BOB, f"Via: SIP/2.0/UDP {SERVER};branch=z9hG4bKs")]
        if first.startswith("SIP/"):
            legs = [(target, source, via) for source, target, via in reversed(legs)]
        for source, target, via in legs:
            now += 0.01
            own = f"Via: SIP/2.0/UDP {ALICE};branch=z9hG4bK{cseq.replace(' ', '')}"
            if via:
                via += cseq.replace(" ", "")
            lines = [
                *(first, *([via] if via else []), own, "From: <sip:alice@lab.test>;tag=a"),
                *(f"To: <sip:bob@lab.test>{tag}", "Call-ID: call", f"CSeq: {cseq}"),
                f"Record-Route: <sip:{SERVER};lr>",
            ]
            shown = body
            if body and relayed:
                shown = {
                    (SERVER, BOB): sdp(RELAY_B),
                    (SERVER, ALICE): sdp(RELAY_A),
                }.get((source, target), body)
            found.append(packet(now, source, target, *lines, body=shown))

    say("INVITE sip:bob@lab.test SIP/2.0", "1 INVITE", sdp(ALICE_RTP), "")
    say("SIP/2.0 200 OK", "1 INVITE", sdp(BOB_RTP))
    say("ACK sip:bob@lab.test SIP/2.0", "1 ACK")
    ways = [(ALICE_RTP, BOB_RTP, 7), (BOB_RTP, ALICE_RTP, 8)]
    if relayed:
        ways = [
            *((ALICE_RTP, RELAY_A, 7), (RELAY_B, BOB_RTP, 7)),
            *((BOB_RTP, RELAY_B, 8), (RELAY_A, ALICE_RTP, 8)),
        ]
    for n in range(50):
        for source, target, ssrc in ways:
            data = struct.pack(">BBHII", 0x80, 8, n, n * 160, ssrc) + bytes(160)
            found.append(Packet(1_700_000_000 + now + 0.01 + n / 50, "udp", source, target, data))
    now += 1.1
    say("BYE sip:bob@lab.test SIP/2.0", "2 BYE")
    say("SIP/2.0 200 OK", "2 BYE")
    return found


LAB = Lab(
    Path("lab"),
    (Host("server", SERVER.host),),
    options.check({"flexisip_domain": "lab.test"}, where="here"),
    (Account("alice", "lab.test", {"md5": "a1" * 16}), Account("bob", "lab.test", {})),
)
INTENT = intent_of(LAB)


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    """A folder with the server's capture and alice's."""
    folder = tmp_path / "captures"
    folder.mkdir()
    everything = registering() + calling()
    pcap.write(folder / "server.pcap", everything)
    pcap.write(
        folder / "alice.pcap",
        [one for one in everything if ALICE.host in (one.source.host, one.destination.host)],
    )
    return folder


def verdicts(packets: list[Packet], intent: Intent = INTENT) -> dict[str, str]:
    """The verdict on each subject."""
    return {row.subject: row.verdict for row in compare(intent, analyse_packets(packets))}


def test_what_was_configured_is_compared_with_what_was_seen() -> None:
    rows = {row.subject: row for row in compare(INTENT, analyse_packets(registering() + calling()))}
    assert rows["domain"] == Row("domain", ("lab.test",), ("lab.test",), "agree")
    assert rows["port"] == Row("port", ("5060",), ("5060",), "agree")
    assert rows["transports"] == Row("transports", ("udp", "tcp"), ("udp",), "agree")
    assert rows["algorithms"] == Row("algorithms", ("MD5", "SHA-256"), ("MD5",), "differ")
    assert rows["relay"] == Row("relay", ("relayed",), ("relayed",), "agree")
    assert rows["rtp_ports"] == Row("rtp_ports", ("10000", "20000"), ("10010", "10020"), "agree")
    assert rows["users"] == Row("users", ("alice", "bob"), ("alice",), "agree")


def test_each_thing_that_differs_is_named() -> None:
    other = Intent("other.test", (), 5062, ("tcp",), ("MD5",), False, None, ("carol",))
    found = verdicts(registering() + calling(), other)
    assert found.pop("algorithms") == "agree"
    assert found == dict.fromkeys(("domain", "port", "transports", "relay", "users"), "differ")
    assert verdicts(registering() + calling(relayed=False))["relay"] == "differ"
    narrow = replace(INTENT, rtp_ports=(10000, 10015))
    assert verdicts(registering() + calling(), narrow)["rtp_ports"] == "differ"


def test_what_no_packet_shows_is_not_seen() -> None:
    assert set(verdicts([]).values()) == {"not seen"}
    found = verdicts(registering())
    assert (found["relay"], found["rtp_ports"], found["domain"]) == (
        "not seen",
        "not seen",
        "agree",
    )


def test_a_scanner_that_is_refused_changes_no_verdict() -> None:
    scan = packet(
        5.0,
        Address("192.0.2.66", 5080),
        SERVER,
        "REGISTER sip:evil.test SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.66:5080;branch=z9hG4bKevil",
        "From: <sip:100@evil.test>;tag=1",
        "To: <sip:100@evil.test>",
        "Call-ID: evil",
        "CSeq: 1 REGISTER",
    )
    refused = Packet(
        scan.time + 0.01,
        "udp",
        SERVER,
        scan.source,
        scan.data.replace(b"REGISTER sip:evil.test SIP/2.0", b"SIP/2.0 403 Forbidden"),
    )
    assert verdicts([*registering(), scan, refused]) == verdicts(registering())


def test_the_report_tells_the_whole_story(captures: Path) -> None:
    files = labreport.render(labreport.gather(captures), LAB)
    words = {**TEXTS["en"], **WORDS["en"]}
    for text in files.values():
        for name in ("set_up", "intent", "registration", "call", "hang_up", "media", "conclusion"):
            assert f"{words[name]}</h2>" in text or f"## {words[name]}\n" in text
        assert text.count("To complete: ") == 10 - ("Nothing is wrong" in text)
        assert "SHA-256" in text
        assert "bob" in text
        assert "a1a1" not in text, "a hash is no fact to show"
        assert "401 Unauthorized" in text
        assert "WWW-Authenticate" in text
    assert files["report.html"].count("<svg") > 5
    assert "│" in files["report.md"]
    assert "| Digest algorithms | MD5, SHA-256 | MD5 | differ |" in files["report.md"]
    assert files["report.md"].count("as seen in `alice.pcap`".capitalize()) == 3


def test_without_a_lab_nothing_is_said_of_the_set_up(captures: Path) -> None:
    for text in labreport.render(labreport.gather(captures), None).values():
        assert "No lab was given" in text
        assert "Without a lab there is nothing to compare with." in text
        assert "flexisip_" not in text
        assert "10000" not in text


def test_the_report_is_in_chinese_too(captures: Path) -> None:
    files = labreport.render(labreport.gather(captures), LAB, language="zh")
    for text in files.values():
        assert "待填写" in text
        assert "不一致" in text
        assert "To complete" not in text
        assert "Set-up" not in text
    assert '<html lang="zh-Hans">' in files["report.html"]
    assert WORDS["zh"].keys() == WORDS["en"].keys()


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += attrs


def test_what_a_peer_or_a_file_name_says_is_never_markup(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    # No slash in a file's name, and so no end tag.
    name = "<img src=x onerror=alert(1)>|`_*[a](b).pcap"
    pcap.write(folder / name, registering(f"al{SCRIPT}", agent=SCRIPT) + calling())
    files = labreport.render(labreport.gather(folder), LAB)
    tags = _Tags(files["report.html"])
    assert tags.seen.isdisjoint({"script", "img", "iframe", "link"})
    assert not [key for key, _ in tags.attributes if key.startswith("on") or key == "style"]
    links = [value for key, value in tags.attributes if key in ("href", "src")]
    assert all((value or "").startswith("#") for value in links)
    assert "script-src &#39;none&#39;" in files["report.html"]
    # In Markdown a tag may stand in a fence, where nothing is markup; nowhere else.
    outside = files["report.md"].split("```")[::2]
    assert "&#60;script&#62;" in files["report.md"]
    assert not [part for part in outside if "<script" in part or "<img" in part]


def test_values_cannot_leave_their_place_in_markdown() -> None:
    assert code("a`b|c") == "a&#96;b&#124;c"
    assert code("<sip:a@b>") == "`<sip:a@b>`"
    assert code(" ") == "–"
    assert "\n" not in escaped("a\n# b")
    assert escaped("http://x www.y.z *a*") == "http&#58;//x www&#46;y.z &#42;a&#42;"
    assert fenced("x ```` y").startswith("`````text\n")


def test_a_file_that_is_no_capture_is_named_and_the_rest_is_read(captures: Path) -> None:
    (captures / "notes.gz").write_bytes(b"\x1f\x8bno")
    (captures / "notes.txt").write_text("mine")
    evidence = labreport.gather(captures)
    assert [name for name, _ in evidence.alone] == ["alice.pcap", "server.pcap"]
    assert "notes.gz" in evidence.unread[0]
    assert "notes.gz" in labreport.render(evidence, None)["report.md"]


def test_a_folder_without_captures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="There is no capture to read"):
        labreport.gather(tmp_path)
    with pytest.raises(RequestError, match="cannot be read"):
        labreport.gather(tmp_path / "nowhere")


def test_a_report_is_replaced_only_as_long_as_nobody_wrote_in_it(tmp_path: Path) -> None:
    files = {"report.html": labreport._marked("<p>"), "report.md": labreport._marked("# a")}
    labreport.write(tmp_path, files)
    labreport.write(tmp_path, files)
    page, text = tmp_path / "report.html", tmp_path / "report.md"
    text.write_text(files["report.md"].replace("# a", "# a\nmy own words"))
    page.write_text(labreport._marked("an older one"))
    with pytest.raises(RequestError, match="changed since"):
        labreport.write(tmp_path, files)
    assert "my own words" in text.read_text()
    assert "an older one" in page.read_text(), "nothing is written before both may be"


def test_a_capture_is_never_written_over(tmp_path: Path) -> None:
    pcap.write(tmp_path / "report.html", registering())
    before = (tmp_path / "report.html").read_bytes()
    with pytest.raises(RequestError, match="is a capture"):
        labreport.write(tmp_path, {"report.html": labreport._marked("x")})
    assert (tmp_path / "report.html").read_bytes() == before


def test_the_command_writes_both_files_and_says_where(
    captures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(captures.parent)
    monkeypatch.delenv("LABTOOL_INVENTORY", raising=False)
    assert run(["report", "captures", "-o", "out"]) == 0
    said = capsys.readouterr()
    assert "written: out/report.html" in said.out
    assert "There is no lab" in said.err
    assert run(["report", "captures", "-i", "nowhere"]) == 2
    assert not (captures / "report.html").exists()
    inventory.initialise(Path("mine"), domain="lab.test")
    assert run(["report", "captures", "-i", "mine", "-o", "out"]) == 0
    assert "lab.test" in Path("out/report.md").read_text().partition("## Registration")[0]


def test_the_answers_of_the_registration_are_there_though_two_views_saw_them(
    shared: Path, tmp_path: Path
) -> None:
    for view in ("a", "srv", "b"):
        name = f"03_nat_udp_relay-{view}.pcap"
        (tmp_path / name).symlink_to(shared / "data/calls" / name)
    files = labreport.render(labreport.gather(tmp_path), LAB)
    part = files["report.md"].split("## The call\n")[0]
    labels = [line.strip("#` ") for line in part.splitlines() if line.startswith("#### ")]
    assert labels == ["REGISTER", "401 Unauthorized", "REGISTER", "200 Registration successful"]


def test_a_report_in_chinese_is_chinese_throughout(shared: Path) -> None:
    folder = shared / "data/captures"
    texts = labreport.render(labreport.gather(folder), LAB, language="zh")
    words = " ".join(texts["report.md"].split())
    for english in ("Nothing is wrong", "cause:", "records", "packets,", " (again)", "not read"):
        assert english not in words
