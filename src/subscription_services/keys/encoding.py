"""Unambiguous encoding of what keys and seals are bound to."""

from __future__ import annotations

from struct import pack


def bind(*parts: str | bytes | int) -> bytes:
    """Encode parts so that no two lists of parts give the same bytes: type, length in 4 bytes, content."""
    encoded = bytearray()
    for part in parts:
        if isinstance(part, int):
            encoded += b"i" + pack(">IQ", 8, part)
        elif isinstance(part, str):
            raw = part.encode()
            encoded += b"s" + pack(">I", len(raw)) + raw
        else:
            encoded += b"b" + pack(">I", len(part)) + part
    return bytes(encoded)
