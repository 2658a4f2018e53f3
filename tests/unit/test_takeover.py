"""A server's own files as a lab: nothing is lost, and what would be otherwise is told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labtool import options, rendering, takeover
from labtool.errors import RequestError
from labtool.flexisip import conf
from labtool.flexisip.lint import Kind
from labtool.flexisip.users import ha1
from labtool.flexisip.values import Conf
from labtool.state import Addresses

HERE = Addresses("192.0.2.10", "", ("192.0.2.10",))
USERS = "/etc/flexisip/users.db.txt"
BY_HAND = b"""\
# my server
[global]
transports=sip:*:5070
aliases=sip.example.test pbx
enable-snmp=false
[stun-server]
enabled=true
[module::Registrar]
enabled=true
reg-domains=sip.example.test
max-contacts-by-aor=3
[module::Authentication]
enabled=true
auth-domains=sip.example.test
db-implementation=file
datasource=/etc/flexisip/passwords
[module::MediaRelay]
enabled=true
sdp-port-range-min=20000
sdp-port-range-max=30000
prevent-loops=false
"""


def take(text: bytes, users: bytes | None = None, release: str = "2.5.2") -> takeover.Imported:
    found = takeover.read_conf(text, release)
    return takeover.imported(found, users, HERE, domain=None, users_file=USERS)


def written(taken: takeover.Imported, release: str = "2.5.2") -> Conf:
    """The configuration that labtool would write for the lab, as the server reads it."""
    lab = {
        k.removeprefix("flexisip_"): v for k, v in {**options.defaults(), **taken.options}.items()
    }
    sections = rendering.sections({**lab, "users_file": USERS}, release, HERE)
    text = "".join(
        f"[{section['name']}]\n"
        + "".join(f"{line['key']}={line['value']}\n" for line in section["settings"])
        for section in sections
    )
    read = conf.read(text, release)
    assert isinstance(read, Conf), read
    return read


@pytest.mark.parametrize("release", ["2.3.4", "2.5.2"])
def test_what_the_file_says_the_labs_server_runs_with_or_the_difference_is_told(
    release: str,
) -> None:
    taken = take(BY_HAND, release=release)
    before, after = takeover.read_conf(BY_HAND, release), written(taken, release)
    told = {(one.section, one.key) for one in taken.differences}
    told |= {("module::Authentication", "datasource")}
    for place, value in before.values.items():
        if place in told or (place[1].startswith("sdp-port-range")):
            continue
        assert after.values[place].split() == value.split(), place
    assert after.media_ports() == before.media_ports() == (20000, 30000)
    assert all(one.reason for one in taken.differences)


def test_the_options_say_what_they_can_and_the_rest_is_kept() -> None:
    taken = take(BY_HAND)
    assert taken.options["flexisip_domain"] == "sip.example.test"
    assert taken.options["flexisip_port"] == 5070
    assert taken.options["flexisip_stun"] is True
    assert taken.options["flexisip_rtp_ports"] == [20000, 30000]
    assert taken.options["flexisip_clients_on_server"] is True
    assert taken.options["flexisip_algorithms"] == ["MD5"]
    kept = taken.options["flexisip_settings"]
    assert kept["module::Registrar"] == {"max-contacts-by-aor": "3"}
    assert kept["global"]["aliases"] == "sip.example.test pbx"
    assert "module::Authentication" not in kept
    changed = {f"{one.section}/{one.key}": one for one in taken.differences}
    assert changed["module::Authentication/file-path"].now == "/etc/flexisip/passwords"
    assert "half an hour" in changed["module::Authentication/cache-expire"].reason


def test_the_labs_own_configuration_is_taken_over_without_a_difference() -> None:
    lab = {k.removeprefix("flexisip_"): v for k, v in options.defaults().items()}
    sections = rendering.sections(
        {**lab, "domain": "sip.example.test", "users_file": USERS}, "2.5.2", HERE
    )
    text = "".join(
        f"[{section['name']}]\n"
        + "".join(f"{line['key']}={line['value']}\n" for line in section["settings"])
        for section in sections
    )
    taken = take(text.encode())
    assert taken.options == {"flexisip_domain": "sip.example.test"}
    assert taken.differences == ()


def test_passwords_in_clear_text_become_hashes_and_hashes_stay() -> None:
    md5 = ha1("bob", "sip.example.test", "pw", "md5")
    users = (
        "version:1\nalice@sip.example.test clrtxt:first ;\nalice@sip.example.test clrtxt:pw-1 ;\n"
        f"bob@sip.example.test md5:{md5} ;\n"
    )
    taken = take(BY_HAND, users.encode())
    alice, bob = taken.accounts
    assert alice.hashes["sha256"] == ha1("alice", "sip.example.test", "pw-1", "sha256")
    assert bob.hashes == {"md5": md5}
    assert taken.left_out == ()
    assert taken.clear_text == 2


def test_accounts_that_a_lab_cannot_hold_are_told_with_their_line_and_no_password() -> None:
    users = (
        b"version:1\nalice@sip.example.test clrtxt:pw-1 ;\nbob@sip.example.test clrtxt:pw-2 ;\n"
        b"eve@other.example.test clrtxt:pw-3 ;\nfay@sip.example.test clrtxt:pw-4 ;other\n"
    )
    taken = take(BY_HAND, users)
    assert [one.partition(":")[0] for one in taken.left_out] == ["line 4", "line 5"]
    assert "pw-" not in " ".join(taken.left_out)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (b"[global]\ndebug=true\n", "does not start on this flexisip.conf, line 2"),
        (b"[module::Authentication]\nenabled=true\ndb-implementation=soci\n", "in a database"),
        (b"[global]\nlog-level=error\n", "name no domain"),
    ],
)
def test_a_server_that_cannot_be_taken_over_is_told_why(text: bytes, part: str) -> None:
    with pytest.raises(RequestError, match=part):
        take(text)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(BY_HAND.decode().splitlines()[1:]), max_size=12),
    st.sampled_from(["2.3.4", "2.5.2"]),
)
def test_whatever_lines_stand_there_the_lab_of_them_starts(lines: list[str], release: str) -> None:
    try:
        taken = take("\n".join([*lines, ""]).encode(), release=release)
    except RequestError:
        return
    written(taken, release)


def test_the_limits_of_the_flood_protection_are_the_labs_own_options() -> None:
    text = BY_HAND + b"[module::DoSProtection]\npacket-rate-limit=40\nban-time=5\n"
    taken = take(text)
    assert taken.options["flexisip_flood_packet_rate"] == 40
    assert taken.options["flexisip_flood_ban_minutes"] == 5
    assert "module::DoSProtection" not in taken.options["flexisip_settings"]
    off = take(BY_HAND + b"[module::DoSProtection]\nenabled=false\n")
    assert off.options["flexisip_flood_protection"] is False


REPORT = b"""\
[global]
debug=true
aliases=sip.example.test
[module::Registrar]
enabled=true
reg-domains=sip.example.test
[module::Authentication]
enabled=true
auth-domains=sip.example.test
datasource=/etc/flexisip/users.db.txt
db-implementation=file
"""


def test_a_configuration_that_does_not_start_is_read_as_lint_corrects_it_and_each_line_is_told() -> (
    None
):
    right = takeover.startable(REPORT, Kind.CONF, "2.5.2")
    assert right.sentences == (
        "flexisip.conf, line 2: debug is gone since Flexisip 2.0; log-level=debug is its successor. "
        "(read as log-level=debug)",
    )
    users = takeover.startable(
        b"version:1\ntest@sip.example.test clrtxt:Pw-9-t;\n", Kind.USERS, "2.5.2"
    )
    assert len(users.sentences) == 1
    assert "line 2" in users.sentences[0]
    assert "Pw-9-t" not in users.sentences[0]
    taken = take(right.text, users.text)
    assert taken.options["flexisip_log_level"] == "debug"
    assert [one.name for one in taken.accounts] == ["test"]


def test_what_starts_is_not_touched_and_what_takes_a_person_is_refused() -> None:
    assert takeover.startable(BY_HAND, Kind.CONF, "2.5.2") == takeover.Corrected(BY_HAND)
    with pytest.raises(RequestError) as refused:
        takeover.startable(
            BY_HAND.replace(b"[global]", b"[global]\ntls-certificates-file=/a"), Kind.CONF, "2.5.2"
        )
    assert "\n" not in str(refused.value)
    assert "you MUST specify tls-certificates-private" in str(refused.value)


def test_a_domain_that_no_lab_can_have_is_named() -> None:
    with pytest.raises(RequestError, match=r"SIP\.Example\.test.*upper-case"):
        take(REPORT.replace(b"debug=true\n", b"").replace(b"sip.example", b"SIP.Example"))


def test_aliases_that_lack_the_domain_get_it_lest_the_server_call_itself() -> None:
    taken = take(BY_HAND.replace(b"aliases=sip.example.test pbx", b"aliases=pbx"))
    assert taken.options["flexisip_settings"]["global"]["aliases"] == "pbx sip.example.test"
