"""The outbox's table. Payloads hold ids only, never tokens or personal data."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, LargeBinary, String, Table, text

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata

job = Table(
    "jobs_job",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("kind", String(80), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("key", String(200), unique=True),
    Column("run_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("lease", String(80)),
    Column("lease_until", Instant),
    Column("done_at", Instant),
    Column("given_up_at", Instant),
    Column("error", String(200), nullable=False, server_default=text("''")),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("done_at IS NULL OR given_up_at IS NULL", name="one_end"),
)
Index("ix_jobs_job_due", job.c.run_at, sqlite_where=text("done_at IS NULL AND given_up_at IS NULL"),
      postgresql_where=text("done_at IS NULL AND given_up_at IS NULL"))  # fmt: skip
Index(None, job.c.kind, job.c.created_at)
