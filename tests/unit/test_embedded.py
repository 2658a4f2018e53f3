"""The files that the embedded server reads: somebody's own, or the lab's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from labtool import embedded
from labtool.errors import RequestError
from labtool.flexisip import conf
from labtool.inventory import Lab


def test_somebodys_own_configuration_is_served_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "flexisip.conf"
    file.write_text("[global]\n")
    with embedded.configuration(tmp_path, str(file), public=False, release=None) as served:
        assert served == file
    with (
        pytest.raises(RequestError, match="is not there"),
        embedded.configuration(tmp_path, str(tmp_path), public=False, release=None),
    ):
        pass


@pytest.mark.parametrize(
    ("public", "address"), [(False, "sip:127.0.0.1:5070"), (True, "sip:*:5070")]
)
@pytest.mark.parametrize("release", [None, "2.3.4"])
def test_a_lab_is_rendered_for_as_long_as_it_is_served(
    write_lab: Callable[..., Lab], public: bool, address: str, release: str | None
) -> None:
    lab = write_lab(options="flexisip_domain: a.test\nflexisip_port: 5070\n")
    with embedded.configuration(lab.path, None, public=public, release=release) as served:
        text = served.read_text()
        assert address in text
        assert str(served.parent / "users.db.txt") in text
        assert served.stat().st_mode & 0o777 == 0o600
        assert not isinstance(conf.read(text, release or "2.5.2"), conf.Refusal)
    assert not served.parent.exists()
