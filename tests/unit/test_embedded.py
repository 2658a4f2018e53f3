"""The files that the embedded server reads: somebody's own, or the lab's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from labtool import certificates, embedded
from labtool.errors import RequestError
from labtool.flexisip import conf
from labtool.inventory import Lab


def test_somebodys_own_configuration_is_served_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "flexisip.conf"
    file.write_text("[global]\n")
    with embedded.configuration(tmp_path, str(file), public=False, release=None) as served:
        assert served == file
    with (
        pytest.raises(RequestError, match="is a directory"),
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


@pytest.mark.parametrize("release", ["2.1.6", "2.5.2"])
def test_a_lab_with_tls_is_served_with_a_certificate_for_this_machine(
    write_lab: Callable[..., Lab], release: str
) -> None:
    lab = write_lab(options="flexisip_domain: a.test\nflexisip_transports: [tls]\n")
    with embedded.configuration(lab.path, None, public=False, release=release) as served:
        taken = conf.read(served.read_text(), release)
        assert not isinstance(taken, conf.Refusal)
        assert "sips:127.0.0.1:5061" in taken.text("global", "transports")
        key = "agent.pem" if release == "2.1.6" else "key.pem"
        assert "PRIVATE KEY" in (served.parent / key).read_text()
        assert (served.parent / key).stat().st_mode & 0o777 == 0o600
    found = certificates.of_lab(lab.options, lab.path, "sandbox")
    assert found is not None
    assert {"a.test", "127.0.0.1"} <= set(found.names)


def test_a_lab_whose_certificate_is_on_its_server_says_so(write_lab: Callable[..., Lab]) -> None:
    lab = write_lab(
        options="flexisip_domain: a.test\nflexisip_transports: [tls]\nflexisip_tls_on_server: true\n"
        "flexisip_tls_certificate: /a.pem\nflexisip_tls_key: /b.pem\n"
    )
    with (
        pytest.raises(RequestError, match="on its server"),
        embedded.configuration(lab.path, None, public=False, release=None),
    ):
        pass
