"""flexisip.conf: read, and judged as each release does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flexisip_recordings import RELEASES, cases, truth
from hypothesis import given
from hypothesis import strategies as st

from labtool.flexisip import conf, conffile
from labtool.flexisip.conf import Conf
from labtool.flexisip.findings import Refusal
from labtool.flexisip.settings import PACKAGED

AUTHENTICATION = "module::Authentication"


def taken(content: str, release: str = "2.5.2") -> Conf:
    judged = conf.read(content, release)
    assert isinstance(judged, Conf), judged
    return judged


def refused(content: str, release: str = "2.5.2") -> Refusal:
    judged = conf.read(content, release)
    assert isinstance(judged, Refusal)
    return judged


# ------------------------------------------------------------------------------ reading the file


def test_an_empty_file_is_all_defaults_and_open_to_all() -> None:
    values = taken("")
    assert values.words("global", "transports") == ("sip:*",)
    assert not values.flag(AUTHENTICATION, "enabled")


def test_a_default_follows_the_release() -> None:
    assert taken("", "2.5.2").text("global", "aliases") == "localhost"
    assert taken("", "2.7.0").text("global", "aliases") == ""
    assert taken("", "2.3.4").text("module::Registrar", "force-expires") == "-1"


def test_sections_and_keys_are_read_in_any_case_and_with_spaces() -> None:
    values = taken("[ GLOBAL ]\n  Aliases =  a b,c  \n")
    assert values.words("global", "aliases") == ("a", "b", "c")


def test_a_value_without_text_is_passed_over_and_one_space_is_a_value() -> None:
    assert taken("[global]\naliases=\n").text("global", "aliases") == "localhost"
    assert taken("[global]\naliases= \n").text("global", "aliases") == ""


def test_a_byte_order_mark_hides_the_first_section() -> None:
    values = taken("\ufeff[module::Authentication]\nenabled=true\n")
    assert not values.flag(AUTHENTICATION, "enabled")


def test_an_inline_comment_becomes_part_of_the_value() -> None:
    assert taken("[global]\naliases=a # b\n").words("global", "aliases") == ("a", "#", "b")


def test_a_former_name_sets_its_successor_unless_that_is_set() -> None:
    start = f"[{AUTHENTICATION}]\ndatasource=/old\n"
    assert taken(start).text(AUTHENTICATION, "file-path") == "/old"
    assert taken(start + "file-path=/new\n").text(AUTHENTICATION, "file-path") == "/new"


def test_durations_are_seconds_whatever_their_unit() -> None:
    values = taken(f"[{AUTHENTICATION}]\nnonce-expires=5min\ncache-expire=7\n")
    assert values.seconds(AUTHENTICATION, "nonce-expires") == 300
    assert values.seconds(AUTHENTICATION, "cache-expire") == 7
    assert values.seconds("module::DoSProtection", "ban-time") == 120
    assert values.seconds("global", "transaction-timeout") == 32


@pytest.mark.parametrize(
    ("release", "lines", "ports"),
    [
        ("2.3.4", "sdp-port-range-min=5000\nsdp-port-range-max=6000\n", (5000, 6000)),
        ("2.5.2", "sdp-port-range-min=5000\nsdp-port-range-max=6000\n", (5000, 6000)),
        ("2.5.2", "sdp-port-range=5000-6000\n", (5000, 6000)),
        ("2.5.2", "", (1024, 65535)),
        ("2.3.4", "", (1024, 65535)),
    ],
)
def test_the_media_ports_are_found_under_any_name(
    release: str, lines: str, ports: tuple[int, int]
) -> None:
    assert taken(f"[module::MediaRelay]\n{lines}", release).media_ports() == ports


# -------------------------------------------------------------------------------- what is refused


def test_the_configuration_of_the_report_is_refused_in_flexisips_words() -> None:
    said = refused("[global]\ndebug=true\n")
    assert said.text.splitlines()[0] == (
        "Unsupported parameter 'debug' in section [global] at line 2. "
        "Did you mean 'default-servers'?"
    )
    assert (said.returncode, said.line) == (255, 2)
    assert (
        conf.as_logged(said)
        .splitlines()[1]
        .startswith("flexisip-error- Flexisip::main - Exit failure: invalid section(s)")
    )


def test_a_duplicate_refuses_from_2_4_and_counts_last_before() -> None:
    twice = "[global]\naliases=a\nAliases=b\n"
    assert refused(twice, "2.4.0").text.endswith('key "Aliases" has several entrances.')
    assert taken(twice, "2.3.5").text("global", "aliases") == "b"


def test_an_overridden_setting_is_not_judged() -> None:
    bad = "[global]\ntransports=foo\n"
    assert isinstance(conf.read(bad), Refusal)
    assert isinstance(conf.read(bad, overridden=["global/transports"]), Conf)


def test_what_the_server_says_first_is_said_first() -> None:
    both = "[global]\nlog-level=info\ndebug=true\n"
    assert "Unsupported" in refused(both).text


@given(st.binary(max_size=80), st.sampled_from(["2.0.0", "2.3.4", "2.5.2", "2.7.0"]))
def test_no_content_makes_it_crash(content: bytes, release: str) -> None:
    conf.read(content, release)
    conf.read(b"[global]\nlog-level=" + content, release)


@given(st.text("[]=# ;\t\r\nab\0", max_size=60))
def test_every_item_stands_in_the_line_that_it_names(content: str) -> None:
    lines = content.split("\n")
    for item in conffile.read(content).items:
        assert item.key in lines[item.line - 1]


# -------------------------------------------------------------------------------- the recordings


def test_every_generated_configuration_gets_the_verdict_and_the_words(shared: Path) -> None:
    for row in truth(shared, "conf"):
        judged = conf.read(
            row["content"],
            row["release"],
            path="DIR/flexisip.conf",
            exists=lambda path: path == "DIR/users.txt",
            overridden=["global/transports"],
        )
        assert isinstance(judged, Conf) == row["starts"], row
        if isinstance(judged, Refusal):
            assert judged.returncode == row["rc"], row
            logged = conf.as_logged(judged, row["release"])
            for line in row["said"]:
                assert line in logged or line.startswith("bctbx-warning"), row


BASE = {
    "global": ["transports=sip:127.0.0.1:5060", "aliases=sip.example.test"],
    "module::DoSProtection": ["enabled=false"],
    "module::Registrar": ["enabled=true", "reg-domains=sip.example.test"],
    AUTHENTICATION: ["enabled=true", "auth-domains=sip.example.test", "file-path=RUN/users.txt"],
    "module::MediaRelay": ["enabled=false"],
}
RELAY, REGISTRAR, HELPER = "module::MediaRelay", "module::Registrar", "module::NatHelper"
# What each label of config-keys-*.txt did to the base; the recording names the change only.
CHANGES: dict[str, dict[str, list[str]]] = {
    "baseline": {},
    "[global] debug=true": {"global": ["debug=true"]},
    "[global] log-level=debug": {"global": ["log-level=debug"]},
    "[global] log-level=info (not a level)": {"global": ["log-level=info"]},
    "[global] log-level=verbose (not a level)": {"global": ["log-level=verbose"]},
    "Authentication datasource only": {AUTHENTICATION: ["-file-path", "datasource=RUN/u"]},
    "Authentication datasource AND file-path": {AUTHENTICATION: ["datasource=RUN/u"]},
    "Authentication without file-path": {AUTHENTICATION: ["-file-path"]},
    "Authentication without auth-domains": {AUTHENTICATION: ["-auth-domains"]},
    "Registrar without reg-domains": {REGISTRAR: ["-reg-domains"]},
    "without aliases": {"global": ["-aliases"]},
    "auth-domains=*": {AUTHENTICATION: ["-auth-domains", "auth-domains=*"]},
    "Authentication db-implementation=foo": {AUTHENTICATION: ["db-implementation=foo"]},
    "Authentication db-implementation=odbc (1.x)": {AUTHENTICATION: ["db-implementation=odbc"]},
    "Authentication db-implementation=soci (not compiled here)": {
        AUTHENTICATION: ["db-implementation=soci"]
    },
    "Registrar db-implementation=foo": {REGISTRAR: ["db-implementation=foo"]},
    "hashed-passwords=true (deprecated 2.0)": {AUTHENTICATION: ["hashed-passwords=true"]},
    "enable-test-accounts-creation=true": {AUTHENTICATION: ["enable-test-accounts-creation=true"]},
    "available-algorithms=FOO": {AUTHENTICATION: ["available-algorithms=FOO"]},
    "available-algorithms=MD5 SHA-256": {AUTHENTICATION: ["available-algorithms=MD5 SHA-256"]},
    "available-algorithms=SHA256": {AUTHENTICATION: ["available-algorithms=SHA256"]},
    "nonce-expires=60": {AUTHENTICATION: ["nonce-expires=60"]},
    "nonce-expires=5min (units since 2.4.0)": {AUTHENTICATION: ["nonce-expires=5min"]},
    "nonce-expires=5x": {AUTHENTICATION: ["nonce-expires=5x"]},
    "realm=foo": {AUTHENTICATION: ["realm=foo"]},
    "realm + realm-regex": {AUTHENTICATION: ["realm=foo", "realm-regex=.*"]},
    "no-403=true": {AUTHENTICATION: ["no-403=true"]},
    "trusted-hosts=127.0.0.1": {AUTHENTICATION: ["trusted-hosts=127.0.0.1"]},
    "cache-expire=60": {AUTHENTICATION: ["cache-expire=60"]},
    "disable-qop-auth=true": {AUTHENTICATION: ["disable-qop-auth=true"]},
    "key with underscore: log_level": {"global": ["log_level=debug"]},
    "upper-case key Enabled": {RELAY: ["Enabled=true"]},
    "unknown section [module::Foo]": {"module::Foo": ["enabled=true"]},
    "section typo [module::Registar]": {"module::Registar": ["enabled=true"]},
    "section case [module::registrar]": {"module::registrar": ["max-expires=60"]},
    "duplicate key in a section": {AUTHENTICATION: ["no-403=true", "no-403=false"]},
    "enabled=yes": {RELAY: ["-enabled", "enabled=yes"]},
    "enabled=1": {RELAY: ["-enabled", "enabled=1"]},
    "enabled=0": {RELAY: ["-enabled", "enabled=0"]},
    "enabled=True": {RELAY: ["-enabled", "enabled=True"]},
    "spaces around =": {RELAY: ["-enabled", "enabled = true"]},
    "comment with # at line start": {RELAY: ["# a = b"]},
    "comment with ; at line start": {RELAY: ["; a comment"]},
    "comment at the end of a value": {RELAY: ["-enabled", "enabled=false # c"]},
    "NatHelper contact-verified-param": {HELPER: ["contact-verified-param=verified"]},
    "NatHelper contact-correction-param": {HELPER: ["contact-correction-param=verified"]},
    "NatHelper nat-traversal-strategy=flow-token": {HELPER: ["nat-traversal-strategy=flow-token"]},
    "NatHelper nat-traversal-strategy=foo": {HELPER: ["nat-traversal-strategy=foo"]},
    "MediaRelay sdp-port-range-min/max": {
        RELAY: ["sdp-port-range-min=10000", "sdp-port-range-max=20000"]
    },
    "MediaRelay sdp-port-range=10000-20000": {RELAY: ["sdp-port-range=10000-20000"]},
    "MediaRelay sdp-port-range=20000-10000": {
        RELAY: ["-enabled", "enabled=true", "sdp-port-range=20000-10000"]
    },
    "MediaRelay sdp-port-range both": {
        RELAY: ["sdp-port-range=10000-20000", "sdp-port-range-min=10000"]
    },
    "MediaRelay force-public-ip-for-sdp-masquerading": {
        RELAY: ["force-public-ip-for-sdp-masquerading=true"]
    },
    "Router fork/stateful": {"module::Router": ["fork=true", "stateful=true"]},
    "Router fork-late etc": {"module::Router": ["fork-late=true", "message-fork-late=true"]},
    "Forward route": {"module::Forward": ["route=sip:127.0.0.1"]},
    "removed 2.5: max-log-size": {"global": ["max-log-size=100M"]},
    "removed 2.5: use-maddr": {"global": ["use-maddr=true"]},
    "removed 2.5: [monitor]": {"monitor": ["enabled=true"]},
    "removed 2.4: redis-record-serializer": {REGISTRAR: ["redis-record-serializer=protobuf"]},
    "Registrar datasource (1.x: static records)": {REGISTRAR: ["datasource=/x"]},
    "Registrar max-contacts-by-aor (removed 2.3)": {REGISTRAR: ["max-contacts-by-aor=5"]},
    "cluster": {"cluster": ["enabled=true", "nodes=127.0.0.2", "cluster-domain=c.test"]},
    "plugins=jweauth (removed)": {"global": ["plugins=jweauth"]},
    "stun-server off": {"stun-server": ["enabled=false"]},
    "enable-snmp=true (not compiled)": {"global": ["enable-snmp=true"]},
    "log-directory missing parent": {"global": ["log-directory=/proc/nope/log"]},
    "Registrar db-implementation=redis, no redis there": {
        REGISTRAR: ["db-implementation=redis", "redis-server-domain=127.0.0.1"]
    },
    "filter bad expression": {AUTHENTICATION: ["filter=foo"]},
    "same key twice: transports": {"global": ["transports=sip:127.0.0.1:5062"]},
    "global transports twice": {"global": ["transports=sip:127.0.0.1:5062"]},
    "empty value: transports=": {"global": ["-transports", "transports="]},
    "empty value: auth-domains=": {AUTHENTICATION: ["-auth-domains", "auth-domains="]},
    'value in quotes: aliases="x"': {"global": ["-aliases", 'aliases="x"']},
    "comma separated list: reg-domains=a,b": {REGISTRAR: ["-reg-domains", "reg-domains=a,b"]},
    "indented keys": {RELAY: ["   prevent-loops=false"]},
    "Authorization module + Authentication": {"module::Authorization": ["enabled=true"]},
    "AuthTrustedHosts with Authentication on": {"module::AuthTrustedHosts": ["enabled=true"]},
    "user-errors-logs=true": {"global": ["user-errors-logs=true"]},
}
TLS_CHANGES: dict[str, dict[str, list[str]]] = {
    "sip + sips, tls-certificates-file/-private-key": {
        "global": [
            "-transports",
            "transports=sip:127.0.0.1:5060 sips:127.0.0.1:5061",
            "tls-certificates-file=/c.pem",
            "tls-certificates-private-key=/k.pem",
        ]
    },
    "tls-certificates-dir with agent.pem + cafile.pem": {"global": ["tls-certificates-dir=/tls"]},
    "certificate file without key": {"global": ["tls-certificates-file=/c.pem"]},
    "sip: with transport=tls": {
        "global": ["-transports", "transports=sip:127.0.0.1:5061;transport=tls"]
    },
    "transports=sip:127.0.0.1:5060;transport=udp": {
        "global": ["-transports", "transports=sip:127.0.0.1:5060;transport=udp"]
    },
    "transports=sip:*": {"global": ["-transports", "transports=sip:*"]},
    "no transports key (default sip:*)": {"global": ["-transports"]},
    "transports=sip:sip.example.test;maddr=127.0.0.1": {
        "global": ["-transports", "transports=sip:sip.example.test;maddr=127.0.0.1"]
    },
    "transports garbage": {"global": ["-transports", "transports=foo"]},
}
# These need what no reader of the file can know: names, addresses, files of another machine.
NOT_IN_THE_FILE = re.compile(r"not on this machine|does not resolve")


def changed(changes: dict[str, list[str]]) -> str:
    sections = {name: list(lines) for name, lines in BASE.items()}
    for name, lines in changes.items():
        section = sections.setdefault(name, [])
        for line in lines:
            if line.startswith("-"):
                section[:] = [old for old in section if not old.startswith(f"{line[1:]}=")]
            else:
                section.append(line)
    return "".join(f"[{name}]\n" + "\n".join(lines) + "\n\n" for name, lines in sections.items())


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", ["config-keys", "tls-and-transports"])
def test_every_recorded_setting_gets_the_verdict_and_the_words(
    shared: Path, name: str, release: str
) -> None:
    table = CHANGES if name == "config-keys" else TLS_CHANGES
    seen = 0
    for case in cases(shared, f"{name}-{release}.txt"):
        if case.label not in table or NOT_IN_THE_FILE.search(case.label):
            continue
        seen += 1
        # The recorded builds have no optional part.
        features = PACKAGED - {"soci"} if "soci" in case.label else PACKAGED
        judged = conf.read(
            changed(table[case.label]),
            release,
            path="RUN/cv.conf",
            exists=lambda path: not path.endswith(".so"),
            features=features,
        )
        assert isinstance(judged, Conf) == case.starts, (case.label, judged)
        if isinstance(judged, Refusal):
            assert judged.returncode == case.returncode, case
            log = re.sub(r"at line \d+", "at line N", case.log)
            for line in judged.text.splitlines():
                said = re.sub(r"at line \d+", "at line N", line).partition(": /opt/")[0]
                # What an uncaught exception says goes past the log.
                assert said in log or judged.returncode < 0, (case.label, said)
    assert seen >= (60 if name == "config-keys" else 8)


@pytest.mark.parametrize("release", RELEASES)
def test_a_number_of_any_length_is_judged(release: str) -> None:
    # Python itself refuses to read more than 4300 digits.
    long = conf.read(f"[global]\nudp-mtu={'9' * 5000}\n", release)
    assert isinstance(long, Conf) == (release < "2.4"), long
    zeros = conf.read(f"[global]\nudp-mtu={'0' * 1000}5\n", release)
    assert isinstance(zeros, Conf)
    assert zeros.number("global", "udp-mtu") == 5
    module = "module::Authentication"
    duration = f"[{module}]\nenabled=true\nfile-path=/u\nnonce-expires={'9' * 5000}\n"
    assert isinstance(conf.read(duration, release), Conf) == (release < "2.4")
