"""The table of options: what each kind takes and refuses, and that the roles say the same."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from labtool import options
from labtool.errors import RequestError

# In the roles alone: for the demo and single plays, and a table that is not a lab's to change.
ROLES_ONLY = {
    "flexisip_loopback",
    "flexisip_replace",
    "flexisip_repository_by_distribution",
    "flexisip_restore_from",
    "flexisip_swap",
    "flexisip_version",
    "flexisip_way_back",
}
# What the inventory writes itself, in users.yml.
ACCOUNTS = {"flexisip_users_accounts", "flexisip_users_domain"}

RIGHT: list[tuple[str, Any]] = [
    ("flexisip_domain", "sip.example.test"),
    ("flexisip_domain", "192.0.2.10"),
    ("flexisip_transports", ["tcp"]),
    ("flexisip_transports", ["tcp", "udp"]),
    ("flexisip_transports", ["udp", "tcp", "tls"]),
    ("flexisip_tls_port", 443),
    ("flexisip_tls_certificate", "/etc/letsencrypt/live/a.test/fullchain.pem"),
    ("flexisip_flood_protection", False),
    ("flexisip_flood_packet_rate", 1),
    ("flexisip_port", 1),
    ("flexisip_port", 65535),
    ("flexisip_public_address", ""),
    ("flexisip_public_address", "203.0.113.5"),
    ("flexisip_public_address", "2001:db8::5"),
    ("flexisip_algorithms", ["SHA-256"]),
    ("flexisip_media_relay", False),
    ("flexisip_rtp_ports", [10000, 10001]),
    ("flexisip_log_level", "debug"),
    ("flexisip_cache_expire", 1),
    ("flexisip_cache_expire", 86400),
    ("flexisip_settings", {}),
    ("flexisip_repository_url", "https://mirror.example.test:8443/a/b"),
    ("flexisip_repository_suite", "bookworm-updates"),
    ("flexisip_repository_components", ["stable", "beta"]),
    ("flexisip_repository_key_fingerprint", "0" * 40),
    ("flexisip_deb", "/srv/a package.deb"),
]

WRONG: list[tuple[str, Any, str]] = [
    ("flexisip_domain", None, "a domain such as"),
    ("flexisip_domain", "", "is empty"),
    ("flexisip_domain", "a b", "a space"),
    ("flexisip_domain", "a\nb", "a line break"),
    ("flexisip_domain", "Sip.example.test", "write sip.example.test"),
    ("flexisip_domain", "{{ 7*7 }}", "a brace"),
    ("flexisip_transports", "udp", "a list of some of udp, tcp"),
    ("flexisip_transports", [], "a list of some of"),
    ("flexisip_transports", ["udp", "udp"], "a list of some of"),
    ("flexisip_transports", ["quic"], "a list of some of"),
    ("flexisip_transports", [["udp"]], "a list of some of"),
    ("flexisip_port", 0, "a port from 1 to 65535"),
    ("flexisip_port", 65536, "a port from 1 to 65535"),
    ("flexisip_port", "5060", "a port from 1 to 65535"),
    ("flexisip_port", True, "a port from 1 to 65535"),
    ("flexisip_public_address", "localhost", "an IPv4 or IPv6 address"),
    ("flexisip_public_address", 5, "an IPv4 or IPv6 address"),
    ("flexisip_public_address", None, "an IPv4 or IPv6 address"),
    ("flexisip_public_address", ["203.0.113.5"], "an IPv4 or IPv6 address"),
    ("flexisip_public_address", "fe80::1%{{ 7*7 }}", "an IPv4 or IPv6 address"),
    ("flexisip_public_address", "fe80::1%a\n[b]", "an IPv4 or IPv6 address"),
    ("flexisip_algorithms", ["SHA-512"], "a list of some of MD5, SHA-256"),
    ("flexisip_media_relay", "yes", "true or false"),
    ("flexisip_media_relay", 1, "true or false"),
    ("flexisip_rtp_ports", [20000, 10000], "two ports, first and last"),
    ("flexisip_rtp_ports", [1, 2, 3], "two ports, first and last"),
    ("flexisip_rtp_ports", "10000-20000", "two ports, first and last"),
    ("flexisip_log_level", "loud", "one of debug, message"),
    ("flexisip_log_level", ["debug"], "one of debug, message"),
    ("flexisip_cache_expire", 0, "a whole number of seconds"),
    ("flexisip_cache_expire", 1.5, "a whole number of seconds"),
    ("flexisip_settings", [], "sections with keys"),
    ("flexisip_settings", {"global": "x"}, "sections with keys"),
    ("flexisip_settings", {"global": {"aliases": None}}, "a text, a number or true/false"),
    ("flexisip_settings", {"global": {"aliases": ["a"]}}, "a text, a number or true/false"),
    ("flexisip_settings", {"global": {5: "a"}}, "sections with keys"),
    (
        "flexisip_settings",
        {"global": {"log_level": "debug"}, "module::Router": {"bogus": 1}},
        "global/log_level; global/log-level is probably meant; no release of Flexisip has the "
        "setting module::Router/bogus",
    ),
    ("flexisip_settings", {"global": {"a": "b\nc=d"}}, "a control character"),
    ("flexisip_settings", {"global": {"a\x1b": "b"}}, "a control character"),
    ("flexisip_settings", {"glo\nbal": {"a": "b"}}, "a control character"),
    ("flexisip_settings", {"global": {"a": "{{ 7*7 }}"}}, "a template expression"),
    ("flexisip_settings", {"global": {"{%a%}": "b"}}, "a template expression"),
    ("flexisip_settings", {"{#x#}": {"a": "b"}}, "a template expression"),
    ("flexisip_repository_url", "ftp://example.test", "an http or https URL"),
    ("flexisip_repository_url", "http://", "an http or https URL"),
    ("flexisip_repository_url", "http://user:secret@example.test", "an http or https URL"),
    ("flexisip_repository_url", "http://example.test/a b", "an http or https URL"),
    ("flexisip_repository_url", "http://example.test/\n", "an http or https URL"),
    ("flexisip_repository_url", "http://example.test/{{ 7*7 }}", "an http or https URL"),
    ("flexisip_repository_url", "http://example.test:99999/", "an http or https URL"),
    ("flexisip_repository_url", "http://[::1/", "an http or https URL"),
    ("flexisip_repository_key_url", 5, "an http or https URL"),
    ("flexisip_repository_suite", "bionic main", "one word"),
    ("flexisip_repository_suite", "-o", "one word"),
    ("flexisip_repository_suite", "a\n", "one word"),
    ("flexisip_repository_components", [], "a list of words"),
    ("flexisip_repository_components", ["a b"], "a list of words"),
    ("flexisip_repository_components", "stable", "a list of words"),
    ("flexisip_repository_key_fingerprint", "0" * 39, "40 or 64 hexadecimal digits"),
    ("flexisip_repository_key_fingerprint", "g" * 40, "40 or 64 hexadecimal digits"),
    ("flexisip_repository_key_fingerprint", int("1" * 40), "in quotes"),
    ("flexisip_tls_certificate", "fullchain.pem", "a path that begins with /"),
    ("flexisip_tls_key", "/a/{{ 7*7 }}", "the path of a file"),
    ("flexisip_tls_key", 5, "the path of a file"),
    ("flexisip_tls_on_server", "yes", "true or false"),
    ("flexisip_flood_packet_rate", 0, "a whole number from 1"),
    ("flexisip_flood_ban_minutes", "2min", "a whole number from 1"),
    ("flexisip_deb", "a\0b", "the path of a file"),
    ("flexisip_deb", "a\x1b]0;b", "the path of a file"),
    ("flexisip_deb", "/srv/{{ 7*7 }}.deb", "the path of a file"),
    ("flexisip_deb", 5, "the path of a file"),
]


@pytest.mark.parametrize(("name", "value"), RIGHT)
def test_a_right_value_is_taken_as_it_is(name: str, value: Any) -> None:
    assert options.check({name: value}, where="lab.yml")[name] == value


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_a_wrong_value_is_refused_by_one_sentence_that_says_where_and_what_would_be_right(
    name: str, value: Any, expected: str
) -> None:
    with pytest.raises(RequestError) as refused:
        options.check({name: value}, where="lab.yml")
    sentence = str(refused.value)
    assert sentence.startswith(f"lab.yml: {name}")
    assert expected in sentence
    assert sentence.isprintable()


def test_every_kind_of_option_has_a_wrong_value_here() -> None:
    tried = {options.BY_NAME[name].kind for name, _, _ in WRONG}
    assert tried == {option.kind for option in options.OPTIONS}


@given(
    name=st.sampled_from(sorted(options.BY_NAME)),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner)
        ),
        max_leaves=6,
    ),
)
def test_any_value_is_taken_or_refused_by_one_line(name: str, value: Any) -> None:
    try:
        taken = options.check({name: value}, where="lab.yml")[name]
    except RequestError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert options.check({name: taken}, where="lab.yml")[name] == taken
        assert "{{" not in str(taken)


def test_an_unknown_option_is_refused_with_the_name_that_was_likely_meant() -> None:
    with pytest.raises(
        RequestError, match=r"^lab\.yml: unknown option 'flexisip_prot'\. Did you mean"
    ):
        options.check({"flexisip_prot": 5060}, where="lab.yml")
    with pytest.raises(RequestError, match="flexisip_port"):
        options.check({"flexisip_prot": 5060}, where="lab.yml")
    with pytest.raises(RequestError, match=r"unknown option 5\.$"):
        options.check({5: 5060}, where="lab.yml")


def test_a_value_without_end_is_shown_shortly() -> None:
    layer: Any = ["x" * 40] * 9
    for _ in range(20):  # 9 to the power of 20 texts, each the same: YAML's "billion laughs"
        layer = [layer] * 9
    with pytest.raises(RequestError) as refused:
        options.check({"flexisip_port": layer}, where="lab.yml")
    assert len(str(refused.value)) < 200


def test_numbers_and_truths_of_yaml_become_what_flexisip_conf_writes() -> None:
    given_ = {
        "module::Registrar": {
            "max-expires": 3600,
            "enabled": True,
            "min-expires": 0.5,
            "reg-domains": "text",
        }
    }
    taken = options.check({"flexisip_settings": given_}, where="lab.yml")["flexisip_settings"]
    assert taken == {
        "module::Registrar": {
            "max-expires": "3600",
            "enabled": "true",
            "min-expires": "0.5",
            "reg-domains": "text",
        }
    }


def test_a_fingerprint_may_be_written_as_gpg_prints_it() -> None:
    printed = "0123 4567 89AB CDEF 0123  4567 89ab cdef 0123 4567"
    assert options.check_one("flexisip_repository_key_fingerprint", printed, where="x") == (
        "0123456789ABCDEF0123456789ABCDEF01234567"
    )


def test_the_defaults_are_right_values() -> None:
    assert options.check(options.defaults(), where="defaults") == options.defaults()


# --- the roles say the same -------------------------------------------------------------------


def role_file(project: Path, role: str, *parts: str) -> Any:
    return yaml.safe_load(project.joinpath("roles", role, *parts).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def specified(project: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for role in ("flexisip", "flexisip_repository", "flexisip_users"):
        spec = role_file(project, role, "meta", "argument_specs.yml")
        found |= spec["argument_specs"]["main"]["options"]
    return found


def test_the_roles_specify_exactly_the_options_of_the_table(specified: dict[str, Any]) -> None:
    assert set(specified) - ROLES_ONLY - ACCOUNTS == set(options.BY_NAME)


def test_the_roles_have_the_defaults_of_the_table(project: Path, specified: dict[str, Any]) -> None:
    defaults = {
        **role_file(project, "flexisip", "defaults", "main.yml"),
        **role_file(project, "flexisip_repository", "defaults", "main.yml"),
    }
    assert {k: v for k, v in defaults.items() if k not in ROLES_ONLY} == options.defaults()
    for name, value in options.defaults().items():
        assert specified[name]["default"] == value, name


TYPES = {
    "domain": "str",
    "address": "str",
    "log level": "str",
    "url": "str",
    "word": "str",
    "fingerprint": "str",
    "path": "str",
    "absolute path": "str",
    "count": "int",
    "boolean": "bool",
    "port": "int",
    "seconds": "int",
    "settings": "dict",
    "transports": "list",
    "algorithms": "list",
    "port range": "list",
    "words": "list",
}
CHOICES = {
    "transports": options.TRANSPORTS,
    "algorithms": options.ALGORITHMS,
    "log level": options.LOG_LEVELS,
}


@pytest.mark.parametrize("option", options.OPTIONS, ids=lambda option: option.name)
def test_an_option_has_the_same_type_choices_and_text_in_its_role(
    specified: dict[str, Any], option: options.Option
) -> None:
    spec = specified[option.name]
    assert spec["type"] == TYPES[option.kind]
    assert tuple(spec.get("choices", ())) == CHOICES.get(option.kind, ())
    assert spec.get("required", False) == (option.default is None)
    assert textwrap.dedent(option.text).split() == " ".join(spec["description"]).split()


def test_a_stub_names_every_option_with_a_value_that_is_right(project: Path) -> None:
    from labtool.inventory import lab_stub

    uncommented = [
        line.removeprefix("# ")
        for line in lab_stub("sip.example.test").splitlines()
        if line.removeprefix("# ").partition(":")[0] in options.BY_NAME
    ]
    values = yaml.safe_load("\n".join(line for line in uncommented if not line.endswith(":")))
    empty = {line.rstrip(":") for line in uncommented if line.endswith(":")}
    assert set(values) | empty == set(options.BY_NAME)
    taken = options.check(values, where="the stub")
    for name, default in options.defaults().items():
        if default not in ("", {}):
            assert taken[name] == default


def test_the_example_lab_is_what_init_writes(project: Path) -> None:
    from labtool.inventory import HOSTS_STUB, lab_stub

    example = project / "inventory"
    assert (example / "hosts.yml").read_text(encoding="utf-8") == HOSTS_STUB
    text = (example / "group_vars" / "flexisip" / "lab.yml").read_text(encoding="utf-8")
    assert text == lab_stub("sip.example.test")
