"""Tiles and entry bundles of a transparency log, C2SP tlog-tiles: coordinates, paths, contents, growth.

A tile holds up to 256 consecutive hashes of one level of the tree, eight levels apart; the levels in between
are hashed again from it. Level 0 holds leaf hashes.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from subscription_services.ledger.errors import MalformedTile, OutOfRange, TreeUnreadable
from subscription_services.ledger.tree import (
    EMPTY_ROOT,
    HASH_BYTES,
    Frontier,
    HashReader,
    Node,
    hash_perfect,
)

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_LEVEL = 63
MAX_ENTRY_BYTES = 0xFFFF
MAX_INDEX = 2**63 - 1

_LONGEST_PATH = 64
_PATH = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


@dataclass(frozen=True, slots=True)
class Tile:
    """The coordinate of a tile: `width` hashes of its level (256 when full), from `index * 256` on."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def is_full(self) -> bool:
        """Whether it can be hashed into a tile of the level above."""
        return self.width == TILE_WIDTH


ReadTile = Callable[[Tile], bytes]
"""Gives at least the first `width` hashes of a tile, concatenated; raises when it is not there."""


def tile_path(tile: Tile) -> str:
    """`tile/<L>/<N>[.p/<W>]`. Raises MalformedTile for a coordinate that cannot exist."""
    if not 0 <= tile.level <= MAX_LEVEL:
        raise MalformedTile(f"there is no tile level {tile.level}")
    return f"tile/{tile.level}/{_numbered(tile.index, tile.width)}"


def bundle_path(index: int, width: int = TILE_WIDTH) -> str:
    """`tile/entries/<N>[.p/<W>]`, the bundle with the entries of level-0 tile `index`."""
    return f"tile/entries/{_numbered(index, width)}"


def parse_tile_path(path: str) -> Tile:
    """The tile that a path names. Raises MalformedTile for all but the one canonical spelling."""
    level, index, width = _parsed(path)
    if level == "entries":
        raise MalformedTile(f"not a tile path: {path[:80]!r}")
    tile = Tile(int(level), index, width)
    if tile_path(tile) != path:
        raise MalformedTile(f"not a canonical tile path: {path!r}")
    return tile


def parse_bundle_path(path: str) -> tuple[int, int]:
    """Index and width of the entry bundle that a path names, else MalformedTile."""
    level, index, width = _parsed(path)
    if level != "entries" or bundle_path(index, width) != path:
        raise MalformedTile(f"not an entry bundle path: {path!r}")
    return index, width


def hashes_at_level(level: int, size: int) -> int:
    """How many hashes tile level `level` holds in a tree of `size` leaves."""
    return size >> (TILE_HEIGHT * level)


def tiles_of(size: int, since: int = 0) -> list[Tile]:
    """The tiles of a tree of `size` leaves that a tree of `since` leaves did not have, full and partial."""
    if not 0 <= since <= size:
        raise OutOfRange(f"a tree does not grow from {since} to {size} leaves")
    found: list[Tile] = []
    level = 0
    while (total := hashes_at_level(level, size)) > 0:
        before = hashes_at_level(level, since)
        if total > before:
            for index in range(before // TILE_WIDTH, (total - 1) // TILE_WIDTH + 1):
                found.append(Tile(level, index, min(TILE_WIDTH, total - index * TILE_WIDTH)))
        level += 1
    return found


def tile_of_node(node: Node, size: int) -> tuple[Tile, int, int]:
    """The tile that holds `node` in a tree of `size` leaves, and its first and last + 1 hash in that tile.

    Raises OutOfRange when the subtree is not complete at that size.
    """
    if node.level < 0 or node.index < 0 or (node.index + 1) << node.level > size:
        raise OutOfRange(f"{node} is not a complete subtree of {size} leaves")
    level, rise = divmod(node.level, TILE_HEIGHT)
    first = node.index << rise
    index = first // TILE_WIDTH
    start = first % TILE_WIDTH
    width = min(TILE_WIDTH, hashes_at_level(level, size) - index * TILE_WIDTH)
    return Tile(level, index, width), start, start + (1 << rise)


def tile_reader(size: int, read_tile: ReadTile) -> HashReader:
    """A HashReader over the tiles of a tree of `size` leaves; it reads each tile once per call."""

    def read(nodes: Sequence[Node]) -> list[bytes]:
        seen: dict[Tile, list[bytes]] = {}
        found: list[bytes] = []
        for node in nodes:
            tile, start, end = tile_of_node(node, size)
            if tile not in seen:
                seen[tile] = split_tile(read_tile(tile), tile.width)
            found.append(hash_perfect(seen[tile][start:end]))
        return found

    return read


def split_tile(data: bytes, width: int) -> list[bytes]:
    """The first `width` hashes of a tile. Raises TreeUnreadable when it is shorter or has torn hashes."""
    if len(data) % HASH_BYTES or len(data) < width * HASH_BYTES:
        raise TreeUnreadable(f"a tile of {len(data)} bytes cannot give {width} hashes")
    return [data[at : at + HASH_BYTES] for at in range(0, width * HASH_BYTES, HASH_BYTES)]


@dataclass(frozen=True, slots=True)
class TileEdge:
    """The rightmost tile of every level: what is needed to grow a stored tree and to know its root.

    `partial[level]` are the hashes that wait in that level's last tile (none when it has just become full).
    """

    size: int = 0
    partial: tuple[tuple[bytes, ...], ...] = ()

    def frontier(self) -> Frontier:
        """The compact range of the same tree."""
        hashes: list[bytes] = []
        for waiting in reversed(self.partial):
            start = 0
            for bit in reversed(range(TILE_HEIGHT)):
                if len(waiting) & 1 << bit:
                    hashes.append(hash_perfect(waiting[start : start + (1 << bit)]))
                    start += 1 << bit
        return Frontier(self.size, tuple(hashes))

    def root(self) -> bytes:
        """The Merkle tree hash."""
        return self.frontier().root() if self.size else EMPTY_ROOT


def read_edge(size: int, read_tile: ReadTile) -> TileEdge:
    """The edge of a stored tree of `size` leaves."""
    partial: list[tuple[bytes, ...]] = []
    level = 0
    while (total := hashes_at_level(level, size)) > 0:
        index, waiting = divmod(total, TILE_WIDTH)
        partial.append(tuple(split_tile(read_tile(Tile(level, index, waiting)), waiting)) if waiting else ())
        level += 1
    return TileEdge(size, tuple(partial))


def grow(edge: TileEdge, leaf_hashes: Iterable[bytes]) -> tuple[TileEdge, dict[Tile, bytes]]:
    """Append leaf hashes: the new edge, and the contents of each of `tiles_of(new size, since=old size)`."""
    waiting = [list(hashes) for hashes in edge.partial]
    totals = [hashes_at_level(level, edge.size) for level in range(len(waiting))]
    touched: set[int] = set()
    written: dict[Tile, bytes] = {}
    size = edge.size
    for leaf_hash in leaf_hashes:
        if len(leaf_hash) != HASH_BYTES:
            raise MalformedTile(f"leaf hash of {len(leaf_hash)} bytes")
        size += 1
        level, value = 0, leaf_hash
        while True:
            if level == len(waiting):
                waiting.append([])
                totals.append(0)
            waiting[level].append(value)
            totals[level] += 1
            touched.add(level)
            if len(waiting[level]) < TILE_WIDTH:
                break
            full = waiting[level]
            written[Tile(level, totals[level] // TILE_WIDTH - 1)] = b"".join(full)
            waiting[level] = []
            touched.discard(level)
            value = hash_perfect(full)
            level += 1
    for level in touched:
        hashes = waiting[level]
        written[Tile(level, totals[level] // TILE_WIDTH, len(hashes))] = b"".join(hashes)
    return TileEdge(size, tuple(tuple(hashes) for hashes in waiting)), written


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """An entry bundle: each entry after its length as a big-endian uint16.

    Raises MalformedTile for an entry of more than 65,535 bytes, or none, or more than 256 entries.
    """
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise MalformedTile(f"an entry of {len(entry)} bytes does not fit a bundle")
        parts += [len(entry).to_bytes(2, "big"), entry]
    if not 1 <= len(parts) // 2 <= TILE_WIDTH:
        raise MalformedTile(f"a bundle cannot have {len(parts) // 2} entries")
    return b"".join(parts)


def decode_bundle(data: bytes, width: int = TILE_WIDTH) -> list[bytes]:
    """The `width` entries of a bundle; MalformedTile when there are more, fewer, or a torn one."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise MalformedTile("the bundle ends inside an entry")
        entries.append(data[at + 2 : end])
        at = end
    if len(entries) != width:
        raise MalformedTile(f"the bundle has {len(entries)} entries, not {width}")
    return entries


def _numbered(index: int, width: int) -> str:
    if not 0 <= index <= MAX_INDEX or not 1 <= width <= TILE_WIDTH:
        raise MalformedTile(f"there is no tile {index} of width {width}")
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return number if width == TILE_WIDTH else f"{number}.p/{width}"


def _parsed(path: str) -> tuple[str, int, int]:
    match = _PATH.fullmatch(path) if len(path) <= _LONGEST_PATH else None
    if match is None:
        raise MalformedTile(f"not a tile path: {path[:80]!r}")
    level, number, width = match.groups()
    return level, int(number.replace("x", "").replace("/", "")), TILE_WIDTH if width is None else int(width)
