"""Putting a copy back: not while somebody uses the store, not too old, and never with somebody erased in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from subscription_services.keys import (
    BackupRefused,
    KeySettings,
    KeyStoreDamaged,
    KeyUnavailable,
    RootKeyMissing,
    RootKeyWrong,
    Staged,
    SubjectErased,
    Tombstone,
    restoring,
)
from subscription_services.keys.restore import UNCOUNTED

from .conftest import House


def backed_up(house: House) -> Path:
    made, _ = house.keys("keys").backup()
    return house.directory.parent / "key-backups" / made.name


def sealed_for(house: House, *subjects: str) -> list[bytes]:
    for subject in subjects:
        house.keys().ensure_subject(subject)
    return [house.keys().seal(subject, "f", "r", subject.encode()) for subject in subjects]


def restore(house: House, copy: Path) -> Staged:
    house.close()
    with restoring(house.directory, copy, house.settings, lambda: house.now, house.random) as staged:
        staged.put_in_place(house.now)
    return staged


def test_a_restored_copy_opens_what_it_has_and_counts_on(house: House) -> None:
    (sealed,) = sealed_for(house, "acc_1")
    copy = backed_up(house)
    house.keys().ensure_subject("acc_2")
    house.close()
    (house.directory / "keys.db").write_bytes(b"")
    staged = restore(house, copy)
    assert (staged.copy.keys, staged.copy.lost, staged.listed) == (2, None, True)
    assert house.keys().unseal("acc_1", "f", "r", sealed) == b"acc_1"
    with house.direct() as store:
        uses = {row[0] for row in store.execute("SELECT uses FROM data_key WHERE name = 'acc_1'")}
        assert store.execute("SELECT count(*) FROM meta WHERE name = 'copied-at'").fetchone() == (0,)
    assert min(uses) > UNCOUNTED
    house.keys().ensure_subject("acc_2")


def test_erasures_made_since_are_repeated_from_the_list(house: House) -> None:
    erased, kept = sealed_for(house, "acc_1", "acc_2")
    copy = backed_up(house)
    house.keys("privacy").destroy_subject("acc_1", "asked")
    for _ in range(2):
        restore(house, copy)
        with pytest.raises(SubjectErased):
            house.keys().unseal("acc_1", "f", "r", erased)
        assert house.keys().unseal("acc_2", "f", "r", kept) == b"acc_2"


def test_without_the_list_that_is_said_until_a_restore_is_complete(house: House) -> None:
    (erased,) = sealed_for(house, "acc_1")
    copy = backed_up(house)
    house.keys("privacy").destroy_subject("acc_1", "asked")
    house.close()
    (house.directory / "erasures.log").unlink()
    for _ in range(2):
        with restoring(house.directory, copy, house.settings, lambda: house.now, house.random) as staged:
            assert not staged.listed
    with restoring(house.directory, copy, house.settings, lambda: house.now, house.random) as staged:
        again = [Tombstone("acc_1", "subject", "the log", house.now, 0)]
        assert staged.service.replay_tombstones("backups", again) == 1
        staged.put_in_place(house.now)
    with pytest.raises(SubjectErased):
        house.keys().unseal("acc_1", "f", "r", erased)
    house.close()
    with restoring(house.directory, copy, house.settings, lambda: house.now, house.random) as staged:
        assert staged.listed


def test_a_changed_list_stops_a_restore(house: House) -> None:
    sealed_for(house, "acc_1")
    copy = backed_up(house)
    house.keys("privacy").destroy_subject("acc_1", "asked")
    house.close()
    log = house.directory / "erasures.log"
    log.write_bytes(log.read_bytes().replace(b"acc_1", b"acc_2"))
    with pytest.raises(KeyStoreDamaged, match="changed from outside"):
        restore(house, copy)
    assert not list(house.directory.glob("restoring*"))


def test_a_copy_older_than_the_bound_is_refused(house: House, tmp_path: Path) -> None:
    house.settings = KeySettings(backup_days=2)
    copy = Path(shutil.copy(backed_up(house), tmp_path / "moved away.db"))
    house.pass_time(2 * 86400)
    restore(house, copy)
    house.pass_time(1)
    with pytest.raises(BackupRefused, match="more than 2 days ago"):
        restore(house, copy)
    # neither its name nor its times make it younger
    younger = copy.with_name("keys-20260303T120000.000000Z.db")
    copy.rename(younger)
    younger.touch()
    with pytest.raises(BackupRefused, match="more than 2 days ago"):
        restore(house, younger)


def test_a_copy_from_the_future_is_refused(house: House) -> None:
    copy = backed_up(house)
    house.pass_time(-600)
    with pytest.raises(BackupRefused, match="clock"):
        restore(house, copy)


def test_what_is_no_copy_is_refused_and_changes_nothing(house: House, tmp_path: Path) -> None:
    (sealed,) = sealed_for(house, "acc_1")
    copy = backed_up(house)
    house.close()
    before = (house.directory / "keys.db").read_bytes()
    content = copy.read_bytes()
    bad = tmp_path / "bad.db"
    middle = len(content) // 2
    for wrong in (
        b"", b"x" * 5000, content[: len(content) // 2], content[:-4096],
        content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
    ):  # fmt: skip
        bad.write_bytes(wrong)
        with pytest.raises(BackupRefused):
            restore(house, bad)
    shutil.copy(house.directory / "keys.db", bad)
    with pytest.raises(BackupRefused, match="its age is not known"):
        restore(house, bad)
    with pytest.raises(BackupRefused, match="cannot be read"):
        restore(house, tmp_path / "nothing.db")
    assert (house.directory / "keys.db").read_bytes() == before
    assert house.keys().unseal("acc_1", "f", "r", sealed) == b"acc_1"


def test_nothing_is_restored_while_the_keys_are_in_use_nor_used_while_restored(house: House) -> None:
    copy = backed_up(house)
    with (
        pytest.raises(KeyUnavailable, match="stop the service"),
        restoring(house.directory, copy, house.settings, lambda: house.now, house.random),
    ):
        pass
    house.close()
    with (
        restoring(house.directory, copy, house.settings, lambda: house.now, house.random),
        pytest.raises(KeyUnavailable, match="being restored"),
    ):
        house.ring()
    house.ring()


def test_the_store_that_was_there_becomes_a_backup_or_is_put_away(house: House) -> None:
    copy = backed_up(house)
    (newer,) = sealed_for(house, "acc_new")
    house.pass_time(60)
    staged = restore(house, copy)
    assert staged.copy.lost == 1
    newest = house.keys("keys").backups().copies[0]
    assert newest.made_at == house.now
    restore(house, copy.with_name(newest.name))
    assert house.keys().unseal("acc_new", "f", "r", newer) == b"acc_new"
    house.close()
    (house.directory / "keys.db").write_bytes(b"broken")
    house.pass_time(60)
    restore(house, copy)
    (away,) = copy.parent.glob("damaged-*")
    assert away.read_bytes() == b"broken"
    house.pass_time(7 * 86400)
    house.keys("keys").backup()
    assert not list(copy.parent.glob("damaged-*"))


def test_on_a_new_machine_the_root_and_a_copy_are_enough_and_a_wrong_root_is_said(house: House, tmp_path: Path) -> None:
    (sealed,) = sealed_for(house, "acc_1")
    copy = backed_up(house)
    house.close()
    other = House(tmp_path / "other" / "keys", settings=house.settings, now=house.now)
    with pytest.raises(RootKeyMissing):
        restore(other, copy)
    shutil.copy(house.directory / "root.key", other.directory / "root.key")
    restore(other, copy)
    assert other.keys().unseal("acc_1", "f", "r", sealed) == b"acc_1"
    other.close()
    third = House(tmp_path / "third" / "keys", now=house.now)
    third.ring()
    with pytest.raises(BackupRefused, match="another root key"):
        restore(third, copy)
    shutil.copy(house.directory / "root.key", third.directory / "root.key")
    with pytest.raises(RootKeyWrong):
        restore(third, copy)


CHILD = """
import sys
from datetime import datetime
from pathlib import Path
from subscription_services.keys import restoring
from tests.keys.conftest import House
house = House(Path(sys.argv[1]), now=datetime.fromisoformat(sys.argv[3]))
print("ready", flush=True)
while True:
    house.pass_time(1)
    with restoring(house.directory, Path(sys.argv[2]), house.settings, lambda: house.now, house.random) as staged:
        staged.put_in_place(house.now)
    print("done", flush=True)
"""


def test_a_restore_that_was_killed_can_be_repeated_and_never_brings_anybody_back(house: House, tmp_path: Path) -> None:
    erased, kept = sealed_for(house, "acc_1", "acc_2")
    copy = Path(shutil.copy(backed_up(house), tmp_path / "copy.db"))
    house.keys("privacy").destroy_subject("acc_1", "asked")
    house.close()
    for number in range(3):
        command = [sys.executable, "-c", CHILD, str(house.directory), str(copy), house.now.isoformat()]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            assert number == 0 or process.stdout.readline() == "done\n"
            time.sleep(0.007 * number)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        if number == 2:
            restore(house, copy)
        with pytest.raises(SubjectErased):
            house.keys().unseal("acc_1", "f", "r", erased)
        assert house.keys().unseal("acc_2", "f", "r", kept) == b"acc_2"
        house.close()
