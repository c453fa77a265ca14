"""Secrets that people carry: 256 bits from the operating system; only a digest is stored."""

from __future__ import annotations

import base64
import hashlib

from subscription_services.kernel.clock import Random


def new_token(random: Random) -> str:
    """43 characters of base64url."""
    return base64.urlsafe_b64encode(random(32)).rstrip(b"=").decode()


def digest(token: str) -> bytes:
    """SHA-256: a plain hash is right because the token itself is uniformly random."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def new_recovery_code(random: Random) -> str:
    """80 bits as four groups of four letters and digits (RFC 4648 base32, lower case)."""
    text = base64.b32encode(random(10)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, 16, 4))


def plain_recovery_code(typed: str) -> str:
    """As typed, without spaces and dashes."""
    return "".join(typed.split()).replace("-", "").casefold()
