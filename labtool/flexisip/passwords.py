"""Passwords that users.db.txt, a SIP digest and a telephone's keyboard can all hold.

A generated one is drawn with ``secrets`` from characters that nobody mistakes for another.
"""

from __future__ import annotations

import re
import secrets
from math import log2

from labtool.errors import RequestError
from labtool.flexisip.characters import name_of

# No 0 O o, 1 l I, 2 Z, 5 S, 8 B: they look alike on paper and on a telephone.
ALPHABET = "abcdefghijkmnpqrstuvwxyzACDEFGHJKLMNPQRTUVWXY34679"
BITS = 70
_SHORTEST = int(BITS / log2(len(ALPHABET))) + 1
_LONGEST = 128
# "password" in the grammar of users.db.txt.
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~:]+")


def generate(length: int = 14) -> str:
    """A random password of ``length`` characters, at least 70 bits: ValueError below 13."""
    if length < _SHORTEST:
        raise ValueError(f"a password of {length} characters has less than {BITS} bits")
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def check(password: str) -> str:
    """A password given by a person, as it is. Raises RequestError, whose text never shows it."""
    right = "use letters, digits and - . ! % * _ + ` ' ~ : or let labtool make one"
    if not password:
        raise RequestError(f"the password is empty; {right}")
    if len(password) > _LONGEST:
        raise RequestError(
            f"the password has {len(password)} characters; at most {_LONGEST} are sure to fit in "
            "every client"
        )
    match = _TOKEN.match(password)
    good = match.end() if match else 0
    if good < len(password):
        raise RequestError(
            f"the password has {name_of(password[good])} as its character {good + 1}, which "
            f"users.db.txt cannot hold; {right}"
        )
    return password
