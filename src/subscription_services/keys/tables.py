"""The room's table in the main database: re-encryptions and how far they are. Keys are never here."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata


class Phase(StrEnum):
    """Subjects get new data keys; every field is sealed anew; what was replaced is closed."""

    RENEWING = "renewing"
    SEALING = "sealing"
    CLOSING = "closing"
    DONE = "done"


reencryption = Table(
    "keys_reencryption",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("purpose", String(200), nullable=False),
    Column("subject", String(200), nullable=False),  # empty: every subject of the purpose
    Column("phase", String(20), nullable=False),
    Column("turn", Integer, nullable=False),  # fields are walked twice, see operations.reencryption
    Column("place", String(120), nullable=False),
    Column("after", String(200), nullable=False),
    Column("renewed", Integer, nullable=False),
    Column("sealed", Integer, nullable=False),
    Column("unreadable", Integer, nullable=False),
    Column("closed", Integer, nullable=False),
    Column("started_by", String(48), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("renewed_at", Instant),
    Column("finished_at", Instant),
    CheckConstraint("phase IN ('renewing', 'sealing', 'closing', 'done')", name="phase"),
    CheckConstraint("(phase = 'done') = (finished_at IS NOT NULL)", name="finished"),
)
Index(None, reencryption.c.finished_at)
