"""Tables of what roles may not do here although code allows it, and of the seal over what is in force of that."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, LargeBinary, String, Table, text

from subscription_services.kernel.actors import Role
from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata
from subscription_services.storage.sealed import Sealed, personal

_ROLES = ", ".join(f"'{role.value}'" for role in Role)

role_limit = Table(
    "access_role_limit",
    metadata,
    Column("id", String(48), primary_key=True),  # rlm_
    Column("role", String(32), nullable=False),
    Column("operation", String(120), nullable=False),
    Column("since", Instant, nullable=False),
    Column("made_by", String(48), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("reason", Sealed("access.role_limit.reason"), nullable=False),
    Column("ended_at", Instant),
    Column("ended_by", String(48)),
    CheckConstraint(f"role IN ({_ROLES})", name="known_role"),
    CheckConstraint("since >= made_at", name="never_before"),
    CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended_by_somebody"),
    CheckConstraint("ended_at IS NULL OR ended_at >= made_at", name="ended_later"),
    info=personal("made_by"),
)
_live = text("ended_at IS NULL")
Index(
    "uq_access_role_limit_live", role_limit.c.role, role_limit.c.operation, unique=True, sqlite_where=_live,
    postgresql_where=_live,
)  # fmt: skip

# One code over all limits that have not ended, and when that last changed: a row that is taken away, added or changed
# beside the service no longer fits it, and an older state of both tables no longer fits the log.
role_seal = Table(
    "access_role_seal",
    metadata,
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("changed_at", Instant, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    CheckConstraint("place = 1", name="one_row"),
)
