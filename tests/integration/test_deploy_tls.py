"""TLS from the lab to the phone: made by labtool, named by the user, or the server's own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from labtool import probe
from labtool.probe.session import Tls
from labtool.sip.digest import Password

from .changing import Server
from .container import Container, KeyPair
from .controller import DOMAIN, Controller, Ran, passwords
from .engine import Engine
from .images import Image

FOLDER = "/etc/flexisip/labtool-tls"
SECRET = re.compile(r"PRIVATE KEY|MIGHAgEAMBMG")


@pytest.fixture(scope="module")
def secure(
    engine: Engine,
    any_image: Image,
    login: KeyPair,
    login_file: Path,
    standin: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, Ran]]:
    """A machine that was deployed with TLS from the first, and what the deployment said."""
    host = Container(engine, any_image, login)
    try:
        controller = Controller(tmp_path_factory.mktemp("controller"), login_file)
        controller.knows(host)
        chosen = ("--deb", str(standin), "--transport", "udp,tcp,tls")
        looked = controller.deploy(host, *chosen, "--check", "--diff")
        assert looked.returncode == 0, looked.output
        first = controller.deploy(host, *chosen)
        assert first.returncode == 0, first.output + host.journal(lines=40)
        found = Server(host, controller, passwords(first)["alice"])
        found.looked = looked  # type: ignore[attr-defined]
        yield found, first
    finally:
        host.remove()


@pytest.fixture
def server(secure: tuple[Server, Ran]) -> Iterator[Server]:
    found, _ = secure
    yield found
    if found.controller.lab_file.read_text() != found.lab:
        found.controller.lab_file.write_text(found.lab)
        found.controller.run("deploy")


def ca(server: Server) -> Path:
    return server.controller.folder / "inventory" / ".tls" / "ca.pem"


def signs_in(server: Server, ca_file: Path, name: str | None = None) -> probe.Result:
    tls = Tls(str(ca_file), server_name=name)
    secret = Password(server.alice)
    return probe.register(server.host.address, "tls", "alice", DOMAIN, secret, tls=tls)


def shown(server: Server) -> str:
    """The fingerprint of the certificate that the server shows."""
    import hashlib
    import ssl

    pem = ssl.get_server_certificate((server.host.address, 5061))
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def issued(folder: Path, name: str, days: int = 30, host: str = DOMAIN) -> tuple[Path, Path]:
    """A certificate that signs itself, by openssl, as a person makes one."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", str(days), "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    key.chmod(0o600)
    return certificate, key


def names(certificate: Path, key: Path, ca_file: Path | None = None) -> str:
    lines = [f"flexisip_tls_certificate: {certificate}", f"flexisip_tls_key: {key}"]
    return "\n".join(lines + ([f"flexisip_tls_ca: {ca_file}"] if ca_file else []))


def test_a_deployment_with_tls_is_proved_over_tls_by_the_labs_own_issuer(
    secure: tuple[Server, Ran],
) -> None:
    server, first = secure
    proofs = [one for one in first.events if one["event"] == "probe" and one["transport"] == "tls"]
    assert [(one["check"], one["ok"]) for one in proofs] == [
        ("options", True),
        ("register", True),
        ("register", True),
    ]
    assert signs_in(server, ca(server)).ok
    assert signs_in(server, ca(server), server.host.address).ok, "by its address, too"


def test_the_systems_issuers_do_not_make_it_good(server: Server) -> None:
    result = probe.options(server.host.address, "tls")
    assert not result.ok
    assert result.cause is not None
    assert result.cause.name.startswith("tls")


def test_the_key_is_roots_alone_and_was_on_no_command_line_and_in_no_output(
    secure: tuple[Server, Ran],
) -> None:
    server, first = secure
    listed = server.host.shell(f"cd {FOLDER}; stat -c '%a %U:%G %n' . *").stdout.splitlines()
    assert listed == ["750 root:root .", "644 root:root certificate.pem", "600 root:root key.pem"]
    own = server.controller.folder / "inventory" / ".tls"
    assert {path.name: path.stat().st_mode & 0o777 for path in own.glob("*.key")} == {
        "ca.key": 0o600,
        f"{server.host.address}.key": 0o600,
    }
    looked: Ran = server.looked  # type: ignore[attr-defined]
    body = server.host.read(f"{FOLDER}/key.pem").splitlines()[1]
    for text in (first.output, looked.output, *server.controller.commands):
        assert not SECRET.search(text)
        assert body not in text
    for log in (server.controller.folder / "inventory" / ".labtool" / "log").iterdir():
        assert body not in log.read_text()


def test_a_look_shows_that_the_certificate_would_be_installed_and_not_its_key(
    server: Server,
) -> None:
    looked: Ran = server.looked  # type: ignore[attr-defined]
    tasks = looked.last("deployed")["changed_tasks"]
    assert "Install the certificate and its key" in tasks
    diffs = json.dumps([event["diff"] for event in looked.events if event.get("diff")])
    assert "tls-certificates-private-key" in diffs


def test_a_second_deployment_changes_nothing_and_verify_and_doctor_find_nothing(
    server: Server,
) -> None:
    before = server.process(), shown(server)
    again = server.controller.run("deploy", "--json")
    assert again.last("deployed")["changed"] == 0, again.output
    assert (server.process(), shown(server)) == before
    verified = server.controller.run("verify")
    assert verified.returncode == 0, verified.output
    assert "the certificate and its key are those of the lab" in verified.stdout
    examined = server.controller.run("doctor", "--json")
    found = json.loads(examined.stdout.splitlines()[-1])
    assert not [one["id"] for one in found["findings"] if one["id"].startswith("tls")]


def test_a_probe_of_the_labs_server_trusts_the_labs_issuer(server: Server) -> None:
    probed = server.controller.run(
        "probe", server.host.address, "--transport", "tls", "--user", "alice"
    )
    assert probed.returncode == 0, probed.output


def test_renewed_it_is_served_after_one_restart_and_the_phones_need_nothing_new(
    server: Server,
) -> None:
    before, issuer = shown(server), ca(server).read_text()
    assert server.controller.run("certificate", "--renew").returncode == 0
    renewed = server.controller.run("deploy")
    assert renewed.returncode == 0, renewed.output
    assert "the server is restarted" in renewed.stderr
    assert f"<sip:{server.host.address}:5061;transport=tls>" in renewed.stdout
    assert ".tls/ca.pem to trust" in renewed.stdout
    assert shown(server) != before
    assert ca(server).read_text() == issuer
    assert signs_in(server, ca(server)).ok


def test_plain_ansible_playbook_makes_the_certificate_too(server: Server) -> None:
    own = server.controller.folder / "inventory" / ".tls" / f"{server.host.address}.pem"
    own.unlink()
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "inventory",
         str(root / "playbooks" / "deploy.yml")],
        cwd=server.controller.folder,
        env=server.controller.environment
        | {"ANSIBLE_CONFIG": str(root / "ansible.cfg"),
           "ANSIBLE_SSH_COMMON_ARGS": f"-o UserKnownHostsFile={server.controller.known_hosts}"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert own.is_file()
    assert not SECRET.search(done.stdout + done.stderr)
    assert signs_in(server, ca(server)).ok


def test_a_certificate_of_the_users_own_is_installed_and_verified_by_its_issuer(
    server: Server, tmp_path: Path
) -> None:
    certificate, key = issued(tmp_path, "mine")
    server.wants(names(certificate, key, certificate))
    changed = server.controller.run("deploy", "--diff")
    assert changed.returncode == 0, changed.output
    assert not SECRET.search(changed.output)
    assert signs_in(server, certificate).ok
    # Phones that follow Record-Route compare the certificate with the name there.
    conf = server.host.read("/etc/flexisip/flexisip.conf")
    assert f"sips:{DOMAIN}:5061;maddr={server.host.address}" in conf


def test_what_no_phone_would_take_is_refused_before_the_host_is_asked(
    server: Server, tmp_path: Path
) -> None:
    before = server.process()
    certificate, key = issued(tmp_path, "mine")
    other, other_key = issued(tmp_path, "other", host="other.example.test")
    old, old_key = tmp_path / "old.pem", tmp_path / "old.key"
    expired(tmp_path, old, old_key)
    closed = tmp_path / "closed.key"
    subprocess.run(
        ["openssl", "pkey", "-in", str(key), "-aes256", "-passout", "pass:x", "-out", str(closed)],
        check=True, capture_output=True,
    )  # fmt: skip
    closed.chmod(0o600)
    for chosen, sentence in (
        ((certificate, other_key), "does not belong to the certificate"),
        ((other, other_key), f"is for other.example.test, not for the lab's domain {DOMAIN}"),
        ((old, old_key), "expired on"),
        ((certificate, closed), "is closed with a passphrase"),
        ((tmp_path / "none.pem", key), "cannot be read: No such file"),
        ((key, key), "holds no certificate"),
    ):
        server.wants(names(*chosen))
        refused = server.controller.run("deploy")
        assert refused.returncode == 2, refused.output
        assert sentence in refused.stderr
        assert refused.stderr.count("\n") <= 3, refused.stderr
    assert server.process() == before


def expired(folder: Path, certificate: Path, key: Path) -> None:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DOMAIN)])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(secret.public_key()).serial_number(1)
        .not_valid_before(now - 9 * day).not_valid_after(now - day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(DOMAIN)]), critical=False)
        .sign(secret, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    certificate.write_bytes(made.public_bytes(pem))
    form = serialization.PrivateFormat.PKCS8
    key.write_bytes(secret.private_bytes(pem, form, serialization.NoEncryption()))
    key.chmod(0o600)


def test_files_of_the_server_are_checked_there_and_left_alone(
    server: Server, tmp_path: Path
) -> None:
    server.wants(
        names(Path("/etc/live/chain.pem"), Path("/etc/live/key.pem"), tmp_path / "mine.pem")
        + "\nflexisip_tls_on_server: true"
    )
    certificate, key = issued(tmp_path, "mine")
    refused = server.controller.run("deploy")
    assert refused.returncode != 0
    assert "/etc/live/chain.pem and /etc/live/key.pem cannot be found" in refused.stderr
    _, other_key = issued(tmp_path, "other")
    server.host.shell("mkdir -m 700 -p /etc/live")
    server.host.write("/etc/live/chain.pem", certificate.read_text())
    server.host.write("/etc/live/key.pem", other_key.read_text(), mode=0o600)
    refused = server.controller.run("deploy")
    if server.host.run("which", "openssl", check=False).returncode == 0:
        assert refused.returncode != 0
        assert "does not belong to the certificate" in refused.stderr
    server.host.write("/etc/live/key.pem", key.read_text(), mode=0o600)
    changed = server.controller.run("deploy")
    assert changed.returncode == 0, changed.output
    assert signs_in(server, certificate).ok
    assert server.controller.run("deploy", "--json").last("deployed")["changed"] == 0
    # The lab's own key is not left where nobody uses it any more.
    assert not server.host.shell(f"ls {FOLDER}", check=False).stdout


def test_a_certificate_that_phones_do_not_take_is_put_back(server: Server, tmp_path: Path) -> None:
    certificate, key = issued(tmp_path, "mine")
    before = shown(server)
    # Nothing is said of its issuer, and the system does not know it: the proof fails.
    server.wants(names(certificate, key))
    failed = server.controller.run("deploy")
    assert failed.returncode == 1, failed.output
    assert "was put back and is served" in failed.stderr
    assert shown(server) == before
    lab = yaml.safe_load(server.lab)
    assert lab["flexisip_transports"] == ["udp", "tcp", "tls"]
    assert signs_in(server, ca(server)).ok
