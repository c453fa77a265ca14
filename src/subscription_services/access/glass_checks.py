"""Whether every broken glass stands where it can be seen and is reviewed in time: the log against the rows."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from subscription_services.kernel.checks import Finding, Verdict
from subscription_services.kernel.ports import Keys
from subscription_services.ledger import queries as ledger

from . import row_codes
from .glass_model import glass

LOOKED_BACK = timedelta(days=90)


def glass_is_reviewed(connection: Connection, keys: Keys, now: datetime) -> Finding:
    """Nobody hid that the glass was broken, and no review is late. `keys` are those of the caller "access"."""
    opened = ledger.Search(action="access.break_glass", outcome="success", since=now - LOOKED_BACK)
    found = ledger.search(connection, opened, limit=ledger.LARGEST_PAGE).found
    rows = {row.id: row for row in connection.execute(select(glass))}
    for item in found:
        row = rows.get(item.event.object)
        if row is None or not row_codes.is_ours(keys, glass.name, row_codes.GLASS, row):
            says = "The glass was broken, and what is stored of it is missing or was changed."
            return Finding(Verdict.BROKEN, says, {"event": item.event.id})
    for row in rows.values():
        if row.closed_at is not None and row.started_at > now - LOOKED_BACK and not _closed(connection, row.id):
            says = "A review is marked as closed, and the log knows of nobody who closed it."
            return Finding(Verdict.BROKEN, says, {"glass": row.id})
    late = [row.id for row in rows.values() if row.closed_at is None and row.due_at <= now]
    evidence: dict[str, str | int] = {"broken": len(found), "late": len(late)}
    if late:
        return Finding(Verdict.BROKEN, "The glass was broken, and nobody reviewed it in time.", evidence)
    return Finding(Verdict.KEPT, "Every time that the glass was broken is reviewed, or not due yet.", evidence)


def _closed(connection: Connection, identifier: str) -> bool:
    wanted = ledger.Search(action="access.close_glass_review", object=identifier, outcome="success")
    return bool(ledger.search(connection, wanted, limit=1).found)
