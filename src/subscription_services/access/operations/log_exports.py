"""Exports of the log: asked for, made part by part by jobs, read for a day, deleted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import delete, insert, select, update

from subscription_services.access.export_jobs import MakeLogExport
from subscription_services.access.export_model import ExportForm, ExportState, log_export, log_export_file
from subscription_services.access.operations.log import Action, Text
from subscription_services.kernel.actors import Role, ServiceAccount
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Conflict, NotFound
from subscription_services.kernel.events import Detail, Outcome
from subscription_services.kernel.needs import approvals, recent_sign_in
from subscription_services.kernel.operations import Change, Limit, Seen, SystemOnly, operation
from subscription_services.kernel.personal import FieldKind, Personal
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.ledger.queries import Search

KEPT = timedelta(days=1)
READERS = (Role.AUDITOR, Role.SECURITY, Role.ADMINISTRATOR)
SHOWN = 50
BY_JOB = SystemOnly("the job that makes the archive")
Id = Annotated[str, Meta(max_length=48)]


class ExportLog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same filters as those of the search; empty ones do not matter. Events up to the request are included."""

    actor: Text = ""
    subject: Text = ""
    action: Action = ""
    object: Text = ""
    outcome: Outcome | None = None
    origin: Text = ""
    correlation: Text = ""
    since: Annotated[datetime, Meta(tz=True)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None
    form: ExportForm = ExportForm.PROOFS


class ExportUnmasked(ExportLog, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same with addresses and browsers opened; a reason is asked for, since another person has to agree."""

    reason: Annotated[str, Meta(min_length=3, max_length=300), Personal(FieldKind.TEXT)]


class ReadExport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class ListExports(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest ones, of everybody."""


class MadeFile(msgspec.Struct, frozen=True):
    name: Annotated[str, Meta(max_length=80)]
    sha256: Annotated[str, Meta(max_length=64)]


class RecordPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Part `number` (from 0) is written; `after` is where the next begins, empty where only the end is missing."""

    id: Id
    number: int
    events: int
    size: int
    after: Annotated[str, Meta(max_length=120)]
    tree_size: int
    note: Annotated[str, Meta(max_length=1_000_000)]
    files: Annotated[list[MadeFile], Meta(max_length=10)] = []
    last: bool = False


class LogExport(msgspec.Struct, frozen=True):
    """`bytes` is the size so far. The file is at /team/log/exports/ID/file while the state is ready."""

    id: str
    requester: str
    form: ExportForm
    wanted: Search
    unmasked: bool
    state: ExportState
    created_at: datetime
    expires_at: datetime
    tree_size: int
    parts: int
    events: int
    bytes: int


class LogExports(msgspec.Struct, frozen=True):
    exports: list[LogExport]


@operation("access.export_log", by=[*READERS, ServiceAccount.scoped], limits=[Limit(20, 3600, "actor")])
def export_log(tx: Transaction, ctx: Context, request: ExportLog) -> Change[LogExport]:
    """Have a stretch of the log made into one archive, with proofs or as OCSF JSON. Personal fields stay sealed."""
    return _ask(tx, ctx, request, unmasked=False)


@operation(
    "access.export_log_unmasked", by=READERS, needs=[recent_sign_in, approvals(1)], limits=[Limit(20, 3600, "actor")]
)
def export_log_unmasked(tx: Transaction, ctx: Context, request: ExportUnmasked) -> Change[LogExport]:
    """Have a stretch of the log made into one archive with addresses and browsers opened.

    Somebody else must have approved exactly this request."""
    return _ask(tx, ctx, request, unmasked=True)


@operation("access.log_exports", by=[*READERS, ServiceAccount.scoped])
def log_exports(tx: ReadTransaction, ctx: Context, request: ListExports) -> Seen[LogExports]:
    """Exports of the log, by whom, what of, and how far they are; the newest first."""
    rows = tx.connection.execute(select(log_export).order_by(log_export.c.created_at.desc()).limit(SHOWN))
    return Seen(LogExports([export_of(row) for row in rows]))


@operation("access.log_export", by=[*READERS, ServiceAccount.scoped])
def one_log_export(tx: ReadTransaction, ctx: Context, request: ReadExport) -> Seen[LogExport]:
    """How far one export is."""
    found = export_of(_row(tx, request.id))
    return Seen(found, object=found.id)


@operation("access.download_log_export", by=[*READERS, ServiceAccount.scoped])
def download_log_export(tx: ReadTransaction, ctx: Context, request: ReadExport) -> Seen[LogExport]:
    """Read the finished file of one's own export.

    Raises NotFound for another's, Conflict unless it is ready."""
    found = export_of(_row(tx, request.id))
    if found.requester != ctx.actor.id:
        raise NotFound()
    if found.state is not ExportState.READY or found.expires_at <= ctx.now:
        raise Conflict("This file is not there: it is still being made, or its day is over.")
    return Seen(found, object=found.id, details={"events": found.events, "unmasked": found.unmasked})


@operation("access.record_export_part", by=[BY_JOB])
def record_export_part(tx: Transaction, ctx: Context, request: RecordPart) -> Change[LogExport]:
    """A part of an export is written; the job of the next one is queued with it.

    Raises Conflict out of turn."""
    row = _row(tx, request.id)
    if row.state != ExportState.MAKING or row.parts != request.number:
        raise Conflict("This part is not the next one.")
    if row.tree_size not in (0, request.tree_size):
        raise Conflict("Every part of an export leads to the same tree.")
    tx.connection.execute(
        update(log_export)
        .where(log_export.c.id == request.id)
        .values(
            parts=request.number + 1, events=row.events + request.events, bytes=row.bytes + request.size,
            after=request.after, tree_size=request.tree_size, note=request.note.encode(),
            state=ExportState.READY if request.last else ExportState.MAKING,
        )
    )  # fmt: skip
    if request.files:
        rows = [{"export": request.id, "name": item.name, "sha256": item.sha256} for item in request.files]
        tx.connection.execute(insert(log_export_file), rows)
    if not request.last:
        tx.outbox.add(MakeLogExport(request.id), key=f"{request.id}:{request.number + 1}")
    return Change(None, export_of(_row(tx, request.id)), details={"part": request.number, "events": request.events})


@operation("access.delete_log_export", by=[SystemOnly("a day after it was asked for")])
def delete_log_export(tx: Transaction, ctx: Context, request: ReadExport) -> Change[LogExport]:
    """The file of an export is gone; that it was made stays known.

    Raises Conflict before its day is over."""
    row = _row(tx, request.id)
    if row.state == ExportState.DELETED or row.expires_at > ctx.now:
        raise Conflict("The day of this export is not over, or it is deleted already.")
    tx.connection.execute(delete(log_export_file).where(log_export_file.c.export == request.id))
    deleted = update(log_export).where(log_export.c.id == request.id).values(state=ExportState.DELETED)
    tx.connection.execute(deleted)
    return Change(export_of(row), export_of(_row(tx, request.id)))


def export_of(row: Any) -> LogExport:
    """The row of an export."""
    return LogExport(
        id=row.id, requester=row.requester, form=ExportForm(row.form),
        wanted=msgspec.json.decode(row.wanted, type=Search), unmasked=row.unmasked, state=ExportState(row.state),
        created_at=row.created_at, expires_at=row.expires_at, tree_size=row.tree_size, parts=row.parts,
        events=row.events, bytes=row.bytes,
    )  # fmt: skip


def _ask(tx: Transaction, ctx: Context, request: ExportLog, *, unmasked: bool) -> Change[LogExport]:
    # what is written from now on, this request included, is not part of it: it would never end
    until = ctx.now if request.until is None else min(request.until, ctx.now)
    wanted = Search(
        actor=request.actor, subject=request.subject, action=request.action, object=request.object,
        outcome=request.outcome.value if request.outcome else "", origin_index=request.origin,
        correlation=request.correlation, since=request.since, until=until,
    )  # fmt: skip
    values = {
        "id": ctx.ids.new("exp"), "requester": ctx.actor.id, "form": request.form,
        "wanted": msgspec.json.encode(wanted), "unmasked": unmasked,
        "state": ExportState.MAKING, "created_at": ctx.now, "expires_at": ctx.now + KEPT,
        "tree_size": 0, "note": b"", "parts": 0, "events": 0, "bytes": 0, "after": "",
    }  # fmt: skip
    tx.connection.execute(insert(log_export), values)
    made = export_of(_row(tx, str(values["id"])))
    tx.outbox.add(MakeLogExport(made.id), key=f"{made.id}:0")
    asked: dict[str, Detail] = {
        name: value for name, value in msgspec.to_builtins(wanted).items() if value and name != "until"
    }
    details: dict[str, Detail] = {**asked, "until": until.isoformat(), "form": request.form.value, "unmasked": unmasked}
    personal = {"reason": request.reason} if isinstance(request, ExportUnmasked) else {}
    return Change(None, made, subject=request.subject, details=details, personal=personal)


def _row(tx: ReadTransaction, identifier: str) -> Any:
    row = tx.connection.execute(select(log_export).where(log_export.c.id == identifier)).one_or_none()
    if row is None:
        raise NotFound()
    return row
