"""What is known of the service's own runs, and of the settings it last ran with."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, Index, LargeBinary, String, Table, text

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata

LONGEST = 500

run = Table(
    "monitoring_run",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("node", String(48), nullable=False),  # the installation whose process group this is
    Column("version", String(40), nullable=False),
    Column("revision", String(40), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("stopped_at", Instant),
    Column("unclean", Boolean, nullable=False, default=False),
    CheckConstraint("stopped_at IS NULL OR stopped_at >= started_at", name="stops_after_start"),
)
Index(
    "uq_monitoring_run_node_running", run.c.node, unique=True,
    sqlite_where=text("stopped_at IS NULL"), postgresql_where=text("stopped_at IS NULL"),
)  # fmt: skip

setting = Table(
    "monitoring_setting",
    metadata,
    Column("node", String(48), primary_key=True),
    Column("variable", String(80), primary_key=True),
    Column("shown", String(LONGEST), nullable=False),  # empty for a secret
    Column("code", LargeBinary, nullable=False),  # keyed, so that a secret cannot be guessed from it
)
