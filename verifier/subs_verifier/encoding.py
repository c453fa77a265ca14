"""The encodings that the formats share, each read in its one canonical form, and bounded reading of files."""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from pathlib import Path

from .errors import Malformed, TooLarge, Unreadable

MAX_SIZE = 2**63 - 1
HASH_BYTES = 32

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def decimal(text: str, what: str) -> int:
    """A number without sign or leading zeroes, at most 2^63 - 1. Raises Malformed."""
    if not _DECIMAL.fullmatch(text) or (number := int(text)) > MAX_SIZE:
        raise Malformed(f"{what} is not a decimal number: {shown(text)}")
    return number


def from_base64(text: str, what: str) -> bytes:
    """Standard base64 with padding (RFC 4648, section 4). Raises Malformed."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Malformed(f"{what} is not base64: {shown(text)}") from None
    if base64.b64encode(data).decode() != text:
        raise Malformed(f"{what} is not in the canonical form of base64: {shown(text)}")
    return data


def hash_line(text: str, what: str) -> bytes:
    """A SHA-256 hash in base64. Raises Malformed."""
    data = from_base64(text, what)
    if len(data) != HASH_BYTES:
        raise Malformed(f"{what} has {len(data)} bytes, not {HASH_BYTES}")
    return data


def to_base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode()


def utf8(data: bytes, what: str) -> str:
    """UTF-8 without control characters other than newline. Raises Malformed."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Malformed(f"{what} is not UTF-8") from None
    if any(character < " " and character != "\n" for character in text):
        raise Malformed(f"{what} has control characters")
    return text


def shown(text: str) -> str:
    """A short printable form for messages."""
    return ascii(text if len(text) <= 60 else text[:57] + "...")


def read_file(path: Path, most: int) -> bytes:
    """The bytes of a plain file, no link followed at its end. Raises Unreadable, TooLarge."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path}: {reason(error)}") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable(f"{path}: not a plain file")
        if found.st_size > most:
            raise TooLarge(f"{path}: {found.st_size} bytes where at most {most} are accepted")
        with os.fdopen(handle, "rb", buffering=0, closefd=False) as file:
            data = file.read(found.st_size + 1) or b""
    except OSError as error:
        raise Unreadable(f"{path}: {reason(error)}") from None
    finally:
        os.close(handle)
    if len(data) != found.st_size:
        raise Unreadable(f"{path}: it changed while it was read")
    return data


def reason(error: OSError | ValueError) -> str:
    """What the system says, without the path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
