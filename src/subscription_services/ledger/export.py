"""A copy of the published log in a folder, exactly in the layout of C2SP tlog-tiles, fetched as any client would.

Everything is verified on the way: the signature, every entry against its hash, every hash against the tree, and that
the tree extends the one that the folder held before. An interrupted export goes on where it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from subscription_services.kernel.errors import Conflict, Unavailable

from .checkpoint import Checkpoint, open_checkpoint
from .errors import LedgerError, LogTampered, TreeUnreadable
from .note import Ed25519Verifier, parse_verifier_key
from .recount import Recount
from .tiles import (
    TILE_WIDTH,
    Tile,
    bundle_path,
    decode_bundle,
    split_tile,
    tile_path,
    tile_reader,
    tiles_of,
)
from .tree import HASH_BYTES, hash_leaf, read_root

CHECKPOINT, MINIMUM, KEY = "checkpoint", "minimum-index", "key"
Progress = Callable[[int, int], None]
"""Called with the entries done and their total."""
_NUMBER = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


class ExportFailed(Unavailable, LedgerError):
    code = "export-failed"
    message = "The log could not be fetched. What was fetched stays; run the same command again."


class AnotherLog(Conflict, LedgerError):
    code = "another-log"
    message = "The folder holds a log with another key. Use an empty folder."


@dataclass(frozen=True, slots=True)
class Exported:
    """`fetched` of the files are new; `before` is the size that the folder held until now."""

    checkpoint: Checkpoint
    minimum: int
    before: int
    fetched: int


def export(client: httpx.Client, folder: Path, progress: Progress | None = None) -> Exported:
    """Bring `folder` up to the published checkpoint. `client` has the service's address and an auditor's token.

    Raises ExportFailed, AnotherLog, LogTampered (also when the log does not extend what the folder held), NoteError.
    """
    copy = _Copy(client, folder)
    verifier = copy.pinned_key()
    note = copy.fetch(CHECKPOINT)
    head, _ = open_checkpoint(note, verifier.name, [verifier])
    minimum = copy.minimum(head.size)
    before = copy.held(verifier)
    if before is not None and before.size > head.size:
        raise LogTampered(f"the folder holds {before.size} entries and the log now has {head.size}", head.size)
    for tile in tiles_of(head.size):
        copy.keep(tile_path(tile), lambda data, tile=tile: len(split_tile(data, tile.width)) * HASH_BYTES == len(data))  # type: ignore[misc]
    tree = Recount(copy.read_tile)
    for start in range(0, head.size, TILE_WIDTH):
        width = min(TILE_WIDTH, head.size - start)
        index = start // TILE_WIDTH
        hashes = split_tile(copy.read_tile(Tile(0, index, width)), width)
        if start >= minimum:
            copy.keep(bundle_path(index, width), lambda data, hashes=hashes: _hashed(data) == hashes)  # type: ignore[misc]
        tree.add(hashes)
        if progress is not None:
            progress(start + width, head.size)
    if tree.root() != head.root:
        raise LogTampered("the published tiles are not those of the signed root")
    if before and before.size and read_root(before.size, tile_reader(head.size, copy.read_tile)) != before.root:
        raise LogTampered(f"the log was rewritten: its first {before.size} entries are not those of this folder")
    copy.write(MINIMUM, b"%d\n" % minimum)
    copy.write(CHECKPOINT, note)
    copy.tidy(head.size)
    return Exported(head, minimum, before.size if before else 0, copy.fetched)


def _hashed(bundle: bytes) -> list[bytes]:
    """The leaf hashes of a bundle, however many entries it has."""
    entries, at = 0, 0
    while at < len(bundle):
        at += 2 + int.from_bytes(bundle[at : at + 2], "big")
        entries += 1
    return [hash_leaf(entry) for entry in decode_bundle(bundle, entries)]


class _Copy:
    """The folder and where it comes from."""

    def __init__(self, client: httpx.Client, folder: Path) -> None:
        self._client, self._folder = client, folder
        self.fetched = 0

    def fetch(self, path: str) -> bytes:
        try:
            answer = self._client.get(f"/log/{path}")
        except httpx.HTTPError as error:
            raise ExportFailed(f"{ExportFailed.message} ({path}: {error})") from error
        if answer.status_code != 200:
            raise ExportFailed(f"{ExportFailed.message} ({path}: the service answered {answer.status_code})")
        return answer.content

    def pinned_key(self) -> Ed25519Verifier:
        """The log's key, the same as at the first time."""
        vkey = self.fetch(KEY)
        path = self._folder / KEY
        if path.exists() and path.read_bytes() != vkey:
            raise AnotherLog()
        self.write(KEY, vkey)
        return parse_verifier_key(vkey.decode("utf-8", "replace").rstrip("\n"))

    def minimum(self, size: int) -> int:
        match = _NUMBER.fullmatch(self.fetch(MINIMUM))
        if match is None or int(match[1]) > size:
            raise ExportFailed(f"{ExportFailed.message} (the minimum index is no number within the log)")
        return int(match[1])

    def held(self, verifier: Ed25519Verifier) -> Checkpoint | None:
        path = self._folder / CHECKPOINT
        if not path.exists():
            return None
        return open_checkpoint(path.read_bytes(), verifier.name, [verifier])[0]

    def keep(self, path: str, is_right: Callable[[bytes], bool]) -> None:
        """The file is there and right already, or is fetched. Raises LogTampered when what came is wrong."""
        place = self._folder / path
        if place.exists() and _holds(is_right, place.read_bytes()):
            return
        data = self.fetch(path)
        if not _holds(is_right, data):
            raise LogTampered(f"{path} is not what the tree says")
        self.write(path, data)
        self.fetched += 1

    def read_tile(self, tile: Tile) -> bytes:
        """The longest stored form of a tile."""
        place = self._folder / tile_path(Tile(tile.level, tile.index))
        if place.exists():
            return place.read_bytes()
        partial = place.with_name(f"{place.name}.p")
        widths = sorted((int(item.name) for item in partial.iterdir()), reverse=True) if partial.is_dir() else []
        if not widths:
            raise TreeUnreadable(f"the tile {tile.level}/{tile.index} is not there")
        return (partial / str(widths[0])).read_bytes()

    def write(self, path: str, data: bytes) -> None:
        """As a whole or not at all."""
        place = self._folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / ".unfinished"
        unfinished.write_bytes(data)
        unfinished.replace(place)

    def tidy(self, size: int) -> None:
        """Remove partial tiles and bundles that the present ones continue."""
        last = {tile.level: tile for tile in tiles_of(size) if not tile.is_full}
        for partial in sorted((self._folder / "tile").rglob("*.p")):
            level_name = partial.relative_to(self._folder / "tile").parts[0]
            level = 0 if level_name == "entries" else int(level_name)
            for item in sorted(partial.iterdir()):
                tile = last.get(level)
                keep = tile is not None and item.name == str(tile.width) and _index_of(partial) == tile.index
                if not keep:
                    item.unlink()
            if not any(partial.iterdir()):
                partial.rmdir()


def _index_of(partial: Path) -> int:
    digits = [partial.name.removesuffix(".p")]
    for parent in partial.parents:
        if not parent.name.startswith("x"):
            break
        digits.insert(0, parent.name[1:])
    return int("".join(digits))


def _holds(is_right: Callable[[bytes], bool], data: bytes) -> bool:
    try:
        return is_right(data)
    except LedgerError:
        return False
