"""Backups of the key store: whole, encrypted, few, and never older than the bound."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscription_services.kernel.errors import SettingsError
from subscription_services.keys import KeyPolicyRefused, KeySettings, KeyStoreDamaged, KeyUnavailable
from subscription_services.keys.backup import ALL_FOR, file_name, made_at_of, rule_of, to_remove

from .conftest import House

ROOT = Path(__file__).parents[2]


def folder(house: House) -> Path:
    return house.directory.parent / "key-backups"


def names(house: House) -> list[str]:
    return [copy.name for copy in house.keys("keys").backups().copies]


def test_a_backup_is_encrypted_private_and_counted(house: House) -> None:
    house.keys().ensure_subject("acc_1")
    made, removed = house.keys("keys").backup()
    (listed,) = house.keys("keys").backups().copies
    assert (made, removed) == (listed, 0)
    content = (folder(house) / made.name).read_bytes()
    assert (made.made_at, made.size) == (house.now, len(content))
    assert b"acc_1" not in content and not content.startswith(b"SQLite")
    assert oct((folder(house) / made.name).stat().st_mode & 0o777) == "0o600"
    assert oct(folder(house).stat().st_mode & 0o777) == "0o700"
    assert sorted(path.name for path in folder(house).iterdir()) == [made.name, "lock"]


def test_only_the_room_itself_may_copy_the_keys_and_each_copy_is_journaled(house: House) -> None:
    house.keys("keys").backup()
    with pytest.raises(KeyPolicyRefused):
        house.keys("billing").backup()
    with pytest.raises(KeyPolicyRefused):
        house.keys("billing").backups()
    assert len(names(house)) == 1
    entries = [e for batch in house.keys("ledger").drain_journal(100) for e in batch.entries if e.purpose == "backup"]
    assert {(e.caller, e.verb, e.outcome) for e in entries} >= {
        ("keys", "export", "allowed"), ("billing", "export", "refused"), ("billing", "publish", "refused"),
    }  # fmt: skip


def test_a_backup_says_when_the_next_one_is_due(house: House) -> None:
    assert house.keys("keys").backups().due_at == house.now
    house.keys("keys").backup()
    assert house.keys("keys").backups().due_at == house.now + timedelta(hours=1)


def test_no_backup_grows_older_than_the_bound(house: House) -> None:
    house.settings = KeySettings(backup_days=3, backup_minutes=240)
    for _ in range(6 * 5):
        house.keys("keys").backup()
        house.pass_time(4 * 3600)
        oldest = house.keys("keys").backups().copies[-1]
        assert house.now - oldest.made_at <= timedelta(days=3)
    assert len(house.keys("keys").backups().copies) == 6 + 2


@given(
    made=st.lists(st.integers(0, 60 * 24 * 40), unique=True),
    days=st.integers(1, 30),
)
def test_what_is_removed_and_what_stays(made: list[int], days: int) -> None:
    now = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    copies = [now - timedelta(minutes=minutes) for minutes in made]
    gone = set(to_remove(copies, now, now - timedelta(days=days)))
    kept = [at for at in copies if at not in gone]
    assert all(now - at < timedelta(days=days) for at in kept)
    older = [at.date() for at in kept if now - at >= ALL_FOR]
    assert len(older) == len(set(older))
    young = {at.date() for at in copies if now - at < timedelta(days=days)}
    assert {at.date() for at in kept} == young
    assert all(at in kept for at in copies if now - at < ALL_FOR and now - at < timedelta(days=days))


def test_names_of_other_files_are_no_backups(house: House) -> None:
    made, _ = house.keys("keys").backup()
    for name in (f"unfinished-{made.name}", "keys-yesterday.db", f"{made.name}-wal", "damaged-x.db", f"x{made.name}"):
        (folder(house) / name).write_bytes(b"x")
        assert made_at_of(name) is None
    assert names(house) == [made.name]
    assert made_at_of(made.name) == made.made_at
    house.pass_time(1)
    house.keys("keys").backup()
    assert not list(folder(house).glob("unfinished-*")) and not (folder(house) / "damaged-x.db").exists()


def test_the_place_is_chosen_but_never_among_the_keys(house: House, tmp_path: Path) -> None:
    house.settings = KeySettings(backup_directory=str(tmp_path / "elsewhere"))
    made, _ = house.keys("keys").backup()
    assert (tmp_path / "elsewhere" / made.name).exists()
    for inside in (house.directory, house.directory / "more"):
        with pytest.raises(SettingsError, match="outside"):
            rule_of(KeySettings(backup_directory=str(inside)), house.directory)


def test_a_place_that_others_may_change_is_refused(house: House) -> None:
    folder(house).mkdir(mode=0o700)
    folder(house).chmod(0o777)
    with pytest.raises(KeyUnavailable, match="chmod 700"):
        house.keys("keys").backup()


def test_a_place_that_cannot_be_written_is_said_and_leaves_the_keys_in_use(house: House, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    house.settings = KeySettings(backup_directory=str(blocked / "below"))
    with pytest.raises(KeyUnavailable, match="No backup of the keys"):
        house.keys("keys").backup()
    house.keys().ensure_subject("acc_1")


def test_a_copy_put_in_place_by_hand_is_not_opened(house: House) -> None:
    house.keys().ensure_subject("acc_1")
    made, _ = house.keys("keys").backup()
    house.close()
    (house.directory / "keys.db").write_bytes((folder(house) / made.name).read_bytes())
    with pytest.raises(KeyStoreDamaged, match="subs keys restore"):
        house.ring()


CHILD = """
import resource, signal, sys
from pathlib import Path
from subscription_services.keys import KeySettings
from tests.keys.conftest import House
house = House(Path(sys.argv[1]))
keys = house.keys("keys")
limit = int(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
print("ready", flush=True)
try:
    while True:
        house.pass_time(60)
        keys.backup()
        print("made", flush=True)
        if limit:
            break
except Exception as error:
    print(type(error).__name__, flush=True)
"""


def child(house: House, limit: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(house.directory), str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def fill(house: House, subjects: int) -> None:
    for number in range(subjects):
        house.keys().ensure_subject(f"acc_{number}")


def check_copies(house: House) -> None:
    """Whatever counts as a backup is one."""
    for name in names(house):
        house.check_copy(folder(house) / name)


def test_a_full_disk_leaves_no_half_backup(house: House) -> None:
    fill(house, 300)
    house.close()
    size = (house.directory / "keys.db").stat().st_size
    process = child(house, size // 2)
    said = process.communicate(timeout=60)[0].split()
    assert said == ["ready", "StoreFull"]
    assert names(house) == []
    assert [path.name for path in folder(house).iterdir()] == ["lock"]
    house.keys("keys").backup()
    check_copies(house)


def test_a_killed_backup_leaves_no_half_backup(house: House) -> None:
    fill(house, 300)
    house.close()
    for number in range(3):
        process = child(house, 0)
        assert process.stdout is not None
        try:
            while "made" not in process.stdout.readline():
                assert process.poll() is None
            time.sleep(0.013 * number)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
        check_copies(house)
        house.close()
    assert names(house)
    # what is left of the one that was killed goes with the next round
    half = folder(house) / f"unfinished-{file_name(house.now)}"
    half.write_bytes(os.urandom(5000))
    house.pass_time(3600 * 24)
    house.keys("keys").backup()
    assert not list(folder(house).glob("unfinished-*"))
    check_copies(house)
