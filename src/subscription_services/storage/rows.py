"""Rows in and out: the one mapping that seals and unseals declared columns."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Column, Row, Select, Table, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from subscription_services.kernel.ports import Keys
from subscription_services.kernel.transaction import ReadTransaction, Transaction

from .sealed import sealed_columns, subject_of


def insert_row(tx: Transaction, table: Table, values: Mapping[str, Any], *, unless: str = "") -> None:
    """Insert one row; text for sealed columns is sealed under the subject's key (which must exist).

    With `unless`, a unique column, nothing happens where another row has that value: at the same cost."""
    sealed = _seal(tx.keys, table, values, _identity(table, values), subject_of_row(table, values))
    if unless:
        insertion = (sqlite if tx.connection.dialect.name == "sqlite" else postgresql).insert(table)
        tx.connection.execute(insertion.on_conflict_do_nothing(index_elements=[unless]), sealed)
    else:
        tx.connection.execute(insert(table), sealed)


def update_row(
    tx: Transaction, table: Table, row: Mapping[str, Any], changes: Mapping[str, Any], *where: Any
) -> bool:  # fmt: skip
    """Change one row, named by the primary key (and subject) in `row`. Returns whether it was there (and `where`)."""
    key = _primary(table)
    sealed = _seal(tx.keys, table, changes, str(row[key.name]), subject_of_row(table, row))
    return tx.connection.execute(update(table).where(key == row[key.name], *where).values(sealed)).rowcount == 1


def open_row(tx: ReadTransaction, table: Table, row: Row[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """The row with its sealed columns opened. Raises SubjectErased."""
    values = dict(row._mapping) if isinstance(row, Row) else dict(row)
    subject = identity = ""
    for name, seal_id in sealed_columns(table).items():
        sealed = values.get(name)
        if sealed is not None:
            if not identity:
                subject, identity = subject_of_row(table, values), _identity(table, values)
            values[name] = tx.keys.unseal(subject, seal_id, identity, sealed).decode()
    return values


def fetch(
    tx: ReadTransaction, table: Table, *where: Any, order_by: Any = None, limit: int = 1000
) -> list[dict[str, Any]]:
    """Rows of `table` that satisfy `where`, opened."""
    statement: Select[Any] = select(table).where(*where).limit(limit)
    if order_by is not None:
        statement = statement.order_by(order_by)
    return [open_row(tx, table, row) for row in tx.connection.execute(statement)]


def subject_of_row(table: Table, values: Mapping[str, Any]) -> str:
    """The subject of the row, or "" where the table has no sealed column."""
    return subject_of(table, values) if table.info.get("subject") or table.info.get("fixed_subject") else ""


def _seal(keys: Keys, table: Table, values: Mapping[str, Any], identity: str, subject: str) -> dict[str, Any]:
    out = dict(values)
    for name, seal_id in sealed_columns(table).items():
        text = out.get(name)
        if text is not None:
            out[name] = keys.seal(subject, seal_id, identity, str(text).encode())
    return out


@cache
def _primary(table: Table) -> Column[Any]:
    (key,) = table.primary_key.columns
    return key


def _identity(table: Table, values: Mapping[str, Any]) -> str:
    return str(values[_primary(table).name])
