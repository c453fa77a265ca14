"""The text of a service account's token: recognisable, checkable without the store, never stored.

`subs_` + 43 characters (256 random bits) + 6 characters (CRC-32, IEEE 802.3, of those 43), all in base 62, so that
secret scanners can find leaked ones by pattern and checksum.
"""

from __future__ import annotations

import hashlib
import zlib

from subscription_services.kernel.clock import Random

PREFIX = "subs_"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_BODY = 43
_CHECK = 6
LENGTH = len(PREFIX) + _BODY + _CHECK
PATTERN = rf"{PREFIX}[0-9A-Za-z]{{{_BODY + _CHECK}}}"


def new_token(random: Random) -> str:
    """A fresh token with 256 bits of randomness."""
    body = _base62(int.from_bytes(random(32), "big"), _BODY)
    return PREFIX + body + _checksum(body)


def well_formed(text: str) -> bool:
    """Whether prefix, alphabet, length and checksum are right; what is not never reaches the store."""
    if len(text) != LENGTH or not text.startswith(PREFIX):
        return False
    rest = text[len(PREFIX) :]
    return all(letter in _VALUES for letter in rest) and rest[_BODY:] == _checksum(rest[:_BODY])


def digest(text: str) -> bytes:
    """SHA-256, which is all that the store holds. 256 random bits need no slower function."""
    return hashlib.sha256(text.encode()).digest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), _CHECK)


def _base62(value: int, width: int) -> str:
    digits = []
    for _ in range(width):
        value, rest = divmod(value, 62)
        digits.append(_DIGITS[rest])
    return "".join(reversed(digits))
