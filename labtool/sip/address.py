"""Name-addr and addr-spec: From, To, Contact, Route, Record-Route (RFC 3261 section 20.10)."""

from __future__ import annotations

from labtool.sip.errors import ParseError
from labtool.sip.grammar import end_of_quoted, parse_params, print_params, quote, unquote
from labtool.sip.uri import OtherUri, SipUri, parse_uri
from labtool.sip.value import Value, assign, remembering


class NameAddr(Value):
    """`"display" <uri>;params`.

    `display` is unquoted, "" where there is none. `params` has its names in lower case and raw
    values (a quoted one keeps its quotes), None for a parameter without one.
    """

    __slots__ = ("display", "params", "uri")
    display: str
    uri: SipUri | OtherUri
    params: dict[str, str | None]

    def __init__(
        self,
        display: str,
        uri: SipUri | OtherUri,
        params: dict[str, str | None] | None = None,
    ) -> None:
        assign(self, "display", display)
        assign(self, "uri", uri)
        assign(self, "params", {} if params is None else params)

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        """One value of such a header. ParseError otherwise; also for the `*` of a Contact."""
        return _parse(text)

    def __str__(self) -> str:
        text = f"<{self.uri}>"
        if self.display:
            # A peer may send an escaped NUL; no header that is built may hold one.
            text = f"{quote(self.display.replace(chr(0), ''))} {text}"
        return text + print_params(self.params) if self.params else text

    @property
    def tag(self) -> str | None:
        """The tag parameter of From and To."""
        return self.params.get("tag")

    def with_param(self, name: str, value: str | None) -> NameAddr:
        """The same with one parameter set (`value` None: a parameter without a value)."""
        return NameAddr(self.display, self.uri, {**self.params, name.lower(): value})


@remembering(4096)
def _parse(text: str) -> NameAddr:
    text = text.strip()
    display = ""
    start = text.find("<")
    if text[:1] == '"':
        end = end_of_quoted(text)
        if end < 0:
            raise ParseError(f"a quoted display name is not closed: {text[:80]!r}")
        display = unquote(text[:end])
        start = text.find("<", end)
        if start < 0 or text[end:start].strip():
            raise ParseError(f"no <URI> after the display name: {text[:80]!r}")
    elif start > 0:
        if '"' in text[:start]:
            start = -1  # the '<' stands in a quoted parameter: there are no brackets
        else:
            display = text[:start].rstrip()
    if start < 0:
        # Without brackets, what follows a semicolon belongs to the header (section 20).
        spec, semicolon, tail = text.partition(";")
        return NameAddr("", parse_uri(spec), parse_params(tail) if semicolon else None)
    end = text.find(">", start)
    if end < 0:
        raise ParseError(f"no '>' after '<': {text[:80]!r}")
    uri = parse_uri(text[start + 1 : end])
    tail = text[end + 1 :].lstrip()
    if not tail:
        return NameAddr(display, uri)
    if tail[0] != ";":
        raise ParseError(f"something follows '>': {text[:80]!r}")
    return NameAddr(display, uri, parse_params(tail[1:]))
