"""Tables of access reviews: what was asked about, and what was decided, each once.

Nothing in them tells a decoy from a real grant to who can read the database but has no key: what an item is about is
sealed, always as long, and the person that it concerns is a code that is different in each item.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    text,
)

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata
from subscription_services.storage.sealed import Sealed, personal

SUBJECT = "access.reviews"


class Outcome(StrEnum):
    CLOSED = "closed"  # everything was decided
    LAPSED = "lapsed"  # something was not, and lapsed
    VOIDED = "voided"  # a decoy was kept: whoever kept it did not read


class Decision(StrEnum):
    KEEP = "keep"
    REVOKE = "revoke"


review = Table(
    "access_review",
    metadata,
    Column("id", String(48), primary_key=True),  # rvw_
    Column("scope", String(16), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("first_due", Instant, nullable=False),  # of the review that this one takes the place of, else its own
    Column("replaces", String(48), ForeignKey("access_review.id")),
    Column("warned", Integer, nullable=False),  # days before the due date of the last reminder
    Column("closed_at", Instant),
    Column("outcome", String(16)),
    Column("record", LargeBinary(32)),  # SHA-256 of the record, which the log has as well
    Column("mac", LargeBinary, nullable=False),
    CheckConstraint("scope IN ('standard', 'elevated')", name="known_scope"),
    CheckConstraint("due_at > opened_at", name="due_later"),
    CheckConstraint("outcome IN ('closed', 'lapsed', 'voided')", name="known_outcome"),
    CheckConstraint(
        "(closed_at IS NULL) = (outcome IS NULL) AND (closed_at IS NULL) = (record IS NULL)", name="closed_whole"
    ),
    CheckConstraint("record IS NULL OR length(record) = 32", name="sha256"),
)
_open = text("closed_at IS NULL")
Index("uq_access_review_open", review.c.scope, unique=True, sqlite_where=_open, postgresql_where=_open)
Index(None, review.c.opened_at)

item = Table(
    "access_review_item",
    metadata,
    Column("id", String(48), primary_key=True),  # rvi_
    Column("review", String(48), ForeignKey("access_review.id"), nullable=False),
    Column("facts", Sealed("access.review_item.facts"), nullable=False),
    Column("whose", LargeBinary(33), nullable=False),  # keyed code of the item and whom it concerns
    Column("mac", LargeBinary, nullable=False),
    UniqueConstraint("id", "whose"),
    CheckConstraint("length(whose) = 33", name="code"),
    info=personal("", fixed=SUBJECT),
)
Index(None, item.c.review)

decision = Table(
    "access_review_decision",
    metadata,
    # the primary key is what makes it once
    Column("item", String(48), primary_key=True),
    Column("whose", LargeBinary(33), nullable=False),  # that of the item, so that the database can compare
    Column("decision", String(16), nullable=False),
    Column("decided_by", String(48), nullable=False),
    Column("decider", LargeBinary(33), nullable=False),  # the same code of the item and who decides
    Column("decided_at", Instant, nullable=False),
    Column("shown", LargeBinary(33), nullable=False),  # keyed code of what the page or the API showed
    Column("until", Instant),  # of what was kept: its new end
    Column("mac", LargeBinary, nullable=False),
    ForeignKeyConstraint(["item", "whose"], ["access_review_item.id", "access_review_item.whose"]),
    CheckConstraint("decision IN ('keep', 'revoke')", name="known_decision"),
    CheckConstraint("decider <> whose", name="not_ones_own"),
    CheckConstraint("length(decider) = 33 AND length(shown) = 33", name="codes"),
    CheckConstraint("(decision = 'keep') = (until IS NOT NULL)", name="kept_until"),
)
