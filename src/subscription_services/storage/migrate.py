"""Migrations (Alembic): one schema for both engines, moved forward at start in one transaction."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from subscription_services.kernel.errors import StartError

from .postgres import PostgresStore
from .sqlite import SqliteStore

SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 0x737562734D69


def migrate(store: SqliteStore | PostgresStore) -> str:
    """Bring the schema to this program's revision; all of it or nothing. Returns the revision. Raises StartError."""
    if isinstance(store, SqliteStore):
        with store.write_engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                _upgrade(connection)
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
    else:
        with store.write_engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            _upgrade(connection)
    return head()


def revision(store: SqliteStore | PostgresStore) -> str:
    """The revision that the database has; empty when it has none."""
    with store.reading() as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""


@cache
def head() -> str:
    """The revision that this program needs."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def check_revision(connection: Connection) -> None:
    """Raises StartError unless the schema is exactly the one that this program needs."""
    found = MigrationContext.configure(connection).get_current_revision()
    if found == head():
        return
    if found is None:
        raise StartError("The database is empty. Run: subs migrate (subs run does it by itself).")
    if not _knows(found):
        raise StartError(f"The database is newer (schema {found}) than this program. Install the newer version again.")
    raise StartError(f"The database has the older schema {found}. Run: subs migrate (subs run does it by itself).")


def _upgrade(connection: Connection) -> None:
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and not _knows(found):
        raise StartError(f"The database is newer (schema {found}) than this program. Install the newer version again.")
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _knows(revision: str) -> bool:
    return any(script.revision == revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config
