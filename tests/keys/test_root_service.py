"""The whole key service on every kind of root, and what a start says when something about the root is wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from subscription_services.keys import (
    KeySettings,
    KeyStoreDamaged,
    KeyTampered,
    KeyUnavailable,
    RootKeyMissing,
    RootKeyWrong,
    SubjectErased,
)
from subscription_services.keys.roots.belonging import read_mark

from .conftest import House
from .root_fixtures import KINDS
from .root_holders import Holder

every_root = pytest.mark.parametrize("holder", KINDS, indirect=True)
REMOTE = [kind for kind in KINDS if kind != "file"]


@pytest.fixture
def rooted(house: House, holder: Holder) -> Iterator[House]:
    house.settings = KeySettings(root=holder.new())
    yield house


def sealed(house: House) -> bytes:
    house.keys().ensure_subject("acc_1")
    value = house.keys().seal("acc_1", "f", "r", b"x")
    house.close()
    return value


@every_root
def test_seals_signs_rotates_and_erases_as_always(rooted: House) -> None:
    value = sealed(rooted)
    assert rooted.keys().unseal("acc_1", "f", "r", value) == b"x"
    signature = rooted.keys("ledger").sign("ledger.checkpoint", b"m")
    assert rooted.keys("keys").rotate("subject") == 2
    while rooted.keys("keys").rewrap("subject"):
        pass
    rooted.close()
    assert rooted.keys().unseal("acc_1", "f", "r", value) == b"x"
    assert rooted.keys("ledger").sign("ledger.checkpoint", b"m") == signature
    rooted.keys("privacy").destroy_subject("acc_1", "asked for it")
    with pytest.raises(SubjectErased):
        rooted.keys().unseal("acc_1", "f", "r", value)


@every_root
def test_two_processes_open_the_same_store(rooted: House) -> None:
    value = sealed(rooted)
    one, other = rooted.ring(), rooted.ring()
    assert one.for_caller("identity").unseal("acc_1", "f", "r", value) == b"x"
    other.for_caller("identity").ensure_subject("acc_2")
    again = other.for_caller("identity").seal("acc_2", "f", "r", b"y")
    assert one.for_caller("identity").unseal("acc_2", "f", "r", again) == b"y"


@every_root
def test_another_root_is_called_wrong_and_changes_nothing(rooted: House, holder: Holder) -> None:
    value, right = sealed(rooted), rooted.settings
    rooted.settings = KeySettings(root=holder.new())
    before = {path.name: path.read_bytes() for path in rooted.directory.iterdir()}
    with pytest.raises(RootKeyWrong, match=r"(?s)Wrong key.*last opened with SUBS_KEYS_ROOT="):
        rooted.ring()
    assert {path.name: path.read_bytes() for path in rooted.directory.iterdir()} == before
    rooted.settings = right
    assert rooted.keys().unseal("acc_1", "f", "r", value) == b"x"


@every_root
def test_another_root_is_called_wrong_without_the_mark_too(rooted: House, holder: Holder) -> None:
    sealed(rooted)
    (rooted.directory / "root.id").unlink()
    rooted.settings = KeySettings(root=holder.new())
    with pytest.raises((RootKeyWrong, KeyStoreDamaged)):
        rooted.ring()
    assert not (rooted.directory / "root.id").exists()


@pytest.mark.parametrize("holder", REMOTE, indirect=True)
def test_a_missing_setting_says_which_root_it_was(rooted: House) -> None:
    sealed(rooted)
    address = rooted.settings.root
    rooted.settings = KeySettings()
    with pytest.raises(RootKeyMissing) as caught:
        rooted.ring()
    assert f"SUBS_KEYS_ROOT={address}" in caught.value.text
    assert not (rooted.directory / "root.key").exists()


@pytest.mark.parametrize("holder", REMOTE, indirect=True)
def test_the_files_hold_no_key_but_a_wrapped_one(rooted: House) -> None:
    sealed(rooted)
    names = {path.name for path in rooted.directory.iterdir()}
    wrapped = f"store-{read_mark(rooted.directory).fingerprint}.key"
    assert names == {"keys.db", "keys.use", "erasures.log", "lock", "root.id", wrapped}
    for path in rooted.directory.iterdir():
        assert not path.stat().st_mode & 0o077, path.name


@pytest.mark.parametrize("holder", REMOTE, indirect=True)
def test_the_wrapped_store_key_is_found_again_beside_the_backups(rooted: House) -> None:
    value = sealed(rooted)
    (wrapped,) = rooted.directory.glob("store-*.key")
    content = wrapped.read_bytes()
    wrapped.unlink()
    assert rooted.keys().unseal("acc_1", "f", "r", value) == b"x"
    assert wrapped.read_bytes() == content
    rooted.close()
    wrapped.unlink()
    shutil.rmtree(rooted.directory.parent / "key-backups")
    with pytest.raises(KeyStoreDamaged, match="Put it back"):
        rooted.ring()


@pytest.mark.parametrize("holder", REMOTE, indirect=True)
@pytest.mark.parametrize("position", [0, 9, -1])
def test_a_changed_store_key_is_refused(rooted: House, position: int) -> None:
    sealed(rooted)
    (wrapped,) = rooted.directory.glob("store-*.key")
    content = bytearray(wrapped.read_bytes())
    content[position] ^= 1
    wrapped.write_bytes(content)
    with pytest.raises(RootKeyWrong, match="does not open"):
        rooted.ring()


@every_root
def test_a_key_encryption_key_moved_to_another_version_does_not_open(rooted: House) -> None:
    value = sealed(rooted)
    rooted.keys("keys").rotate("subject")
    store = rooted.rings[0].service._store  # type: ignore[attr-defined]
    with store.writing() as tx:
        tx.execute(
            "UPDATE kek SET wrapped = (SELECT wrapped FROM kek WHERE purpose = 'subject' AND version = 2)"
            " WHERE purpose = 'subject' AND version = 1"
        )
    rooted.close()
    with pytest.raises(KeyTampered):
        rooted.keys().unseal("acc_1", "f", "r", value)


def test_the_bytes_of_a_root_file_are_in_no_other_file(house: House, tmp_path: Path) -> None:
    root = tmp_path / "elsewhere" / "root.key"
    root.parent.mkdir()
    root.write_bytes(os.urandom(32))
    root.chmod(0o600)
    house.settings = KeySettings(root=f"file:{root}")
    sealed(house)
    secret = root.read_bytes()
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path != root]
    assert {path.name for path in files} >= {"keys.db", "root.id", "erasures.log"}
    for path in files:
        content = path.read_bytes()
        assert secret not in content and secret.hex().encode() not in content, path


def test_a_named_root_file_is_never_made_by_a_start(house: House, tmp_path: Path) -> None:
    house.settings = KeySettings(root=f"file:{tmp_path}/root.key")
    with pytest.raises(RootKeyMissing, match="create-root"):
        house.ring()
    assert not (tmp_path / "root.key").exists()


@pytest.mark.parametrize("holder", ["vault"], indirect=True)
def test_what_is_open_goes_on_while_the_root_is_down(rooted: House, holder: Holder) -> None:
    assert holder.server is not None
    keys = rooted.keys()
    keys.ensure_subject("acc_1")
    value = keys.seal("acc_1", "f", "r", b"x")
    keys.ensure_subject("acc_2")
    holder.server.sealed = True
    assert keys.unseal("acc_1", "f", "r", value) == b"x"
    # the key-encryption key is unwrapped already, so new data keys need no root either
    keys.ensure_subject("acc_3")
    assert keys.unseal("acc_3", "f", "r", keys.seal("acc_3", "f", "r", b"z")) == b"z"
    with pytest.raises(KeyUnavailable, match="sealed"):
        rooted.keys("keys").rotate("subject")
    rooted.close()
    with pytest.raises(KeyUnavailable, match="Unseal it"):
        rooted.ring()
    holder.server.sealed = False
    assert rooted.keys().unseal("acc_1", "f", "r", value) == b"x"
