"""TLS read with the secrets that one of its ends logged (SSLKEYLOGFILE, RFC 9850).

TLS 1.2 (RFC 5246, 5288, 7905) and 1.3 (RFC 8446) with AES-GCM or ChaCha20-Poly1305, which is what
phones and servers agree on today. What a log has no secret for stays encrypted.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labtool.trace.errors import CaptureError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

_CCS, _HANDSHAKE, _DATA = 20, 22, 23
_CLIENT_HELLO, _SERVER_HELLO, _FINISHED, _KEY_UPDATE = 1, 2, 20, 24
_SUPPORTED_VERSIONS = 43
_TAG = 16
_MAX_GAP = 64  # records that the capture may have lost before one is given up
_MAX_HANDSHAKE = 1 << 17

#: Cipher suite: key bytes, hash, whether it is ChaCha20-Poly1305 (the TLS parameters of IANA).
_SUITES = {
    **dict.fromkeys((0x009C, 0x009E, 0xC02B, 0xC02F, 0x1301), (16, "sha256", False)),
    **dict.fromkeys((0x009D, 0x009F, 0xC02C, 0xC030, 0x1302), (32, "sha384", False)),
    **dict.fromkeys((0xCCA8, 0xCCA9, 0xCCAA, 0x1303), (32, "sha256", True)),
}
_LABELS = (
    "CLIENT_RANDOM",
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
)


class KeyLog:
    """The secrets of a log: by label and the random of the ClientHello."""

    def __init__(self, text: str) -> None:
        self._secrets: dict[tuple[str, bytes], bytes] = {}
        for line in text.splitlines():
            words = line.split()
            if len(words) == 3 and words[0] in _LABELS:
                try:
                    random, secret = map(bytes.fromhex, words[1:])
                except ValueError:
                    continue
                self._secrets[words[0], random] = secret

    def __len__(self) -> int:
        return len(self._secrets)

    def secret(self, label: str, random: bytes) -> bytes | None:
        """What the log has for it."""
        return self._secrets.get((label, random))

    @classmethod
    def read(cls, path: str | Path) -> KeyLog:
        """Raises CaptureError for a file that cannot be read or holds no secret."""
        try:
            found = cls(Path(path).read_text(encoding="ascii", errors="replace"))
        except OSError as error:
            raise CaptureError(f"The key log {path} cannot be read: {error.strerror}.") from error
        if not found:
            raise CaptureError(
                f"{path} holds no TLS secret; a key log has lines such as CLIENT_RANDOM ... ..."
            )
        return found


@dataclass
class _Half:
    """One direction, once it is encrypted. The IV of TLS 1.2's AES-GCM has 4 bytes, else 12."""

    cipher: AESGCM | ChaCha20Poly1305
    iv: bytes
    secret: bytes = b""  #: of TLS 1.3, for a later key update
    number: int = 0  #: of the next record


class Session:
    """One TLS connection: records of both directions in, application data out."""

    def __init__(self, keys: KeyLog) -> None:
        self._keys = keys
        self._begin(0, b"")

    def _begin(self, client: int, random: bytes) -> None:
        """Forget what was before: a new connection on the same ports begins so too."""
        self._client = client  #: the side that sent the ClientHello
        self._random = random
        self._server_random = b""
        self._suite: tuple[int, str, bool] | None = None
        self._is_13 = False
        self._halves: dict[int, _Half] = {}
        self._handshake = {0: b"", 1: b""}  #: of each side, as far as it is not whole yet

    def open(self, side: int, record: bytes) -> bytes:
        """The application data in a whole record that came from `side` (0 or 1)."""
        kind, half = record[0], self._halves.get(side)
        if half is not None and (not self._is_13 or kind == _DATA):
            return (
                self._opened_13(side, half, record) if self._is_13 else self._opened(half, record)
            )
        if kind == _HANDSHAKE:
            self._read_handshake(side, record[5:])
        elif kind == _CCS and not self._is_13:
            self._switch_to_keys(side)
        return b""

    # --- handshake ---------------------------------------------------------------------------

    def _read_handshake(self, side: int, data: bytes) -> list[int]:
        """The types of the whole messages in `data` and what came before it."""
        data = self._handshake[side] + data
        types = []
        while len(data) >= 4 and len(data) >= 4 + (size := int.from_bytes(data[1:4], "big")):
            kind, body, data = data[0], data[4 : 4 + size], data[4 + size :]
            types.append(kind)
            if kind == _CLIENT_HELLO and len(body) >= 34:
                self._begin(side, body[2:34])
            elif kind == _SERVER_HELLO and len(body) >= 38 and not self._halves:
                self._server_hello(side, body)
        self._handshake[side] = data if len(data) < _MAX_HANDSHAKE else b""
        return types

    def _server_hello(self, side: int, body: bytes) -> None:
        if side == self._client:
            return
        self._server_random = body[2:34]
        at = 35 + body[34]
        self._suite = _SUITES.get(int.from_bytes(body[at : at + 2], "big"))
        at += 5  # the suite, the compression, and the length of the extensions
        while at + 4 <= len(body):
            kind, size = struct.unpack_from(">HH", body, at)
            if kind == _SUPPORTED_VERSIONS and body[at + 4 : at + 6] == b"\x03\x04":
                self._is_13 = True
            at += 4 + size
        if self._is_13:
            for one in (0, 1):
                self._take_secret(one, "HANDSHAKE_TRAFFIC_SECRET")

    # --- TLS 1.2 -----------------------------------------------------------------------------

    def _switch_to_keys(self, side: int) -> None:
        """ChangeCipherSpec: what this side sends from now on is encrypted (RFC 5246 6.3)."""
        master = self._keys.secret("CLIENT_RANDOM", self._random)
        if master is None or self._suite is None:
            return
        size, digest, chacha = self._suite
        iv = 12 if chacha else 4
        seed = b"key expansion" + self._server_random + self._random
        block = _expanded(master, seed, 2 * (size + iv), digest)
        mine = 0 if side == self._client else 1
        key = block[mine * size : (mine + 1) * size]
        start = 2 * size + mine * iv
        self._halves[side] = _Half(_cipher(key, chacha), block[start : start + iv])

    def _opened(self, half: _Half, record: bytes) -> bytes:
        kind, body = record[0], record[5:]
        explicit = b"" if len(half.iv) == 12 else body[:8]
        body = body[len(explicit) :]
        length = struct.pack(">H", max(len(body) - _TAG, 0))
        for number in range(half.number, half.number + _MAX_GAP):
            count = struct.pack(">Q", number)
            nonce = half.iv + explicit if explicit else _mixed(half.iv, number)
            plain = _decrypted(half, nonce, body, count + record[:3] + length)
            if plain is not None:
                half.number = number + 1
                return plain if kind == _DATA else b""
        return b""

    # --- TLS 1.3 -----------------------------------------------------------------------------

    def _take_secret(self, side: int, label: str) -> None:
        who = "CLIENT" if side == self._client else "SERVER"
        secret = self._keys.secret(f"{who}_{label}", self._random)
        if secret is None or self._suite is None:
            self._halves.pop(side, None)
        else:
            self._halves[side] = self._half_13(secret, self._suite)

    def _half_13(self, secret: bytes, suite: tuple[int, str, bool]) -> _Half:
        """RFC 8446 section 7.3."""
        size, digest, chacha = suite
        key = _labelled(secret, b"key", size, digest)
        return _Half(_cipher(key, chacha), _labelled(secret, b"iv", 12, digest), secret)

    def _opened_13(self, side: int, half: _Half, record: bytes) -> bytes:
        for number in range(half.number, half.number + _MAX_GAP):
            plain = _decrypted(half, _mixed(half.iv, number), record[5:], record[:5])
            if plain is not None:
                break
        else:
            return b""
        half.number = number + 1
        plain = plain.rstrip(b"\0")  # padding; the last byte before it is the type
        kind, plain = plain[-1:], plain[:-1]
        if kind == bytes((_DATA,)):
            return plain
        if kind == bytes((_HANDSHAKE,)):
            for message in self._read_handshake(side, plain):
                if message == _FINISHED:
                    self._take_secret(side, "TRAFFIC_SECRET_0")
                elif message == _KEY_UPDATE and self._suite is not None:
                    digest = self._suite[1]
                    size = hashlib.new(digest).digest_size
                    secret = _labelled(half.secret, b"traffic upd", size, digest)
                    self._halves[side] = self._half_13(secret, self._suite)
        return b""


def _expanded(secret: bytes, seed: bytes, size: int, digest: str) -> bytes:
    """P_hash of RFC 5246 section 5."""
    found, a = b"", seed
    while len(found) < size:
        a = hmac.digest(secret, a, digest)
        found += hmac.digest(secret, a + seed, digest)
    return found[:size]


def _labelled(secret: bytes, label: bytes, size: int, digest: str) -> bytes:
    """HKDF-Expand-Label of RFC 8446 section 7.1, with an empty context."""
    label = b"tls13 " + label
    info = struct.pack(">HB", size, len(label)) + label + b"\0"
    # One block is enough for any key, IV or secret.
    return hmac.digest(secret, info + b"\x01", digest)[:size]


def _cipher(key: bytes, chacha: bool) -> AESGCM | ChaCha20Poly1305:
    from cryptography.hazmat.primitives.ciphers import aead

    return aead.ChaCha20Poly1305(key) if chacha else aead.AESGCM(key)


def _mixed(iv: bytes, number: int) -> bytes:
    """The nonce of a record: the IV, exclusive-or its number (RFC 8446 section 5.3)."""
    return (int.from_bytes(iv, "big") ^ number).to_bytes(len(iv), "big")


def _decrypted(half: _Half, nonce: bytes, body: bytes, extra: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag

    if len(body) < _TAG:
        return None
    try:
        return half.cipher.decrypt(nonce, body, extra)
    except InvalidTag:
        return None
