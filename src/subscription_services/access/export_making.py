"""Making exports of the log: one part a job, so that each is short and a crash costs one part only.

Parts are files of their own, each sealed with AES-256-GCM before it is written, under its export and number, so that
none can be left out, moved or swapped. What is read back is opened part by part.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, Row, select

from subscription_services.jobs import JobKind, Schedule
from subscription_services.kernel.actors import System
from subscription_services.kernel.errors import DomainError, NotFound
from subscription_services.kernel.events import Event
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.ports import Keys
from subscription_services.ledger.archive import Head, Part, covered, last_part, ocsf_part, proof_part
from subscription_services.ledger.note import Ed25519Verifier
from subscription_services.ledger.ocsf import Product
from subscription_services.ledger.queries import newest_checkpoint, personal_fields
from subscription_services.ledger.stored import SIGNING_PURPOSE

from .export_jobs import DeleteLogExports, MakeLogExport
from .export_model import ExportForm, ExportState, log_export, log_export_file
from .operations.log_exports import (
    LogExport,
    MadeFile,
    ReadExport,
    RecordPart,
    delete_log_export,
    export_of,
    record_export_part,
)

ACTOR = System("access.exports")
SUBJECT, SEAL_ID = "access.log_exports", "access.log_export.part"
SCHEDULES = (Schedule("access.delete_log_exports", timedelta(minutes=15), lambda now: DeleteLogExports()),)


class NotSignedYet(DomainError):
    """The newest event asked for is not in a signed tree yet; that takes a second, and the job is tried again."""

    code = "not-signed-yet"
    message = "The newest events are not in the signed tree yet."


def kinds(data: Path, product: str, version: str) -> list[JobKind]:
    """The room's jobs of exports. `data` is where the parts are kept, below a folder of their own."""
    folder = data / "exports"

    async def make(kernel: Kernel, job: MakeLogExport) -> None:
        words = Product(product, product, version, lambda action: _changes(kernel, action))
        await make_part(kernel, folder, job.id, words)

    async def tidy(kernel: Kernel, job: DeleteLogExports) -> None:
        await delete_over(kernel, folder)

    return [
        JobKind("access.make_log_export", MakeLogExport, make, first_pause=timedelta(seconds=1)),
        JobKind("access.delete_log_exports", DeleteLogExports, tidy),
    ]


async def make_part(kernel: Kernel, folder: Path, identifier: str, product: Product) -> None:
    """Make, seal, write and record the next part; nothing when the export is finished or gone.

    Raises NotSignedYet.
    """
    keys = kernel.keys.for_caller("access")
    keys.ensure_subject(SUBJECT, SUBJECT)

    def work() -> RecordPart | None:
        with kernel.store.reading() as connection:
            row = connection.execute(select(log_export).where(log_export.c.id == identifier)).one_or_none()
            if row is None or row.state != ExportState.MAKING:
                return None
            head = _head(connection, row)
            part, last = _next_part(kernel, connection, row, head, product)
        sealed = keys.seal(SUBJECT, SEAL_ID, f"{identifier}:{row.parts}", part.content)
        _write(_path(folder, identifier, row.parts), sealed)
        return RecordPart(
            id=identifier, number=row.parts, events=part.events, size=len(part.content), after=part.after or "",
            tree_size=head.size, note=head.note.decode(), files=[MadeFile(*item) for item in part.sums], last=last,
        )  # fmt: skip

    made = await asyncio.to_thread(work)
    if made is not None:
        await perform(kernel, record_export_part, ACTOR, made)


async def contents(keys: Keys, folder: Path, export: LogExport) -> AsyncIterator[bytes]:
    """The finished file, opened part by part. `keys` are those of the caller "access"."""
    for number in range(export.parts):
        yield await asyncio.to_thread(_open_part, keys, folder, export.id, number)


async def delete_over(kernel: Kernel, folder: Path) -> int:
    """Delete the files of exports whose day is over. Returns how many exports."""
    now = kernel.clock()
    due = select(log_export.c.id, log_export.c.parts).where(
        log_export.c.state != ExportState.DELETED, log_export.c.expires_at <= now
    )
    rows = await kernel.store.read(lambda connection: connection.execute(due).all())
    for row in rows:
        # a part may have been written whose record did not come about
        for path in folder.glob(f"{row.id}.*"):
            path.unlink(missing_ok=True)
        await perform(kernel, delete_log_export, ACTOR, ReadExport(row.id))
    return len(rows)


def _head(connection: Connection, row: Row[tuple[object, ...]]) -> Head:
    export = export_of(row)
    if export.tree_size:
        return Head(export.tree_size, bytes(row.note))
    newest = newest_checkpoint(connection)
    if newest is None or not covered(connection, export.wanted, Head(newest.size, newest.note)):
        raise NotSignedYet()
    return Head(newest.size, bytes(newest.note))


def _next_part(
    kernel: Kernel, connection: Connection, row: Row[tuple[object, ...]], head: Head, product: Product
) -> tuple[Part, bool]:
    """The next part, and whether it is the last one. The events end with a part that says so by its empty `after`."""
    export = export_of(row)
    after = row.after or None
    events_over = export.parts > 0 and after is None
    if export.form is ExportForm.OCSF:
        part = ocsf_part(connection, export.wanted, head, after, product)
        return part, part.after is None
    if not events_over:
        opener = _opener(kernel.keys.for_caller("access")) if export.unmasked else None
        return proof_part(connection, export.wanted, head, export.parts, after, export.created_at, opener), False
    sums = connection.execute(
        select(log_export_file.c.name, log_export_file.c.sha256)
        .where(log_export_file.c.export == export.id)
        .order_by(log_export_file.c.name)
    )
    origin = head.note.partition(b"\n")[0].decode()
    verifier = Ed25519Verifier(origin, kernel.keys.for_caller("ledger").public_key(SIGNING_PURPOSE))
    facts = {
        "export": export.id, "made_for": export.requester, "asked_at": export.created_at, "wanted": export.wanted,
        "events": export.events, "personal_fields": "opened" if export.unmasked else "sealed",
    }  # fmt: skip
    return last_part(head, verifier, facts, [(item.name, item.sha256) for item in sums], export.created_at), True


def _opener(keys: Keys) -> Callable[[Event], Mapping[str, str]]:
    return lambda event: personal_fields(keys, event)


def _changes(kernel: Kernel, action: str) -> bool | None:
    found = kernel.registry.get(action)
    return None if found is None else found.changes


def _path(folder: Path, identifier: str, number: int) -> Path:
    return folder / f"{identifier}.{number:06d}"


def _write(path: Path, sealed: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(sealed)
        file.flush()
        os.fsync(handle)
    unfinished.replace(path)


def _open_part(keys: Keys, folder: Path, identifier: str, number: int) -> bytes:
    try:
        sealed = _path(folder, identifier, number).read_bytes()
    except FileNotFoundError:
        raise NotFound() from None
    return keys.unseal(SUBJECT, SEAL_ID, f"{identifier}:{number}", sealed)
