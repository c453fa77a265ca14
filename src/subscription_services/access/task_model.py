"""Tables of tasks that lend operations for a while, and of what is granted at once. No task can be without an end."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import CheckConstraint, Column, Index, Integer, LargeBinary, String, Table, Text, text

from subscription_services.kernel.actors import Role
from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata
from subscription_services.storage.sealed import Sealed, personal

LONGEST_DAYS = 7
GLASS_SECONDS = 3600
GLASS = "glb_"
"""Begins the id that stands as `granted_by` where nobody granted it: the glass was broken."""
_LONGEST = LONGEST_DAYS * 24 * 3600 * 1_000_000  # microseconds, as Instant stores them
_ROLES = ", ".join(f"'{role.value}'" for role in Role)


class TaskEnd(StrEnum):
    REFUSED = "refused"
    CLOSED = "closed"
    REVOKED = "revoked"


task = Table(
    "access_task",
    metadata,
    Column("id", String(48), primary_key=True),  # tsk_
    Column("account", String(48), nullable=False),
    Column("title", Sealed("access.task.title"), nullable=False),
    Column("about_kind", String(32), nullable=False),
    Column("about", String(80), nullable=False),
    Column("role", String(32), nullable=False),
    Column("operations", Text, nullable=False),  # JSON list; empty: all that the role may do
    Column("asked_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("granted_at", Instant),
    Column("granted_by", String(120)),
    Column("ended_at", Instant),
    Column("ended_by", String(120)),
    Column("outcome", String(16)),
    Column("mac", LargeBinary, nullable=False),  # made anew at each step, under a key that the database does not hold
    CheckConstraint(f"role IN ({_ROLES})", name="known_role"),
    # written out although the column is not null: an end that is left out or zero must never read as "for ever"
    CheckConstraint(
        f"ends_at IS NOT NULL AND ends_at > asked_at AND ends_at <= asked_at + {_LONGEST}", name="has_an_end"
    ),
    CheckConstraint("(granted_at IS NULL) = (granted_by IS NULL)", name="granted_by_somebody"),
    CheckConstraint(
        f"granted_by IS NULL OR substr(granted_by, 1, 4) <> '{GLASS}'"
        f" OR ends_at <= asked_at + {GLASS_SECONDS * 1_000_000}",
        name="broken_glass_is_short",
    ),
    CheckConstraint("granted_by IS NULL OR granted_by <> account", name="not_to_oneself"),
    CheckConstraint("granted_at IS NULL OR (granted_at >= asked_at AND granted_at < ends_at)", name="granted_in_time"),
    CheckConstraint("outcome IN ('refused', 'closed', 'revoked')", name="known_outcome"),
    CheckConstraint(
        "(ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (outcome IS NULL)", name="ended_by_somebody"
    ),
    info=personal("account"),
)
_live = text("ended_at IS NULL")
Index("ix_access_task_live", task.c.account, sqlite_where=_live, postgresql_where=_live)
Index(None, task.c.asked_at)

rule = Table(
    "access_task_rule",
    metadata,
    Column("id", String(48), primary_key=True),  # trl_
    Column("held", String(32), nullable=False),  # who holds this role ...
    Column("role", String(32), nullable=False),  # ... is granted tasks of that one at once
    Column("operations", Text, nullable=False),  # JSON list, never empty
    Column("minutes", Integer, nullable=False),
    Column("made_by", String(48), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("ended_by", String(48)),
    Column("mac", LargeBinary, nullable=False),
    CheckConstraint(f"role IN ({_ROLES}) AND held IN ({_ROLES})", name="known_role"),
    CheckConstraint("minutes BETWEEN 5 AND 480", name="soon_over"),
    CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended_by_somebody"),
)
Index("ix_access_task_rule_live", rule.c.role, sqlite_where=_live, postgresql_where=_live)
