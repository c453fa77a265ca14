"""The root key file: made once, read only when nobody else can, and recognised."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from subscription_services.keys import KeyStoreDamaged, KeyTampered, RootKeyMissing, RootKeyUnsafe, RootKeyWrong
from subscription_services.keys.roots.file import FileRoot, create_root, read_root

from .conftest import House


def sealed_house(house: House) -> bytes:
    house.keys().ensure_subject("acc_1")
    sealed = house.keys().seal("acc_1", "f", "r", b"x")
    house.close()
    return sealed


def test_the_first_start_makes_a_root_only_the_owner_can_read(house: House) -> None:
    house.ring()
    root = house.directory / "root.key"
    assert root.stat().st_size == 32
    assert stat.S_IMODE(root.stat().st_mode) == 0o600
    assert stat.S_IMODE(house.directory.stat().st_mode) == 0o700
    for file in house.directory.iterdir():
        assert not file.stat().st_mode & 0o077, file.name


def test_no_file_of_the_store_shows_the_root_or_a_name(house: House) -> None:
    house.keys().ensure_subject("acc_canary")
    root = (house.directory / "root.key").read_bytes()
    store_key = read_root(house.directory / "root.key").store_key()
    for file in house.directory.iterdir():
        content = file.read_bytes()
        assert b"canary" not in content and store_key not in content and store_key.hex().encode() not in content
        assert b"SQLite" not in content
        assert file.name == "root.key" or root not in content
    assert root.hex() not in repr(read_root(house.directory / "root.key"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o601, 0o777])
def test_a_root_open_to_others_is_refused(house: House, mode: int) -> None:
    sealed_house(house)
    (house.directory / "root.key").chmod(mode)
    with pytest.raises(RootKeyUnsafe, match="chmod 600"):
        house.ring()


@pytest.mark.parametrize("length", [0, 1, 16, 31, 33, 64])
def test_a_root_of_another_length_is_refused(house: House, length: int) -> None:
    sealed_house(house)
    (house.directory / "root.key").write_bytes(os.urandom(length))
    with pytest.raises(RootKeyUnsafe, match="exactly 32"):
        house.ring()


def test_a_root_of_one_repeated_byte_is_refused(house: House) -> None:
    sealed_house(house)
    (house.directory / "root.key").write_bytes(bytes(32))
    with pytest.raises(RootKeyUnsafe):
        house.ring()


def test_a_root_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(RootKeyUnsafe, match="regular"):
        read_root(tmp_path / "pipe")


def test_a_directory_that_others_may_change_is_refused(house: House) -> None:
    sealed_house(house)
    house.directory.chmod(0o770)
    with pytest.raises(RootKeyUnsafe, match="chmod 700"):
        house.ring()
    house.directory.chmod(0o700)


def test_another_root_is_called_wrong_and_changes_nothing(house: House) -> None:
    sealed = sealed_house(house)
    root = house.directory / "root.key"
    right = root.read_bytes()
    root.write_bytes(os.urandom(32))
    with pytest.raises(RootKeyWrong, match="Wrong key"):
        house.ring()
    root.write_bytes(right)
    assert house.keys().unseal("acc_1", "f", "r", sealed) == b"x"


def test_another_root_is_called_wrong_without_the_mark_too(house: House) -> None:
    sealed_house(house)
    (house.directory / "root.id").unlink()
    (house.directory / "root.key").write_bytes(os.urandom(32))
    with pytest.raises(KeyStoreDamaged, match="Wrong key"):
        house.ring()
    assert not (house.directory / "root.id").exists()


@pytest.mark.parametrize("gone", [["root.key"], ["root.key", "root.id"], ["root.key", "keys.db"]])
def test_a_missing_root_is_never_replaced(house: House, gone: list[str]) -> None:
    sealed_house(house)
    for name in gone:
        (house.directory / name).unlink()
    with pytest.raises(RootKeyMissing, match="missing"):
        house.ring()
    assert not (house.directory / "root.key").exists()


@pytest.mark.parametrize("size", [None, 0, 1, 100, 4096, 6000])
def test_a_store_that_is_missing_or_cut_short_is_never_replaced(house: House, size: int | None) -> None:
    sealed_house(house)
    store = house.directory / "keys.db"
    if size is None:
        store.unlink()
    else:
        os.truncate(store, size)
    with pytest.raises(KeyStoreDamaged):
        house.ring()
    assert size is None or store.stat().st_size == size


@pytest.mark.parametrize("offset", [0, 20, 5000])
def test_a_changed_page_is_found(house: House, offset: int) -> None:
    sealed = sealed_house(house)
    store = house.directory / "keys.db"
    content = bytearray(store.read_bytes())
    content[offset] ^= 1
    store.write_bytes(content)
    with pytest.raises(KeyStoreDamaged):
        house.keys().unseal("acc_1", "f", "r", sealed)


def test_a_copy_of_the_directory_opens(house: House, tmp_path: Path) -> None:
    sealed = sealed_house(house)
    shutil.copytree(house.directory, tmp_path / "copy")
    copy = House(tmp_path / "copy")
    assert copy.keys().unseal("acc_1", "f", "r", sealed) == b"x"
    copy.close()


def test_a_root_is_never_overwritten(tmp_path: Path) -> None:
    create_root(tmp_path / "root.key", os.urandom)
    before = (tmp_path / "root.key").read_bytes()
    with pytest.raises(RootKeyUnsafe, match="already"):
        create_root(tmp_path / "root.key", os.urandom)
    assert (tmp_path / "root.key").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["root.key"]


def test_an_unfinished_root_of_a_crash_is_not_used(house: House) -> None:
    house.directory.mkdir(mode=0o700)
    (house.directory / "root.key.new").write_bytes(b"short")
    house.ring()
    assert (house.directory / "root.key").stat().st_size == 32


def test_what_the_root_wraps_opens_only_in_its_context() -> None:
    root, other = FileRoot(os.urandom(32)), FileRoot(os.urandom(32))
    key = os.urandom(32)
    wrapped = root.wrap(key, b"subject 1")
    assert root.unwrap(wrapped, b"subject 1") == key
    for holder, context, changed in (
        (root, b"subject 2", wrapped),
        (other, b"subject 1", wrapped),
        (root, b"subject 1", wrapped[:-8]),
        (root, b"subject 1", b""),
        (root, b"subject 1", bytes([wrapped[0] ^ 1]) + wrapped[1:]),
    ):
        with pytest.raises(KeyTampered):
            holder.unwrap(changed, context)
