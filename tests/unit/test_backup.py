"""An archive that claims to be a backup: what is in it goes to a server as root."""

from __future__ import annotations

import contextlib
import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from labtool import backup, expectation, inventory, issuer
from labtool.errors import RequestError
from labtool.inventory import Host, Lab

CONF = "files/etc/flexisip/flexisip.conf"
DROP_IN = "files/etc/systemd/system/flexisip-proxy.service.d/labtool.conf"
LAB = "lab/group_vars/flexisip/lab.yml"
Edit = Callable[[tarfile.TarFile], None]


def entry(archive: tarfile.TarFile, name: str, content: bytes = b"", **more: object) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    for key, value in more.items():
        setattr(member, key, value)
    archive.addfile(member, io.BytesIO(content))


def made(
    path: Path, *edits: Edit, manifest: bytes = b"saved 1700000000\npackage installed 1\n"
) -> Path:
    file = path / "kept.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        entry(archive, "manifest", manifest)
        entry(archive, "files/etc/flexisip", type=tarfile.DIRTYPE, mode=0o755)
        entry(archive, CONF, b"[global]\n")
        entry(archive, "lab/hosts.yml", b"flexisip: {hosts: {192.0.2.7: {}}}\n")
        for edit in edits:
            edit(archive)
    return file


def test_a_backup_is_read_with_its_lab(tmp_path: Path) -> None:
    ours = expectation.render("flexisip-proxy.service.d.conf.j2", {}).encode()
    kept = backup.read(
        made(
            tmp_path,
            lambda archive: entry(archive, DROP_IN, ours, mode=0o644),
            lambda archive: entry(archive, LAB, b"flexisip_domain: a.example.test\n"),
        )
    )
    assert (kept.package, kept.domain, kept.hosts[0]) == ("1", "a.example.test", "192.0.2.7")
    assert set(kept.sha256) == {f"/{CONF[6:]}", f"/{DROP_IN[6:]}"}


@pytest.mark.parametrize(
    "edit",
    [
        lambda a: entry(a, "files/../../etc/shadow", b"x"),
        lambda a: entry(a, "/etc/passwd", b"x"),
        lambda a: entry(a, "../up", type=tarfile.DIRTYPE),
        lambda a: entry(a, "files/etc/cron.d", type=tarfile.DIRTYPE),
        lambda a: entry(a, "files/etc/flexisip/users.db.txt", type=tarfile.SYMTYPE, linkname="/x"),
        lambda a: entry(a, "files/etc/flexisip/users.db.txt", type=tarfile.LNKTYPE, linkname=CONF),
        lambda a: entry(a, "files/etc/flexisip/users.db.txt", type=tarfile.FIFOTYPE),
        lambda a: entry(a, "files/etc/flexisip/users.db.txt", b"x", mode=0o4755),
        lambda a: entry(a, "files/etc/flexisip/users.db.txt", b"x", mode=0o666),
        lambda a: entry(a, CONF, b"[global]\nsecond=1\n"),
        lambda a: entry(a, DROP_IN, b"[Service]\nExecStartPre=/bin/touch /root/pwned\n"),
        lambda a: entry(a, LAB, b"flexisip_domain: \"{{ lookup('pipe', 'id') }}\"\n"),
        lambda a: entry(a, LAB, b"no: [yaml"),
        lambda a: entry(a, "lab/group_vars/flexisip/users.yml", b"other: 1\n"),
        lambda a: entry(a, "lab/.tls/ca.pem", b"no certificate"),
        lambda a: entry(a, "lab/.tls/ca.key", b"\xff"),
        lambda a: entry(a, "lab/.tls/192.0.2.7.key", b"x"),
    ],
)
def test_a_hostile_archive_is_refused_in_one_sentence(tmp_path: Path, edit: Edit) -> None:
    file = made(tmp_path, edit)
    with pytest.raises(RequestError) as refused:
        backup.read(file)
    assert "\n" not in str(refused.value)
    assert str(file) in str(refused.value)


@pytest.mark.parametrize(
    "manifest",
    [b"", b"saved x\n", b"saved 99999999999999999999\n", b"saved 1\npackage installed ../../x\n"],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, manifest: bytes) -> None:
    with pytest.raises(RequestError, match="not a backup"):
        backup.read(made(tmp_path, manifest=manifest))


def test_an_archive_that_swells_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_LARGEST", 1 << 20)
    users = "files/etc/flexisip/users.db.txt"
    with pytest.raises(RequestError, match="more than 1 MB"):
        backup.read(made(tmp_path, lambda a: entry(a, users, bytes(2 << 20))))


def test_an_archive_that_was_damaged_anywhere_is_refused_or_read_but_never_breaks(
    tmp_path: Path,
) -> None:
    file = made(tmp_path)
    whole = file.read_bytes()
    for place in range(0, len(whole), 3):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with contextlib.suppress(RequestError):
            # The first 20 bytes are the header of gzip: a time and a name, which change nothing.
            assert backup.read(file).sha256.keys() == {f"/{CONF[6:]}"}
            assert place < 20, "the checksum is not looked at"
        file.write_bytes(whole[:place])
        with pytest.raises(RequestError):
            backup.read(file)


def test_a_backup_of_another_machine_or_domain_is_refused_with_the_way_out(lab: Path) -> None:
    here = Host("192.0.2.7", "192.0.2.7")
    mine = inventory.read(lab)
    domain = mine.domain

    def kept(domain: str, *hosts: str) -> backup.Backup:
        return backup.Backup("then", "1", {}, {}, domain, hosts)

    def check(one: backup.Backup, of: Lab = mine) -> None:
        backup.check_is_of(one, Path("kept.tar.gz"), of, here)

    check(kept(domain, "192.0.2.7"))
    check(kept(""))
    for other in (kept(domain, "198.51.100.9"), kept("b.example.test", "192.0.2.7")):
        with pytest.raises(RequestError, match="--lab-only, then labtool deploy"):
            check(other)


def test_the_labs_own_issuer_comes_back_and_another_one_is_kept_beside_it(
    lab: Path, tmp_path: Path
) -> None:
    issuer.made(lab, "192.0.2.7", ("a.example.test",))
    tls = lab / ".tls"
    first = {name: (tls / name).read_text() for name in ("ca.pem", "ca.key")}
    archive = backup._with_lab(made(tmp_path).read_bytes(), inventory.read(lab))
    (tmp_path / "of-lab.tar.gz").write_bytes(archive)
    kept = backup.read(tmp_path / "of-lab.tar.gz")

    shutil.rmtree(tls)
    issuer.made(lab, "192.0.2.7", ("a.example.test",))
    second = (tls / "ca.pem").read_text()
    backup.write_lab(kept, inventory.read(lab))
    assert {name: (tls / name).read_text() for name in first} == first
    assert (tls / "ca-replaced.pem").read_text() == second
    for name in ("ca.key", "ca-replaced.key"):
        assert (tls / name).stat().st_mode & 0o777 == 0o600
    # The server's certificate is of the other issuer, so the next deployment has it made again, once.
    assert issuer.made(lab, "192.0.2.7", ("a.example.test",))
    assert not issuer.made(lab, "192.0.2.7", ("a.example.test",))

    shutil.rmtree(tls)
    backup.write_lab(kept, inventory.read(lab))
    assert {name: (tls / name).read_text() for name in first} == first
    assert tls.stat().st_mode & 0o777 == 0o700
    assert (tls / ".gitignore").exists()


def test_a_lab_that_has_lost_one_half_of_its_issuer_is_backed_up_without_it(
    lab: Path, tmp_path: Path
) -> None:
    issuer.made(lab, "192.0.2.7", ("a.example.test",))
    (lab / ".tls" / "ca.key").unlink()
    (tmp_path / "k").write_bytes(backup._with_lab(made(tmp_path).read_bytes(), inventory.read(lab)))
    assert not [name for name in backup.read(tmp_path / "k").lab if ".tls" in name]


def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("root:x:0:0")
    with pytest.raises(RequestError, match=r"it is no \.tar\.gz; labtool backup makes one"):
        backup.read(tmp_path / "notes.txt")
