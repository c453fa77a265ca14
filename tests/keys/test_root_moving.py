"""Moving from one root to another: between all kinds, and killed at every line of it."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from subscription_services.keys import KeySettings, KeyUnavailable, RootKeyMissing, RootKeyWrong, Verb, durable
from subscription_services.keys.roots import belonging, moving
from subscription_services.keys.roots.address import parse
from subscription_services.keys.roots.moving import move_root

from .conftest import House
from .root_fixtures import KINDS
from .root_holders import Holder


def move(house: House, to: str) -> moving.Moved:
    return move_root(house.directory, house.settings, parse(to), lambda: house.now, house.random)


def filled(house: House) -> dict[str, bytes]:
    keys, values = house.keys(), {}
    for number in range(3):
        keys.ensure_subject(f"acc_{number}")
        values[f"acc_{number}"] = keys.seal(f"acc_{number}", "f", "r", b"x")
    house.keys("keys").rotate("subject")
    keys.ensure_subject("acc_new")
    values["acc_new"] = keys.seal("acc_new", "f", "r", b"x")
    house.keys("ledger").sign("ledger.checkpoint", b"m")
    house.close()
    return values


def opens(house: House, root: str, values: dict[str, bytes]) -> bool:
    """Whether the store opens with this root, and then with everything in it."""
    house.settings = KeySettings(root=root)
    try:
        keys = house.keys()
    except RootKeyWrong:
        return False
    assert all(keys.unseal(subject, "f", "r", value) == b"x" for subject, value in values.items())
    keys.ensure_subject("acc_after")
    house.close()
    return True


@pytest.mark.parametrize("holder", KINDS, indirect=True)
def test_a_store_moves_to_every_kind_of_root_and_back(house: House, holder: Holder) -> None:
    values = filled(house)
    target = holder.new()
    moved = move(house, target)
    assert moved.keys >= 4
    assert not opens(house, "file:", values)
    assert opens(house, target, values)
    move(house, "file:")
    assert not opens(house, target, values)
    assert opens(house, "file:", values)


def test_the_move_stands_in_the_journal_and_in_a_backup(house: House, tmp_path: Path) -> None:
    filled(house)
    target = Holder("file", tmp_path).new()
    moved = move(house, target)
    assert (tmp_path / "key-backups" / moved.copy).is_file()
    assert moved.left != moved.to
    house.settings = KeySettings(root=target)
    entries = [
        entry for batch in house.keys("ledger").drain_journal(10_000) for entry in batch.entries
        if entry.purpose == "root"
    ]  # fmt: skip
    assert [(e.caller, e.verb, e.name, e.count) for e in entries] == [("keys", Verb.ROTATE, moved.to, 1)]


def test_a_used_store_does_not_move(house: House, tmp_path: Path) -> None:
    filled(house)
    target = Holder("file", tmp_path).new()
    house.ring()
    with pytest.raises(KeyUnavailable, match="stop the service"):
        move(house, target)
    house.close()
    assert move(house, target).keys


def test_a_target_that_is_not_there_changes_nothing(house: House, tmp_path: Path) -> None:
    values = filled(house)
    before = {path.name: path.read_bytes() for path in house.directory.iterdir()}
    with pytest.raises(RootKeyMissing):
        move(house, f"file:{tmp_path}/none.key")
    assert {path.name: path.read_bytes() for path in house.directory.iterdir()} == before
    assert opens(house, "file:", values)


def test_only_the_root_of_the_store_can_move_it(house: House, tmp_path: Path) -> None:
    filled(house)
    files = Holder("file", tmp_path)
    target = files.new()
    house.settings = KeySettings(root=target)
    with pytest.raises(RootKeyWrong):
        move(house, files.new())
    house.settings = KeySettings()
    move(house, target)
    with pytest.raises(RootKeyWrong, match="last opened with"):
        move(house, files.new())


def test_nothing_that_the_old_root_opens_is_left_in_the_store(house: House, tmp_path: Path) -> None:
    filled(house)
    with house.direct() as store:
        old = [bytes(row[0]) for row in store.execute("SELECT wrapped FROM kek")]
    target = Holder("file", tmp_path).new()
    move(house, target)
    with house.direct() as store:  # the store's own key stays
        assert not {bytes(row[0]) for row in store.execute("SELECT wrapped FROM kek")} & set(old)
    assert not (house.directory / "keys.db-wal").exists() or not (house.directory / "keys.db-wal").stat().st_size


@pytest.mark.parametrize("holder", ["vault"], indirect=True)
def test_moving_to_the_same_root_takes_its_newest_version(house: House, holder: Holder) -> None:
    assert holder.server is not None
    target = holder.new()
    house.settings = KeySettings(root=target)
    values = filled(house)
    key = next(iter(holder.server.keys.values()))
    key.versions.append(os.urandom(32))
    move(house, target)
    key.min_decryption_version = 2
    assert opens(house, target, values)
    key.min_decryption_version = 3
    with pytest.raises(KeyUnavailable, match="min_decryption_version"):
        house.ring()


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory that needs no disk, where there is one: a process that is killed loses nothing it wrote there."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as directory:
        yield Path(directory)


def test_killed_anywhere_one_of_the_two_roots_opens_it(memory: Path) -> None:
    house, tmp_path = House(memory / "keys"), memory
    values = filled(house)
    target = Holder("file", tmp_path).new()
    start, copies = tmp_path / "start", tmp_path / "key-backups"
    shutil.copytree(house.directory, start)
    states: set[bytes] = set()
    outcomes: list[bool] = []
    for line in itertools.count():
        for directory in (house.directory, copies):
            shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(start, house.directory)
        house.settings = KeySettings()
        ended = _killed(house, target, line)
        state = hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in _files(tmp_path))).digest()
        if state not in states:
            states.add(state)
            with_new = opens(house, target, values)
            assert with_new is not opens(house, "file:", values), f"killed at line {line}: new root {with_new}"
            if not with_new:  # the same command, once more, moves it
                move(house, target)
                assert opens(house, target, values)
            outcomes.append(with_new)
        if ended:
            break
    assert line > 60 and set(outcomes) == {True, False} and outcomes == sorted(outcomes)


def _files(directory: Path) -> list[Path]:
    return [path for path in sorted(directory.rglob("*")) if path.is_file() and "start" not in path.parts]


def _killed(house: House, target: str, line: int) -> bool:
    """Move in a child that is gone at the given line of our code; True when it got to the end first."""
    files = {moving.__file__, belonging.__file__, durable.__file__}
    child = os.fork()
    if child == 0:
        left = line

        def trace(frame: FrameType, event: str, value: Any) -> Any:
            nonlocal left
            if frame.f_code.co_filename not in files:
                return None
            if event == "line":
                if left == 0:
                    os._exit(9)
                left -= 1
            return trace

        try:
            sys.settrace(trace)
            move(house, target)
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9)
    return status == 0
