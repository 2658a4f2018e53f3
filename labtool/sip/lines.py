"""Where the lines of a message end when it does not say so plainly: folding, odd line ends."""

from __future__ import annotations


def unfold(text: str) -> str:
    """Each line end that is followed by blanks becomes one space (section 7.3.1)."""
    start, *rows = text.split("\r\n")
    lines: list[list[str]] = []
    for row in rows:
        if row[:1] in (" ", "\t") and lines:
            lines[-1].append(row.strip(" \t"))
        else:
            lines.append([row.rstrip(" \t")])
    return "\r\n".join((start, *map(" ".join, lines)))


def irregular_end(data: bytes, end: int) -> tuple[bytes, bytes, list[str]]:
    """The head and body of a message whose lines do not all end in CRLF, or that lacks the empty
    line. The first empty line under any line end is where the headers end.
    """
    ends = [at for at in (end,) if at >= 0]
    size = 4
    for mark in (b"\n\n", b"\n\r\n", b"\r\r"):
        at = data.find(mark)
        if at >= 0 and (not ends or at < ends[0]):
            ends, size = [at], len(mark)
    if ends:
        return data[: ends[0]], data[ends[0] + size :], []
    # The datagram's end also ends the headers, if their last line is whole.
    if data[-2:] == b"\r\n":
        return data[:-2], b"", []
    return data, b"", ["the headers are cut off"]
