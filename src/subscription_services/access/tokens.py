"""The token of a service account; its form is the kernel's (`kernel.tokens`)."""

from __future__ import annotations

import hashlib

from subscription_services.kernel import tokens
from subscription_services.kernel.clock import Random

PREFIX = tokens.SERVICE_ACCOUNT


def new_token(random: Random) -> str:
    """A fresh token with 256 bits of randomness."""
    return tokens.new_token(random, PREFIX)


def well_formed(text: str) -> bool:
    """Whether prefix, alphabet, length and checksum are right; what is not never reaches the store."""
    return tokens.well_formed(text, PREFIX)


def digest(text: str) -> bytes:
    """SHA-256, which is all that the store holds. 256 random bits need no slower function."""
    return hashlib.sha256(text.encode()).digest()
