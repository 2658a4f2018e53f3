"""The reader of flexisip.conf against a plain retelling of Flexisip's, byte by byte, on any bytes.

Source of the retelling: what the reader does with a buffer of fgets(), strchr(), and sscanf("%s"),
read in the sources of 2.3 and 2.5.
"""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from labtool.flexisip import conffile
from labtool.flexisip.conffile import decode

SPACE = b" \t\n\v\f\r"
PIECES = [b"[", b"]", b"=", b" ", b"\t", b"\n", b"\r", b"\r\n", b"#", b";", b"\0", b"\xef\xbb\xbf"]
PIECES += [b"global", b"GLOBAL", b"module::Registrar", b"enabled", b"true", b"a", b"\\", b"\xe9"]
PIECES += [b"[global]\n", b"\nenabled=true\n", b"x" * 1000, b"\v", b"\f"]


def fgets(data: bytes, size: int) -> list[bytes]:
    """What each call would return: at most size - 1 bytes, to a line break."""
    got = []
    while data:
        end = data.find(b"\n")
        length = min(size - 1, len(data) if end < 0 else end + 1)
        got.append(data[:length])
        data = data[length:]
    return got


def word(text: bytes) -> bytes:
    """sscanf("%s"): the first run of what is no white space."""
    text = text.lstrip(SPACE)
    for at, byte in enumerate(text):
        if byte in SPACE:
            return text[:at]
    return text


def told(data: bytes, size: int) -> list[tuple[bytes, bytes, bytes]]:
    """Section, key and value of each item, in order; the section by the name that it had first."""
    items = []
    section = b""
    first: dict[bytes, bytes] = {}
    for buffer in fgets(data, size):
        text = buffer.split(b"\0")[0]
        if text.lstrip(b" ").startswith(b"#"):
            continue
        if text.lstrip(b" ").startswith(b"["):
            name, closed, _ = text.lstrip(b" ")[1:].partition(b"]")
            if closed and word(name):
                section = first.setdefault(word(name).lower(), word(name))
            continue
        left, equals, value = text.partition(b"=")
        if not equals or not word(left):
            continue
        if value.endswith(b"\n"):
            value = value[:-1]
            if not value:
                continue
            # The pointer starts at the last byte and never passes the first.
            while len(value) > 1 and value.endswith(b" "):
                value = value[:-1]
        if section:
            items.append((section, word(left), value.lstrip(b" ")))
    return items


@given(
    st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join),
    st.sampled_from([("2.3.4", 2048), ("2.5.2", 20480)]),
)
@example(b"[global]\naliases=" + b"x" * 5000 + b"=y\n", ("2.3.4", 2048))
@example(b"[global]\naliases=" + b"x" * 2030 + b"\n", ("2.3.4", 2048))
@example(b"[global]\naliases=" + b"x" * 2038 + b"\nb=c", ("2.3.4", 2048))
def test_any_bytes_are_read_as_flexisip_reads_them(data: bytes, release: tuple[str, int]) -> None:
    name, size = release
    read = [(one.section, one.key, one.value) for one in conffile.read(data, name).items]
    assert read == [tuple(map(decode, item)) for item in told(data, size)]
