"""Via (RFC 3261 section 20.42, rport of RFC 3581)."""

from __future__ import annotations

from labtool.sip.errors import ParseError
from labtool.sip.grammar import parse_params, print_hostport, print_params, split_hostport
from labtool.sip.value import Value, assign, remembering

MAGIC_COOKIE = "z9hG4bK"


class Via(Value):
    """`SIP/2.0/transport host:port;params`: `transport` in upper case, `host` without brackets."""

    __slots__ = ("host", "params", "port", "transport", "version")
    transport: str
    host: str
    port: int | None
    params: dict[str, str | None]
    version: str

    def __init__(
        self,
        transport: str,
        host: str,
        port: int | None = None,
        params: dict[str, str | None] | None = None,
        version: str = "SIP/2.0",
    ) -> None:
        assign(self, "transport", transport)
        assign(self, "host", host)
        assign(self, "port", port)
        assign(self, "params", {} if params is None else params)
        assign(self, "version", version)

    @classmethod
    def parse(cls, text: str) -> Via:
        """One value of a Via header; ParseError otherwise.

        One with a line end or NUL in it could not be written into an answer, so it is none.
        """
        return _parse(text)

    def __str__(self) -> str:
        place = print_hostport(self.host, self.port)
        text = f"{self.version}/{self.transport} {place}"
        return text + print_params(self.params) if self.params else text

    @property
    def branch(self) -> str | None:
        """The transaction's identifier; None as RFC 2543 had it."""
        return self.params.get("branch")

    @property
    def received(self) -> str | None:
        """The source address that the next hop saw, without brackets."""
        value = self.params.get("received")
        return None if value is None else value.strip("[]")

    @property
    def rport(self) -> int | None:
        """The source port that the next hop saw; None where it is absent or only asked for."""
        value = self.params.get("rport")
        if value is None or len(value) > 5 or not (value.isascii() and value.isdigit()):
            return None
        return int(value)

    @property
    def wants_rport(self) -> bool:
        """Whether the sender asks for its source port (`;rport`)."""
        return "rport" in self.params

    def with_param(self, name: str, value: str | None) -> Via:
        """The same with one parameter set (`value` None: a parameter without a value)."""
        params = {**self.params, name.lower(): value}
        return Via(self.transport, self.host, self.port, params, self.version)


@remembering(256)
def _parse(text: str) -> Via:
    if "\0" in text or "\r" in text or "\n" in text:
        raise ParseError(f"a control character in a Via: {text[:80]!r}")
    head, semicolon, tail = text.partition(";")
    words = head.split()
    if len(words) == 2 and words[0][:8] == "SIP/2.0/":
        version, transport, sent_by = "SIP/2.0", words[0][8:], words[1]
    else:  # spaces are allowed around every slash and colon: "SIP / 2.0 / UDP first.example"
        parts = head.split("/", 2)
        words = parts[2].split(None, 1) if len(parts) == 3 else []
        if len(words) != 2:
            raise ParseError(f"not a Via: {text[:80]!r}")
        version = f"{parts[0].strip()}/{parts[1].strip()}"
        transport, sent_by = words[0], "".join(words[1].split())
    host, port = split_hostport(sent_by)
    params = parse_params(tail) if semicolon else None
    return Via(transport.upper(), host, port, params, version)
