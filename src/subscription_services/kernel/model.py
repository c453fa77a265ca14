"""The one schema's metadata, and the kernel's own table: answers kept for idempotency keys."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, MetaData, Table

from .columns import Instant

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

idempotency = Table(
    "kernel_idempotency",
    metadata,
    Column("key", LargeBinary, primary_key=True),  # MAC over actor, operation and the client's key
    Column("request", LargeBinary, nullable=False),  # MAC over the request
    Column("answer", LargeBinary, nullable=False),  # sealed
    Column("at", Instant, nullable=False),
)
Index(None, idempotency.c.at)
