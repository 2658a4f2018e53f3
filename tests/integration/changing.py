"""A server that serves, for tests that change it: deployed once a module, mended after each test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from labtool import probe
from labtool.probe.account import Account
from labtool.probe.registration import Registration
from labtool.probe.session import Session, Setting
from labtool.sip.digest import Password

from .container import Container, KeyPair
from .controller import DOMAIN, Controller, passwords
from .engine import Engine
from .images import Image

CONFIGURATION = "/etc/flexisip/flexisip.conf"
USERS = "/etc/flexisip/users.db.txt"


class Phone:
    """A user's phone that has signed in, for five minutes, and says nothing more by itself."""

    def __init__(self, host: Container, user: str, password: str) -> None:
        self._session = Session("phone", host.address, Setting())
        self._session.__enter__()
        agent = self._session.agent("udp", DOMAIN)
        account = Account(user, DOMAIN, Password(password))
        self._registration = Registration(self._session, agent, account, expires=300)
        self._registration.register()

    def is_registered(self) -> bool:
        """Whether the server still has this phone's contact (RFC 3261, 10.2.3)."""
        answer, _ = self._registration.answered("query", query=True)
        return self._registration.copies(answer) == 1

    def sign_out(self) -> None:
        self._registration.remove()
        self._session.__exit__(None)


class Server:
    """A deployed server, the lab that it belongs to, and alice's password."""

    def __init__(self, host: Container, controller: Controller, alice: str) -> None:
        self.host, self.controller, self.alice = host, controller, alice
        self.lab = controller.lab_file.read_text()

    def wants(self, text: str) -> None:
        """The lab with a line more."""
        self.controller.lab_file.write_text(self.lab + text + "\n")

    def process(self) -> str:
        return self.host.run("systemctl", "show", "flexisip-proxy", "-p", "MainPID").stdout

    @contextlib.contextmanager
    def phone(self, user: str = "alice", password: str = "") -> Iterator[Phone]:
        """A phone of a user that is signed in meanwhile."""
        made = Phone(self.host, user, password or self.alice)
        try:
            yield made
        finally:
            made.sign_out()

    def lets_in(self, user: str = "alice", password: str = "") -> bool:
        secret = Password(password or self.alice)
        return probe.register(self.host.address, "udp", user, DOMAIN, secret).ok


@pytest.fixture(scope="module")
def deployed(
    engine: Engine,
    any_image: Image,
    login: KeyPair,
    login_file: Path,
    standin: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    host = Container(engine, any_image, login)
    try:
        controller = Controller(tmp_path_factory.mktemp("controller"), login_file)
        controller.knows(host)
        first = controller.deploy(host, "--deb", str(standin))
        assert first.returncode == 0, first.output + host.journal(lines=40)
        yield Server(host, controller, passwords(first)["alice"])
    finally:
        host.remove()


@pytest.fixture
def server(deployed: Server) -> Iterator[Server]:
    """Each test finds the server and the lab as the first deployment left them."""
    yield deployed
    if deployed.controller.lab_file.read_text() != deployed.lab:
        deployed.controller.lab_file.write_text(deployed.lab)
        deployed.controller.run("deploy")
