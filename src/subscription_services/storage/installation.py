"""What an installation is for ever: a sandbox, or a real one. Written at its first start, never changed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, Column, Connection, Integer, String, Table, insert, select

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.errors import StartError
from subscription_services.kernel.model import metadata

installation = Table(
    "storage_installation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sandbox", Boolean, nullable=False),
    Column("log_origin", String(255), nullable=False),  # the log's name for ever, whatever the host is called later
    Column("made_at", Instant, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)


def stamp(connection: Connection, sandbox: bool, log_origin: str, now: datetime) -> bool:
    """Stamp a new database; check an old one. Returns whether it was new. Raises StartError where they differ."""
    row = connection.execute(select(installation)).one_or_none()
    if row is None:
        connection.execute(insert(installation).values(id=1, sandbox=sandbox, log_origin=log_origin, made_at=now))
        return True
    check(row.sandbox, sandbox)
    return False


def check_stamp(connection: Connection, sandbox: bool) -> None:
    """Raises StartError unless the database was made for this mode."""
    found = connection.execute(select(installation.c.sandbox)).scalar_one_or_none()
    if found is None:
        raise StartError("The database was never started. Run: subs run")
    check(found, sandbox)


def log_origin_of(connection: Connection) -> str | None:
    """The name of this installation's log; None before its first start."""
    return connection.execute(select(installation.c.log_origin)).scalar_one_or_none()


def check(found: bool, wanted: bool) -> None:
    if found and not wanted:
        raise StartError("This database is a sandbox for ever; a real installation needs an empty one (SUBS_DATA).")
    if wanted and not found:
        raise StartError("This database is real; the sandbox must not touch it. Use another SUBS_DATA or database.")
