"""The apt repository that offers bc-flexisip: where it is, its key, what it answered."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from labtool.errors import LabtoolError
from labtool.state import HostState


@dataclass(frozen=True)
class Repository:
    url: str
    suite: str
    components: tuple[str, ...]
    key_url: str


@dataclass(frozen=True)
class Key:
    """An OpenPGP key file: the fingerprints of its primary keys, and the file in ASCII armor."""

    fingerprints: tuple[str, ...]
    armored: str

    @property
    def fingerprint(self) -> str:
        """All fingerprints as lab.yml records them."""
        return ",".join(self.fingerprints)


def repository(
    state: HostState,
    by_distribution: Mapping[str, str],
    url: str = "",
    suite: str = "",
    components: tuple[str, ...] = ("stable",),
    key_url: str = "",
) -> Repository:
    """The repository for a host: what the lab names, else what its distribution has."""
    chosen = url or by_distribution.get(state.distribution) or by_distribution.get(state.id, "")
    chosen = chosen.rstrip("/")
    return Repository(
        url=chosen,
        suite=suite or state.codename,
        components=tuple(components),
        key_url=key_url or f"{chosen}/pubkey.gpg",
    )


def parse_key(data: bytes) -> Key:
    """Read an OpenPGP key, binary or armored (RFC 9580 sections 4.2, 5.5.4, 6).

    Raises LabtoolError where it is none, as a captive portal's page is not.
    """
    binary = _dearmor(data) if b"-----BEGIN PGP PUBLIC KEY BLOCK-----" in data else data
    prints = tuple(sorted(_fingerprint(body) for tag, body in _packets(binary) if tag == 6))
    if not prints:
        raise LabtoolError("what the repository offers as its key is not an OpenPGP key")
    return Key(prints, _armor(binary))


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The packets of a key file: (tag, body)."""
    at = 0
    while at < len(data):
        header = data[at]
        if not header & 0x80:
            raise LabtoolError("what the repository offers as its key is not an OpenPGP key")
        try:
            if header & 0x40:
                tag, at, length = header & 0x3F, *_new_length(data, at + 1)
            else:
                tag, octets = (header >> 2) & 0x0F, 1 << (header & 0x03)
                if octets == 8:
                    raise LabtoolError("the repository's key has a packet of unknown length")
                length = int.from_bytes(data[at + 1 : at + 1 + octets], "big")
                at += 1 + octets
        except IndexError:
            raise LabtoolError("the repository's key is cut short") from None
        body = data[at : at + length]
        if len(body) != length:
            raise LabtoolError("the repository's key is cut short")
        yield tag, body
        at += length


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    """(where the body begins, its length), RFC 9580 section 4.2.1."""
    first = data[at]
    if first < 192:
        return at + 1, first
    if first < 224:
        return at + 2, ((first - 192) << 8) + data[at + 1] + 192
    if first == 255:
        return at + 5, int.from_bytes(data[at + 1 : at + 5], "big")
    raise LabtoolError("the repository's key has a packet of unknown length")


def _fingerprint(body: bytes) -> str:
    version = body[0] if body else 0
    if version == 4:
        framed = b"\x99" + len(body).to_bytes(2, "big") + body
        return hashlib.sha1(framed, usedforsecurity=False).hexdigest().upper()
    if version in (5, 6):
        framed = bytes([0x95 + version]) + len(body).to_bytes(4, "big") + body
        return hashlib.sha256(framed).hexdigest().upper()
    raise LabtoolError(f"the repository's key is of version {version}, which is not known here")


def _dearmor(data: bytes) -> bytes:
    blocks = re.findall(
        rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(.*?)-----END PGP PUBLIC KEY BLOCK-----",
        data,
        re.DOTALL,
    )
    binary = b""
    for block in blocks:
        body = re.split(rb"\r?\n[ \t]*\r?\n", b"\n" + block, maxsplit=1)[-1]
        lines = [line for line in body.split() if not line.startswith(b"=")]
        try:
            binary += base64.b64decode(b"".join(lines), validate=True)
        except binascii.Error as error:
            raise LabtoolError("the repository's key is damaged") from error
    return binary


def _armor(binary: bytes) -> str:
    """ASCII armor: the form that apt 1.4 and later read under one file name, whatever was offered."""
    crc = 0xB704CE
    for byte in binary:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    text = base64.b64encode(binary).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    check = base64.b64encode(crc.to_bytes(3, "big")).decode()
    begin = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
    end = "-----END PGP PUBLIC KEY BLOCK-----"
    return "\n".join([begin, "", *lines, f"={check}", end, ""])


def answer(text: str) -> dict[str, str]:
    """What ask.sh printed: key or key_error, suite or suite_error."""
    pairs = (line.strip().partition(" ") for line in text.splitlines())
    return {key: value for key, _, value in pairs if key}


def key_of(text: str) -> Key:
    """The key in what ask.sh printed. Raises LabtoolError where there is none."""
    try:
        return parse_key(base64.b64decode(answer(text).get("key", "")))
    except binascii.Error as error:
        raise LabtoolError("the repository's key arrived damaged") from error


def installed_key(state: HostState) -> Key | None:
    """The key that the host has, or None where it has none that can be read."""
    try:
        return parse_key(base64.b64decode(state.key)) if state.key else None
    except (LabtoolError, binascii.Error):
        return None


def problems(text: str, repository: Repository, pinned: str, state: HostState) -> list[str]:
    """What stands against the repository, a sentence each; empty when nothing does."""
    said = answer(text)
    found: list[str] = []
    if "suite_error" in said:
        found.append(_suite_problem(_reason(said["suite_error"]), repository, state))
    if "key_error" in said:
        reason = _reason(said["key_error"])
        # One sentence is enough where the whole repository cannot be reached.
        if not found or reason != _reason(said["suite_error"]):
            found.append(
                f"The repository's key cannot be fetched from {repository.key_url}: {reason}. "
                "Name another address by flexisip_repository_key_url in lab.yml."
            )
    elif "key" not in said:
        found.append("The host did not answer the question for the repository's key.")
    else:
        try:
            key = key_of(text)
        except LabtoolError as error:
            found.append(f"{repository.key_url}: {error}.")
        else:
            known = pinned or getattr(installed_key(state), "fingerprint", "")
            if known and key.fingerprint != known:
                found.append(
                    f"The repository's key is another one: {key.fingerprint}, but "
                    f"{'lab.yml' if pinned else 'the host'} has {known}. Nothing was changed. If its "
                    "owner has announced a new key, put that fingerprint into "
                    "flexisip_repository_key_fingerprint in lab.yml."
                )
    return found


def _reason(said: str) -> str:
    """The reason in apt's words, without the addresses around it."""
    failed = re.search(r"E: Failed to fetch \S+\s+(.*?)\s*(?:E: |$)", said)
    return (failed.group(1) if failed else said).strip().rstrip(".")


def _suite_problem(error: str, repository: Repository, state: HostState) -> str:
    where = f"{repository.url} for {repository.suite} ({state.pretty_name})"
    if "404" in error:
        return (
            f"The repository {where} has no such suite (404 Not Found): it does not serve this "
            "distribution, or does no longer. Name a mirror with --repo-url, or install a package at "
            "hand with --deb FILE."
        )
    if "certificate" in error.lower():
        return (
            f"The repository {where} cannot be asked, because the host does not trust its "
            f"certificate: {error}. Install ca-certificates on the host and set its clock."
        )
    return (
        f"The repository {where} cannot be reached from the host: {error}. Check the host's name "
        "resolution and its way out, or name a mirror with --repo-url."
    )


def differs(state: HostState, source: str, text: str, keyring: str, pinned: str) -> bool:
    """Whether the host's source list or key is another than the lab wants."""
    from labtool.state import differs as file_differs

    key = installed_key(state)
    return (
        file_differs(state, source, text, "644")
        or keyring not in state.files
        or key is None
        or bool(pinned and key.fingerprint != pinned)
    )
