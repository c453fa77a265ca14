"""The events of the service itself. Each is performed by the service, once for its whole process group."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import delete, insert, select, update

from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Conflict, NotFound
from subscription_services.kernel.events import Detail
from subscription_services.kernel.operations import Change, SystemOnly, operation
from subscription_services.kernel.transaction import Transaction

from .model import LONGEST, run, setting

Node = Annotated[str, Meta(min_length=1, max_length=48)]
Word = Annotated[str, Meta(max_length=40)]
ITSELF = SystemOnly("the service itself, when it starts and stops")


class RecordStart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`node` names the process group for ever; `revision` is that of the schema."""

    node: Node
    version: Word
    revision: Word


class RecordStop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(max_length=48)]


class RecordUncleanStop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    node: Node


class RecordMigration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`before` is empty for a new database."""

    before: Word
    after: Word


class RecordPartEnded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A process of the group that ended by itself, its exit status, and how often it was started again before."""

    part: Word
    status: int
    restarts: int


class PresentSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`shown` is empty for a secret; `code` is the keyed code of the value, hexadecimal."""

    variable: Annotated[str, Meta(max_length=80)]
    shown: Annotated[str, Meta(max_length=LONGEST)]
    code: Annotated[str, Meta(pattern=r"^[0-9a-f]*$", max_length=160)]


class RecordSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings as they are now."""

    node: Node
    settings: Annotated[list[PresentSetting], Meta(max_length=1000)]


class Run(msgspec.Struct, frozen=True):
    id: str
    node: str
    version: str
    revision: str
    started_at: datetime
    stopped_at: datetime | None = None
    unclean: bool = False


class Nothing(msgspec.Struct, frozen=True):
    """There is nothing to say."""


@operation("monitoring.record_start", by=[ITSELF])
def record_start(tx: Transaction, ctx: Context, request: RecordStart) -> Change[Run]:
    """The service started.

    Raises Conflict while a run of the same node has not ended."""
    if _running(tx, request.node) is not None:
        raise Conflict("A run of this node has not ended.")
    begun = Run(ctx.ids.new("run"), request.node, request.version, request.revision, ctx.now)
    tx.connection.execute(insert(run), msgspec.structs.asdict(begun))
    return Change(None, begun, details={"version": request.version, "schema": request.revision, "node": request.node})


@operation("monitoring.record_stop", by=[ITSELF])
def record_stop(tx: Transaction, ctx: Context, request: RecordStop) -> Change[Run]:
    """The service stopped as it was told to.

    Raises NotFound for a run that ended already."""
    row = tx.connection.execute(select(run).where(run.c.id == request.id, run.c.stopped_at.is_(None))).one_or_none()
    if row is None:
        raise NotFound()
    return _end(tx, ctx, Run(**row._mapping), unclean=False)


@operation("monitoring.record_unclean_stop", by=[ITSELF])
def record_unclean_stop(tx: Transaction, ctx: Context, request: RecordUncleanStop) -> Change[Run]:
    """An earlier run ended without a stop: a crash, a kill, a power cut. Found at the next start.

    Raises NotFound."""
    found = _running(tx, request.node)
    if found is None:
        raise NotFound()
    return _end(tx, ctx, found, unclean=True)


@operation("monitoring.record_migration", by=[ITSELF])
def record_migration(tx: Transaction, ctx: Context, request: RecordMigration) -> Change[Nothing]:
    """The schema of the database was brought to another revision."""
    return Change(None, Nothing(), object="schema", details={"before": request.before, "after": request.after})


@operation("monitoring.record_part_ended", by=[ITSELF])
def record_part_ended(tx: Transaction, ctx: Context, request: RecordPartEnded) -> Change[Nothing]:
    """A process of the service ended by itself and is started again."""
    details: dict[str, Detail] = {"part": request.part, "status": request.status, "restarts": request.restarts}
    return Change(None, Nothing(), object=f"part:{request.part}", details=details)


@operation("monitoring.record_settings", by=[ITSELF])
def record_settings(tx: Transaction, ctx: Context, request: RecordSettings) -> Change[Nothing]:
    """Settings differ from those of the last start: their names, and values before and after unless secret."""
    stored = {row.variable: row for row in tx.connection.execute(select(setting).where(setting.c.node == request.node))}
    present = {item.variable: item for item in request.settings}
    changed = [name for name, item in present.items() if name not in stored or stored[name].code.hex() != item.code]
    gone = sorted(stored.keys() - present.keys())
    tx.connection.execute(delete(setting).where(setting.c.node == request.node))
    rows = [
        {"node": request.node, "variable": item.variable, "shown": item.shown, "code": bytes.fromhex(item.code)}
        for item in request.settings
    ]
    if rows:
        tx.connection.execute(insert(setting), rows)
    # the first record of a node has nothing to compare with: it holds what is not secret, so that a reader has a start
    details: dict[str, Detail] = {"node": request.node, "changed": changed[:200] if stored else [], "gone": gone[:200]}
    for name in changed[:200]:
        if present[name].shown:
            before = stored[name].shown if name in stored else ""
            details[name] = f"{before} -> {present[name].shown}" if stored else present[name].shown
    return Change(None, Nothing(), object=request.node, details=details)


def _running(tx: Transaction, node: str) -> Run | None:
    row = tx.connection.execute(select(run).where(run.c.node == node, run.c.stopped_at.is_(None))).one_or_none()
    return None if row is None else Run(**row._mapping)


def _end(tx: Transaction, ctx: Context, found: Run, *, unclean: bool) -> Change[Run]:
    ended = msgspec.structs.replace(found, stopped_at=max(ctx.now, found.started_at), unclean=unclean)
    statement = update(run).where(run.c.id == found.id, run.c.stopped_at.is_(None))
    if tx.connection.execute(statement.values(stopped_at=ended.stopped_at, unclean=unclean)).rowcount != 1:
        raise NotFound()
    details: dict[str, Detail] = {"started_at": found.started_at.isoformat(), "node": found.node}
    return Change(found, ended, details=details)


OPERATIONS = (
    record_start, record_stop, record_unclean_stop, record_migration, record_part_ended, record_settings,
)  # fmt: skip
