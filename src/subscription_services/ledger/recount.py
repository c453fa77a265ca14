"""Computes the tree again from its leaves, and holds the stored tiles against it on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .errors import LogTampered, TreeUnreadable
from .tiles import TILE_HEIGHT, TILE_WIDTH, ReadTile, Tile
from .tree import HASH_BYTES, Frontier


@dataclass(slots=True)
class _Level:
    """The present tile of one level: what is stored of it, and the compact range of what was computed."""

    full_tiles: int = 0
    stored: bytes | None = None
    computed: Frontier = field(default_factory=Frontier)


class Recount:
    """A growing tree that hashes each node once and keeps one compact range for each level of tiles."""

    def __init__(self, read_tile: ReadTile) -> None:
        self.size = 0
        self._read_tile = read_tile
        self._levels = [_Level()]

    def add(self, leaf_hashes: Sequence[bytes]) -> None:
        """Append leaf hashes, no further than to the end of the present tile.

        Raises LogTampered for the first one that the stored tiles do not have in its place.
        """
        self._add(0, leaf_hashes)
        self.size += len(leaf_hashes)

    def root(self) -> bytes:
        """The root of what was added so far."""
        hashes = [part for level in reversed(self._levels) for part in level.computed.hashes]
        return Frontier(self.size, tuple(hashes)).root()

    def finish(self) -> None:
        """Raises LogTampered when a stored tile goes on after the last entry."""
        for number, level in enumerate(self._levels):
            self._check_length(number, level)

    def _add(self, number: int, hashes: Sequence[bytes]) -> None:
        if number == len(self._levels):
            self._levels.append(_Level())
        level = self._levels[number]
        self._compare(number, level, hashes)
        level.computed = level.computed.extended(hashes)
        if level.computed.size < TILE_WIDTH:
            return
        self._check_length(number, level)
        (subtree,) = level.computed.hashes
        level.computed, level.stored = Frontier(), None
        level.full_tiles += 1
        self._add(number + 1, [subtree])

    def _check_length(self, number: int, level: _Level) -> None:
        if level.stored is not None and len(level.stored) != level.computed.size * HASH_BYTES:
            raise LogTampered(f"tile {number}/{level.full_tiles} has hashes that belong to no entry", self.size)

    def _compare(self, number: int, level: _Level, hashes: Sequence[bytes]) -> None:
        if level.stored is None:
            try:
                level.stored = self._read_tile(Tile(number, level.full_tiles))
            except TreeUnreadable:
                level.stored = b""
        for place, computed in enumerate(hashes, start=level.computed.size):
            if level.stored[place * HASH_BYTES : (place + 1) * HASH_BYTES] != computed:
                span = 1 << TILE_HEIGHT * number
                first = (level.full_tiles * TILE_WIDTH + place) * span
                raise LogTampered(
                    f"tile {number}/{level.full_tiles} has another hash than the stored entries",
                    first,
                    first + span - 1,
                )
