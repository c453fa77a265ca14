"""Tables of the sealed second way: the code in the envelope, and each time that somebody broke the glass.

It cannot last longer than an hour, and the same person cannot break it again while the first time is not reviewed.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import CheckConstraint, Column, Index, Integer, LargeBinary, String, Table, text

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata
from subscription_services.storage.sealed import Sealed, personal

from .task_model import GLASS_SECONDS

_HOUR = GLASS_SECONDS * 1_000_000  # microseconds, as Instant stores them


class SealEnd(StrEnum):
    BROKEN = "broken"
    REPLACED = "replaced"


class GlassVerdict(StrEnum):
    """What the review came to."""

    RIGHT = "right"  # it was needed, and only what was needed was done
    WRONG = "wrong"  # it was not needed, or more was done: what follows stands in the findings


seal = Table(
    "access_glass_seal",
    metadata,
    Column("id", String(48), primary_key=True),  # gls_
    Column("place", Integer, nullable=False),  # always 1: there is one envelope
    Column("digest", LargeBinary, nullable=False),  # keyed, so that the database alone cannot try codes
    Column("sealed_by", String(48), nullable=False),
    Column("sealed_at", Instant, nullable=False),
    Column("tested_at", Instant),
    Column("tested_by", String(48)),
    Column("ended_at", Instant),
    Column("ended_by", String(48)),
    Column("outcome", String(16)),
    Column("mac", LargeBinary, nullable=False),
    CheckConstraint("place = 1", name="one_place"),
    CheckConstraint("(tested_at IS NULL) = (tested_by IS NULL)", name="tested_by_somebody"),
    CheckConstraint("outcome IN ('broken', 'replaced')", name="known_outcome"),
    CheckConstraint(
        "(ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (outcome IS NULL)", name="ended_by_somebody"
    ),
)
_live = text("ended_at IS NULL")
Index("uq_access_glass_seal_live", seal.c.place, unique=True, sqlite_where=_live, postgresql_where=_live)

glass = Table(
    "access_glass",
    metadata,
    Column("id", String(48), primary_key=True),  # glb_
    Column("account", String(48), nullable=False),
    Column("seal", String(48), nullable=False, unique=True),  # a code opens once
    Column("task", String(48), nullable=False, unique=True),  # what lends: access_task
    Column("started_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),  # of the review
    Column("others", Integer, nullable=False),  # how many could have reviewed it when it was broken
    Column("closed_at", Instant),
    Column("closed_by", String(48)),
    Column("verdict", String(16)),
    Column("findings", Sealed("access.glass.findings")),
    Column("mac", LargeBinary, nullable=False),
    CheckConstraint(
        f"ends_at IS NOT NULL AND ends_at > started_at AND ends_at <= started_at + {_HOUR}", name="an_hour_at_most"
    ),
    CheckConstraint("due_at IS NOT NULL AND due_at > started_at", name="review_is_due"),
    CheckConstraint("others >= 0", name="counted"),
    CheckConstraint("verdict IN ('right', 'wrong')", name="known_verdict"),
    CheckConstraint(
        "(closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (verdict IS NULL)"
        " AND (closed_at IS NULL) = (findings IS NULL)",
        name="closed_whole",
    ),
    # nobody reviews their own; who was alone may, but never before the hour and another one are over
    CheckConstraint(
        f"closed_by IS NULL OR closed_by <> account OR (others = 0 AND closed_at >= ends_at + {_HOUR})",
        name="closed_by_somebody_else",
    ),
    info=personal("account"),
)
_unclosed = text("closed_at IS NULL")
Index("uq_access_glass_unclosed", glass.c.account, unique=True, sqlite_where=_unclosed, postgresql_where=_unclosed)
Index(None, glass.c.started_at)
