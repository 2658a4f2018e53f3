"""users.db.txt: its grammar, read as Flexisip reads it and printed as Flexisip accepts it.

Source: share/authdb-file-grammar.txt of Flexisip (a grammar of RFC 5234, whose strings know no
case) and its file authentication backend; agrees with every recording of 2.3.4 and 2.5.2.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from labtool.flexisip.findings import Refusal
from labtool.flexisip.releases import LATEST, Version, version

# The order in which the server reads them, and in which we print them.
ALGORITHMS = ("clrtxt", "md5", "sha256")

_TOKEN = rb"[A-Za-z0-9\-.!%*_+`'~:]+"
_ILF = rb"\r?\n"
# LWS = [*WSP CRLF] 1*WSP folds a comment over CRLF; non-ASCII must be well-formed UTF-8. One white
# space at a time, for a run of them could be cut up in any way and would take for ever.
_CTEXT = (
    rb"(?:[\x21-\x27\x2a-\x5b\x5d-\x7e]|[\xc0-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}"
    rb"|[\xf0-\xf7][\x80-\xbf]{3}|[\xf8-\xfb][\x80-\xbf]{4}|[\xfc-\xfd][\x80-\xbf]{5}"
    rb"|[ \t]|\r\n(?=[ \t]))*"
)
_VERSION_LINE = re.compile(rb"version:(\d)" + _ILF, re.IGNORECASE)
_COMMENT = rb"#" + _CTEXT + _ILF
_AUTH = (
    rb"(?:(%(t)s)@)?(%(t)s)[ \t]+((?:(?:clrtxt|md5|sha256):%(t)s[ \t]+)+);[ \t]*"
    rb"(?:(%(t)s)(?:[ \t]+(%(t)s))?[ \t]*)?\r?\n" % {b"t": _TOKEN}
)
_AUTH_LINE = re.compile(_AUTH)
_ITEM = re.compile(rb"(?:" + _AUTH + rb"|" + _COMMENT + rb"|[ \t]*\r?\n)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class UserEntry:
    """One account. ``name`` is "" for an entry that is a domain alone (since 2.1).

    passwords: by algorithm as written (``clrtxt``, ``md5``, ``sha256``), in the file's order; the
    hashes are HA1 in hex, H(name:domain:password) (RFC 7616, 3.4.2). ``user_id`` is the digest
    user name where it differs from ``name``; ``line`` counts from 1, 0 if it comes from no file.
    """

    name: str
    domain: str
    passwords: Mapping[str, str]
    user_id: str = ""
    phone: str = ""
    line: int = 0

    def __repr__(self) -> str:
        kinds = ", ".join(self.passwords)
        return f"UserEntry({self.name}@{self.domain}, {kinds}, line {self.line})"


def parse(
    content: str | bytes,
    release: str = LATEST,
    *,
    path: str = "users.db.txt",
    auth_domains: Collection[str] | None = None,
) -> list[UserEntry] | Refusal:
    """The accounts of a users file, or the refusal that this release would answer it with.

    ``auth_domains`` matters for one thing: an entry whose algorithms are all in upper case kills
    the server only if its domain is served. None, where they are not known, stands for the names
    that begin with ``sip.``. Duplicates are kept; in the server the last one wins.
    """
    entries: list[UserEntry] = []
    said = _judge(content, release, path, auth_domains, entries.append)
    return entries if said is None else said


def refusal(
    content: str | bytes,
    release: str = LATEST,
    *,
    path: str = "users.db.txt",
    auth_domains: Collection[str] | None = None,
) -> Refusal | None:
    """As ``parse``, where nobody wants the accounts: they are not kept in memory."""
    return _judge(content, release, path, auth_domains, lambda _entry: None)


def _judge(
    content: str | bytes,
    release: str,
    path: str,
    auth_domains: Collection[str] | None,
    keep: Callable[[UserEntry], object],
) -> Refusal | None:
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    since = version(release)
    if not data and since >= (2, 4, 0):
        return Refusal(f"failed to read from file '{path}'", _failure(since))
    head = _VERSION_LINE.match(data)
    if head is None:
        return Refusal("Failed to parse authdb file.", _failure(since), 1)
    empty: list[UserEntry] = []
    position, line = head.end(), 2
    for step in _items(data, position, since):
        if step[0] is not None:
            keep(step[0])
            if step[0].passwords.keys().isdisjoint(ALGORITHMS):
                empty.append(step[0])
        _, line, position = step
    if position < len(data):
        stop = "." if since < (2, 4, 0) else ""
        text = f"Parsing of Authdb file ended prematurely at char {position}{stop}"
        return Refusal(text, _failure(since), line)
    number = head.group(1).decode()
    if number != "1":
        text = f"Version '{number}' is not supported for file {path}"
        return Refusal(text, _failure(since), 1)
    for entry in empty:
        if is_served(entry.domain, auth_domains):
            return Refusal("empty password list", -6 if since < (2, 4, 0) else 1, entry.line)
    return None


def is_served(domain: str, auth_domains: Collection[str] | None) -> bool:
    """Whether accounts of a domain are taken up at all, which flexisip.conf says.

    A users file alone cannot tell (None). A server serves few domains, mostly one that is called
    sip.SOMETHING; an account of another one is skipped with a warning, whatever it holds.
    """
    if auth_domains is None:
        return domain.startswith("sip.")
    return "*" in auth_domains or domain in auth_domains


def scan(content: bytes, release: str = LATEST) -> Iterator[tuple[int, UserEntry | bytes | None]]:
    """Every line after the first, past those that are not read: (line, account or bad line).

    None stands for a comment or a blank line. For telling all that is wrong, where ``parse`` tells
    what the server would.
    """
    since = version(release)
    head = _VERSION_LINE.match(content)
    position, line = (head.end(), 2) if head else _next_line(content, 0, 1)
    if head is None and position and _is_account(content[:position]):
        position, line = 0, 1
    while position < len(content):
        for step in _items(content, position, since, line):
            yield line, step[0]
            _, line, position = step
        if position < len(content):
            end, after = _next_line(content, position, line)
            yield line, content[position:end]
            position, line = end, after


def is_line(text: str, release: str = LATEST) -> bool:
    """Whether a line, given with its newline, is read: an account, a comment or a blank line."""
    data = text.encode("utf-8", "surrogateescape")
    match = _ITEM.fullmatch(data)
    return match is not None and not (
        match.group(1) is None and match.group(2) is not None and version(release) < (2, 1, 0)
    )


def _is_account(line: bytes) -> bool:
    return _AUTH_LINE.fullmatch(line) is not None


def _next_line(data: bytes, position: int, line: int) -> tuple[int, int]:
    end = data.find(b"\n", position)
    return (len(data), line) if end < 0 else (end + 1, line + 1)


def _items(
    data: bytes, position: int, since: Version, line: int = 2
) -> Iterator[tuple[UserEntry | None, int, int]]:
    """What is read from ``position`` on: (account or None, the line and the place behind it)."""
    match_item = _ITEM.match
    while (match := match_item(data, position)) is not None:
        name, domain, passwords, user_id, phone = match.groups()
        entry = None
        if domain is not None:
            if name is None and since < (2, 1, 0):
                return
            entry = UserEntry(
                (name or b"").decode(),
                # Interned, because a large file writes the same domain a hundred thousand times.
                sys.intern(domain.decode()),
                _by_algorithm(passwords.decode()),
                (user_id or b"").decode(),
                (phone or b"").decode(),
                line,
            )
            line += 1
        else:
            # A comment may be folded over several lines.
            line += data.count(b"\n", position, match.end())
        position = match.end()
        yield entry, line, position


def _by_algorithm(words: str) -> dict[str, str]:
    pairs = (word.split(":", 1) for word in words.split())
    return {sys.intern(kind): value for kind, value in pairs}


def _failure(since: Version) -> int:
    """How it exits: to 2.3 a fatal log line ends it with -1, from 2.4 an exception with 1."""
    return 255 if since < (2, 4, 0) else 1


def ha1(name: str, domain: str, password: str, algorithm: str) -> str:
    """H(name:domain:password) in lower-case hex, for ``md5`` or ``sha256`` (RFC 7616, 3.4.2)."""
    # MD5 is what the protocol and half of the clients speak; it guards nothing else here.
    return hashlib.new(algorithm, f"{name}:{domain}:{password}".encode()).hexdigest()


def hashed(name: str, domain: str, password: str) -> UserEntry:
    """An account kept as two hashes and no password: it logs in with MD5 or with SHA-256."""
    hashes = {kind: ha1(name, domain, password, kind) for kind in ("md5", "sha256")}
    return UserEntry(name, domain, hashes)


def render(entries: Iterable[UserEntry]) -> str:
    """The file that holds these entries: LF only, a final newline, nothing but what is accepted.

    Raises ValueError for an entry that the grammar cannot hold; the text names no password.
    """
    lines = ["version:1\n"]
    accepts = _AUTH_LINE.fullmatch
    for entry in entries:
        line = line_of(entry)
        if accepts(line.encode("utf-8", "surrogateescape")) is None or not entry.passwords:
            raise ValueError(f"users.db.txt cannot hold the entry of {entry.name}@{entry.domain}")
        lines.append(line)
    return "".join(lines)


def line_of(entry: UserEntry) -> str:
    """An entry as its line, with its newline; not checked."""
    identity = f"{entry.name}@{entry.domain}" if entry.name else entry.domain
    words = "".join(f" {kind}:{value}" for kind, value in entry.passwords.items())
    tail = f" {entry.user_id}" if entry.user_id else ""
    tail += f" {entry.phone}" if entry.phone and entry.user_id else ""
    return f"{identity}{words} ;{tail}\n"
