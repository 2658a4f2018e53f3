"""From a lab's intent to the settings of a release."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool.errors import RequestError
from labtool.flexisip import conf
from labtool.flexisip.conf import Conf
from labtool.flexisip.intent import Intent, Line, Section, doubts, render, settings_for
from labtool.flexisip.lint import lint

EVERY_RELEASE = ["2.0.0", "2.0.9", "2.1.6", "2.2.0", "2.3.4", "2.4.0", "2.4.1", "2.5.2"]
EVERY_RELEASE += ["2.6.0", "2.7.0"]
LAB = Intent("sip.example.test")
CLOUD = replace(LAB, public_address="203.0.113.5", private_address="10.0.0.4")
AUTHENTICATION, RELAY = "module::Authentication", "module::MediaRelay"


def served(intent: Intent, release: str = "2.5.2") -> Conf:
    judged = conf.read(render(settings_for(intent, release)), release)
    assert isinstance(judged, Conf), judged
    return judged


def asked(settings: dict[str, dict[str, Any]], release: str = "2.5.2") -> str:
    with pytest.raises(RequestError) as caught:
        settings_for(replace(LAB, extra=settings), release)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(
    st.builds(
        Intent,
        domain=st.sampled_from(["a.test", "192.0.2.1", "sip.example.test"]),
        transports=st.sampled_from([("udp",), ("tcp",), ("udp", "tcp"), ("tcp", "udp")]),
        public_address=st.sampled_from([None, "203.0.113.5"]),
        private_address=st.sampled_from([None, "10.0.0.4", "203.0.113.5", "fd00::1"]),
        port=st.integers(1, 9999),
        algorithms=st.sampled_from([("MD5",), ("SHA-256",), ("MD5", "SHA-256")]),
        media_relay=st.booleans(),
        stun=st.booleans(),
        flood_protection=st.booleans(),
        cache_expire_s=st.integers(1, 3600),
        clients_on_server_host=st.booleans(),
        loopback=st.booleans(),
    ),
    st.sampled_from(EVERY_RELEASE),
)
def test_what_is_rendered_is_accepted_and_has_authentication_on(
    intent: Intent, release: str
) -> None:
    values = served(intent, release)
    assert values.flag(AUTHENTICATION, "enabled")
    assert values.words(AUTHENTICATION, "auth-domains") == (intent.domain,)
    assert values.words("module::Registrar", "reg-domains") == (intent.domain,)
    assert values.words(AUTHENTICATION, "available-algorithms") == intent.algorithms
    assert values.seconds(AUTHENTICATION, "cache-expire") == intent.cache_expire_s
    assert values.flag("stun-server", "enabled") == intent.stun
    assert values.flag(RELAY, "enabled") == intent.media_relay
    assert intent.domain in values.words("global", "aliases")
    if intent.media_relay:
        assert values.media_ports() == intent.rtp_ports


def test_a_plain_lab_listens_on_all_addresses_over_udp_and_tcp() -> None:
    assert served(LAB).words("global", "transports") == ("sip:*:5060",)


def test_a_single_transport_is_named() -> None:
    one = replace(LAB, transports=("udp",))
    assert served(one).words("global", "transports") == ("sip:*:5060;transport=udp",)


def test_behind_an_address_translation_the_public_address_is_announced() -> None:
    values = served(CLOUD)
    assert values.words("global", "transports") == ("sip:203.0.113.5:5060;maddr=10.0.0.4",)
    assert values.words("global", "aliases") == ("sip.example.test", "203.0.113.5", "10.0.0.4")
    assert values.flag(RELAY, "force-public-ip-for-sdp-masquerading")


def test_an_address_of_the_machine_itself_is_no_translation() -> None:
    same = replace(LAB, public_address="203.0.113.5", private_address="203.0.113.5")
    values = served(same)
    assert values.words("global", "transports") == ("sip:*:5060",)
    assert values.words("global", "aliases") == ("sip.example.test", "203.0.113.5")
    assert not values.flag(RELAY, "force-public-ip-for-sdp-masquerading")


def test_the_demo_serves_this_machine_only() -> None:
    values = served(replace(CLOUD, loopback=True))
    assert values.words("global", "transports") == ("sip:127.0.0.1:5060",)
    assert not values.flag(RELAY, "prevent-loops")
    assert not values.flag("module::DoSProtection", "enabled")


@pytest.mark.parametrize(
    ("release", "keys"),
    [("2.3.4", {"sdp-port-range-min", "sdp-port-range-max"}), ("2.5.2", {"sdp-port-range"})],
)
def test_names_follow_the_release(release: str, keys: set[str]) -> None:
    [relay] = [s for s in settings_for(LAB, release) if s.name == RELAY]
    assert keys <= {line.key for line in relay.settings}


TLS = replace(CLOUD, transports=("udp", "tls"), tls_certificate="/c.pem", tls_key="/k.pem")


def test_tls_names_what_the_certificate_is_for() -> None:
    # What Record-Route says is what a phone compares the certificate with.
    named = "sips:sip.example.test:5061;maddr=10.0.0.4"
    assert served(TLS).words("global", "transports")[1] == named
    address = served(replace(TLS, tls_for_address=True)).words("global", "transports")[1]
    assert address == "sips:203.0.113.5:5061;maddr=10.0.0.4"
    plain = replace(TLS, private_address=None)
    assert served(plain).words("global", "transports")[1] == (
        "sips:sip.example.test:5061;maddr=203.0.113.5"
    )
    own = replace(plain, tls_for_address=True)
    assert served(own).words("global", "transports")[1] == "sips:*:5061"


def test_before_2_2_a_certificate_is_in_a_folder() -> None:
    with pytest.raises(RequestError, match=r"2\.2 or later"):
        settings_for(TLS, "2.1.0")
    values = served(replace(TLS, tls_directory="/tls"), "2.1.0")
    assert values.text("global", "tls-certificates-dir") == "/tls"
    assert ("global", "tls-certificates-file") not in values.values


@pytest.mark.parametrize("release", EVERY_RELEASE)
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"public_address": "203.0.113.5", "private_address": "10.0.0.4"},
        {
            "transports": ("udp", "tcp", "tls"),
            "tls_certificate": "/c.pem",
            "tls_key": "/k.pem",
            "tls_directory": "/tls",
        },
        {"media_relay": False},
        {"rtp_ports": (30000, 30100)},
        {"algorithms": ("MD5",)},
        {"algorithms": ("SHA-256",)},
        {"stun": True},
        {"flood_protection": False},
        {"flood_packet_rate": 5, "flood_ban_min": 60},
        {"log_level": "debug"},
        {"clients_on_server_host": True},
        {"cache_expire_s": 60},
        {"extra": {"module::Registrar": {"max-expires": 3600}}},
    ],
    ids=lambda change: ",".join(change) or "default",
)
def test_whatever_a_lab_wants_starts_on_every_release_with_nothing_to_remark(
    change: dict[str, Any], release: str
) -> None:
    report = lint(render(settings_for(replace(LAB, **change), release)), release=release)
    assert report.starts
    assert not report.findings, report.findings


@pytest.mark.parametrize("release", EVERY_RELEASE)
def test_the_limits_of_the_flood_protection_reach_every_release(release: str) -> None:
    protection = "module::DoSProtection"
    values = served(replace(LAB, flood_packet_rate=5, flood_ban_min=60), release)
    assert values.number(protection, "packet-rate-limit") == 5
    assert values.seconds(protection, "ban-time") == 3600
    off = served(replace(LAB, flood_protection=False), release)
    assert not off.flag(protection, "enabled")


def test_the_flood_protection_does_not_ban_a_class_and_says_why() -> None:
    [protection] = [s for s in settings_for(LAB) if s.name == "module::DoSProtection"]
    [limit] = [line for line in protection.settings if line.key == "packet-rate-limit"]
    assert int(limit.value) > 60
    assert "class" in limit.comment


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"domain": "a b"}, "domain"),
        ({"public_address": "example.test"}, "not an IP address"),
        ({"transports": ()}, "no transport"),
        ({"transports": ("sctp",)}, "does not exist"),
        ({"algorithms": ("SHA256",)}, "possible are MD5, SHA-256"),
        ({"log_level": "info"}, "log level"),
        ({"port": 70000}, "between 1 and 65535"),
        ({"rtp_ports": (20000, 10000)}, "too few"),
        ({"rtp_ports": (5000, 6000)}, "contain the SIP port 5060; give a range"),
        ({"stun": True, "rtp_ports": (3000, 4000)}, "contain the STUN port 3478"),
        (
            {
                "port": 6060,
                "rtp_ports": (5061, 5070),
                "transports": ("udp", "tls"),
                "tls_certificate": "/c",
                "tls_key": "/k",
            },
            "contain the TLS port 5061",
        ),
        ({"cache_expire_s": 0}, "at least 1 second"),
        ({"udp_mtu": 10}, "1000 to 65535"),
        ({"users_file": "users.db.txt"}, "not an absolute path"),
        ({"users_file": "/a\nb"}, "not an absolute path"),
        ({"transports": ("tls",)}, "certificate"),
        (
            {
                "tls_port": 5060,
                "transports": ("tcp", "tls"),
                "tls_certificate": "/c",
                "tls_key": "/k",
            },
            "cannot share the port 5060",
        ),
        ({"flood_packet_rate": 0}, "at least 1"),
        ({"flood_ban_min": -1}, "at least 1"),
    ],
)
def test_what_cannot_be_had_is_refused_in_one_sentence(change: dict[str, Any], why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        settings_for(replace(LAB, **change))
    assert "\n" not in str(caught.value)


def test_ports_that_nothing_else_has_may_be_in_the_range_of_the_relay() -> None:
    settings_for(replace(LAB, rtp_ports=(3000, 4000), tls_port=3500))
    settings_for(replace(LAB, rtp_ports=(5000, 6000), media_relay=False))


# --------------------------------------------------------------------------------- extra settings


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"module::Authentication": {"enabled": False}}, "anybody can sign in as anybody"),
        ({"module::Authorization": {"enabled": True}}, "500 Internal server error"),
    ],
)
def test_an_extra_setting_that_opens_a_server_or_locks_all_out_is_doubted(
    settings: dict[str, dict[str, Any]], why: str
) -> None:
    (said,) = doubts(replace(LAB, extra=settings))
    assert why in said
    assert "flexisip_settings in lab.yml" in said


def test_an_extra_setting_that_harms_nobody_is_not_doubted() -> None:
    assert doubts(replace(LAB, extra={"module::Registrar": {"max-expires": 3600}})) == []
    assert doubts(LAB) == []


def test_an_extra_setting_comes_before_ours_and_others_are_added() -> None:
    extra = {
        "global": {"udp-mtu": 1400},
        "module::Registrar": {"max-expires": "1h"},
        "module::Router": {"fork-late": True, "static-targets": ""},
    }
    values = served(replace(LAB, extra=extra))
    assert values.number("global", "udp-mtu") == 1400
    assert values.seconds("module::Registrar", "max-expires") == 3600
    assert values.flag("module::Router", "fork-late")
    assert ("module::Router", "static-targets") in values.items


@pytest.mark.parametrize(
    ("settings", "release", "parts"),
    [
        (
            {"global": {"debug": True}},
            "2.5.2",
            ["global/debug: global/log-level is its successor (Flexisip says:", "default-servers"],
        ),
        ({"module::NatHelper": {"nat-traversal-strategy": "x"}}, "2.3.4", ["it came with 2.4.0"]),
        ({"global": {"foo": 1, "log_level": "x"}}, "2.5.2", ["global/foo", "global/log_level:"]),
        ({"global": {"use-maddr": True}}, "2.5.2", ["it went after 2.4"]),
        ({"global": {"log_level": "debug"}}, "2.5.2", ["did you mean global/log-level?"]),
        ({"module::Registar": {"max-expires": 60}}, "2.5.2", ["module::Registrar/max-expires?"]),
        ({"module::Router": {"fork-late": "yes"}}, "2.5.2", ["would not start", "fork-late=yes"]),
        ({"global": {"transports": "foo"}}, "2.5.2", ["could not enable transport foo"]),
        (
            {"module::Authentication": {"realm": "a", "realm-regex": "b"}},
            "2.5.2",
            ["setting both"],
        ),
        ({"global": {"aliases": ["a", "b"]}}, "2.5.2", ["a list as its value"]),
        ({"global": {"aliases": "a", "Aliases": "b"}}, "2.5.2", ["given twice"]),
        ({"global": 3}, "2.5.2", ["not a list of keys"]),
    ],
)
def test_an_extra_setting_that_would_be_refused_never_leaves(
    settings: dict[str, Any], release: str, parts: list[str]
) -> None:
    sentence = asked(settings, release)
    for part in parts:
        assert part in sentence


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "{{ 7*7 }}", "{% x %}", "\x1b[0m"])
def test_a_value_can_be_nothing_but_a_value(bad: str) -> None:
    asked({"global": {"aliases": bad}})


@pytest.mark.parametrize("bad", ["a\nb", "a]b", "", "a=b", "é", "a b"])
def test_a_name_can_be_nothing_but_a_name(bad: str) -> None:
    asked({bad: {"enabled": True}})
    asked({"global": {bad: "x"}})


@given(st.dictionaries(st.text(max_size=5), st.dictionaries(st.text(max_size=5), st.text())))
def test_no_extra_setting_gets_through_unless_the_server_starts(extra: dict[str, Any]) -> None:
    try:
        sections = settings_for(replace(LAB, extra=extra))
    except RequestError:
        return
    assert isinstance(conf.read(render(sections)), Conf)


def test_a_section_is_plain_data_for_the_template() -> None:
    section = Section("global", (Line("a", "b", "c"),))
    assert section.to_dict() == {
        "name": "global",
        "comment": "",
        "settings": [{"key": "a", "value": "b", "comment": "c"}],
    }
