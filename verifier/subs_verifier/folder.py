"""A whole exported log: a folder in the layout of C2SP tlog-tiles, every entry hashed and every tile worked out again.

Entry bundles that end at or below the log's minimum index may be absent (retention); their hashes may not. Whatever
lies under `tile/` must belong to the signed tree, partial tiles of earlier checkpoints included.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .checkpoint import Checkpoint, Head, open_checkpoint
from .encoding import HASH_BYTES, decimal, read_file, reason, shown, utf8
from .errors import Malformed, Tampered, TooLarge, Unreadable
from .merkle import edge_root, perfect_root
from .note import MAX_NOTE_BYTES
from .policy import Policy
from .tiles import (
    ENTRIES,
    MAX_BUNDLE_BYTES,
    TILE_BYTES,
    WIDTH,
    first_difference,
    leaf_hashes,
    parse_path,
    path_of,
    width_of,
)

MINIMUM_INDEX = "minimum-index"
MAX_ENTRIES = 2**32
MAX_FILES = 2**26
MAX_EARLIER = 1_000_000
"""Partial tiles of earlier checkpoints."""

Progress = Callable[[int, int], None]
"""Called with the entries done and their total."""


@dataclass(frozen=True, slots=True)
class FolderReport:
    """What was verified: `entries` whole entries, the hashes of all, `tiles` files. `absent` bundles were not there."""

    head: Head
    entries: int
    tiles: int
    minimum_index: int
    absent: int
    extends: Checkpoint | None = None


def verify_folder(
    place: Path, policy: Policy, *, since: bytes | None = None, all_from: int | None = None, hashes_only: bool = False,
    now: int | None = None, max_entries: int = MAX_ENTRIES, progress: Progress | None = None,
) -> FolderReport:  # fmt: skip
    """Verify the log in the folder `place`.

    `since` is an older checkpoint of the same log, kept by the caller, which the log must extend; `all_from` is an
    index from which on no entry may be absent, whatever the log says. `hashes_only` lets any entry bundle be absent,
    for who may read the tree and not the entries; what is there is verified. Raises VerifierError.
    """
    head = open_checkpoint(read_file(place / "checkpoint", MAX_NOTE_BYTES), policy, now)
    size = head.checkpoint.size
    if size > max_entries:
        raise TooLarge(f"a log of {size} entries where at most {max_entries} are accepted")
    minimum = _minimum_index(place, size)
    if all_from is not None and minimum > all_from:
        raise Tampered(f"entries from {all_from} on are demanded and the log keeps only those from {minimum} on")
    old = None if since is None else _older(since, policy, head.checkpoint)
    needed = size if hashes_only and all_from is None else minimum // WIDTH * WIDTH
    walk = _Walk(place, size, _earlier(place, size), needed, old, progress)
    walk.run()
    if walk.root() != head.checkpoint.root:
        raise Tampered("the tiles are not those of the signed root")
    return FolderReport(head, walk.entries, walk.tiles, minimum, walk.absent, old)


class _Walk:
    """Goes through the log once. From the entry `needed` on none may be absent.

    `levels` holds what is not yet in a full tile, level by level.
    """

    def __init__(
        self, place: Path, size: int, earlier: dict[tuple[int | str, int], list[int]], needed: int,
        old: Checkpoint | None, progress: Progress | None,
    ) -> None:  # fmt: skip
        self._place, self._size, self._earlier, self._needed = place, size, earlier, needed
        self._old, self._progress = old, progress
        self._edge = b""
        self._levels: list[list[bytes]] = []
        self._done: list[int] = []
        self.entries = self.tiles = self.absent = 0

    def run(self) -> None:
        for index in range(-(-self._size // WIDTH)):
            width = width_of(0, index, self._size)
            hashes = self._leaves(index, width)
            self._compare_with_old(index, hashes)
            if width == WIDTH:
                self._add(1, perfect_root(hashes))
            else:
                self._edge = hashes
            if self._progress is not None:
                self._progress(index * WIDTH + width, self._size)
        for level, parts in enumerate(self._levels, start=1):
            if parts:
                self._check_tile(level, self._done[level - 1], b"".join(parts))
        for level_or_entries, index in self._earlier:
            raise Tampered(f"{path_of(level_or_entries, index)} was not verified")

    def root(self) -> bytes:
        return edge_root([self._edge, *(b"".join(parts) for parts in self._levels)])

    def _leaves(self, index: int, width: int) -> bytes:
        hashes = self._read_tile(path_of(0, index, width), width)
        bundle_name = path_of(ENTRIES, index, width)
        if os.path.lexists(self._place / bundle_name):
            self._check_bundle(bundle_name, index, width, hashes)
            self.entries += width
        elif index * WIDTH + width <= self._needed:
            self.absent += 1
        else:
            raise Tampered(f"entries {index * WIDTH} and following are missing ({bundle_name})")
        for part in self._earlier.pop((ENTRIES, index), ()):
            self._check_bundle(path_of(ENTRIES, index, part), index, part, hashes[: part * HASH_BYTES])
        self._check_earlier(0, index, hashes)
        return hashes

    def _check_bundle(self, name: str, index: int, width: int, hashes: bytes) -> None:
        try:
            found = leaf_hashes(read_file(self._place / name, MAX_BUNDLE_BYTES), width)
        except Tampered as error:
            raise Tampered(f"{name} {error}") from None
        if found != hashes:
            raise Tampered(f"entry {index * WIDTH + first_difference(found, hashes)} in {name} is not the signed one")

    def _add(self, level: int, node: bytes) -> None:
        if len(self._levels) < level:
            self._levels.append([])
            self._done.append(0)
        parts = self._levels[level - 1]
        parts.append(node)
        if len(parts) == WIDTH:
            whole = b"".join(parts)
            self._check_tile(level, self._done[level - 1], whole)
            parts.clear()
            self._done[level - 1] += 1
            self._add(level + 1, perfect_root(whole))

    def _check_tile(self, level: int, index: int, expected: bytes) -> None:
        width = len(expected) // HASH_BYTES
        name = path_of(level, index, width)
        stored = self._read_tile(name, width)
        if stored != expected:
            raise Tampered(f"hash {first_difference(stored, expected)} of {name} is not that of the tile below it")
        self._check_earlier(level, index, expected)

    def _read_tile(self, name: str, width: int) -> bytes:
        try:
            data = read_file(self._place / name, TILE_BYTES)
        except Unreadable:
            raise Tampered(f"the tile {name} is missing") from None
        if len(data) != width * HASH_BYTES:
            raise Tampered(f"the tile {name} has {len(data)} bytes, not {width * HASH_BYTES}")
        self.tiles += 1
        return data

    def _check_earlier(self, level: int, index: int, expected: bytes) -> None:
        for width in self._earlier.pop((level, index), ()):
            name = path_of(level, index, width)
            if self._read_tile(name, width) != expected[: width * HASH_BYTES]:
                raise Tampered(f"{name} does not begin as the later tile does")

    def _compare_with_old(self, index: int, hashes: bytes) -> None:
        old = self._old
        if old is None or not index * WIDTH < old.size <= index * WIDTH + len(hashes) // HASH_BYTES:
            return
        within = hashes[: (old.size - index * WIDTH) * HASH_BYTES]
        if edge_root([within, *(b"".join(parts) for parts in self._levels)]) != old.root:
            raise Tampered(f"the log was rewritten: its first {old.size} entries are not those of the older checkpoint")


def _older(note: bytes, policy: Policy, new: Checkpoint) -> Checkpoint:
    old = open_checkpoint(note, Policy(policy.logs, policy.witnesses)).checkpoint
    if old.origin != new.origin:
        raise Malformed("the older checkpoint is of another log")
    if old.size > new.size:
        raise Tampered(f"the log had {old.size} entries before and has {new.size} now")
    if old.size == new.size and old.root != new.root:
        raise Tampered(f"two different logs of {old.size} entries")
    return old


def _minimum_index(place: Path, size: int) -> int:
    path = place / MINIMUM_INDEX
    if not os.path.lexists(path):
        return 0
    text = utf8(read_file(path, 32), MINIMUM_INDEX)
    found = decimal(text.removesuffix("\n"), MINIMUM_INDEX)
    if found > size:
        raise Malformed(f"the minimum index {found} is beyond the {size} entries of the log")
    return found


def _earlier(place: Path, size: int) -> dict[tuple[int | str, int], list[int]]:
    """Walk the folder: every file must be a tile or bundle of this log. Returns the partial ones of earlier sizes."""
    found: dict[tuple[int | str, int], list[int]] = {}
    total = 0
    for count, name in enumerate(_files(place, "tile")):
        if count >= MAX_FILES:
            raise TooLarge(f"more than {MAX_FILES} files")
        level, index, width = parse_path(name)
        whole = width_of(level, index, size)
        if width > whole:
            raise Tampered(f"{name} is not part of the signed log of {size} entries")
        if width < whole:
            total += 1
            if total > MAX_EARLIER:
                raise TooLarge(f"more than {MAX_EARLIER} partial tiles of earlier checkpoints")
            found.setdefault((level, index), []).append(width)
    return found


def _files(place: Path, name: str) -> Iterator[str]:
    # a path of a tile has at most 64 characters, so this cannot go deep
    if len(name) > 80:
        raise Malformed(f"not the name of a tile: {shown(name)}")
    try:
        with os.scandir(place / name) as listing:
            for item in listing:
                below = f"{name}/{item.name}"
                if item.is_dir(follow_symlinks=False):
                    yield from _files(place, below)
                elif item.is_file(follow_symlinks=False):
                    yield below
                else:
                    raise Malformed(f"neither a file nor a folder: {shown(below)}")
    except FileNotFoundError:
        return
    except OSError as error:
        raise Unreadable(f"{place / name}: {reason(error)}") from None
