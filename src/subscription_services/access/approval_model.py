"""Tables of approvals. What must never be is refused by the database itself, on both engines."""

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
    Text,
    UniqueConstraint,
    text,
)

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata
from subscription_services.storage.sealed import Sealed, personal


class Way(StrEnum):
    """How a request comes to be allowed."""

    PEOPLE = "people"  # others approve it
    ALONE = "alone"  # there is nobody who could: it waits, everybody is told, anybody may stop it


class End(StrEnum):
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    USED = "used"


request = Table(
    "access_approval_request",
    metadata,
    Column("id", String(48), primary_key=True),  # apq_
    Column("digest", LargeBinary(32), nullable=False),  # kernel.authorise.digest: operation, arguments, state of rows
    Column("operation", String(120), nullable=False),
    Column("arguments", Sealed("access.approval_request.arguments"), nullable=False),
    Column("reason", Sealed("access.approval_request.reason"), nullable=False),
    Column("requester", String(48), nullable=False),
    Column("needed", Integer, nullable=False),
    Column("roles", Text, nullable=False),  # JSON list of the roles whose holders may approve
    Column("way", String(16), nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("runs_from", Instant),
    Column("expires_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("ended_by", String(120)),
    Column("outcome", String(16)),
    Column("mac", LargeBinary, nullable=False),  # over what never changes, under a key that the database does not hold
    UniqueConstraint("id", "requester"),
    CheckConstraint("length(digest) = 32", name="sha256"),
    CheckConstraint("needed >= 1", name="somebody_else"),
    CheckConstraint("expires_at > asked_at", name="expires_later"),
    CheckConstraint("way IN ('people', 'alone')", name="known_way"),
    CheckConstraint("(way = 'alone') = (runs_from IS NOT NULL)", name="alone_waits"),
    CheckConstraint("runs_from IS NULL OR (runs_from > asked_at AND runs_from < expires_at)", name="waits_in_time"),
    CheckConstraint("outcome IN ('refused', 'withdrawn', 'used')", name="known_outcome"),
    CheckConstraint(
        "(ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (outcome IS NULL)", name="ended_by_somebody"
    ),
    info=personal("requester"),
)
_open = text("ended_at IS NULL")
Index("ix_access_approval_request_open", request.c.digest, sqlite_where=_open, postgresql_where=_open)
Index(None, request.c.requester, request.c.asked_at)

approval = Table(
    "access_approval",
    metadata,
    Column("id", String(48), primary_key=True),  # apr_
    Column("request", String(48), nullable=False),
    Column("requester", String(48), nullable=False),  # that of the request, so that the database can compare
    Column("approver", String(48), nullable=False),
    Column("shown", LargeBinary(32), nullable=False),  # SHA-256 of the words as this approver saw them
    Column("given_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    # the approver's passkey assertion (WebAuthn level 3, 7.2) over signing.challenge
    Column("credential", LargeBinary),
    Column("client_data", LargeBinary),
    Column("authenticator_data", LargeBinary),
    Column("signature", LargeBinary),
    Column("mac", LargeBinary, nullable=False),
    ForeignKeyConstraint(["request", "requester"], ["access_approval_request.id", "access_approval_request.requester"]),
    UniqueConstraint("request", "approver"),
    CheckConstraint("approver <> requester", name="not_by_the_requester"),
    CheckConstraint("length(shown) = 32", name="sha256"),
    CheckConstraint("expires_at > given_at", name="expires_later"),
    CheckConstraint(
        "(credential IS NULL) = (signature IS NULL) AND (credential IS NULL) = (client_data IS NULL)"
        " AND (credential IS NULL) = (authenticator_data IS NULL)",
        name="signed_whole",
    ),
)

void = Table(
    "access_approval_void",
    metadata,
    # what somebody approved who left since. A row of its own: whoever may end approvals may not write them
    Column("approval", String(48), ForeignKey("access_approval.id"), primary_key=True),
    Column("at", Instant, nullable=False),
)

use = Table(
    "access_approval_use",
    metadata,
    # the primary key is what makes it once: two runs cannot both write it
    Column("request", String(48), ForeignKey("access_approval_request.id"), primary_key=True),
    Column("at", Instant, nullable=False),
)
