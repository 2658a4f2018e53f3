"""What is wrong with a users.db.txt, line by line, and each line put right.

Flexisip stops at the first line it cannot read and says only how many bytes came before it; here
every line is looked at, with the reason and the line that would be read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from labtool.flexisip.characters import name_of
from labtool.flexisip.findings import Finding, Refusal, Severity
from labtool.flexisip.releases import LATEST
from labtool.flexisip.users import (
    ALGORITHMS,
    UserEntry,
    ha1,
    is_line,
    is_served,
    line_of,
    parse,
    scan,
)

_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~:]+")
_HEX_DIGITS = (("md5", 32), ("sha256", 64))
_VERSION = re.compile(r"\s*version\s*[:=]?\s*\d*\s*", re.IGNORECASE)
_HEX = re.compile(r"[0-9A-Fa-f]+")
_IDENTITY = re.compile(r"(\S+)[ \t]+")
_WORD = re.compile(r"(?P<kind>clrtxt|md5|sha-?256)\s*[:=]\s*(?P<value>\S+)", re.IGNORECASE)
# A file with a fault on every line is told so in as many findings as a person reads.
MOST_FINDINGS = 1000
# A correction may show what stood behind the first mistake of its line.
_ROUNDS = 4


def examine(
    data: bytes,
    release: str = LATEST,
    *,
    path: str = "users.db.txt",
    auth_domains: Collection[str] | None = None,
) -> tuple[Refusal | None, list[Finding]]:
    """The refusal, if it is one, and every finding by line; both as ``users.parse`` judges."""
    judged = parse(data, release, path=path, auth_domains=auth_domains)
    if not isinstance(judged, Refusal):
        found = list(_doubtful(judged, ()))
        return None, sorted(found, key=_line)[:MOST_FINDINGS]
    found = list(_head(data, judged))
    entries: list[UserEntry] = []
    for line, thing in scan(data, release):
        if isinstance(thing, UserEntry):
            entries.append(thing)
        elif thing is not None and len(found) < MOST_FINDINGS:
            found.append(_bad_line(line, thing, judged))
    if not found:
        # All lines are read, and then an account has no password that counts.
        served = [entry for entry in entries if is_served(entry.domain, auth_domains)]
        found += _without_password(served, judged)
    found += _doubtful(entries, {finding.line for finding in found})
    return judged, sorted(found, key=_line)[:MOST_FINDINGS]


def _line(finding: Finding) -> int:
    return finding.line or 0


def fixed(data: bytes, release: str = LATEST) -> str:
    """The file with every line that can be put right put right, and the others made comments.

    What could only be guessed is not: such an account is left out, and a comment says so.
    """
    for _ in range(_ROUNDS):
        corrected = _corrected(data, release).encode("utf-8", "surrogateescape")
        if corrected == data:
            break
        data = corrected
    return data.decode("utf-8", "surrogateescape")


def _corrected(data: bytes, release: str) -> str:
    corrections = {f.line: f.fix for f in examine(data, release)[1] if f.fix is not None}
    text = data.decode("utf-8", "surrogateescape").lstrip("\ufeff")
    lines = [line.rstrip("\r") for line in text.split("\n")]
    if lines[-1] == "":
        lines.pop()
    result = ["version:1"]
    for number, line in enumerate(lines, 1):
        if _VERSION.fullmatch(line):
            continue
        if corrections.get(number) != "version:1":
            # That one stands above already, and this line is no version line.
            line = corrections.get(number, line)
        if line and not is_line(line + "\n", release):
            line = _left_out(line, number)
        if line or number not in corrections:
            result.append(line)
    return "\n".join(result) + "\n"


def _left_out(line: str, number: int) -> str:
    match = re.match(r"[A-Za-z0-9\-.!%*_+`'~:]+@[A-Za-z0-9.-]+", line.strip())
    who = f", the account {match.group()}," if match else ""
    return f"# labtool left out what was line {number}{who} because Flexisip cannot read it"


def _head(data: bytes, said: Refusal | None) -> Iterator[Finding]:
    """The version line, and what stands before it."""
    if said is None or said.line not in (None, 1):
        return
    text = said.text
    if not data:
        yield Finding(
            1, Severity.REFUSES, "The file is empty: write the line version:1.", text, "version:1"
        )
        return
    first = data.split(b"\n", 1)[0].decode("utf-8", "replace")
    if data.startswith(b"\xef\xbb\xbf"):
        why = "The file begins with a byte-order mark; save it as plain UTF-8 without one."
        yield Finding(1, Severity.REFUSES, why, text, "version:1")
    elif "\n" not in data.decode("utf-8", "replace"):
        if first.strip().lower() == "version:1":
            why = "The version line has no line break behind it."
        else:
            why = "The first line must be version:1, followed by a line break."
        yield Finding(1, Severity.REFUSES, why, text, "version:1")
    elif re.fullmatch(r"version:\d\r?", first, re.IGNORECASE):
        why = "Only version:1 exists."
        yield Finding(1, Severity.REFUSES, why, text, "version:1")
    else:
        why = (
            "The first line must be version:1 and nothing else: no comment, blank line or space "
            "before it or in it."
        )
        if not _VERSION.fullmatch(first) and is_line(first.rstrip("\r") + "\n"):
            why += " Write it above this line."
        yield Finding(1, Severity.REFUSES, why, text, "version:1")


def _bad_line(line: int, raw: bytes, said: Refusal | None) -> Finding:
    text = said.text if said is not None and said.line == line else ""
    why, fix = diagnose(raw.decode("utf-8", "surrogateescape"))
    return Finding(line, Severity.REFUSES, why, text, fix)


def diagnose(raw: str) -> tuple[str, str | None]:
    """Why a line is not read, in a sentence that shows no password, and the line put right.

    None where only a person can decide; the corrected line stores a hash where the grammar cannot
    hold the password itself.
    """
    line = raw.rstrip("\n").rstrip("\r")
    if line.strip(" \t").startswith("#"):
        return _diagnose_comment(line)
    if "\n" not in raw and is_line(line + "\n"):
        return "The last line has no line break behind it.", line
    stripped = line.strip(" \t\ufeff")
    if is_line(stripped + "\n"):
        if line.startswith("\ufeff"):
            return "There is a byte-order mark before the account.", stripped
        return "A line must not begin with white space.", stripped
    meant = _meant(stripped)
    if meant is not None and (why_not := _has_space(stripped)):
        return why_not, None
    if meant is None:
        return (
            "This is no account; one looks like: user@domain clrtxt:password ; (with a space "
            "before the semicolon).",
            None,
        )
    identity, words, tail = meant
    why_not = _bad_identity(identity)
    if why_not:
        return why_not, None
    return _diagnose_passwords(identity, words, tail)


def _meant(line: str) -> tuple[str, str, str | None] | None:
    """Identity, passwords and what stands behind the last semicolon, as a person may have meant it."""
    match = _IDENTITY.match(line)
    if match is None:
        return None
    words, semicolon, tail = line[match.end() :].rpartition(";")
    if not semicolon:
        return match.group(1), tail.rstrip(" \t"), None
    return match.group(1), words.rstrip(" \t"), tail


def _diagnose_comment(line: str) -> tuple[str, str | None]:
    clean = line.strip(" \t")
    fix = "".join(
        {"(": "[", ")": "]", "\\": "/"}.get(c, c if c == "\t" or c.isprintable() else " ")
        for c in clean
    )
    usable: str | None = fix if is_line(fix + "\n") else None
    if fix == clean:
        return "A comment must begin in the first column and end with a line break.", usable
    return "A comment must not hold ( ) \\ or control characters, not even here.", usable


def _has_space(line: str) -> str:
    """Whether white space cuts the account's own name: what was meant by it only a person knows."""
    first = _WORD.search(line)
    before = line[: first.start()] if first else line.rpartition(";")[0]
    words = before.split()
    at = next((number for number, word in enumerate(words) if "@" in word), None)
    if at:
        return f"The user name has {name_of(line[len(words[0])])} as its character {len(words[0]) + 1}."
    if first and len(words) > 1:
        return (
            "Between the account and its password stands something that is neither; a name or a "
            "domain cannot have a space."
        )
    return ""


def _bad_identity(identity: str) -> str:
    user, at, domain = identity.rpartition("@")
    for what, part in (("user name", user), ("domain", domain)):
        match = _TOKEN.match(part)
        good = match.end() if match else 0
        if good < len(part):
            return (
                f"The {what} has {name_of(part[good])} as its character {good + 1}; names are made "
                "of letters, digits and - . ! * _ + ' ~."
            )
    if at and (not user or not domain):
        return "The account is written user@domain; a part of it is missing."
    return ""


def _diagnose_passwords(identity: str, words: str, tail: str | None) -> tuple[str, str | None]:
    user, _, domain = identity.rpartition("@")
    found = list(_WORD.finditer(words))
    rest = _WORD.sub("", words).strip()
    if not found and words and not re.search(r"\s", words) and ":" not in words:
        why = "The password lacks its kind: clrtxt:, md5: or sha256: before it."
        return why, _rewritten(user, domain, [("clrtxt", words)], tail)
    if not found:
        kinds = "the kinds are clrtxt:, md5: and sha256:"
        return f"There is no password that Flexisip knows; {kinds}, in lower case.", None
    pairs = [(m.group("kind").lower().replace("-", ""), m.group("value")) for m in found]
    if rest:
        if len(pairs) == 1 and pairs[0][0] == "clrtxt" and ":" not in rest:
            password = words.split(":", 1)[1]
            why = "The password has a space in it, which users.db.txt cannot hold; its hash it can."
            return why, _rewritten(user, domain, [("clrtxt", password)], tail)
        return "There is a word among the passwords that is none: clrtxt:, md5: or sha256:.", None
    bad = _bad_value(pairs)
    if bad:
        return bad, _rewritten(user, domain, pairs, tail)
    fix = _rewritten(user, domain, pairs, tail)
    if tail is None:
        return "The line must end with a space and a semicolon.", fix
    if any(m.group("kind").lower() == "sha-256" for m in found):
        return "The kind is written sha256: here, without a hyphen.", fix
    if "=" in words:
        return "A colon, not an equals sign, stands between the kind and the password.", fix
    if "#" in tail:
        return "A comment cannot stand behind an account; it needs a line of its own.", fix
    if len(tail.split()) > 2:
        return "At most two words may follow the semicolon: the digest user name and a phone.", fix
    for word in tail.split():
        if not _TOKEN.fullmatch(word):
            return "Behind the semicolon stands something that is no name.", fix
    return "White space must stand before the semicolon.", fix


def _bad_value(pairs: list[tuple[str, str]]) -> str:
    for kind, value in pairs:
        match = _TOKEN.match(value)
        good = match.end() if match else 0
        if good < len(value):
            cure = "; its hash it can" if kind == "clrtxt" else ""
            return (
                f"The {'password' if kind == 'clrtxt' else kind + ' hash'} has "
                f"{name_of(value[good])} in it, which users.db.txt cannot hold{cure}."
            )
    return ""


def _rewritten(
    user: str, domain: str, pairs: list[tuple[str, str]], tail: str | None
) -> str | None:
    """The account as a line that is read, a password that it cannot hold replaced by its hashes."""
    passwords: dict[str, str] = {}
    for kind, value in pairs:
        if _TOKEN.fullmatch(value):
            passwords[kind] = value
        elif kind == "clrtxt" and user and _is_unicode(value):
            for digest in ("md5", "sha256"):
                passwords[digest] = ha1(user, domain, value, digest)
        else:
            return None
    after = [word for word in (tail or "").partition("#")[0].split() if _TOKEN.fullmatch(word)]
    user_id, phone = [*after, "", ""][:2]
    entry = UserEntry(user, domain, passwords, user_id, phone)
    line = line_of(entry).rstrip("\n")
    return line if is_line(line + "\n") else None


def _is_unicode(text: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in text)


def _without_password(entries: list[UserEntry], said: Refusal) -> Iterator[Finding]:
    for entry in entries:
        if entry.passwords.keys().isdisjoint(ALGORITHMS):
            lower = {kind.lower(): value for kind, value in entry.passwords.items()}
            fix = line_of(UserEntry(entry.name, entry.domain, lower, entry.user_id, entry.phone))
            why = "The kinds clrtxt:, md5: and sha256: count in lower case only."
            text = said.text if said.line == entry.line else ""
            yield Finding(entry.line, Severity.REFUSES, why, text, fix.rstrip("\n"))


def _doubtful(entries: list[UserEntry], told: Collection[int | None]) -> Iterator[Finding]:
    """What is read, and yet does not do what was meant."""
    last: dict[str, int] = {}
    clear: list[int] = []
    for entry in entries:
        place = f"{entry.name}@{entry.domain} {entry.user_id}"
        if place in last:
            why = f"The account stands again in line {entry.line}; that one counts."
            yield Finding(last[place], Severity.IGNORED, why, "", "")
        last[place] = entry.line
        if "clrtxt" in entry.passwords:
            clear.append(entry.line)
        yield from _never_signs_in(entry)
        ignored = [kind for kind in entry.passwords if kind not in ALGORITHMS]
        if ignored and entry.line not in told:
            yield _in_upper_case(entry, ignored)
    if clear:
        count = "1 account keeps" if len(clear) == 1 else f"{len(clear)} accounts keep"
        why = f"{count} the password in clear text; md5: and sha256: hashes serve every client."
        yield Finding(clear[0], Severity.ADVICE, why)


def _in_upper_case(entry: UserEntry, ignored: list[str]) -> Finding:
    if len(ignored) < len(entry.passwords):
        why = f"{ignored[0]}: is in upper case, and is ignored."
        return Finding(entry.line, Severity.IGNORED, why)
    why = (
        "The kinds clrtxt:, md5: and sha256: count in lower case only. A server whose auth-domains has "
        f"{entry.domain} does not start on this line; another one skips it."
    )
    lower = {kind.lower(): value for kind, value in entry.passwords.items()}
    right = UserEntry(entry.name, entry.domain, lower, entry.user_id, entry.phone)
    return Finding(entry.line, Severity.BROKEN, why, "", line_of(right).rstrip("\n"))


def _never_signs_in(entry: UserEntry) -> Iterator[Finding]:
    broken = Severity.BROKEN
    if not entry.name:
        yield Finding(entry.line, broken, "A domain without a user: nobody can sign in with it.")
    elif "%" in entry.name or ":" in entry.name:
        mark = "a percent sign" if "%" in entry.name else "a colon"
        yield Finding(entry.line, broken, f"A user name with {mark} is read, but never signs in.")
    if not entry.domain.islower() and entry.domain != entry.domain.lower():
        why = "To Flexisip this domain is another one than the same in lower case."
        yield Finding(entry.line, broken, why)
    if entry.user_id and entry.user_id != entry.name:
        why = (
            "The word behind the semicolon is the digest user name: the account signs in under "
            "that one only, and with a clear-text password not at all. Leave it out."
        )
        plain = UserEntry(entry.name, entry.domain, entry.passwords)
        yield Finding(entry.line, broken, why, "", line_of(plain).rstrip("\n"))
    for kind, length in _HEX_DIGITS:
        value = entry.passwords.get(kind)
        if value is not None and not (len(value) == length and _HEX.fullmatch(value)):
            why = f"A {kind} hash has {length} hex digits; this one never matches a password."
            yield Finding(entry.line, broken, why)
