"""What the integration tests may ask for. What can't be had here skips them, with the reason.

LABTOOL_TEST_IMAGES names the machines to test on (debian12, debian13, debian12-as-ubuntu1804, or a
public image such as ubuntu:22.04; separated by commas). With LABTOOL_TEST_REQUIRE=1 what can't be
had fails the tests instead of skipping them: for a CI in which they must run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from . import images as recipes
from .changing import deployed, server  # noqa: F401 - fixtures for test_change_*
from .container import Container, KeyPair
from .engine import DockerError, Engine, Unavailable, ensure
from .images import Image
from .leftovers import sweep
from .patient import PASSED, _patient, patient  # noqa: F401 - fixtures for test_doctor*
from .repository import Repository, SigningKey
from .standin.package import build

FAILED = pytest.StashKey[bool]()
BareHost = Callable[[Image], Container]


def not_here(why: object) -> NoReturn:
    """Skip, or fail where these tests must run."""
    if os.environ.get("LABTOOL_TEST_REQUIRE"):
        pytest.fail(f"needed here (LABTOOL_TEST_REQUIRE): {why}", pytrace=False)
    pytest.skip(str(why))


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tell the person at the terminal what takes so long, past pytest's capture."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def tell(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{text}", flush=True)

    return tell


@pytest.fixture(scope="session")
def engine() -> Engine:
    """A Docker engine, without what a killed session left in it."""
    try:
        found = ensure()
    except Unavailable as why:
        not_here(why)
    sweep(found)
    return found


@pytest.fixture(scope="session")
def images(engine: Engine, say: Callable[[str], None]) -> dict[str, Image]:
    """The images of LABTOOL_TEST_IMAGES by name, built where they are missing."""
    try:
        return recipes.build(engine, recipes.selected(), say)
    except Unavailable as why:
        not_here(why)


@pytest.fixture(scope="session", params=recipes.selected())
def image(request: pytest.FixtureRequest, images: dict[str, Image]) -> Image:
    """Each of the images in turn."""
    return images[request.param]


@pytest.fixture(scope="session")
def any_image(images: dict[str, Image]) -> Image:
    """One image, for what has nothing to do with the distribution."""
    return next(iter(images.values()))


@pytest.fixture(scope="session")
def login() -> KeyPair:
    """The SSH key that every container lets in as root."""
    return KeyPair.generate()


@pytest.fixture(scope="session")
def login_file(login: KeyPair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The private half of `login` as a file for ssh."""
    return login.write(tmp_path_factory.mktemp("login") / "id_ed25519")


@pytest.fixture
def bare_host(engine: Engine, login: KeyPair, request: pytest.FixtureRequest) -> Iterator[BareHost]:
    """Starts bare machines: `bare_host(image)`. A failed test shows their journals."""
    started: list[Container] = []

    def start(image: Image) -> Container:
        started.append(Container(engine, image, login))
        return started[-1]

    yield start
    for container in started:
        if request.node.stash.get(FAILED, False):
            print(f"--- journal of {container.name} ({container.image.name})")
            print(container.journal())
        container.remove()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in package that plays Flexisip 2.5.2."""
    return build(tmp_path_factory.mktemp("standin"))


@pytest.fixture(scope="session")
def older_standin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in package that plays Flexisip 2.3.4."""
    return build(tmp_path_factory.mktemp("standin"), "2.3.4")


@pytest.fixture(scope="session")
def signing_key() -> Iterator[SigningKey]:
    """The key of the repository."""
    yield from _key()


@pytest.fixture(scope="session")
def other_key() -> Iterator[SigningKey]:
    """A key that is not the repository's."""
    yield from _key()


@pytest.fixture(scope="session")
def expired_key() -> Iterator[SigningKey]:
    """A key whose time was over long ago."""
    yield from _key(expired=True)


def _key(*, expired: bool = False) -> Iterator[SigningKey]:
    try:
        key = SigningKey(expired=expired)
    except Unavailable as why:
        not_here(why)
    yield key
    key.remove()


@pytest.fixture(scope="session")
def _served(engine: Engine, signing_key: SigningKey, standin: Path) -> Iterator[Repository]:
    try:
        address = engine.gateway()
    except DockerError as why:
        not_here(why)
    with Repository(address, signing_key, [standin]) as repository:
        yield repository


@pytest.fixture
def repository(_served: Repository, standin: Path) -> Repository:
    """The apt repository with the stand-in; each test finds it as it should be."""
    _served.debs = [standin]
    _served.reset()
    return _served
