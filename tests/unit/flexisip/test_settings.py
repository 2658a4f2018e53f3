"""The table of settings and releases."""

from __future__ import annotations

from pathlib import Path

import pytest
from flexisip_recordings import RELEASES

from labtool.flexisip import releases
from labtool.flexisip.settings import approximate, releases_of, schema, table


@pytest.mark.parametrize("release", RELEASES)
def test_the_table_holds_what_the_binary_lists_in_its_order(shared: Path, release: str) -> None:
    known = schema(release, features=())
    path = shared / f"data/flexisip/settings-{release}.tsv"
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    for section, key, default in rows:
        setting = known.find(section, key)
        assert setting is not None, (section, key)
        if "PREFIX" not in default:
            assert setting.default == default, (section, key)
    for section, keys in known.sections.items():
        listed = [key for name, key, _ in rows if name == section]
        assert [key for key in keys if key in listed] == listed, section


@pytest.mark.parametrize("release", ["2.0.0", "2.1.0", "2.3.4", "2.4.0", "2.5.2", "2.6.0", "2.7.0"])
def test_no_release_knows_a_name_twice(release: str) -> None:
    since = releases.version(release)
    names = [s.name for s in table() if s.exists_in(since)]
    assert len(names) == len(set(names))


def test_a_setting_that_came_and_went_is_there_in_between_only() -> None:
    assert schema("2.3.4").find("module::NatHelper", "contact-verified-param")
    assert not schema("2.4.1").find("module::NatHelper", "contact-verified-param")
    assert schema("2.4.2").find("module::NatHelper", "contact-verified-param")
    assert not schema("2.5.0").find("global", "max-log-size")
    assert releases_of("global", "debug") == ((1, 0, 10), (1, 99, 99))
    assert releases_of("global", "nonsense") is None


def test_counters_are_names_that_no_file_can_set() -> None:
    known = schema("2.5.2")
    assert "count-eval-true" in known.sections["module::Registrar"]
    assert known.find("module::Registrar", "count-eval-true") is None


@pytest.mark.parametrize(
    ("wrong", "names", "meant"),
    [
        ("debug", ["transports", "default-servers"], "default-servers"),
        ("ab", ["ab"], None),
        ("abc", ["xyz", "a"], "a"),
        ("zzz", ["abc"], None),
    ],
)
def test_the_suggestion_is_the_first_name_that_has_all_but_two_characters(
    wrong: str, names: list[str], meant: str | None
) -> None:
    assert approximate(wrong, names) == meant


def test_releases_compare_as_numbers() -> None:
    assert releases.version("2.10.1") > releases.version("2.9")
    assert releases.version("2.5.2-1") == (2, 5, 2)
    with pytest.raises(ValueError, match="not a release"):
        releases.version("stable")


def test_the_newest_release_for_a_system() -> None:
    bionic = releases.newest_for("ubuntu", "18.04")
    assert bionic is not None
    assert bionic.name == "2.3"
    assert releases.newest_for("ubuntu", "20.04") is None


def test_the_unit_restarts_by_itself_from_2_6() -> None:
    assert not releases.release("2.5.2").restarts
    assert releases.release("2.6.0").restarts
    assert releases.release("2.6.0").unit_type == "notify"
    assert releases.release("9.0").name == "2.7"
