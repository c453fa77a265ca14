"""Every place of the main database that holds values sealed for a subject, found in the schema itself.

The log is no such place: it never changes, so what it holds stays under the version it was sealed under.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select, update

from subscription_services.kernel import idempotency
from subscription_services.kernel.errors import DomainError, SubjectErased
from subscription_services.kernel.model import idempotency as answers
from subscription_services.kernel.model import metadata
from subscription_services.storage.sealed import sealed_columns, subject_of

from .model import ACCOUNTING
from .sealing import CallerKeys

LOG = "ledger_"
"""What begins the names of the log's tables."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One sealed value and where it stands; `row` is the primary key as text."""

    row: str
    column: str
    subject: str
    seal_id: str
    identity: str
    stored: bytes
    sealed: bytes

    @property
    def version(self) -> int:
        """Version of the data key, from the value's header."""
        return int.from_bytes(self.sealed[1:5], "big")

    def wrapped_as_before(self, sealed: bytes) -> bytes:
        """The new sealed value within what else the column holds around it."""
        return self.stored.removesuffix(self.sealed) + sealed


@dataclass(frozen=True, slots=True)
class Place:
    """One table as the room `caller` sees it; `cells_of` finds the sealed values of a row."""

    table: Table
    caller: str
    purpose: str
    cells_of: Callable[[Mapping[str, Any]], list[Cell]]
    to_text: Callable[[Any], str] = str
    from_text: Callable[[str], Any] = str

    @property
    def name(self) -> str:
        return str(self.table.name)

    def read(self, connection: Connection, subject: str, after: str, limit: int) -> tuple[list[Cell], str]:
        """Sealed values of the next rows, and the last row read; "" when there are no more."""
        (key,) = self.table.primary_key.columns
        statement = select(self.table).order_by(key).limit(limit)
        if after:
            statement = statement.where(key > self.from_text(after))
        column = self.table.info.get("subject")
        if subject and column:
            statement = statement.where(self.table.c[column] == subject)
        rows = connection.execute(statement).mappings().all()
        cells = [cell for row in rows for cell in self.cells_of(dict(row)) if subject in ("", cell.subject)]
        return cells, self.to_text(rows[-1][key.name]) if rows else ""

    def replace(self, connection: Connection, row: str, column: str, old: bytes, new: bytes) -> bool:
        """Only if it still is as it was read."""
        (key,) = self.table.primary_key.columns
        field = self.table.c[column]
        changed = connection.execute(
            update(self.table).where(key == self.from_text(row), field == old).values({field: new})
        )
        return changed.rowcount == 1


def places(purpose: str) -> list[Place]:
    """Where values under subjects of this purpose are, in the order in which they are walked."""
    found = [_sealed_table(table) for table in metadata.sorted_tables if sealed_columns(table)]
    found = [place for place in found if not place.name.startswith(LOG)]
    kept_answers = Place(answers, "kernel", "subject", _answers, bytes.hex, bytes.fromhex)
    return sorted([p for p in (*found, kept_answers) if p.purpose == purpose], key=lambda place: place.name)


def seal_anew(keys: CallerKeys, cells: list[Cell]) -> tuple[list[tuple[Cell, bytes]], int]:
    """The cells whose subject has a newer key, with their new content; and how many did not open."""
    anew, unreadable = [], 0
    for cell in cells:
        try:
            if cell.version >= keys.sealing_version(cell.subject):
                continue
            text = keys.unseal(cell.subject, cell.seal_id, cell.identity, cell.sealed)
            sealed = keys.seal(cell.subject, cell.seal_id, cell.identity, text)
        except SubjectErased:
            continue
        except DomainError as error:
            if error.code not in _DAMAGED:
                raise
            unreadable += 1
            continue
        anew.append((cell, cell.wrapped_as_before(sealed)))
    return anew, unreadable


_DAMAGED = frozenset({"seal-broken", "no-such-key", "key-tampered", "key-policy"})


def _sealed_table(table: Table) -> Place:
    columns = sealed_columns(table)
    (key,) = table.primary_key.columns
    rooms = {seal_id.partition(".")[0] for seal_id in columns.values()}

    def cells(row: Mapping[str, Any]) -> list[Cell]:
        subject, identity = subject_of(table, row), str(row[key.name])
        return [
            Cell(identity, str(name), subject, seal_id, identity, row[name], row[name])
            for name, seal_id in columns.items()
            if row[name] is not None
        ]

    purpose = ACCOUNTING if table.info.get("fixed_subject") == ACCOUNTING else "subject"
    return Place(table, rooms.pop(), purpose, cells)


def _answers(row: Mapping[str, Any]) -> list[Cell]:
    owner, sealed = idempotency.parted(row["answer"])
    if owner == idempotency.SUBJECT:
        return []
    key = row["key"].hex()
    return [Cell(key, "answer", owner, idempotency.SEAL_ID, key, row["answer"], sealed)]
