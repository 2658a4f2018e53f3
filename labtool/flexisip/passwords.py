"""Passwords that a SIP digest and a telephone's keyboard can hold; users.db.txt holds their hashes.

A generated one is drawn with ``secrets`` from characters that nobody mistakes for another.
"""

from __future__ import annotations

import secrets
from math import log2

from labtool.errors import RequestError
from labtool.flexisip.characters import name_of

# No 0 O o, 1 l I, 2 Z, 5 S, 8 B: they look alike on paper and on a telephone.
ALPHABET = "abcdefghijkmnpqrstuvwxyzACDEFGHJKLMNPQRTUVWXY34679"
BITS = 70
_SHORTEST = int(BITS / log2(len(ALPHABET))) + 1
_LONGEST = 128


def generate(length: int = 14) -> str:
    """A random password of ``length`` characters, at least 70 bits: ValueError below 13."""
    if length < _SHORTEST:
        raise ValueError(f"a password of {length} characters has less than {BITS} bits")
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def check(password: str) -> str:
    """A password given by a person, of which hashes are kept: as it is.

    Any character that can be seen, and the space between two of them: a digest is of its UTF-8
    (RFC 7616, 4). Raises RequestError, whose text never shows it.
    """
    right = "give another, or let labtool make one"
    if not password:
        raise RequestError(f"the password is empty; {right}")
    if len(password) > _LONGEST:
        raise RequestError(
            f"the password has {len(password)} characters; at most {_LONGEST} are sure to fit in "
            "every client"
        )
    for place, character in enumerate(password, 1):
        if character != " " and not character.isprintable():
            raise RequestError(
                f"the password has {name_of(character)} as its character {place}, which nobody can "
                f"type into every phone; {right}"
            )
    if password != password.strip():
        raise RequestError(
            f"the password begins or ends with a space, which phones take off; {right}"
        )
    return password
