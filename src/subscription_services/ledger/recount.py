"""Computes the tree again from its leaves, and holds the stored tiles against it on the way."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import LogTampered, TreeUnreadable
from .tiles import TILE_HEIGHT, TILE_WIDTH, ReadTile, Tile
from .tree import HASH_BYTES, Frontier


class Recount:
    """A growing tree that hashes each node once and keeps one compact range for each level of tiles."""

    def __init__(self, read_tile: ReadTile) -> None:
        self.size = 0
        self._read_tile = read_tile
        self._ranges: list[Frontier] = [Frontier()]
        self._hashes: list[list[bytes]] = [[]]

    def add(self, leaf_hashes: Sequence[bytes]) -> None:
        """Append leaf hashes, no further than to the end of the present tile. Raises LogTampered."""
        self.size += len(leaf_hashes)
        self._add(0, leaf_hashes)

    def root(self) -> bytes:
        """The root of what was added so far."""
        hashes = [part for level in reversed(self._ranges) for part in level.hashes]
        return Frontier(self.size, tuple(hashes)).root()

    def finish(self) -> None:
        """Check the tiles that are partial at the end. Raises LogTampered."""
        for level, hashes in enumerate(self._hashes):
            if hashes:
                self._check_tile(level, hashes)

    def _add(self, level: int, hashes: Sequence[bytes]) -> None:
        self._hashes[level] += hashes
        self._ranges[level] = self._ranges[level].extended(hashes)
        if self._ranges[level].size < TILE_WIDTH:
            return
        self._check_tile(level, self._hashes[level])
        (subtree,) = self._ranges[level].hashes
        self._ranges[level], self._hashes[level] = Frontier(), []
        if level + 1 == len(self._ranges):
            self._ranges.append(Frontier())
            self._hashes.append([])
        self._add(level + 1, [subtree])

    def _check_tile(self, level: int, hashes: Sequence[bytes]) -> None:
        span = 1 << TILE_HEIGHT * level
        index = (self.size // span - 1) // TILE_WIDTH
        start = index * TILE_WIDTH
        try:
            stored = self._read_tile(Tile(level, index, len(hashes)))
        except TreeUnreadable as error:
            raise LogTampered(f"{error}", start * span, self.size - 1) from error
        for at, computed in enumerate(hashes):
            if stored[at * HASH_BYTES : (at + 1) * HASH_BYTES] != computed:
                first = (start + at) * span
                raise LogTampered(
                    f"tile {level}/{index} holds another hash than the stored entries have", first, first + span - 1
                )
        if len(stored) != len(hashes) * HASH_BYTES:
            raise LogTampered(f"tile {level}/{index} holds entries that are not there", self.size)
