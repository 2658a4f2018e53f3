"""labtool lint as a person runs it: both files, what is no file of Flexisip's, and what is odd."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labtool.cli.lint import _LARGEST
from labtool.cli.main import run

CONF = (
    "[module::Registrar]\nreg-domains=other.test\n"
    "[module::Authentication]\nenabled=true\nauth-domains=other.test\ncache-expire=5\n"
    "file-path=/etc/flexisip/users.db.txt\n"
)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    conf, users = tmp_path / "flexisip.conf", tmp_path / "users.db.txt"
    conf.write_text(CONF)
    users.write_text("version:1\nbob@other.test SHA256:00 ;\n")
    return str(conf), str(users)


def test_a_users_file_is_judged_by_the_configuration_that_is_given_with_it(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    conf, users = files
    assert run(["lint", users]) == 0
    assert "A server whose auth-domains has other.test does not start" in capsys.readouterr().out
    assert run(["lint", users, conf, "--json"]) == 1
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["starts"] for one in said] == [False, True]
    assert said[0]["refusal"]["text"] == "empty password list"


def test_a_copied_configuration_is_not_asked_for_the_servers_files_unless_told_so(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = tmp_path / "copied.conf"
    conf.write_text(CONF.replace("/etc/flexisip", str(tmp_path / "gone")))
    assert run(["lint", str(conf)]) == 0
    assert run(["lint", str(conf), "--here"]) == 1
    assert "failed to open file" in capsys.readouterr().out


def test_bytes_that_are_no_text_are_shown_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "flexisip.conf"
    file.write_bytes(b"[global]\n# caf\xe9\nd\xe9bug=\xe9\n")
    assert run(["lint", str(file), "--json"]) == 1
    printed = capsys.readouterr().out
    assert "d\ufffdbug" in json.loads(printed)["findings"][0]["message"]
    assert run(["lint", str(file), "--fix"]) == 1
    assert b"# caf\xe9\n# d\xe9bug=\xe9\n" in Path(f"{file}.fixed").read_bytes()


def test_a_file_too_large_to_be_flexisips_is_refused_before_it_is_in_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "users.db.txt"
    with file.open("wb") as stream:
        stream.truncate(_LARGEST + 1)
    assert run(["lint", str(file)]) == 2
    assert "is larger than 64 MB" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--conf", "--users"])
def test_a_binary_is_told_in_short_lines(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "binary"
    file.write_bytes(bytes(range(256)) * 40)
    assert run(["lint", option, str(file)]) in (0, 1)
    assert max(map(len, capsys.readouterr().out.splitlines())) < 330


def test_a_folder_and_a_file_that_is_not_there_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (tmp_path, tmp_path / "none"):
        assert run(["lint", str(name)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_fixed_file_is_judged_again_and_what_is_left_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.conf", tmp_path / "bad.conf"
    good.write_text(CONF + "available-algorithms=MD5 SHA-1\n")
    bad.write_text(CONF + "filter=nonsense\nmax-expires=-5\n")
    assert run(["lint", "--fix", str(good), str(bad)]) == 1
    printed = capsys.readouterr().out
    assert "good.conf.fixed: the corrected file; Flexisip" in printed
    assert "(1 error, 0 other findings)" in printed
    assert "bad.conf.fixed: written, but Flexisip" in printed
    assert "bad.conf.fixed:8: for a person to decide: filter has a value" in printed


def test_a_program_reads_whether_the_fixed_file_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "flexisip.conf"
    file.write_text(CONF + "available-algorithms=MD5 SHA-1\n")
    run(["lint", "--fix", "--json", str(file)])
    said = json.loads(capsys.readouterr().out)
    assert (said["starts"], said["fixed_starts"], said["fixed_findings"]) == (False, True, [])


def test_an_account_that_the_fixed_file_leaves_out_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "users.db.txt"
    file.write_text("version:1\nal ice@d.test clrtxt:x ;\nbob@d.test clrtxt:y;\n")
    assert run(["lint", "--fix", str(file)]) == 1
    printed = capsys.readouterr().out
    assert "users.db.txt.fixed: the corrected file; Flexisip" in printed
    assert "users.db.txt:2: left out, for a person to decide: The user name has a space" in printed
    assert "ice@d.test" not in Path(f"{file}.fixed").read_text()
