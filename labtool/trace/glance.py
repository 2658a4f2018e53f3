"""The few values by which a SIP message finds its place, read at a glance.

An analysis files every message by these six values and reads on only where it matters. Headers in
their usual spelling are sliced out here; whatever else there is, `labtool.sip` reads. Both give the
same (a property of the tests).
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import NamedTuple

from labtool.sip.errors import ParseError
from labtool.sip.grammar import TOKEN
from labtool.sip.headers import COMPACT
from labtool.sip.message import Response, parse

_REQUEST = re.compile(rb"([A-Za-z0-9.!%*_+`'~-]+) +[^\r\n]* SIP/2\.0\r?\n")
_QUOTED = re.compile(r'"[^"\\]*"[ \t]*\Z')
_tags: dict[str, str | None] = {}
_MAX_TAGS = 2_000
_CSEQ = re.compile(r"(\d+)[ \t]+(\S+)")


class Glance(NamedTuple):
    """`status` is 0 for a request; `branch` and the tags are "" where there are none."""

    method: str  # of the request, or of the CSeq that a response answers
    status: int
    call_id: str
    cseq: int
    branch: str
    from_tag: str
    to_tag: str


def is_sip(data: bytes) -> bool:
    """Whether these bytes begin with a SIP start line."""
    return data[:8] == b"SIP/2.0 " or _REQUEST.match(data, 0, 4096) is not None


def glance(data: bytes) -> Glance | None:
    """The values of the message that `data` begins with; None where it cannot be filed at all."""
    head = _unfolded(data)
    return (_sliced(head) if head else None) or _parsed(data)


def lines(data: bytes, name: str) -> list[str]:
    """The value of each line of that header, without all others being read. Raises ParseError."""
    head = _unfolded(data)
    if head and head.count("\r\n") == head.count("\n") == head.count("\r"):
        return [value.strip(" \t") for value in _line(name).findall(head)]
    return parse(data).headers.lines(name)


def _unfolded(data: bytes) -> str:
    """The start line and headers; "" where one goes on in the next line, or they do not end."""
    end = data.find(b"\r\n\r\n")
    if end > 0 and data.find(b"\r\n ", 0, end) < 0 and data.find(b"\r\n\t", 0, end) < 0:
        return data[: end + 2].decode("utf-8", "surrogateescape")
    return ""


@lru_cache
def _line(name: str) -> re.Pattern[str]:
    names = [re.escape(name), *(short for short, full in COMPACT.items() if full == name)]
    return re.compile(rf"\n(?:{'|'.join(names)})[ \t]*:([^\r]*)", re.IGNORECASE)


def _sliced(head: str) -> Glance | None:
    """None where a header is not spelt as usual."""
    values = []
    for name in ("\nCSeq: ", "\nCall-ID: ", "\nVia: ", "\nFrom: ", "\nTo: "):
        at = head.find(name)
        if at < 0:
            return None
        at += len(name)
        values.append(head[at : head.find("\r\n", at)].strip())
    number, _, method = values[0].partition(" ")
    if not number.isdecimal() or not number.isascii() or len(number) > 10:
        return None
    status = 0
    if head[:8] == "SIP/2.0 ":
        code = head[8:11]
        if not (code.isdecimal() and code.isascii() and head[11:12] in (" ", "\r")):
            return None
        status = int(code)
    else:
        method = head[: head.find(" ")]
    method = method.strip()
    via, _, _ = values[2].partition(",")
    if '"' in via or "<" in via:
        return None
    tags = [_tags[value] if value in _tags else _tag(value) for value in values[3:]]
    branch = _param(via, ";branch=")
    if branch is None or None in tags:
        return None
    # Every message of a call has the first, and every one of a transaction the second.
    call_id, branch = sys.intern(values[1]), sys.intern(branch)
    return Glance(
        sys.intern(method), status, call_id, int(number), branch, tags[0] or "", tags[1] or ""
    )


def _tag(value: str) -> str | None:
    """The tag in a From or To; "" for none, None where the value has to be parsed to know it."""
    start, end = value.find("<"), value.find(">")
    found: str | None = None
    if '"' in value and not _QUOTED.match(value[:start]):
        pass
    elif start < end and value.count("<") == value.count(">") == 1:
        found = _param(value[end + 1 :], ";tag=")  # what is within the brackets is the URI's
    elif start == end:  # neither
        found = _param(value, ";tag=")
    # All messages of a dialog have the same From and To.
    if len(_tags) > _MAX_TAGS:
        _tags.clear()
    _tags[value] = found
    return found


def _param(value: str, name: str) -> str | None:
    """ "" where the parameter is absent, None where it may be there in another spelling."""
    at = value.find(name)
    if at < 0:
        return None if name[1:-1] in value.lower() else ""
    at += len(name)
    end = value.find(";", at)
    found = value[at:] if end < 0 else value[at:end]
    return found if found and not found.strip(TOKEN) else None


def _parsed(data: bytes) -> Glance | None:
    try:
        message = parse(data)
    except ParseError:
        return None
    headers = message.headers
    number, method = 0, ""
    if match := _CSEQ.match(headers.get("CSeq") or ""):
        number, method = min(int(match[1][:12]), 0xFFFFFFFF), match[2]
    status = 0
    if isinstance(message, Response):
        status = message.status
    else:
        method = message.method
    try:
        branch = message.via.branch or ""
    except ParseError:
        branch = ""
    tags = []
    for name in ("from_", "to"):
        try:
            tags.append(getattr(message, name).tag or "")
        except ParseError:
            tags.append("")
    return Glance(method, status, headers.get("Call-ID") or "", number, branch, tags[0], tags[1])
