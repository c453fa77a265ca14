"""Triggers that keep the log append-only against everybody who does not drop them first; who does is found by
verification. The same on both engines; start-up asks `missing_guards`, because SQLite loses triggers silently when a
table is rebuilt.

Events leave only when they are older than the period by the database's own clock, below a recorded minimum index and
under no legal hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import DDL, Connection, Table, text
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.schema import ExecutableDDLElement

from . import model
from .model import BESIDE, LEAST_DAYS, TABLES, checkpoint, cosignature, cursor, entry, event, hold, period, tile, writer

NEVER = "1 = 1"
_FUNCTION = "ledger_refuse"
NOW = {
    "sqlite": "CAST(strftime('%s', 'now') AS INTEGER) * 1000000",
    "postgresql": "CAST(extract(epoch FROM pg_catalog.now()) * 1000000 AS bigint)",
}
"""Microseconds since 1970 by the clock of the database's machine, which no statement can move."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuses `verb` (INSERT, UPDATE, DELETE or TRUNCATE) on `table` when `when` holds for OLD and NEW.

    `looks` says that the condition reads tables, which PostgreSQL allows in a function only.
    """

    table: Table
    verb: str
    when: str
    says: str
    looks: bool = False

    @property
    def name(self) -> str:
        return f"{self.table.name}_no_{self.verb.lower()}"

    def statements(self, dialect: str) -> list[str]:
        """The statements that create it."""
        when = self.when.format(now=NOW[dialect])
        if dialect == "sqlite":
            return [
                f"CREATE TRIGGER {self.name} BEFORE {self.verb} ON {self.table.name} WHEN {when} "
                f"BEGIN SELECT RAISE(ABORT, '{self.says}'); END"
            ]
        if self.looks:
            row = "OLD" if self.verb == "DELETE" else "NEW"
            return [
                _LOOKING.format(name=self.name, when=when, says=self.says, row=row),
                f"CREATE TRIGGER {self.name} BEFORE {self.verb} ON {self.table.name} FOR EACH ROW "
                f"EXECUTE FUNCTION {self.name}()",
            ]  # fmt: skip
        scope = "FOR EACH STATEMENT" if self.verb == "TRUNCATE" else f"FOR EACH ROW WHEN ({when})"
        return [
            f"CREATE TRIGGER {self.name} BEFORE {self.verb} ON {self.table.name} {scope} "
            f"EXECUTE FUNCTION {_FUNCTION}('{self.says}')"
        ]


# the table names in the condition are those of the trigger's own schema, whatever search path the session has
_LOOKING = """
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', true);
  IF {when} THEN
    RAISE EXCEPTION USING MESSAGE = '{says}', ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN {row};
END $$"""

_GROWN = "NEW.counter <= OLD.counter OR NEW.writer <> OLD.writer"
_PREFIX = (
    "NEW.level <> OLD.level OR NEW.tile_index <> OLD.tile_index OR length(NEW.hashes) < length(OLD.hashes) "
    "OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes"
)
_KEPT = (
    f"OLD.at > {{now}} - 86400000000 * coalesce((SELECT max(days) FROM ledger_period WHERE days > {LEAST_DAYS}), "  # noqa: S608
    f"{LEAST_DAYS}) OR EXISTS (SELECT 1 FROM ledger_hold AS h WHERE h.released_at IS NULL "
    "AND (h.subject = '' OR h.subject = OLD.subject OR h.subject = OLD.actor) "
    "AND (h.since IS NULL OR OLD.at >= h.since) AND (h.until IS NULL OR OLD.at < h.until)) "
    "OR NOT EXISTS (SELECT 1 FROM ledger_entry AS e WHERE e.event_id = OLD.id "
    "AND e.log_index < (SELECT max(m.minimum) FROM ledger_minimum AS m))"
)
_ORDERED = (
    "OLD.log_index >= coalesce((SELECT max(m.minimum) FROM ledger_minimum AS m), 0) "
    "OR EXISTS (SELECT 1 FROM ledger_event AS e WHERE e.id = OLD.event_id)"
)
_RELEASED = "OLD.released_at IS NOT NULL OR NEW.released_at IS NULL OR " + " OR ".join(
    f"NEW.{column.name} IS DISTINCT FROM OLD.{column.name}"
    for column in hold.columns
    if not column.name.startswith("released_")
)
_NEWEST = (
    "NOT EXISTS (SELECT 1 FROM ledger_cosignature AS c WHERE c.witness = OLD.witness AND c.size > OLD.size)"
)  # fmt: skip
_TOO_YOUNG = "an event is kept for its whole period, and while it is held"
_REMOVED = "nothing is removed from the log"


def _again(table: Table) -> str:
    """Whether such a row is there: INSERT OR REPLACE of SQLite would remove it without asking a trigger."""
    keys = [list(table.primary_key.columns), *([[event.c.writer, event.c.counter]] if table is event else [])]
    keys += [[entry.c.event_id]] if table is entry else []
    same = " OR ".join(
        "(" + " AND ".join(f"{column.name} = NEW.{column.name}" for column in columns) + ")" for columns in keys
    )
    return f"EXISTS (SELECT 1 FROM {table.name} WHERE {same})"  # noqa: S608


_FOR_EVER = (writer, cursor, tile, checkpoint, model.minimum, period, hold)

GUARDS = (
    Guard(event, "UPDATE", NEVER, "an event of the log is never changed"),
    Guard(entry, "UPDATE", NEVER, "the order of the log is never changed"),
    Guard(checkpoint, "UPDATE", NEVER, "a signed checkpoint is never changed"),
    Guard(tile, "UPDATE", _PREFIX, "a tile of the log only grows"),
    Guard(writer, "UPDATE", _GROWN, "the counter of a writer only grows"),
    Guard(cursor, "UPDATE", _GROWN, "the cursor of a writer only grows"),
    Guard(model.minimum, "UPDATE", NEVER, "the lowest index of the log is never changed"),
    Guard(period, "UPDATE", "NEW.days < OLD.days OR NEW.place <> OLD.place", "the log is never kept for less time"),
    Guard(hold, "UPDATE", _RELEASED, "a legal hold on the log is only released, once"),
    Guard(cosignature, "UPDATE", NEVER, "a cosignature of the log is never changed"),
    Guard(event, "DELETE", _KEPT, _TOO_YOUNG, looks=True),
    Guard(entry, "DELETE", _ORDERED, _REMOVED, looks=True),
    Guard(cosignature, "DELETE", _NEWEST, "the newest cosignature of a witness stays in the log", looks=True),
    *(Guard(table, "DELETE", NEVER, _REMOVED) for table in _FOR_EVER),
    *(Guard(table, "INSERT", _again(table), "nothing in the log is replaced") for table in (*TABLES, *BESIDE)),
    *(Guard(table, "TRUNCATE", NEVER, _REMOVED) for table in (*TABLES, *BESIDE)),
)
_NOT_ON = {"sqlite": "TRUNCATE", "postgresql": "INSERT"}
"""What an engine does not have: SQLite no TRUNCATE, PostgreSQL no insert that removes another row."""

REFUSE = f"""
CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'integrity_constraint_violation'; END $$"""


def guard_statements(dialect: str) -> list[str]:
    """What a migration runs after the tables are there, for "sqlite" or "postgresql"."""
    created = [statement for guard in _guards(dialect) for statement in guard.statements(dialect)]
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


def database_now(connection: Connection) -> int:
    """Microseconds since 1970 by the database's own clock."""
    return int(connection.execute(text(f"SELECT {NOW[connection.dialect.name]}")).scalar_one())


def _guards(dialect: str) -> Iterator[Guard]:
    for guard in GUARDS:
        if guard.verb != _NOT_ON[dialect]:
            yield guard


def _ddl(statement: str, dialect: str) -> ExecutableDDLElement:
    return DDL(statement.replace("%", "%%")).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]


def _create_with_tables() -> None:
    """`metadata.create_all` makes the guards with the tables, so that no test runs without them."""
    for table in (*TABLES, *BESIDE):
        # before the first of whichever table comes first
        sqlalchemy_event.listen(table, "after_create", _ddl(REFUSE, "postgresql"))
        for dialect in ("sqlite", "postgresql"):
            for guard in _guards(dialect):
                if guard.table is table:
                    for statement in guard.statements(dialect):
                        sqlalchemy_event.listen(table, "after_create", _ddl(statement, dialect))


_create_with_tables()
