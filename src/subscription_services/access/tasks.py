"""Tasks that lend operations for a while: their rows, and what was done under one by what the log says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection, Row, func, select, update

from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound, SubjectErased
from subscription_services.kernel.personal import ColleagueName, FieldKind, Personal
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.ledger import queries as ledger
from subscription_services.storage.rows import open_row

from . import accounts, row_codes
from .authority import decode_scopes, lends_under
from .errors import TaskEnded
from .task_model import TaskEnd, task

SHOWN = 100
RECORDED = 500
"""As many entries as the page of a task shows."""


class About(StrEnum):
    """What a task is about."""

    SUBSCRIBER = "subscriber"
    SUBSCRIPTION = "subscription"
    INVOICE = "invoice"
    INCIDENT = "incident"
    RESTORE = "restore"
    OTHER = "other"


class State(StrEnum):
    ASKED = "asked"
    OPEN = "open"
    OVER = "over"  # its time is up
    REFUSED = "refused"
    CLOSED = "closed"
    REVOKED = "revoked"


class Task(msgspec.Struct, frozen=True):
    """`operations` are those that it lends; empty means all that `role` may do. It never lends what code does not allow
    to that role."""

    id: str
    account: str
    name: ColleagueName
    title: Annotated[str, Personal(FieldKind.TEXT, of="account")]
    about_kind: str
    about: str
    role: Role
    operations: list[str]
    state: State
    asked_at: datetime
    ends_at: datetime
    granted_at: datetime | None
    granted_by: str | None
    granter: ColleagueName
    ended_at: datetime | None
    ended_by: str | None


class Tasks(msgspec.Struct, frozen=True):
    """`mine` are the asker's own; `to_grant` wait for somebody to decide; `open` are other people's that are open."""

    mine: list[Task]
    to_grant: list[Task]
    open: list[Task]


def task_row(tx: ReadTransaction, identifier: str, *, held: bool = False) -> Row[Any]:
    """The row, held until the commit when asked. Raises NotFound."""
    found = select(task).where(task.c.id == identifier)
    row = tx.connection.execute(found.with_for_update() if held else found).one_or_none()
    if row is None:
        raise NotFound()
    return row


def holder_of(tx: ReadTransaction, ctx: Context, request: Any) -> str:
    """Whose task it is, as the subject of operations about it."""
    return str(task_row(tx, request.id).account)


def open_task_row(tx: Transaction, ctx: Context, identifier: str) -> Row[Any]:
    """A task that has not ended, held until the commit. Raises NotFound, TaskEnded."""
    row = task_row(tx, identifier, held=True)
    if row.ended_at is not None or row.ends_at <= ctx.now:
        raise TaskEnded()
    return row


def change_row(tx: Transaction, row: Row[Any], changes: Mapping[str, Any]) -> None:
    """Write the next step of a task, with a new code over all of it."""
    values = {**row._mapping, **changes}
    code = row_codes.code_of(tx.keys, task.name, row_codes.TASK, values)
    tx.connection.execute(update(task).where(task.c.id == row.id).values(**changes, mac=code))


def state_of(row: Row[Any], now: datetime) -> State:
    """What the task is now."""
    if row.outcome is not None:
        return State({TaskEnd.REFUSED: "refused", TaskEnd.CLOSED: "closed", TaskEnd.REVOKED: "revoked"}[row.outcome])
    if row.ends_at <= now:
        return State.OVER
    return State.OPEN if row.granted_at is not None else State.ASKED


def shown(tx: ReadTransaction, ctx: Context, rows: Collection[Row[Any]]) -> list[Task]:
    """The tasks as people see them."""
    ids = {row.account for row in rows} | {row.granted_by for row in rows if row.granted_by}
    names = {person.id: person.name for person in accounts.people(tx, sorted(ids))}
    return [_shown(tx, ctx, row, names) for row in rows]


def one(tx: ReadTransaction, ctx: Context, identifier: str) -> Task:
    """Raises NotFound."""
    return shown(tx, ctx, [task_row(tx, identifier)])[0]


def tasks_for(tx: ReadTransaction, ctx: Context, *, granting: bool, watching: bool) -> Tasks:
    """The actor's own, and those of others as far as they decide about them or watch."""
    newest = select(task).order_by(task.c.asked_at.desc(), task.c.id.desc()).limit(SHOWN)
    live = newest.where(task.c.ended_at.is_(None), task.c.ends_at > ctx.now, task.c.account != ctx.actor.id)
    mine = tx.connection.execute(newest.where(task.c.account == ctx.actor.id)).all()
    others = tx.connection.execute(live).all() if granting or watching else []
    return Tasks(
        shown(tx, ctx, mine),
        shown(tx, ctx, [row for row in others if row.granted_at is None]),
        shown(tx, ctx, [row for row in others if row.granted_at is not None]),
    )


def waiting_tasks(connection: Connection, account: str, now: datetime) -> int:
    """How many tasks of others wait for a grant, for the badge."""
    waiting = select(func.count()).where(
        task.c.ended_at.is_(None), task.c.granted_at.is_(None), task.c.ends_at > now, task.c.account != account
    )
    return int(connection.execute(waiting).scalar_one())


def done_under(connection: Connection, row: Row[Any]) -> tuple[list[ledger.Found], bool]:
    """What the log says was done under a task, oldest first, and whether that is all."""
    if row.granted_at is None:
        return [], True
    wanted = ledger.Search(actor=row.account, since=row.granted_at)
    found: list[ledger.Found] = []
    after: str | None = None
    while len(found) < RECORDED:
        page = ledger.search(connection, wanted, after=after, limit=ledger.LARGEST_PAGE, oldest_first=True)
        found += [item for item in page.found if item.event.details.get("task") == row.id]
        late = page.found and page.found[-1].event.at > (row.ended_at or row.ends_at)
        if page.next is None or late:
            return found[:RECORDED], len(found) <= RECORDED
        after = page.next
    return found[:RECORDED], False


def _shown(tx: ReadTransaction, ctx: Context, row: Row[Any], names: Mapping[str, str]) -> Task:
    try:
        title = str(open_row(tx, task, row)["title"])
    except SubjectErased:
        title = ""
    role = Role(row.role)
    return Task(
        id=row.id, account=row.account, name=names.get(row.account, row.account), title=title,
        about_kind=row.about_kind, about=row.about, role=role,
        operations=sorted(decode_scopes(row.operations) & lends_under(row)), state=state_of(row, ctx.now),
        asked_at=row.asked_at, ends_at=row.ends_at, granted_at=row.granted_at, granted_by=row.granted_by,
        granter=names.get(row.granted_by or "", row.granted_by or ""), ended_at=row.ended_at, ended_by=row.ended_by,
    )  # fmt: skip
