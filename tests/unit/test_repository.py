"""The repository that offers bc-flexisip: where it is, its key, what stands against it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labtool import repository
from labtool.errors import LabtoolError
from labtool.repository import Repository
from labtool.state import FileState, HostState

BIONIC = HostState(
    id="ubuntu", version_id="18.04", codename="bionic", pretty_name="Ubuntu 18.04.6 LTS", uid="0"
)
KNOWN = {
    "ubuntu": "https://download.example.test/ubuntu",
    "debian": "https://download.example.test/debian",
    "ubuntu-18.04": "http://old.example.test/ubuntu",
}


# --- where it is ------------------------------------------------------------------------------


def test_the_repository_goes_by_distribution_and_version() -> None:
    assert repository.repository(BIONIC, KNOWN) == Repository(
        "http://old.example.test/ubuntu",
        "bionic",
        ("stable",),
        "http://old.example.test/ubuntu/pubkey.gpg",
    )
    noble = dataclasses.replace(BIONIC, version_id="24.04", codename="noble")
    assert repository.repository(noble, KNOWN).url == "https://download.example.test/ubuntu"


def test_what_the_lab_names_comes_first() -> None:
    found = repository.repository(
        BIONIC, KNOWN, "http://mirror.test/a/", "focal", ("main", "beta"), "http://keys.test/k"
    )
    assert found == Repository(
        "http://mirror.test/a", "focal", ("main", "beta"), "http://keys.test/k"
    )


# --- its key ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GnuPG folder with an Ed25519 key (with a subkey) and an RSA key."""
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not on this machine")
    folder = tmp_path_factory.mktemp("gpg")
    folder.chmod(0o700)
    for name, kind in (("one", "ed25519"), ("two", "rsa2048")):
        gpg(folder, "--quick-gen-key", name, kind, "sign", "never")
    gpg(folder, "--quick-add-key", fingerprints(folder, "one")[0], "cv25519", "encr", "never")
    return folder


def gpg(home: Path, *arguments: str) -> bytes:
    command = ["gpg", "--homedir", str(home), "--batch", "--passphrase", "", *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout


def fingerprints(home: Path, *names: str) -> list[str]:
    listed = gpg(home, "--list-keys", "--with-colons", *names).decode()
    return re.findall(r"^pub:.*\n(?:.*\n)*?fpr:+([0-9A-F]+):", listed, re.MULTILINE)


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_key_is_read_in_both_its_forms(home: Path, name: str) -> None:
    binary = gpg(home, "--export", name)
    armored = gpg(home, "--armor", "--export", name)
    assert repository.parse_key(binary) == repository.parse_key(armored)
    assert list(repository.parse_key(binary).fingerprints) == fingerprints(home, name)


def test_the_armor_that_is_written_is_what_gpg_reads(home: Path, tmp_path: Path) -> None:
    key = repository.parse_key(gpg(home, "--export", "one"))
    (tmp_path / "key.asc").write_text(key.armored)
    shown = gpg(home, "--show-keys", "--with-colons", str(tmp_path / "key.asc")).decode()
    assert key.fingerprint in shown
    assert gpg(home, "--dearmor", "-o", "-", str(tmp_path / "key.asc")) == gpg(
        home, "--export", "one"
    )


def test_a_file_with_two_keys_has_both_fingerprints(home: Path) -> None:
    both = sorted(fingerprints(home, "one", "two"))
    armored = gpg(home, "--armor", "--export", "one") + gpg(home, "--armor", "--export", "two")
    for data in (gpg(home, "--export", "one", "two"), armored):
        assert repository.parse_key(data).fingerprint == ",".join(both)


def test_headers_line_ends_and_words_around_the_armor_do_not_matter(home: Path) -> None:
    armored = gpg(home, "--armor", "--export", "one")
    key = repository.parse_key(armored)
    begin, _, rest = armored.partition(b"\n")
    for variant in (
        armored.replace(b"\n", b"\r\n"),
        b"Our key:\n" + armored + b"\nThank you.\n",
        begin + b"\nVersion: GnuPG v2\nComment: a: b\n" + rest,
    ):
        assert repository.parse_key(variant) == key


def test_a_damaged_or_shortened_key_is_refused(home: Path) -> None:
    binary = gpg(home, "--export", "one")
    armored = gpg(home, "--armor", "--export", "one")
    for damaged in (binary[:60], binary[:-1], armored.replace(b"\n=", b"!\n="), armored[:200]):
        with pytest.raises(LabtoolError):
            repository.parse_key(damaged)


PORTAL = b"<!DOCTYPE html><html><body>Please sign in to the hotel's network.</body></html>"


@pytest.mark.parametrize("data", [b"", PORTAL, b"\x00" * 50, "ключ".encode(), b"\x99\x00\x00"])
def test_what_is_no_key_is_refused(data: bytes) -> None:
    with pytest.raises(LabtoolError):
        repository.parse_key(data)


@given(st.binary())
@example(b"\xc6\xff\x00")
@example(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n\xff\n-----END PGP PUBLIC KEY BLOCK-----")
def test_any_bytes_are_a_key_or_refused(data: bytes) -> None:
    armor = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n%s\n-----END PGP PUBLIC KEY BLOCK-----\n"
    for one in (data, b"\xc6" + data, b"\x99" + data, armor % data):
        try:
            key = repository.parse_key(one)
        except LabtoolError:
            continue
        assert repository.parse_key(key.armored.encode()) == key


def packet(body: bytes, header: bytes) -> bytes:
    return header + body


def test_every_form_of_a_packets_length_is_read() -> None:
    body = b"\x04" + bytes(300)
    wanted = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest().upper()
    size = len(body)
    for header in (
        b"\x99" + size.to_bytes(2, "big"),
        b"\x9a" + size.to_bytes(4, "big"),
        b"\xc6" + bytes([192 + ((size - 192) >> 8), (size - 192) & 0xFF]),
        b"\xc6\xff" + size.to_bytes(4, "big"),
    ):
        assert repository.parse_key(packet(body, header)).fingerprint == wanted
    assert repository.parse_key(packet(b"\x04abc", b"\x98\x04")).fingerprints
    assert repository.parse_key(packet(b"\x04abc", b"\xc6\x04")).fingerprints


def test_a_key_of_a_later_version_has_a_longer_fingerprint_and_an_unknown_one_none() -> None:
    assert len(repository.parse_key(b"\xc6\x04\x06abc").fingerprint) == 64
    with pytest.raises(LabtoolError, match="of version 3"):
        repository.parse_key(b"\xc6\x04\x03abc")


# --- what it answered -------------------------------------------------------------------------

KEY = b"\xc6\x04\x04abc"
OTHER = b"\xc6\x04\x04xyz"
PRINT = repository.parse_key(KEY).fingerprint
HERE = repository.repository(BIONIC, KNOWN)


def said(*, key: bytes | None = KEY, suite: str = "suite yes", error: str = "") -> str:
    first = f"key {base64.b64encode(key).decode()}" if key is not None else error
    return f"{first}\r\n{suite}\r\n"


def problems(text: str, pinned: str = "", state: HostState = BIONIC) -> list[str]:
    return repository.problems(text, HERE, pinned, state)


def test_nothing_stands_against_a_repository_with_its_key_and_suite() -> None:
    assert problems(said()) == []
    assert problems(said(), PRINT) == []


def test_another_key_than_the_pinned_one_is_refused_with_both_fingerprints() -> None:
    (problem,) = problems(said(key=OTHER), PRINT)
    assert PRINT in problem
    assert repository.parse_key(OTHER).fingerprint in problem
    assert "lab.yml has" in problem


def test_another_key_than_the_hosts_is_refused_where_none_is_pinned() -> None:
    state = dataclasses.replace(BIONIC, key=base64.b64encode(OTHER).decode())
    (problem,) = problems(said(), state=state)
    assert "the host has" in problem
    assert problems(said(), state=dataclasses.replace(BIONIC, key="damaged!")) == []


E = "E: Failed to fetch http://old.example.test/ubuntu/dists/bionic/InRelease  {} E: Download Failed"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("404  Not Found [IP: 1.2.3.4 80]", "has no such suite (404 Not Found)"),
        (
            "Certificate verification failed: The certificate is NOT trusted.",
            "does not trust its certificate",
        ),
        (
            "Temporary failure resolving 'old.example.test'",
            "cannot be reached from the host: Temporary failure resolving 'old.example.test'. Check",
        ),
    ],
)
def test_a_repository_that_does_not_answer_is_one_sentence_with_its_cure(
    words: str, expected: str
) -> None:
    (problem,) = problems(said(suite=f"suite_error {E.format(words)}"))
    assert expected in problem
    assert "Ubuntu 18.04.6 LTS" in problem
    both = said(
        key=None, error=f"key_error {E.format(words)}", suite=f"suite_error {E.format(words)}"
    )
    assert len(problems(both)) == 1


def test_a_key_that_is_not_there_is_told_with_the_option_that_names_another() -> None:
    (problem,) = problems(said(key=None, error=f"key_error {E.format('404  Not Found')}"))
    assert "404  Not Found. Name another address by flexisip_repository_key_url" in problem


@pytest.mark.parametrize("text", ["suite yes", "key \nsuite yes", "key a\nsuite yes", "key !!!!\n"])
def test_an_answer_without_a_readable_key_is_a_problem(text: str) -> None:
    assert len(problems(text)) == 1


def test_a_page_of_a_hotels_network_is_no_key() -> None:
    (problem,) = problems(said(key=PORTAL))
    assert (
        problem == f"{HERE.key_url}: what the repository offers as its key is not an OpenPGP key."
    )


# --- what the host has already ----------------------------------------------------------------


def test_a_host_that_has_the_source_and_the_key_is_left_alone() -> None:
    text = "deb x\n"
    source = FileState(hashlib.sha256(text.encode()).hexdigest(), "644", "root:root")
    key = base64.b64encode(repository.parse_key(KEY).armored.encode()).decode()
    done = dataclasses.replace(BIONIC, files={"/s": source, "/k": source}, key=key)

    def differs(state: HostState, pinned: str = "") -> bool:
        return repository.differs(state, "/s", text, "/k", pinned)

    assert not differs(done)
    assert not differs(done, PRINT)
    assert differs(done, "0" * 40)
    assert differs(BIONIC)
    assert differs(dataclasses.replace(done, key=""))
    assert differs(dataclasses.replace(done, files={"/s": source}))
    assert differs(dataclasses.replace(done, files={"/s": FileState("0", "644", "root:root")}))
