"""After an erasure nothing opens what was sealed for the person: not the database or a copy of it, not the log, not a
backup of the keys however it is restored, not what another process remembers. Everybody else's still opens."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlcipher3
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from subscription_services.identity.operations.profile import ChangeName
from subscription_services.kernel.clock import system_random
from subscription_services.kernel.errors import SubjectErased
from subscription_services.kernel.idempotency import SEAL_ID, parted
from subscription_services.kernel.model import metadata
from subscription_services.keys import KeyRing, KeySettings, open_embedded, restoring
from subscription_services.keys.errors import BackupRefused
from subscription_services.keys.roots.file import read_root
from subscription_services.ledger import personal_fields
from subscription_services.ledger.entries import decode_entry
from subscription_services.storage.sealed import sealed_columns, subject_of
from subscription_services.testing import PostgresServer, World

Rows = Mapping[str, list[Any]]
PEOPLE = 3
BOUND = timedelta(days=KeySettings().backup_days)


def everything(world: World) -> Rows:
    """All rows of the database as they are stored: what a logical backup holds."""
    world.events()
    with world.house.store.reading() as connection:
        return {table.name: list(connection.execute(select(table))) for table in metadata.sorted_tables}


def sealed_values(rows: Rows) -> Iterator[tuple[str, str, str, str, bytes]]:
    """Caller, subject, seal id, row and value of everything that is sealed in these rows."""
    for table in metadata.sorted_tables:
        columns = sealed_columns(table)
        for row in rows[table.name] if columns else []:
            values = dict(row._mapping)
            (key,) = table.primary_key.columns
            for name, seal_id in columns.items():
                if values[name] is not None:
                    room = table.name.partition("_")[0]
                    yield room, subject_of(table, values), seal_id, str(values[key.name]), values[name]
    for row in rows["kernel_idempotency"]:
        owner, sealed = parted(row.answer)
        yield "kernel", owner, SEAL_ID, row.key.hex(), sealed


def opened(ring: KeyRing, rows: Rows) -> Counter[str]:
    """How many values of each subject open."""
    found: Counter[str] = Counter()
    for caller, subject, seal_id, row, value in sealed_values(rows):
        try:
            ring.for_caller(caller).unseal(subject, seal_id, row, value)
        except SubjectErased:
            found[subject] += 0
        else:
            found[subject] += 1
    for item in rows["ledger_event"]:
        event = decode_entry(item.payload).event
        found[f"log {event.sealed_for}"] += len(personal_fields(ring.for_caller("ledger"), event))
    return found


def check(ring: KeyRing, rows: Rows, people: list[str], erased: set[str]) -> None:
    found = opened(ring, rows)
    for person in people:
        for name in (person, f"log {person}"):
            assert name in found
            assert (found[name] == 0) == (person in erased), name


@contextmanager
def keys_of(world: World, directory: Path) -> Iterator[KeyRing]:
    ring = open_embedded(directory, KeySettings(erasure_notice=0), world.clock, system_random)
    try:
        yield ring
    finally:
        ring.close()


def check_backups(world: World, rows: Rows, people: list[str], erased: set[str], scratch: Path) -> int:
    """Restore every backup there is beside the list of erasures, each into a directory of its own."""
    keys = world.house.ring.for_caller("keys")
    data = Path(world.house.ring.for_caller("keys").backups().place).parent
    copies = keys.backups().copies
    for number, copy in enumerate(copies):
        target = scratch / str(number)
        target.mkdir(parents=True, mode=0o700)
        for name in ("root.key", "erasures.log"):
            shutil.copy(data / "keys" / name, target / name)
        source = data / "key-backups" / copy.name
        try:
            with restoring(target, source, KeySettings(), world.clock, system_random) as staged:
                staged.put_in_place(world.clock())
        except BackupRefused:
            # nobody made a backup since, which would have removed this one
            assert world.clock() - copy.made_at > BOUND
            continue
        assert world.clock() - copy.made_at <= BOUND
        with keys_of(world, target) as ring:
            check(ring, rows, people, erased)
    shutil.rmtree(scratch, ignore_errors=True)
    return len(copies)


def populate(world: World) -> list[str]:
    people = []
    for number in range(PEOPLE):
        person = world.subscriber(f"number{number}@example.org")
        world.do("identity.change_name", person, ChangeName(f"Number {number}"), idempotency_key=f"key-{number}")
        people.append(person.id)
    return people


@pytest.fixture
def inhabited(place: tuple[Path, str]) -> tuple[Path, str, list[str]]:
    with World.open(*place) as world:
        return *place, populate(world)


STEPS = st.lists(
    st.tuples(st.sampled_from(["erase", "backup", "copy", "read", "days"]), st.integers(0, PEOPLE - 1)),
    min_size=3, max_size=9,
)  # fmt: skip


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
@example(steps=[("days", 0)] * 5)
def test_whatever_came_before_the_erased_open_nowhere(
    inhabited: tuple[Path, str, list[str]], tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    data, database, people = inhabited
    home = tmp_path_factory.mktemp("house")
    shutil.copytree(data, home / "data")
    name = f"erasure_{os.urandom(6).hex()}"
    server: PostgresServer | None = request.getfixturevalue("postgres") if database else None
    url = server.create(name, database.partition("@/")[2].partition("?")[0]) if server else ""
    erased: set[str] = set()
    try:
        with World.open(home / "data", url) as world, keys_of(world, home / "data" / "keys") as other:
            copies = [everything(world)]
            world.house.ring.for_caller("keys").backup()
            check(other, copies[0], people, set())
            for step, number in [("backup", 0), *steps, ("erase", steps[0][1])]:
                world.clock.advance(minutes=7)
                if step == "erase":
                    world.house.ring.for_caller("privacy").destroy_subject(people[number], "asked")
                    erased.add(people[number])
                elif step == "backup":
                    world.house.ring.for_caller("keys").backup()
                elif step == "copy":
                    copies.append(everything(world))
                elif step == "read":
                    check(other, copies[-1], people, erased)
                else:
                    world.clock.advance(days=2)
            for rows in (*copies, everything(world)):
                check(world.house.ring, rows, people, erased)
                check(other, rows, people, erased)
            assert check_backups(world, copies[-1], people, erased, home / "scratch") >= 1
    finally:
        if server:
            server.drop(name)
        shutil.rmtree(home)


def test_a_database_put_back_from_before_the_erasure_does_not_open(
    inhabited: tuple[Path, str, list[str]], request: pytest.FixtureRequest
) -> None:
    data, database, people = inhabited
    name = f"before_{os.urandom(6).hex()}"
    server: PostgresServer | None = request.getfixturevalue("postgres") if database else None
    before = ""
    if server:
        before = server.create(name, database.partition("@/")[2].partition("?")[0])
    else:
        shutil.copy(data / "store.db", data.parent / "before.db")
    with World.open(data, database) as world:
        world.house.ring.for_caller("privacy").destroy_subject(people[0], "asked")
    if not server:
        shutil.copy(data.parent / "before.db", data / "store.db")
    with World.open(data, before or database) as world:
        check(world.house.ring, everything(world), people, {people[0]})
    if server:
        server.drop(name)


def test_after_the_bound_no_backup_holds_even_the_wrapped_key(inhabited: tuple[Path, str, list[str]]) -> None:
    data, database, people = inhabited
    with World.open(data, database) as world:
        keys = world.house.ring.for_caller("keys")
        keys.backup()
        assert [held(world, copy.name, people[0]) for copy in keys.backups().copies] == [1]
        world.house.ring.for_caller("privacy").destroy_subject(people[0], "asked")
        erased_at = world.clock()
        while (world.clock() - erased_at).days < 7:
            world.clock.advance(hours=6)
            keys.backup()
        assert len(keys.backups().copies) > 5
        assert sum(held(world, copy.name, people[0]) for copy in keys.backups().copies) == 0
        assert all(held(world, copy.name, people[1]) for copy in keys.backups().copies)


def held(world: World, copy: str, subject: str) -> int:
    """How many rows of the subject's keys are in the copy itself, tombstones or not."""
    place = Path(world.house.ring.for_caller("keys").backups().place)
    connection = sqlcipher3.connect(str(place / copy))
    try:
        connection.execute(f"PRAGMA key = \"x'{read_root(place.parent / 'keys' / 'root.key').store_key().hex()}'\"")
        rows = connection.execute("SELECT count(*) FROM data_key WHERE name = ?", (subject,)).fetchone()
        return int(rows[0])
    finally:
        connection.close()
