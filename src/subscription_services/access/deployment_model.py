"""Table of releases that may run here: each permitted by two people, in a note that the key service signed."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, String, Table, Text, text

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata

permit = Table(
    "access_deployment",
    metadata,
    Column("id", String(48), primary_key=True),  # dpl_
    Column("digest", String(64), nullable=False),  # of the package's files, see deployments.digest_of
    Column("version", String(40), nullable=False),
    Column("environment", String(253), nullable=False),
    Column("permitted_by", String(120), nullable=False),
    Column("permitted_at", Instant, nullable=False),
    Column("note", Text, nullable=False),  # C2SP signed note: a row without a good one permits nothing
    Column("ended_at", Instant),
    Column("ended_by", String(120)),
    CheckConstraint("length(digest) = 64", name="sha256"),
    CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended_by_somebody"),
    CheckConstraint("ended_at IS NULL OR ended_at >= permitted_at", name="ended_later"),
)
_live = text("ended_at IS NULL")
Index(
    "uq_access_deployment_live", permit.c.digest, permit.c.environment, unique=True,
    sqlite_where=_live, postgresql_where=_live,
)  # fmt: skip
