"""Schema and stamp at start-up: clear words for what is empty, newer, another mode's, or has lost its guards."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from subscription_services import app
from subscription_services.kernel.errors import StartError
from subscription_services.kernel.settings import Settings
from subscription_services.ledger.guards import drop_statements
from subscription_services.storage.migrate import head
from subscription_services.testing import World
from subscription_services.testing.world import FAST


def settings_of(data: Path, database: str, **more: str) -> Settings:
    return app.read_settings({**FAST, "SUBS_DATA": str(data), "SUBS_DATABASE": database, **more})


def change(data: Path, database: str, *statements: str) -> None:
    with World.open(data, database) as world:
        world.write(lambda connection: [connection.execute(text(statement)) for statement in statements])


def test_preparing_twice_changes_nothing(place: tuple[Path, str]) -> None:
    assert app.prepare(settings_of(*place)) == head()
    with World.open(*place) as world:
        assert len(world.events("subscriptions.seed_catalogue")) == 1


def test_a_newer_database_is_refused_and_left_alone(place: tuple[Path, str]) -> None:
    change(*place, "UPDATE alembic_version SET version_num = '9999'")
    for start in (app.prepare, app.build):
        with pytest.raises(StartError, match="newer"):
            start(settings_of(*place))


def test_an_empty_database_is_refused_by_everything_but_prepare(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="empty"):
        app.build(settings_of(tmp_path, ""))


def test_a_sandbox_never_becomes_real(place: tuple[Path, str]) -> None:
    real = {"SUBS_SANDBOX": "false", "SUBS_BILLING_PROCESSOR_URL": "", "SUBS_IDENTITY_BCRYPT_COST": "12"}
    data, database = place
    for start in (app.prepare, app.build):
        with pytest.raises(StartError, match="sandbox for ever"):
            start(settings_of(data, database, **real))


def test_lost_guards_are_named(place: tuple[Path, str], engine: str) -> None:
    dialect = "sqlite" if engine == "sqlite" else "postgresql"
    change(*place, drop_statements(dialect)[0])
    with pytest.raises(StartError, match="lost triggers"):
        app.build(settings_of(*place))


def test_a_database_that_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="does not answer"):
        app.build(settings_of(tmp_path, "postgresql://nobody@127.0.0.1:9/none"))


def test_another_root_key_does_not_open_the_store(place: tuple[Path, str]) -> None:
    data, database = place
    root = data / "keys" / "root.key"
    root.write_bytes(bytes(reversed(root.read_bytes())))
    with pytest.raises(Exception, match=r"(?i)wrong key"):
        app.build(settings_of(data, database))
