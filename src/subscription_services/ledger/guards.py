"""Triggers that keep the log append-only against everybody who does not drop them first; who does is found by
verification. The same on both engines; start-up asks `missing_guards`, because SQLite loses triggers silently when a
table is rebuilt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import DDL, Connection, Table, text
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.schema import ExecutableDDLElement

from .model import TABLES, checkpoint, cursor, entry, event, tile, writer

NEVER = "1 = 1"
_FUNCTION = "ledger_refuse"


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuses `verb` (UPDATE, DELETE or TRUNCATE) on `table` when `when` holds for OLD and NEW."""

    table: Table
    verb: str
    when: str
    says: str

    @property
    def name(self) -> str:
        return f"{self.table.name}_no_{self.verb.lower()}"

    def statement(self, dialect: str) -> str:
        """The statement that creates it."""
        if dialect == "sqlite":
            return (
                f"CREATE TRIGGER {self.name} BEFORE {self.verb} ON {self.table.name} WHEN {self.when} "
                f"BEGIN SELECT RAISE(ABORT, '{self.says}'); END"
            )
        scope = "FOR EACH STATEMENT" if self.verb == "TRUNCATE" else f"FOR EACH ROW WHEN ({self.when})"
        return (
            f"CREATE TRIGGER {self.name} BEFORE {self.verb} ON {self.table.name} {scope} "
            f"EXECUTE FUNCTION {_FUNCTION}('{self.says}')"
        )


_GROWN = "NEW.counter <= OLD.counter OR NEW.writer <> OLD.writer"
_PREFIX = (
    "NEW.level <> OLD.level OR NEW.tile_index <> OLD.tile_index OR length(NEW.hashes) < length(OLD.hashes) "
    "OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes"
)

GUARDS = (
    Guard(event, "UPDATE", NEVER, "an event of the log is never changed"),
    Guard(entry, "UPDATE", NEVER, "the order of the log is never changed"),
    Guard(checkpoint, "UPDATE", NEVER, "a signed checkpoint is never changed"),
    Guard(tile, "UPDATE", _PREFIX, "a tile of the log only grows"),
    Guard(writer, "UPDATE", _GROWN, "the counter of a writer only grows"),
    Guard(cursor, "UPDATE", _GROWN, "the cursor of a writer only grows"),
    *(Guard(table, "DELETE", NEVER, "nothing is removed from the log") for table in TABLES),
    *(Guard(table, "TRUNCATE", NEVER, "nothing is removed from the log") for table in TABLES),
)

REFUSE = f"""
CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'integrity_constraint_violation'; END $$"""


def guard_statements(dialect: str) -> list[str]:
    """What a migration runs after the tables are there, for "sqlite" or "postgresql"."""
    created = [guard.statement(dialect) for guard in _guards(dialect)]
    return created if dialect == "sqlite" else [REFUSE, *created]


def drop_statements(dialect: str) -> list[str]:
    """The opposite, for a migration that rebuilds a table."""
    on = {guard.name: "" if dialect == "sqlite" else f" ON {guard.table.name}" for guard in _guards(dialect)}
    return [f"DROP TRIGGER IF EXISTS {name}{table}" for name, table in on.items()]


def missing_guards(connection: Connection) -> list[str]:
    """Names of the triggers that are not there, or are switched off; empty when all is well."""
    dialect = connection.dialect.name
    if dialect == "sqlite":
        statement = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    else:
        statement = (
            "SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE pg_table_is_visible(c.oid) AND t.tgenabled IN ('O', 'A')"
        )
    present = set(connection.execute(text(statement)).scalars())
    return [guard.name for guard in _guards(dialect) if guard.name not in present]


def _guards(dialect: str) -> Iterator[Guard]:
    for guard in GUARDS:
        if dialect != "sqlite" or guard.verb != "TRUNCATE":
            yield guard


def _ddl(statement: str, dialect: str) -> ExecutableDDLElement:
    return DDL(statement).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]


def _create_with_tables() -> None:
    """`metadata.create_all` makes the guards with the tables, so that no test runs without them."""
    sqlalchemy_event.listen(TABLES[0], "after_create", _ddl(REFUSE, "postgresql"))
    for table in TABLES:
        for dialect in ("sqlite", "postgresql"):
            for guard in _guards(dialect):
                if guard.table is table:
                    statement = _ddl(guard.statement(dialect), dialect)
                    sqlalchemy_event.listen(table, "after_create", statement)


_create_with_tables()
