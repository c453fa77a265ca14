"""The text of secrets that programs carry: recognisable, checkable without the store, never stored.

A prefix that names product and kind, 43 characters (256 random bits) and 6 characters (CRC-32, IEEE 802.3, of
everything before them), both in base 62: secret scanners find leaked ones by pattern and checksum, and what was damaged
while copying is refused before anything is looked up.
"""

from __future__ import annotations

import zlib

from .clock import Random

PRODUCT = "subs_"
"""How every such secret of ours begins."""
SERVICE_ACCOUNT = "subs_sa_"
PROGRAM_SESSION = "subs_ps_"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY = 43
_CHECK = 6
PATTERN = rf"subs_(?:sa|ps)_[0-9A-Za-z]{{{_BODY + _CHECK}}}"
"""For secret scanners; docs/api-tokens.md says the same."""


def new_token(random: Random, prefix: str) -> str:
    """A fresh secret with 256 bits of randomness."""
    text = prefix + _base62(int.from_bytes(random(32), "big"), _BODY)
    return text + _checksum(text)


def well_formed(text: str, prefix: str) -> bool:
    """Whether prefix, length, alphabet and checksum are right."""
    if len(text) != len(prefix) + _BODY + _CHECK or not text.startswith(prefix):
        return False
    if not all(letter in _DIGITS for letter in text[len(prefix) :]):
        return False
    return text[-_CHECK:] == _checksum(text[:-_CHECK])


def secret_in(text: str, prefix: str) -> bytes:
    """The random bytes of one that is well formed."""
    value = 0
    for letter in text[len(prefix) : -_CHECK]:
        value = value * 62 + _DIGITS.index(letter)
    return value.to_bytes(33, "big")[-32:]


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode("ascii")), _CHECK)


def _base62(value: int, width: int) -> str:
    digits = []
    for _ in range(width):
        value, rest = divmod(value, 62)
        digits.append(_DIGITS[rest])
    return "".join(reversed(digits))
