"""Exports of the log: what was asked for, how far it is, and the names and sums of what is in it."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
)

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata


class ExportState(StrEnum):
    MAKING = "making"
    READY = "ready"
    DELETED = "deleted"


class ExportForm(StrEnum):
    """`proofs`: a .tar.gz of leaves with their proofs. `ocsf`: gzipped lines of OCSF JSON."""

    PROOFS = "proofs"
    OCSF = "ocsf"


log_export = Table(
    "access_log_export",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("requester", String(48), nullable=False),
    Column("form", String(16), nullable=False),
    Column("wanted", LargeBinary, nullable=False),  # JSON of ledger.Search: ids and names only
    Column("unmasked", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("tree_size", BigInteger, nullable=False),  # 0 until the first part is made
    Column("note", LargeBinary, nullable=False),
    Column("parts", Integer, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("after", String(120), nullable=False),
    CheckConstraint("form IN ('proofs', 'ocsf')", name="form"),
    CheckConstraint("state IN ('making', 'ready', 'deleted')", name="state"),
    CheckConstraint("expires_at > created_at", name="expires_later"),
    CheckConstraint("parts >= 0 AND events >= 0 AND bytes >= 0", name="counts"),
)
Index("ix_access_log_export_created_at", log_export.c.created_at)

log_export_file = Table(
    "access_log_export_file",
    metadata,
    Column("export", String(48), ForeignKey("access_log_export.id"), primary_key=True),
    Column("name", String(80), primary_key=True),
    Column("sha256", String(64), nullable=False),
)
