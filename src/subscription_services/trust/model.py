"""Which checks run, and what their last runs saw. The whole history is in the log; here it is bounded."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table, Text, UniqueConstraint

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata

RUNS_KEPT = 100
"""Runs of each check that stay in the table."""

check = Table(
    "trust_check",
    metadata,
    Column("promise", String(60), primary_key=True),
    Column("how", String(1000), nullable=False),
    Column("every_seconds", Integer, nullable=False),
    Column("since", Instant, nullable=False),
    CheckConstraint("every_seconds > 0", name="interval"),
)

run = Table(
    "trust_run",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("promise", String(60), nullable=False),
    Column("number", Integer, nullable=False),  # counts the runs of one check, so that the last one is unique
    Column("verdict", String(20), nullable=False),
    Column("says", String(1000), nullable=False),
    Column("evidence", Text, nullable=False),  # JSON object of figures
    Column("at", Instant, nullable=False),
    Column("milliseconds", Integer, nullable=False),
    CheckConstraint("verdict IN ('kept', 'broken', 'could not check')", name="verdict"),
    CheckConstraint("number >= 1", name="number"),
    CheckConstraint("milliseconds >= 0", name="milliseconds"),
    UniqueConstraint("promise", "number"),
)
Index(None, run.c.at)
