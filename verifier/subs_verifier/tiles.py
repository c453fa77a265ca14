"""Names and contents of tiles and entry bundles, C2SP tlog-tiles."""

from __future__ import annotations

import hashlib
import re

from .encoding import HASH_BYTES, MAX_SIZE, shown
from .errors import Malformed, Tampered

WIDTH = 256
TILE_BYTES = WIDTH * HASH_BYTES
MAX_LEVEL = 63
MAX_PATH_CHARACTERS = 64
MAX_BUNDLE_BYTES = WIDTH * (2 + 0xFFFF)
ENTRIES = "entries"

_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
_sha256 = hashlib.sha256


def path_of(level: int | str, index: int, width: int = WIDTH) -> str:
    """`tile/<L>/<N>[.p/<W>]`, or of an entry bundle where the level is `ENTRIES`."""
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return f"tile/{level}/{number}" + ("" if width == WIDTH else f".p/{width}")


def parse_path(path: str) -> tuple[int | str, int, int]:
    """Level (or `ENTRIES`), index and width. Raises Malformed for all but the one spelling."""
    match = _PATH.fullmatch(path) if len(path) <= MAX_PATH_CHARACTERS else None
    if match is None:
        raise Malformed(f"not the name of a tile or entry bundle: {shown(path)}")
    place, number, part = match.groups()
    level = place if place == ENTRIES else int(place)
    index, width = int(number.replace("x", "").replace("/", "")), WIDTH if part is None else int(part)
    if index > MAX_SIZE or (isinstance(level, int) and level > MAX_LEVEL) or path_of(level, index, width) != path:
        raise Malformed(f"not the canonical name of a tile: {shown(path)}")
    return level, index, width


def width_of(level: int | str, index: int, size: int) -> int:
    """How many hashes that tile has in a log of `size` entries, 0 where it is not part of it."""
    rise = level if isinstance(level, int) else 0
    return max(0, min(WIDTH, (size >> (8 * rise)) - index * WIDTH))


def leaf_hashes(bundle: bytes, width: int) -> bytes:
    """The concatenated hashes of the `width` entries of a bundle. Raises Tampered."""
    hashes: list[bytes] = []
    at, end = 0, len(bundle)
    for _ in range(width):
        start = at + 2
        if start > end:
            raise Tampered(f"ends within entry {len(hashes)} of {width}")
        at = start + (bundle[at] << 8 | bundle[at + 1])
        # a slice past the end is short, and found below
        hashes.append(_sha256(b"\x00" + bundle[start:at]).digest())
    if at != end:
        raise Tampered(f"has {end} bytes where its {width} entries have {at}")
    return b"".join(hashes)


def first_difference(left: bytes, right: bytes) -> int:
    """The number of the first hash that differs in two tiles of the same width."""
    return next(
        number for number in range(len(left) // HASH_BYTES)
        if left[number * HASH_BYTES : (number + 1) * HASH_BYTES]
        != right[number * HASH_BYTES : (number + 1) * HASH_BYTES]
    )  # fmt: skip
