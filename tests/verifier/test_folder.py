"""A whole exported log: what agrees is verified, whatever does not is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from subs_verifier import Malformed, Tampered, TooLarge, Unreadable, VerifierError, policy_of_key, verify_folder
from tests.verifier.building import LOG, checkpoint, entries_of, files, leaf, tile_name, write_folder

POLICY = policy_of_key(LOG.vkey)
COUNT = 600
ENTRIES = entries_of(COUNT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "log", ENTRIES)


@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 257, 511, 512, 513, 1000])
def test_logs_of_every_shape(tmp_path: Path, count: int) -> None:
    entries = entries_of(count)
    report = verify_folder(write_folder(tmp_path, entries), POLICY)
    tiles = [name for name in files(entries) if "entries" not in name]
    assert (report.entries, report.tiles, report.head.checkpoint.size) == (count, len(tiles), count)


def test_a_log_of_three_levels(tmp_path: Path) -> None:
    place = write_folder(tmp_path, [b"%d" % number for number in range(65_536 + 300)])
    assert verify_folder(place, POLICY).tiles == 258 + 2 + 1
    flip(place / tile_name(1, 1, 1), 0)
    with pytest.raises(Tampered, match="tile/1/001"):
        verify_folder(place, POLICY)


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_every_file_matters(folder: Path) -> None:
    names = list(files(ENTRIES))
    assert len(names) == 3 + 3 + 1
    for name in names:
        whole = (folder / name).read_bytes()
        for place in {0, 1, len(whole) // 2, len(whole) - 1}:
            flip(folder / name, place)
            with pytest.raises(VerifierError):
                verify_folder(folder, POLICY)
            flip(folder / name, place)
        for other in (whole[:-1], whole + b"x", b"", whole[32:]):
            (folder / name).write_bytes(other)
            with pytest.raises((Tampered, TooLarge)):
                verify_folder(folder, POLICY)
        (folder / name).unlink()
        with pytest.raises(Tampered):
            verify_folder(folder, POLICY)
        (folder / name).write_bytes(whole)
    verify_folder(folder, POLICY)


def test_the_first_changed_entry_is_named(folder: Path) -> None:
    flip(folder / tile_name("entries", 1), len(files(ENTRIES)[tile_name("entries", 1)]) - 3)
    with pytest.raises(Tampered, match="entry 510 in tile/entries/001"):
        verify_folder(folder, POLICY)


def swapped(entries: list[bytes]) -> list[bytes]:
    return [*entries[:20], entries[22], entries[21], entries[20], *entries[23:]]


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: entries[:-1],
        lambda entries: [*entries, b"more"],
        lambda entries: [entries[0], *entries[2:], b"last"],
        lambda entries: [b"first", *entries[:-1]],
        swapped,
    ],
)
def test_a_rewritten_log_under_the_signed_checkpoint(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    signed = checkpoint([leaf(entry) for entry in ENTRIES])
    place = write_folder(tmp_path, change(ENTRIES), signed)
    with pytest.raises(VerifierError):
        verify_folder(place, POLICY)


def test_retention_may_leave_out_entries_but_not_hashes(folder: Path) -> None:
    (folder / tile_name("entries", 0)).unlink()
    with pytest.raises(Tampered, match="missing"):
        verify_folder(folder, POLICY)
    (folder / "minimum-index").write_text("255\n")
    with pytest.raises(Tampered, match="missing"):
        verify_folder(folder, POLICY)
    (folder / "minimum-index").write_text("256\n")
    report = verify_folder(folder, POLICY, all_from=256)
    assert (report.entries, report.absent, report.minimum_index) == (COUNT - 256, 1, 256)
    with pytest.raises(Tampered, match="demanded"):
        verify_folder(folder, POLICY, all_from=255)
    flip(folder / tile_name(0, 0), 0)
    with pytest.raises(Tampered):
        verify_folder(folder, POLICY)


def test_the_tree_alone_for_who_may_not_read_entries(folder: Path) -> None:
    leaves = [leaf(entry) for entry in ENTRIES]
    (folder / tile_name("entries", 0)).unlink()
    (folder / tile_name("entries", 2, 88)).unlink()
    report = verify_folder(folder, POLICY, hashes_only=True, since=checkpoint(leaves[:300]))
    assert (report.entries, report.absent, report.tiles) == (256, 2, 4)
    with pytest.raises(Tampered, match="missing"):
        verify_folder(folder, POLICY)
    flip(folder / tile_name("entries", 1), 5)
    with pytest.raises(Tampered):
        verify_folder(folder, POLICY, hashes_only=True)


@pytest.mark.parametrize("text", ["601", "-1", "01", "x", "", "1\n\n", "9" * 40])
def test_bad_minimum_indexes(folder: Path, text: str) -> None:
    (folder / "minimum-index").write_text(text)
    with pytest.raises(Malformed):
        verify_folder(folder, POLICY)


def test_it_must_extend_what_was_seen_before(folder: Path, tmp_path: Path) -> None:
    leaves = [leaf(entry) for entry in ENTRIES]
    for size in (0, 1, 255, 256, 257, 511, 512, 599, 600):
        report = verify_folder(folder, POLICY, since=checkpoint(leaves[:size]))
        assert report.extends is not None
        assert report.extends.size == size
    other = [leaf(b"x"), *leaves[1:]]
    for size in (1, 256, 257, 600):
        with pytest.raises(Tampered):
            verify_folder(folder, POLICY, since=checkpoint(other[:size]))
    with pytest.raises(Tampered, match="601 entries before"):
        verify_folder(folder, POLICY, since=checkpoint([*leaves, leaf(b"")]))


def test_partial_tiles_of_earlier_checkpoints_must_agree_too(folder: Path) -> None:
    for size in (10, 300, 520):
        for name, data in files(ENTRIES[:size]).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(data)
    assert verify_folder(folder, POLICY).tiles > len([name for name in files(ENTRIES) if "entries" not in name])
    (folder / "minimum-index").write_text("256")
    (folder / tile_name("entries", 0)).unlink()
    for name in (tile_name(0, 0, 10), tile_name("entries", 0, 10), tile_name("entries", 1, 44), tile_name(1, 0, 1)):
        flip(folder / name, 3)
        with pytest.raises(Tampered):
            verify_folder(folder, POLICY)
        flip(folder / name, 3)
    verify_folder(folder, POLICY)


@pytest.mark.parametrize(
    "name",
    [
        tile_name(0, 3, 1), tile_name(0, 2), tile_name(0, 2, 89), tile_name(2, 0, 1), tile_name(63, 0), "tile/64/000",
        "tile/0/1", "tile/0/x000/001", "tile/00/000", "tile/0/000.p/256", "tile/0/000.p/0", "tile/0/001~", "tile/x",
        "tile/entries/notes.txt", "tile/0/" + "x001/" * 20 + "000",
    ],
)  # fmt: skip
def test_nothing_else_may_pass_for_a_tile(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(bytes(32))
    with pytest.raises((Tampered, Malformed)):
        verify_folder(folder, POLICY)


def test_links_and_other_things_are_not_followed(folder: Path, tmp_path: Path) -> None:
    name = tile_name("entries", 1)
    shutil.move(folder / name, tmp_path / "bundle")
    (folder / name).symlink_to(tmp_path / "bundle")
    with pytest.raises(Malformed):
        verify_folder(folder, POLICY)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(Malformed):
        verify_folder(folder, POLICY)
    (folder / "checkpoint").unlink()
    with pytest.raises(Unreadable):
        verify_folder(folder, POLICY)


def test_limits(folder: Path) -> None:
    with pytest.raises(TooLarge):
        verify_folder(folder, POLICY, max_entries=599)
    with (folder / "checkpoint").open("ab") as file:
        file.truncate(10**9)
    with pytest.raises(TooLarge):
        verify_folder(folder, POLICY)
    (folder / "checkpoint").write_bytes(checkpoint([leaf(entry) for entry in ENTRIES]))
    with (folder / tile_name(0, 0)).open("ab") as file:
        file.truncate(10**10)
    with pytest.raises(TooLarge):
        verify_folder(folder, POLICY)
