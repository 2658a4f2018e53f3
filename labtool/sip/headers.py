"""The headers of a message: ordered, found regardless of case and of compact form."""

from __future__ import annotations

from labtool.sip.errors import SipError
from labtool.sip.grammar import is_token, split_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# RFC 3261 section 7.3.3 and IANA's registry of SIP header fields.
COMPACT = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
_LISTS = """
    Accept Accept-Contact Accept-Encoding Accept-Language Alert-Info Allow Allow-Events Call-Info
    Contact Content-Encoding Content-Language Diversion Error-Info History-Info In-Reply-To
    P-Asserted-Identity P-Associated-URI P-Preferred-Identity Path Proxy-Require Reason
    Record-Route Reject-Contact Request-Disposition Require Route Security-Client Security-Server
    Security-Verify Service-Route Supported Unsupported Via Warning"""
_SINGLE = """
    Authentication-Info Call-ID Content-Disposition Content-Length Content-Type CSeq Date Event
    Expires From Max-Forwards MIME-Version Min-Expires Min-SE Organization Priority RAck Refer-To
    Referred-By Replaces Reply-To Retry-After RSeq Server Session-Expires SIP-ETag SIP-If-Match
    Subject Subscription-State Timestamp To User-Agent"""
_OTHERS = """
    Authorization Feature-Caps Flow-Timer Geolocation Identity Identity-Info Proxy-Authenticate
    Proxy-Authorization WWW-Authenticate"""
# Headers whose grammar is a comma-separated list: several values may share a line.
LISTS = frozenset(_LISTS.split())
# Headers of which a message holds one at most.
SINGLE = frozenset(_SINGLE.split())

_CANONICAL: dict[str, str] = {}
for _name in (*LISTS, *SINGLE, *_OTHERS.split()):
    _CANONICAL[_name] = _CANONICAL[_name.lower()] = _CANONICAL[_name.upper()] = _name
for _short, _name in COMPACT.items():
    _CANONICAL[_short] = _CANONICAL[_short.upper()] = _name


def canonical(name: str) -> str:
    """The full name in its usual case; a name that is not known stays as it is written."""
    known = _CANONICAL.get(name)
    if known is None:
        name = name.strip()
        known = _CANONICAL.get(name.lower(), name)
    return known


class Headers:
    """Lines of (name, value) in their order.

    Values are unfolded and stripped. What is *added* is checked: a name must be a token, and
    neither may hold CR, LF or NUL (SipError), so that no text can become another header.
    """

    __slots__ = ("_lines",)

    def __init__(self, lines: Iterable[tuple[str, str]] = ()) -> None:
        self._lines: list[tuple[str, str]] = [_checked(name, value) for name, value in lines]

    @classmethod
    def _of(cls, lines: list[tuple[str, str]]) -> Headers:
        """What the parser has split: names canonical already, values free of line ends."""
        headers = cls.__new__(cls)
        headers._lines = lines
        return headers

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of that name."""
        known = _CANONICAL.get(name)
        if known is None:
            values = self._raw(name)
            return _first(canonical(name), values[0]) if values else default
        for line in self._lines:
            if line[0] == known:
                value = line[1]
                return _first(known, value) if "," in value else value
        return default

    def all(self, name: str) -> list[str]:
        """Every value of that name, top-level commas split where its grammar makes it a list."""
        values = self._raw(name)
        if canonical(name) not in LISTS:
            return values
        out: list[str] = []
        for value in values:
            if "," in value:
                out += split_list(value)
            elif value:
                out.append(value)
        return out

    def lines(self, name: str) -> list[str]:
        """Every line's value of that name, unsplit."""
        return self._raw(name)

    def add(self, name: str, value: str) -> None:
        """Append a line."""
        self._lines.append(_checked(name, value))

    def insert(self, name: str, value: str) -> None:
        """Put a line before the first of its name, or before all others."""
        line = _checked(name, value)
        self._lines.insert(max(self._index(line[0]), 0), line)

    def set(self, name: str, value: str) -> None:
        """The one line of that name, at the place of the first there was."""
        line = _checked(name, value)
        at = self._index(line[0])
        if at < 0:
            self._lines.append(line)
            return
        self._lines[at] = line
        key = line[0].lower()
        self._lines[at + 1 :] = [x for x in self._lines[at + 1 :] if x[0].lower() != key]

    def remove(self, name: str) -> None:
        """Take every line of that name away."""
        known = _CANONICAL.get(name)
        if known is not None:
            self._lines = [line for line in self._lines if line[0] != known]
            return
        key = canonical(name).lower()
        self._lines = [line for line in self._lines if line[0].lower() != key]

    def remove_first(self, name: str) -> str | None:
        """Take the first value of that name away and return it; its line may hold others."""
        name = canonical(name)
        at = self._index(name)
        if at < 0:
            return None
        name, value = self._lines[at]
        if name in LISTS:
            values = split_list(value)
            if len(values) > 1:
                self._lines[at] = (name, ", ".join(values[1:]))
                return values[0]
        del self._lines[at]
        return value

    def replace_first(self, name: str, value: str) -> None:
        """Another first value of that name, at its place; put before all lines where there is none.
        Other values on its line stay."""
        line = _checked(name, value)
        at = self._index(line[0])
        if at < 0:
            self._lines.insert(0, line)
            return
        old = self._lines[at][1]
        others = split_list(old)[1:] if "," in old and line[0] in LISTS else []
        self._lines[at : at + 1] = [line, (line[0], ", ".join(others))] if others else [line]

    def items(self) -> Iterable[tuple[str, str]]:
        """The lines as they are printed."""
        return tuple(self._lines)

    def copy(self) -> Headers:
        """Another one with the same lines."""
        return Headers._of(self._lines.copy())

    def _raw(self, name: str) -> list[str]:
        known = _CANONICAL.get(name)
        if known is not None:
            return [line[1] for line in self._lines if line[0] == known]
        key = canonical(name).lower()
        return [line[1] for line in self._lines if line[0].lower() == key]

    def _index(self, name: str) -> int:
        known = _CANONICAL.get(name)
        if known is not None:
            for at, line in enumerate(self._lines):
                if line[0] == known:
                    return at
            return -1
        key = canonical(name).lower()
        for at, line in enumerate(self._lines):
            if line[0].lower() == key:
                return at
        return -1

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._index(name) >= 0

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(tuple(self._lines))

    def __len__(self) -> int:
        return len(self._lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._lines == other._lines

    __hash__ = None  # type: ignore[assignment]  # it is mutable

    def __repr__(self) -> str:
        return f"Headers({self._lines!r})"


def _first(name: str, value: str) -> str:
    if name not in LISTS:
        return value
    values = split_list(value)
    return values[0] if values else ""


def _checked(name: str, value: str) -> tuple[str, str]:
    if not is_token(name):
        raise SipError(f"not a header's name: {name!r}")
    if "\r" in value or "\n" in value or "\0" in value:
        raise SipError(f"CR, LF or NUL in the value of {name}: {value[:80]!r}")
    return canonical(name), value.strip(" \t")
