"""Live checks of the room's promises that need nothing but the log itself."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError

from subscription_services.kernel.actors import System
from subscription_services.kernel.checks import Check, Doors, Finding, Verdict
from subscription_services.kernel.columns import from_microseconds
from subscription_services.kernel.context import Context
from subscription_services.kernel.operations import Change, SystemOnly, operation
from subscription_services.kernel.perform import perform
from subscription_services.kernel.ports import ReadStore
from subscription_services.kernel.transaction import Transaction

from . import model
from .guards import database_now, missing_guards
from .minimum import minimum_index
from .retention import open_holds, stored_days
from .settings import LedgerSettings

ACTOR = System("ledger.checks")
_NEWEST = "(SELECT e.event_id FROM ledger_entry AS e WHERE e.log_index = (SELECT max(log_index) FROM ledger_entry))"
DOORS = {
    "remove the newest event": f"DELETE FROM ledger_event WHERE id = {_NEWEST}",  # noqa: S608
    "remove it from the order": "DELETE FROM ledger_entry WHERE log_index = (SELECT max(log_index) FROM ledger_entry)",
    "date it back": f"UPDATE ledger_event SET at = 0 WHERE id = {_NEWEST}",  # noqa: S608
    "shorten the period": "UPDATE ledger_period SET days = days - 1",
    "forget the checkpoint": "DELETE FROM ledger_checkpoint",
}
"""What is tried on the very connection that may write; every try is undone, also one that succeeded."""


class ProbeRetention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Probed(msgspec.Struct, frozen=True):
    """`open` names the tries that the database did not refuse; all were undone."""

    tried: int
    open: list[str]


@operation("ledger.probe_retention", by=[SystemOnly("the live check of log.retention")])
def probe_retention(tx: Transaction, ctx: Context, request: ProbeRetention) -> Change[Probed]:
    """Try to remove a young event by every statement that could; the database must refuse each."""
    found = [name for name, statement in DOORS.items() if not _refused(tx.connection, statement)]
    return Change(None, Probed(len(DOORS), found), details={"tried": len(DOORS), "open": found})


OPERATIONS = (probe_retention,)


def checks() -> list[Check]:
    """The room's checks; that of log.tamper-evident stands with the foundation's."""
    return [
        Check(
            "log.retention",
            "On the connection that may write we try to remove the newest event, to take it out of the order, to date "
            "it back and to shorten the period: the database itself must refuse each try. A reader's connection must "
            "refuse as well, every protecting trigger must be there, and the period must be 90 days or more.",
            _events_stay,
            timedelta(minutes=15),
        )
    ]


async def _events_stay(doors: Doors) -> Finding:
    store, wanted = doors.kernel.store, doors.settings.of(LedgerSettings).retention_days
    probed: Probed = await perform(doors.kernel, probe_retention, ACTOR, ProbeRetention())
    return await asyncio.to_thread(_finding, store, wanted, probed)


def _finding(store: ReadStore, wanted: int, probed: Probed) -> Finding:
    with store.reading() as connection:
        days, minimum, missing = stored_days(connection) or 0, minimum_index(connection), missing_guards(connection)
        oldest = connection.execute(select(func.min(model.event.c.at))).scalar()
        now = from_microseconds(database_now(connection))
        holds = len(open_holds(connection))
    readers = _reader_is_refused(store)
    evidence: dict[str, str | int] = {
        "period_in_days": days, "tries": probed.tried + 1, "tries_not_refused": len(probed.open) + (not readers),
        "missing_triggers": len(missing), "lowest_readable_entry": minimum, "legal_holds": holds,
        "age_of_the_oldest_entry_in_days": max(0, (now - oldest).days) if oldest else 0,
    }  # fmt: skip
    if probed.open or not readers:
        where = probed.open[0] if probed.open else "remove events on a reader's connection"
        return Finding(Verdict.BROKEN, f"The database let us {where}; we undid it.", evidence)
    if missing:
        return Finding(Verdict.BROKEN, "Triggers that keep events are gone.", evidence)
    if days < max(wanted, model.LEAST_DAYS):
        return Finding(Verdict.BROKEN, f"The database keeps events for {days} days only.", evidence)
    says = f"Events are kept for {days} days; the database refused every try to remove a younger one."
    return Finding(Verdict.KEPT, says, evidence)


def _refused(connection: Connection, statement: str) -> bool:
    connection.exec_driver_sql("SAVEPOINT ledger_probe")
    try:
        connection.execute(text(statement))
    except DBAPIError:
        return True
    else:
        return False
    finally:
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT ledger_probe")
        connection.exec_driver_sql("RELEASE SAVEPOINT ledger_probe")


def _reader_is_refused(store: ReadStore) -> bool:
    with store.reading() as connection:
        try:
            connection.execute(text(DOORS["remove the newest event"]))
        except DBAPIError:
            return True
        connection.rollback()
        if store.dialect == "sqlite":
            # the store began this transaction itself and ends it itself
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("BEGIN")
        return False
