"""An installation from before reviews: what stood without an end gets one, and the change locks nobody out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import text

from subscription_services.storage.migrate import _config, migrate
from subscription_services.storage.postgres import PostgresStore
from subscription_services.storage.sqlite import SqliteStore
from subscription_services.testing import PostgresServer

DAY = 24 * 3600 * 1_000_000


@pytest.fixture
def before(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SqliteStore | PostgresStore]:
    """A store with the schema just before, empty."""
    if engine == "sqlite":
        store: SqliteStore | PostgresStore = SqliteStore(tmp_path / "house.db", bytes(32))
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        store = PostgresStore(server.create("before_reviews"))
    with store.write_engine.connect() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0012")
        connection.commit()
    yield store
    store.close()
    if engine != "sqlite":
        server.drop("before_reviews")


def test_what_stood_without_an_end_is_as_if_given_today(before: SqliteStore | PostgresStore) -> None:
    grant = (
        "INSERT INTO access_grant (id, account, role, granted_by, granted_at, ends_at, ended_at, ended_by, reason)"
        " VALUES (:id, :account, :role, 'x', 1, :ends_at, :ended_at, :ended_by, :reason)"
    )
    rows: list[dict[str, Any]] = [
        {"id": "one", "role": "administrator", "ends_at": None, "ended_at": None, "ended_by": None},
        {"id": "two", "role": "support", "ends_at": None, "ended_at": 5, "ended_by": "y"},
        {"id": "three", "role": "support", "ends_at": 9, "ended_at": None, "ended_by": None},
    ]
    program = (
        "INSERT INTO access_service_account (id, name, owner, state, created_by, created_at, expires_at)"
        " VALUES ('svc', 'Old', 'o', 'active', 'o', 1, 2)"
    )
    with before.write_engine.connect() as connection:
        for row in rows:
            connection.execute(text(grant), {**row, "account": row["id"], "reason": b"sealed"})
        connection.execute(text(program))
        connection.commit()
    migrate(before)
    now = time.time() * 1_000_000
    with before.reading() as connection:
        found = {
            row.id: row for row in connection.execute(text("SELECT id, standing, ends_at, ended_by FROM access_grant"))
        }
        confirmed = connection.execute(text("SELECT confirmed_until FROM access_service_account")).scalar_one()
    assert {name: bool(row.standing) for name, row in found.items()} == {"one": True, "two": True, "three": False}
    assert found["one"].ends_at == pytest.approx(now + 44 * DAY, abs=DAY)
    assert (found["two"].ended_by, found["three"].ends_at) == ("y", 9)
    assert confirmed == pytest.approx(now + 104 * DAY, abs=DAY)
