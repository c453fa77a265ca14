"""Sealed columns: declared once in the schema; `rows` seals and unseals them.

Table("identity_account", metadata,
      Column("id", String, primary_key=True),
      Column("email", Sealed("identity.account.email")),
      info=personal("id"))           # the column that names the person whose key seals the row
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Dialect, LargeBinary, Table
from sqlalchemy.types import TypeDecorator


class Sealed(TypeDecorator[bytes]):
    """Text sealed with AES-256-GCM under the subject's key. `seal_id` is permanent: it outlives column names.

    The type refuses anything but bytes, so that text can never reach the database through a plain statement.
    """

    impl = LargeBinary
    cache_ok = True

    def __init__(self, seal_id: str) -> None:
        super().__init__()
        self.seal_id = seal_id

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        if value is None or isinstance(value, bytes):
            return value
        raise TypeError(f"{self.seal_id} is sealed: write it with storage.insert_row or update_row")


def personal(subject_column: str, *, fixed: str = "") -> dict[str, str]:
    """Table info: which column names the subject, or one `fixed` subject such as "accounting"."""
    return {"subject": subject_column, "fixed_subject": fixed}


@cache
def sealed_columns(table: Table) -> Mapping[str, str]:
    """Column name to seal id."""
    return {c.name: c.type.seal_id for c in table.columns if isinstance(c.type, Sealed)}


def subject_of(table: Table, values: Any) -> str:
    """The subject whose key seals this row."""
    fixed: str = table.info.get("fixed_subject", "")
    return fixed or str(values[table.info["subject"]])
