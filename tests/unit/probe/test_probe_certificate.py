"""The check `tls`, against the embedded server with certificates good and bad."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from certificates import Issuer, serving

from labtool.probe import Result
from labtool.probe.certificate import parse, tls
from labtool.probe.session import Setting, Tls
from labtool.sandbox.server import Sandbox
from labtool.sip.loop import Loop

DOMAIN = "sip.example.test"
CONF = """[global]
transports=sips:127.0.0.1:5061
tls-certificates-file={file}
tls-certificates-private-key={file}
aliases=localhost {domain}
[stun-server]
enabled=false
[module::DoSProtection]
enabled=false
[module::MediaRelay]
enabled=false
[module::Registrar]
enabled=true
reg-domains={domain}
[module::Authentication]
enabled=false
"""


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture
def sandbox(loop: Loop, tmp_path: Path) -> Iterator[Callable[[Path], str]]:
    """Starts one with that certificate; gives the target."""
    started: list[Sandbox] = []

    def start(file: Path) -> str:
        conf = tmp_path / "flexisip.conf"
        conf.write_text(CONF.format(file=file, domain=DOMAIN))
        server = Sandbox.from_file(conf, loop=loop, port=0)
        server.start()
        started.append(server)
        return str(server.address("tls"))

    yield start
    for server in started:
        server.stop()


def name_of(result: Result) -> str | None:
    return result.cause.name if result.cause else None


def trusting(setting: Setting, issuer: Issuer) -> Setting:
    return replace(setting, tls=Tls(ca_file=str(issuer.file)))


def shown(result: Result) -> list[Any]:
    return [step for step in result.steps if step.name.startswith("certificate")]


def test_a_good_certificate_is_shown_with_its_chain_and_taken(
    sandbox: Callable[[Path], str], setting: Setting, issuer: Issuer
) -> None:
    target = sandbox(issuer.issue(DOMAIN))
    result = tls(target, DOMAIN, trusting(setting, issuer))
    assert result.ok, result.verdict
    assert DOMAIN in result.verdict
    own, ca = shown(result)
    assert own.facts["names"] == [DOMAIN]
    assert own.facts["issuer"] == "CN=Lab CA"
    assert 19 < own.facts["days_left"] <= 20
    assert "good until" in own.detail
    assert ca.facts["subject"] == ca.facts["issuer"] == "CN=Lab CA"
    assert result.steps[0].facts["tls"].startswith("TLSv1.")
    assert result.steps[-1].name == "verified"


@pytest.mark.parametrize(
    ("host", "days", "trusted", "expected", "words"),
    [
        (DOMAIN, 20, False, "tls-untrusted", "issued by CN=Lab CA"),
        (DOMAIN, -3, True, "tls-expired", "expired 3 days ago"),
        (DOMAIN, 90, True, "tls-expired", "only"),
        ("other.example.test", 20, True, "tls-name", "for other.example.test"),
    ],
)
def test_a_bad_certificate_is_shown_and_has_its_cause(
    sandbox: Callable[[Path], str],
    setting: Setting,
    issuer: Issuer,
    host: str,
    days: int,
    trusted: bool,
    expected: str,
    words: str,
) -> None:
    target = sandbox(issuer.issue(host, days=days))
    result = tls(target, DOMAIN, trusting(setting, issuer) if trusted else setting)
    assert name_of(result) == expected
    assert words in shown(result)[0].detail, "it is shown although it is bad"
    assert not result.steps[-1].ok


def test_what_is_not_to_be_verified_is_said_not_to_be(
    fake: Callable[..., Any], setting: Setting, issuer: Issuer
) -> None:
    server = fake(transport="tls", tls=serving(issuer.issue(DOMAIN, days=-3)))
    result = tls(server.target, DOMAIN, replace(setting, tls=Tls(verify=False)))
    assert result.ok
    assert "not verified" in result.verdict


def test_bytes_that_are_no_certificate_are_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(b"\x30\x03abc")
